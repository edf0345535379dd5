"""Find wrong labels: out-of-fold probabilities, then cleanlab's filters."""

import warnings

import numpy as np
from scipy.optimize import nnls
from sklearn import config_context
from sklearn.utils.multiclass import check_classification_targets

from sklearn_noisy._estimators.cross_fitting import (
    fit_arguments,
    out_of_fold_probabilities,
)
from sklearn_noisy._labels import (
    encode_labels,
    label_array,
    label_codes,
)
from sklearn_noisy._splits import round_by_evidence
from sklearn_noisy._threads import WARNING_FILTERS
from sklearn_noisy._validation import (
    check_choice,
    check_is_clean,
    check_same_order,
    check_verbose,
)
from sklearn_noisy.noise import probability_right
from sklearn_noisy.noise._checks import (
    check_possible,
    class_matrix,
    class_probabilities,
)
from sklearn_noisy.noise._names import resolve_classes

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
    classes=None,
    is_clean=None,
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
        An integer is the number of shuffled stratified folds. Of a splitter that needs
        groups, give the splits, ``splitter.split(X, y, groups)``.
    filter_by : {"both", "prune_by_noise_rate", "prune_by_class", \
            "confident_learning", "predicted_neq_given", \
            "low_normalized_margin", "low_self_confidence", "posterior"}, \
            default="both"
        All but ``"posterior"`` are filters of cleanlab. ``"both"`` marks the rows that
        *prune by noise rate* and *prune by class* both mark. ``"posterior"`` marks the
        rows whose label is more likely wrong than right, given the row, the label and
        `noise_matrix`. It needs probabilities of the true labels, such as those of
        :class:`NoiseAdaptedClassifier` and of the robust losses.
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes), \
            default=None
        ``Q[j, i] = P(given j | true i)``, the classes in sorted order (or named
        by the index and the columns of a DataFrame). The matrix determines the joint
        distribution of given and true labels. From this, the two pruning filters
        compute how many rows to mark. None: cleanlab estimates the joint distribution
        from the probabilities. ``"posterior"`` needs a matrix.
    pred_probs : array-like or DataFrame of shape (n_samples, n_classes), default=None
        Out-of-fold probabilities; `estimator` is then not used. Column k belongs to
        the k-th class in sorted order, or to the class that a DataFrame names.
    classes : array-like of shape (n_classes,), default=None
        All classes, sorted, such as ``classes_`` of the classifier that predicted
        `pred_probs`. Needed if `y` lacks a class of `pred_probs` or of `noise_matrix`
        and these are arrays. None takes the names of a DataFrame, or else the labels
        in `y` and those that `estimator` knows (a ``FrozenEstimator``, say).
    is_clean : bool array-like of shape (n_samples,), default=None
        True where the label is known to be right. Such a row is never an issue, and its
        ``label_quality`` is 1. It belongs to the training rows of the folds, and is
        passed to an ``estimator.fit`` that takes `is_clean`. The filters see only the
        other rows.
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
        If an argument does not fit the data; if pandas objects hold the same rows in a
        different order; if `noise_matrix` is given with a filter that does not use it;
        if ``"posterior"`` has no `noise_matrix`.
    TypeError
        If `estimator` is no classifier with ``predict_proba``, or its ``fit``
        takes no `sample_weight` and one is given.

    Notes
    -----
    A class that the training part of a fold lacks has probability 0 there. A class that
    only the fitted models know can be predicted, and is a column of their
    probabilities.
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
    check_verbose(verbose)
    if pred_probs is None and not (
        hasattr(estimator, "fit") and hasattr(estimator, "predict_proba")
    ):
        raise TypeError(
            "estimator must be a classifier with fit and predict_proba (None only "
            f"with pred_probs); got {estimator!r}."
        )
    check_same_order(
        X=X, y=y, pred_probs=pred_probs, sample_weight=sample_weight, is_clean=is_clean
    )
    labels = label_array(y, warn=True)
    judged = np.ones(len(labels), dtype=bool)
    if is_clean is not None:
        judged = ~check_is_clean(is_clean, len(labels))
    codes, known = _encode(labels, classes, noise_matrix, pred_probs)
    Q = _matrix_for(filter_by, noise_matrix, codes[judged], known)
    if pred_probs is None:
        mask = None if is_clean is None else ~judged
        p, all_classes = out_of_fold_probabilities(
            estimator,
            X,
            labels,
            known,
            cv=cv,
            fit_params=fit_arguments(estimator, sample_weight, len(labels), mask),
            n_jobs=n_jobs,
            verbose=verbose,
            extends=classes is None,
        )
        if len(all_classes) > len(known):
            known, codes = all_classes, label_codes(labels, all_classes)
            Q = _matrix_for(filter_by, noise_matrix, codes[judged], known)
    else:
        p = class_probabilities(pred_probs, len(labels), known, "pred_probs")
    is_issue, quality = np.zeros(len(labels), dtype=bool), np.ones(len(labels))
    if judged.any():
        judge = _by_posterior if filter_by == "posterior" else _by_cleanlab
        is_issue[judged], quality[judged] = judge(
            codes[judged], p[judged], filter_by, Q
        )
    indexed = [a for a in (X, y) if isinstance(a, pd.DataFrame | pd.Series)]
    return pd.DataFrame(
        {
            "is_label_issue": is_issue,
            "label_quality": quality,
            "given_label": labels,
            "predicted_label": known[p.argmax(axis=1)],
        },
        index=indexed[0].index if indexed else None,
    )


