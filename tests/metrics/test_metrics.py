"""Scores that allow for wrong labels, proved by simulation and by identities."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.metrics import (
    label_error_report,
    make_noise_corrected_scorer,
    noise_corrected_accuracy_score,
    noise_corrected_log_loss,
    noise_matrix_error,
)

N_DRAWS = 400


@pytest.fixture(scope="module")
def predictions():
    """True labels of three classes of different sizes, and predictions of them."""
    rng = np.random.RandomState(0)
    y = rng.choice(3, size=500, p=[0.6, 0.3, 0.1])
    wrong = rng.rand(500) < np.array([0.05, 0.3, 0.6])[y]
    return y, np.where(wrong, rng.randint(3, size=500), y)


ASYMMETRIC = np.array([[0.6, 0.0, 0.1], [0.4, 0.9, 0.2], [0.0, 0.1, 0.7]])


@pytest.mark.parametrize(
    "Q", [make_noise_matrix(3, 0.4), ASYMMETRIC], ids=["symmetric", "asymmetric"]
)
def test_accuracy_is_unbiased_and_its_standard_error_right(predictions, Q):
    y, y_pred = predictions
    true = accuracy_score(y, y_pred)
    scores, errors, plain = [], [], []
    rng = np.random.RandomState(1)
    for _ in range(N_DRAWS):
        y_given = corrupt_labels(y, Q, random_state=rng)
        score, error = noise_corrected_accuracy_score(
            y_given, y_pred, noise_matrix=Q, return_standard_error=True
        )
        scores.append(score)
        errors.append(error)
        plain.append(accuracy_score(y_given, y_pred))
    of_mean = np.std(scores) / np.sqrt(N_DRAWS)
    assert abs(np.mean(scores) - true) < 3 * of_mean
    assert abs(np.mean(plain) - true) > 30 * of_mean
    # The rows are always the same here; other rows would add the binomial part.
    expected = np.sqrt(np.var(scores) + true * (1 - true) / len(y))
    assert np.mean(errors) == pytest.approx(expected, rel=0.1)


def test_without_noise_they_are_the_plain_scores(predictions):
    y, y_pred = predictions
    score, error = noise_corrected_accuracy_score(
        y, y_pred, noise_matrix=np.eye(3), return_standard_error=True
    )
    assert score == pytest.approx(accuracy_score(y, y_pred))
    assert error == pytest.approx(np.std(y == y_pred, ddof=1) / np.sqrt(len(y)))
    p = np.random.RandomState(0).dirichlet(np.ones(3), size=len(y))
    assert noise_corrected_log_loss(y, p, noise_matrix=np.eye(3)) == pytest.approx(
        log_loss(y, p)
    )


def test_symmetric_noise_by_hand(predictions):
    # Agreement a with given labels is a = (1 - ρ) A + ρ (1 - A) / (K - 1).
    y, y_pred = predictions
    y_given = corrupt_labels(y, noise_rate=0.3, random_state=0)
    agreement = accuracy_score(y_given, y_pred)
    by_hand = (agreement - 0.15) / (0.7 - 0.15)
    score = noise_corrected_accuracy_score(
        y_given, y_pred, noise_matrix=make_noise_matrix(3, 0.3)
    )
    assert score == pytest.approx(by_hand)


def test_accuracy_ranks_models_where_agreement_with_given_labels_does_not():
    # 45 % of class 0 are called 1; a model that always says 1 for class 0 agrees
    # nearly as often, and one that errs elsewhere agrees more.
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], [2000, 2000])
    Q = np.array([[0.55, 0.0], [0.45, 1.0]])
    y_given = corrupt_labels(y, Q, random_state=1)
    good = np.where(rng.rand(4000) < 0.1, 1 - y, y)
    imitating = np.where((y == 0) & (rng.rand(4000) < 0.3), 1, y)
    assert accuracy_score(y_given, imitating) > accuracy_score(y_given, good)
    corrected = [
        noise_corrected_accuracy_score(y_given, y_pred, noise_matrix=Q)
        for y_pred in (good, imitating)
    ]
    assert corrected[0] > corrected[1] + 0.02


def test_log_loss_is_proper():
    # Of all probabilities for a row, the true posterior has the lowest mean loss;
    # the mean over given labels is taken exactly, by weights.
    posterior = np.array([0.7, 0.2, 0.1])
    of_given = ASYMMETRIC @ posterior

    def mean_loss(p, Q=ASYMMETRIC):
        return noise_corrected_log_loss(
            [0, 1, 2], np.tile(p, (3, 1)), noise_matrix=Q, sample_weight=of_given
        )

    others = np.random.RandomState(0).dirichlet(np.ones(3), size=200)
    best = mean_loss(posterior)
    assert best == pytest.approx(-(of_given @ np.log(of_given)))
    assert all(mean_loss(p) > best for p in others)
    # Without the matrix, the posterior of the *given* label is best.
    assert mean_loss(of_given, np.eye(3)) < mean_loss(posterior, np.eye(3))


def test_an_impossible_label_costs_much_but_not_infinity():
    loss = noise_corrected_log_loss([0, 1], [[1, 0], [1, 0]], noise_matrix=np.eye(2))
    assert 300 < loss < 400


def test_weights_are_repetitions(predictions):
    y, y_pred = predictions
    weight = np.random.RandomState(0).randint(3, size=len(y))
    often = np.repeat(np.arange(len(y)), weight)
    p = np.random.RandomState(0).dirichlet(np.ones(3), size=len(y))
    for score, of in (
        (noise_corrected_accuracy_score, y_pred),
        (noise_corrected_log_loss, p),
    ):
        weighted = score(y, of, noise_matrix=ASYMMETRIC, sample_weight=weight)
        repeated = score(y[often], of[often], noise_matrix=ASYMMETRIC)
        assert weighted == pytest.approx(repeated)


def test_labels_and_data_frames_say_the_order(predictions):
    y, y_pred = predictions
    names = np.array(["b", "c", "a"])
    y, y_pred = names[y], names[y_pred]
    expected = noise_corrected_accuracy_score(
        y, y_pred, noise_matrix=ASYMMETRIC, labels=names
    )
    frame = pd.DataFrame(ASYMMETRIC, index=names, columns=names)
    shuffled = frame.loc[["a", "b", "c"], ["c", "b", "a"]]
    for matrix in (frame, shuffled):
        score = noise_corrected_accuracy_score(y, y_pred, noise_matrix=matrix)
        assert score == pytest.approx(expected)
    in_alphabetical_order = noise_corrected_accuracy_score(
        y, y_pred, noise_matrix=shuffled.loc[:, ["a", "b", "c"]].to_numpy()
    )
    assert in_alphabetical_order == pytest.approx(expected)
    assert noise_corrected_accuracy_score(
        y, y_pred, noise_matrix=ASYMMETRIC
    ) != pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_matrix": np.full((3, 3), 1 / 3)}, "noise_matrix is singular"),
        ({"noise_matrix": np.eye(4)}, "for 4 classes, but the rows hold 3"),
        ({"noise_matrix": ASYMMETRIC.T}, "give the transpose"),
        ({"labels": [0, 1]}, r"must have shape \(2, 2\)"),
        ({"labels": [0, 1, 1]}, "labels must differ"),
        ({"labels": [0, 1, 3]}, r"not among the classes \[0, 1, 3\]: \[2\]"),
        ({"y_pred": [0, 1]}, "inconsistent numbers"),
        ({"sample_weight": np.full(500, -1.0)}, "sample_weight must not be negative"),
        ({"y_pred": np.full(500, 0.5)}, "Unknown label type"),
    ],
)
def test_bad_arguments_of_the_accuracy(predictions, change, message):
    y, y_pred = predictions
    arguments = {"y_given": y, "y_pred": y_pred, "noise_matrix": ASYMMETRIC} | change
    with pytest.raises(ValueError, match=message):
        noise_corrected_accuracy_score(**arguments)


def test_bad_probabilities():
    for p, message in (
        ([[1.0, 0.0]], "must have shape"),
        ([[1.0, 0.0], [0.7, 0.7]], "row 1 sums to 1.4"),
        ([[1.5, -0.5], [0.5, 0.5]], r"y_proba must lie in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            noise_corrected_log_loss([0, 1], p, noise_matrix=np.eye(2))


def test_a_single_row_has_no_standard_error():
    score, error = noise_corrected_accuracy_score(
        [0], [0], noise_matrix=np.eye(2), labels=[0, 1], return_standard_error=True
    )
    assert score == 1
    assert np.isnan(error)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_scorer_in_a_search(iris, metric):
    X, y = iris
    Q = make_noise_matrix(3, 0.3, "pair")
    y_given = corrupt_labels(y, Q, random_state=0)
    scoring = make_noise_corrected_scorer(Q, metric=metric)
    search = GridSearchCV(
        LogisticRegression(max_iter=1000), {"C": [1e-6, 1.0]}, scoring=scoring, cv=3
    ).fit(X, y_given)
    assert search.best_params_ == {"C": 1.0}
    copied = pickle.loads(pickle.dumps(scoring))
    assert copied(search, X, y_given) == scoring(search, X, y_given)
    if metric == "log_loss":
        p = search.predict_proba(X)
        loss = noise_corrected_log_loss(y_given, p, noise_matrix=Q)
        assert scoring(search, X, y_given) == pytest.approx(-loss)


def test_scorer_takes_weights_as_metadata(iris):
    X, y = iris
    weight = (y > 0).astype(float)
    clf = LogisticRegression(max_iter=1000)
    scoring = make_noise_corrected_scorer(np.eye(3), labels=[0, 1, 2])
    unweighted = cross_val_score(clf, X, y, scoring=scoring).mean()
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            clf.set_fit_request(sample_weight=False),
            X,
            y,
            scoring=scoring.set_score_request(sample_weight=True),
            params={"sample_weight": weight},
        )
    assert scores.mean() < unweighted  # class 0 is the easy one


def test_scorer_refuses_other_metrics():
    with pytest.raises(ValueError, match="metric must be one of 'accuracy', "):
        make_noise_corrected_scorer(np.eye(2), metric="f1")


def test_matrix_error_by_hand_and_with_names():
    Q = make_noise_matrix(4, 0.3)
    assert noise_matrix_error(Q, Q) == 0
    assert noise_matrix_error(np.eye(4), Q) == pytest.approx(0.6)
    assert noise_matrix_error(np.eye(2), np.eye(2)[::-1]) == 2
    frame = pd.DataFrame(ASYMMETRIC, index=list("abc"), columns=list("abc"))
    reordered = frame.loc[list("cab"), list("bca")]
    assert noise_matrix_error(reordered, frame) == 0
    with pytest.raises(ValueError, match="for 3 classes"):
        noise_matrix_error(np.eye(2), np.eye(3))


def test_label_error_report():
    true = np.array([True, True, True, False, False])
    found = np.array([True, False, False, True, False])
    assert label_error_report(true, pd.Series(found)) == pytest.approx(
        {
            "precision": 1 / 2,
            "recall": 1 / 3,
            "f1": 0.4,
            "n_errors": 3,
            "n_found": 2,
            "n_correct": 1,
        }
    )
    nothing = label_error_report(true, np.zeros(5, dtype=bool))
    assert nothing["f1"] == nothing["precision"] == nothing["recall"] == 0
    with pytest.raises(ValueError, match="is_error_found must be a boolean mask"):
        label_error_report(true, [0, 1, 0, 1, 0])
    with pytest.raises(ValueError, match="masks of the same rows; got 5 and 2"):
        label_error_report(true, [True, False])
    sorted_found = pd.Series(found).sort_values()
    with pytest.raises(ValueError, match="must be in the same order"):
        label_error_report(pd.Series(true), sorted_found)
    assert (
        label_error_report(pd.Series(true), sorted_found.sort_index())["n_found"] == 2
    )


def test_log_loss_scorer_of_two_classes_and_of_classes_in_another_order(iris):
    X, y = iris
    clf = LogisticRegression(max_iter=1000)
    two, Q = y < 2, [[0.8, 0.3], [0.2, 0.7]]
    names = np.array(["no", "yes"])[y[two]]
    clf.fit(X[two], names)
    expected = -noise_corrected_log_loss(
        names, clf.predict_proba(X[two]), noise_matrix=Q
    )
    scoring = make_noise_corrected_scorer(Q, metric="log_loss")
    assert scoring(clf, X[two], names) == pytest.approx(expected)
    with pytest.raises(ValueError, match="for 3 classes, but the estimator.* of 2"):
        make_noise_corrected_scorer(np.eye(3), metric="log_loss", labels=[0, 1, 2])(
            clf.fit(X[two], y[two]), X, y
        )

    Q = make_noise_matrix(3, 0.3, "pair")
    y_given = corrupt_labels(y, Q, random_state=0)
    clf.fit(X, y_given)
    frame = pd.DataFrame(Q, index=[0, 1, 2], columns=[0, 1, 2])
    scores = [
        make_noise_corrected_scorer(matrix, metric="log_loss", labels=labels)(
            clf, X, y_given
        )
        for matrix, labels in (
            (frame, None),
            (frame.loc[[2, 0, 1], [2, 0, 1]], None),
            (Q[np.ix_([2, 0, 1], [2, 0, 1])], [2, 0, 1]),
        )
    ]
    assert scores == pytest.approx([scores[0]] * 3)


def test_the_dispatch_of_the_array_api_changes_nothing(predictions, dispatches):
    y, y_pred = predictions
    p = np.random.RandomState(0).dirichlet(np.ones(3), size=len(y))
    weight = np.linspace(0, 1, len(y)).tolist()

    def scores():
        kwargs = {"noise_matrix": ASYMMETRIC.tolist(), "sample_weight": weight}
        return (
            noise_corrected_accuracy_score(y.tolist(), y_pred, **kwargs),
            noise_corrected_log_loss(y.tolist(), p, **kwargs),
            label_error_report([True, False] * 250, y == 1),
            corrupt_labels(y.tolist(), ASYMMETRIC.tolist(), random_state=0).tolist(),
        )

    expected = scores()
    with sklearn.config_context(array_api_dispatch=dispatches):
        assert scores() == expected
