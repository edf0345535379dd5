"""Find wrong labels: out-of-fold probabilities, then cleanlab's filters."""

import warnings

import numpy as np
from scipy.optimize import nnls
from sklearn import config_context

from sklearn_noisy._estimators.cross_fitting import out_of_fold_probabilities
from sklearn_noisy._threads import WARNING_FILTERS
from sklearn_noisy._validation import check_choice, encode_labels, label_array
from sklearn_noisy.noise import probability_right
from sklearn_noisy.noise._checks import (
    check_noise_matrix,
    check_possible,
    check_probabilities,
    in_class_order,
)

__all__ = ["find_label_issues"]

FILTERS = (
    "both",
    "prune_by_noise_rate",
    "prune_by_class",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
    "posterior",
)

# Filters that take a noise matrix.
USE_MATRIX = ("both", "prune_by_noise_rate", "prune_by_class", "posterior")


def find_label_issues(  # noqa: PLR0913
    estimator,
    X,
    y,
    *,
    cv=5,
    filter_by="both",
    noise_matrix=None,
    pred_probs=None,
    sample_weight=None,
    n_jobs=None,
    verbose=0,
):
    """Find the rows whose given label is probably wrong.

    A model that did not train on a row predicts its class probabilities. From these,
    cleanlab's filters [1]_ or Bayes' rule with a noise matrix decide whether its label
    is wrong.

    Parameters
    ----------
    estimator : classifier
        Any scikit-learn classifier with ``predict_proba``; it is cloned, not
        fitted. None if `pred_probs` are given.
    X : array-like or Dataset of shape (n_samples, ...)
        What `estimator` takes. Only its index is used if `pred_probs` are
        given; X may then be None.
    y : array-like of shape (n_samples,)
        Given labels.
    cv : int, cross-validation splitter or iterable of splits, default=5
        An integer is the number of shuffled stratified folds.
    filter_by : {"both", "prune_by_noise_rate", "prune_by_class", \
            "confident_learning", "predicted_neq_given", \
            "low_normalized_margin", "low_self_confidence", "posterior"}, \
            default="both"
        All but ``"posterior"`` are filters of cleanlab. ``"both"`` marks the rows that
        *prune by noise rate* and *prune by class* both mark. ``"posterior"`` marks the
        rows whose label is more likely wrong than right, given the row, the label and
        `noise_matrix`. It needs probabilities of the true labels, such as those of
        :class:`NoiseAdaptedClassifier` and of the robust losses.
    noise_matrix : array-like of shape (n_classes, n_classes), default=None
        ``Q[j, i] = P(given j | true i)``, the classes in sorted order (or named
        by the index and the columns of a DataFrame). The matrix determines the joint
        distribution of given and true labels. From this, the two pruning filters
        compute how many rows to mark. None: cleanlab estimates the joint distribution
        from the probabilities. ``"posterior"`` needs a matrix.
    pred_probs : array-like of shape (n_samples, n_classes), default=None
        Out-of-fold probabilities; `estimator` is then not used. Column k belongs to
        the k-th class in sorted order, or to the class that a DataFrame names.
    sample_weight : array-like of shape (n_samples,), default=None
        Passed to ``estimator.fit`` in each fold.
    n_jobs : int, default=None
        Number of folds that are fitted in parallel.
    verbose : int, default=0
        If above 0, a progress bar over the folds is shown (on stderr).

    Returns
    -------
    DataFrame of shape (n_samples, 4)
        ``is_label_issue`` (bool), ``label_quality`` (the probability of the given
        label, or with ``"posterior"`` the probability that it is right),
        ``given_label`` and ``predicted_label``. The index is that of `X` if it is a
        DataFrame, or else that of `y` if it is a Series.

    Raises
    ------
    ValueError
        If an argument does not fit the data; if `noise_matrix` is given with a filter
        that does not use it; if ``"posterior"`` has no `noise_matrix`.
    TypeError
        If `estimator` is no classifier with ``predict_proba``, or its ``fit``
        takes no `sample_weight` and one is given.

    Notes
    -----
    A class that the training part of a fold lacks has probability 0 there.
    cleanlab's filters leave at least one row of each class unmarked.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating
       uncertainty in dataset labels", JAIR 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_noisy import find_label_issues
    >>> from sklearn_noisy.datasets import corrupt_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> y_given = corrupt_labels(y, noise_rate=0.2, exact=True, random_state=0)
    >>> issues = find_label_issues(LogisticRegression(max_iter=1000), X, y_given)
    >>> list(issues.columns)
    ['is_label_issue', 'label_quality', 'given_label', 'predicted_label']
    """
    import pandas as pd  # slow to import, and needed here only

    check_choice(filter_by, "filter_by", FILTERS)
    if pred_probs is None and not (
        hasattr(estimator, "fit") and hasattr(estimator, "predict_proba")
    ):
        raise TypeError(
            "estimator must be a classifier with fit and predict_proba (None only "
            f"with pred_probs); got {estimator!r}."
        )
    labels = label_array(y, warn=True)
    codes, classes = encode_labels(labels)
    Q = _matrix_for(filter_by, noise_matrix, codes, classes)
    if pred_probs is None:
        pred_probs = out_of_fold_probabilities(
            estimator,
            X,
            labels,
            classes,
            cv=cv,
            sample_weight=sample_weight,
            n_jobs=n_jobs,
            verbose=verbose,
        )
    else:
        if isinstance(pred_probs, pd.DataFrame) and {*classes} == {*pred_probs.columns}:
            # By position: boolean labels would be taken for a mask.
            pred_probs = pred_probs.iloc[:, pred_probs.columns.get_indexer(classes)]
        shape = (len(labels), len(classes))
        pred_probs = check_probabilities(pred_probs, "pred_probs", shape)
    if filter_by == "posterior":
        quality = probability_right(pred_probs, codes, Q)
        is_issue = quality < 0.5
    else:
        is_issue, quality = _filtered_by_cleanlab(codes, pred_probs, filter_by, Q)
    indexed = [a for a in (X, y) if isinstance(a, pd.DataFrame | pd.Series)]
    return pd.DataFrame(
        {
            "is_label_issue": is_issue,
            "label_quality": quality,
            "given_label": labels,
            "predicted_label": classes[pred_probs.argmax(axis=1)],
        },
        index=indexed[0].index if indexed else None,
    )


