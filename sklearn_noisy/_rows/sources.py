"""Where rows come from: a tensor, a sparse matrix, a data set that reads them.

Whatever it is, it gives the dense tensor of a batch. Parts of the rows (a fold, what
early stopping holds out) are positions in one source, so nothing is copied.
"""

import warnings

import numpy as np
import torch
from scipy import sparse

__all__ = ["Source", "as_source"]

# What torch can index and cast; anything else numeric becomes float32 first.
_TORCH_DTYPES = {
    np.dtype(name)
    for name in (
        *("bool", "uint8", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64"),
    )
}

# Rows lie on a GPU if they take no more of its free memory than this: training needs
# the rest.
PART_OF_FREE_MEMORY = 0.5


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


def free_memory(device):
    """Bytes that are free on a GPU; 0 where rows need not or cannot move."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def as_source(X):
    """The source of what a user calls X.

    Parameters
    ----------
    X : ndarray, CSR matrix or array, or data set with ``len`` and integer positions

    Returns
    -------
    Source
    """
    if isinstance(X, np.ndarray):
        return TensorSource(_as_tensor(X))
    return SparseSource(X) if sparse.issparse(X) else DatasetSource(X)


class Source:
    """Rows at positions.

    Attributes
    ----------
    row_shape : tuple
    dtype : torch.dtype
    device : torch.device
    """

    device = torch.device("cpu")

    def __len__(self):
        raise NotImplementedError

    def take(self, positions):
        """Dense tensor of the rows at `positions`, int64 tensor or slice."""
        raise NotImplementedError

    def part(self, positions):
        """The rows at `positions` in the form in which they came, for others."""
        raise NotImplementedError

    def at(self, device):
        """The same rows on a device, or these if they had better stay."""
        return self


class TensorSource(Source):
    """Rows that lie in memory, or are mapped into it."""

    def __init__(self, X):
        self.X = X
        self._elsewhere = {}

    def __len__(self):
        return len(self.X)

    @property
    def row_shape(self):
        return tuple(self.X.shape[1:])

    @property
    def dtype(self):
        return self.X.dtype

    @property
    def device(self):
        return self.X.device

    def take(self, positions):
        return self.X[positions]

    def part(self, positions):
        return self.X[positions].numpy()

    def at(self, device):
        """A copy on a GPU that has the room; the second time it is there already."""
        device = torch.device(device)
        if device not in self._elsewhere:
            if self.X.nbytes > PART_OF_FREE_MEMORY * free_memory(device):
                return self  # not kept: a reference to itself would keep the rows
            self._elsewhere[device] = TensorSource(self.X.to(device))
        return self._elsewhere[device]


class SparseSource(Source):
    """Rows of a CSR matrix, made dense batch by batch."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return self.X.shape[0]

    @property
    def row_shape(self):
        return self.X.shape[1:]

    @property
    def dtype(self):
        return _as_tensor(np.empty(0, self.X.dtype)).dtype

    def part(self, positions):
        return self.X[positions if isinstance(positions, slice) else positions.numpy()]

    def take(self, positions):
        return _as_tensor(self.part(positions).toarray())


class DatasetSource(Source):
    """Rows that a data set reads when they are asked for.

    Parameters
    ----------
    X : torch.utils.data.Dataset or the like
        ``X[i]`` is a row, or a tuple that begins with one.
    """

    def __init__(self, X):
        self.X = X
        first = self._read([0])
        self.row_shape = tuple(first.shape[1:])
        self.dtype = first.dtype

    def __len__(self):
        return len(self.X)

    def _read(self, positions):
        many = getattr(self.X, "__getitems__", None)
        items = many(positions) if many else [self.X[i] for i in positions]
        rows = [item[0] if isinstance(item, tuple) else item for item in items]
        return torch.stack(
            [
                row if isinstance(row, torch.Tensor) else _as_tensor(np.asarray(row))
                for row in rows
            ]
        )

    def take(self, positions):
        if isinstance(positions, slice):
            return self._read(list(range(len(self))[positions]))
        return self._read(positions.tolist())

    def part(self, positions):
        if isinstance(positions, slice):
            positions = range(len(self))[positions]
        return torch.utils.data.Subset(self.X, list(map(int, positions)))
