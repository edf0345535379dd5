"""Finding wrong labels, by our function and through cleanlab's CleanLearning."""

import numpy as np
import pandas as pd
import pytest
import torch
from cleanlab.classification import CleanLearning
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedGroupKFold,
    cross_val_predict,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from sklearn_noisy import RobustLossClassifier, find_label_issues
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.label_issues import FILTERS, _joint_counts

NAMES = np.array(["setosa", "versicolor", "virginica"])


@pytest.fixture(scope="module")
def frame():
    """Iris as a table with a fifth of its labels wrong."""
    data = load_iris(as_frame=True)
    order = np.random.RandomState(0).permutation(150)
    X = data.data.iloc[order].set_index(pd.Index(order + 1000))
    y = pd.Series(NAMES[data.target.to_numpy()[order]], index=X.index)
    y_given, changed = corrupt_labels(
        y, noise_rate=0.2, exact=True, return_mask=True, random_state=0
    )
    return X, y_given, changed


LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression())


def test_finds_the_wrong_digits(noisy_digits):
    X, y_given, _, changed = noisy_digits
    clf = RobustLossClassifier(
        loss="symmetric_cross_entropy",
        max_epochs=30,
        lr=3e-3,
        early_stopping=False,
        random_state=0,
    )
    issues = find_label_issues(clf, X, y_given, cv=3)
    assert f1_score(changed, issues["is_label_issue"]) > 0.93
    assert not hasattr(clf, "net_")


def test_the_table(frame):
    X, y_given, changed = frame
    issues = find_label_issues(LOGISTIC, X, y_given)
    assert issues.columns.tolist() == [
        *("is_label_issue", "label_quality", "given_label", "predicted_label")
    ]
    assert issues.index.equals(X.index)
    assert issues["is_label_issue"].dtype == bool
    assert issues["given_label"].tolist() == y_given.tolist()
    assert set(issues["predicted_label"]) <= set(NAMES)
    assert f1_score(changed, issues["is_label_issue"]) > 0.7
    quality = issues["label_quality"]
    assert quality[changed].median() < 0.2 < 0.6 < quality[~changed].median()
    worst = issues.sort_values("label_quality").index[:10]
    assert issues.loc[worst, "is_label_issue"].all()
    pd.testing.assert_frame_equal(issues, find_label_issues(LOGISTIC, X, y_given))


@pytest.mark.parametrize("n_jobs", [2])
def test_parallel_folds_and_arrays_give_the_same(frame, n_jobs):
    X, y_given, _ = frame
    issues = find_label_issues(LOGISTIC, X, y_given)
    other = find_label_issues(LOGISTIC, X.to_numpy(), y_given.tolist(), n_jobs=n_jobs)
    pd.testing.assert_frame_equal(issues.reset_index(drop=True), other)


def test_splitters_and_given_probabilities(frame):
    X, y_given, _ = frame
    groups = np.arange(150) % 5
    splits = list(LeaveOneGroupOut().split(X, y_given, groups))
    expected = find_label_issues(LOGISTIC, X, y_given, cv=splits)
    pred_probs = cross_val_predict(
        LOGISTIC, X, y_given, cv=splits, method="predict_proba"
    )
    given = find_label_issues(None, X, y_given, pred_probs=pred_probs)
    pd.testing.assert_frame_equal(given, expected)
    named = pd.DataFrame(pred_probs[:, ::-1], columns=NAMES[::-1])
    by_name = find_label_issues(None, X, y_given, pred_probs=named)
    pd.testing.assert_frame_equal(by_name, expected)
    with pytest.raises(ValueError, match="cv must have every row in a test part"):
        find_label_issues(LOGISTIC, X, y_given, cv=ShuffleSplit(2, random_state=0))


def test_out_of_fold_is_out_of_fold():
    """A 1-neighbour classifier agrees with every row that it has seen."""
    rng = np.random.RandomState(0)
    X, y = rng.randn(100, 5), rng.randint(0, 2, 100)
    issues = find_label_issues(KNeighborsClassifier(1), X, y)
    assert 0.3 < (issues["given_label"] == issues["predicted_label"]).mean() < 0.7


