"""Checks of parameters and labels that several modules share."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy._validation import (
    check_partial_fit_classes,
    check_real,
    encode_labels,
    label_codes,
)
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.inspection import LossDisplay
from sklearn_noisy.metrics import noise_corrected_log_loss
from sklearn_noisy.model_selection import CleanRowsKFold
from sklearn_noisy.noise import estimate_noise_matrix


@pytest.mark.parametrize(
    ("value", "limits", "error", "message"),
    [
        (True, {}, TypeError, r"x must be a number in \(-inf, inf\), got True"),
        ("1", {"min_val": 0}, TypeError, r"a number in \[0, inf\), got '1'"),
        (np.nan, {}, ValueError, r"x must be in \(-inf, inf\), got nan"),
        (np.inf, {"min_val": 0}, ValueError, r"in \[0, inf\), got inf"),
        (-1, {"min_val": 0, "max_val": 1}, ValueError, r"in \[0, 1\], got -1"),
        (
            1,
            {"min_val": 0, "max_val": 1, "include_boundaries": "left"},
            ValueError,
            r"in \[0, 1\), got 1",
        ),
        (
            0.0,
            {"min_val": 0, "max_val": 1, "include_boundaries": "right"},
            ValueError,
            r"in \(0, 1\], got 0.0",
        ),
    ],
)
def test_numbers_outside_an_interval(value, limits, error, message):
    with pytest.raises(error, match=message):
        check_real(value, "x", **limits)


def test_numbers_within_an_interval():
    for value in (0, 1, 0.5, np.float32(0.25), np.int64(1)):
        number = check_real(value, "x", min_val=0, max_val=1)
        assert type(number) is float
        assert number == value


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("kind", ["U", "O", "i", "f"])
def test_codes_of_labels(kind, shuffled):
    classes = {
        "U": np.array(["a", "b", "c"]),
        "O": np.array(["a", "b", "c"], dtype=object),
        "i": np.array([-1, 3, 10]),
        "f": np.array([0.5, 1.0, 9.0]),
    }[kind]
    classes = classes[[2, 0, 1]] if shuffled else classes
    expected = np.random.RandomState(0).randint(3, size=50)
    codes = label_codes(classes[expected], classes)
    assert codes.dtype == np.int64
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize(
    ("classes", "y", "unknown"),
    [
        (np.array(["a", "b"]), ["b", "zz", "c"], "['c', 'zz']"),
        (np.array([3, 1]), [1, 5, 3], "[5]"),
        (np.array([1, 2]), ["1", "2"], "['1', '2']"),
    ],
)
def test_labels_outside_the_classes(classes, y, unknown):
    message = f"z holds labels that are not among the classes {classes.tolist()}"
    with pytest.raises(ValueError, match=re.escape(f"{message}: {unknown}.")):
        label_codes(np.array(y), classes, "z")


def test_labels_are_encoded_with_their_classes():
    codes, classes = encode_labels(["b", "a", "b"])
    assert (codes.tolist(), classes.tolist()) == ([1, 0, 1], ["a", "b"])
    assert encode_labels(["b"], np.array(["a", "b"]))[0].tolist() == [1]
    with pytest.raises(ValueError, match="at least two classes .* got one class, 'b'"):
        encode_labels(["b", "b"])


def test_classes_of_partial_fit():
    many = np.arange(100)[::-1]  # one row of each class would look like regression
    np.testing.assert_array_equal(
        check_partial_fit_classes(many, None, None), np.arange(100)
    )
    names = np.array(["b", "a"], dtype=object)
    known = check_partial_fit_classes(names, None, None)
    assert (known.tolist(), known.dtype) == (["a", "b"], object)
    assert check_partial_fit_classes(None, "balanced", known) is known
    assert check_partial_fit_classes(["b", "a", "b"], None, known) is known
    for classes, class_weight, seen, message in (
        (None, None, None, "classes must be given in the first call"),
        ([1], None, None, r"at least two classes; got \[1\]"),
        ([0.5, 1.5], None, None, "Unknown label type"),
        (["a", 1], None, None, "Mix of label input types"),
        ([0, 1], "balanced", None, "class_weight='balanced' needs all rows"),
        (["a"], None, known, r"classes=\['a'\] differs"),
    ):
        with pytest.raises(ValueError, match=message):
            check_partial_fit_classes(classes, class_weight, seen)


def test_integers_of_numpy_are_integers():
    assert make_noise_matrix(np.int64(3), 0.2).shape == (3, 3)
    display = LossDisplay.from_losses(["focal"], n_classes=np.int64(3))
    assert display.n_classes == 3
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], 50)
    X = y[:, None] + 0.1 * rng.randn(100, 1)
    found = [
        NoiseMatrixEstimator(
            GaussianNB(), cv=kind(3), n_bootstrap=kind(2), random_state=0
        ).fit(X, y, is_clean=np.arange(100) % 2 == 0)
        for kind in (int, np.int64)
    ]
    np.testing.assert_array_equal(found[0].interval_, found[1].interval_)


MISSING = [
    np.array(["a", None, "b", "a"], dtype=object),
    np.array(["a", np.nan, "b", "a"], dtype=object),
    np.array([0.0, np.nan, 1.0, 0.0]),
    pd.array([1, pd.NA, 2, 1], dtype="Int64"),
    pd.Series(["a", pd.NA, "b", "a"], dtype="string"),
    pd.Series(pd.Categorical(["a", None, "b", "a"])),
    pd.Series(pd.to_datetime(["2026-01-01", None, "2026-01-02", "2026-01-01"])),
    ["a", None, "b", "a"],
]


@pytest.mark.parametrize("y", MISSING, ids=lambda y: str(getattr(y, "dtype", "list")))
def test_missing_labels_are_refused_everywhere(y):
    """One check, one message, in every function of the package that takes labels."""
    X = np.arange(8.0).reshape(4, 2)
    P = np.full((4, 2), 0.5)
    message = (
        r"must not contain missing labels .* 1 of 4 are missing, the first in row 1"
    )
    calls = [
        lambda: RobustLossClassifier(max_epochs=1).fit(X, y),
        lambda: RobustLossClassifier().partial_fit(X, y, classes=["a", "b"]),
        lambda: NoiseAdaptedClassifier(max_epochs=1).fit(X, y),
        lambda: NoiseMatrixEstimator().fit(X, y),
        lambda: find_label_issues(None, None, y, pred_probs=P),
        lambda: corrupt_labels(y, noise_rate=0.1),
        lambda: noise_corrected_log_loss(y, P, noise_matrix=np.eye(2)),
        lambda: estimate_noise_matrix(y, P, [0, 1, 0, 1], P),
        lambda: list(CleanRowsKFold(2).split(X, y, is_clean=np.ones(4, dtype=bool))),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
