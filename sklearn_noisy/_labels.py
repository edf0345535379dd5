"""Labels: as arrays, as positions among the classes, and the weights of classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from sklearn_noisy._typing import ArrayLike, BoolArray, FloatArray, IntArray
from sklearn_noisy._validation import check_real, moderate, readable


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


def fixed_width(y: Any) -> Any:
    """NumPy's strings of variable width, which few functions take, as ordinary ones.

    Anything else is returned as it is.
    """
    if getattr(getattr(y, "dtype", None), "kind", "") == "T":
        return np.array(y.tolist(), dtype=str)
    return y


def check_no_missing(y: Any, name: str = "y") -> None:
    """Raise if a label is missing: None, NaN, NA or NaT; or all of them.

    Raises
    ------
    ValueError
        It tells how many are missing, and where the first one is.
    """
    if y is None:
        raise ValueError(
            f"{name} must hold a label for each row. This requires y to be passed, but "
            f"the target {name} is None. Labels are not taken from X: of a data set of "
            "(row, label), they are [label for _, label in X]."
        )
    values = np.asarray(readable(y, name))
    if values.ndim == 2 and values.shape[1] == 1:  # a column
        values = values[:, 0]
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

    Raises
    ------
    TypeError, ValueError
        If one is missing, they are no vector, or they cannot be sorted.
    """
    check_no_missing(y, name)
    labels = np.asarray(column_or_1d(fixed_width(readable(y, name)), warn=warn))
    if labels.dtype == object and len(labels) and not isinstance(labels[0], str):
        # Extension dtypes of pandas for integers and booleans may become objects.
        plain = np.array(labels.tolist())
        labels = plain if plain.dtype.kind in "biu" else labels
    if labels.dtype == object:
        distinct(labels, name)
    return labels


def distinct(labels: np.ndarray, name: str = "y") -> tuple[np.ndarray, IntArray]:
    """The different labels, sorted, and the position of each label among them.

    Raises
    ------
    TypeError
        If labels are of different types that cannot be sorted.
    """
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise TypeError(
            f"{name} must hold labels that can be sorted, of one type; got "
            f"{', '.join(kinds)}."
        ) from error
    return classes, codes.astype(np.int64)


def all_labels(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """The different labels of several arrays, sorted.

    Parameters
    ----------
    labels : dict of str to ndarray of shape (n_samples,)
        By the name of the argument.

    Raises
    ------
    TypeError
        If they are of types that cannot be compared.
    """
    try:
        return np.unique(np.concatenate([*labels.values()]))
    except TypeError as error:
        kinds = ", ".join(f"{name}: {y.dtype}" for name, y in labels.items())
        raise TypeError(
            f"{', '.join(labels)} must hold labels of the same type; got {kinds}."
        ) from error


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
    found, codes = distinct(np.asarray(y))  # scikit-learn fails on labels of two types
    check_classification_targets(y)
    if classes is not None:
        return label_codes(y, classes), classes
    classes = found
    if len(classes) < 2:
        got = f"one class, {classes.tolist()[0]!r}" if len(classes) else "no row"
        raise ValueError(
            "y must hold at least two classes (among the rows of positive "
            f"weight); got {got}."
        )
    return codes, classes


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
    TypeError
        If `class_weight` is of another type, or a weight is no number.
    ValueError
        If `class_weight` is another string, or a weight is negative or not finite.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, Mapping):
        class_weight = {
            label: check_real(weight, f"class_weight[{label!r}]", min_val=0)
            for label, weight in class_weight.items()
        }
        sample_weight = None
    elif not isinstance(class_weight, str) or class_weight != "balanced":
        kind = ValueError if isinstance(class_weight, str) else TypeError
        raise kind(
            "class_weight must be None, 'balanced' or a dict {label: weight}; got "
            f"{class_weight!r}."
        )
    # A class without rows, which only a matrix names, cannot be balanced.
    is_there = np.bincount(codes, minlength=len(classes)) > 0
    if isinstance(class_weight, dict) or is_there.all():
        is_there[:] = True
    weights = np.ones(len(classes))
    weights[is_there] = compute_class_weight(
        class_weight,
        classes=classes[is_there],
        y=classes[codes],
        sample_weight=sample_weight,
    )
    return moderate(weights)


def check_y_given(
    y_given: ArrayLike, is_clean: BoolArray | None, classes: np.ndarray
) -> IntArray:
    """Codes of the labels that clean rows had before they were checked.

    Parameters
    ----------
    y_given : array-like of shape (n_samples,)
    is_clean : bool ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    int64 ndarray of shape (n_samples,)
        -1 for a row that is not clean.

    Raises
    ------
    ValueError
        If `is_clean` is missing, the shape differs, or a clean row has a label that is
        not among the classes.
    """
    if is_clean is None:
        raise ValueError("y_given is only used for clean rows: it needs is_clean.")
    given = label_array(y_given, "y_given")
    if given.shape != is_clean.shape:
        raise ValueError(
            f"y_given must have shape {is_clean.shape}, as y has; got {given.shape}."
        )
    codes = np.full(len(given), -1, dtype=np.int64)
    codes[is_clean] = label_codes(given[is_clean], classes, "y_given")
    return codes