def test_the_noise_matrix_changes_the_result(frame):
    X, y_given, changed = frame
    pred_probs = cross_val_predict(LOGISTIC, X, y_given, cv=5, method="predict_proba")
    kwargs = {"pred_probs": pred_probs, "filter_by": "prune_by_class"}
    n_found = [
        find_label_issues(None, X, y_given, **kwargs, noise_matrix=Q)[
            "is_label_issue"
        ].sum()
        for Q in (np.eye(3), make_noise_matrix(3, 0.1), make_noise_matrix(3, 0.2))
    ]
    assert n_found[0] == 0
    # The count is that of the matrix, less the rows whose prediction is their label.
    assert 0 < n_found[1] <= 15 < n_found[2] <= 31
    true_matrix = find_label_issues(
        None, X, y_given, **kwargs, noise_matrix=make_noise_matrix(3, 0.2)
    )
    assert f1_score(changed, true_matrix["is_label_issue"]) > 0.75


def test_noise_that_goes_one_way_is_pruned_one_way(frame):
    X, y_given, _ = frame
    pred_probs = cross_val_predict(LOGISTIC, X, y_given, cv=5, method="predict_proba")
    # Only virginica is ever called versicolor.
    Q = np.array([[1, 0, 0], [0, 1, 0.3], [0, 0, 0.7]])
    issues = find_label_issues(
        None,
        X,
        y_given,
        pred_probs=pred_probs,
        noise_matrix=Q,
        filter_by="prune_by_noise_rate",
    )
    assert set(issues.loc[issues["is_label_issue"], "given_label"]) == {"versicolor"}


def many_classes(n_classes):
    """Ten rows a class, 4 % wrong labels, and predictions that are mostly right."""
    rng = np.random.RandomState(0)
    y, Q = np.repeat(np.arange(n_classes), 10), make_noise_matrix(n_classes, 0.04)
    y_given = corrupt_labels(y, Q, random_state=0)
    p = 0.4 * rng.dirichlet(np.full(n_classes, 0.02), len(y))
    p[np.arange(len(y)), y] += 0.6
    return y, y_given, p, Q


@pytest.mark.parametrize("n_classes", [100, 1000])
def test_the_matrix_says_how_many_labels_are_wrong(n_classes):
    _, y_given, p, Q = many_classes(n_classes)
    counts = _joint_counts(Q, y_given, p)
    assert abs(counts.sum() - counts.trace() - 0.04 * len(y_given)) <= 1
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(y_given))
    assert (counts >= 0).all()


@pytest.mark.parametrize("filter_by", ["both", "prune_by_noise_rate", "prune_by_class"])
def test_the_true_matrix_finds_more_among_many_classes(filter_by):
    y, y_given, p, Q = many_classes(100)
    found = [
        find_label_issues(None, None, y_given, pred_probs=p, filter_by=filter_by, **Q)
        for Q in ({}, {"noise_matrix": Q})
    ]
    without, with_matrix = (
        (issues["is_label_issue"] & (y_given != y)).sum() for issues in found
    )
    assert with_matrix > 1.3 * without > 0


def test_more_probably_wrong_than_right():
    """Labels drawn by what the filter is told: it is right as often as it says."""
    rng = np.random.RandomState(0)
    Q = make_noise_matrix(4, 0.4, "random", random_state=1)
    p = rng.dirichlet(np.full(4, 0.3), 20_000)
    true = (p.cumsum(axis=1) < rng.rand(20_000, 1)).sum(axis=1)
    given = (Q.T[true].cumsum(axis=1) < rng.rand(20_000, 1)).sum(axis=1)
    issues = find_label_issues(
        None, None, given, pred_probs=p, noise_matrix=Q, filter_by="posterior"
    )
    quality, is_issue = issues["label_quality"], issues["is_label_issue"]
    expected = p[5, given[5]] * Q[given[5], given[5]] / (Q[given[5]] @ p[5])
    assert quality[5] == pytest.approx(expected)
    np.testing.assert_array_equal(is_issue, quality < 0.5)
    for low in np.arange(0, 1, 0.2):
        chosen = (low <= quality) & (quality <= low + 0.2)
        right = (true == given)[chosen]
        error = right.mean() - quality[chosen].mean()
        assert abs(error) < 4 * 0.5 / np.sqrt(chosen.sum())
    by_argmax = p.argmax(axis=1) != given
    mistakes = [(found != (true != given)).mean() for found in (is_issue, by_argmax)]
    assert mistakes[0] < 0.8 * mistakes[1]


