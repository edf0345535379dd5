"""Checks of noise matrices and of probabilities."""

import warnings
from typing import Any

import numpy as np
from sklearn.utils import check_array

from sklearn_noisy._typing import ArrayLike, FloatArray, IntArray
from sklearn_noisy._validation import brief, check_integer, check_real, readable
from sklearn_noisy.noise._names import (
    columns_in_class_order,
    in_class_order,
    in_sorted_order,
)

# Condition number from which a noise matrix counts as singular: our choice.
SINGULAR = 1e10

# Allowed difference of a column's sum from 1.
TOLERANCE = 1e-6


def check_noise_matrix(
    noise_matrix: ArrayLike,
    *,
    n_classes: int | None = None,
    max_condition: float | None = None,
    name: str = "noise_matrix",
) -> FloatArray:
    """Check ``Q[j, i] = P(given label j | true label i)``.

    Parameters
    ----------
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        A DataFrame has the classes as its index and its columns, in any order.
    n_classes : int, default=None
        The number of classes that it must have; None takes any square matrix.
    max_condition : float, default=None
        Condition number above which a warning says that results from the inverse of
        the matrix are unreliable; None does not compute it.
    name : str, default="noise_matrix"
        The name of the matrix in messages.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        A float64 copy, its columns scaled to sum to 1 up to rounding. The classes of
        a DataFrame are in sorted order.

    Raises
    ------
    ValueError
        If it is not square, not for `n_classes`, has a negative, NaN or infinite
        entry, or a column whose sum differs from 1 by more than 1e-6; if `n_classes`
        is no positive integer.

    Warns
    -----
    RuntimeWarning
        If the condition number is above `max_condition`.

    Examples
    --------
    >>> from sklearn_noisy.noise import check_noise_matrix
    >>> check_noise_matrix([[0.9, 0.2], [0.1, 0.8]])
    array([[0.9, 0.2],
           [0.1, 0.8]])
    """
    if n_classes is not None:
        n_classes = check_integer(n_classes, "n_classes", min_val=1)
    if max_condition is not None:
        check_real(max_condition, "max_condition", min_val=1)
    noise_matrix = readable(noise_matrix, name)
    shape = np.shape(noise_matrix)
    if not shape:  # a string, a number, None
        raise ValueError(f"{name} must be a square array; got {brief(noise_matrix)}.")
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"{name} must be square; got shape {shape}.")
    (noise_matrix,) = in_sorted_order({name: noise_matrix})
    if n_classes is not None and n_classes != shape[0]:
        raise ValueError(
            f"{name} must have shape {(n_classes, n_classes)} for {n_classes} classes; "
            f"got {shape}. If the labels lack a class, give a DataFrame with the "
            "classes as index and columns."
        )
    Q = check_array(noise_matrix, dtype=np.float64, input_name=name, copy=True)
    if (Q < 0).any():
        row, column = np.argwhere(Q < 0)[0]
        raise ValueError(
            f"{name} must be non-negative; its entry in row {row}, column {column} is "
            f"{Q[row, column]:.6g}."
        )
    sums = Q.sum(axis=0)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > TOLERANCE:
        of_rows = np.abs(Q.sum(axis=1) - 1).max()
        hint = " Its rows do: give the transpose." if of_rows <= TOLERANCE else ""
        raise ValueError(
            f"{name} must have columns that sum to 1; column {worst} sums to "
            f"{sums[worst]:.6g}, {sums[worst] - 1:+.3g} from it.{hint}"
        )
    Q = Q / sums
    if max_condition is not None and (condition := np.linalg.cond(Q)) > max_condition:
        warnings.warn(
            f"{name} has condition number {condition:.3g} (more than "
            f"{max_condition:.3g}): some true classes have nearly the same "
            "distribution of given labels, so results from the inverse are unreliable.",
            RuntimeWarning,
            stacklevel=2,
        )
    return Q


