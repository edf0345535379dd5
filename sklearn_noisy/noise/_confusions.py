r"""Confusions :math:`P(\text{predicted } k \mid \text{label } j)` from predictions.

Each prediction is a row of probabilities; a predicted label is a row of zeros and a
one. The confusion of a label is the mean of its rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from sklearn_noisy._typing import FloatArray, IntArray
from sklearn_noisy.noise._likelihood import SMALLEST

# Number of rows that the pooled variance counts as: our choice.
POOLED_ROWS = 5


@dataclass(frozen=True)
class Confusion:
    """Weighted sums from which a confusion is computed; those of two sets of rows add.

    Attributes
    ----------
    total : ndarray of shape (n_classes, n_classes)
        ``total[k, j]``: weight of prediction k among the rows of label j.
    square : ndarray of shape (n_classes,)
        Weighted sum of the squared predictions of a label's rows.
    weight : ndarray of shape (n_classes,)
        Weight of the rows of each label.
    weight_square : ndarray of shape (n_classes,)
        Sum of the squared weights.
    """

    total: FloatArray
    square: FloatArray
    weight: FloatArray
    weight_square: FloatArray

    def __add__(self, other: "Confusion") -> "Confusion":
        names = [field.name for field in fields(self)]
        return Confusion(*(getattr(self, n) + getattr(other, n) for n in names))

    @property
    def matrix(self) -> FloatArray:
        """Confusion, its columns summing to 1; NaN for a label without rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.weight

    @property
    def variance(self) -> FloatArray:
        """Sampling variance of each column, summed over its entries.

        The variance of a row's prediction is averaged with that of all labels, which
        counts as `POOLED_ROWS` rows: few rows determine a variance poorly.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            n_effective = self.weight**2 / self.weight_square
            spread = self.square - (self.total**2).sum(axis=0) / self.weight
            per_row = spread / self.weight * n_effective / (n_effective - 1)
        seen = self.weight > 0
        known = seen & (n_effective > 1)
        if not known.any():
            return np.where(seen, 1.0, np.inf)
        share = n_effective[known] - 1
        pooled = (share * per_row[known]).sum() / share.sum()
        n_own = np.where(known, n_effective - 1, 0.0)
        own = np.where(known, per_row, 0.0)
        per_row = (n_own * own + POOLED_ROWS * pooled) / (n_own + POOLED_ROWS)
        return np.where(seen, per_row / np.where(seen, n_effective, 1.0), np.inf)


def measure_confusion(
    predictions: FloatArray, codes: IntArray, weight: FloatArray | None = None
) -> Confusion:
    """Confusion of predictions with labels.

    Parameters
    ----------
    predictions : ndarray of shape (n_samples, n_classes)
    codes : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,), default=None

    Returns
    -------
    Confusion
    """
    n_classes = predictions.shape[1]
    weight = np.ones(len(codes)) if weight is None else weight
    # Sum of the values of each label's rows.
    sums: Callable[..., Any] = partial(np.bincount, codes, minlength=n_classes)
    return Confusion(
        np.stack([sums(weight * column) for column in predictions.T]),
        sums(weight * (predictions**2).sum(axis=1)),
        sums(weight),
        sums(weight**2),
    )


def expected_confusion(
    predictions: FloatArray, weight: FloatArray | None = None
) -> FloatArray:
    r"""Expected confusion of calibrated probabilities.

    If :math:`p_i(x)` equals :math:`P(\text{true } i \mid x)`, then
    :math:`P(\text{predicted } k, \text{true } i) = E[p_k(x)\,p_i(x)]`. This needs no
    label, so its sampling error is that of all rows, not of the few clean ones.

    Parameters
    ----------
    predictions : ndarray of shape (n_samples, n_classes)
    weight : ndarray of shape (n_samples,), default=None

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Columns sum to 1.
    """
    weighted = predictions if weight is None else predictions * weight[:, None]
    joint = predictions.T @ weighted
    return joint / np.maximum(joint.sum(axis=0), SMALLEST)


def shrink_columns(
    measured: FloatArray, variance: FloatArray, target: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measured columns shrunk towards those of a target.

    Of the squared distance between the two, `variance` is expected from sampling
    alone; the rest, pooled over the columns, is the target's own error. The weights
    minimise the expected squared error (James & Stein; empirical Bayes).

    Parameters
    ----------
    measured : ndarray of shape (n_classes, n_classes)
        NaN in a column without rows.
    variance : ndarray of shape (n_classes,)
        Infinite for a column without rows.
    target : ndarray of shape (n_classes, n_classes)

    Returns
    -------
    columns : ndarray of shape (n_classes, n_classes)
    weight : ndarray of shape (n_classes,)
        Share of the target in each column.
    uncertainty : ndarray of shape (n_classes,)
        Remaining variance of each column, summed over its entries. It contains the
        target's own error plus one standard error, since an estimate of zero does not
        prove that there is no error.
    """
    seen = np.isfinite(variance)
    excess = ((measured - target)[:, seen] ** 2).sum(axis=0) - variance[seen]
    error = max(0.0, float(excess.mean())) if seen.any() else 0.0
    weight = np.ones(len(variance))
    weight[seen] = variance[seen] / np.maximum(variance[seen] + error, SMALLEST)
    filled = np.where(seen, measured, target)
    columns = weight * target + (1 - weight) * filled
    doubt = error + excess.std(ddof=1) / np.sqrt(len(excess)) if seen.sum() > 1 else 1.0
    uncertainty = np.where(
        seen,
        variance * doubt / np.where(seen, np.maximum(variance + doubt, SMALLEST), 1.0),
        doubt,
    )
    return columns / columns.sum(axis=0), weight, uncertainty


