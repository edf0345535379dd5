"""Checks of labels, weights, masks, numbers and random states: no torch."""

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from reprlib import Repr
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import column_or_1d

from sklearn_noisy._typing import ArrayLike, BoolArray, FloatArray, IntArray


def brief(value: Any) -> str:
    """The `repr` of a value for an error message; an array by its kind and shape."""
    shape = getattr(value, "shape", ())
    if len(shape):
        kind = type(value).__name__
        return f"{'an array' if kind == 'ndarray' else kind} of shape {tuple(shape)}"
    return _SHORT.repr(value) if isinstance(value, (list, tuple)) else repr(value)


_SHORT = Repr()
_SHORT.maxother = 200  # of an entry that is an object


def check_choice(value: Any, name: str, choices: Iterable[str]) -> None:
    """Raise a ValueError unless `value` is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.")


def check_flag(value: Any, name: str) -> bool:
    """True or False as a bool.

    Parameters
    ----------
    value : object
        A text such as ``"False"`` would count as true, so it is no flag.
    name : str
        The parameter's name in an error message.

    Returns
    -------
    bool

    Raises
    ------
    TypeError
        If `value` is not a boolean.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"{name} must be True or False; got {value!r}.")


def check_integer(value: Any, name: str, *, min_val: int) -> int:
    """An integer from `min_val` on as an int.

    Parameters
    ----------
    value : object
        Integers of NumPy are accepted. A boolean is no integer.
    name : str
        The parameter's name in an error message.
    min_val : int

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If `value` is no integer.
    ValueError
        If it is below `min_val`.
    """
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if is_integer and value >= min_val:
        return int(value)
    kind = ValueError if is_integer else TypeError
    raise kind(f"{name} must be an integer >= {min_val}, got {value!r}.")


def check_real(
    value: Any,
    name: str,
    *,
    min_val: float = -math.inf,
    max_val: float = math.inf,
    include_boundaries: str = "both",
) -> float:
    """A finite number within an interval, as a float.

    Parameters
    ----------
    value : object
    name : str
        The parameter's name in an error message.
    min_val, max_val : float, default=-inf, inf
    include_boundaries : {"left", "right", "both", "neither"}, default="both"
        Which of the finite bounds are allowed values.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If `value` is a boolean or no real number.
    ValueError
        If `value` is NaN, infinite or outside the interval.
    """
    left = include_boundaries in ("left", "both") and math.isfinite(min_val)
    right = include_boundaries in ("right", "both") and math.isfinite(max_val)
    interval = f"{'(['[left]}{min_val}, {max_val}{')]'[right]}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number in {interval}, got {value!r}.")
    number = float(value)
    above = number >= min_val if left else number > min_val
    below = number <= max_val if right else number < max_val
    if not (above and below):  # also for NaN
        raise ValueError(f"{name} must be in {interval}, got {value!r}.")
    return number


