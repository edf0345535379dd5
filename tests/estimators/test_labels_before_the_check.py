"""The labels that clean rows had before they were checked: `y_given`."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_noisy import NoiseAdaptedClassifier
from sklearn_noisy._matrix_sources.learned import FoldNets, FoldSettings
from sklearn_noisy._rows.rows import Rows, TrainingData
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.metrics import noise_matrix_error

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{NoiseModelWarning.__module__}.{NoiseModelWarning.__name__}"
)

FOLDS = {"n_folds": 2, "warm_up": 4}
Q = make_noise_matrix(4, 0.4, "random", random_state=3)


@pytest.fixture(scope="module")
def rows():
    """Rows, true where checked and given elsewhere, the mask, the given labels."""
    X, y = make_blobs(400, centers=4, cluster_std=2.5, random_state=0)
    given = corrupt_labels(y, Q, random_state=1)
    is_clean = np.random.RandomState(2).rand(len(y)) < 0.4
    return X, np.where(is_clean, y, given), is_clean, given


def classifier(**params):
    defaults = {"n_rounds": 0, "max_epochs": 8}
    size = {"module__hidden_layer_sizes": (16,), "random_state": 0}
    return NoiseAdaptedClassifier(**{**defaults, **size, **params})


@pytest.mark.parametrize(
    "params",
    [
        FOLDS,
        {**FOLDS, "n_folds": 1},
        {"noise_matrix": "estimate", "early_stopping": False},
        {**FOLDS, "regularizer": "trace", "noise_lr": 1e-6},
    ],
    ids=["learn", "count", "estimate", "gradient"],
)
def test_they_reduce_the_error_of_the_matrix(rows, params):
    X, y, is_clean, given = rows
    clf = classifier(**params)
    errors = [
        noise_matrix_error(
            clf.fit(X, y, is_clean=is_clean, y_given=labels).noise_matrix_, Q
        )
        for labels in (None, given)
    ]
    assert errors[1] < 0.8 * errors[0]


def test_a_known_matrix_does_not_need_them(rows):
    X, y, is_clean, given = rows
    clf = classifier(noise_matrix=Q, max_epochs=2)
    plain = clf.fit(X, y, is_clean=is_clean).predict_proba(X)
    clf.fit(X, y, is_clean=is_clean, y_given=given)
    np.testing.assert_array_equal(clf.predict_proba(X), plain)


def test_only_labels_of_clean_rows_are_read(rows):
    """Neither those of noisy, outside and weightless rows."""
    X, y, is_clean, given = rows
    y, given = y.copy(), given.copy()
    y[:20] = -1
    weight = np.ones(len(y))
    weight[20:40] = 0
    clf = classifier(**FOLDS, outside_label=-1, max_epochs=2)
    found = []
    for label in (0, 99):
        given[:40] = given[~is_clean] = label
        clf.fit(X, y, weight, is_clean=is_clean, y_given=given)
        found.append(clf.noise_matrix_)
    np.testing.assert_array_equal(*found)


def test_a_checked_row_counts_as_its_two_labels():
    """With certain predictions, the evidence is the counts."""
    y = np.array([0, 0, 1, 1, 0, 1])
    n = len(y)
    data = TrainingData(
        rows=Rows(np.zeros((n, 1))),
        y=y,
        targets=y,
        weight=np.ones(n),
        sample_weight=np.array([1, 1, 1, 1, 2, 3.0]),
        classes=np.arange(2),
        is_clean=np.arange(n) >= 3,
        is_noisy=np.arange(n) < 3,
        kept=np.ones(n, dtype=bool),
        y_given=np.array([-1, -1, -1, 0, 0, -1]),
    )
    nets = FoldNets(data, FoldSettings(1, "auto", 1, False, 0), trainer=None)
    logits, given, weight = nets.evidence(np.zeros((3, 2)))
    assert given.tolist() == [0, 0, 1, 0, 0]
    assert weight.tolist() == [1, 1, 1, 1, 2]
    assert logits.argmax(axis=1).tolist() == [0, 0, 0, 1, 0]
    assert np.exp(0.1 * logits[3, 0]) == 0


def test_bad_labels_name_the_argument(rows):
    X, y, is_clean, given = rows
    clf = classifier(**FOLDS, max_epochs=1)
    with pytest.raises(ValueError, match="y_given is only used .* needs is_clean"):
        clf.fit(X, y, y_given=given)
    with pytest.raises(ValueError, match=r"y_given must have shape \(400,\)"):
        clf.fit(X, y, is_clean=is_clean, y_given=given[:-1])
    with pytest.raises(ValueError, match=r"y_given holds labels .*\[9\]"):
        clf.fit(X, y, is_clean=is_clean, y_given=np.where(is_clean, 9, given))
    assert not hasattr(clf, "classes_")


def test_they_are_metadata(rows):
    X, y, is_clean, given = rows
    plain = classifier(**FOLDS, max_epochs=2)
    with config_context(enable_metadata_routing=True):
        clf = clone(plain).set_fit_request(is_clean=True, y_given=True)
        pipe = Pipeline([("scale", StandardScaler()), ("clf", clf)])
        pipe.fit(X, y, is_clean=is_clean, y_given=given)
    scaled = StandardScaler().fit_transform(X)
    plain.fit(scaled, y, is_clean=is_clean, y_given=given)
    np.testing.assert_array_equal(pipe["clf"].noise_matrix_, plain.noise_matrix_)
