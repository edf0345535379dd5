"""The noise matrix from predictions of a classifier."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import check_classification_targets

from sklearn_noisy._labels import (
    all_labels,
    label_array,
    label_codes,
)
from sklearn_noisy._splits import deal_by_class
from sklearn_noisy._typing import ArrayLike, FloatArray, IntArray
from sklearn_noisy._validation import (
    brief,
    check_integer,
    check_same_order,
    given_generator,
    readable,
    warn_without_effect,
)
from sklearn_noisy.noise._checks import class_probabilities
from sklearn_noisy.noise._confusions import (
    FoldStatistics,
    expected_confusion,
    measure_confusion,
)
from sklearn_noisy.noise._estimate import NoiseEstimate, estimate_from_statistics
from sklearn_noisy.noise._likelihood import count_joint, fit_temperature, sharpen
from sklearn_noisy.noise._names import in_class_order, resolve_classes
from sklearn_noisy.noise._settings import Settings


@dataclass(frozen=True)
class Predictions:
    """Predictions of one or more cross-fitted models, encoded.

    Attributes
    ----------
    clean : ndarray of shape (n_clean, n_classes)
        Each clean row's prediction by the model that did not train on it.
    noisy : list of ndarrays of shape (n_noisy, n_classes)
        Predictions of each fold's model, or of one model that all folds share.
    fold : int ndarray of shape (n_clean,)
        Number of the model that predicted the row of `clean`.
    y_clean : int ndarray of shape (n_clean,)
        True labels.
    y_noisy : int ndarray of shape (n_noisy,)
        Given labels.
    w_clean, w_noisy : ndarrays
        Weights of the rows.
    soft : bool
        Whether predictions are probabilities, not labels.
    y_given : int ndarray of shape (n_clean,) or None
        Given labels of the clean rows.
    """

    clean: FloatArray
    noisy: list[FloatArray]
    fold: IntArray
    y_clean: IntArray
    y_noisy: IntArray
    w_clean: FloatArray
    w_noisy: FloatArray
    soft: bool
    y_given: IntArray | None = None

    def calibrated(self) -> "Predictions":
        """Predictions after temperature scaling on the clean rows."""
        power = fit_temperature(self.clean, self.y_clean, self.w_clean)
        return replace(
            self,
            clean=sharpen(self.clean, power),
            noisy=[sharpen(predictions, power) for predictions in self.noisy],
        )

    def statistics(self) -> list[FoldStatistics]:
        """Confusions of each fold."""
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


def estimate_from_predictions(
    predictions: Predictions, settings: Settings, **bootstrap: Any
) -> NoiseEstimate:
    """Calibrate the probabilities, measure the confusions, estimate."""
    if predictions.soft and settings.shrinkage != 0:
        predictions = predictions.calibrated()
    counts = None
    if predictions.y_given is not None:
        counts = count_joint(
            predictions.y_given,
            predictions.y_clean,
            predictions.clean.shape[1],
            predictions.w_clean,
        )
    return estimate_from_statistics(
        predictions.statistics(), settings, counts, **bootstrap
    )


def estimate_noise_matrix(  # noqa: PLR0913
    y_true_clean: ArrayLike,
    pred_clean: ArrayLike,
    y_noisy: ArrayLike,
    pred_noisy: ArrayLike,
    *,
    y_given_clean: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    method: str = "l1",
    l1_penalty: float | str = "cv",
    l1_penalties: ArrayLike | None = None,
    penalty: str = "off_diagonal",
    shrinkage: float | str = "auto",
    solver: str = "auto",
    cv: int = 5,
    allowed: ArrayLike | None = None,
    constraints: Callable[[Any], Any] | None = None,
    n_bootstrap: int = 0,
    random_state: int | np.random.RandomState | None = None,
) -> NoiseEstimate:
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
        Predicted labels, or probabilities, columns as in `classes` or as a DataFrame
        names them.
    y_noisy : array-like of shape (n_noisy,)
        Given labels of the noisy rows.
    pred_noisy : array-like of shape (n_noisy,) or (n_noisy, n_classes)
        As `pred_clean`.
    y_given_clean : array-like of shape (n_clean,), default=None
        Labels of the clean rows before they were checked. They are counted, and the
        counts improve the estimate.
    classes : array-like of shape (n_classes,), default=None
        All labels, sorted; None takes those that a DataFrame names, or else those that
        occur.
    method : {"l1", "inverse"}, default="l1"
        Eq. 5, or Eq. 3 with its columns projected onto the simplex.
    l1_penalty : float >= 0 or "cv", default="cv"
        :math:`\lambda` of Eq. 5; ``"cv"`` chooses it by how well the matrix
        predicts the confusions of held-out clean rows.
    l1_penalties : array-like, default=None
        Values that ``"cv"`` tries; None: 0, and 21 values from 1e-5 to 1.
    penalty : {"off_diagonal", "relaxed", "literal"}, default="off_diagonal"
        Entries of R that :math:`\lambda` penalises. ``"off_diagonal"``: the flips.
        ``"relaxed"``: all entries; the columns need not sum to 1 and are normalised
        afterwards. ``"literal"``: all entries of columns that sum to 1, as the paper
        writes it; this has no effect.
    shrinkage : float in [0, 1] or "auto", default="auto"
        :math:`C^*` is a weighted mean of counts on the clean rows and of the expected
        confusions of calibrated probabilities. This is the weight of the latter.
        ``"auto"`` chooses it by the sampling error of the counts. 0 uses the counts
        alone, with uncalibrated probabilities.
    solver : {"auto", "fista", "cvxpy"}, default="auto"
        Solver of Eq. 5. ``"fista"``: accelerated projected gradient with an active
        set at the end. ``"cvxpy"``: the reference, which takes `constraints`.
        ``"auto"``: cvxpy with `constraints`, else fista.
    cv : int, default=5
        Number of folds of the clean rows for ``l1_penalty="cv"``.
    allowed : bool array-like of shape (n_classes, n_classes), default=None
        ``allowed[j, i]``: whether class i can be given label j. A DataFrame has the
        classes as its index and its columns.
    constraints : callable, default=None
        Takes the cvxpy variable R, returns a list of further constraints.
    n_bootstrap : int, default=0
        Bootstrap samples for 90 % intervals of the entries.
    random_state : int, RandomState instance or None, default=None
        For the folds and the bootstrap.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    TypeError
        For an argument of another type.
    ValueError
        For an argument out of its range, labels outside `classes`, or a class
        without clean rows where `shrinkage` needs counts.

    Warns
    -----
    IneffectiveParameterWarning
        If arguments differ from their defaults that have no effect with the values of
        the others.

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
    given = {"y_true_clean": y_true_clean, "y_noisy": y_noisy}
    if y_given_clean is not None:
        given["y_given_clean"] = y_given_clean
    labels = {name: label_array(y, name) for name, y in given.items()}
    for y in labels.values():
        check_classification_targets(y)
    check_same_order(
        y_true_clean=y_true_clean, pred_clean=pred_clean, y_given_clean=y_given_clean
    )
    check_same_order(y_noisy=y_noisy, pred_noisy=pred_noisy)
    check_consistent_length(y_true_clean, pred_clean, y_given_clean)
    check_consistent_length(y_noisy, pred_noisy)
    predicted = {"pred_clean": pred_clean, "pred_noisy": pred_noisy}
    predicted = {name: readable(pred, name) for name, pred in predicted.items()}
    hard = {n: label_array(p, n) for n, p in predicted.items() if np.ndim(p) == 1}
    classes = resolve_classes(
        all_labels({**labels, **hard}),
        classes=classes,
        matrix=allowed,
        probabilities=pred_clean,
    )
    settings = Settings(
        method=method,
        l1_penalty=l1_penalty,
        l1_penalties=l1_penalties,
        penalty=penalty,
        shrinkage=shrinkage,
        solver=solver,
        allowed=in_class_order(allowed, classes, "allowed"),
        constraints=constraints,
    )
    settings.check(len(classes))
    warn_without_effect(
        estimate_noise_matrix, vars(settings), settings.conditions(), stacklevel=2
    )
    cv = check_integer(cv, "cv", min_val=2)
    n_bootstrap = check_integer(n_bootstrap, "n_bootstrap", min_val=0)
    rng = given_generator(random_state)
    codes = {name: label_codes(y, classes, name) for name, y in labels.items()}
    y_clean, n_clean = codes["y_true_clean"], len(codes["y_true_clean"])
    predictions = Predictions(
        clean=_as_rows(pred_clean, classes, "pred_clean"),
        y_clean=y_clean,
        fold=deal_by_class(y_clean, min(cv, n_clean), rng.permutation(n_clean)),
        noisy=[_as_rows(pred_noisy, classes, "pred_noisy")],
        y_noisy=codes["y_noisy"],
        w_clean=np.ones(n_clean),
        w_noisy=np.ones(len(codes["y_noisy"])),
        soft=not hard,
        y_given=codes.get("y_given_clean"),
    )
    return estimate_from_predictions(
        predictions, settings, n_bootstrap=n_bootstrap, rng=rng
    )


def _as_rows(predictions: ArrayLike, classes: np.ndarray, name: str) -> FloatArray:
    """Probabilities, or labels as rows of zeros and a one."""
    if np.ndim(predictions) == 1:
        return np.eye(len(classes))[label_codes(predictions, classes, name)]
    if np.ndim(predictions) != 2:
        raise ValueError(
            f"{name} must hold probabilities, shape (n_samples, n_classes), or labels, "
            f"shape (n_samples,); got {brief(predictions)}."
        )
    return class_probabilities(predictions, np.shape(predictions)[0], classes, name)
