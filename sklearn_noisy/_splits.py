"""Every dealing of rows into folds and held-out rows: no torch."""

import numpy as np
from sklearn.model_selection import check_cv

__all__ = ["make_splits", "stratified_folds", "stratified_holdout"]


def make_splits(cv, X, labels):
    """Splits from an integer (shuffled stratified folds), a splitter or a list."""
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        if not 2 <= cv <= len(labels):
            raise ValueError(
                f"cv must be at least 2 and at most the number of rows, "
                f"{len(labels)}; got {cv}."
            )
        return stratified_folds(labels, cv)
    return list(check_cv(cv, labels, classifier=True).split(X, labels))


def stratified_folds(labels, n_folds):
    """Shuffled stratified folds, also for a class of fewer rows than folds.

    ``StratifiedKFold`` warns about such a class or refuses it; a rare class is
    a reason to look at its labels, not to stop. The rows, grouped by class, are
    dealt out to the folds one after another.
    """
    rng = np.random.RandomState(0)
    order = rng.permutation(len(labels))
    codes = np.unique(labels, return_inverse=True)[1]
    order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(len(labels), dtype=int)
    fold[order] = np.arange(len(labels)) % n_folds
    return [
        (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)
    ]


def stratified_holdout(y, fraction, rng):
    """Mask of about ``fraction · n`` rows, each class in its proportion.

    Classes of a single row stay in the training part; so does at least one row
    of every class. (``StratifiedShuffleSplit`` refuses such data.)

    Parameters
    ----------
    y : int64 ndarray of shape (n_samples,)
    fraction : float in (0, 1)
    rng : numpy.random.RandomState

    Returns
    -------
    bool ndarray of shape (n_samples,)
        True for the rows that are held out.
    """
    counts = np.bincount(y)
    wanted = counts * fraction
    held = np.floor(wanted).astype(int)
    # Largest remainders; at random among equal ones.
    rest = np.lexsort((rng.random_sample(len(counts)), held - wanted))
    held[rest[: round(wanted.sum()) - held.sum()]] += 1
    held = np.minimum(held, np.maximum(counts - 1, 0))
    mask = np.zeros(len(y), dtype=bool)
    for k, n_held in enumerate(held):
        mask[rng.permutation(np.flatnonzero(y == k))[:n_held]] = True
    return mask
