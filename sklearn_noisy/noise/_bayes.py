"""Bayes' rule between the noise matrix, its inverse and the two priors.

``Q[j, i] = P(given j | true i)``, ``R[i, j] = P(true i | given j)``; the columns
of both sum to 1.
"""

import warnings

import numpy as np

from sklearn_noisy._typing import FloatArray, IntArray
from sklearn_noisy.noise._inputs import class_masses, conditional_matrix, judged_rows

TINY = np.finfo(np.float64).tiny


def normalise_columns(matrix: FloatArray, smallest: float = TINY) -> FloatArray:
    """Columns divided by their sums.

    A column whose sum is at most `smallest` becomes that of the identity: a class
    without noise.
    """
    mass = matrix.sum(axis=0)
    columns = matrix / np.maximum(mass, smallest)
    empty = np.flatnonzero(~(mass > smallest))  # also NaN
    columns[:, empty] = np.eye(len(matrix))[:, empty]
    return columns


def noise_from_inverse(
    R: FloatArray, noisy_prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Noise matrix from its inverse [1]_ (Eq. 4).

    Parameters
    ----------
    R : ndarray of shape (n_classes, n_classes)
        ``R[i, j] = P(true i | given j)``.
    noisy_prior : ndarray of shape (n_classes,)
        ``P(given j)``.

    Returns
    -------
    Q : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = R[i, j] P(given j) / P(true i)``.
    clean_prior : ndarray of shape (n_classes,)
        ``P(true i) = sum_j R[i, j] P(given j)``.

    Raises
    ------
    ValueError
        If a column of `R` is no distribution, or `noisy_prior` is negative, zero
        everywhere or of another shape.

    Warns
    -----
    RuntimeWarning
        If a class has prior 0. Its column is that of a class without noise.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014.
    """
    prior = class_masses(noisy_prior, "noisy_prior", R, "R")
    Q, clean_prior = silent_noise_from_inverse(conditional_matrix(R, "R"), prior)
    _warn_of_empty(clean_prior, "true")
    return Q, clean_prior


def silent_noise_from_inverse(
    R: FloatArray, noisy_prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """:func:`noise_from_inverse` of arrays, without a warning."""
    return _conditional((R * noisy_prior).T)


def inverse_from_noise(
    Q: FloatArray, clean_prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Inverse noise matrix from the noise matrix.

    Parameters
    ----------
    Q : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.
    clean_prior : ndarray of shape (n_classes,)
        ``P(true i)``.

    Returns
    -------
    R : ndarray of shape (n_classes, n_classes)
        ``R[i, j] = Q[j, i] P(true i) / P(given j)``.
    noisy_prior : ndarray of shape (n_classes,)
        ``P(given j) = sum_i Q[j, i] P(true i)``.

    Raises
    ------
    ValueError
        If a column of `Q` is no distribution, or `clean_prior` is negative, zero
        everywhere or of another shape.

    Warns
    -----
    RuntimeWarning
        If a class has prior 0. Its column is that of a class without noise.
    """
    prior = class_masses(clean_prior, "clean_prior", Q, "Q")
    R, noisy_prior = _conditional((conditional_matrix(Q, "Q") * prior).T)
    _warn_of_empty(noisy_prior, "given")
    return R, noisy_prior


def probability_right(
    probabilities: FloatArray, given: IntArray, Q: FloatArray
) -> FloatArray:
    """Probability that a given label is the true one, given the row and the label.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        ``p_i = P(true i | row)``.
    given : int ndarray of shape (n_samples,)
        Labels j.
    Q : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.

    Returns
    -------
    ndarray of shape (n_samples,)
        ``Q[j, j] p_j / sum_i Q[j, i] p_i``; 0 where the denominator is 0.

    Raises
    ------
    ValueError
        If the shapes do not fit, `probabilities` are none, `given` holds other values
        than positions of classes, or `Q` a value that is not finite.
    """
    probabilities, given, _, Q = judged_rows(probabilities, given, Q=Q)
    total = (probabilities * Q[given]).sum(axis=1)
    right = probabilities[np.arange(len(given)), given] * Q[given, given]
    return right / np.where(total > 0, total, 1.0)


def _conditional(joint: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Conditional and marginal distribution of a joint one."""
    prior = joint.sum(axis=0)
    return normalise_columns(joint), prior / prior.sum()


def _warn_of_empty(prior: FloatArray, kind: str) -> None:
    """Warn of classes of probability 0."""
    empty = np.flatnonzero(prior <= 0).tolist()
    if empty:
        warnings.warn(
            f"The {kind} classes {empty} (by index) have probability 0, so their noise "
            "is unknown: they are taken to have none.",
            RuntimeWarning,
            stacklevel=3,
        )