def test_a_label_that_no_possible_class_is_given():
    Q = np.array([[0.8, 0, 0], [0.2, 1, 0], [0, 0, 1.0]])
    p = np.array([[0, 1, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    issues = find_label_issues(
        None, None, [0, 1, 2], pred_probs=p, noise_matrix=Q, filter_by="posterior"
    )
    np.testing.assert_allclose(issues["label_quality"], [0, 0.5 / 0.6, 1])
    assert issues["is_label_issue"].tolist() == [True, False, False]


def test_rare_classes(frame):
    X, y_given, _ = frame
    X, y = X.to_numpy(), y_given.to_numpy().astype(object)
    y[3] = "unique"  # lacks in the training part of its own fold
    y[[10, 90]] = "twice"
    issues = find_label_issues(LOGISTIC, X, y)
    assert issues.loc[3, "given_label"] == "unique"
    assert issues.loc[3, "label_quality"] == 0
    assert set(issues["predicted_label"]) <= {*NAMES, "unique", "twice"}
    clf = RobustLossClassifier(loss="focal", max_epochs=5, random_state=0)
    assert len(find_label_issues(clf, X, y)) == 150


def test_sample_weights_reach_every_fold(frame):
    X, y_given, _ = frame
    weight = np.where(y_given == "setosa", 0.0, 1.0)
    weight[np.flatnonzero(y_given == "setosa")[:10]] = 1e-6
    issues = find_label_issues(LOGISTIC, X, y_given, sample_weight=weight)
    assert "setosa" not in set(issues["predicted_label"])
    plain = LogisticRegression(max_iter=1000)
    by_name = find_label_issues(plain, X, y_given, sample_weight=weight)
    assert "setosa" not in set(by_name["predicted_label"])
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        same = find_label_issues(routed, X, y_given, sample_weight=weight)
    pd.testing.assert_frame_equal(same, issues)
    with pytest.raises(TypeError, match="KNeighborsClassifier.fit takes none"):
        find_label_issues(KNeighborsClassifier(), X, y_given, sample_weight=weight)


def test_texts_in_a_list():
    texts = ["good fine nice", "nice good", "bad awful", "awful poor bad"] * 15
    y = np.array(["+", "+", "-", "-"] * 15)
    wrong = np.zeros(60, dtype=bool)
    wrong[[5, 22, 40]] = True
    y_given = np.where(wrong, np.where(y == "+", "-", "+"), y)
    clf = make_pipeline(
        TfidfVectorizer(),
        RobustLossClassifier(
            loss="mean_absolute_error", lr=0.01, max_epochs=20, random_state=0
        ),
    )
    issues = find_label_issues(clf, texts, y_given)
    np.testing.assert_array_equal(issues["is_label_issue"], wrong)


def test_the_index_is_that_of_the_labels_if_the_rows_have_none(frame):
    X, y_given, _ = frame
    y = pd.Series(np.asarray(y_given), index=[f"row {i}" for i in range(150)])
    issues = find_label_issues(LOGISTIC, X.to_numpy(), y, cv=3)
    assert list(issues.index) == list(y.index)


def test_a_label_that_only_a_class_that_seems_absent_gives():
    # Given 90, 5 and 5 rows, least squares says that nothing is truly of class 0,
    # the only one that gives label 2.
    Q = [[0.0, 0.5, 0.6], [0.95, 0.5, 0.4], [0.05, 0.0, 0.0]]
    y_given = np.repeat([0, 1, 2], [90, 5, 5])
    pred_probs = np.tile([0.2, 0.5, 0.3], (100, 1))
    pred_probs[95] = 0.9, 0.05, 0.05
    issues = find_label_issues(
        None, None, y_given, pred_probs=pred_probs, noise_matrix=Q
    )
    # The matrix makes every label 2 one of class 0; one row looks like that.
    assert issues["is_label_issue"][95]


def test_progress_is_shown_when_asked_for(frame, capsys):
    X, y_given, _ = frame
    find_label_issues(LOGISTIC, X, y_given, cv=3)
    assert capsys.readouterr() == ("", "")
    find_label_issues(LOGISTIC, X, y_given, cv=3, verbose=1)
    output = capsys.readouterr()
    assert output.out == ""
    assert "3/3" in output.err


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"filter_by": "worst"}, ValueError, "filter_by must be one of.*got 'worst'"),
        ({"estimator": LinearSVC()}, TypeError, "fit and predict_proba.*got LinearSVC"),
        ({"estimator": None}, TypeError, "estimator must be a classifier"),
        ({"cv": 1}, ValueError, "cv must be at least 2"),
        ({"cv": 151}, ValueError, "at most the number of rows, 150; got 151"),
        ({"noise_matrix": "learn"}, ValueError, "a square array; got 'learn'"),
        ({"noise_matrix": np.eye(2)}, ValueError, r"must have shape \(3, 3\)"),
        ({"noise_matrix": np.ones((3, 3))}, ValueError, "columns that sum to 1"),
        (
            {"noise_matrix": np.eye(3), "filter_by": "confident_learning"},
            ValueError,
            "noise_matrix is used by filter_by='both'",
        ),
        (
            {"filter_by": "posterior"},
            ValueError,
            "filter_by='posterior' needs a noise_matrix",
        ),
        (
            {"noise_matrix": [[1, 1, 0], [0, 0, 0], [0, 0, 1]]},
            ValueError,
            "gives the label 'versicolor' probability 0",
        ),
        (
            {
                "noise_matrix": [[1, 1, 0], [0, 0, 0], [0, 0, 1]],
                "filter_by": "posterior",
            },
            ValueError,
            "label 'versicolor' probability 0 .* but 5[0-9] rows",
        ),
        ({"pred_probs": np.ones((150, 2))}, ValueError, r"shape \(150, 3\)"),
        ({"pred_probs": np.full((150, 3), 2.0)}, ValueError, r"must lie in \[0, 1\]"),
        ({"pred_probs": np.full((150, 3), 0.5)}, ValueError, "row 0 sums to 1.5"),
        ({"y": [None, "a"] * 75}, ValueError, "y must not contain missing labels"),
        ({"y": np.r_[np.nan, np.ones(149)]}, ValueError, "missing labels"),
        ({"sample_weight": -np.ones(150)}, ValueError, "must not be negative"),
        ({"y": ["a"] * 150}, ValueError, "at least two classes"),
        ({"y": ["a", "b"]}, ValueError, "inconsistent numbers of samples"),
        ({"y": np.linspace(0, 1, 150)}, ValueError, "Unknown label type"),
    ],
)
def test_bad_arguments(frame, kwargs, error, message):
    X, y_given, _ = frame
    arguments = {"estimator": LOGISTIC, "X": X, "y": y_given, **kwargs}
    with pytest.raises(error, match=message):
        find_label_issues(
            arguments.pop("estimator"),
            arguments.pop("X"),
            arguments.pop("y"),
            **arguments,
        )