def _matrix_for(filter_by, noise_matrix, codes, classes):
    """The checked noise matrix, or None if the filter gets none."""
    if noise_matrix is None:
        if filter_by == "posterior":
            raise ValueError(
                "filter_by='posterior' needs a noise_matrix, P(given | true): a "
                "fitted NoiseAdaptedClassifier or NoiseMatrixEstimator has one "
                "(noise_matrix_)."
            )
        return None
    if filter_by not in USE_MATRIX:
        raise ValueError(
            f"noise_matrix is used by filter_by={', '.join(map(repr, USE_MATRIX))}; "
            f"got filter_by={filter_by!r}."
        )
    matrix = in_class_order(noise_matrix, classes)
    Q = check_noise_matrix(matrix, n_classes=len(classes))
    check_possible(Q, codes, classes)
    return Q


def _filtered_by_cleanlab(codes, pred_probs, filter_by, Q):
    """Whether each label is an issue, and its quality, by cleanlab."""
    # Slow to import, and needed here only.
    from cleanlab.filter import find_label_issues as cleanlab_filter
    from cleanlab.rank import get_label_quality_scores

    # cleanlab mixes arrays and lists, which the array API dispatch refuses.
    with (
        WARNING_FILTERS.held(),
        warnings.catch_warnings(),
        config_context(array_api_dispatch=False),
    ):
        # The warning refers to a class by its code, and to an argument of cleanlab.
        warnings.filterwarnings("ignore", "May not flag all label issues in class")
        is_issue = cleanlab_filter(
            labels=codes,
            pred_probs=pred_probs,
            filter_by=filter_by,
            confident_joint=None if Q is None else _joint_counts(Q, codes),
            n_jobs=1,  # starting processes takes longer than the filter
        )
        return is_issue, get_label_quality_scores(codes, pred_probs)


def _joint_counts(Q, codes):
    """Expected counts of (given label, true label) from a noise matrix.

    With ``Q[j, i] = P(given j | true i)`` and the given labels' frequencies
    f = Q π, the true classes' frequencies π are the non-negative least-squares
    solution. The joint is Q diag(π), its rows scaled to the counts of the given
    labels. The row of a label that only classes of π = 0 can have is that of Q.
    """
    given = np.bincount(codes, minlength=len(Q))
    prior, _ = nnls(Q, given / given.sum())
    joint = Q * prior
    unseen = ~joint.any(axis=1)
    joint[unseen] = Q[unseen]
    mass = joint.sum(axis=1, keepdims=True)
    # Rounding the cumulative sums keeps the sum of each row, the count of its label.
    cumulated = np.rint(np.cumsum(joint / mass * given[:, None], axis=1))
    return np.diff(cumulated, axis=1, prepend=0).astype(int)
