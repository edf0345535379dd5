"""NoiseMatrixEstimator."""

import numpy as np
import pandas as pd
import pytest
from cleanlab.classification import CleanLearning
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_noisy import NoiseMatrixEstimator, RobustLossClassifier, find_label_issues
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix

Q = make_noise_matrix(3, 0.4, "pair")


@pytest.fixture(scope="module")
def blobs():
    """Rows, true labels, given labels (strings), which are clean."""
    rng = np.random.RandomState(0)
    n = 6000
    codes = rng.randint(3, size=n)
    X = 2.5 * np.eye(3)[codes] + rng.randn(n, 3)
    y = np.array(["ash", "elm", "oak"])[codes]
    y_given = corrupt_labels(y, Q, random_state=1)
    is_clean = rng.rand(n) < 0.05
    return X, y, np.where(is_clean, y, y_given), y_given, is_clean


def error(estimator):
    return np.abs(estimator.noise_matrix_ - Q).sum() / 3


@pytest.fixture(scope="module")
def fitted(blobs):
    X, _, y_mixed, _, is_clean = blobs
    return NoiseMatrixEstimator(GaussianNB(), random_state=0).fit(
        X, y_mixed, is_clean=is_clean
    )


def test_what_is_fitted(fitted, blobs):
    X, _, y_mixed, _, is_clean = blobs
    assert list(fitted.classes_) == ["ash", "elm", "oak"]
    assert error(fitted) < 0.1
    assert fitted.n_features_in_ == 3
    Q_hat, R = fitted.noise_matrix_, fitted.inverse_noise_matrix_
    np.testing.assert_allclose(Q_hat.sum(axis=0), 1)
    np.testing.assert_allclose(R.sum(axis=0), 1)
    joint = Q_hat * fitted.clean_prior_
    np.testing.assert_allclose(joint, (R * fitted.noisy_prior_).T, atol=1e-12)
    given = pd.Series(y_mixed[~is_clean]).value_counts(normalize=True)
    np.testing.assert_allclose(fitted.noisy_prior_, given.sort_index())
    residual = fitted.confusion_clean_ @ R - fitted.confusion_noisy_
    assert np.abs(residual).max() < 0.05
    assert fitted.condition_number_ == np.linalg.cond(fitted.confusion_clean_)
    assert not hasattr(fitted, "interval_")
    again = clone(fitted).fit(X, y_mixed, is_clean=is_clean)
    np.testing.assert_array_equal(again.noise_matrix_, fitted.noise_matrix_)


@pytest.mark.parametrize(
    "params",
    [
        {"method": "inverse"},
        {"method": "inverse", "shrinkage": 0},
        {"l1_penalty": 0.01},
        {"l1_penalty": "cv", "l1_penalties": [0.0, 0.001]},
        {"penalty": "relaxed"},
        {"penalty": "literal"},
        {"solver": "cvxpy", "l1_penalty": 0.001},
        {"constraints": lambda R: [R[0, 0] >= 0.1], "l1_penalty": 0.001},
        {"cv": StratifiedKFold(3, shuffle=True, random_state=0)},
        {"allowed": Q > 0},
    ],
)
def test_every_way_finds_the_matrix(blobs, params):
    X, _, y_mixed, _, is_clean = blobs
    estimator = NoiseMatrixEstimator(GaussianNB(), random_state=0, **params)
    estimator.fit(X, y_mixed, is_clean=is_clean)
    assert error(estimator) < 0.12
    if "allowed" in params:
        assert (estimator.noise_matrix_[Q == 0] == 0).all()


def test_no_model_measures_what_it_trained_on(blobs):
    """A classifier that knows its rows by heart finds clean confusions perfect."""
    X, _, y_mixed, _, is_clean = blobs
    estimator = NoiseMatrixEstimator(
        KNeighborsClassifier(1), shrinkage=0, random_state=0
    ).fit(X, y_mixed, is_clean=is_clean)
    assert np.diag(estimator.confusion_clean_).max() < 0.95


def test_l1_with_clean_rows_and_the_confident_joint_without(blobs):
    X, _, y_mixed, y_given, is_clean = blobs
    estimator = NoiseMatrixEstimator(GaussianNB()).fit(X, y_given)
    joint = NoiseMatrixEstimator(GaussianNB(), method="confident_joint")
    np.testing.assert_array_equal(
        joint.fit(X, y_given).noise_matrix_, estimator.noise_matrix_
    )
    assert not hasattr(estimator, "confusion_clean_")
    with_clean = NoiseMatrixEstimator(GaussianNB(), random_state=0)
    with_clean.fit(X, y_mixed, is_clean=is_clean)
    assert error(with_clean) < error(estimator) / 2
    # What does not apply any more is gone.
    assert not hasattr(with_clean.fit(X, y_given), "condition_number_")


