"""Rows in memory, cut into batches by slicing tensors.

A ``DataLoader`` fetches row after row and stacks them; when all rows are in
memory anyway, one indexing operation per batch does the same.
"""

import warnings

import numpy as np
import torch
from scipy import sparse
from torch.utils.data import Dataset

__all__ = ["Rows", "TensorBatches", "root_mean_square"]

# What torch can index and cast; anything else numeric becomes float32 first.
_TORCH_DTYPES = {
    np.dtype(name)
    for name in (
        *("bool", "uint8", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64"),
    )
}


def _as_tensor(array):
    """Tensor that shares the array's memory wherever torch can."""
    if array.dtype not in _TORCH_DTYPES:
        # Other byte orders, uint16 and up, long double.
        wide = array.dtype.kind == "f" and array.dtype.itemsize >= 8
        array = array.astype(np.float64 if wide else np.float32)
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        # A read-only array (a memory map, say) is fine: nothing writes to it.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


class Rows(Dataset):
    """Samples with a target and a weight each.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...) or CSR matrix or array
    y : int64 ndarray of shape (n_samples,), default=None
        Encoded labels; None where there is nothing to learn (prediction).
    weight : ndarray of shape (n_samples,), default=None
        Weight of each row; None is 1.
    """

    def __init__(self, X, y=None, weight=None):
        n_samples = X.shape[0]
        self.X = X if sparse.issparse(X) else _as_tensor(X)
        self.y = torch.from_numpy(
            np.zeros(n_samples, dtype=np.int64) if y is None else y
        )
        self.weight = torch.from_numpy(
            np.ones(n_samples) if weight is None else np.asarray(weight, np.float64)
        )

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, index):
        """One row, in the form that ``DataLoader`` collates."""
        inputs, y = self.batch(torch.tensor([index]))
        return {name: value[0] for name, value in inputs.items()}, y[0]

    def batch(self, index):
        """Rows at `index` (int64 tensor or slice): ``(inputs, targets)``.

        `inputs` has the keys ``"X"`` (dense) and ``"weight"``.
        """
        if sparse.issparse(self.X):
            rows = index if isinstance(index, slice) else index.numpy()
            X = _as_tensor(self.X[rows].toarray())
        else:
            X = self.X[index]
        return {"X": X, "weight": self.weight[index]}, self.y[index]


def root_mean_square(rows, chunk_size=4096):
    """Root mean square of all entries of ``rows.X``, weighted by row; 1 for zeros.

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
        n_samples = len(self.dataset)
        order = torch.randperm(n_samples) if self.shuffle else None
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = slice(start, min(start + self.batch_size, n_samples))
            yield self.dataset.batch(chosen if order is None else order[chosen])
