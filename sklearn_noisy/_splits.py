"""Division of rows into folds and held-out rows: no torch."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import get_routing_for_object

from sklearn_noisy._typing import BoolArray, FloatArray, IntArray

Splits = list[tuple[IntArray, IntArray]]


def make_splits(cv: int | Iterable | Any, X: Any, labels: np.ndarray) -> Splits:
    """Splits from an integer (shuffled stratified folds), a splitter or a list.

    Raises
    ------
    TypeError, ValueError
        If `cv` is none of these, an integer is out of its range, or the splitter needs
        groups.
    """
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        if not 2 <= int(cv) <= len(labels):
            raise ValueError(
                f"cv must be at least 2 and at most the number of rows, "
                f"{len(labels)}; got {cv}."
            )
        return stratified_folds(labels, int(cv))
    if isinstance(cv, str | bytes):
        raise TypeError(
            f"cv must be an integer, a splitter or an iterable of splits; got {cv!r}."
        )
    splitter = check_cv(cv, labels, classifier=True)
    if get_routing_for_object(splitter).split.requests.get("groups") is True:
        raise ValueError(
            f"cv={cv!r} needs groups. Give its splits: cv=splitter.split(X, y, groups)."
        )
    return list(splitter.split(X, labels))


def deal_by_class(codes: IntArray, n_folds: int, order: IntArray) -> IntArray:
    """Fold of each row: the rows of one class go to the folds in turn.

    ``StratifiedKFold`` warns about a class of fewer rows than folds, or refuses it.
    Such a class is a reason to check its labels, not to stop.

    Parameters
    ----------
    codes : int ndarray of shape (n_samples,)
        Classes of the rows.
    n_folds : int
    order : int ndarray of shape (n_samples,)
        Permutation of the rows, which sets the order within each class.

    Returns
    -------
    int ndarray of shape (n_samples,)
    """
    fold = np.empty(len(codes), dtype=int)
    by_class = order[np.argsort(codes[order], kind="stable")]
    fold[by_class] = np.arange(len(codes)) % n_folds
    return fold


def stratified_folds(labels: np.ndarray, n_folds: int) -> Splits:
    """Training and test rows of shuffled stratified folds, always the same ones."""
    order = np.random.RandomState(0).permutation(len(labels))
    codes = np.unique(labels, return_inverse=True)[1]
    fold = deal_by_class(codes, n_folds, order)
    return [
        (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)
    ]


def round_to_total(
    expected: FloatArray,
    total: int,
    rng: np.random.RandomState,
    *,
    limit: IntArray | None = None,
    owed: FloatArray | float = 0.0,
) -> IntArray:
    """Non-negative integers near `expected` that sum to `total`.

    The largest remainders are rounded up, with ties broken at random.

    Parameters
    ----------
    expected : ndarray of shape (n,)
    total : int
        At least the sum of the integer parts of `expected`.
    rng : numpy.random.RandomState
    limit : int ndarray of shape (n,), default=None
        Largest allowed values. What exceeds them goes to the other numbers, of which
        each is at most 1 above its integer part; the sum may then be below `total`.
    owed : ndarray of shape (n,), default=0
        What earlier roundings of the same quantities lack. It is added to the
        remainders, so that the sums over all roundings are near those expected.

    Returns
    -------
    int ndarray of shape (n,)
    """
    counts = np.floor(expected).astype(int)
    # Sums of fractions that are equal must not differ by their rounding errors.
    remainder = np.round(expected - counts + owed, 9)
    order = np.lexsort((rng.random_sample(len(counts)), -remainder))
    possible = expected > 0
    if limit is not None:
        counts = np.minimum(counts, limit)
        possible = counts < limit
    order = order[possible[order]]
    counts[order[: total - counts.sum()]] += 1
    return counts


def round_by_evidence(expected: FloatArray, total: int, observed: IntArray) -> IntArray:
    """Non-negative integers near `expected` that sum to `total`.

    The remainder of an expected count says little: the count varies by its square root.
    So the remainders are weighted by what was observed above the integer part. The
    largest are rounded up.

    Parameters
    ----------
    expected : ndarray of shape (n,)
    total : int
        At least the sum of the integer parts of `expected`.
    observed : int ndarray of shape (n,)
        Uncertain observations of the same counts.

    Returns
    -------
    int ndarray of shape (n,)
    """
    counts = np.floor(expected).astype(int)
    remainder = expected - counts
    weighted = remainder * np.maximum(observed - counts, 0)
    counts[np.lexsort((-remainder, -weighted))[: total - counts.sum()]] += 1
    return counts


def stratified_holdout(
    y: IntArray, fraction: float, rng: np.random.RandomState
) -> BoolArray:
    """Mask of about ``fraction · n`` rows, each class in its proportion.

    At least one row of every class stays in the training part; rows of other classes
    are held out instead.
    (``StratifiedShuffleSplit`` refuses a class of a single row.)

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
    expected: np.ndarray = counts * fraction
    room = np.maximum(counts - 1, 0)
    held = round_to_total(expected, round(expected.sum()), rng, limit=room)
    mask = np.zeros(len(y), dtype=bool)
    for k, n_held in enumerate(held):
        mask[rng.permutation(np.flatnonzero(y == k))[:n_held]] = True
    return mask
