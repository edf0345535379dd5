"""The noise matrix from confusions on clean and on noisy rows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_noisy._typing import FloatArray
from sklearn_noisy.noise._bayes import (
    inverse_from_noise,
    noise_from_inverse,
    silent_noise_from_inverse,
)
from sklearn_noisy.noise._confusions import ConfusionPair, FoldStatistics
from sklearn_noisy.noise._l1_penalty import choose_l1_penalty
from sklearn_noisy.noise._likelihood import SMALLEST
from sklearn_noisy.noise._settings import Settings

# Condition number from which C* counts as singular: our choice.
SINGULAR = 1e4

# Draws for the variance of the estimate that is combined with counts: our choice.
DRAWS_FOR_COUNTS = 30


@dataclass(frozen=True)
class NoiseEstimate:
    """An estimated noise matrix and the quantities it was computed from.

    Fields that the method of estimation does not have are None.

    Attributes
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.
    inverse_noise_matrix : ndarray of shape (n_classes, n_classes)
        ``R[i, j] = P(true i | given j)``.
    clean_prior, noisy_prior : ndarrays of shape (n_classes,)
    confusion_clean, confusion_noisy : ndarrays of shape (n_classes, n_classes)
        ``P(predicted k | true i)`` after shrinkage, and
        ``P(predicted k | given j)``.
    shrinkage : ndarray of shape (n_classes,)
        Share of the expected confusion of the calibrated predictions in each column
        of `confusion_clean`; the rest is counted on clean rows.
    l1_penalty : float
        λ of Eq. 5.
    dual_gap : float
        The objective of Eq. 5 is at most this above its optimum.
    n_iter : int
        Iterations of the solver.
    condition_number : float
        Condition number of `confusion_clean`: the greatest factor by which its errors
        are amplified.
    interval : ndarray of shape (2, n_classes, n_classes) or None
        Lower and upper bound of each entry of `noise_matrix` at the requested level,
        from the bootstrap.
    """

    noise_matrix: FloatArray
    inverse_noise_matrix: FloatArray
    clean_prior: FloatArray
    noisy_prior: FloatArray
    confusion_clean: FloatArray | None = None
    confusion_noisy: FloatArray | None = None
    shrinkage: FloatArray | None = None
    l1_penalty: float | None = None
    dual_gap: float | None = None
    n_iter: int | None = None
    condition_number: float | None = None
    interval: FloatArray | None = None


def estimate_from_statistics(
    folds: Sequence[FoldStatistics],
    settings: Settings,
    counts: FloatArray | None = None,
    *,
    rng: np.random.RandomState,
    n_bootstrap: int = 0,
    level: float = 0.9,
) -> NoiseEstimate:
    """Noise matrix from the statistics of the folds.

    Parameters
    ----------
    folds : sequence of FoldStatistics
    settings : Settings
    counts : ndarray of shape (n_classes, n_classes), default=None
        ``counts[j, i]``: weight of the clean rows that were given j and are truly i.
    rng : numpy.random.RandomState
        For the draws.
    n_bootstrap : int, default=0
        Draws of the confusions (and counts) for an interval.
    level : float, default=0.9
        Level of the interval.

    Returns
    -------
    NoiseEstimate
    """
    confusions = ConfusionPair.of(folds, settings.shrinkage)
    condition_number = float(np.linalg.cond(confusions.clean))
    _warn_of_weak_data(folds, condition_number)
    weight = np.sum([fold.noisy.weight for fold in folds], axis=0)
    noisy_prior = weight / weight.sum()
    l1_penalty = choose_l1_penalty(folds, settings, noisy_prior)
    solution = settings.solve(confusions.clean, confusions.noisy, l1_penalty)
    R = settings.normalised(solution.R, strict=True)
    Q, clean_prior = noise_from_inverse(R, noisy_prior)

    def drawn_matrix(*, cautious: bool) -> FloatArray:
        """Estimate from random confusions."""
        drawn = settings.solve(*confusions.drawn(rng, cautious=cautious), l1_penalty)
        # A draw may lose a class; only the estimate itself warns of it.
        return silent_noise_from_inverse(settings.normalised(drawn.R), noisy_prior)[0]

    share = np.zeros(len(Q))
    if counts is not None:
        draws = [drawn_matrix(cautious=False) for _ in range(DRAWS_FOR_COUNTS)]
        Q, share = _with_counts(Q, np.var(draws, axis=0).sum(axis=0), counts)
        R, _ = inverse_from_noise(Q, clean_prior)
    interval = None
    if n_bootstrap:
        draws = [drawn_matrix(cautious=True) for _ in range(n_bootstrap)]
        if counts is not None:
            draws = [
                (1 - share) * drawn + share * _drawn_counts(Q, counts, rng)
                for drawn in draws
            ]
        tail = (1 - level) / 2
        interval = np.quantile(draws, [tail, 1 - tail], axis=0)
    return NoiseEstimate(
        noise_matrix=Q,
        inverse_noise_matrix=R,
        clean_prior=clean_prior,
        noisy_prior=noisy_prior,
        confusion_clean=confusions.clean,
        confusion_noisy=confusions.noisy,
        shrinkage=confusions.shrinkage,
        l1_penalty=l1_penalty,
        dual_gap=solution.dual_gap,
        n_iter=solution.n_iter,
        condition_number=condition_number,
        interval=interval,
    )


def _warn_of_weak_data(
    folds: Sequence[FoldStatistics], condition_number: float
) -> None:
    """Warn of labels that are never given and of a singular C*."""
    never = np.flatnonzero(folds[0].noisy.weight <= 0).tolist()
    if never:
        warnings.warn(
            f"No noisy row has the labels {never} (by index): their rows of the noise "
            "matrix are set to zero.",
            RuntimeWarning,
            stacklevel=4,
        )
    if not condition_number < SINGULAR:
        warnings.warn(
            "The confusions of the clean rows are (nearly) singular, condition number "
            f"{condition_number:.3g}: the classifier does not tell some classes apart, "
            "and the estimated flips between them are unreliable. Use a better "
            "classifier or more clean rows.",
            RuntimeWarning,
            stacklevel=4,
        )


def _with_counts(
    Q: FloatArray, variance: FloatArray, counts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean of estimate and counts by inverse variance, and the counts' shares."""
    n_rows = counts.sum(axis=0)
    of_counts = (Q * (1 - Q)).sum(axis=0) / np.maximum(n_rows, 1)
    share = variance / np.maximum(variance + of_counts, SMALLEST)
    share = np.where(n_rows > 0, share, 0)
    return (1 - share) * Q + share * counts / np.maximum(n_rows, 1), share


def _drawn_counts(
    Q: FloatArray, counts: FloatArray, rng: np.random.RandomState
) -> FloatArray:
    """Random frequencies of the given labels of the clean rows, distributed as Q."""
    columns = [
        rng.multinomial(round(n), q / q.sum()) / max(round(n), 1)
        for q, n in zip(Q.T, counts.sum(axis=0), strict=True)
    ]
    return np.stack(columns, axis=1)
