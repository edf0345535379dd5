"""Folds of the clean rows."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklearn_noisy import NoiseAdaptedClassifier
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.model_selection import CleanRowsKFold


@pytest.fixture(scope="module")
def mixed_digits(noisy_digits):
    X, y_given, y, _ = noisy_digits
    is_clean = np.random.RandomState(0).rand(len(y)) < 0.1
    return X, np.where(is_clean, y, y_given), is_clean


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_clean_row_is_tested_once_and_no_noisy_one(mixed_digits, shuffle):
    X, y, is_clean = mixed_digits
    cv = CleanRowsKFold(4, shuffle=shuffle, random_state=0 if shuffle else None)
    splits = list(cv.split(X, y, is_clean=is_clean))
    tested = np.concatenate([test for _, test in splits])
    assert np.array_equal(np.sort(tested), np.flatnonzero(is_clean))
    for train, test in splits:
        together = np.sort(np.concatenate([train, test]))
        assert np.array_equal(together, np.arange(len(y)))
        counts = np.bincount(y[test], minlength=10)
        in_all = np.bincount(y[is_clean], minlength=10)
        assert (np.abs(counts - in_all / 4) < 2).all()
    assert cv.get_n_splits() == len(splits) == 4


def test_order_is_that_of_the_rows_or_of_the_seed(mixed_digits):
    X, y, is_clean = mixed_digits

    def first(cv):
        return next(iter(cv.split(X, y, is_clean=is_clean)))[1].tolist()

    assert first(CleanRowsKFold()) == first(CleanRowsKFold())
    shuffled = [CleanRowsKFold(shuffle=True, random_state=k) for k in (0, 0, 1)]
    assert first(shuffled[0]) == first(shuffled[1])
    assert first(shuffled[0]) != first(shuffled[2])
    assert first(shuffled[0]) != first(CleanRowsKFold())


def test_a_class_with_fewer_clean_rows_than_folds():
    y = np.array([0] * 10 + [1] * 3)
    is_clean = np.ones(13, dtype=bool)
    tests = [t for _, t in CleanRowsKFold(5).split(y, y, is_clean=is_clean)]
    assert sorted(map(len, tests)) == [2, 2, 3, 3, 3]
    assert sum((y[test] == 1).any() for test in tests) == 3


@pytest.mark.parametrize(
    ("cv", "arguments", "message"),
    [
        (CleanRowsKFold(), {}, "CleanRowsKFold needs is_clean"),
        (CleanRowsKFold(1), {}, "n_splits must be an integer >= 2, got 1"),
        (CleanRowsKFold(), {"is_clean": [True] * 3}, "boolean mask of shape"),
        (CleanRowsKFold(), {"is_clean": [False] * 10}, "marks no row as clean"),
        (
            CleanRowsKFold(),
            {"is_clean": [True] * 4 + [False] * 6},
            "more than the 4 rows",
        ),
    ],
)
def test_bad_arguments(cv, arguments, message):
    with pytest.raises(ValueError, match=message):
        next(cv.split(np.zeros((10, 1)), **arguments))


def test_in_a_search_by_metadata_and_by_splits(mixed_digits):
    X, y, is_clean = mixed_digits
    clf = NoiseAdaptedClassifier(noise_model="top_down", max_epochs=2, random_state=0)
    grid = {"gamma": [0.0, 1.0]}
    splits = CleanRowsKFold(3).split(X, y, is_clean=is_clean)
    by_splits = GridSearchCV(clone(clf), grid, cv=splits, refit=False).fit(
        X, y, is_clean=is_clean
    )
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(is_clean=True)
        by_metadata = GridSearchCV(clf, grid, cv=CleanRowsKFold(3), refit=False).fit(
            X, y, is_clean=is_clean
        )
        scores = by_metadata.cv_results_["mean_test_score"]
        assert np.array_equal(scores, by_splits.cv_results_["mean_test_score"])
        # 1,600 noisy rows teach more in two epochs than 120 clean ones.
        assert scores[1] > scores[0] + 0.1
        pipeline = make_pipeline(MinMaxScaler(), clf)
        search = GridSearchCV(
            pipeline,
            {"noiseadaptedclassifier__alpha": [0.5]},
            cv=CleanRowsKFold(2),
            refit=False,
        ).fit(X, y, is_clean=is_clean)
        assert search.best_score_ > 0.5


def test_scores_are_about_true_labels(noisy_digits):
    # Labels wrong in half of the rows: nobody agrees with more than about half of
    # them, but with nearly all of the clean ones.
    X, _, y, _ = noisy_digits
    is_clean = np.arange(len(y)) % 5 == 0
    y_mixed = np.where(is_clean, y, corrupt_labels(y, noise_rate=0.5, random_state=0))
    clf = NoiseAdaptedClassifier(noise_model="top_down", max_epochs=8, random_state=0)
    splits = CleanRowsKFold(2).split(X, y_mixed, is_clean=is_clean)
    search = GridSearchCV(clf, {"gamma": [0.3]}, cv=splits, refit=False)
    assert search.fit(X, y_mixed, is_clean=is_clean).best_score_ > 0.8


def test_rows_are_counted_by_what_is_given():
    y, is_clean = np.array([0, 1] * 4), np.arange(8) < 4
    expected = [*CleanRowsKFold(2).split(np.zeros((8, 1)), y, is_clean=is_clean)]
    for arguments in ((None, y), (None,), (y, y)):
        folds = [*CleanRowsKFold(2).split(*arguments, is_clean=is_clean)]
        assert sum(len(test) for _, test in folds) == 4
        if len(arguments) == 2:
            for fold, other in zip(folds, expected, strict=True):
                np.testing.assert_array_equal(fold[1], other[1])
    with pytest.raises(ValueError, match="y must have a label for each of the 8 rows"):
        next(CleanRowsKFold(2).split(np.zeros((8, 1)), y[:3], is_clean=is_clean))