def test_labels_that_the_clean_rows_had_before(blobs, fitted):
    X, _, y_mixed, y_given, is_clean = blobs
    params = {"random_state": 0, "n_bootstrap": 50}
    without = NoiseMatrixEstimator(GaussianNB(), **params)
    without.fit(X, y_mixed, is_clean=is_clean)
    both = clone(without).fit(X, y_mixed, is_clean=is_clean, y_given=y_given)
    low, high = without.interval_
    assert ((low <= Q) & (high >= Q)).mean() > 0.7
    assert (both.interval_[1] - both.interval_[0]).mean() < (high - low).mean()
    assert error(both) < 0.1
    np.testing.assert_array_equal(without.noise_matrix_, fitted.noise_matrix_)


def test_weights_reach_the_classifier_and_the_confusions(blobs):
    X, _, y_mixed, _, is_clean = blobs
    weight = np.ones(len(X))
    weight[:3000] = 0
    weighted = NoiseMatrixEstimator(GaussianNB(), random_state=0)
    weighted.fit(X, y_mixed, sample_weight=weight, is_clean=is_clean)
    rows = (weight > 0) & ~is_clean
    given = pd.Series(y_mixed[rows]).value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(weighted.noisy_prior_, given)
    assert error(weighted) < 0.15
    neighbours = NoiseMatrixEstimator(KNeighborsClassifier())
    with pytest.raises(TypeError, match="sample_weight was given"):
        neighbours.fit(X, y_mixed, sample_weight=weight, is_clean=is_clean)


def test_default_classifier_frames_and_folds_at_the_same_time(blobs):
    X, _, y_mixed, _, is_clean = blobs
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).iloc[:800]
    estimator = NoiseMatrixEstimator(cv=2, n_jobs=2, random_state=0)
    estimator.fit(frame, y_mixed[:800], is_clean=is_clean[:800])
    assert list(estimator.feature_names_in_) == ["a", "b", "c"]
    assert error(estimator) < 0.5


def test_texts_in_a_pipeline():
    rng = np.random.RandomState(0)
    words = {"cat": ["meow", "purr", "paw"], "dog": ["woof", "bark", "paw"]}
    y = np.array(["cat", "dog"] * 300)
    texts = [" ".join(rng.choice(words[label], size=4)) for label in y]
    mixed = np.where(np.arange(600) < 60, y, corrupt_labels(y, noise_rate=0.2))
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    estimator = NoiseMatrixEstimator(pipeline, random_state=0)
    estimator.fit(texts, mixed, is_clean=np.arange(600) < 60)
    assert np.diag(estimator.noise_matrix_).min() > 0.6


def test_the_matrix_goes_on_to_find_label_issues_and_clean_learning(blobs, fitted):
    X, y, _, y_given, _ = blobs
    issues = find_label_issues(
        GaussianNB(), X, y_given, noise_matrix=fitted.noise_matrix_
    )
    assert ((y != y_given) == issues["is_label_issue"]).mean() > 0.8
    codes = np.unique(y_given, return_inverse=True)[1]
    learner = CleanLearning(GaussianNB(), seed=0)
    learner.fit(X, codes, noise_matrix=fitted.noise_matrix_)
    assert (learner.predict(X) == np.unique(y, return_inverse=True)[1]).mean() > 0.8


@pytest.mark.parametrize(
    ("params", "fit_params", "error_type", "message"),
    [
        ({"method": "l1"}, {"is_clean": None}, ValueError, "'l1' needs is_clean"),
        ({"method": "best"}, {}, ValueError, "method must be one of 'auto', 'l1'"),
        ({}, {"is_clean": np.ones(6000, bool)}, ValueError, "marks every row"),
        ({}, {"is_clean": np.zeros(6000, bool)}, ValueError, "marks no row"),
        ({}, {"is_clean": np.ones(3, bool)}, ValueError, r"shape \(6000,\)"),
        ({}, {"is_clean": np.ones(6000)}, ValueError, "dtype float64"),
        ({}, {"is_clean": np.arange(6000) < 2}, ValueError, "2 rows, fewer than the 3"),
        ({}, {"y_given": ["ash"] * 3}, ValueError, "y_given must have shape"),
        ({}, {"y_given": ["fir"] * 6000}, ValueError, r"y_given .*: \['fir'\]"),
        ({"estimator": LinearRegression()}, {}, TypeError, "must be a classifier"),
        ({"estimator": LinearSVC()}, {}, TypeError, "must have predict_proba"),
        ({"estimator": GaussianNB}, {}, TypeError, "must be a classifier"),
        ({"n_bootstrap": -1}, {}, ValueError, "n_bootstrap must be an integer >= 0"),
        ({"allowed": np.eye(2, dtype=bool)}, {}, ValueError, r"shape \(3, 3\)"),
        ({"cv": 1}, {}, ValueError, "cv must be at least 2"),
    ],
)
def test_bad_arguments(blobs, params, fit_params, error_type, message):
    X, _, y_mixed, _, is_clean = blobs
    estimator = NoiseMatrixEstimator(**{"estimator": GaussianNB(), **params})
    with pytest.raises(error_type, match=message):
        estimator.fit(X, y_mixed, **{"is_clean": is_clean, **fit_params})
    assert not hasattr(estimator, "noise_matrix_")


