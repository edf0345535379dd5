"""Rows: where they are stored, views of them, batches, and the data of a training.

A source stores rows: a tensor, a sparse matrix, or a data set that reads them on
request. `Rows` is a view of a source, `LabelledRows` adds a target and a weight to
each row, and `TrainingData` is what an estimator knows of the rows of a fit. Folds and
held-out rows are views, so no row is copied.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import Dataset as SkorchDataset
from torch.utils.data import Dataset, Subset

from sklearn_noisy._splits import stratified_holdout

#: A batch: ``{"X": dense rows, "weight": their weights, "target": what the criterion
#: compares with}`` and the encoded labels.
Batch = tuple[dict[str, torch.Tensor], torch.Tensor]
Positions = torch.Tensor | slice

# Types that torch can index and cast. Any other numeric type is converted.
_TORCH_DTYPES = {
    np.dtype(name)
    for name in (
        *("bool", "uint8", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64"),
    )
}


@dataclass(frozen=True)
class Limits:
    """Limits of memory; chosen, not tuned.

    Attributes
    ----------
    gpu_fraction : float
        Rows move to a GPU if they take at most this fraction of its free memory.
        Training needs the rest.
    chunk_size, chunk_entries : int
        Rows, and entries, that are converted to float64 at a time for a statistic.
    """

    gpu_fraction: float = 0.5
    chunk_size: int = 4096
    chunk_entries: int = 2**25


LIMITS = Limits()


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    """Tensor that shares the array's memory wherever torch can."""
    if array.dtype.kind not in "biufO":
        raise ValueError(f"X must hold numbers; got an array of dtype {array.dtype}.")
    if array.dtype not in _TORCH_DTYPES:
        # Other byte orders, uint16 and wider unsigned integers, long double.
        wide = array.dtype.kind == "f" and array.dtype.itemsize >= 8
        given = array
        with np.errstate(over="ignore"):
            array = array.astype(np.float64 if wide else np.float32)
        if wide and (np.isinf(array) & np.isfinite(given)).any():
            raise ValueError(
                "X holds values that are too large for float64: up to "
                f"{np.abs(given).max()!s}. Scale X."
            )
    if min(array.strides, default=0) < 0:  # torch knows no negative strides
        array = array.copy()
    if not array.flags.writeable:
        array = np.asarray(_Writable(array))
    with torch.inference_mode(mode=False):  # rows outlive the mode of the caller
        return torch.from_numpy(array)