def _encode(labels, classes, noise_matrix, pred_probs):
    """Codes of the labels, and all classes: see the parameter `classes`."""
    check_classification_targets(labels)
    found = np.unique(labels)
    known = resolve_classes(
        found, classes=classes, matrix=noise_matrix, probabilities=pred_probs
    )
    # A single class is refused unless others are named.
    return encode_labels(labels, None if known is found else known)


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
    Q = class_matrix(noise_matrix, classes)
    check_possible(Q, codes, classes)
    return Q


def _by_posterior(codes, pred_probs, filter_by, Q):
    """Whether each label is an issue, and its quality, by Bayes' rule."""
    quality = probability_right(pred_probs, codes, Q)
    return quality < 0.5, quality


def _by_cleanlab(codes, pred_probs, filter_by, Q):
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
            confident_joint=None if Q is None else _joint_counts(Q, codes, pred_probs),
            n_jobs=1,  # starting processes takes longer than the filter
        )
        return is_issue, get_label_quality_scores(codes, pred_probs)


def _joint_counts(Q, codes, pred_probs=None):
    """Expected counts of (given label, true label) from a noise matrix.

    With ``Q[j, i] = P(given j | true i)`` and the given labels' frequencies
    f = Q π, the true classes' frequencies π are the non-negative least-squares
    solution. The joint is Q diag(π), its rows scaled to the counts of the given
    labels. The row of a label that only classes of π = 0 can have is that of Q.

    The number of wrong labels is rounded as a whole. Rounded cell by cell, the many
    small counts of many classes would all become 0. Where the predictions disagree with
    given labels decides which counts are rounded up.
    """
    n_classes = len(Q)
    given = np.bincount(codes, minlength=n_classes)
    prior, _ = nnls(Q, given / given.sum())
    joint = Q * prior
    unseen = ~joint.any(axis=1)
    joint[unseen] = Q[unseen]
    mass = joint.sum(axis=1, keepdims=True)
    wrong = joint / np.where(mass > 0, mass, 1) * given[:, None]
    np.fill_diagonal(wrong, 0)
    observed = np.zeros((n_classes, n_classes), dtype=int)
    if pred_probs is not None:
        np.add.at(observed, (codes, pred_probs.argmax(axis=1)), 1)
    np.fill_diagonal(observed, 0)
    expected = wrong.sum(axis=1)
    n_wrong = round_by_evidence(expected, round(expected.sum()), observed.sum(axis=1))
    counts = np.diag(given - n_wrong)
    for j in np.flatnonzero(n_wrong):
        counts[j] += round_by_evidence(wrong[j], n_wrong[j], observed[j])
    return counts
