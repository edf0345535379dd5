"""Inside what other libraries wrap around a classifier."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from cleanlab.classification import CleanLearning
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix


def robust(**params):
    settings = {
        "module__hidden_layer_sizes": (16,),
        "lr": 0.02,
        "max_epochs": 20,
        "batch_size": 32,
        "random_state": 0,
    }
    return RobustLossClassifier(**settings | params)


def adapted(**params):
    settings = {
        "module__hidden_layer_sizes": (16,),
        "lr": 0.02,
        "max_epochs": 20,
        "batch_size": 32,
        "n_rounds": 0,
        "random_state": 0,
    }
    return NoiseAdaptedClassifier(**settings | params)


@pytest.fixture(scope="module")
def data(iris):
    X, y = iris
    y_given, wrong = corrupt_labels(
        y, noise_rate=0.2, exact=True, return_mask=True, random_state=0
    )
    return X, y_given, y, wrong


both = pytest.mark.parametrize("make", [robust, adapted], ids=["robust", "adapted"])


# scikit-learn


@both
def test_calibration(data, make):
    X, y_given, y, _ = data
    clf = CalibratedClassifierCV(make(), cv=3).fit(X, y_given)
    assert clf.score(X, y) > 0.9
    # Calibrated on given labels: one in five is wrong.
    assert (
        clf.predict_proba(X).max(axis=1).mean()
        < make().fit(X, y).predict_proba(X).max(axis=1).mean()
    )


def test_stacking(data):
    X, y_given, y, _ = data
    stack = StackingClassifier(
        [("robust", robust()), ("adapted", adapted())],
        LogisticRegression(),
        cv=3,
        stack_method="predict_proba",
    ).fit(X, y_given)
    assert stack.transform(X).shape == (len(y), 6)
    assert stack.score(X, y) > 0.9


@both
def test_bagging(data, make):
    X, y_given, y, _ = data
    bagged = BaggingClassifier(
        make(random_state=None), n_estimators=4, max_features=3, random_state=0
    ).fit(X, y_given)
    assert bagged.score(X, y) > 0.9
    seeds = {clf.random_state for clf in bagged.estimators_}
    assert len(seeds) == 4  # scikit-learn gives each its own


@both
def test_one_against_the_rest(data, make):
    X, y_given, y, _ = data
    clf = OneVsRestClassifier(make()).fit(X, y_given)
    assert len(clf.estimators_) == 3
    assert clf.score(X, y) > 0.85


@both
def test_a_class_that_a_fold_lacks(iris, make):
    X, y = iris
    rows = np.concatenate([np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:1]])
    X, y = X[rows], np.array(["a", "b", "c"])[y[rows]]
    with pytest.warns(UserWarning, match="least populated class"):
        splits = list(sklearn.model_selection.StratifiedKFold(2).split(X, y))
    lacks = [k for k, (train, _) in enumerate(splits) if "c" not in y[train]]
    with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
        p = cross_val_predict(make(), X, y, cv=splits, method="predict_proba")
    assert p.shape == (len(y), 3)
    assert (p[splits[lacks[0]][1], 2] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_permutation_importance(data):
    X, y_given, _, _ = data
    noise = np.random.RandomState(0).normal(size=(len(X), 1))
    X = np.hstack([X, noise])
    result = permutation_importance(
        robust().fit(X, y_given), X, y_given, n_repeats=5, random_state=0
    )
    assert result.importances_mean.argmax() in (2, 3)  # the petals
    assert result.importances_mean[4] < 0.1 < result.importances_mean.max()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_column_transformer_over_tables(data, frame):
    X, y_given, y, _ = data
    table = frame({f"x{k}": column for k, column in enumerate(X.T)})
    place = np.where(X[:, 0] > 0, "north", "south")
    table = (
        table.assign(place=place)
        if frame is pd.DataFrame
        else table.with_columns(pl.Series("place", place))
    )
    transform = ColumnTransformer(
        [
            ("numbers", StandardScaler(), [f"x{k}" for k in range(4)]),
            ("words", OneHotEncoder(), ["place"]),
        ]
    )
    pipe = make_pipeline(transform, robust()).fit(table, y_given)
    assert pipe[-1].n_features_in_ == 6
    assert pipe.score(table, y) > 0.9
    # A table of numbers goes in as it is, and its names are known.
    numbers = table[[f"x{k}" for k in range(4)]]
    clf = adapted().fit(numbers, y_given)
    assert clf.feature_names_in_.tolist() == ["x0", "x1", "x2", "x3"]
    np.testing.assert_allclose(
        clf.predict_proba(numbers), adapted().fit(X, y_given).predict_proba(X)
    )


def test_set_output_gives_named_columns(data):
    X, y_given, _, _ = data
    table = pd.DataFrame(X, columns=list("abcd"))
    pipe = make_pipeline(StandardScaler(), robust()).set_output(transform="pandas")
    pipe.fit(table, y_given)
    assert pipe[-1].feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        pipe.predict(table[list("dcba")])


def test_texts():
    spam = ["win money now", "free money offer", "cheap offer win", "free prize now"]
    ham = ["meeting at noon", "see the report", "lunch at noon", "report for meeting"]
    texts = spam * 12 + ham * 12
    y = np.repeat(["spam", "ham"], 48)
    y_given = corrupt_labels(y, noise_rate=0.2, exact=True, random_state=0)
    for make in (robust, adapted):
        pipe = make_pipeline(TfidfVectorizer(), make()).fit(texts, y_given)
        assert sparse.issparse(pipe[0].transform(texts[:1]))
        assert pipe.score(texts, y) > 0.9
        unseen = pipe.predict(["money prize", "noon report"])
        assert unseen.tolist() == ["spam", "ham"]


@both
def test_notebook_display(data, make):
    X, y_given, _, _ = data
    # NumPy 2.0 cannot compare a number with "auto", which scikit-learn 1.8 tries.
    default = type(make())().batch_size
    clf = make(optimizer__weight_decay=1e-3).set_params(batch_size=default)
    for state in (clf, clf.fit(X, y_given), make_pipeline(StandardScaler(), clf)):
        html = state._repr_html_()
        assert type(clf).__name__ in html
        assert "weight_decay" in html


def test_weights_and_clean_rows_through_a_pipeline(data):
    X, y_given, _, wrong = data
    with sklearn.config_context(enable_metadata_routing=True):
        clf = adapted(noise_model="top_down", alpha=1.0, gamma=0.0)
        clf.set_fit_request(is_clean=True, sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, clf)
        pipe.fit(X, y_given, is_clean=~wrong, sample_weight=np.ones(len(X)))
        plain = make_pipeline(
            StandardScaler(), adapted(noise_model="top_down", alpha=1.0)
        ).fit(X, y_given)
    y_true = data[2]
    assert pipe.score(X, y_true) > 0.95
    assert (pipe.predict_proba(X) != plain.predict_proba(X)).any()


# cleanlab


def wrapped(make=robust, **find):
    # Its default is one dictionary for all, which keeps what it found.
    return CleanLearning(
        make(), cv_n_folds=3, seed=0, verbose=False, find_label_issues_kwargs=find
    )


FORMATS = {
    "array": lambda X: X,
    "csr": sparse.csr_matrix,
    "frame": lambda X: pd.DataFrame(X, columns=list("abcd")),
    "images": lambda X: X.reshape(-1, 1, 2, 2),
}


@both
@pytest.mark.parametrize("form", FORMATS)
def test_clean_learning_takes_rows_of_any_form(data, make, form):
    X, y_given, y, wrong = data
    rows = FORMATS[form](X)
    before = rows.copy()
    clean = wrapped(make).fit(rows, y_given)
    found = clean.get_label_issues()["is_label_issue"]
    assert f1_score(wrong, found) > 0.7
    assert clean.score(rows, y) > 0.9
    assert clean.predict_proba(rows).shape == (len(y), 3)
    unchanged = before != rows
    unchanged = unchanged.nnz == 0 if form == "csr" else not np.any(unchanged)
    assert unchanged


@pytest.mark.parametrize("form", [list, pd.Series])
def test_clean_learning_takes_labels_of_any_form(data, form):
    X, y_given, y, _ = data
    clean = wrapped().fit(X, form(y_given))
    assert clean.score(X, y) > 0.9
    assert clean.get_label_issues()["given_label"].tolist() == y_given.tolist()


def test_clean_learning_with_a_rare_class(data):
    X, y_given, _, _ = data
    rows = np.concatenate(
        [np.flatnonzero(y_given > 0), np.flatnonzero(y_given == 0)[:4]]
    )
    clean = wrapped(min_examples_per_class=1).fit(X[rows], y_given[rows])
    assert clean.predict_proba(X).shape == (len(X), 3)


def test_clean_learning_says_what_it_needs(data):
    X, y_given, _, _ = data
    few = np.array([np.flatnonzero(y_given == k)[0] for k in range(3)])
    with pytest.raises(ValueError, match="Need more data"):
        wrapped().fit(X[few], y_given[few])


def test_issues_found_once_are_used_again(data):
    X, y_given, y, _ = data
    clean = wrapped()
    table = clean.find_label_issues(X, y_given)
    ours = find_label_issues(robust(), X, y_given, cv=3)
    assert list(table.columns) == list(ours.columns)
    mask = table["is_label_issue"].to_numpy()
    results = {
        "table": clean.fit(X, y_given, label_issues=table).predict_proba(X),
        "mask": wrapped().fit(X, y_given, label_issues=mask).predict_proba(X),
        "indices": wrapped()
        .fit(X, y_given, label_issues=np.flatnonzero(mask))
        .predict_proba(X),
    }
    np.testing.assert_array_equal(results["mask"], results["indices"])
    # The table also weights the classes by the noise that was estimated.
    assert np.abs(results["table"] - results["mask"]).max() < 0.2
    with_ours = wrapped().fit(X, y_given, label_issues=ours)
    assert with_ours.score(X, y) > 0.9


def test_probabilities_of_ours_given_to_clean_learning(data):
    X, y_given, y, wrong = data
    p = cross_val_predict(robust(), X, y_given, cv=3, method="predict_proba")
    clean = wrapped()
    table = clean.find_label_issues(labels=y_given, pred_probs=p)
    assert f1_score(wrong, table["is_label_issue"]) > 0.7
    with pytest.warns(UserWarning, match="the former may be ignored"):
        clean.fit(X, y_given, pred_probs=p)
    assert clean.score(X, y) > 0.9
    clean.save_space()
    assert clean.label_issues_df is None
    assert clean.score(X, y) > 0.9


def test_a_second_fit_starts_anew(data):
    X, y_given, _, _ = data
    clean = wrapped().fit(X, y_given)
    first = clean.predict_proba(X)
    clean.fit(X, y_given)
    np.testing.assert_array_equal(clean.predict_proba(X), first)


@pytest.mark.parametrize("source", ["true", "learned", "estimated"])
def test_our_noise_matrix_in_clean_learning(data, source):
    X, _, y, _ = data
    Q = make_noise_matrix(3, 0.25, "pair")
    y_given = corrupt_labels(y, Q, random_state=0)
    if source == "learned":
        Q = adapted(n_folds=5).fit(X, y_given).noise_matrix_
    elif source == "estimated":
        is_clean = np.arange(len(y)) % 3 == 0
        labels = np.where(is_clean, y, y_given)
        estimator = NoiseMatrixEstimator(robust(), random_state=0)
        Q = estimator.fit(X, labels, is_clean=is_clean).noise_matrix_
    clean = wrapped().fit(X, y_given, noise_matrix=Q)
    np.testing.assert_allclose(clean.noise_matrix, Q)
    kept = ~clean.get_label_issues()["is_label_issue"].to_numpy()
    assert (y_given == y)[kept].mean() > (y_given == y).mean() + 0.1


def test_search_over_clean_learning_and_the_net_inside(data):
    X, y_given, y, _ = data
    grid = {
        "clf__loss": ["cross_entropy", "mean_absolute_error"],
        "find_label_issues_kwargs": [
            {"filter_by": "both"},
            {"filter_by": "confident_learning"},
        ],
    }
    search = GridSearchCV(wrapped(), grid, cv=2, error_score="raise").fit(X, y_given)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.clf.loss == search.best_params_["clf__loss"]
    assert search.best_estimator_.score(X, y) > 0.8
