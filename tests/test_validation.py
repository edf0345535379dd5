"""Checks of parameters and labels that several modules share."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.naive_bayes import GaussianNB

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy._labels import (
    check_partial_fit_classes,
    encode_labels,
    label_codes,
)
from sklearn_noisy._validation import (
    check_choice,
    check_flag,
    check_integer,
    check_real,
)
from sklearn_noisy.datasets import corrupt_labels, fetch_images, make_noise_matrix
from sklearn_noisy.inspection import LossDisplay
from sklearn_noisy.losses import LOSSES, make_loss, safe_blurry_gamma
from sklearn_noisy.metrics import (
    make_noise_corrected_scorer,
    noise_corrected_accuracy_score,
    noise_corrected_log_loss,
)
from sklearn_noisy.model_selection import CleanRowsKFold
from sklearn_noisy.noise import (
    check_noise_matrix,
    count_noise_matrix,
    estimate_noise_matrix,
    likely_noise_matrix,
    solve_cvxpy,
    solve_fista,
)


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


ARRAY = np.array([1.0, 2.0])
# Neither a number, nor a boolean, nor a choice.
NO_SCALARS = (ARRAY, np.array([]), [], {}, np.nan, np.inf, "False", b"1", 1j)
Q2 = np.array([[0.8, 0.3], [0.2, 0.7]])


def estimate(**parameters):
    """The noise matrix from predictions that are all right."""
    y = [0, 1] * 10
    return estimate_noise_matrix(y, y, y, y, **{"random_state": 0, **parameters})


def likely(**parameters):
    return likely_noise_matrix(np.eye(2), np.arange(2), Q2, **parameters)


PLAIN = {"loss": "cross_entropy", "max_epochs": 1}


def fit_robust(**parameters):
    X = np.arange(8.0).reshape(4, 2)
    return RobustLossClassifier(**{**PLAIN, **parameters}).fit(X, [0, 1, 0, 1])


def fit_adapted(**parameters):
    X = np.arange(8.0).reshape(4, 2)
    clf = NoiseAdaptedClassifier(**{"max_epochs": 1, "noise_matrix": Q2, **parameters})
    return clf.fit(X, [0, 1, 0, 1])


def fit_matrix(**parameters):
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    estimator = NoiseMatrixEstimator(GaussianNB(), **parameters)
    return estimator.fit(X, y, is_clean=np.arange(20) < 10)


def split(**parameters):
    y = np.array([0, 1, 0, 1])
    folds = CleanRowsKFold(**{"n_splits": 2, **parameters})
    return list(folds.split(y, y, is_clean=np.ones(4, dtype=bool)))


def corrupt(**parameters):
    return corrupt_labels([0, 1, 0, 1], noise_rate=0.1, **parameters)


def find(**parameters):
    y, P = [0, 1, 0, 1], np.full((4, 2), 0.5)
    return find_label_issues(None, None, y, pred_probs=P, **parameters)


def accuracy(**parameters):
    return noise_corrected_accuracy_score([0, 1], [0, 1], noise_matrix=Q2, **parameters)


def scorer(**parameters):
    return make_noise_corrected_scorer(Q2, **parameters)


def counted(**parameters):
    return count_noise_matrix(
        np.arange(2), np.arange(2), weight=np.ones(2), **parameters
    )


def fista(**parameters):
    return solve_fista(np.eye(2), Q2, **parameters)


def cvxpy(**parameters):
    return solve_cvxpy(np.eye(2), Q2, **parameters)


def checked_matrix(**parameters):
    return check_noise_matrix(Q2, **parameters)


def matrix(**parameters):
    return make_noise_matrix(**{"n_classes": 3, "noise_rate": 0.1, **parameters})


FLAGS = [
    (fit_robust, "warm_start"),
    (fit_robust, "early_stopping"),
    (fit_robust, "verbose"),
    (fit_adapted, "warm_start"),
    (fit_adapted, "early_stopping"),
    (fit_adapted, "refine"),
    (fit_adapted, "verbose"),
    (fit_matrix, "verbose"),
    (find, "verbose"),
    (split, "shuffle"),
    (corrupt, "exact"),
    (corrupt, "return_mask"),
    (accuracy, "return_standard_error"),
    (likely, "temperature"),
    (lambda **flag: fetch_images("mnist", **flag), "shuffle"),
]

INTEGERS = [
    (fit_robust, "max_epochs"),
    (fit_robust, "n_iter_no_change"),
    (fit_robust, "batch_size"),
    (fit_robust, "delay"),
    (fit_adapted, "max_epochs"),
    (fit_adapted, "batch_size"),
    (fit_adapted, "n_rounds"),
    (fit_adapted, "warm_up"),
    (fit_adapted, "n_folds"),
    (fit_matrix, "n_bootstrap"),
    (split, "n_splits"),
    (matrix, "n_classes"),
    (estimate, "cv"),
    (estimate, "n_bootstrap"),
    (likely, "max_iter"),
    (counted, "n_classes"),
    (fista, "max_iter"),
    (safe_blurry_gamma, "n_classes"),
    (lambda **size: make_loss("focal", **size), "n_classes"),
]

NUMBERS = [
    (fit_robust, "lr"),
    (fit_robust, "validation_fraction"),
    (fit_adapted, "lr"),
    (fit_adapted, "alpha"),
    (fit_adapted, "gamma"),
    (fit_adapted, "noise_decay"),
    (fit_adapted, "noise_lr"),
    (fit_matrix, "l1_penalty"),
    (fit_matrix, "shrinkage"),
    (matrix, "noise_rate"),
    (lambda **rate: corrupt_labels([0, 1], **rate), "noise_rate"),
    (estimate, "l1_penalty"),
    (estimate, "shrinkage"),
    (likely, "tol"),
    (fista, "tol"),
    (fista, "l1_penalty"),
    (cvxpy, "l1_penalty"),
    (checked_matrix, "max_condition"),
    *[
        (LOSSES[loss], name)
        for loss, names in {
            "focal": ["gamma"],
            "blurry": ["gamma", "floor"],
            "piecewise_zero": ["c"],
            "clipped": ["c"],
            "uniform_mixing": ["noise_rate"],
            "symmetric_noise": ["noise_rate"],
            "label_smoothing": ["noise_rate"],
            "generalized_cross_entropy": ["q"],
            "symmetric_cross_entropy": ["alpha", "beta", "A"],
            "normalized_cross_entropy_reverse": ["alpha", "beta", "A"],
        }.items()
        for name in names
    ],
]

CHOICES = [
    (fit_robust, "loss"),
    (fit_robust, "precision"),
    (fit_robust, "callbacks"),
    (fit_robust, "class_weight"),
    (fit_robust, "device"),
    (fit_adapted, "noise_model"),
    (fit_adapted, "lr_schedule"),
    (fit_adapted, "regularizer"),
    (fit_matrix, "method"),
    (fit_matrix, "penalty"),
    (fit_matrix, "solver"),
    (find, "filter_by"),
    (estimate, "method"),
    (estimate, "penalty"),
    (fista, "penalty"),
    (cvxpy, "penalty"),
    (matrix, "kind"),
    (scorer, "metric"),
]


def assert_refused(call, name, values):
    """Each value is an error that names the parameter."""
    for value in values:
        with pytest.raises((TypeError, ValueError), match=rf"^{name}\b.* must be"):
            call(**{name: value})


def ids(case):
    return f"{getattr(case[0], '__name__', '')}-{case[1]}"


@pytest.mark.parametrize("case", FLAGS, ids=ids)
def test_flags_are_booleans(case):
    call, name = case
    numbers = (0.5,) if name == "verbose" else (0, 1)
    assert_refused(call, name, (*NO_SCALARS, "no", "", None, *numbers))


@pytest.mark.parametrize("case", INTEGERS, ids=ids)
def test_integers_are_integers(case):
    assert_refused(*case, (*NO_SCALARS, True, np.True_, 2.0, -2, np.int64(-2), None))


@pytest.mark.parametrize("case", NUMBERS, ids=ids)
def test_numbers_are_finite_numbers(case):
    bad = (*NO_SCALARS, True, np.True_, -np.inf, np.float32("nan"), 10**400)
    below = -1e31 if case[1] == "A" else -1.5
    assert_refused(*case, (*bad, below, np.float32(below)))


@pytest.mark.parametrize("case", CHOICES, ids=ids)
def test_choices_are_compared_with_no_array(case):
    assert_refused(*case, (ARRAY, np.array(["l1", "auto"]), np.array([]), 1.5, "False"))


def test_flags_and_integers_of_numpy():
    assert check_flag(np.True_, "x") is True
    assert check_flag(False, "x") is False
    assert check_flag("auto", "x", words=("auto",)) == "auto"
    for value in (3, np.int64(3), np.uint8(3)):
        assert type(check_integer(value, "x", min_val=0)) is int
    assert check_integer(np.int8(-1), "x", min_val=1, special=(-1, "auto")) == -1
    assert check_real("cv", "x", words=("cv",)) == "cv"
    check_choice(None, "x", (None, "a"))
    with pytest.raises(ValueError, match=r"x must be one of 'a'; got None\. Try 'a'\."):
        check_choice(None, "x", ("a",), hint="Try 'a'.")
    with pytest.raises(ValueError, match="x must be 'auto' or a number in .* got 'a'"):
        check_real("a", "x", words=("auto",))


def test_flags_of_numpy_in_estimators():
    assert fit_robust(warm_start=np.False_, early_stopping=np.False_, verbose=np.False_)
    assert fit_adapted(refine=np.False_, n_rounds=np.int64(0), batch_size=np.int64(-1))
    assert len(split(shuffle=np.True_)) == 2


def test_patience_without_end():
    message = "an integer >= 1, got inf. Training does not stop early"
    with pytest.raises(TypeError, match=message):
        fit_robust(n_iter_no_change=np.inf)


@pytest.mark.parametrize("call", [estimate, fit_matrix])
def test_penalties_to_try_are_finite_numbers(call):
    for penalties, error, message in (
        ([], ValueError, "l1_penalties must hold at least one number"),
        (0.5, ValueError, "l1_penalties must be None or a list of numbers"),
        ("cv", ValueError, "l1_penalties must be None or a list of numbers"),
        ([[0.1]], ValueError, "l1_penalties must be None or a list of numbers"),
        ([0, -1], ValueError, r"l1_penalties\[1\] must be in \[0, inf\), got -1"),
        ([np.nan], ValueError, r"l1_penalties\[0\] must be in"),
        (np.array([0.1, np.inf]), ValueError, r"l1_penalties\[1\] must be in"),
        ([True], TypeError, r"l1_penalties\[0\] must be a number"),
        (["0.1"], TypeError, r"l1_penalties\[0\] must be a number"),
    ):
        with pytest.raises(error, match=message):
            call(l1_penalties=penalties)
    found = [call(l1_penalties=kind([0.1, 0.0])) for kind in (list, tuple, np.float32)]
    assert all(f is not None for f in found)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ({0: np.nan, 1: 1}, ValueError, r"class_weight\[0\] must be in .* got nan"),
        ({0: 1, 1: np.inf}, ValueError, r"class_weight\[1\] must be in .* got inf"),
        ({0: -1, 1: 1}, ValueError, r"class_weight\[0\] must be in .* got -1"),
        ({0: "a", 1: 1}, TypeError, r"class_weight\[0\] must be a number in"),
        ({0: None, 1: 1}, TypeError, r"class_weight\[0\] must be a number in"),
        ([1, 1], TypeError, "class_weight must be None, 'balanced' or a dict"),
    ],
)
def test_class_weights_are_finite_numbers(class_weight, error, message):
    for call in (fit_robust, fit_adapted):
        with pytest.raises(error, match=message):
            call(class_weight=class_weight)


@pytest.mark.parametrize("size", [1e306, 1e-200, 5e-324])
def test_only_the_ratios_of_weights_count(size):
    """Neither their sum nor their squares overflow or vanish."""
    y = np.arange(300) % 2
    X = y[:, None] + np.arange(600.0).reshape(300, 2) / 600
    is_clean = np.arange(300) < 150
    weight = np.where(np.arange(300) % 3 == 0, 4.0, 1.0)
    tiny = size == 5e-324
    weights = (weight, (weight * 5e-324) if tiny else weight * size)
    P = np.full((300, 2), 0.5)
    for call in (
        lambda w: (
            RobustLossClassifier(**PLAIN, random_state=0)
            .fit(X, y, sample_weight=w)
            .predict_proba(X)
        ),
        lambda w: (
            NoiseMatrixEstimator(GaussianNB(), l1_penalty=0.1, n_bootstrap=2)
            .fit(X, y, sample_weight=w, is_clean=is_clean)
            .noise_matrix_
        ),
        lambda w: noise_corrected_accuracy_score(
            y, 1 - y, noise_matrix=Q2, sample_weight=w
        ),
        lambda w: noise_corrected_log_loss(y, P, noise_matrix=Q2, sample_weight=w),
    ):
        plain, extreme = map(call, weights)
        assert np.isfinite(plain).all()
        np.testing.assert_allclose(extreme, plain, rtol=1e-9, atol=1e-12)


def test_extreme_class_weights_are_ratios():
    plain = fit_robust(class_weight={0: 1.0, 1: 4.0}, random_state=0)
    extreme = fit_robust(class_weight={0: 1e307, 1: 4e307}, random_state=0)
    X = np.arange(8.0).reshape(4, 2)
    np.testing.assert_allclose(
        extreme.predict_proba(X), plain.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_tensors_that_numpy_cannot_read(dtype):
    matrix = torch.eye(2, dtype=dtype, requires_grad=True)
    y = torch.arange(8.0, requires_grad=True) % 2
    assert check_noise_matrix(matrix).tolist() == [[1, 0], [0, 1]]
    assert corrupt_labels(y, matrix).tolist() == y.tolist()
    mask = torch.ones(8) > 0
    clf = NoiseAdaptedClassifier(noise_matrix=matrix, max_epochs=1, n_rounds=0)
    X, y = np.arange(16.0).reshape(8, 2), y.tolist()
    clf.fit(X, y, torch.ones(8, requires_grad=True), is_clean=mask)
    probabilities = torch.full((8, 2), 0.5, requires_grad=True)
    found = noise_corrected_log_loss(y, probabilities, noise_matrix=matrix)
    assert found == pytest.approx(np.log(2))


RAGGED = [[0, 1], 1, 0, [1]]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: corrupt_labels(RAGGED, noise_rate=0.2), "y"),
        (lambda: corrupt_labels([0, 1], RAGGED), "noise_matrix"),
        (lambda: RobustLossClassifier().fit(np.ones((4, 2)), RAGGED), "y"),
        (
            lambda: NoiseAdaptedClassifier(noise_matrix=RAGGED).fit([[1], [2]], [0, 1]),
            "noise_matrix",
        ),
        (lambda: check_noise_matrix(RAGGED), "noise_matrix"),
        (lambda: find_label_issues(None, None, [0, 1], pred_probs=RAGGED), "pred_pr"),
        (
            lambda: RobustLossClassifier().fit(np.ones((4, 2)), [0, 1] * 2, RAGGED),
            "sample_weight",
        ),
    ],
)
def test_entries_of_different_lengths_name_the_argument(call, name):
    with pytest.raises(ValueError, match=f"{name}.* entries of different lengths"):
        call()


@pytest.mark.parametrize("make", [pd.DataFrame, lambda X: pd.DataFrame(X).to_numpy()])
def test_columns_of_one_name_and_strings_are_refused(make, iris):
    X, y = iris
    frame = make(X)
    if isinstance(frame, pd.DataFrame):
        frame.columns = ["a", "b", "a", "c"]
        message = "2 of them have the name 'a'"
    else:
        frame = frame.astype(str).astype(np.dtypes.StringDType())
        message = "X must hold numbers; got dtype StringDType"
    for estimator in (RobustLossClassifier(), NoiseMatrixEstimator()):
        with pytest.raises(ValueError, match=message):
            estimator.fit(frame, y)


def test_labels_as_strings_of_variable_width(iris):
    X, y = iris
    names = np.array(["a", "b", "c"])[y]
    wide = names.astype(np.dtypes.StringDType())
    clf = RobustLossClassifier(loss="cross_entropy", max_epochs=1, random_state=0)
    expected = clf.fit(X, names).predict(X)
    np.testing.assert_array_equal(clf.fit(X, wide).predict(X), expected)
    np.testing.assert_array_equal(
        corrupt_labels(wide, noise_rate=0.2, random_state=0),
        corrupt_labels(names, noise_rate=0.2, random_state=0),
    )


@pytest.mark.parametrize("seed", [2**63, -1, "seven", 0.5])
def test_a_seed_that_is_none(seed, iris):
    X, y = iris
    for call in (
        lambda: RobustLossClassifier(random_state=seed).fit(X, y),
        lambda: corrupt_labels(y, noise_rate=0.2, random_state=seed),
        lambda: make_noise_matrix(3, 0.2, "random", random_state=seed),
        lambda: next(
            CleanRowsKFold(2, shuffle=True, random_state=seed).split(
                X, y, is_clean=np.ones(len(y), bool)
            )
        ),
    ):
        with pytest.raises(ValueError, match="random_state must be None, an integer"):
            call()


def test_labels_of_different_types():
    with pytest.raises(
        TypeError, match="y must hold labels .* of one type; got int, s"
    ):
        corrupt_labels(np.array([1, "a", 2], dtype=object), noise_rate=0.2)


def test_classifiers_say_which_labels_cannot_be_sorted(iris):
    X, y = iris
    mixed = np.array(["one", *y[1:]], dtype=object)
    for estimator in (RobustLossClassifier(), NoiseAdaptedClassifier()):
        with pytest.raises(TypeError, match="y must hold labels .* of one type; got i"):
            estimator.fit(X, mixed)