def draw_columns(
    columns: FloatArray, uncertainty: FloatArray, rng: np.random.RandomState
) -> FloatArray:
    """Dirichlet columns with given means and given variances (summed over entries).

    The variance of a column is ``Σ_k c_k (1 - c_k) / (κ + 1)``.
    """
    spread = (columns * (1 - columns)).sum(axis=0)
    drawn = columns.copy()
    for k in np.flatnonzero((uncertainty > 0) & (spread > 0)):
        kappa = max(spread[k] / uncertainty[k] - 1, 1.0)
        gammas = rng.standard_gamma(np.maximum(kappa * columns[:, k], SMALLEST))
        drawn[:, k] = gammas / max(gammas.sum(), SMALLEST)
    return drawn


@dataclass(frozen=True)
class FoldStatistics:
    """Confusions of one model, on rows that it did not train on.

    Attributes
    ----------
    clean : Confusion
        With the true labels of the clean rows that the fold holds out.
    noisy : Confusion
        With the given labels of the noisy rows.
    expected : ndarray of shape (n_classes, n_classes) or None
        Expected confusion of calibrated predictions; None if predictions are labels.
    """

    clean: Confusion
    noisy: Confusion
    expected: FloatArray | None


@dataclass(frozen=True)
class ConfusionPair:
    """Both sides of ``C̃ = C* R``, averaged over the folds.

    Attributes
    ----------
    clean, noisy : ndarrays of shape (n_classes, n_classes)
        C* and C̃.
    shrinkage : ndarray of shape (n_classes,)
        Share of the expected confusion in each column of C*.
    clean_uncertainty : ndarray of shape (n_classes,)
        Variance of each column of C*, summed over its entries.
    clean_variance : ndarray of shape (n_classes,)
        The same before shrinkage.
    noisy_variance : ndarray of shape (n_classes,)
        Variance of each column of C̃, summed over its entries.
    """

    clean: FloatArray
    noisy: FloatArray
    shrinkage: FloatArray
    clean_uncertainty: FloatArray
    clean_variance: FloatArray
    noisy_variance: FloatArray

    @classmethod
    def of(
        cls, folds: Sequence[FoldStatistics], shrinkage: float | str
    ) -> "ConfusionPair":
        """Pair from the statistics of the folds."""
        noisy = np.mean([fold.noisy.matrix for fold in folds], axis=0)
        clean, share, uncertainty, variance = _clean_confusion(folds, shrinkage)
        # A label that is never given has P(given) = 0, so any column will do: this one
        # gives R = e_j.
        unseen = folds[0].noisy.weight <= 0
        noisy[:, unseen] = clean[:, unseen]
        # All folds predict the same noisy rows, so the mean has the variance of one.
        spread = np.where(unseen, 0.0, folds[0].noisy.variance)
        return cls(clean, noisy, share, uncertainty, variance, spread)

    def drawn(
        self, rng: np.random.RandomState, *, cautious: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Random C* and C̃ with the means and variances of the estimated ones.

        `cautious` gives C* its whole sampling variance, as if shrinkage had not reduced
        it. The error of the shrinkage target lies in a few entries, and intervals
        without it were too narrow.
        """
        variance = self.clean_variance if cautious else self.clean_uncertainty
        return (
            draw_columns(self.clean, variance, rng),
            draw_columns(self.noisy, self.noisy_variance, rng),
        )


def _clean_confusion(
    folds: Sequence[FoldStatistics], shrinkage: float | str
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """C*, the share of the target, and the variance after and before shrinkage."""
    clean = folds[0].clean
    for fold in folds[1:]:
        clean = clean + fold.clean
    expected = [fold.expected for fold in folds if fold.expected is not None]
    if shrinkage == 0 or len(expected) < len(folds):
        unseen = np.flatnonzero(clean.weight <= 0)
        if len(unseen):
            raise ValueError(
                f"No clean row has class {unseen.tolist()} (by index), so its "
                "confusions are unknown: add clean rows of it, or give probabilities "
                "and shrinkage='auto'."
            )
        return clean.matrix, np.zeros(len(clean.weight)), clean.variance, clean.variance
    target = np.mean(expected, axis=0)
    columns, share, uncertainty = shrink_columns(clean.matrix, clean.variance, target)
    seen = clean.weight > 0
    if shrinkage != "auto":
        share = np.where(seen, float(shrinkage), 1.0)
        columns = share * target + (1 - share) * np.nan_to_num(clean.matrix)
    variance = np.where(seen, clean.variance, uncertainty)
    return columns, share, uncertainty, variance
