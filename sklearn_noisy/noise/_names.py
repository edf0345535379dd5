"""Classes by name: one convention for the whole package.

A DataFrame names its classes, by its columns if it holds probabilities, by its index
and its columns if it is a matrix. They may be in any order. An array has no names: its
rows and columns are in the sorted order of the classes, as in ``predict_proba``, unless
an argument (`labels`) gives another order. Every array that is returned is in sorted
order.

A DataFrame whose axes are only numbered (0, 1, … in pandas, ``column_0``, … in polars)
has no names, unless the classes are these numbers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sklearn_noisy._labels import (
    label_array,
)
from sklearn_noisy._typing import ArrayLike, FloatArray, IntArray


def is_frame(table: Any) -> bool:
    """Whether an object is a DataFrame (of pandas or polars), not an array."""
    return hasattr(table, "columns") and hasattr(table, "shape")


def in_class_order(matrix: Any, classes: np.ndarray, name: str = "noise_matrix") -> Any:
    """A matrix with its rows and columns in the order of the classes.

    Parameters
    ----------
    matrix : array-like or DataFrame of shape (n_classes, n_classes)
        A DataFrame has the classes as its index and its columns, in any order;
        anything else is returned as it is.
    classes : ndarray of shape (n_classes,)
    name : str, default="noise_matrix"
        Its name in messages.

    Raises
    ------
    ValueError
        If a DataFrame has other classes.
    """
    if not is_frame(matrix):
        return matrix
    labels, positions = _match(matrix, classes, name, square=True)
    array = np.asarray(matrix)
    if positions is None:
        return array
    if "index" in labels:
        return array[np.ix_(positions["index"], positions["columns"])]
    if (positions["columns"] != np.arange(len(classes))).any():
        raise ValueError(
            f"{name} has its columns in another order than the classes, "
            f"{classes.tolist()}, and no index that names its rows; got the columns "
            f"{labels['columns']}. Give a pandas DataFrame with an index."
        )
    return array


def columns_in_class_order(table: Any, classes: np.ndarray, name: str) -> Any:
    """Probabilities with their columns in the order of the classes.

    Parameters
    ----------
    table : array-like or DataFrame of shape (n_samples, n_classes)
        A DataFrame has the classes as its columns, in any order; anything else is
        returned as it is.
    classes : ndarray of shape (n_classes,)
    name : str
        Its name in messages.

    Raises
    ------
    ValueError
        If a DataFrame has other classes.
    """
    if not is_frame(table):
        return table
    _, positions = _match(table, classes, name, square=False)
    array = np.asarray(table)
    return array if positions is None else array[:, positions["columns"]]


def in_sorted_order(
    matrices: Mapping[str, Any], probabilities: Mapping[str, Any] | None = None
) -> list[Any]:
    """Tables of the same classes, which only their names tell, in sorted order.

    Parameters
    ----------
    matrices, probabilities : dict of str to array-like or DataFrame
        By the name of the argument. None is passed through.

    Returns
    -------
    list
        First the matrices, then the probabilities. Arrays are returned as they are.

    Raises
    ------
    ValueError
        If a DataFrame has other classes than the first one, or a matrix has other
        classes as its index than as its columns.
    """
    probabilities = probabilities or {}
    tables = [*matrices.values(), *probabilities.values()]
    if not any(map(is_frame, tables)):
        return tables
    classes = named_classes(*matrices.values())
    if classes is None:
        classes = named_classes(*probabilities.values(), square=False)
    if classes is None:
        return [np.asarray(table) if is_frame(table) else table for table in tables]
    return [
        *(in_class_order(table, classes, name) for name, table in matrices.items()),
        *(
            columns_in_class_order(table, classes, name)
            for name, table in probabilities.items()
        ),
    ]


def named_classes(*tables: Any, square: bool = True) -> np.ndarray | None:
    """Sorted classes of the first DataFrame that names some; None if there is none.

    Parameters
    ----------
    *tables : object
    square : bool, default=True
        Whether the tables are matrices, whose index stands for classes as well.
    """
    for table in filter(is_frame, tables):
        axes = [*_axes(table, square=square).values()]
        if not all(map(_is_numbered, axes)):
            # Columns that were read from a file are text, the index is not.
            is_text = _positions(axes[-1], np.array(axes[0])) is not None
            return _sorted(axes[0] if is_text else axes[-1])
    return None


def class_vector(vector: Any, matrix: Any, name: str) -> FloatArray:
    """One number for each class of a matrix, in sorted order.

    Parameters
    ----------
    vector : array-like or Series of shape (n_classes,)
        A Series has the classes as its index, in any order.
    matrix : array-like or DataFrame of shape (n_classes, n_classes)
    name : str
        Its name in messages.

    Raises
    ------
    ValueError
        If a Series has other classes than a DataFrame, or one of them twice.
    """
    array = np.asarray(vector, dtype=np.float64)
    if not hasattr(vector, "iloc") or _is_numbered(labels := vector.index.tolist()):
        return array
    has_names = is_frame(matrix) and hasattr(matrix, "index")
    wanted = matrix.index.tolist() if has_names else labels
    positions = _positions(labels, _sorted(wanted))
    if positions is None:
        raise ValueError(
            f"{name} must have the classes {_sorted(wanted).tolist()} as its index; "
            f"got {labels}."
        )
    return array[positions]


def resolve_classes(
    found: np.ndarray,
    *,
    classes: ArrayLike | None = None,
    matrix: Any = None,
    probabilities: Any = None,
) -> np.ndarray:
    """All classes: those given, or those that a DataFrame names, or those that occur.

    Parameters
    ----------
    found : ndarray of shape (n_found,)
        Sorted labels that occur.
    classes : array-like of shape (n_classes,), default=None
        Sorted classes.
    matrix, probabilities : object, default=None
        Arguments that may be DataFrames. One that names other classes than those that
        occur as well counts.

    Returns
    -------
    ndarray of shape (n_classes,)
        Sorted.

    Raises
    ------
    ValueError
        If `classes` are not sorted.
    """
    if classes is not None:
        known = label_array(classes, "classes")
        if not np.array_equal(known, np.unique(known)):
            raise ValueError(
                f"classes must be sorted and differ; got {known.tolist()}."
            )
        return known
    for table, square in ((matrix, True), (probabilities, False)):
        if is_frame(table):
            for labels in _axes(table, square=square).values():
                if {*found.tolist()} < {*labels}:
                    return _sorted(labels, found)
    return found


def _axes(table: Any, *, square: bool) -> dict[str, list]:
    """Labels of the axes of a DataFrame that stand for classes."""
    axes = {"index": table.index.tolist()} if square and hasattr(table, "index") else {}
    return {**axes, "columns": list(table.columns)}  # polars has no index


def _is_numbered(labels: list) -> bool:
    numbers = range(len(labels))
    return labels in ([*numbers], [f"column_{k}" for k in numbers])


def _sorted(labels: list, like: np.ndarray | None = None) -> np.ndarray:
    """Names as an array of different, sorted classes, with the dtype of others."""
    is_object = like is not None and like.dtype == object
    return np.unique(np.array(labels, dtype=object if is_object else None))


def _match(
    table: Any, classes: np.ndarray, name: str, *, square: bool
) -> tuple[dict[str, list], dict[str, IntArray] | None]:
    """Labels of each axis, and the classes' positions there; None without names."""
    axes = _axes(table, square=square)
    found = {axis: _positions(labels, classes) for axis, labels in axes.items()}
    if all(part is None for part in found.values()) and all(
        map(_is_numbered, axes.values())
    ):
        return axes, None
    positions: dict[str, IntArray] = {}
    for axis, part in found.items():
        if part is None:
            raise ValueError(
                f"{name} must have the classes {classes.tolist()} as its {axis}; "
                f"got {axes[axis]}."
            )
        positions[axis] = part
    return axes, positions


def _positions(labels: list, classes: np.ndarray) -> IntArray | None:
    """Position of each class among the labels; None if these are not the classes.

    Column names of polars, and those read from a file, are text. They match the
    classes of which they are the text.
    """
    for names, wanted in _both_forms(labels, classes.tolist()):
        if len(names) == len(wanted) and {*names} == {*wanted}:
            where = {label: k for k, label in enumerate(names)}
            return np.array([where[label] for label in wanted], dtype=np.int64)
    return None


def _both_forms(labels: list, classes: list) -> Iterator[tuple[list, list]]:
    yield labels, classes
    yield [str(label) for label in labels], [str(label) for label in classes]
