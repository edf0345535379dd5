"""Temperature scaling: one factor on the logits."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from sklearn_noisy._typing import FloatArray, IntArray

# The smallest probability of which a logarithm is taken.
SMALLEST = 1e-12


def best_factor(
    loss: Callable[[float], float],
    log_bounds: tuple[float, float],
    tolerance: float = 1e-5,
) -> float:
    """Factor on the logits that minimises a loss.

    Parameters
    ----------
    loss : callable
        Takes the factor.
    log_bounds : tuple of float
        Logarithms of the least and the greatest factor.
    tolerance : float, default=1e-5
        Absolute error of the factor's logarithm.

    Returns
    -------
    float
    """
    found = minimize_scalar(
        lambda log_factor: loss(np.exp(log_factor)),
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

    def loss(power: float) -> float:
        p = sharpen(predictions, power)[rows, codes]
        return -np.average(np.log(np.maximum(p, SMALLEST)), weights=weight)

    return best_factor(loss, (np.log(0.05), np.log(20)))
