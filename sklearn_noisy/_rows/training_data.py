"""What a classifier checks and encodes before it trains."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils.validation import (
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, Dataset

from sklearn_noisy._rows.batches import Rows

__all__ = [
    "TrainingData",
    "check_rows",
    "is_dataset",
]


@dataclass
class TrainingData:
    """Checked, encoded rows; those of weight zero are left out.

    Attributes
    ----------
    X : Rows
        Without labels or weights.
    y : int64 ndarray of shape (n_samples,)
        Indices into `classes`; ``n_classes`` for a row that belongs to none.
    weight : ndarray of shape (n_samples,)
        Sample weight times class weight.
    classes : ndarray of shape (n_classes,)
    is_clean : bool ndarray of shape (n_samples,)
        Whether the label is known to be right.
    sample_weight : ndarray of shape (n_samples,)
        The sample weight alone.
    kept : bool ndarray of shape (n_rows,) or None
        Which of the rows that came these are; None for a part of them.
    """

    X: Rows
    y: np.ndarray
    weight: np.ndarray
    classes: np.ndarray
    is_clean: np.ndarray
    sample_weight: np.ndarray
    kept: np.ndarray | None = None

    @property
    def n_classes(self):
        return len(self.classes)

    @property
    def row_shape(self):
        return self.X.row_shape

    @property
    def is_outside(self):
        """Mask of the rows that belong to none of the classes."""
        return self.y == self.n_classes

    @property
    def is_noisy(self):
        """Mask of the rows whose label may be wrong."""
        return ~self.is_clean & ~self.is_outside

    def subset(self, rows):
        """The rows of a mask or of indices."""
        return TrainingData(
            self.X.subset(rows),
            self.y[rows],
            self.weight[rows],
            self.classes,
            self.is_clean[rows],
            self.sample_weight[rows],
        )

    def without_class_weight(self):
        """The same rows with their sample weights."""
        return replace(self, weight=self.sample_weight)


def is_dataset(X):
    """Whether `X` reads its rows when they are asked for, and is no array."""
    return isinstance(X, (Dataset, SliceDataset))


def check_rows(estimator, X, y="no_validation", *, reset):
    """Checked rows, and labels if there are any.

    Of a data set one row is looked at, the others when they are trained with.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_``, and ``feature_names_in_`` of a DataFrame.
    X : {array-like, sparse matrix, Dataset or Rows} of shape (n_samples, ...)
    y : array-like of shape (n_samples,), default="no_validation"
        As of ``validate_data``: by default there are none.
    reset : bool
        Whether these are the first rows, which the others must be like.

    Returns
    -------
    rows : Rows
    y : ndarray of shape (n_samples,)
        Only with `y`.
    """
    if isinstance(X, DataLoader):
        raise TypeError(
            "X must be an array or a data set, not a DataLoader. Give its dataset as "
            "X; iterator_train=torch.utils.data.DataLoader loads it with workers."
        )
    has_labels = not (isinstance(y, str) and y == "no_validation")
    check = _check_dataset if is_dataset(X) else _check_array
    rows, *labels = check(estimator, X, *([y] if has_labels else []), reset=reset)
    if reset:
        estimator._row_shape = rows.row_shape
    else:
        _check_row_shape(estimator, rows.row_shape)
    return (rows, *labels) if has_labels else rows


def _check_array(estimator, X, *labels, reset):
    if not reset and hasattr(X, "shape"):
        images = max(len(X.shape), len(estimator._row_shape) + 1) > 2
        if images:  # scikit-learn would count along one axis
            _check_row_shape(estimator, tuple(X.shape[1:]))
    checked = validate_data(
        estimator, X, *labels, reset=reset, accept_sparse="csr", allow_nd=True
    )
    X, *labels = checked if labels else [checked]
    return Rows(X.sorted_indices() if sparse.issparse(X) else X), *labels


def _check_dataset(estimator, X, *labels, reset):
    if not len(X):
        raise ValueError("X is a data set of 0 rows; a minimum of 1 is required.")
    rows = Rows(X)
    if not rows.row_shape:
        raise ValueError(
            "X must be a data set of rows that are arrays, or of tuples that begin "
            f"with one; its first row is {X[0]!r}. (SliceDataset takes the first of "
            "each row: there they must be tuples.)"
        )
    if not reset:
        _check_row_shape(estimator, rows.row_shape)
    first = rows.batch(slice(0, 1))[0]["X"]
    validate_data(estimator, first.numpy(), reset=reset, allow_nd=True)
    labels = [column_or_1d(y, warn=True) for y in labels]
    check_consistent_length(rows, *labels)
    return rows, *labels


def _check_row_shape(estimator, shape):
    expected = tuple(estimator._row_shape)
    if shape != expected:
        raise ValueError(
            f"X has rows of shape {shape}, but {type(estimator).__name__} was fitted "
            f"on rows of shape {expected}."
        )