def check_sample_weight(sample_weight: ArrayLike | None, n_samples: int) -> FloatArray:
    """Weights as a float64 array of shape (n_samples,); None is all ones.

    Raises
    ------
    ValueError
        If the shape differs, a weight is negative or not finite, or all weights
        are zero.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weight = check_array(
        sample_weight,
        ensure_2d=False,
        allow_nd=True,
        dtype=np.float64,
        input_name="sample_weight",
    )
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight per row of "
            f"X; got {weight.shape}."
        )
    if (weight < 0).any():
        row = int(np.flatnonzero(weight < 0)[0])
        raise ValueError(
            f"sample_weight must not be negative; got {weight[row]:g} in row {row}."
        )
    if not weight.any():
        raise ValueError("sample_weight must contain at least one non-zero number.")
    return weight


def check_is_clean(
    is_clean: ArrayLike, n_samples: int, *, needed: bool = True
) -> BoolArray:
    """Boolean mask of shape (n_samples,).

    Raises
    ------
    ValueError
        If `is_clean` is not a boolean mask of that shape, or if one True is `needed`
        and the mask has none.
    """
    mask = np.asarray(is_clean)
    if mask.shape != (n_samples,) or mask.dtype != bool:
        raise ValueError(
            f"is_clean must be a boolean mask of shape ({n_samples},); got shape "
            f"{mask.shape}, dtype {mask.dtype}."
        )
    if needed and not mask.any():
        raise ValueError(
            "is_clean marks no row as clean. Leave it out where no label was checked."
        )
    return mask


def own_generator(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """A new generator, seeded by one draw from `random_state`.

    None takes entropy from the system, so that NumPy's global generator keeps its
    state.
    """
    if random_state is None:
        random_state = np.random.SeedSequence().generate_state(1)[0]
    rng = check_random_state(random_state)
    return np.random.RandomState(rng.randint(np.iinfo(np.int32).max))


def label_codes(y: ArrayLike, classes: np.ndarray, name: str = "y") -> IntArray:
    """Position of each label among the classes.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    classes : ndarray of shape (n_classes,)
        Different labels in any order.
    name : str, default="y"
        The name of `y` in an error message.

    Returns
    -------
    int64 ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If a label is not among the classes.
    """
    y = np.asarray(y)
    unknown = sorted({*y.tolist()} - {*classes.tolist()}, key=str)
    if unknown:
        raise ValueError(
            f"{name} holds labels that are not among the classes "
            f"{classes.tolist()}: {unknown}."
        )
    order = np.argsort(classes)
    codes = order[np.searchsorted(classes, y, sorter=order)]
    return codes.astype(np.int64, copy=False)


def check_no_missing(y: Any, name: str = "y") -> None:
    """Raise if a label is missing: None, NaN, NA or NaT; or all of them.

    Raises
    ------
    ValueError
        It tells how many are missing, and where the first one is.
    """
    if y is None:
        raise ValueError(
            f"{name} must hold a label for each row; got None. Labels are not taken "
            "from X: of a data set of (row, label), they are "
            "[label for _, label in X]."
        )
    values = np.asarray(y)
    if values.ndim != 1 or values.dtype.kind in "biuUS":
        return
    import pandas as pd  # slow to import, and needed here only

    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(
            f"{name} must not contain missing labels (None, NaN, NA or NaT); "
            f"{len(missing)} of {len(values)} are missing, the first in row "
            f"{missing[0]}."
        )


def label_array(y: Any, name: str = "y", *, warn: bool = False) -> np.ndarray:
    """Labels as an array of shape (n_samples,), none of them missing.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    name : str, default="y"
        Name in an error message.
    warn : bool, default=False
        Whether to warn of a single column.
    """
    check_no_missing(y, name)
    return np.asarray(column_or_1d(y, warn=warn))


def encode_labels(
    y: ArrayLike, classes: np.ndarray | None = None
) -> tuple[IntArray, np.ndarray]:
    """Labels to indices.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    classes : ndarray, default=None
        Sorted classes; None takes those of `y`.

    Returns
    -------
    codes : int64 ndarray of shape (n_samples,)
    classes : ndarray

    Raises
    ------
    ValueError
        If `y` is no classification target, holds a single class and `classes`
        is not given, or holds a label that `classes` lacks.
    """
    check_classification_targets(y)
    if classes is not None:
        return label_codes(y, classes), classes
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        got = f"one class, {classes.tolist()[0]!r}" if len(classes) else "no row"
        raise ValueError(
            "y must hold at least two classes (among the rows of positive "
            f"weight); got {got}."
        )
    return codes.astype(np.int64), classes


def check_partial_fit_classes(
    classes: ArrayLike | None,
    class_weight: Mapping[Any, float] | str | None,
    known: np.ndarray | None,
) -> np.ndarray:
    """All classes that any call of ``partial_fit`` will contain.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None
    class_weight : dict, "balanced" or None
    known : ndarray of shape (n_classes,) or None
        Classes of an earlier call; None in the first one.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If the first call has no `classes`, or a later one has others.
    """
    if known is not None:
        if classes is not None and not np.array_equal(known, np.unique(classes)):
            raise ValueError(
                f"classes={np.unique(classes).tolist()} differs from the first "
                f"call's, {known.tolist()}."
            )
        return known
    if classes is None:
        raise ValueError(
            "classes must be given in the first call of partial_fit: all "
            "labels that any call will contain."
        )
    if isinstance(class_weight, str) and class_weight == "balanced":
        raise ValueError(
            "class_weight='balanced' needs all rows at once; give "
            "partial_fit a dict {label: weight}, or sample_weight."
        )
    unique_labels(classes)  # only raises for invalid labels: it changes the dtype
    known = np.unique(classes)
    if len(known) < 2:
        raise ValueError(
            f"classes must hold at least two classes; got {known.tolist()}."
        )
    return known


def class_weights(
    class_weight: Mapping[Any, float] | str | None,
    codes: IntArray,
    classes: np.ndarray,
    sample_weight: FloatArray | None,
) -> FloatArray:
    """Weight of each class, from the parameter `class_weight`.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    codes : int ndarray of shape (n_samples,)
        Given labels, as indices into `classes`.
    classes : ndarray of shape (n_classes,)
    sample_weight : ndarray of shape (n_samples,)
        Weights that ``"balanced"`` balances.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If `class_weight` is another string, or holds a negative weight.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight != "balanced":
        raise ValueError(
            "class_weight must be None, 'balanced' or a dict {label: weight}; got "
            f"{class_weight!r}."
        )
    if isinstance(class_weight, dict):
        if any(weight < 0 for weight in class_weight.values()):
            raise ValueError(
                f"class_weight must not hold negative weights; got {class_weight!r}."
            )
        sample_weight = None
    return compute_class_weight(
        class_weight, classes=classes, y=classes[codes], sample_weight=sample_weight
    )


def check_generator_state(state: Any) -> None:
    """Raise unless a state is one of ``numpy.random.RandomState``.

    NumPy reads memory at the position without a check, so a forged state could crash
    the interpreter.

    Raises
    ------
    ValueError
    """
    try:
        key, position = state["state"]["key"], state["state"]["pos"]
        is_valid = (
            state["bit_generator"] == "MT19937"
            and isinstance(key, np.ndarray)
            and (key.dtype, key.shape)
            == (np.uint32, (624,))  # numbers of the Mersenne Twister
            and type(position) is int
            and 0 <= position <= 624
            and state["has_gauss"] in (0, 1)
            and np.isfinite(state["gauss"])
        )
    except (KeyError, TypeError) as error:
        raise ValueError("this is no state of a random generator") from error
    if not is_valid:
        raise ValueError("this is no state of a random generator")