def test_a_class_without_a_clean_row(blobs):
    X, _, y_mixed, _, is_clean = blobs
    mask = is_clean & (y_mixed != "oak")
    with pytest.raises(ValueError, match=r"no row of the classes \['oak'\]"):
        NoiseMatrixEstimator(GaussianNB()).fit(X, y_mixed, is_clean=mask)


def test_a_label_that_only_clean_rows_have(blobs):
    X, _, y_mixed, _, is_clean = blobs
    rows = is_clean | (y_mixed != "oak")
    estimator = NoiseMatrixEstimator(GaussianNB(), random_state=0)
    with pytest.warns(RuntimeWarning, match="No noisy row has the labels"):
        estimator.fit(X[rows], y_mixed[rows], is_clean=is_clean[rows])
    assert (estimator.noise_matrix_[2] == 0).all()
    assert estimator.noisy_prior_[2] == 0


def test_global_generators_are_left_alone(blobs):
    X, _, y_mixed, _, is_clean = blobs
    before = np.random.get_state()[1].copy()
    NoiseMatrixEstimator(
        RobustLossClassifier(max_epochs=20, lr=0.01), cv=2, n_bootstrap=2
    ).fit(X[:500], y_mixed[:500], is_clean=is_clean[:500])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("is_clean", [True, False])
def test_a_row_of_weight_zero_counts_as_absent(blobs, is_clean):
    X, y, y_mixed, _, clean = blobs
    weight = np.ones(len(y))
    weight[:3000] = 0
    y_bad = y_mixed.copy()
    y_bad[:3000] = "oak"
    a, b = (NoiseMatrixEstimator(GaussianNB(), random_state=0) for _ in range(2))
    given = {"is_clean": clean} if is_clean else {}
    rest = {name: mask[3000:] for name, mask in given.items()}
    b.fit(X[3000:], y_mixed[3000:], **rest)
    # Folds are others, and the estimates nearly the same.
    a.fit(X, y_bad, weight, **given)
    np.testing.assert_allclose(a.noise_matrix_, b.noise_matrix_, atol=0.01)
    a.fit(X, y_bad, **given)
    assert np.abs(a.noise_matrix_ - b.noise_matrix_).max() > 0.1
    if is_clean:
        with pytest.raises(ValueError, match=r"no row of the classes \['oak'\]"):
            a.fit(X, y_mixed, (y_mixed != "oak") | ~clean, is_clean=clean)
        with pytest.raises(ValueError, match="marks every row as clean"):
            a.fit(X, y_mixed, clean.astype(float), is_clean=clean)


def test_one_clean_row_of_one_of_two_classes(blobs):
    X, _, y_mixed, _, clean = blobs
    two = y_mixed != "oak"
    few = clean & (y_mixed == "ash")
    few[np.flatnonzero(clean & (y_mixed == "elm"))[0]] = True
    with pytest.raises(ValueError, match="a single row of the class 'elm'"):
        NoiseMatrixEstimator(GaussianNB()).fit(X[two], y_mixed[two], is_clean=few[two])


def test_what_is_no_estimator_is_told(iris):
    X, y = iris
    for other in ("logistic", 3, LogisticRegression):
        with pytest.raises(TypeError, match="estimator must be a classifier; got"):
            NoiseMatrixEstimator(other).fit(X, y)


@pytest.mark.parametrize("has_clean_rows", [False, True])
def test_a_fitted_model_of_more_classes_is_refused(iris, has_clean_rows):
    X, y = iris
    model = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, y))
    few = y > 0
    is_clean = np.arange(few.sum()) % 2 == 0 if has_clean_rows else None
    with pytest.raises(ValueError, match=r"classes that are not among \[1, 2\]: \[0\]"):
        NoiseMatrixEstimator(model).fit(X[few], y[few], is_clean=is_clean)
