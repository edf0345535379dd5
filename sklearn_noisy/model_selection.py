"""Splitters that take clean rows into account."""

from collections.abc import Sized

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.multiclass import check_classification_targets

from sklearn_noisy._labels import (
    label_array,
)
from sklearn_noisy._splits import deal_by_class
from sklearn_noisy._validation import (
    check_flag,
    check_integer,
    check_is_clean,
    check_same_order,
    given_generator,
)

__all__ = ["CleanRowsKFold"]


class CleanRowsKFold(BaseCrossValidator):
    """Folds that train on noisy and clean rows and score on clean rows only.

    The clean rows are divided into folds, stratified by class. Each fold is the test
    part once; the training part is all other rows, noisy and clean. Scores therefore
    refer to true labels, and every noisy row is trained on.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether the clean rows of a class are assigned to folds at random, instead of
        in their order.
    random_state : int, RandomState instance or None, default=None
        Used with `shuffle`.

    Notes
    -----
    In a search, the mask is metadata. With
    ``sklearn.set_config(enable_metadata_routing=True)``, ``fit(X, y, is_clean=mask)``
    passes it to the splitter. Without metadata routing, pass the splits:
    ``cv=CleanRowsKFold(5).split(X, y, is_clean=mask)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_noisy.model_selection import CleanRowsKFold
    >>> X, y = np.zeros((8, 1)), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    >>> is_clean = np.arange(8) < 4
    >>> for train, test in CleanRowsKFold(2).split(X, y, is_clean=is_clean):
    ...     print(train, test)
    [2 3 4 5 6 7] [0 1]
    [0 1 4 5 6 7] [2 3]
    """

    __metadata_request__split = {"is_clean": True}  # noqa: RUF012

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None, is_clean=None):
        """Number of folds.

        Parameters
        ----------
        X, y, groups, is_clean : object, default=None
            Ignored.

        Returns
        -------
        int
        """
        return self.n_splits

    def split(self, X, y=None, groups=None, *, is_clean=None):
        """Indices of the training and the test part of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or None
            Only the number of rows is used. None takes that of `y` or `is_clean`.
        y : array-like of shape (n_samples,), default=None
            Labels; None divides the clean rows without stratification.
        groups : object, default=None
            Ignored.
        is_clean : bool array-like of shape (n_samples,), default=None
            True where the label is known to be right; required.

        Yields
        ------
        train : int ndarray of shape (n_train,)
        test : int ndarray of shape (n_test,)

        Raises
        ------
        ValueError
            If `is_clean` is not given, or marks fewer rows than there are folds; if the
            arguments differ in length, or hold the same rows in a different order.
        """
        check_integer(self.n_splits, "n_splits", min_val=2)
        check_flag(self.shuffle, "shuffle")
        check_same_order(X=X, y=y, is_clean=is_clean)
        n_samples = _n_rows(X, y, is_clean)
        if is_clean is None:
            raise ValueError(
                "CleanRowsKFold needs is_clean, the mask of the rows to score on: "
                "split(X, y, is_clean=mask), or, in a search with metadata routing, "
                "fit(X, y, is_clean=mask)."
            )
        clean = np.flatnonzero(check_is_clean(is_clean, n_samples))
        if len(clean) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {len(clean)} rows that "
                "is_clean marks."
            )
        order = np.arange(len(clean))
        if self.shuffle:
            order = given_generator(self.random_state).permutation(len(clean))
        codes = np.zeros(len(clean), dtype=int)
        if y is not None:
            labels = label_array(y)
            if len(labels) != n_samples:
                raise ValueError(
                    f"y must have a label for each of the {n_samples} rows of X; got "
                    f"{len(labels)}."
                )
            check_classification_targets(labels)
            codes = np.unique(labels[clean], return_inverse=True)[1]
        fold = deal_by_class(codes, self.n_splits, order)
        for k in range(self.n_splits):
            test = clean[fold == k]
            yield np.setdiff1d(np.arange(n_samples), test), test


def _n_rows(*arguments):
    """Number of rows of the first argument that is given."""
    for argument in arguments:
        if argument is None:
            continue
        shape = getattr(argument, "shape", None)
        if shape == () or not isinstance(argument, Sized):
            raise TypeError(f"X, y and is_clean must hold rows; got {argument!r}.")
        return len(argument) if shape is None else shape[0]
    return 0
