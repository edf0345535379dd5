"""The noise matrix, or the temperature, under which the labels are most likely.

With probabilities p of the true labels, the log likelihood of the given labels,
``Σ_n w_n log (Q p_n)[given_n]``, is concave in Q. EM reaches its maximum from any start
without zeros.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, starmap

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from sklearn_noisy._typing import FloatArray, IntArray
from sklearn_noisy._validation import (
    check_flag,
    check_integer,
    check_real,
    check_sample_weight,
)
from sklearn_noisy.noise._bayes import TINY, normalise_columns
from sklearn_noisy.noise._inputs import (
    class_positions,
    judged_rows,
    real_table,
    square_matrices,
)
from sklearn_noisy.noise._names import in_sorted_order

# The smallest probability of which a logarithm is taken.
SMALLEST = 1e-12

# Part of the rows of a predicted class that counts as certain: our choice.
CERTAIN_PART = 0.3


@dataclass(frozen=True)
class _EMConstants:
    """Our choices for :func:`likely_noise_matrix`; see doc/noise_layer.md."""

    # Share of the uniform matrix in the start: EM never leaves a zero.
    start_smoothing: float = 0.01
    # Range of the logarithm of the factor on the logits. The factor is at most 1:
    # a greater one for all rows would also sharpen the uncertain rows.
    log_factor: tuple[float, float] = (-2.0, 0.0)
    # The factor is fitted each time after so many steps of EM, until its logarithm
    # changes by less than the tolerance.
    steps_per_factor: int = 10
    factor_tolerance: float = 1e-3
    # About so many rows are enough to fit one number.
    factor_rows: int = 20_000


EM = _EMConstants()


def count_joint(
    given: IntArray, true: IntArray, n_classes: int, weight: FloatArray
) -> FloatArray:
    """Weight of the rows that were given j and are truly i, at ``[j, i]``."""
    flat: np.ndarray = np.bincount(given * n_classes + true, weight, n_classes**2)
    return flat.reshape(n_classes, n_classes)


def count_noise_matrix(
    predicted: IntArray, given: IntArray, n_classes: int, weight: FloatArray
) -> FloatArray:
    """Noise matrix counted as if the predicted labels were the true ones.

    Parameters
    ----------
    predicted, given : int ndarrays of shape (n_samples,)
    n_classes : int
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | predicted i)``; the column of a class that is never
        predicted is that of a class without noise.

    Raises
    ------
    TypeError, ValueError
        If the lengths differ, `n_classes` is no positive integer, labels are no
        positions of so many classes, or a weight is negative.
    """
    n_classes = check_integer(n_classes, "n_classes", min_val=1)
    predicted = class_positions(predicted, "predicted", n_classes)
    given = class_positions(given, "given", n_classes, len(predicted))
    weight = check_sample_weight(weight, len(given), "weight")
    return normalise_columns(count_joint(given, predicted, n_classes, weight))


def certain_noise_matrix(
    probabilities: FloatArray, given: IntArray, weight: FloatArray
) -> FloatArray:
    """Noise matrix counted mainly where the prediction is certain.

    In a count of all rows, every wrong prediction looks like noise. The most certain
    30 % of the rows of each predicted class hold fewer wrong predictions, like the
    anchor points of [1]_, but their count varies more. Each column is therefore the
    count of all rows, moved towards that of the certain ones as far as the two differ
    by more than chance (the positive part of [2]_).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Of rows that the model was not trained on. For its training rows a model is
        certain of the given label.
    given : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        The column of a class that is never predicted is that of a class without noise.

    Raises
    ------
    ValueError
        If the shapes do not fit, `probabilities` are none, `given` holds other values
        than positions of classes, or a weight is negative.

    References
    ----------
    .. [1] T. Liu, D. Tao, "Classification with noisy labels by importance
       reweighting", IEEE TPAMI 2016.
    .. [2] W. James, C. Stein, "Estimation with quadratic loss", Proc. Fourth Berkeley
       Symposium 1961.
    """
    probabilities, given, weight, _ = judged_rows(probabilities, given, weight)
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    of_all = normalise_columns(count_joint(given, predicted, n_classes, weight))

    order = np.lexsort((-probabilities.max(axis=1), predicted))
    cuts = np.searchsorted(predicted[order], np.arange(n_classes + 1))
    before = np.concatenate([[0.0], weight[order].cumsum()])
    total = np.diff(before[cuts])
    column = predicted[order]
    in_column = before[:-1] - before[cuts[:-1]][column]
    certain = order[in_column < CERTAIN_PART * total[column]]
    of_certain = normalise_columns(
        count_joint(given[certain], predicted[certain], n_classes, weight[certain])
    )

    mass = np.bincount(predicted[certain], weight[certain], n_classes)
    squares = np.bincount(predicted[certain], weight[certain] ** 2, n_classes)
    n_certain = mass**2 / np.maximum(squares, TINY)
    # One pseudo-row with the distribution of all rows. Without it, a few certain rows
    # that agree would have variance 0.
    smoothed = (n_certain * of_certain + of_all) / (n_certain + 1)
    # The certain rows are a part of all rows, so the difference of the two counts has
    # this part of their variance.
    variance = (smoothed * (1 - smoothed)).sum(axis=0) * (1 - CERTAIN_PART)
    chance = variance / np.maximum(n_certain, TINY)
    difference = of_certain - of_all
    distance = np.maximum((difference**2).sum(axis=0), TINY)
    return of_all + (1 - np.minimum(chance, distance) / distance) * difference


def confident_noise_matrix(
    probabilities: FloatArray, given: IntArray, weight: FloatArray
) -> FloatArray:
    """Noise matrix from the confident joint [1]_, weighted.

    A row counts for class k if its probability of k is at least the mean over the rows
    given k. If this holds for several classes, the row counts for the likeliest; if for
    none, it does not count.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
    given : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)

    Raises
    ------
    ValueError
        As :func:`certain_noise_matrix`.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating
       uncertainty in dataset labels", JAIR 2021.
    """
    probabilities, given, weight, _ = judged_rows(probabilities, given, weight)
    n_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(given)), given]
    total = np.bincount(given, weight, n_classes)
    mean = np.bincount(given, weight * own, n_classes) / np.maximum(total, TINY)
    # No row counts for a class that is never given.
    threshold = np.where(total > 0, mean, np.inf)
    confident = np.where(probabilities >= threshold - 1e-6, probabilities, -1.0)
    counted = confident.max(axis=1) > 0
    predicted = confident[counted].argmax(axis=1)
    joint = count_joint(given[counted], predicted, n_classes, weight[counted])
    # Calibrated so that each given label has the weight of all its rows.
    joint = joint * (total / np.maximum(joint.sum(axis=1), TINY))[:, None]
    return normalise_columns(joint)


class GivenBlocks:
    """Rows sorted by their given label: a block of rows needs one row of Q.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
    given : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)
    """

    def __init__(self, logits: FloatArray, given: IntArray, weight: FloatArray) -> None:
        order = np.argsort(given, kind="stable")
        self.given = given[order]
        cuts = np.searchsorted(self.given, np.arange(logits.shape[1] + 1))
        self.logits = logits[order]
        self.weight = weight[order] / weight.sum()
        self.slices = list(starmap(slice, pairwise(cuts)))
        self.place = np.arange(len(order)) - cuts[self.given]
        self.sharpen(1.0)

    def sharpen(self, factor: float) -> None:
        """Compute the probabilities from the logits times `factor`."""
        self.p = softmax(self.logits * factor, axis=1)

    def every(self, step: int) -> "GivenBlocks":
        """Every step-th row of each given label."""
        rows = np.flatnonzero(self.place % step == 0)
        return GivenBlocks(self.logits[rows], self.given[rows], self.weight[rows])

    def log_likelihood(self, Q: FloatArray) -> float:
        """Weighted mean of ``log (Q p)[given]``."""
        total = 0.0
        for row, rows in zip(Q, self.slices, strict=True):
            total += self.weight[rows] @ np.log(np.maximum(self.p[rows] @ row, TINY))
        return total

    def gradient(self, Q: FloatArray) -> FloatArray:
        """Gradient of the log likelihood: ``[j, i] = Σ_{given j} w p_i / (Q p)_j``."""
        result = np.zeros_like(Q)
        for j, rows in enumerate(self.slices):
            p = self.p[rows]
            result[j] = p.T @ (self.weight[rows] / np.maximum(p @ Q[j], TINY))
        return result


def likely_noise_matrix(
    logits: FloatArray,
    given: IntArray,
    start: FloatArray,
    weight: FloatArray | None = None,
    *,
    temperature: bool = True,
    max_iter: int = 500,
    tol: float = 1e-6,
) -> tuple[FloatArray, float, float]:
    """Maximum-likelihood noise matrix for given class probabilities, by EM.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        Of the true classes, by a model that did not train on these rows. A model that
        did has memorised their labels, which makes the identity the likeliest matrix.
    given : int ndarray of shape (n_samples,)
        Given labels.
    start : ndarray of shape (n_classes, n_classes)
    weight : ndarray of shape (n_samples,), default=None
    temperature : bool, default=True
        Also fit one factor on the logits, at most 1, so that an overconfident model is
        not explained by noise.
    max_iter : int, default=500
        Maximum number of EM steps.
    tol : float, default=1e-6
        Stop when the mean log likelihood is within this of its maximum, in nats.

    Returns
    -------
    Q : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``. The column of a class that has no
        probability anywhere is that of a class without noise.
    factor : float
        Factor on the logits; 1 without `temperature`.
    gap : float
        Upper bound on the maximum of the log likelihood minus its value, in nats.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit, `given` holds other values than positions of
        classes, a weight or an entry of `start` is negative, `temperature` is no
        boolean, `max_iter` is no positive integer, or `tol` is no non-negative number.
    """
    check_flag(temperature, "temperature")
    check_integer(max_iter, "max_iter", min_val=1)
    check_real(tol, "tol", min_val=0)
    start, logits = in_sorted_order({"start": start}, {"logits": logits})
    logits = real_table(logits, "logits")
    n_classes = logits.shape[1]
    given = class_positions(given, "given", n_classes, len(logits))
    weight = check_sample_weight(weight, len(logits), "weight")
    (start,) = square_matrices(start=start)
    if len(start) != n_classes or (start < 0).any() or not start.any(axis=0).all():
        raise ValueError(
            f"start must have shape {(n_classes, n_classes)}, for the columns of "
            "logits, no negative entry and no column of zeros; got shape "
            f"{start.shape} and entries from {start.min():.3g} on."
        )
    blocks = GivenBlocks(logits, given, weight)
    few = blocks.every(max(1, len(given) // EM.factor_rows))
    Q = (1 - EM.start_smoothing) * start + EM.start_smoothing / n_classes
    factor, gap, moved = 1.0, np.inf, temperature
    for n_iter in range(1, max_iter + 1):
        gradient = blocks.gradient(Q)
        joint = Q * gradient  # the M step: P(given j, true i)
        # Frank-Wolfe's bound for a concave function on a product of simplices.
        gap = float((gradient.max(axis=0) - joint.sum(axis=0)).sum())
        # In rows, since each block of rows multiplies one row of Q.
        Q = np.ascontiguousarray(normalise_columns(joint))
        if temperature and (n_iter % EM.steps_per_factor == 0 or gap < tol):
            last, factor = factor, _likely_factor(few, Q)
            moved = abs(np.log(factor / last)) > EM.factor_tolerance
            if moved:
                blocks.sharpen(factor)
        if gap < tol and not moved:
            break
    return Q, factor, gap


def _likely_factor(blocks: GivenBlocks, Q: FloatArray) -> float:
    """Factor on the logits under which the given labels are most likely."""

    def loss(log_factor: float) -> float:
        blocks.sharpen(np.exp(log_factor))
        return -blocks.log_likelihood(Q)

    return best_factor(loss, EM.log_factor, EM.factor_tolerance / 4)


def best_factor(
    loss: Callable[[float], float],
    log_bounds: tuple[float, float],
    tolerance: float = 1e-5,
) -> float:
    """Factor on the logits that minimises a loss.

    Parameters
    ----------
    loss : callable
        Takes the logarithm of the factor.
    log_bounds : tuple of float
        Logarithms of the least and the greatest factor.
    tolerance : float, default=1e-5
        Absolute error of the factor's logarithm.

    Returns
    -------
    float
    """
    found = minimize_scalar(
        loss,
        bounds=log_bounds,
        method="bounded",
        options={"xatol": tolerance},
    )
    return float(np.exp(found.x))


def sharpen(predictions: FloatArray, inverse_temperature: float) -> FloatArray:
    r"""Probabilities raised to a power and normalised: ``softmax(β log p)``."""
    logits = inverse_temperature * np.log(np.maximum(predictions, SMALLEST))
    return softmax(logits, axis=1)


def fit_temperature(
    predictions: FloatArray, codes: IntArray, weight: FloatArray | None = None
) -> float:
    """Power of the probabilities that makes the labels most likely.

    Temperature scaling [1]_ fits one number, for which a hundred rows are enough.

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

    def loss(log_power: float) -> float:
        p = sharpen(predictions, np.exp(log_power))[rows, codes]
        return -np.average(np.log(np.maximum(p, SMALLEST)), weights=weight)

    return best_factor(loss, (np.log(0.05), np.log(20)))
