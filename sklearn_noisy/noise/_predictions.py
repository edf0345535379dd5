"""The noise matrix from predictions that somebody has already."""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sklearn_noisy._validation import check_sample_weight
from sklearn_noisy.noise._checks import check_probabilities
from sklearn_noisy.noise._confusions import (
    expected_confusion,
    fit_temperature,
    measure_confusion,
    sharpen,
)
from sklearn_noisy.noise._estimate import (
    FoldStatistics,
    Settings,
    estimate_from_statistics,
)

__all__ = ["Predictions", "estimate_from_predictions", "estimate_noise_matrix"]


@dataclass(frozen=True)
class Predictions:
    """Predictions of one or more cross-fitted models, encoded.

    Attributes
    ----------
    clean : ndarray of shape (n_clean, n_classes)
        For each clean row those of the model that did not train on it.
    y_clean : int ndarray of shape (n_clean,)
        True labels.
    fold : int ndarray of shape (n_clean,)
        Whose prediction a row of `clean` is.
    noisy : list of ndarrays of shape (n_noisy, n_classes)
        Of each fold's model, or the one of a model that all folds share.
    y_noisy : int ndarray of shape (n_noisy,)
        Given labels.
    w_clean, w_noisy : ndarrays
        Weights of the rows.
    soft : bool
        Whether they are probabilities (not labels).
    y_given : int ndarray of shape (n_clean,) or None
        Given labels of the clean rows.
    """

    clean: np.ndarray
    y_clean: np.ndarray
    fold: np.ndarray
    noisy: list
    y_noisy: np.ndarray
    w_clean: np.ndarray
    w_noisy: np.ndarray
    soft: bool
    y_given: np.ndarray | None = None

    def calibrated(self):
        """The same with the temperature that the clean rows ask for."""
        power = fit_temperature(self.clean, self.y_clean, self.w_clean)
        return replace(
            self,
            clean=sharpen(self.clean, power),
            noisy=[sharpen(predictions, power) for predictions in self.noisy],
        )

    def statistics(self):
        """One :class:`FoldStatistics` for each fold."""
        of_noisy = [
            (
                measure_confusion(noisy, self.y_noisy, self.w_noisy),
                expected_confusion(noisy, self.w_noisy) if self.soft else None,
            )
            for noisy in self.noisy
        ]
        if len(of_noisy) == 1:
            of_noisy *= self.fold.max() + 1
        folds = []
        for f, (noisy, expected) in enumerate(of_noisy):
            rows = self.fold == f
            clean = measure_confusion(
                self.clean[rows], self.y_clean[rows], self.w_clean[rows]
            )
            folds.append(FoldStatistics(clean, noisy, expected))
        return folds

    def counts(self):
        """``[j, i]``: weight of the clean rows that were given j and are truly i."""
        if self.y_given is None:
            return None
        n_classes = self.clean.shape[1]
        flat = np.bincount(
            self.y_given * n_classes + self.y_clean, self.w_clean, n_classes**2
        )
        return flat.reshape(n_classes, n_classes)


def estimate_from_predictions(predictions, settings, **bootstrap):
    """Calibrate the probabilities, measure the confusions, estimate."""
    if predictions.soft and settings.shrinkage != 0:
        predictions = predictions.calibrated()
    return estimate_from_statistics(
        predictions.statistics(), settings, predictions.counts(), **bootstrap
    )


