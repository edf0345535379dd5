"""Euclidean projection onto the probability simplex."""

import numpy as np

from sklearn_noisy._typing import BoolArray, FloatArray
from sklearn_noisy.noise._inputs import allowed_entries, real_table
from sklearn_noisy.noise._names import in_sorted_order

# Size of an entry from which on differences of 1 lose digits.
LARGE = 1e6


def project_rows(V: FloatArray, allowed: BoolArray | None = None) -> FloatArray:
    """Nearest probability distribution to each row.

    The projection of v is ``max(v - θ, 0)`` with the unique θ for which it sums to
    1. The sorted entries give θ in closed form [1]_.

    Parameters
    ----------
    V : ndarray of shape (n, m)
    allowed : bool ndarray of shape (n, m), default=None
        Entries that may be positive, at least one in each row; None is all.

    Returns
    -------
    ndarray of shape (n, m)

    References
    ----------
    .. [1] J. Duchi et al., "Efficient projections onto the l1-ball for learning
       in high dimensions", ICML 2008.
    """
    if allowed is not None:
        V = np.where(allowed, V, -np.inf)
    descending = np.sort(V, axis=1)[:, ::-1]
    # -inf, which marks an excluded entry, would make the sums infinite.
    finite = descending if allowed is None else np.maximum(descending, -1e300)
    excess = np.cumsum(finite, axis=1)
    excess -= 1
    counts = np.arange(1.0, V.shape[1] + 1)
    support = np.count_nonzero(descending * counts > excess, axis=1)
    theta = excess[np.arange(len(V)), support - 1] / support
    return np.maximum(V - theta[:, None], 0)


def project_columns(V: FloatArray, allowed: BoolArray | None = None) -> FloatArray:
    """Nearest probability distribution to each column.

    Parameters
    ----------
    V : ndarray of shape (n, m), or DataFrame with classes as index and columns
    allowed : bool ndarray of shape (n, m), default=None
        Entries that may be positive; None is all.

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    ValueError
        If an entry of `V` is no finite number, or `allowed` is no boolean array of its
        shape with at least one True in each column.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_noisy.noise import project_columns
    >>> project_columns(np.array([[0.9, 2.0], [0.5, 0.0]]))
    array([[0.7, 1. ],
           [0.3, 0. ]])
    """
    V, allowed = in_sorted_order({"V": V, "allowed": allowed})
    V = real_table(V, "V").astype(np.float64, copy=False)
    if allowed is not None:
        allowed = allowed_entries(allowed, V.shape)
    largest = np.where(True if allowed is None else allowed, V, -np.inf).max(axis=0)
    if (abs(largest) > LARGE).any():
        # The projection of v is that of v - c. Entries more than 1 below the largest
        # become 0.
        with np.errstate(over="ignore"):
            V = np.clip(V - largest, -2, 0)
    return project_rows(V.T, None if allowed is None else allowed.T).T
