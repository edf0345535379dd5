"""Arguments of the functions of this folder, as arrays.

Each check names the argument, what it was and what is accepted.
"""

from typing import Any

import numpy as np
from sklearn.utils import check_array

from sklearn_noisy._labels import (
    label_array,
)
from sklearn_noisy._typing import ArrayLike, BoolArray, FloatArray, IntArray
from sklearn_noisy._validation import (
    brief,
    check_sample_weight,
    readable,
)
from sklearn_noisy.noise._checks import check_probabilities
from sklearn_noisy.noise._names import class_vector, in_sorted_order


def real_table(
    values: Any, name: str, shape: tuple[int, ...] | None = None
) -> FloatArray:
    """Finite numbers in two dimensions; float32 stays, other numbers become float64.

    Parameters
    ----------
    values : array-like of shape (n_rows, n_columns)
    name : str
        Its name in messages.
    shape : tuple of int, default=None
        The shape that it must have.

    Raises
    ------
    ValueError
        If it has another shape, or an entry is no finite number.
    """
    array = readable(values, name)
    checked: FloatArray = check_array(
        array, dtype=[np.float64, np.float32], input_name=name
    )
    if shape not in (None, checked.shape):
        raise ValueError(f"{name} must have shape {shape}; got {checked.shape}.")
    return checked


def square_matrices(**matrices: Any) -> list[FloatArray]:
    """Matrices of the same classes, in float64, their classes in sorted order.

    Parameters
    ----------
    **matrices : array-like or DataFrame of shape (n_classes, n_classes)
        By the name of the argument.

    Raises
    ------
    ValueError
        If one is not square, has another shape than the first one or an entry that is
        no finite number.
    """
    tables = {name: readable(table, name) for name, table in matrices.items()}
    shape: tuple[int, int] | None = None
    checked: list[FloatArray] = []
    for name, table in zip(tables, in_sorted_order(tables), strict=True):
        array = real_table(table, name, shape).astype(np.float64, copy=False)
        shape = (len(array), len(array))
        if array.shape != shape:
            raise ValueError(f"{name} must be square; got shape {array.shape}.")
        checked.append(array)
    return checked


def confusion_pair(
    C_clean: Any, C_noisy: Any, allowed: Any = None, start: Any = None
) -> tuple[FloatArray, FloatArray, BoolArray | None, FloatArray | None]:
    """The arguments of Eq. 5, as arrays of the same classes in sorted order.

    Parameters
    ----------
    C_clean, C_noisy : array-like or DataFrame of shape (n_classes, n_classes)
        Columns are distributions.
    allowed : array-like of bool of shape (n_classes, n_classes), default=None
        Entries that may be positive.
    start : array-like of shape (n_classes, n_classes), default=None

    Raises
    ------
    ValueError
        If one is not square, has another shape than the first or an entry that is no
        finite number; if a column of a confusion is no distribution, or a column of
        `allowed` lets no entry be positive.
    """
    matrices = {"C_clean": C_clean, "C_noisy": C_noisy}
    if start is not None:
        matrices["start"] = start
    # The names of the classes of all of them say how to sort `allowed`.
    allowed = in_sorted_order({**matrices, "allowed": allowed})[-1]
    clean, noisy, *rest = square_matrices(**matrices)
    _check_distributions(clean, "C_clean")
    _check_distributions(noisy, "C_noisy")
    if allowed is not None:
        allowed = allowed_entries(allowed, clean.shape)
    return clean, noisy, allowed, rest[0] if rest else None


def conditional_matrix(matrix: Any, name: str) -> FloatArray:
    """A square matrix whose columns are distributions, its classes in sorted order.

    Raises
    ------
    ValueError
        If an entry is negative, or a column sums to another number than 1 (by more
        than 1e-3: solvers are not exact).
    """
    (checked,) = square_matrices(**{name: matrix})
    _check_distributions(checked, name)
    return checked


def _check_distributions(matrix: FloatArray, name: str) -> None:
    sums = matrix.sum(axis=0)
    column = int(np.abs(sums - 1).argmax())
    if (matrix < -1e-6).any() or abs(sums[column] - 1) > 1e-3:
        raise ValueError(
            f"{name} must have columns that are distributions: non-negative, with sum "
            f"1; got entries from {matrix.min():.3g} on, and column {column} sums to "
            f"{sums[column]:.6g}."
        )