# Classes that labels lack, and rows that are clean


@pytest.fixture(scope="module")
def of_four():
    """Rows of four classes, their probabilities, and which rows are of three."""
    rng = np.random.RandomState(0)
    codes = rng.randint(4, size=120)
    X = rng.randn(120, 4) + 2 * np.eye(4)[codes]
    y = np.array(list("abcd"))[codes]
    clf = LogisticRegression().fit(X, y)
    few = y != "c"
    y_given = corrupt_labels(y[few], noise_rate=0.2, random_state=0)
    return clf, X[few], y_given


@pytest.mark.parametrize("filter_by", FILTERS)
def test_labels_that_lack_a_class(of_four, filter_by):
    clf, X, y = of_four
    p, Q = clf.predict_proba(X), make_noise_matrix(4, 0.2)
    kwargs = {"filter_by": filter_by}
    if filter_by == "posterior":
        kwargs["noise_matrix"] = Q
    issues = find_label_issues(
        None, None, y, pred_probs=p, classes=clf.classes_, **kwargs
    )
    assert 0 < issues["is_label_issue"].sum() < len(y) / 2
    np.testing.assert_array_equal(issues["predicted_label"], clf.predict(X))
    named = pd.DataFrame(p, columns=clf.classes_).iloc[:, ::-1]
    by_name = find_label_issues(None, None, y, pred_probs=named, **kwargs)
    pd.testing.assert_frame_equal(by_name, issues)
    with pytest.raises(ValueError, match=r"must have shape .* classes"):
        find_label_issues(None, None, y, pred_probs=p, **kwargs)


def test_a_matrix_of_more_classes_than_the_labels_have(of_four):
    clf, X, y = of_four
    p, Q = clf.predict_proba(X), make_noise_matrix(4, 0.2)
    frame = pd.DataFrame(Q, index=list("abcd"), columns=list("abcd"))
    named, listed = (
        find_label_issues(None, None, y, pred_probs=p, **kwargs)
        for kwargs in (
            {"noise_matrix": frame},
            {"noise_matrix": Q, "classes": list("abcd")},
        )
    )
    pd.testing.assert_frame_equal(named, listed)
    # Also where a model is fitted, and a fold lacks a class.
    y = y.copy()
    y[5] = "c"
    for kwargs in ({"noise_matrix": frame}, {"noise_matrix": Q}):
        issues = find_label_issues(LOGISTIC, X, y, cv=3, **kwargs)
        assert issues.loc[5, "label_quality"] == 0
    with pytest.raises(ValueError, match="classes must be sorted and differ"):
        find_label_issues(None, None, y, pred_probs=p, classes=list("dcba"))
    with pytest.raises(ValueError, match=r"not among the classes \['a', 'b', 'd'\]"):
        find_label_issues(None, None, y, pred_probs=p, classes=["a", "b", "d"])


