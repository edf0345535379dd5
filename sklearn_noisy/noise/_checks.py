"""What a noise matrix is."""

import warnings

import numpy as np
from sklearn.utils import check_array

__all__ = [
    "check_noise_matrix",
    "check_possible",
    "check_probabilities",
    "check_stochastic",
    "in_class_order",
    "is_singular",
]

# Condition number from which a noise matrix counts as singular.
SINGULAR = 1e10


def check_stochastic(matrix, name, *, shape=None, tol=1e-6):
    """Columns that are probability distributions, as float64.

    Parameters
    ----------
    matrix : array-like of shape (n_rows, n_columns)
    name : str
        What an error calls it.
    shape : tuple of int, default=None
        The shape it must have; None takes any.
    tol : float, default=1e-6
        How far a column's sum may be from 1.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        A copy, its columns scaled to sum to 1 exactly (but for rounding).

    Raises
    ------
    ValueError
        If it has another shape, holds a negative, NaN or infinite value, or a
        column does not sum to 1; the message names the column and by how much.
    """
    matrix = check_array(matrix, dtype=np.float64, input_name=name, copy=True)
    if shape is not None and matrix.shape != shape:
        raise ValueError(f"{name} must have shape {shape}; got {matrix.shape}.")
    if (matrix < 0).any():
        row, column = np.argwhere(matrix < 0)[0]
        raise ValueError(
            f"{name} must be non-negative; its entry in row {row}, column {column} is "
            f"{matrix[row, column]:.6g}."
        )
    sums = matrix.sum(axis=0)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > tol:
        hint = ""
        if np.abs(matrix.sum(axis=1) - 1).max() <= tol:
            hint = " Its rows do: give the transpose."
        raise ValueError(
            f"{name} must have columns that sum to 1; column {worst} sums to "
            f"{sums[worst]:.6g}, {sums[worst] - 1:+.3g} from it.{hint}"
        )
    return matrix / sums


def check_noise_matrix(
    noise_matrix, *, n_classes=None, max_condition=None, name="noise_matrix"
):
    """Check ``Q[j, i] = P(given label j | true label i)``.

    Parameters
    ----------
    noise_matrix : array-like of shape (n_classes, n_classes)
    n_classes : int, default=None
        Classes it must be for; None takes any square matrix.
    max_condition : float, default=None
        Condition number above which a warning says that what is built on the
        inverse of the matrix is not to be trusted; None does not look.
    name : str, default="noise_matrix"
        What an error calls it.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        float64, its columns summing to 1.

    Raises
    ------
    ValueError
        If it is not square, not for `n_classes`, has a negative entry or a
        column that does not sum to 1.

    Examples
    --------
    >>> from sklearn_noisy.noise import check_noise_matrix
    >>> check_noise_matrix([[0.9, 0.2], [0.1, 0.8]])
    array([[0.9, 0.2],
           [0.1, 0.8]])
    """
    if isinstance(noise_matrix, str):
        raise ValueError(f"{name} must be a square array; got {noise_matrix!r}.")
    shape = np.shape(noise_matrix)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"{name} must be square; got shape {shape}.")
    expected = None if n_classes is None else (n_classes, n_classes)
    if expected is not None and shape != expected:
        raise ValueError(
            f"{name} must have shape {expected} for {n_classes} classes; got {shape}."
        )
    Q = check_stochastic(noise_matrix, name)
    if max_condition is not None:
        condition = np.linalg.cond(Q)
        if condition > max_condition:
            warnings.warn(
                f"{name} has condition number {condition:.3g} (more than "
                f"{max_condition:.3g}): some true classes give nearly the same "
                "labels, and what is inferred from its inverse is mostly noise.",
                RuntimeWarning,
                stacklevel=2,
            )
    return Q


def check_possible(noise_matrix, codes, classes, name="noise_matrix"):
    """Check that a noise matrix can give the labels that were given.

    Parameters
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
    codes : ndarray of int of shape (n_samples,)
        The given labels' positions in `classes`.
    classes : ndarray of shape (n_classes,)
    name : str, default="noise_matrix"
        What an error calls it.

    Raises
    ------
    ValueError
        If a label was given that the matrix gives to no true class.
    """
    given = np.bincount(codes, minlength=len(classes))
    impossible = np.flatnonzero((given > 0) & ~noise_matrix.any(axis=1))
    if len(impossible):
        code = impossible[0]
        raise ValueError(
            f"{name} gives the label {classes.tolist()[code]!r} probability 0 for "
            f"every true class, but {given[code]} rows of y have it."
        )


def is_singular(noise_matrix):
    """Whether given labels cannot tell some true classes apart.

    Parameters
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
    """
    # In the 1-norm: less than half the time of the singular values for 1,000 classes.
    return bool(np.linalg.cond(noise_matrix, 1) > SINGULAR)


def in_class_order(matrix, classes, name="noise_matrix"):
    """Rows and columns of a DataFrame in the order of the classes.

    Parameters
    ----------
    matrix : array-like or DataFrame of shape (n_classes, n_classes)
        A DataFrame has the classes as its index and its columns, in any order;
        anything else is returned as it is.
    classes : ndarray of shape (n_classes,)
    name : str, default="noise_matrix"
        What an error calls it.

    Raises
    ------
    ValueError
        If a DataFrame has other classes.
    """
    if not hasattr(matrix, "loc"):  # an array, or a frame whose rows have no names
        return matrix
    for axis, labels in (("columns", matrix.columns), ("index", matrix.index)):
        if {*labels} != {*classes.tolist()}:
            raise ValueError(
                f"{name} must have the classes {classes.tolist()} as its {axis}; "
                f"got {list(labels)}."
            )
    return matrix.loc[classes, classes]


def check_probabilities(probabilities, name, shape):
    """Rows that are probability distributions, as float64.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_classes)
    name : str
        What an error calls it.
    shape : tuple of int
        (n_samples, n_classes).

    Returns
    -------
    ndarray of shape (n_samples, n_classes)

    Raises
    ------
    ValueError
        If it has another shape, a value outside [0, 1], or a row that does not sum
        to 1 (but for 1e-3, as float16 has).
    """
    probabilities = check_array(probabilities, dtype=np.float64, input_name=name)
    if probabilities.shape != shape:
        raise ValueError(
            f"{name} must have shape {shape}: a row for each sample, a column for "
            f"each class; got {probabilities.shape}."
        )
    if (probabilities < 0).any() or (probabilities > 1 + 1e-6).any():
        raise ValueError(
            f"{name} must lie in [0, 1]; got values from "
            f"{probabilities.min():.3g} to {probabilities.max():.3g}."
        )
    sums = probabilities.sum(axis=1)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row] - 1) > 1e-3:
        raise ValueError(
            f"{name} must have rows that sum to 1; row {row} sums to {sums[row]:.6g}."
        )
    return probabilities
