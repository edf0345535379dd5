"""Checks of labels, weights, masks of clean rows and random states: no torch."""

import math
from numbers import Real

import numpy as np
from sklearn.utils import (
    check_array,
    check_random_state,
    check_scalar,
    compute_class_weight,
)
from sklearn.utils.multiclass import check_classification_targets

__all__ = [
    "check_is_clean",
    "check_partial_fit_classes",
    "check_real",
    "check_sample_weight",
    "class_weights",
    "encode_labels",
    "own_generator",
]


def check_real(value, name, **limits):
    """scikit-learn's ``check_scalar`` for a number that is finite, too.

    Raises
    ------
    TypeError, ValueError
    """
    check_scalar(value, name, Real, **limits)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; got {value!r}.")


def check_sample_weight(sample_weight, n_samples):
    """Weights as a float64 array of shape (n_samples,); None is all ones.

    Raises
    ------
    ValueError
        If the shape is another, a weight is negative or not finite, or all are
        zero.
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


def check_is_clean(is_clean, n_samples, *, needed=True):
    """Boolean mask of shape (n_samples,); None is all False.

    Raises
    ------
    ValueError
        If it is no boolean mask of that shape, or has no True and one is needed.
    """
    if is_clean is None:
        return np.zeros(n_samples, dtype=bool)
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


def own_generator(random_state):
    """A generator of our own, seeded by one draw from `random_state`.

    None takes entropy from the system: it must not draw from NumPy's global
    generator.
    """
    if random_state is None:
        random_state = np.random.SeedSequence().generate_state(1)[0]
    rng = check_random_state(random_state)
    return np.random.RandomState(rng.randint(np.iinfo(np.int32).max))


def encode_labels(y, classes=None):
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
    found, codes = np.unique(y, return_inverse=True)
    if classes is None:
        if len(found) < 2:
            raise ValueError(
                "y must hold at least two classes (among the rows of positive "
                f"weight); got one class, {found.tolist()[0]!r}."
            )
        return codes.astype(np.int64), found
    unknown = [label for label in found.tolist() if label not in classes.tolist()]
    if unknown:
        raise ValueError(
            f"y holds labels that are not among the classes {classes.tolist()}: "
            f"{unknown}."
        )
    return np.searchsorted(classes, y).astype(np.int64), classes


def check_partial_fit_classes(classes, class_weight, known):
    """All classes that will ever come to ``partial_fit``.

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
    if known is None:
        if classes is None:
            raise ValueError(
                "classes must be given in the first call of partial_fit: all "
                "labels that will ever come."
            )
        if isinstance(class_weight, str) and class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all rows at once; give "
                "partial_fit a dict {label: weight}, or sample_weight."
            )
        return encode_labels(np.repeat(classes, 3))[1]  # else it warns of many
    if classes is not None and not np.array_equal(known, np.unique(classes)):
        raise ValueError(
            f"classes={np.unique(classes).tolist()} differs from the first "
            f"call's, {known.tolist()}."
        )
    return known


def class_weights(class_weight, codes, classes, sample_weight):
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
        If `class_weight` is none of those, or holds a negative weight.
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
