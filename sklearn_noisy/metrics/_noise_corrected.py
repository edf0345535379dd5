r"""Scores for true labels, computed from given labels and the noise matrix.

Let :math:`Q_{ji} = P(\text{given } j \mid \text{true } i)`, and let the noise depend on
the true label only. A row with prediction k and given label j scores
:math:`(Q^{-1})_{kj}`. The expectation over the given labels of a row with true label i
is :math:`\sum_j (Q^{-1})_{kj} Q_{ji}`, which is 1 for k = i and 0 otherwise.
"""

import numpy as np
from sklearn.metrics import make_scorer
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import check_classification_targets

from sklearn_noisy._labels import (
    all_labels,
    label_array,
    label_codes,
)
from sklearn_noisy._validation import (
    check_choice,
    check_flag,
    check_same_order,
    check_sample_weight,
)
from sklearn_noisy.noise._checks import (
    check_noise_matrix,
    class_matrix,
    class_probabilities,
    is_singular,
)
from sklearn_noisy.noise._names import resolve_classes


def noise_corrected_accuracy_score(
    y_given,
    y_pred,
    *,
    noise_matrix,
    labels=None,
    sample_weight=None,
    return_standard_error=False,
):
    r"""Accuracy on the true labels, estimated from the given labels.

    The mean of :math:`(Q^{-1})_{kj}` over the rows, with k the prediction and j the
    given label. It is an unbiased estimate of the accuracy on the true labels if the
    given labels follow Q, independently of the rest of the row, and if the predictions
    come from a model that did not see these labels. An estimate may lie outside
    [0, 1].

    Parameters
    ----------
    y_given : array-like of shape (n_samples,)
        Given labels.
    y_pred : array-like of shape (n_samples,)
        Predicted true labels.
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``; columns sum to 1.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of a matrix that is an array. None takes the names of a
        DataFrame, or else the labels in `y_given` and `y_pred`, in sorted order.
    sample_weight : array-like of shape (n_samples,), default=None
    return_standard_error : bool, default=False
        Also return the standard error, for independent rows. It is proportional to
        the entries of the inverse matrix: more noise requires more rows.

    Returns
    -------
    score : float
    standard_error : float
        Only with `return_standard_error`; NaN for a single row.

    Raises
    ------
    ValueError
        If the labels do not fit the matrix, or the matrix is singular.

    See Also
    --------
    noise_corrected_log_loss : Score of probabilities, with less variance.

    Examples
    --------
    >>> from sklearn_noisy.metrics import noise_corrected_accuracy_score
    >>> Q = [[0.8, 0.2], [0.2, 0.8]]
    >>> y_pred = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    >>> y_given = [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]  # 80 % agree, as with the truth
    >>> round(noise_corrected_accuracy_score(y_given, y_pred, noise_matrix=Q), 6)
    1.0
    """
    check_flag(return_standard_error, "return_standard_error")
    check_same_order(y_given=y_given, y_pred=y_pred, sample_weight=sample_weight)
    check_consistent_length(y_given, y_pred)
    y_pred, _ = _check_labels(y_pred, "y_pred", None)
    y_given, weight = _check_labels(y_given, "y_given", sample_weight)
    Q, classes = _check_matrix(
        noise_matrix, labels, {"y_given": y_given, "y_pred": y_pred}
    )
    if is_singular(Q):
        raise ValueError(
            "noise_matrix is singular: the given labels do not determine the accuracy "
            "on true labels. noise_corrected_log_loss does not need the inverse."
        )
    given = label_codes(y_given, classes, "y_given")
    predicted = label_codes(y_pred, classes, "y_pred")
    # Solving is more accurate than inverting an ill-conditioned matrix.
    worth = np.linalg.solve(Q, np.eye(len(Q)))[predicted, given]
    score = float(weight @ worth)
    if not return_standard_error:
        return score
    n_rows = np.count_nonzero(weight)
    if n_rows < 2:
        return score, np.nan
    spread = (weight**2) @ (worth - score) ** 2
    return score, float(np.sqrt(spread * n_rows / (n_rows - 1)))


def noise_corrected_log_loss(
    y_given, y_proba, *, noise_matrix, labels=None, sample_weight=None
):
    r"""Log loss of the given labels, from probabilities of the true classes.

    The mean of :math:`-\log (Qp)_j` with j the given label and p the probabilities of
    the true classes. It is a proper score if the given labels follow Q: the true
    posterior has the lowest expectation of all p. The plain log loss of p on given
    labels is not, since it rewards predicting the noise.

    Parameters
    ----------
    y_given : array-like of shape (n_samples,)
        Given labels.
    y_proba : array-like or DataFrame of shape (n_samples, n_classes)
        Probabilities of the **true** classes, such as those of ``predict_proba``. The
        columns of a DataFrame are matched by name.
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``; columns sum to 1.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of the matrix and of the columns of `y_proba`, where these
        are arrays. None takes the names of a DataFrame, or else the labels in
        `y_given`, in sorted order.
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    float
        In nats. A probability of 0 is replaced by the smallest positive normal
        number.

    Raises
    ------
    ValueError
        If labels, probabilities and matrix do not fit each other.

    See Also
    --------
    noise_corrected_accuracy_score : Accuracy of predicted labels.

    Examples
    --------
    >>> from sklearn_noisy.metrics import noise_corrected_log_loss
    >>> Q = [[0.75, 0.25], [0.25, 0.75]]
    >>> round(noise_corrected_log_loss([0, 1], [[1, 0], [0, 1]], noise_matrix=Q), 4)
    0.2877
    """
    check_same_order(y_given=y_given, y_proba=y_proba, sample_weight=sample_weight)
    y_given, weight = _check_labels(y_given, "y_given", sample_weight)
    Q, classes = _check_matrix(noise_matrix, labels, {"y_given": y_given}, y_proba)
    probabilities = class_probabilities(y_proba, len(y_given), classes, "y_proba")
    given = label_codes(y_given, classes, "y_given")
    likelihood = (Q[given] * probabilities).sum(axis=1)
    return float(-(weight @ np.log(np.maximum(likelihood, np.finfo(float).tiny))))


