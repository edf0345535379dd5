"""A noise matrix that is given, or estimated from clean rows."""

import warnings

import numpy as np
from sklearn.base import clone

from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.noise._checks import (
    check_noise_matrix,
    check_possible,
    in_class_order,
    is_singular,
)

__all__ = ["check_matrix_for", "estimate_from", "warn_unless_dominant"]


def check_matrix_for(data, matrix, name, *, inverted):
    """A given noise matrix in the order of the classes, as float64.

    Parameters
    ----------
    data : TrainingData
    matrix : array-like or DataFrame of shape (n_classes, n_classes)
        A DataFrame has the classes as its index and its columns, in any order.
    name : str
        What an error calls it.
    inverted : bool
        Whether its inverse is wanted.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)

    Raises
    ------
    ValueError
        If it is no noise matrix of these classes, makes a label that was given
        impossible, or is singular and nothing else tells the classes apart.
    """
    classes = data.classes
    matrix = in_class_order(matrix, classes, name)
    Q = check_noise_matrix(matrix, n_classes=data.n_classes, name=name)
    check_possible(Q, data.y[data.is_noisy], classes, name)
    if is_singular(Q):
        message = f"{name} is singular: given labels cannot tell some classes apart"
        if inverted or not data.is_clean.any():
            raise ValueError(message + ".")
        warnings.warn(
            message + ", only the clean rows can.", NoiseModelWarning, stacklevel=2
        )
    return Q


def estimate_from(data, estimator):
    """A fitted NoiseMatrixEstimator.

    Parameters
    ----------
    data : TrainingData
    estimator : NoiseMatrixEstimator
        It is cloned.

    Returns
    -------
    NoiseMatrixEstimator
    """
    inside = data.subset(~data.is_outside)
    return clone(estimator).fit(
        inside.X,
        inside.classes[inside.y],
        None if (inside.weight == 1).all() else inside.weight,
        is_clean=inside.is_clean if inside.is_clean.any() else None,
    )


def warn_unless_dominant(Q, classes):
    """Warn if a class is more often given another label than its own."""
    wrong = np.flatnonzero(Q.argmax(axis=0) != np.arange(len(Q)))
    if len(wrong):
        i, names = int(wrong[0]), classes.tolist()
        warnings.warn(
            f"The noise matrix is not dominated by its diagonal: the class "
            f"{names[i]!r} is given the label {names[Q[:, i].argmax()]!r} more "
            "often than its own. From noisy labels alone the classes may then have "
            "changed places; some clean rows (is_clean) would tell.",
            NoiseModelWarning,
            stacklevel=2,
        )
