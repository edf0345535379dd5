"""With verbose=1, progress is shown from the start of whatever trains."""

import contextlib
import io
import sys

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from torch import nn

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    find_label_issues,
)


class Seen:
    """What stderr holds when something trains for the first time."""

    first = None

    @classmethod
    def note(cls):
        if cls.first is None:
            cls.first = sys.stderr.getvalue()


class Linear(nn.Linear):
    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)

    def forward(self, X):
        if self.training:
            Seen.note()
        return super().forward(X)


class Bayes(GaussianNB):
    def fit(self, X, y):
        Seen.note()
        return super().fit(X, y)


def shown(call):
    """Stderr before anything trained, and at the end."""
    Seen.first = None
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
        call()
    return Seen.first, stderr.getvalue()


def noise_adapted(**params):
    params = {"max_epochs": 2, "n_rounds": 0, "random_state": 0} | params
    return NoiseAdaptedClassifier(Linear, **params)


IS_CLEAN = np.arange(150) % 2 == 0
FITS = {
    "learn": ({"n_folds": 2}, False, "epochs of the warm-up"),
    "stops early": (
        {"n_folds": 2, "lr_schedule": "constant", "max_epochs": 9},
        False,
        "epochs of the warm-up",
    ),
    "confident joint": ({"noise_matrix": "estimate"}, False, "epochs of the warm-up"),
    "estimate": ({"noise_matrix": "estimate"}, True, "folds"),
    "estimator": ({"noise_matrix": NoiseMatrixEstimator(Bayes())}, True, "folds"),
}


@pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning")
@pytest.mark.parametrize("name", FITS)
def test_a_fit_shows_from_the_start_what_it_does(iris, name):
    X, y = iris
    params, has_clean, what = FITS[name]
    is_clean = IS_CLEAN if has_clean else None
    clf = noise_adapted(verbose=1, **params)
    first, shown_at_last = shown(lambda: clf.fit(X, y, is_clean=is_clean))
    assert f"{what}:   0%" in first
    assert f"{what}: 100%" in shown_at_last
    clf.set_params(verbose=0)
    assert shown(lambda: clf.fit(X, y, is_clean=is_clean)) == ("", "")


def test_folds_are_shown_before_the_first_one_ends(iris):
    X, y = iris
    first, last = shown(lambda: find_label_issues(Bayes(), X, y, cv=2, verbose=1))
    assert "folds:   0%" in first
    assert "folds: 100%" in last
    for params in ({}, {"is_clean": IS_CLEAN}):
        estimator = NoiseMatrixEstimator(Bayes(), cv=2, verbose=1)
        first, last = shown(lambda e=estimator, p=params: e.fit(X, y, **p))
        assert "folds:   0%" in first
        assert "folds: 100%" in last