def check_possible(
    noise_matrix: FloatArray,
    codes: IntArray,
    classes: np.ndarray,
    name: str = "noise_matrix",
) -> None:
    """Check that every given label has a positive probability.

    Parameters
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
    codes : ndarray of int of shape (n_samples,)
        The given labels' positions in `classes`.
    classes : ndarray of shape (n_classes,)
    name : str, default="noise_matrix"
        Its name in messages.

    Raises
    ------
    ValueError
        If a label was given whose row in the matrix is zero.
    """
    given = np.bincount(codes, minlength=len(classes))
    impossible = np.flatnonzero((given > 0) & ~noise_matrix.any(axis=1))
    if len(impossible):
        code = impossible[0]
        raise ValueError(
            f"{name} gives the label {classes.tolist()[code]!r} probability 0 for "
            f"every true class, but {given[code]} rows of y have it."
        )


def is_singular(noise_matrix: FloatArray) -> bool:
    """Whether given labels cannot tell some true classes apart.

    Parameters
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
    """
    # The 1-norm takes less than half the time of the 2-norm for 1,000 classes.
    return bool(np.linalg.cond(noise_matrix, 1) > SINGULAR)


def class_matrix(
    noise_matrix: Any, classes: np.ndarray, name: str = "noise_matrix"
) -> FloatArray:
    """A checked noise matrix, in the order of the classes.

    Parameters
    ----------
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        A DataFrame has the classes as its index and its columns, in any order.
    classes : ndarray of shape (n_classes,)
    name : str, default="noise_matrix"
        Its name in messages.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)

    Raises
    ------
    ValueError
        If it is no noise matrix of these classes.
    """
    matrix = in_class_order(noise_matrix, classes, name)
    return check_noise_matrix(matrix, n_classes=len(classes), name=name)


def class_probabilities(
    probabilities: Any, n_rows: int, classes: np.ndarray, name: str
) -> FloatArray:
    """Checked probabilities, their columns in the order of the classes.

    Parameters
    ----------
    probabilities : array-like or DataFrame of shape (n_rows, n_classes)
        A DataFrame has the classes as its columns, in any order.
    n_rows : int
    classes : ndarray of shape (n_classes,)
    name : str
        Its name in messages.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)

    Raises
    ------
    ValueError
        If they are no probabilities of these classes.
    """
    columns = columns_in_class_order(probabilities, classes, name)
    return check_probabilities(columns, name, (n_rows, len(classes)))


def check_probabilities(
    probabilities: ArrayLike, name: str, shape: tuple[int, int]
) -> FloatArray:
    """Rows that are probability distributions, as float64.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_classes)
    name : str
        Its name in messages.
    shape : tuple of int
        (n_samples, n_classes).

    Returns
    -------
    ndarray of shape (n_samples, n_classes)

    Raises
    ------
    ValueError
        If it has another shape, a value outside [0, 1], or a row that does not sum
        to 1 within 1e-3 (float16 is accepted).
    """
    probabilities = readable(probabilities, name)
    checked: FloatArray = check_array(probabilities, dtype=np.float64, input_name=name)
    if checked.shape != shape:
        more = " Name all classes if the labels lack some: by the columns of a "
        more += "DataFrame, or by classes= (labels= in a metric)."
        raise ValueError(
            f"{name} must have shape {shape}: a row for each sample, a column for "
            f"each class; got {checked.shape}."
            + (more if checked.shape[1] > shape[1] else "")
        )
    if (checked < 0).any() or (checked > 1 + 1e-6).any():
        raise ValueError(
            f"{name} must lie in [0, 1]; got values from "
            f"{checked.min():.3g} to {checked.max():.3g}."
        )
    sums = checked.sum(axis=1)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row] - 1) > 1e-3:
        raise ValueError(
            f"{name} must have rows that sum to 1; row {row} sums to {sums[row]:.6g}."
        )
    return checked