@pytest.mark.parametrize("is_pipeline", [False, True])
def test_a_fitted_model_judges_with_all_its_classes(of_four, is_pipeline):
    clf, X, y = of_four
    model = FrozenEstimator(clf)
    if is_pipeline:
        model = make_pipeline(FunctionTransformer(), model)
    issues = find_label_issues(model, X, y, cv=3)
    expected = find_label_issues(
        None, None, y, pred_probs=clf.predict_proba(X), classes=clf.classes_
    )
    pd.testing.assert_frame_equal(issues, expected)
    with pytest.raises(ValueError, match=r"classes that are not among.*\['c'\]"):
        find_label_issues(model, X, y, classes=["a", "b", "d"])
    with pytest.raises(ValueError, match=r"must have shape \(4, 4\)"):
        find_label_issues(model, X, y, noise_matrix=make_noise_matrix(3, 0.2))
    others = np.where(y == "a", "y", "z")
    with pytest.raises(ValueError, match="none of which is among"):
        find_label_issues(model, X, others)


def test_a_fitted_model_that_skips_a_class_of_the_labels():
    rng = np.random.RandomState(0)
    X, y = rng.randn(60, 2), rng.randint(2, size=60)
    model = FrozenEstimator(LogisticRegression().fit(X, 2 * y))
    issues = find_label_issues(model, X, y, cv=2)
    np.testing.assert_array_equal(issues["label_quality"][y == 1], 0)
    assert set(issues["predicted_label"]) == {0, 2}


@pytest.mark.parametrize("filter_by", FILTERS)
def test_clean_rows_are_no_issues(of_four, filter_by):
    clf, X, y = of_four
    # All rows of one class are clean.
    is_clean = (np.arange(len(y)) % 3 == 0) | (y == "a")
    kwargs = {"pred_probs": clf.predict_proba(X), "classes": clf.classes_}
    if filter_by == "posterior":
        kwargs["noise_matrix"] = make_noise_matrix(4, 0.2)
    issues = find_label_issues(
        None, None, y, filter_by=filter_by, is_clean=is_clean, **kwargs
    )
    assert not issues["is_label_issue"][is_clean].any()
    assert (issues["label_quality"][is_clean] == 1).all()
    kwargs["pred_probs"] = kwargs["pred_probs"][~is_clean]
    of_rest = find_label_issues(None, None, y[~is_clean], filter_by=filter_by, **kwargs)
    rest = issues[~is_clean].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, of_rest)
    nothing = find_label_issues(
        None,
        None,
        y[:4],
        pred_probs=clf.predict_proba(X[:4]),
        classes=clf.classes_,
        is_clean=np.ones(4, dtype=bool),
    )
    assert not nothing["is_label_issue"].any()


class MaskSeen(LogisticRegression):
    """Clean rows weigh much more than the others."""

    def fit(self, X, y, is_clean=None):
        weight = None if is_clean is None else np.where(is_clean, 1.0, 1e-9)
        return super().fit(X, y, weight)


def test_clean_rows_train_and_reach_an_estimator_that_takes_the_mask(of_four):
    _, X, y = of_four
    is_clean = np.arange(len(y)) % 2 == 0
    plain = find_label_issues(LOGISTIC, X, y, cv=3)
    with_mask = find_label_issues(LOGISTIC, X, y, cv=3, is_clean=is_clean)
    # The folds and their models are the same ones.
    np.testing.assert_array_equal(
        with_mask["label_quality"][~is_clean], plain["label_quality"][~is_clean]
    )
    seen = find_label_issues(MaskSeen(), X, y, cv=3, is_clean=is_clean)
    weighted = find_label_issues(
        LogisticRegression(),
        X,
        y,
        cv=3,
        is_clean=is_clean,
        sample_weight=np.where(is_clean, 1.0, 1e-9),
    )
    pd.testing.assert_frame_equal(seen, weighted)
    one = np.arange(len(y)) == 0  # no clean row in the training part of its fold
    assert len(find_label_issues(MaskSeen(), X, y, cv=3, is_clean=one)) == len(y)


