"""The choice of λ in Eq. 5 by cross-validation."""

from collections.abc import Sequence

import numpy as np

from sklearn_noisy._typing import FloatArray
from sklearn_noisy.noise._confusions import ConfusionPair, FoldStatistics
from sklearn_noisy.noise._settings import Settings, check_penalties

# From 1, which gives R = I since the confusions are of order one, to no penalty.
L1_PENALTIES = np.r_[np.logspace(0, -5, 21), 0.0]


def choose_l1_penalty(
    folds: Sequence[FoldStatistics], settings: Settings, noisy_prior: FloatArray
) -> float:
    """λ as given, or the one that predicts held-out clean rows best.

    Parameters
    ----------
    folds : sequence of FoldStatistics
    settings : Settings
    noisy_prior : ndarray of shape (n_classes,)
        ``P(given j)``: weights of the columns.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there is a single fold to choose from.
    """
    if settings.method != "l1":
        return 0.0
    if not isinstance(settings.l1_penalty, str):
        return float(settings.l1_penalty)
    if settings.penalty == "literal":
        return 0.0  # λ has no effect
    if len(folds) < 2:
        raise ValueError(
            "l1_penalty='cv' needs clean rows in at least two folds; give a number."
        )
    if settings.l1_penalties is None:
        penalties = L1_PENALTIES
    else:
        penalties = np.sort(check_penalties(settings.l1_penalties))[::-1]
    errors = np.empty((len(folds), len(penalties)))
    for row, held_out in zip(errors, folds, strict=True):
        others = [fold for fold in folds if fold is not held_out]
        pair = ConfusionPair.of(others, settings.shrinkage)
        row[:] = _held_out_errors(held_out, pair, settings, penalties, noisy_prior)
    # The errors of few clean rows are noisy: a penalty is only taken if its gain over
    # the smallest one exceeds the standard error.
    gain = errors[:, [-1]] - errors
    lower = gain.mean(axis=0) - gain.std(axis=0, ddof=1) / np.sqrt(len(folds))
    return float(penalties[lower.argmax()])


def _held_out_errors(
    held_out: FoldStatistics,
    pair: ConfusionPair,
    settings: Settings,
    penalties: FloatArray,
    noisy_prior: FloatArray,
) -> list[float]:
    """Squared error of ``C* R - C̃`` in the held-out fold, for R of each penalty."""
    seen = held_out.clean.weight > 0
    measured = np.where(seen, held_out.clean.matrix, pair.clean)
    variance = np.where(seen, held_out.clean.variance, 0.0)
    errors, start = [], None
    for l1_penalty in penalties:
        start = settings.solve(pair.clean, pair.noisy, l1_penalty, start).R
        R = settings.normalised(start)
        residual = measured @ R - np.nan_to_num(held_out.noisy.matrix)
        squares = (residual**2).sum(axis=0)
        # E|(C + noise) r - c̃|² = |C r - c̃|² + Σ var_i r_i²: without the correction
        # spread-out columns would seem better than they are.
        squares -= variance @ R**2
        errors.append(squares @ noisy_prior)
    return errors
