"""The noise matrix under which the given labels are most likely.

Given the probabilities p of the true label, the log likelihood of the given
labels, ``Σ_n w_n log (Q p_n)[given_n]``, is concave in Q: EM comes to its maximum
from any start without zeros.
"""

from itertools import pairwise

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

__all__ = [
    "certain_noise_matrix",
    "confident_noise_matrix",
    "count_noise_matrix",
    "likely_noise_matrix",
]

# Of the rows that are predicted to be of a class, the part that is certain.
CERTAIN_PART = 0.3

# Of the uniform matrix, mixed to the start: EM never leaves a zero.
START_SMOOTHING = 0.01

# Logits are multiplied by a factor in this range; it is fitted after so many steps of
# EM, until it moves by less than the tolerance, in logarithms. Never above 1: one
# factor for all rows would make the uncertain ones surer because the others could be.
LOG_FACTOR = (-2.0, 0.0)
STEPS_PER_FACTOR = 10
FACTOR_TOLERANCE = 1e-3

# Rows on which the temperature is fitted: one number needs no more.
TEMPERATURE_ROWS = 20_000

TINY = np.finfo(np.float64).tiny


def count_noise_matrix(predicted, given, n_classes, weight):
    """Given labels counted against predicted ones, as if those were the true ones.

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
    """
    flat = np.bincount(given * n_classes + predicted, weight, n_classes**2)
    return _columns(flat.reshape(n_classes, n_classes))


def certain_noise_matrix(probabilities, given, weight):
    """Given labels counted where the prediction is certain.

    Counted on all rows, every mistake of the predictions looks like noise. The most
    certain three tenths of the rows of each predicted class hold fewer mistakes, like
    the anchor points of [1]_, and more chance. So each column lies between the two
    counts: on the line from that of all rows to that of the certain ones, as far as
    they differ by more than chance (the positive part of [2]_).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Of rows that the model was not trained on: of others, it is certain of the
        label that it was given.
    given : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        The column of a class that is never predicted is that of a class without noise.

    References
    ----------
    .. [1] T. Liu, D. Tao, "Classification with noisy labels by importance
       reweighting", IEEE TPAMI 2016.
    .. [2] W. James, C. Stein, "Estimation with quadratic loss", Proc. Fourth Berkeley
       Symposium 1961.
    """
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    of_all = count_noise_matrix(predicted, given, n_classes, weight)

    order = np.lexsort((-probabilities.max(axis=1), predicted))
    cuts = np.searchsorted(predicted[order], np.arange(n_classes + 1))
    before = np.concatenate([[0.0], weight[order].cumsum()])
    total = np.diff(before[cuts])
    column = predicted[order]
    in_column = before[:-1] - before[cuts[:-1]][column]
    certain = order[in_column < CERTAIN_PART * total[column]]
    of_certain = count_noise_matrix(
        predicted[certain], given[certain], n_classes, weight[certain]
    )

    mass, squares = (
        np.bincount(predicted[certain], weight[certain] ** power, n_classes)
        for power in (1, 2)
    )
    n_certain = mass**2 / np.maximum(squares, TINY)
    # One certain row more, as all rows are: a few that agree do not vary, and would be
    # taken at their word, labels that they do not have for impossible.
    smoothed = (n_certain * of_certain + of_all) / (n_certain + 1)
    # The certain rows are among all rows: of their variance, the difference has this
    # part.
    variance = (smoothed * (1 - smoothed)).sum(axis=0) * (1 - CERTAIN_PART)
    chance = variance / np.maximum(n_certain, TINY)
    difference = of_certain - of_all
    distance = np.maximum((difference**2).sum(axis=0), TINY)
    return of_all + np.maximum(1 - chance / distance, 0) * difference


def confident_noise_matrix(probabilities, given, weight):
    """Noise matrix from the confident joint [1]_, weighted.

    A row counts for class k if its probability of k reaches the mean that the rows
    given k have for it (the likeliest of several such classes; a row without one
    does not count).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
    given : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)

    References
    ----------
    .. [1] C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating
       uncertainty in dataset labels", JAIR 2021.
    """
    n_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(given)), given]
    total = np.bincount(given, weight, n_classes)
    mean = np.bincount(given, weight * own, n_classes) / np.maximum(total, TINY)
    # A class that is never given has no threshold to reach.
    threshold = np.where(total > 0, mean, np.inf)
    confident = np.where(probabilities >= threshold - 1e-6, probabilities, -1.0)
    counted = confident.max(axis=1) > 0
    flat = np.bincount(
        given[counted] * n_classes + confident[counted].argmax(axis=1),
        weight[counted],
        n_classes**2,
    )
    joint = flat.reshape(n_classes, n_classes)
    # The rows of each given label are as many as they are, counted or not.
    mass = joint.sum(axis=1)
    joint = joint * (total / np.maximum(mass, TINY))[:, None]
    return _columns(joint)


