r"""Confusions :math:`P(\text{predicted } k \mid \text{label } j)` from predictions.

Predictions are rows of probabilities; labels that were predicted are rows of
zeros and a one. The confusion of a label is then the mean of its rows.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

__all__ = [
    "Confusion",
    "draw_columns",
    "expected_confusion",
    "fit_temperature",
    "measure_confusion",
    "sharpen",
    "shrink_columns",
]

# Probabilities below this count as this: no logarithm of zero.
SMALLEST = 1e-12


@dataclass(frozen=True)
class Confusion:
    """Weighted sums from which a confusion is a division away; they add up.

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

    total: np.ndarray
    square: np.ndarray
    weight: np.ndarray
    weight_square: np.ndarray

    def __add__(self, other):
        return Confusion(
            self.total + other.total,
            self.square + other.square,
            self.weight + other.weight,
            self.weight_square + other.weight_square,
        )

    @property
    def matrix(self):
        """Confusion, its columns summing to 1; NaN for a label without rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.weight

    @property
    def variance(self):
        """Sampling variance of each column, summed over its entries.

        The variance of a row's prediction is pooled over the labels, each
        counting as five rows of the pool: few rows say little of a variance.
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
        per_row = (n_own * own + 5 * pooled) / (n_own + 5)
        return np.where(seen, per_row / np.where(seen, n_effective, 1.0), np.inf)


def measure_confusion(predictions, codes, weight=None):
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
    total = np.stack(
        [
            np.bincount(codes, weight * column, minlength=n_classes)
            for column in predictions.T
        ]
    )
    squares = (predictions**2).sum(axis=1)
    return Confusion(
        total,
        np.bincount(codes, weight * squares, minlength=n_classes),
        np.bincount(codes, weight, minlength=n_classes),
        np.bincount(codes, weight**2, minlength=n_classes),
    )


def expected_confusion(predictions, weight=None):
    r"""Confusion that calibrated probabilities expect of themselves.

    If :math:`p_i(x)` really is :math:`P(\text{true } i \mid x)`, then
    :math:`P(\text{predicted } k, \text{true } i) = E[p_k(x)\,p_i(x)]`, for which
    no label is needed: its sampling error is that of all rows, not of the few
    clean ones.

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


def shrink_columns(measured, variance, target):
    """Measured columns moved towards those of a target, as far as they are noise.

    Of the squared distance between the two, `variance` is expected from sampling
    alone; the rest, pooled over the columns, is the target's own error. The weights
    are those that make the expected squared error least (James & Stein; empirical
    Bayes).

    Parameters
    ----------
    measured : ndarray of shape (n_classes, n_classes)
        NaN in a column of which nothing was measured.
    variance : ndarray of shape (n_classes,)
        Infinite where nothing was measured.
    target : ndarray of shape (n_classes, n_classes)

    Returns
    -------
    columns : ndarray of shape (n_classes, n_classes)
    weight : ndarray of shape (n_classes,)
        Share of the target in each column.
    uncertainty : ndarray of shape (n_classes,)
        Variance that is left in each column, summed over its entries. Here the
        target's own error counts with a standard error on top: an estimate of
        zero does not mean that there is none.
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


def draw_columns(columns, uncertainty, rng):
    """Random columns with these means and these variances, summed over entries.

    Dirichlet: ``Σ_k c_k (1 - c_k) / (κ + 1)`` is the variance of a column.
    """
    spread = (columns * (1 - columns)).sum(axis=0)
    drawn = columns.copy()
    for k in np.flatnonzero((uncertainty > 0) & (spread > 0)):
        kappa = max(spread[k] / uncertainty[k] - 1, 1.0)
        gammas = rng.standard_gamma(np.maximum(kappa * columns[:, k], SMALLEST))
        drawn[:, k] = gammas / max(gammas.sum(), SMALLEST)
    return drawn


def sharpen(predictions, inverse_temperature):
    r"""Probabilities raised to a power and normalised: ``softmax(β log p)``."""
    logits = inverse_temperature * np.log(np.maximum(predictions, SMALLEST))
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    return logits / logits.sum(axis=1, keepdims=True)


def fit_temperature(predictions, codes, weight=None):
    """Power of the probabilities that makes the labels most likely.

    Temperature scaling [1]_: one number, which a hundred rows determine.

    Parameters
    ----------
    predictions : ndarray of shape (n_samples, n_classes)
        Of rows that the model did not train on.
    codes : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,), default=None

    Returns
    -------
    float
        Inverse temperature, from 0.05 to 20.

    References
    ----------
    .. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    rows = np.arange(len(codes))

    def loss(log_power):
        p = sharpen(predictions, np.exp(log_power))[rows, codes]
        return -np.average(np.log(np.maximum(p, SMALLEST)), weights=weight)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))
