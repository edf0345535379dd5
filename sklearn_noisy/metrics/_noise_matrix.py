"""How far a noise matrix is from another."""

import numpy as np

from sklearn_noisy.noise._checks import check_noise_matrix, in_class_order

__all__ = ["noise_matrix_error"]


def noise_matrix_error(noise_matrix, true_matrix):
    r"""Mean over the classes of the L1 distance of two noise matrices' columns.

    :math:`\|\hat Q - Q\|_1 / K`, the sum of all absolute differences divided by the
    number of classes: 0 for the same matrix, 2 for matrices whose columns have
    nothing in common. Half of it is the total variation of the mean class.

    Parameters
    ----------
    noise_matrix : array-like of shape (n_classes, n_classes)
        An estimate; columns sum to 1.
    true_matrix : array-like of shape (n_classes, n_classes)
        What it is compared with. If both are DataFrames, the classes are matched by
        their names.

    Returns
    -------
    float
        From 0 to 2.

    Raises
    ------
    ValueError
        If one of them is no noise matrix, or they have different sizes.

    Examples
    --------
    >>> from sklearn_noisy.metrics import noise_matrix_error
    >>> round(noise_matrix_error([[0.9, 0.2], [0.1, 0.8]], [[1, 0], [0, 1]]), 6)
    0.3
    """
    if hasattr(true_matrix, "loc"):
        classes = np.asarray(true_matrix.columns)
        true_matrix = in_class_order(true_matrix, classes, "true_matrix")
        noise_matrix = in_class_order(noise_matrix, classes)
    Q = check_noise_matrix(true_matrix)
    estimate = check_noise_matrix(noise_matrix, n_classes=len(Q))
    return float(np.abs(estimate - Q).sum() / len(Q))