def test_groups_go_in_as_splits(of_four):
    _, X, y = of_four
    groups = np.arange(len(y)) % 4
    splits = GroupKFold(4).split(X, y, groups)
    assert len(find_label_issues(LOGISTIC, X, y, cv=splits)) == len(y)
    for splitter in (GroupKFold(4), LeaveOneGroupOut(), StratifiedGroupKFold(4)):
        with pytest.raises(ValueError, match=r"needs groups.*split\(X, y, groups\)"):
            find_label_issues(LOGISTIC, X, y, cv=splitter)


def test_a_tuple_of_rows_and_a_tensor_of_weights(of_four):
    _, X, y = of_four
    texts = [f"{'good' if row[0] > 0 else 'bad'} {k % 3}" for k, row in enumerate(X)]
    clf = make_pipeline(TfidfVectorizer(), LogisticRegression())
    of_tuple = find_label_issues(clf, tuple(texts), y, cv=3)
    pd.testing.assert_frame_equal(of_tuple, find_label_issues(clf, texts, y, cv=3))
    weight = np.linspace(1, 2, len(y))
    expected = find_label_issues(LOGISTIC, X, y, cv=3, sample_weight=weight)
    for tensor in (torch.tensor(weight), torch.tensor(weight, requires_grad=True)):
        found = find_label_issues(LOGISTIC, X, y, cv=3, sample_weight=tensor)
        pd.testing.assert_frame_equal(found, expected)


# cleanlab's own wrapper, untouched


class WeightsSeen(RobustLossClassifier):
    """Keeps the weights that reach ``fit``."""

    def fit(self, X, y, sample_weight=None):
        self.weights_ = sample_weight
        return super().fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def clean_learning(noisy_digits):
    X, y_given, _, _ = noisy_digits
    clf = WeightsSeen(
        loss="symmetric_cross_entropy",
        max_epochs=30,
        lr=3e-3,
        early_stopping=False,
        random_state=0,
    )
    return CleanLearning(clf, cv_n_folds=3, seed=0).fit(X, y_given)


def test_clean_learning(clean_learning, noisy_digits):
    X, _, y, changed = noisy_digits
    issues = clean_learning.get_label_issues()
    assert f1_score(changed, issues["is_label_issue"]) > 0.9
    assert (clean_learning.predict(X) == y).mean() > 0.95
    assert clean_learning.predict_proba(X).shape == (len(y), 10)
    assert clean_learning.score(X, y) > 0.95


def test_clean_learning_passes_its_weights(clean_learning):
    weights = clean_learning.clf.weights_
    kept = ~clean_learning.get_label_issues()["is_label_issue"].to_numpy()
    assert len(weights) == kept.sum()
    # One over Q's diagonal, a value for each class.
    assert set(np.round(weights, 12)) == set(
        np.round(1 / np.diag(clean_learning.noise_matrix), 12)
    )


def test_clean_learning_passes_weights_of_the_user(noisy_digits):
    X, y_given, _, _ = noisy_digits
    X, y_given = X[:300], y_given[:300]
    weight = np.linspace(1, 2, 300)
    clf = WeightsSeen(loss="focal", max_epochs=10, random_state=0)
    wrapper = CleanLearning(clf, cv_n_folds=2, seed=0)
    wrapper.fit(X, y_given, sample_weight=weight)
    kept = ~wrapper.get_label_issues()["is_label_issue"].to_numpy()
    np.testing.assert_array_equal(wrapper.clf.weights_, weight[kept])


def test_our_table_goes_into_clean_learning(noisy_digits):
    X, y_given, y, _ = noisy_digits
    clf = RobustLossClassifier(loss="cross_entropy", max_epochs=30, random_state=0)
    issues = find_label_issues(clf, X, y_given, cv=3)
    wrapper = CleanLearning(clf, seed=0).fit(X, y_given, label_issues=issues)
    assert wrapper.score(X, y) > 0.93


@pytest.mark.parametrize("filter_by", ["both", "confident_learning"])
def test_the_dispatch_of_the_array_api_changes_nothing(filter_by, dispatches):
    rng = np.random.RandomState(0)
    P, y = rng.dirichlet(np.ones(3), 60), rng.randint(3, size=60)
    settings = {"pred_probs": P, "filter_by": filter_by}
    expected = find_label_issues(None, None, y, **settings)
    with config_context(array_api_dispatch=dispatches):
        found = find_label_issues(None, None, y, **settings)
    assert found.equals(expected)
