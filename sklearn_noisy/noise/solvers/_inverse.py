"""Eq. 3: the inverse noise matrix by a linear system."""

import numpy as np

from sklearn_noisy._typing import FloatArray
from sklearn_noisy.noise._inputs import confusion_pair
from sklearn_noisy.noise.solvers._simplex import project_columns


def solve_inverse(C_clean: FloatArray, C_noisy: FloatArray) -> FloatArray:
    """Eq. 3: ``R = C*⁻¹ C̃``, its columns projected onto the simplex.

    Least squares of minimal norm where `C_clean` is singular.

    Parameters
    ----------
    C_clean : ndarray of shape (n_classes, n_classes)
    C_noisy : ndarray of shape (n_classes, n_classes)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)

    Raises
    ------
    ValueError
        If a matrix is not square, they differ in shape, or an entry is not finite.
    """
    C_clean, C_noisy, _, _ = confusion_pair(C_clean, C_noisy)
    R: np.ndarray = np.linalg.lstsq(C_clean, C_noisy, rcond=None)[0]
    return project_columns(R)