def make_noise_corrected_scorer(noise_matrix, *, metric="accuracy", labels=None):
    """Scorer for ``scoring=`` that estimates a score for true labels.

    Parameters
    ----------
    noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``; columns sum to 1.
    metric : {"accuracy", "log_loss"}, default="accuracy"
        :func:`noise_corrected_accuracy_score`, or the negative
        :func:`noise_corrected_log_loss`, which has less variance.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of a matrix that is an array. Required if the rows to
        score may lack a class, unless the matrix is a DataFrame.

    Returns
    -------
    callable
        ``scorer(estimator, X, y_given)``; it takes `sample_weight` as metadata.

    Raises
    ------
    ValueError
        If `metric` is unknown, or `noise_matrix` is not a noise matrix.

    Notes
    -----
    The scorer takes every label for a given one. ``score(X_test, y_true)`` of a search
    that was made with it corrects the true labels as well, and is no accuracy. For true
    labels use ``sklearn.metrics.accuracy_score(y_true, search.predict(X_test))`` or
    ``search.best_estimator_.score(X_test, y_true)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
    >>> from sklearn_noisy.metrics import make_noise_corrected_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> Q = make_noise_matrix(3, 0.3)
    >>> y_given = corrupt_labels(y, Q, random_state=0)
    >>> scoring = make_noise_corrected_scorer(Q)
    >>> clf = LogisticRegression(max_iter=1000)
    >>> scores = cross_val_score(clf, X, y_given, scoring=scoring)
    >>> bool(np.mean(scores) > np.mean(cross_val_score(clf, X, y_given)))
    True
    """
    check_choice(metric, "metric", ("accuracy", "log_loss"))
    check_noise_matrix(noise_matrix)
    arguments = {"noise_matrix": noise_matrix, "labels": labels}
    if metric == "accuracy":
        return make_scorer(noise_corrected_accuracy_score, **arguments)
    return make_scorer(
        _log_loss_of_columns,
        response_method="predict_proba",
        greater_is_better=False,
        **arguments,
    )


def _log_loss_of_columns(
    y_given, y_proba, *, noise_matrix, labels=None, sample_weight=None
):
    """Log loss of the probabilities that a scorer passes.

    Their columns are in the order of the sorted classes. With two classes, only the
    column of the second one is passed.
    """
    y_proba = np.asarray(y_proba)
    if y_proba.ndim == 1:
        y_proba = np.column_stack([1 - y_proba, y_proba])
    n_classes = np.shape(noise_matrix)[0]
    if y_proba.shape[1] != n_classes:
        raise ValueError(
            f"noise_matrix is for {n_classes} classes, but the estimator returns "
            f"probabilities of {y_proba.shape[1]}; its training rows may lack a class."
        )
    if labels is not None:
        y_proba = y_proba[:, np.argsort(np.argsort(labels))]
    return noise_corrected_log_loss(
        y_given,
        y_proba,
        noise_matrix=noise_matrix,
        labels=labels,
        sample_weight=sample_weight,
    )


def _check_labels(y, name, sample_weight):
    """Labels as a vector, and weights that sum to 1."""
    labels = label_array(y, name, warn=True)
    if not len(labels):
        raise ValueError(f"{name} must hold at least one label.")
    check_classification_targets(labels)
    weight = check_sample_weight(sample_weight, len(labels))
    return labels, weight / weight.sum()


def _check_matrix(noise_matrix, labels, found, y_proba=None):
    """The checked matrix, and the classes in its order."""
    if labels is not None:
        classes = label_array(labels, "labels")
        if len(np.unique(classes)) != len(classes):
            raise ValueError(f"labels must differ; got {classes.tolist()}.")
        if not len(classes):
            raise ValueError("labels must hold the classes; got none.")
    else:
        occurring = all_labels(found)
        classes = resolve_classes(occurring, matrix=noise_matrix, probabilities=y_proba)
        shape = np.shape(noise_matrix)
        if len(shape) == 2 and len(classes) != shape[0]:
            raise ValueError(
                f"noise_matrix is for {shape[0]} classes, but the rows hold "
                f"{len(classes)}: {classes.tolist()}. Pass all classes as labels."
            )
    return class_matrix(noise_matrix, classes), classes
