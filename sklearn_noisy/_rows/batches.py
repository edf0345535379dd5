"""Rows, cut into batches by slicing tensors.

A ``DataLoader`` fetches row after row and stacks them; when all rows are in
memory anyway, one indexing operation per batch does the same.
"""

import copy

import numpy as np
import torch
from torch.utils.data import Dataset

from sklearn_noisy._rows.sources import as_source

__all__ = ["Rows", "TensorBatches", "root_mean_square"]


class Rows(Dataset):
    """Samples with a target and a weight each.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...), CSR matrix or array, Dataset or Rows
        Of a ``torch.utils.data.Dataset``, ``X[i]`` is a row, or a tuple that
        begins with one. Of other `Rows`, those that they hold.
    y : int64 ndarray of shape (n_samples,), default=None
        Encoded labels; None where there is nothing to learn (prediction).
    weight : ndarray of shape (n_samples,), default=None
        Weight of each row; None is 1.

    Attributes
    ----------
    y : int64 tensor of shape (n_samples,)
    weight : float64 tensor of shape (n_samples,)
    """

    def __init__(self, X, y=None, weight=None):
        is_rows = isinstance(X, Rows)
        self._source = X._source if is_rows else as_source(X)
        # Positions in the source; None is all of them.
        self._positions = X._positions if is_rows else None
        n_samples = len(self)
        self.y = torch.from_numpy(
            np.zeros(n_samples, dtype=np.int64) if y is None else y
        )
        self.weight = torch.from_numpy(
            np.ones(n_samples) if weight is None else np.asarray(weight, np.float64)
        )

    def __len__(self):
        return len(self._source if self._positions is None else self._positions)

    @property
    def row_shape(self):
        """Shape of one row, tuple of int."""
        return tuple(self._source.row_shape)

    @property
    def dtype(self):
        """Type of what a row holds, torch.dtype."""
        return self._source.dtype

    @property
    def device(self):
        """Where the rows are, torch.device."""
        return self._source.device

    def __getitem__(self, index):
        """One row, in the form that ``DataLoader`` collates."""
        inputs, y = self.batch(torch.tensor([index]))
        return {name: value[0] for name, value in inputs.items()}, y[0]

    def batch(self, index):
        """Rows at `index` (int64 tensor or slice): ``(inputs, targets)``.

        `inputs` has the keys ``"X"`` (dense) and ``"weight"``.
        """
        positions = index if self._positions is None else self._positions[index]
        inputs = {"X": self._source.take(positions), "weight": self.weight[index]}
        return inputs, self.y[index]

    def subset(self, index):
        """Some of the rows, which are not copied.

        Parameters
        ----------
        index : int64 or bool ndarray or tensor, or slice

        Returns
        -------
        Rows
        """
        if isinstance(index, np.ndarray):
            index = torch.from_numpy(np.ascontiguousarray(index))
        positions = self._positions
        if positions is None:
            positions = torch.arange(len(self._source), device=self.device)
        part = copy.copy(self)
        part._positions = positions[index]
        part.y, part.weight = self.y[index], self.weight[index]
        return part

    def original(self):
        """The rows in the form in which they came.

        Returns
        -------
        ndarray, CSR matrix or array, or Dataset
        """
        if self._positions is None:
            return self._source.part(slice(None))
        return self._source.part(self._positions)

    def at(self, device):
        """These rows on a device, if they lie in memory and it has the room.

        Parameters
        ----------
        device : str or torch.device

        Returns
        -------
        Rows
            Themselves if they stay.
        """
        source = self._source.at(device)
        if source is self._source:
            return self
        moved = copy.copy(self)
        moved._source = source
        moved.y, moved.weight = self.y.to(device), self.weight.to(device)
        if self._positions is not None:
            moved._positions = self._positions.to(device)
        return moved


def root_mean_square(rows, chunk_size=4096):
    """Root mean square of all entries of all rows, weighted by row; 1 for zeros.

    Parameters
    ----------
    rows : Rows
    chunk_size : int, default=4096
        Rows that are converted to floating point at a time, so that bytes stay
        bytes.

    Returns
    -------
    float
    """
    total = 0.0
    for start in range(0, len(rows), chunk_size):
        inputs, _ = rows.batch(slice(start, start + chunk_size))
        squares = inputs["X"].double().flatten(1).square().mean(dim=1)
        total += float(squares @ inputs["weight"])
    return (total / float(rows.weight.sum())) ** 0.5 or 1.0


class TensorBatches:
    """Iterate over :class:`Rows` in batches; skorch's ``iterator_train``.

    Parameters
    ----------
    dataset : Rows
    batch_size : int, default=128
    shuffle : bool, default=False
        Draw a new order for every pass, from torch's global generator (which
        the estimator seeds).
    drop_last : bool, default=False
        Leave out a last batch that is not full (unless it is the only one).
    """

    def __init__(self, dataset, batch_size=128, *, shuffle=False, drop_last=False):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last

    def __len__(self):
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + bool(rest and not (self.drop_last and full))

    def __iter__(self):
        rows = self.dataset
        if self.shuffle:  # drawn on the CPU: the same on every device
            rows = rows.subset(torch.randperm(len(rows)).to(rows.device))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield rows.batch(slice(start, min(start + self.batch_size, len(rows))))