def _columns(joint):
    mass = joint.sum(axis=0)
    return np.where(mass > TINY, joint / np.maximum(mass, TINY), np.eye(len(joint)))


class GivenBlocks:
    """Rows grouped by their given label, so that each needs one row of Q.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
    given : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)
    """

    def __init__(self, logits, given, weight):
        order = np.argsort(given, kind="stable")
        n_classes = logits.shape[1]
        cuts = np.searchsorted(given[order], np.arange(n_classes + 1))
        self.logits = logits[order]
        self.weight = weight[order] / weight.sum()
        self.slices = [slice(*cut) for cut in pairwise(cuts)]
        self.sharpen(1.0)

    def sharpen(self, factor):
        """Probabilities from the logits times `factor`."""
        self.p = softmax(self.logits * factor, axis=1)

    def every(self, step):
        """Every step-th row of each given label, with the weights as they are."""
        thinned = object.__new__(type(self))
        rows = [np.arange(s.start, s.stop, step) for s in self.slices]
        ends = np.cumsum([0, *map(len, rows)])
        thinned.slices = [slice(*cut) for cut in pairwise(ends)]
        rows = np.concatenate(rows)
        thinned.logits, thinned.p = self.logits[rows], self.p[rows]
        thinned.weight = self.weight[rows] / self.weight[rows].sum()
        return thinned

    def log_likelihood(self, Q):
        """Weighted mean of ``log (Q p)[given]``."""
        return sum(
            self.weight[rows] @ np.log(np.maximum(self.p[rows] @ row, TINY))
            for row, rows in zip(Q, self.slices, strict=True)
        )

    def gradient(self, Q):
        """Of the log likelihood: ``[j, i] = Σ_{given j} w p_i / (Q p)_j``."""
        result = np.zeros_like(Q)
        for j, rows in enumerate(self.slices):
            p = self.p[rows]
            result[j] = p.T @ (self.weight[rows] / np.maximum(p @ Q[j], TINY))
        return result


def likely_noise_matrix(
    logits, given, start, weight=None, *, temperature=True, max_iter=500, tol=1e-6
):
    """Maximum-likelihood noise matrix for given class probabilities, by EM.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        Of the true classes, by a model that did not train on these rows (one that
        did has learned their labels, and the identity is the likeliest).
    given : int ndarray of shape (n_samples,)
        Given labels.
    start : ndarray of shape (n_classes, n_classes)
    weight : ndarray of shape (n_samples,), default=None
    temperature : bool, default=True
        Also fit one factor on the logits, at most 1: that the model is surer than it
        should be must not be explained by noise.
    max_iter : int, default=500
        Steps of EM at most.
    tol : float, default=1e-6
        Stop when the mean log likelihood is within this of its maximum, in nats.

    Returns
    -------
    Q : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``. The column of a class that has no
        probability anywhere is that of a class without noise.
    factor : float
        That the logits are multiplied by; 1 without `temperature`.
    gap : float
        Bound on what the log likelihood lacks.
    """
    n_classes = logits.shape[1]
    weight = np.ones(len(given)) if weight is None else weight
    blocks = GivenBlocks(logits, given, weight)
    few = blocks.every(max(1, len(given) // TEMPERATURE_ROWS))
    Q = (1 - START_SMOOTHING) * start + START_SMOOTHING / n_classes
    factor, gap, moved = 1.0, np.inf, temperature
    for n_iter in range(1, max_iter + 1):
        gradient = blocks.gradient(Q)
        joint = Q * gradient  # the M step: P(given j, true i)
        # Frank-Wolfe's bound of a concave function over the simplices.
        gap = float((gradient.max(axis=0) - joint.sum(axis=0)).sum())
        Q = _columns(joint)
        if temperature and (n_iter % STEPS_PER_FACTOR == 0 or gap < tol):
            last, factor = factor, _likely_factor(few, Q)
            moved = abs(np.log(factor / last)) > FACTOR_TOLERANCE
            if moved:
                blocks.sharpen(factor)
        if gap < tol and not moved:
            break
    return Q, factor, gap


def _likely_factor(blocks, Q):
    def loss(log_factor):
        blocks.sharpen(np.exp(log_factor))
        return -blocks.log_likelihood(Q)

    found = minimize_scalar(
        loss,
        bounds=LOG_FACTOR,
        method="bounded",
        options={"xatol": FACTOR_TOLERANCE / 4},
    )
    return float(np.exp(found.x))