def allowed_entries(allowed: Any, shape: Any) -> BoolArray:
    """Entries that may be positive, at least one in each column.

    Raises
    ------
    ValueError
        If `allowed` is no boolean array of this shape, or a column has none.
    """
    array = np.asarray(readable(allowed, "allowed"))
    if array.shape != shape or array.dtype != bool:
        raise ValueError(
            f"allowed must be a boolean array of shape {shape}; got shape "
            f"{array.shape}, dtype {array.dtype}."
        )
    if not array.any(axis=0).all():
        raise ValueError(
            "allowed must have at least one True in each column; column "
            f"{int(array.any(axis=0).argmin())} has none."
        )
    return array


def class_masses(values: Any, name: str, matrix: Any, matrix_name: str) -> FloatArray:
    """A non-negative number for each class of a matrix, in sorted order.

    Parameters
    ----------
    values : array-like or Series of shape (n_classes,)
        A Series has the classes as its index, in any order.
    name : str
        Its name in messages.
    matrix : array-like or DataFrame of shape (n_classes, n_classes)
    matrix_name : str

    Raises
    ------
    ValueError
        If it has another shape, an entry is negative or not finite, or all are zero.
    """
    shape = np.shape(readable(values, name))
    wanted = np.shape(readable(matrix, matrix_name))[:1]
    if shape != wanted:
        raise ValueError(
            f"{name} must have shape {wanted}, one probability for each class; got "
            f"{shape or brief(values)}."
        )
    array = check_array(
        readable(values, name), ensure_2d=False, dtype=np.float64, input_name=name
    )
    if (array < 0).any() or not array.any():
        raise ValueError(
            f"{name} must be non-negative and not all zero; got {array.tolist()}."
        )
    return class_vector(values, matrix, name)


def class_positions(
    values: Any, name: str, n_classes: int, n_rows: int | None = None
) -> IntArray:
    """Labels as positions of classes.

    Parameters
    ----------
    values : int array-like of shape (n_rows,)
    name : str
        Its name in messages.
    n_classes : int
    n_rows : int, default=None
        None is any number.

    Raises
    ------
    ValueError
        If an entry is no integer from 0 to `n_classes` - 1, or there are not `n_rows`.
    """
    array = label_array(values, name)
    if array.dtype.kind not in "iu" and array.size:
        raise ValueError(
            f"{name} must hold positions of classes, integers from 0 to "
            f"{n_classes - 1}; got dtype {array.dtype}."
        )
    if n_rows not in (None, len(array)):
        raise ValueError(
            f"{name} must have shape ({n_rows},), an entry for each row; got "
            f"{array.shape}."
        )
    outside = (array < 0) | (array >= n_classes)
    if outside.any():
        raise ValueError(
            f"{name} must hold positions of classes, integers from 0 to "
            f"{n_classes - 1}; got {array[outside][0]}."
        )
    return array.astype(np.int64, copy=False)


def judged_rows(
    probabilities: Any, given: Any, weight: ArrayLike | None = None, Q: Any = None
) -> tuple[FloatArray, IntArray, FloatArray, Any]:
    """Probabilities of rows, their given labels and weights, and a matrix.

    Parameters
    ----------
    probabilities : array-like or DataFrame of shape (n_samples, n_classes)
    given : int array-like of shape (n_samples,)
    weight : array-like of shape (n_samples,), default=None
        None is all ones.
    Q : array-like or DataFrame of shape (n_classes, n_classes), default=None

    Raises
    ------
    ValueError
        The message names the argument.
    """
    probabilities = readable(probabilities, "probabilities")
    Q, probabilities = in_sorted_order({"Q": Q}, {"probabilities": probabilities})
    table = real_table(probabilities, "probabilities")
    check_probabilities(table, "probabilities", table.shape)
    codes = class_positions(given, "given", table.shape[1], len(table))
    if Q is not None:
        (Q,) = square_matrices(Q=Q)
        if len(Q) != table.shape[1]:
            raise ValueError(
                f"Q must have shape {(table.shape[1],) * 2}, for the columns of "
                f"probabilities; got {Q.shape}."
            )
    return table, codes, check_sample_weight(weight, len(table), "weight"), Q
