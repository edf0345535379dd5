"""Eq. 3: the inverse noise matrix by a linear system."""

import numpy as np

from sklearn_noisy._typing import FloatArray
from sklearn_noisy.noise._names import in_sorted_order
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
    """
    C_clean, C_noisy = in_sorted_order({"C_clean": C_clean, "C_noisy": C_noisy})
    R: np.ndarray = np.linalg.lstsq(C_clean, C_noisy, rcond=None)[0]
    return project_columns(R)
