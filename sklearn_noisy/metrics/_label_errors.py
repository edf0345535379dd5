"""Wrong labels that were found, against those that there are."""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

__all__ = ["label_error_report"]


def label_error_report(is_error_true, is_error_found):
    """How well the wrong labels were found.

    Parameters
    ----------
    is_error_true : bool array-like of shape (n_samples,)
        Whether each label is wrong.
    is_error_found : bool array-like of shape (n_samples,)
        Whether each label was found to be wrong, such as the column
        ``is_label_issue`` of :func:`sklearn_noisy.find_label_issues`.

    Returns
    -------
    dict
        ``"precision"``, ``"recall"`` and ``"f1"`` (0 where nothing was found or
        there was nothing to find), and the counts ``"n_errors"``, ``"n_found"``
        and ``"n_correct"``: the last two are the total and the correct detections
        of Figure 5 of [1]_.

    Raises
    ------
    ValueError
        If one of them is no boolean mask, or they differ in length or, as Series, in
        their index.

    References
    ----------
    .. [1] N. Pellegrino, D. Pellegrino, P. Fieguth, "Loss functions robust to the
       presence of label errors".

    Examples
    --------
    >>> from sklearn_noisy.metrics import label_error_report
    >>> report = label_error_report(
    ...     [True, True, False, False], [True, False, False, False])
    >>> report["precision"], report["recall"], report["n_correct"]
    (1.0, 0.5, 1)
    """
    true = _mask(is_error_true, "is_error_true")
    found = _mask(is_error_found, "is_error_found")
    indices = [getattr(mask, "index", None) for mask in (is_error_true, is_error_found)]
    if all(hasattr(index, "equals") for index in indices) and not indices[0].equals(
        indices[1]
    ):
        raise ValueError(
            "is_error_true and is_error_found must be in the same order; their indices "
            "differ. is_error_found.sort_index(), say."
        )
    if len(true) != len(found):
        raise ValueError(
            "is_error_true and is_error_found must be masks of the same rows; got "
            f"{len(true)} and {len(found)}."
        )
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, found, average="binary", zero_division=0.0
    )
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "n_errors": int(true.sum()),
        "n_found": int(found.sum()),
        "n_correct": int((true & found).sum()),
    }


def _mask(values, name):
    mask = np.asarray(values)
    if mask.ndim != 1 or mask.dtype != bool or not len(mask):
        raise ValueError(
            f"{name} must be a boolean mask of shape (n_samples,); got shape "
            f"{mask.shape}, dtype {mask.dtype}."
        )
    return mask
