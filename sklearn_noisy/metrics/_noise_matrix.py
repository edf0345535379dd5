"""Distance between noise matrices."""

import numpy as np

from sklearn_noisy.noise._checks import check_noise_matrix, in_class_order


def noise_matrix_error(noise_matrix, true_matrix):
    r"""L1 distance between the columns of two noise matrices, averaged over classes.

    :math:`\|\hat Q - Q\|_1 / K`, the sum of all absolute differences divided by the
    number of classes. It is 0 for equal matrices and 2 if the columns of each class
    have disjoint supports. Half of it is the mean total variation distance.

    Parameters
    ----------
    noise_matrix : array-like of shape (n_classes, n_classes)
        Estimate; columns sum to 1.
    true_matrix : array-like of shape (n_classes, n_classes)
        Reference. If both are DataFrames, classes are matched by name.

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
    if hasattr(true_matrix, "loc"):
        classes = np.asarray(true_matrix.columns)
        true_matrix = in_class_order(true_matrix, classes, "true_matrix")
        noise_matrix = in_class_order(noise_matrix, classes)
    Q = check_noise_matrix(true_matrix)
    estimate = check_noise_matrix(noise_matrix, n_classes=len(Q))
    return float(np.abs(estimate - Q).sum() / len(Q))
