"""Found label errors compared with the true ones."""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from sklearn_noisy._validation import readable


def label_error_report(is_error_true, is_error_found):
    """Precision, recall and counts of found label errors.

    Parameters
    ----------
    is_error_true : bool array-like of shape (n_samples,)
        Whether each label is wrong.
    is_error_found : bool array-like of shape (n_samples,)
        Whether each label was flagged as wrong, such as the column
        ``is_label_issue`` of :func:`sklearn_noisy.find_label_issues`.

    Returns
    -------
    dict
        ``"precision"``, ``"recall"`` and ``"f1"``, which are 0 if no label was flagged
        or no label is wrong, and the counts ``"n_errors"``, ``"n_found"`` and
        ``"n_correct"``. The last two are the total and the correct detections of
        Figure 5 of [1]_.

    Raises
    ------
    ValueError
        If an argument is not a boolean mask, or the two differ in length or, as
        Series, in their index.

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
            "is_error_true and is_error_found must be in the same order, but their "
            "indices differ. is_error_found.sort_index() undoes a sort."
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
    mask = np.asarray(readable(values, name))
    if mask.ndim != 1 or mask.dtype != bool or not len(mask):
        raise ValueError(
            f"{name} must be a boolean mask of shape (n_samples,); got shape "
            f"{mask.shape}, dtype {mask.dtype}."
        )
    return mask
