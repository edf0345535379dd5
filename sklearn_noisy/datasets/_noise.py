"""Noise matrices, and labels corrupted by them."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from sklearn_noisy._labels import (
    label_array,
    label_codes,
)
from sklearn_noisy._splits import round_to_total
from sklearn_noisy._validation import (
    check_choice,
    check_flag,
    check_integer,
    check_real,
    given_generator,
    readable,
)
from sklearn_noisy.noise._checks import class_matrix
from sklearn_noisy.noise._names import resolve_classes

KINDS = ("symmetric", "uniform", "pair", "asymmetric", "random")


def make_noise_matrix(
    n_classes, noise_rate, kind="symmetric", *, class_map=None, random_state=None
):
    r"""Noise matrix :math:`Q_{ji} = P(\text{given } j \mid \text{true } i)`.

    Parameters
    ----------
    n_classes : int >= 2
        :math:`K`.
    noise_rate : float in [0, 1)
        :math:`\rho`: the probability that a label changes, in every class (for
        ``"asymmetric"``, in every class of `class_map`). For ``"uniform"`` it is
        :math:`\varepsilon`, the probability that a label is redrawn uniformly over
        all K classes, so that a fraction :math:`\varepsilon(K-1)/K` changes.
    kind : {"symmetric", "uniform", "pair", "asymmetric", "random"}, \
            default="symmetric"
        Distribution of a changed label: uniform over the other classes
        (``"symmetric"``, and ``"uniform"``, whose rate has another meaning), always
        the next class (``"pair"``), always the class given by `class_map`
        (``"asymmetric"``), or a distribution over the other classes that is drawn
        uniformly from the simplex for each class (``"random"``).
    class_map : dict {int: int}, default=None
        For ``"asymmetric"``: maps indices of true classes to those of wrong classes.
    random_state : int, RandomState instance or None, default=None
        Used by ``"random"``.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Columns sum to 1.

    Raises
    ------
    ValueError
        If `kind` is unknown, the rate is outside [0, 1), or `class_map` names a class
        that does not exist, is missing, or is given for another `kind`.
    TypeError
        If `noise_rate` is not a number or `class_map` is not a mapping.

    Examples
    --------
    >>> from sklearn_noisy.datasets import make_noise_matrix
    >>> make_noise_matrix(3, 0.25, kind="pair")
    array([[0.75, 0.  , 0.25],
           [0.25, 0.75, 0.  ],
           [0.  , 0.25, 0.75]])
    """
    n_classes = check_integer(n_classes, "n_classes", min_val=2)
    rate = check_real(
        noise_rate, "noise_rate", min_val=0, max_val=1, include_boundaries="left"
    )
    check_choice(kind, "kind", KINDS)
    if (class_map is not None) != (kind == "asymmetric"):
        raise ValueError(
            "class_map goes with kind='asymmetric' and only with it; got "
            f"kind={kind!r}, class_map={class_map!r}."
        )
    eye = np.eye(n_classes)
    if kind == "uniform":
        return (1 - rate) * eye + rate / n_classes
    if kind == "symmetric":
        wrong = (1 - eye) / (n_classes - 1)
    elif kind == "pair":
        wrong = np.roll(eye, 1, axis=0)
    elif kind == "asymmetric":
        wrong = _class_map_matrix(class_map, n_classes)
    else:
        rng = given_generator(random_state)
        wrong = np.zeros((n_classes, n_classes))
        for i in range(n_classes):
            others = np.delete(np.arange(n_classes), i)
            wrong[others, i] = rng.dirichlet(np.ones(n_classes - 1))
    return (1 - rate) * eye + rate * wrong


def _class_map_matrix(class_map, n_classes):
    if not isinstance(class_map, Mapping):
        raise TypeError(f"class_map must be a dict, got {class_map!r}.")
    wrong = np.eye(n_classes)
    for true, given in class_map.items():
        for label in (true, given):
            if label not in range(n_classes):
                raise ValueError(
                    f"class_map names class {label!r}; the classes are the indices "
                    f"0 to {n_classes - 1}."
                )
        wrong[:, true] = 0
        wrong[given, true] = 1
    return wrong


def corrupt_labels(
    y,
    noise_matrix=None,
    *,
    noise_rate=None,
    kind="symmetric",
    classes=None,
    exact=False,
    return_mask=False,
    random_state=None,
):
    """Corrupt labels with the probabilities of a noise matrix.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        True labels: integers, strings or booleans.
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes), \
            default=None
        ``Q[j, i] = P(given j | true i)``, with the classes in sorted order, or as the
        index and columns of a DataFrame. None builds it from `noise_rate` and `kind`.
    noise_rate : float in [0, 1), default=None
        See :func:`make_noise_matrix`.
    kind : {"symmetric", "uniform", "pair", "random"}, default="symmetric"
        See :func:`make_noise_matrix`. For ``"asymmetric"``, build the matrix with that
        function and pass it as `noise_matrix`.
    classes : array-like of shape (n_classes,), default=None
        All classes, sorted. Needed if `y` lacks a class of a matrix that is an array,
        or if a class that `y` lacks may be given. None takes the names of a DataFrame,
        or else the labels in `y`.
    exact : bool, default=False
        If True, exactly ``round(sum_i n_i (1 - Q[i, i]))`` labels change, in every
        class the expected number up to rounding. They are spread over the given labels
        as expected, in every class and in total, up to rounding. If False, every label
        is drawn independently.
    return_mask : bool, default=False
        Also return a mask of the changed labels; its mean is the realised noise rate.
    random_state : int, RandomState instance or None, default=None
        Use a different seed for other draws on the same rows, such as ``is_clean``.
        The same seed gives the same random numbers, so that such draws would depend
        on the noise.

    Returns
    -------
    y_given : ndarray of shape (n_samples,), Series or DataFrame
        A Series if `y` is one, with its index, name and dtype; likewise a DataFrame of
        one column.
    changed : bool ndarray of shape (n_samples,)
        Only with `return_mask`.

    Raises
    ------
    ValueError
        If neither or both of `noise_matrix` and `noise_rate` are given, or one of
        them is invalid; if labels are continuous, missing, or none of the classes.

    Examples
    --------
    >>> from sklearn_noisy.datasets import corrupt_labels
    >>> y = ["cat", "dog"] * 5
    >>> y_given, changed = corrupt_labels(
    ...     y, noise_rate=0.2, exact=True, return_mask=True, random_state=0)
    >>> int(changed.sum())
    2
    """
    check_flag(exact, "exact")
    check_flag(return_mask, "return_mask")
    labels = label_array(y)
    if not len(labels):
        raise ValueError("y must hold at least one label; got none.")
    check_classification_targets(labels)
    found = np.unique(labels)
    classes = resolve_classes(found, classes=classes, matrix=noise_matrix)
    codes = label_codes(labels, classes)
    rng = given_generator(random_state)
    if (noise_matrix is None) == (noise_rate is None):
        raise ValueError("Give either noise_matrix or noise_rate, and not both.")
    if (
        noise_matrix is not None
        and np.ndim(readable(noise_matrix, "noise_matrix")) == 0
    ):
        raise ValueError(
            f"noise_matrix must be a matrix; got {noise_matrix!r}. Pass a noise rate "
            "as noise_rate=..."
        )
    if noise_matrix is None:
        if len(classes) < 2:
            raise ValueError(
                f"y must hold at least two classes; got {classes.tolist()}. Pass all "
                "classes as classes=."
            )
        if kind == "asymmetric":
            raise ValueError(
                "kind='asymmetric' needs a class_map: pass "
                "noise_matrix=make_noise_matrix(n_classes, noise_rate, 'asymmetric', "
                "class_map=...)."
            )
        noise_matrix = make_noise_matrix(
            len(classes), noise_rate, kind, random_state=rng
        )
    Q = class_matrix(noise_matrix, classes)
    given = (_draw_exact if exact else _draw)(codes, Q, rng)
    y_given = _as_given(classes[given], y)
    return (y_given, given != codes) if return_mask else y_given


def _as_given(labels, y):
    """Labels in the form of `y`: a Series or one-column DataFrame of the same dtype."""
    if not hasattr(y, "iloc"):
        return labels
    import pandas as pd  # slow to import, and needed here only

    column = y.iloc[:, 0] if y.ndim == 2 else y
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        unknown = np.setdiff1d(np.unique(labels), dtype.categories).tolist()
        if unknown:
            raise ValueError(
                f"y must have all classes as categories; {unknown} are none. "
                "y.cat.add_categories adds them."
            )
    given = pd.Series(labels, index=y.index, name=column.name).astype(dtype)
    return given.to_frame() if y.ndim == 2 else given


def _draw(codes, Q, rng):
    """Every label drawn independently."""
    cumulated = Q.cumsum(axis=0)[:, codes]
    # By rounding, the last sum may be slightly below 1.
    return np.minimum(
        (rng.random_sample(len(codes)) > cumulated).sum(axis=0), len(Q) - 1
    )


def _draw_exact(codes, Q, rng):
    """The expected number of changes, in random rows."""
    n_rows = np.bincount(codes, minlength=len(Q))
    leave = n_rows * (1 - np.diag(Q))
    n_leave = round_to_total(leave, round(leave.sum()), rng)
    given = codes.copy()
    # Rounded class by class, a rare target would never be drawn if classes are small.
    owed = np.zeros(len(Q))
    for i in np.flatnonzero(n_leave):
        wrong = Q[:, i].copy()
        wrong[i] = 0
        expected = n_leave[i] * wrong / wrong.sum()
        targets = round_to_total(expected, n_leave[i], rng, owed=owed)
        owed += expected - targets
        rows = rng.permutation(np.flatnonzero(codes == i))[: n_leave[i]]
        given[rows] = np.repeat(np.arange(len(Q)), targets)
    return given
