"""Bayes' rule between the noise matrix, its inverse and the two priors.

``Q[j, i] = P(given j | true i)``, ``R[i, j] = P(true i | given j)``; the columns
of both sum to 1. One identity a function.
"""

import warnings

import numpy as np

__all__ = ["inverse_from_noise", "noise_from_inverse", "probability_right"]


def noise_from_inverse(R, noisy_prior):
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

    Warns
    -----
    RuntimeWarning
        If a class has prior 0: its column is that of a class without noise.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014.
    """
    joint = (R * noisy_prior).T
    return _conditional(joint, "true")


def inverse_from_noise(Q, clean_prior):
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

    Warns
    -----
    RuntimeWarning
        If a class has prior 0: its column is that of a class without noise.
    """
    return _conditional((Q * clean_prior).T, "given")


def probability_right(probabilities, given, Q):
    """Probability that a given label is the true one, from the row and the label.

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
        ``Q[j, j] p_j / sum_i Q[j, i] p_i``; 0 where no class that the row can have is
        ever given the label.
    """
    total = (probabilities * Q[given]).sum(axis=1)
    right = probabilities[np.arange(len(given)), given] * Q[given, given]
    return right / np.where(total > 0, total, 1.0)


def _conditional(joint, kind):
    """Columns of a joint distribution divided by their sums."""
    prior = joint.sum(axis=0)
    empty = np.flatnonzero(prior <= 0)
    columns = joint / np.where(prior > 0, prior, 1.0)
    columns[:, empty] = np.eye(len(prior))[:, empty]
    if len(empty):
        warnings.warn(
            f"Nothing is known of the {kind} classes {empty.tolist()} (by index), "
            "whose probability is 0: they are taken to have no noise.",
            RuntimeWarning,
            stacklevel=3,
        )
    return columns, prior / prior.sum()
