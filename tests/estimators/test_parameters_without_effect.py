"""Parameters that were set and have no effect: one warning names them all."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
)
from sklearn_noisy.exceptions import IneffectiveParameterWarning
from sklearn_noisy.noise import estimate_noise_matrix

Q = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
SMALL = {"max_epochs": 1, "module__hidden_layer_sizes": (4,), "random_state": 0}
TOP_DOWN = {"noise_model": "top_down"}
KNOWN = {"noise_matrix": Q}


@pytest.fixture(scope="module")
def rows(iris):
    X, y = iris
    return X, y, np.arange(len(y)) % 3 == 0


def adapted(**params):
    return NoiseAdaptedClassifier(**SMALL | {"n_rounds": 0} | params)


def robust(**params):
    return RobustLossClassifier(**SMALL | {"loss": "cross_entropy"} | params)


def named(fit, *args, **kwargs):
    """Names of the parameters in the warnings of a call, one set for each warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*args, **kwargs)
    found = [w for w in caught if w.category is IneffectiveParameterWarning]
    texts = [str(w.message).split("effect: ")[1].split("; ") for w in found]
    return [{part.partition("=")[0] for part in text} for text in texts]


WITHOUT_EFFECT = [
    (adapted(alpha=0.9), {"alpha"}),
    (adapted(**KNOWN, alpha=0.9), {"alpha"}),
    (adapted(noise_model="backward", **KNOWN, alpha=0.9), {"alpha"}),
    (adapted(**TOP_DOWN, **KNOWN), {"noise_matrix"}),
    (adapted(**TOP_DOWN, refine=True), {"refine"}),
    (adapted(**TOP_DOWN, n_rounds=2), {"n_rounds"}),
    (adapted(noise_model="backward", **KNOWN, n_rounds=2), {"n_rounds"}),
    (adapted(**TOP_DOWN, n_folds=2, warm_up=1), {"n_folds", "warm_up"}),
    (adapted(**TOP_DOWN, noise_init="identity"), {"noise_init"}),
    (adapted(**TOP_DOWN, regularizer="trace"), {"regularizer"}),
    (adapted(refine=True), {"refine"}),
    (adapted(noise_decay=0.1, noise_lr=0.1), {"noise_decay", "noise_lr"}),
    (
        adapted(**KNOWN, regularizer="trace", noise_decay=0.1),
        {"regularizer", "noise_decay"},
    ),
    (adapted(**KNOWN, noise_init=Q), {"noise_init"}),
    (adapted(**KNOWN, refine=True, noise_init=Q), {"noise_init"}),
    (adapted(**KNOWN, n_folds=2, warm_up=1), {"n_folds", "warm_up"}),
    (adapted(**KNOWN, refine=True, warm_up=1), {"warm_up"}),
    (adapted(**KNOWN, refine=True, regularizer="trace", n_folds=2), {"n_folds"}),
    (adapted(noise_init="identity", warm_up=1), {"warm_up"}),
    (adapted(noise_init="identity", regularizer="trace", n_folds=2), {"n_folds"}),
    (adapted(gamma=0.5), {"gamma"}),
    (adapted(**TOP_DOWN, gamma=0.5, alpha=1.0, n_folds=2), {"gamma", "n_folds"}),
    (
        adapted(n_iter_no_change=3, validation_fraction=0.2, early_stopping=False),
        {"n_iter_no_change", "validation_fraction"},
    ),
    (robust(gamma=0.5, c=0.1), {"gamma", "c"}),
    (robust(loss="focal", gamma=0.5, c=0.1), {"c"}),
    (robust(loss="clipped", gamma=0.5, c=0.1), {"gamma"}),
    (robust(loss=torch.nn.CrossEntropyLoss(reduction="none"), c=0.1), {"c"}),
    (
        robust(n_iter_no_change=3, validation_fraction=0.2, early_stopping=np.False_),
        {"n_iter_no_change", "validation_fraction"},
    ),
    (robust(loss="focal", gamma=1.0, callbacks="disable"), {"loss", "gamma"}),
    (robust(callbacks="disable", delay=3), {"delay"}),
]


