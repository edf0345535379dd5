"""What a classifier checks and encodes before it trains."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_random_state, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, Dataset

from sklearn_noisy.nn import Rows

__all__ = [
    "TrainingData",
    "check_is_clean",
    "check_partial_fit_classes",
    "check_rows",
    "check_sample_weight",
    "encode_labels",
    "is_dataset",
    "own_generator",
    "stratified_holdout",
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


def class_weight_per_row(class_weight, data):
    """Factor for each row from the `class_weight` parameter."""
    if class_weight is None:
        return np.ones(len(data.y))
    if isinstance(class_weight, str) and class_weight != "balanced":
        raise ValueError(
            "class_weight must be None, 'balanced' or a dict {label: weight}; got "
            f"{class_weight!r}."
        )
    inside = ~data.is_outside
    labels = data.classes[data.y[inside]]
    if isinstance(class_weight, dict):
        if any(weight < 0 for weight in class_weight.values()):
            raise ValueError(
                f"class_weight must not hold negative weights; got {class_weight!r}."
            )
        sample_weight = None
    else:
        sample_weight = data.weight[inside]
    per_class = compute_class_weight(
        class_weight, classes=data.classes, y=labels, sample_weight=sample_weight
    )
    factors = np.ones(len(data.y))
    factors[inside] = per_class[data.y[inside]]
    return factors


def stratified_holdout(y, fraction, rng):
    """Mask of about ``fraction · n`` rows, each class in its proportion.

    Classes of a single row stay in the training part; so does at least one row
    of every class. (``StratifiedShuffleSplit`` refuses such data.)

    Parameters
    ----------
    y : int64 ndarray of shape (n_samples,)
    fraction : float in (0, 1)
    rng : numpy.random.RandomState

    Returns
    -------
    bool ndarray of shape (n_samples,)
        True for the rows that are held out.
    """
    counts = np.bincount(y)
    wanted = counts * fraction
    held = np.floor(wanted).astype(int)
    # Largest remainders; at random among equal ones.
    rest = np.lexsort((rng.random_sample(len(counts)), held - wanted))
    held[rest[: round(wanted.sum()) - held.sum()]] += 1
    held = np.minimum(held, np.maximum(counts - 1, 0))
    mask = np.zeros(len(y), dtype=bool)
    for k, n_held in enumerate(held):
        mask[rng.permutation(np.flatnonzero(y == k))[:n_held]] = True
    return mask