def estimate_noise_matrix(
    y_true_clean,
    pred_clean,
    y_noisy,
    pred_noisy,
    *,
    y_given_clean=None,
    classes=None,
    method="l1",
    l1_penalty="cv",
    l1_penalties=None,
    penalty="off_diagonal",
    shrinkage="auto",
    solver="auto",
    cv=5,
    allowed=None,
    constraints=None,
    n_bootstrap=0,
    random_state=None,
):
    r"""Estimate a noise matrix from the predictions of a classifier.

    The classifier must have trained on none of these rows. With
    :math:`C^*_{ki} = P(\text{predicted } k \mid \text{true } i)` from the clean
    rows and :math:`\tilde C_{kj} = P(\text{predicted } k \mid \text{given } j)` from
    the noisy ones, :math:`\tilde C = C^* R` is solved for
    :math:`R_{ij} = P(\text{true } i \mid \text{given } j)` (Eqs. 3 and 5 of [1]_), and
    Bayes' rule gives the noise matrix (Eq. 4).

    Parameters
    ----------
    y_true_clean : array-like of shape (n_clean,)
        True labels of the clean rows.
    pred_clean : array-like of shape (n_clean,) or (n_clean, n_classes)
        Predicted labels, or probabilities, columns as in `classes`.
    y_noisy : array-like of shape (n_noisy,)
        Given labels of the noisy rows.
    pred_noisy : array-like of shape (n_noisy,) or (n_noisy, n_classes)
        As `pred_clean`.
    y_given_clean : array-like of shape (n_clean,), default=None
        Labels that the clean rows had before somebody checked them; they are
        counted as well.
    classes : array-like of shape (n_classes,), default=None
        All labels, sorted; None takes those that occur.
    method : {"l1", "inverse"}, default="l1"
        Eq. 5, or Eq. 3 with its columns projected onto the simplex.
    l1_penalty : float >= 0 or "cv", default="cv"
        :math:`\lambda` of Eq. 5; ``"cv"`` chooses it by how well the matrix
        predicts the confusions of held-out clean rows.
    l1_penalties : array-like, default=None
        Values that ``"cv"`` tries; None is 0 and 21 from 1e-5 to 1.
    penalty : {"off_diagonal", "relaxed", "literal"}, default="off_diagonal"
        What :math:`\lambda` multiplies: the flips; all of R, which then need not
        sum to 1 and is normalised afterwards; or, as the paper writes it, all of
        R with columns that sum to 1, which changes nothing.
    shrinkage : float in [0, 1] or "auto", default="auto"
        How far :math:`C^*` is moved towards the confusions that the calibrated
        probabilities expect of themselves. ``"auto"``: as far as it is sampling
        error. 0 counts alone, and leaves the probabilities uncalibrated.
    solver : {"auto", "fista", "cvxpy"}, default="auto"
        Of Eq. 5: accelerated projected gradient with an active set at the end
        (also what ``"auto"`` takes), or cvxpy, which is the reference and what
        `constraints` need.
    cv : int, default=5
        Parts of the clean rows for ``l1_penalty="cv"``.
    allowed : bool array-like of shape (n_classes, n_classes), default=None
        ``allowed[j, i]``: whether class i can be given label j.
    constraints : callable, default=None
        Takes the cvxpy variable R, returns a list of further constraints.
    n_bootstrap : int, default=0
        Bootstrap samples for 90 % intervals of the entries.
    random_state : int, RandomState instance or None, default=None
        For the parts and the bootstrap.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    ValueError
        For an argument out of its range, labels outside `classes`, or a class
        of which nothing is known.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014, section 3.2.

    Examples
    --------
    >>> from sklearn_noisy.noise import estimate_noise_matrix
    >>> y_true, predicted = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0]
    >>> y_noisy, predicted_noisy = [0] * 4 + [1] * 8, [0] * 3 + [1] + [0] * 4 + [1] * 4
    >>> estimate = estimate_noise_matrix(
    ...     y_true, predicted, y_noisy, predicted_noisy, l1_penalty=0.0)
    >>> estimate.noise_matrix.round(2)
    array([[0.5, 0. ],
           [0.5, 1. ]])
    """
    labels = [np.asarray(column_or_1d(y)) for y in (y_true_clean, y_noisy)]
    if y_given_clean is not None:
        labels.append(np.asarray(column_or_1d(y_given_clean)))
    for y in labels:
        check_classification_targets(y)
    check_consistent_length(y_true_clean, pred_clean, y_given_clean)
    check_consistent_length(y_noisy, pred_noisy)
    hard = [p for p in (pred_clean, pred_noisy) if np.ndim(p) == 1]
    if classes is None:
        classes = np.unique(np.concatenate([*labels, *map(np.asarray, hard)]))
    classes = np.asarray(classes)
    if not np.array_equal(classes, np.unique(classes)):
        raise ValueError(f"classes must be sorted and differ; got {classes.tolist()}.")
    settings = Settings(
        method=method,
        l1_penalty=l1_penalty,
        l1_penalties=l1_penalties,
        penalty=penalty,
        shrinkage=shrinkage,
        solver=solver,
        allowed=None if allowed is None else np.asarray(allowed),
        constraints=constraints,
    )
    settings.check(len(classes))
    rng = check_random_state(random_state)
    codes = [_encode(y, classes) for y in labels]
    predictions = Predictions(
        clean=_as_rows(pred_clean, classes, "pred_clean"),
        y_clean=codes[0],
        fold=_parts(codes[0], cv, rng),
        noisy=[_as_rows(pred_noisy, classes, "pred_noisy")],
        y_noisy=codes[1],
        w_clean=check_sample_weight(None, len(codes[0])),
        w_noisy=check_sample_weight(None, len(codes[1])),
        soft=not hard,
        y_given=codes[2] if y_given_clean is not None else None,
    )
    return estimate_from_predictions(
        predictions, settings, n_bootstrap=n_bootstrap, rng=rng
    )


def _encode(y, classes):
    unknown = sorted({*y.tolist()} - {*classes.tolist()}, key=str)
    if unknown:
        raise ValueError(
            f"Labels {unknown} are not among the classes {classes.tolist()}."
        )
    return np.searchsorted(classes, y)


def _as_rows(predictions, classes, name):
    """Probabilities, or labels as rows of zeros and a one."""
    if np.ndim(predictions) == 1:
        codes = _encode(np.asarray(predictions), classes)
        return np.eye(len(classes))[codes]
    return check_probabilities(predictions, name, (len(predictions), len(classes)))


def _parts(codes, cv, rng):
    """Part of each clean row, dealt out class by class."""
    if isinstance(cv, bool) or not isinstance(cv, Integral) or cv < 2:
        raise ValueError(f"cv must be an integer of at least 2; got {cv!r}.")
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(len(codes), dtype=int)
    fold[order] = np.arange(len(codes)) % min(cv, len(codes))
    return fold