class _Writable:
    """The memory of a read-only array, such as a memory map, without that mark.

    torch knows no read-only tensors and warns of them. Nothing writes to the rows.
    """

    def __init__(self, array: np.ndarray):
        self.array = array  # owns the memory
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def free_memory(device: torch.device) -> int:
    """Free bytes of a GPU; 0 for a device to which rows cannot move."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


class Source:
    """Storage of rows.

    Attributes
    ----------
    n_rows : int
    row_shape : tuple of int
    dtype : torch.dtype
        Of the entries of a row.
    device : torch.device
    """

    n_rows: int
    row_shape: tuple[int, ...]
    dtype: torch.dtype
    device = torch.device("cpu")

    def take(self, positions: Positions) -> torch.Tensor:
        """Dense tensor of the rows at `positions`."""
        raise NotImplementedError

    def part(self, positions: Positions) -> Any:
        """The rows at `positions` in the form that the user gave."""
        raise NotImplementedError

    def on(self, device: torch.device) -> Source:
        """The same rows on a GPU; these rows if they stay where they are."""
        return self

    @cached_property
    def largest(self) -> float | None:
        """Largest absolute value of all rows; None if they are read on request."""
        return None


class TensorSource(Source):
    """Rows in memory, or in a memory map."""

    def __init__(self, X: torch.Tensor):
        self.X = X
        self.n_rows = len(X)
        self.row_shape = tuple(X.shape[1:])
        self.dtype, self.device = X.dtype, X.device
        self.copies: dict[torch.device, TensorSource] = {}

    @cached_property
    def largest(self) -> float | None:
        """Largest absolute value of all rows."""
        if self.dtype == torch.bool or not self.X.numel():
            return 1.0
        low, high = torch.aminmax(self.X)  # -low of an integer could overflow
        return max(abs(float(low)), abs(float(high)))

    def take(self, positions: Positions) -> torch.Tensor:
        """A view for a slice, else a copy."""
        return self.X[positions]

    def part(self, positions: Positions) -> np.ndarray:
        """An array."""
        return self.X[positions].numpy()

    def on(self, device: torch.device) -> Source:
        """A copy on a GPU that has enough memory; it is made once."""
        if device not in self.copies:
            if self.X.nbytes > LIMITS.gpu_fraction * free_memory(device):
                return self  # not stored: a cycle of references would keep the rows
            self.copies[device] = TensorSource(self.X.to(device))
        return self.copies[device]


class SparseSource(Source):
    """Rows of a CSR matrix, made dense batch by batch."""

    def __init__(self, X: Any):
        self.X = X
        self.n_rows = X.shape[0]
        self.row_shape = X.shape[1:]
        self.dtype = _as_tensor(np.empty(0, X.dtype)).dtype

    @cached_property
    def largest(self) -> float | None:
        """Largest absolute value of all rows."""
        return float(np.abs(self.X.data.astype(np.float64)).max(initial=0))

    def take(self, positions: Positions) -> torch.Tensor:
        """Dense rows."""
        return _as_tensor(self.part(positions).toarray())

    def part(self, positions: Positions) -> Any:
        """A CSR matrix."""
        return self.X[positions if isinstance(positions, slice) else positions.numpy()]


def _index_in_whole(X: Any, index: int) -> int:
    """Index of a row of a subset in the data set that it is a subset of."""
    while isinstance(X, Subset):
        X, index = X.dataset, X.indices[index]
    return index


def _row_of(item: Any, X: Any, index: int) -> torch.Tensor:
    """The row in the item at `index` of a data set.

    Raises
    ------
    TypeError
        If there is none.
    """
    row = item[0] if isinstance(item, tuple) and item else item
    if isinstance(row, torch.Tensor):
        return row
    reason = ""
    try:
        array = np.asarray(row)
        if array.dtype.kind in "biuf" or (array.dtype == object and array.ndim):
            return _as_tensor(array)
    except (ValueError, TypeError) as error:  # a list of arrays and labels, say
        reason = f" ({error})"
    raise TypeError(
        "X must be a data set of rows that are numeric arrays or tensors, or of tuples "
        f"that begin with one; its row {_index_in_whole(X, index)} is of type "
        f"{type(row).__name__}{reason}. A Dataset of your own around it can select the "
        "array."
    )


class DatasetSource(Source):
    """Rows that a data set reads on request.

    Parameters
    ----------
    X : torch.utils.data.Dataset or the like
        ``X[i]`` is a row, or a tuple whose first entry is one.
    """

    def __init__(self, X: Any):
        self.X = X
        self.n_rows = len(X)
        first = self.take(slice(0, 1))
        self.row_shape, self.dtype = tuple(first.shape[1:]), first.dtype

    def _indices(self, positions: Positions) -> list[int]:
        if isinstance(positions, slice):
            return list(range(self.n_rows)[positions])
        return positions.tolist()

    def take(self, positions: Positions) -> torch.Tensor:
        """Rows read and stacked."""
        indices = self._indices(positions)
        many = getattr(self.X, "__getitems__", None)
        items = many(indices) if many else [self.X[i] for i in indices]
        rows = []
        for item, index in zip(items, indices, strict=True):
            rows.append(_row_of(item, self.X, index))
            if rows[-1].shape != rows[0].shape:
                raise ValueError(
                    "X must hold rows of one shape; its row "
                    f"{_index_in_whole(self.X, indices[0])} has shape "
                    f"{tuple(rows[0].shape)}, its row {_index_in_whole(self.X, index)} "
                    f"has shape {tuple(rows[-1].shape)}."
                )
        stacked = torch.stack(rows)
        if not stacked.isfinite().all():
            finite = stacked.isfinite().reshape(len(rows), -1).all(dim=1)
            index = indices[int(finite.int().argmin())]
            raise ValueError(
                "X must hold finite numbers; there is NaN or infinity in its row "
                f"{_index_in_whole(self.X, index)}."
            )
        return stacked

    def part(self, positions: Positions) -> Subset:
        """A subset of the data set."""
        return Subset(self.X, self._indices(positions))


class Rows(Dataset):
    """View of the rows of a source.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...), CSR matrix or array, or Dataset
        Of a ``torch.utils.data.Dataset``, ``X[i]`` is a row, or a tuple whose first
        entry is one.

    Attributes
    ----------
    source : Source
    positions : int64 tensor of shape (n_samples,) or None
        Which rows of the source these are; None is all of them.
    """

    positions: torch.Tensor | None = None

    def __init__(self, X: Any):
        self.source: Source
        if isinstance(X, np.ndarray):
            self.source = TensorSource(_as_tensor(X))
        else:
            self.source = SparseSource(X) if sparse.issparse(X) else DatasetSource(X)

    def __len__(self) -> int:
        return self.source.n_rows if self.positions is None else len(self.positions)

    def __getitem__(self, index: Any) -> torch.Tensor:
        """One row for an integer, else rows: of a slice, positions or a mask."""
        if isinstance(index, slice):
            return self.take(index)
        if np.ndim(index) == 0:
            return self.take(torch.tensor([int(index)]))[0]
        return self.take(torch.as_tensor(index))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all rows as one array."""
        return (len(self), *self.source.row_shape)

    @property
    def ndim(self) -> int:
        """Number of axes of that array."""
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows, dense."""
        rows = self.take(slice(None)).cpu().numpy()
        return np.array(rows, dtype=dtype, copy=copy)

    def take(self, index: Positions) -> torch.Tensor:
        """Dense tensor of the rows at `index`."""
        positions = index if self.positions is None else self.positions[index]
        return self.source.take(positions)

    def subset(self, index: np.ndarray | Positions) -> Rows:
        """View of some of the rows.

        Parameters
        ----------
        index : int64 or bool ndarray or tensor, or slice
        """
        if isinstance(index, np.ndarray):
            index = torch.from_numpy(np.ascontiguousarray(index))
        positions = self.positions
        if positions is None:
            positions = torch.arange(self.source.n_rows, device=self.source.device)
        part = copy.copy(self)
        part.positions = positions[index]
        return part

    def original(self) -> Any:
        """The rows in the form that the user gave: array, CSR matrix or Dataset."""
        return self.source.part(
            slice(None) if self.positions is None else self.positions
        )

    def moved_to(self, source: Source) -> Rows:
        """The same rows of a copy of the source on another device."""
        moved = copy.copy(self)
        moved.source = source
        if self.positions is not None:
            moved.positions = self.positions.to(source.device)
        return moved


class LabelledRows(SkorchDataset):
    """Rows with a label, a target and a weight each: a data set of skorch.

    Callbacks see the labels. Only the criterion knows what a target means.

    Parameters
    ----------
    rows : Rows
    labels : int64 ndarray of shape (n_samples,), default=None
        Encoded labels; None for prediction.
    weight : ndarray of shape (n_samples,), default=None
        None is 1.
    targets : ndarray or tensor of shape (n_samples,) or (n_samples, n_classes), \
            default=None
        What the criterion compares with; None is the labels.

    Attributes
    ----------
    labels : int64 tensor of shape (n_samples,)
    targets : tensor of shape (n_samples,) or (n_samples, n_classes)
    weight : float64 tensor of shape (n_samples,)
    """

    def __init__(
        self,
        rows: Rows,
        labels: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        targets: np.ndarray | torch.Tensor | None = None,
    ):
        self.rows = rows
        if labels is None:
            labels = np.zeros(len(rows), dtype=np.int64)
        self.labels = torch.as_tensor(labels)
        self.targets = torch.as_tensor(labels if targets is None else targets)
        self.weight = torch.as_tensor(
            np.ones(len(rows)) if weight is None else np.asarray(weight, np.float64)
        )

    @property
    def X(self) -> Any:
        """The rows in the form that the user gave: array, CSR matrix or Dataset."""
        return self.rows.original()

    @property
    def y(self) -> np.ndarray:
        """Encoded labels, int64 ndarray of shape (n_samples,)."""
        return self.labels.cpu().numpy()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows as one array."""
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch:
        """One row, in the form that ``DataLoader`` collates.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"iterator_train or iterator_valid asks for row {index}, but there are "
                f"{len(self)} rows: a sampler must be made for the rows of a training, "
                "without those that are held out."
            )
        inputs, y = self.batch(torch.tensor([index]))
        return {name: value[0] for name, value in inputs.items()}, y[0]

    def batch(self, index: Positions) -> Batch:
        """The rows at `index` as a batch."""
        inputs = {
            "X": self.rows.take(index),
            "weight": self.weight[index],
            "target": self.targets[index],
        }
        return inputs, self.labels[index]

    def subset(self, index: Positions) -> LabelledRows:
        """View of some of the rows."""
        part = copy.copy(self)
        part.rows = self.rows.subset(index)
        part.labels, part.targets = self.labels[index], self.targets[index]
        part.weight = self.weight[index]
        return part

    def at(self, device: str | torch.device) -> LabelledRows:
        """These rows on a device; themselves if they stay where they are."""
        device, source = torch.device(device), self.rows.source
        there = source if device == source.device else source.on(device)
        if there is source:
            return self
        moved = copy.copy(self)
        moved.rows = self.rows.moved_to(there)
        moved.labels, moved.targets = self.labels.to(device), self.targets.to(device)
        moved.weight = self.weight.to(device)
        return moved


def _chunks(rows: Rows | LabelledRows, row_shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of rows that are converted to float64 at a time."""
    width = max(1, math.prod(row_shape))
    step = min(LIMITS.chunk_size, max(1, LIMITS.chunk_entries // width))
    for start in range(0, len(rows), step):
        yield slice(start, start + step)


def root_mean_square(data: LabelledRows) -> float:
    """Root mean square of all entries of all rows, weighted by row; 1 for zeros."""
    found = _root_mean_square(data, 1.0)
    if 1e-150 < found < math.inf:
        return found
    # The squares were too large or too small for float64.
    largest = 0.0
    for part in _chunks(data, data.shape[1:]):
        largest = max(largest, float(data.rows.take(part).double().abs().max()))
    if not 0 < largest < math.inf:  # all zeros; or a data set holds no numbers
        return found or 1.0
    # A power of two near the largest entry, not below 2**-1022.
    unit = 2.0 ** max(math.frexp(largest)[1] - 1, -1022)
    return (_root_mean_square(data, unit) or 1.0) * unit


def _root_mean_square(data: LabelledRows, unit: float) -> float:
    """Root mean square in multiples of `unit`."""
    total = 0.0
    for part in _chunks(data, data.shape[1:]):
        inputs, _ = data.batch(part)
        entries = inputs["X"].double().flatten(1)
        squares = (entries / unit if unit != 1 else entries).square().mean(dim=1)
        total += float(squares @ inputs["weight"])
    return (total / float(data.weight.sum())) ** 0.5


def check_range(rows: Rows, dtype: torch.dtype) -> None:
    """Raise unless the values of all rows are finite in a type.

    Values that a data set reads on request are not checked.

    Parameters
    ----------
    rows : Rows
    dtype : torch.dtype
        Floating-point type to which the rows are cast.

    Raises
    ------
    ValueError
        If a value overflows.
    """
    limit, own = torch.finfo(dtype).max, rows.source.dtype
    widest = torch.finfo(own).max if own.is_floating_point else 2.0**64
    if widest <= limit:  # no value can overflow
        return
    largest = rows.source.largest
    if largest is None or largest <= limit:
        return
    # Perhaps it is in a row that is not used.
    for part in _chunks(rows, rows.source.row_shape):
        sizes = rows.take(part).double().abs().flatten(1).amax(dim=1)
        if float(sizes.max()) > limit:
            row = int(sizes.argmax())
            raise ValueError(
                f"X holds values that are too large for {str(dtype)[6:]}, in which the "
                f"network computes: {float(sizes[row]):.3g} in row {part.start + row} "
                f"(the limit is {limit:.3g}). Scale X, or use a wider type."
            )


class TensorBatches:
    """Iterate over rows in batches, by one indexing operation a batch.

    A ``DataLoader`` fetches row after row and stacks them, which costs more than the
    training step of a small network. This is the default of `iterator_train`.

    Parameters
    ----------
    dataset : LabelledRows
    batch_size : int, default=128
    shuffle : bool, default=False
        Draw a new order for every pass, from torch's global generator (which
        the estimator seeds).
    drop_last : bool, default=False
        Leave out a last batch that is not full (unless it is the only one).

    Attributes
    ----------
    joins_single : bool
        Whether a last batch of a single row becomes a part of the batch before it.
    """

    joins_single = False

    def __init__(
        self,
        dataset: LabelledRows,
        batch_size: int = 128,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        joined = self.drop_last or (self.joins_single and rest == 1)
        return full + bool(rest and not (joined and full))

    def __iter__(self) -> Iterator[Batch]:
        rows = self.dataset
        if self.shuffle:  # drawn on the CPU: the same order on every device
            order = torch.randperm(len(rows))
            rows = rows.subset(order.to(rows.labels.device))
        n_batches, size = len(self), self.batch_size
        for number in range(n_batches):
            stop = min((number + 1) * size, len(rows))
            if number == n_batches - 1 and not self.drop_last:
                stop = len(rows)
            yield rows.batch(slice(number * size, stop))


@dataclass(frozen=True)
class TrainingData:
    """Checked, encoded rows of positive weight.

    Attributes
    ----------
    rows : Rows
    y : int64 ndarray of shape (n_samples,)
        Indices into `classes`; ``n_classes`` for a row that belongs to none.
    targets : int64 ndarray of shape (n_samples,)
        What the criterion compares with: `y`, or the codes of the noise layer.
    weight : ndarray of shape (n_samples,)
        Sample weight times class weight.
    sample_weight : ndarray of shape (n_samples,)
        The sample weight alone.
    classes : ndarray of shape (n_classes,)
    is_clean : bool ndarray of shape (n_samples,)
        Whether the label is known to be right.
    is_noisy : bool ndarray of shape (n_samples,)
        Whether the label may be wrong. Rows that are neither belong to no class.
    kept : bool ndarray of shape (n_rows,)
        Which of the caller's rows these are; the others have weight 0.
    noisy_weight : float, default=1.0
        Weight of a noisy row in training, relative to that of a clean one.
    y_given : int64 ndarray of shape (n_samples,) or None
        Given label of each clean row before it was checked; -1 for other rows. None if
        these labels are unknown.
    """

    rows: Rows
    y: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    sample_weight: np.ndarray
    classes: np.ndarray
    is_clean: np.ndarray
    is_noisy: np.ndarray
    kept: np.ndarray
    noisy_weight: float = 1.0
    y_given: np.ndarray | None = None

    def subset(self, index: np.ndarray) -> TrainingData:
        """The rows of a mask or of indices."""
        return replace(
            self,
            rows=self.rows.subset(index),
            y=self.y[index],
            targets=self.targets[index],
            weight=self.weight[index],
            sample_weight=self.sample_weight[index],
            is_clean=self.is_clean[index],
            is_noisy=self.is_noisy[index],
            y_given=None if self.y_given is None else self.y_given[index],
        )

    def labelled(self, *, training: bool = True) -> LabelledRows:
        """What a net trains on or is validated on.

        The weights have mean 1, so that they do not change the step size. In training
        noisy rows weigh `noisy_weight` times as much.
        """
        weight = self.weight / self.weight.mean()
        if training and self.noisy_weight != 1:
            weight[self.is_noisy] *= self.noisy_weight
        return LabelledRows(self.rows, self.y, weight, self.targets)

    def hold_out(self, fraction: float, rng: np.random.RandomState) -> FitData:
        """Training rows and validation rows, each class in its proportion.

        All outside rows are training rows. Clean and noisy rows of a class are held
        out in equal proportion.

        Raises
        ------
        ValueError
            If no row of positive weight is held out.
        """
        held = np.zeros(len(self.y), dtype=bool)
        inside = np.flatnonzero(self.is_clean | self.is_noisy)
        strata = (self.y + len(self.classes) * self.is_clean)[inside]
        held[inside] = stratified_holdout(strata, fraction, rng)
        if not self.weight[held].any():  # a class weight may be 0
            raise ValueError(
                f"validation_fraction={fraction} of {len(self.y)} rows leaves no "
                "validation row of positive weight. Raise it, or set "
                "early_stopping=False."
            )
        return FitData(self, self.subset(~held), self.subset(held))


@dataclass(frozen=True)
class FitData:
    """Rows of one call of ``fit``.

    Attributes
    ----------
    everything, train : TrainingData
        All rows, and those that train.
    valid : TrainingData or None
        Rows that are held out for early stopping.
    """

    everything: TrainingData
    train: TrainingData
    valid: TrainingData | None