@pytest.mark.parametrize(("clf", "expected"), WITHOUT_EFFECT)
def test_one_warning_names_them_all(rows, clf, expected):
    X, y, _ = rows
    assert named(clf.fit, X, y) == [expected]


WITH_EFFECT = [
    adapted(n_rounds=1, warm_up=1, n_folds=2, noise_init="count"),
    adapted(noise_init="identity", n_folds=2),
    adapted(noise_init=Q, regularizer="trace", noise_decay=0.1, noise_lr=0.1),
    adapted(regularizer="trace", n_folds=2, warm_up=1),
    adapted(noise_init=Q, regularizer="trace", warm_up=1),
    adapted(**KNOWN, refine=True, n_folds=2),
    adapted(**KNOWN, refine=True, regularizer="trace", noise_decay=0.1, warm_up=1),
    adapted(**TOP_DOWN, alpha=0.3, lr_schedule="constant", n_iter_no_change=3),
    adapted(noise_model="backward", **KNOWN),
    # The confident joint counts, since no row is marked as clean.
    adapted(noise_matrix="estimate", n_folds=2, warm_up=1),
    robust(loss="focal", gamma=0.5, delay=1, n_iter_no_change=3),
    robust(loss="clipped", c=0.1, delay=1, validation_fraction=0.2),
    robust(callbacks="disable"),
]


@pytest.mark.parametrize("clf", WITH_EFFECT)
def test_no_warning_where_they_have_one(rows, clf):
    X, y, _ = rows
    assert named(clf.fit, X, y) == []


def test_the_weight_of_noisy_rows_needs_other_rows(rows):
    X, y, is_clean = rows
    clf = adapted(**KNOWN, gamma=0.5)
    assert named(clf.fit, X, y, is_clean=is_clean) == []
    assert named(clf.fit, X, y, is_clean=np.ones(len(y), bool)) == [{"gamma"}]
    weight = np.where(is_clean, 0.0, 1.0)  # the clean rows count as absent
    assert named(clf.fit, X, y, weight, is_clean=is_clean) == [{"gamma"}]
    outside = adapted(**TOP_DOWN, gamma=0.5, outside_label=2)
    assert named(outside.fit, X, y) == []


def test_the_default_estimator_of_the_matrix_does_not_warn_again(rows):
    X, y, is_clean = rows
    clf = adapted(noise_matrix="estimate", n_iter_no_change=3)
    assert named(clf.fit, X, y, is_clean=is_clean) == []
    clf = adapted(
        noise_matrix="estimate",
        n_folds=2,
        warm_up=1,
        early_stopping=False,
        validation_fraction=0.2,
    )
    assert named(clf.fit, X, y, is_clean=is_clean) == [
        {"n_folds", "warm_up", "validation_fraction"}
    ]


def test_the_message_says_what_is_needed_and_points_at_the_call(rows):
    X, y, _ = rows
    text = (
        "^NoiseAdaptedClassifier has parameters without an effect: alpha=0.9 needs "
        "noise_model='top_down'; noise_init=an array of shape \\(3, 3\\) needs "
        "noise_matrix='learn'. Leave them at their defaults"
    )
    clf = adapted(alpha=0.9, noise_init=Q, **KNOWN)
    for call in (clf.fit, lambda X, y: clone(clf).partial_fit(X, y, [0, 1, 2])):
        with pytest.warns(IneffectiveParameterWarning, match=text) as caught:
            call(X, y)
        assert caught[0].filename == __file__


