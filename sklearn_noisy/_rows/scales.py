"""Center and scale of the inputs of the default network, from the rows of a fit.

Pixels have one unit, and a scale of their own for each column would amplify those that
are rarely different from 0. Columns of a table have units of their own. The two are
told apart by the columns themselves.
"""

import math
from dataclasses import dataclass

import torch

from sklearn_noisy._rows.rows import LabelledRows, TensorSource, root_mean_square

# Scale of a constant column: it becomes 0, also in rows where it differs.
CONSTANT = 1e30


@dataclass(frozen=True)
class Units:
    """When columns have one unit; chosen on tables and images that ship with \
    scikit-learn.

    Attributes
    ----------
    smallest_share : float
        The median of the columns' root mean squares must be at least this part of the
        root mean square of all entries. Else a few columns dominate.
    smallest_spread : float
        The variance of the columns must be at least this part of their mean square.
        Else their differences are small beside what all rows have in common.
    most_entries : int
        Rows of so many entries, evenly spaced, are enough for the statistics. It limits
        memory.
    """

    smallest_share: float = 0.1
    smallest_spread: float = 0.01
    most_entries: int = 2**24


UNITS = Units()


def input_scaling(
    data: LabelledRows,
) -> tuple[torch.Tensor | None, float | torch.Tensor]:
    """Center and scale of the inputs.

    Parameters
    ----------
    data : LabelledRows

    Returns
    -------
    center : float64 tensor of shape (n_features,) or None
        Weighted medians of the columns. None if the columns have one unit, or are not
        those of a dense table.
    scale : float or float64 tensor of shape (n_features,)
        Weighted interquartile ranges of the columns; half of the range where that is
        0. One number, the root mean square of all entries, without a center.
    """
    source = data.rows.source
    if not isinstance(source, TensorSource) or len(source.row_shape) != 1:
        return None, root_mean_square(data)
    step = math.ceil(len(data) * max(1, source.row_shape[0]) / UNITS.most_entries)
    rows = slice(0, len(data), step)
    X, weight = data.rows.take(rows).double(), data.weight[rows]
    weight = weight / weight.sum()
    # A power of two, so that squares neither overflow nor lose digits.
    unit = 2.0 ** max(math.frexp(float(X.abs().max()))[1] - 1, -1022)
    if have_one_unit(X / unit, weight):
        return None, root_mean_square(data)
    return _robust(X, weight)


def have_one_unit(X: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether one scale suits all columns.

    Parameters
    ----------
    X : float64 tensor of shape (n_samples, n_features)
        Entries below 2.
    weight : float64 tensor of shape (n_samples,)
        With sum 1.
    """
    square = weight @ X.square()
    variance = weight @ (X - weight @ X).square()
    varies = variance > 1e-12 * square
    if not varies.any():
        return True
    share = square[varies].median().sqrt() / square.mean().sqrt()
    spread = variance[varies].mean() / square[varies].mean()
    return bool(share >= UNITS.smallest_share and spread >= UNITS.smallest_spread)


def _robust(X: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted medians and interquartile ranges of the columns."""
    ordered, order = X.sort(dim=0)
    below = weight[order].cumsum(dim=0)

    def quantile(part: float) -> torch.Tensor:
        # The smallest entry up to which the rows have this part of the weight: a row of
        # weight k is k rows. (The tolerance is for the rounding of the sums.)
        position = (below < part - 1e-12).sum(dim=0).clamp_max(len(X) - 1)
        return ordered.gather(0, position[None])[0]

    center, scale = quantile(0.5), quantile(0.75) - quantile(0.25)
    # Differences of halves: the range of float64 itself would overflow.
    half_range = ordered[-1] / 2 - ordered[0] / 2
    scale = torch.where(scale > 0, scale, half_range)
    return center, torch.where(scale > 0, scale, CONSTANT)
