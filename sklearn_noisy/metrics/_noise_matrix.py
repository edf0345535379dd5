"""Distance between noise matrices."""

import numpy as np

from sklearn_noisy.noise._checks import check_noise_matrix
from sklearn_noisy.noise._names import in_sorted_order


def noise_matrix_error(noise_matrix, true_matrix):
    r"""L1 distance between the columns of two noise matrices, averaged over classes.

    :math:`\|\hat Q - Q\|_1 / K`, the sum of all absolute differences divided by the
    number of classes. It is 0 for equal matrices and 2 if the columns of each class
    have disjoint supports. Half of it is the mean total variation distance.

    Parameters
    ----------
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        Estimate; columns sum to 1.
    true_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        Reference. DataFrames are matched by the names of their classes. An array has
        the classes in sorted order.

    Returns
    -------
    float
        From 0 to 2.

    Raises
    ------
    ValueError
        If an argument is not a noise matrix, or the two have different sizes.

    Examples
    --------
    >>> from sklearn_noisy.metrics import noise_matrix_error
    >>> round(noise_matrix_error([[0.9, 0.2], [0.1, 0.8]], [[1, 0], [0, 1]]), 6)
    0.3
    """
    true_matrix, noise_matrix = in_sorted_order(
        {"true_matrix": true_matrix, "noise_matrix": noise_matrix}
    )
    Q = check_noise_matrix(true_matrix, name="true_matrix")
    estimate = check_noise_matrix(noise_matrix, n_classes=len(Q))
    return float(np.abs(estimate - Q).sum() / len(Q))