def test_a_net_that_continues_does_not_warn_again(rows):
    X, y, is_clean = rows
    clf = adapted(**KNOWN, alpha=0.9, gamma=0.5)
    # The rows of one call do not tell whether there are clean ones in another.
    assert named(clf.partial_fit, X, y, classes=[0, 1, 2]) == [{"alpha"}]
    assert named(clf.partial_fit, X, y) == []
    warm = adapted(**KNOWN, alpha=0.9, warm_start=True)
    assert named(warm.fit, X, y) == [{"alpha"}]
    assert named(warm.fit, X, y) == []
    warm.set_params(gamma=0.5)
    assert named(warm.fit, X, y) == [{"gamma"}]
    assert named(warm.fit, X, y, is_clean=is_clean) == []
    assert named(clone(warm).fit, X, y) == [{"alpha", "gamma"}]
    learned = adapted(n_folds=2, warm_up=1, noise_init="count")
    assert named(learned.fit, X, y) == []
    learned.set_params(noise_matrix=learned.noise_matrix_)
    assert named(learned.partial_fit, X, y) == []


def test_half_of_a_grid_that_is_repeated(rows):
    X, y, _ = rows
    grid = {"noise_model": ["bottom_up", "top_down"], "alpha": [0.1, 0.9]}
    search = GridSearchCV(adapted(), grid, cv=2, refit=False)
    assert named(search.fit, X, y) == [{"alpha"}] * 4
    search = GridSearchCV(robust(), {"c": [0.1, 0.2]}, cv=2, refit=False)
    assert named(search.fit, X, y) == [{"c"}] * 4


def test_as_an_error_it_leaves_the_estimator_as_it_was(rows):
    X, y, _ = rows
    clf = adapted(**KNOWN).fit(X, y)
    clf.set_params(alpha=0.9, random_state=np.random.RandomState(0))
    before = pickle.dumps(clf.__dict__["random_state"].get_state())
    weights = [w.clone() for w in clf.module_.parameters()]
    with pytest.raises(IneffectiveParameterWarning, match="alpha"):
        clf.fit(X, y)
    assert pickle.dumps(clf.random_state.get_state()) == before
    assert all(map(torch.equal, weights, clf.module_.parameters()))


class Inverse(NoiseMatrixEstimator):
    """Has another default, and lacks most parameters."""

    def __init__(self, estimator=None, penalty="relaxed"):
        super().__init__(estimator, method="inverse", l1_penalty=0.1, penalty=penalty)


def test_a_subclass_has_defaults_of_its_own(rows):
    X, y, is_clean = rows
    clf = robust(lr=0.1)
    assert named(Inverse(clf).fit, X, y, is_clean=is_clean) == []
    changed = Inverse(clf, penalty="literal")
    assert named(changed.fit, X, y, is_clean=is_clean) == [{"penalty"}]


@pytest.mark.parametrize(
    ("params", "marked", "expected"),
    [
        ({"method": "inverse", "l1_penalty": 0.1}, True, {"l1_penalty"}),
        ({"method": "inverse", "solver": "fista"}, True, {"solver"}),
        ({"l1_penalty": 0.1, "l1_penalties": [0.1]}, True, {"l1_penalties"}),
        ({"penalty": "literal", "l1_penalty": 0.1}, True, {"l1_penalty"}),
        (
            {"shrinkage": 0.1, "n_bootstrap": 9, "allowed": Q > 0},
            False,
            {"shrinkage", "n_bootstrap", "allowed"},
        ),
        ({"method": "confident_joint", "penalty": "relaxed"}, True, {"penalty"}),
    ],
)
def test_the_estimator_of_the_matrix(rows, params, marked, expected):
    X, y, is_clean = rows
    fit = NoiseMatrixEstimator(robust(lr=0.1), cv=2, **params).fit
    assert named(fit, X, y, is_clean=is_clean if marked else None) == [expected]


def test_the_function_of_predictions():
    y = np.arange(60) % 3
    known = {"method": "inverse", "l1_penalties": [0.1]}
    assert named(estimate_noise_matrix, y, y, y, y, **known) == [{"l1_penalties"}]
    assert named(estimate_noise_matrix, y, y, y, y, method="inverse") == []
