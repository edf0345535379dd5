"""NoiseMatrixEstimator: data checks and cross-fitting for the functions of noise/."""

from dataclasses import fields
from numbers import Integral

import numpy as np
from joblib import Parallel, delayed
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import get_tags, indexable
from sklearn.utils.validation import validate_data
from tqdm import tqdm

from sklearn_noisy._estimators.base import DATASETS, refuse_unindexable
from sklearn_noisy._estimators.cross_fitting import (
    fit_on,
    out_of_fold_probabilities,
    predict_proba_for,
    rows_for,
    weight_params,
)
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._labels import (
    check_y_given,
    encode_labels,
    label_array,
)
from sklearn_noisy._splits import make_splits
from sklearn_noisy._validation import (
    check_choice,
    check_integer,
    check_is_clean,
    check_same_order,
    check_sample_weight,
    check_verbose,
    own_generator,
    warn_without_effect,
)
from sklearn_noisy.noise import NoiseEstimate, inverse_from_noise
from sklearn_noisy.noise._names import in_class_order
from sklearn_noisy.noise._predictions import Predictions, estimate_from_predictions
from sklearn_noisy.noise._settings import Settings

METHODS = ("auto", "l1", "inverse", "confident_joint")

LEVEL = 0.9  # of the bootstrap's intervals


class NoiseMatrixEstimator(MetaEstimatorMixin, BaseEstimator):
    r"""Estimate the noise matrix from a few clean rows.

    A classifier is cross-fitted on the clean rows, so that no model predicts rows that
    it trained on. The noise matrix follows from two confusion matrices: that of the
    predictions and the true labels of the clean rows, and that of the predictions and
    the given labels of the noisy rows (Eqs. 3 to 5 of [1]_).

    Parameters
    ----------
    estimator : classifier, default=None
        Any scikit-learn classifier with ``predict_proba``; it is cloned. None
        is ``RobustLossClassifier(loss="cross_entropy")``.
    method : {"auto", "l1", "inverse", "confident_joint"}, default="auto"
        ``"l1"``: Eq. 5. ``"inverse"``: Eq. 3, its columns projected onto the
        simplex. Both need `is_clean`. ``"confident_joint"``: cleanlab's counts
        over out-of-fold probabilities of all rows [2]_, which need no clean row.
        ``"auto"``: l1 with clean rows, the confident joint without.
    l1_penalty : float >= 0 or "cv", default="cv"
        λ of Eq. 5; ``"cv"`` chooses it by how well the matrix predicts the
        confusions of held-out clean rows.
    l1_penalties : array-like, default=None
        Values that ``"cv"`` tries; None: 0, and 21 values from 1e-5 to 1.
    penalty : {"off_diagonal", "relaxed", "literal"}, default="off_diagonal"
        Entries of R that λ penalises. ``"off_diagonal"``: the flips. ``"relaxed"``:
        all entries; the columns need not sum to 1 and are normalised afterwards.
        ``"literal"``: all entries of columns that sum to 1, as the paper writes it;
        this has no effect.
    shrinkage : float in [0, 1] or "auto", default="auto"
        The confusion matrix of the clean rows is a weighted mean of their counts and
        of the expected confusions of calibrated probabilities. This is the weight of
        the latter. ``"auto"`` chooses it by the sampling error of the counts. 0, as in
        the paper, uses the counts alone, with uncalibrated probabilities.
    solver : {"auto", "fista", "cvxpy"}, default="auto"
        Solver of Eq. 5. ``"fista"``: accelerated projected gradient with an active
        set at the end. ``"cvxpy"``: the reference, which takes `constraints`.
        ``"auto"``: cvxpy with `constraints`, else fista.
    cv : int, cross-validation splitter or iterable of splits, default=5
        Folds of the clean rows (of all rows for the confident joint). An integer
        is the number of shuffled stratified folds.
    allowed : bool array-like of shape (n_classes, n_classes), default=None
        ``allowed[j, i]``: whether class i can be given label j; the diagonal must
        be True. A DataFrame has the classes as its index and its columns.
    constraints : callable, default=None
        Takes the cvxpy variable ``R[i, j] = P(true i | given j)``, returns a list
        of further constraints.
    n_bootstrap : int, default=0
        Bootstrap samples for 90 % intervals of the entries. They vary the confusions;
        the classifiers stay the same.
    n_jobs : int, default=None
        Number of folds that are fitted in parallel.
    random_state : int, RandomState instance or None, default=None
        Seeds the default classifier and the bootstrap.
    verbose : int, default=0
        If above 0, a progress bar over the folds is shown (on stderr).

    Attributes
    ----------
    noise_matrix_ : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``; columns sum to 1.
    inverse_noise_matrix_ : ndarray of shape (n_classes, n_classes)
        ``R[i, j] = P(true i | given j)``; columns sum to 1.
    clean_prior_, noisy_prior_ : ndarrays of shape (n_classes,)
        ``P(true i)`` and ``P(given j)`` among the noisy rows.
    confusion_clean_, confusion_noisy_ : ndarrays of shape (n_classes, n_classes)
        ``P(predicted k | true i)`` and ``P(predicted k | given j)``. Not set by
        the confident joint.
    shrinkage_ : ndarray of shape (n_classes,)
        Share of the expected confusion in each column of `confusion_clean_`.
    l1_penalty_, dual_gap_, n_iter_ : float, float, int
        λ of Eq. 5, upper bound of its objective's distance to the optimum, and
        iterations of the solver.
    condition_number_ : float
        Condition number of `confusion_clean_`: the greatest factor by which its
        errors are amplified.
    interval_ : ndarray of shape (2, n_classes, n_classes)
        90 % interval of each entry of `noise_matrix_`, if `n_bootstrap` is above 0.
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted; rows and columns are in this order.
    n_features_in_, feature_names_in_
        Those of the classifier, where it has them.

    See Also
    --------
    sklearn_noisy.noise.estimate_noise_matrix : The same from given predictions.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014, section 3.2.
    .. [2] C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating
       uncertainty in dataset labels", JAIR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_noisy import NoiseMatrixEstimator
    >>> from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
    >>> X, y = load_digits(return_X_y=True)
    >>> Q = make_noise_matrix(10, 0.4, kind="pair")
    >>> is_clean = np.random.RandomState(1).rand(len(y)) < 0.2
    >>> y_given = np.where(is_clean, y, corrupt_labels(y, Q, random_state=0))
    >>> estimator = NoiseMatrixEstimator(LogisticRegression(max_iter=5000))
    >>> Q_hat = estimator.fit(X, y_given, is_clean=is_clean).noise_matrix_
    >>> bool(np.abs(Q_hat - Q).sum() / 10 < 0.2)
    True
    """

    def __init__(  # noqa: PLR0913
        self,
        estimator=None,
        *,
        method="auto",
        l1_penalty="cv",
        l1_penalties=None,
        penalty="off_diagonal",
        shrinkage="auto",
        solver="auto",
        cv=5,
        allowed=None,
        constraints=None,
        n_bootstrap=0,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.method = method
        self.l1_penalty = l1_penalty
        self.l1_penalties = l1_penalties
        self.penalty = penalty
        self.shrinkage = shrinkage
        self.solver = solver
        self.cv = cv
        self.allowed = allowed
        self.constraints = constraints
        self.n_bootstrap = n_bootstrap
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None, *, is_clean=None, y_given=None):
        """Estimate the noise matrix.

        Parameters
        ----------
        X : array-like or Dataset of shape (n_samples, ...)
            What `estimator` takes.
        y : array-like of shape (n_samples,)
            True labels where `is_clean`, given labels elsewhere.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 0 counts as absent. The confident
            joint counts the other rows equally; only `estimator` uses their weights.
        is_clean : bool array-like of shape (n_samples,), default=None
            True where the label is known to be right.
        y_given : array-like of shape (n_samples,), default=None
            Labels of the clean rows before they were checked. They are counted, and
            the counts improve the estimate. Other rows are ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; if pandas objects hold the same rows in
            a different order; if `estimator` knows a class that `y` lacks; if
            `is_clean` differs from `y` in length, or marks no row or all rows; if there
            are fewer clean rows than classes, or a class has none; if the method needs
            `is_clean` and it is missing.
        TypeError
            If `estimator` is no classifier with ``predict_proba``.

        Warns
        -----
        IneffectiveParameterWarning
            If parameters differ from their defaults that have no effect with the
            values of the others.
        """
        check_verbose(self.verbose)
        check_same_order(
            X=X, y=y, sample_weight=sample_weight, is_clean=is_clean, y_given=y_given
        )
        refuse_unindexable(X)
        X, y = indexable(X, y)
        if not (isinstance(X, (list, *DATASETS)) or hasattr(X, "iloc") or issparse(X)):
            X = np.asarray(X)
        labels = label_array(y, warn=True)
        weight = check_sample_weight(sample_weight, len(labels))
        codes, classes = encode_labels(labels)
        weightless = classes[np.bincount(codes, weight) == 0].tolist()
        if weightless:
            raise ValueError(
                f"Every row of the classes {weightless} has weight 0. Leave out the "
                "rows of these classes."
            )
        method, mask = self._check_method(is_clean, weight)
        settings = self._check_settings(method, classes)
        warn_without_effect(
            type(self), vars(self), self._conditions(method, settings), stacklevel=2
        )
        rng = own_generator(self.random_state)
        estimator = self._make_estimator(rng)
        fit_params = weight_params(estimator, None if sample_weight is None else weight)
        if method == "confident_joint":
            if y_given is not None:
                check_y_given(y_given, None, classes)
            estimate = self._confident_joint(
                estimator, X, labels, classes, codes, fit_params, weight > 0
            )
        else:
            given = None
            if y_given is not None:
                given = check_y_given(y_given, mask, classes)[mask]
            _check_clean_rows(codes[mask & (weight > 0)], classes)
            estimate = estimate_from_predictions(
                Predictions(
                    *self._predict(estimator, X, labels, classes, mask, fit_params),
                    y_clean=codes[mask],
                    y_noisy=codes[~mask],
                    w_clean=weight[mask],
                    w_noisy=weight[~mask],
                    soft=True,
                    y_given=given,
                ),
                settings,
                n_bootstrap=self.n_bootstrap,
                level=LEVEL,
                rng=rng,
            )
        if not isinstance(X, DATASETS):  # sets n_features_in_ and feature_names_in_
            validate_data(self, X, skip_check_array=True)
        self.classes_ = classes
        self._store(estimate)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = RobustLossClassifier() if self.estimator is None else self.estimator
        if isinstance(inner, type) or not hasattr(inner, "__sklearn_tags__"):
            return tags  # fit raises the error for what is no estimator
        inner = get_tags(inner)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.classifier_tags = inner.classifier_tags
        return tags

    # Checks.

    def _check_method(self, is_clean, weight):
        """The method, and the mask of clean rows if it needs one."""
        check_choice(self.method, "method", METHODS)
        method = self.method
        if method == "auto":
            method = "confident_joint" if is_clean is None else "l1"
        if method == "confident_joint":
            return method, None
        if is_clean is None:
            raise ValueError(
                f"method={method!r} needs is_clean, a boolean mask of the rows whose "
                "labels are known to be right."
            )
        mask = check_is_clean(is_clean, len(weight))
        if not weight[~mask].any():
            raise ValueError(
                "is_clean marks every row as clean (or every row of positive weight); "
                "noisy rows are needed as well."
            )
        return method, mask

    def _check_settings(self, method, classes):
        """Checked parameters of Eqs. 3 and 5, even if the method does not use them."""
        check_integer(self.n_bootstrap, "n_bootstrap", min_val=0)
        values = {field.name: getattr(self, field.name) for field in fields(Settings)}
        values["method"] = "inverse" if method == "inverse" else "l1"
        values["allowed"] = in_class_order(self.allowed, classes, "allowed")
        settings = Settings(**values)
        settings.check(len(classes))
        return settings

    def _conditions(self, method, settings):
        """Which parameters have an effect, and when: see `without_effect`."""
        of_clean_rows = (
            *("l1_penalty", "l1_penalties", "penalty", "shrinkage", "solver"),
            *("allowed", "constraints", "n_bootstrap"),
        )
        joint = "is_clean and a method other than 'confident_joint'"
        return [
            (of_clean_rows, method != "confident_joint", joint),
            *settings.conditions(),
        ]

    def _make_estimator(self, rng):
        """The default estimator, or the checked one."""
        if self.estimator is None:
            seed = rng.randint(np.iinfo(np.int32).max)
            return RobustLossClassifier(loss="cross_entropy", random_state=seed)
        is_estimator = hasattr(self.estimator, "__sklearn_tags__")
        is_class = isinstance(self.estimator, type)
        if is_class or not is_estimator or not is_classifier(self.estimator):
            raise TypeError(f"estimator must be a classifier; got {self.estimator!r}.")
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba; got {self.estimator!r}."
            )
        return self.estimator

    # The estimates.

    def _predict(self, estimator, X, labels, classes, mask, fit_params):
        """Cross-fitted predictions of the clean rows and of the noisy rows.

        Returns
        -------
        clean : ndarray of shape (n_clean, n_classes)
        noisy : list of ndarrays of shape (n_noisy, n_classes)
            One for each fold.
        fold : int ndarray of shape (n_clean,)
        """
        X = rows_for(estimator, X, self.n_jobs)
        clean, noisy = np.flatnonzero(mask), np.flatnonzero(~mask)
        splits = make_splits(self.cv, clean, labels[clean])
        tasks = (
            delayed(_fit_and_predict)(
                clone(estimator),
                X,
                labels,
                clean[train],
                (clean[test], noisy),
                classes,
                fit_params,
            )
            for train, test in splits
        )
        results = Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks)
        p_clean = np.full((len(clean), len(classes)), np.nan)
        fold, p_noisy = np.zeros(len(clean), dtype=int), []
        bar = tqdm(results, total=len(splits), desc="folds", disable=not self.verbose)
        for number, ((_, test), result) in enumerate(zip(splits, bar, strict=True)):
            p_clean[test], of_noisy = result
            p_noisy.append(of_noisy)
            fold[test] = number
        if np.isnan(p_clean).any():
            raise ValueError("cv must have every clean row in a test part.")
        return p_clean, p_noisy, fold

    def _confident_joint(
        self, estimator, X, labels, classes, codes, fit_params, counted
    ):
        """Cleanlab's estimate, from out-of-fold probabilities of the counted rows."""
        # Slow to import, and needed here only.
        from cleanlab.count import compute_confident_joint, estimate_latent

        probabilities, _ = out_of_fold_probabilities(
            estimator,
            X,
            labels,
            classes,
            cv=min(self.cv, len(labels)) if isinstance(self.cv, Integral) else self.cv,
            fit_params=fit_params,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        probabilities = probabilities[counted]
        codes = codes[counted]
        # cleanlab mixes arrays with lists, which array API dispatch refuses.
        with config_context(array_api_dispatch=False):
            joint = compute_confident_joint(codes, probabilities)
        prior, Q, _ = estimate_latent(joint, codes)
        Q = Q / Q.sum(axis=0)
        prior = prior / prior.sum()
        R, noisy_prior = inverse_from_noise(Q, prior)
        return NoiseEstimate(Q, R, prior, noisy_prior)

    def _store(self, estimate):
        """Set the fields of the estimate as attributes, except those that are None."""
        for field in fields(estimate):
            value = getattr(estimate, field.name)
            if value is not None:
                setattr(self, field.name + "_", value)
            elif hasattr(self, field.name + "_"):
                delattr(self, field.name + "_")


def _check_clean_rows(codes, classes):
    """Raise unless every class has enough clean rows."""
    if len(codes) < len(classes):
        raise ValueError(
            f"is_clean marks {len(codes)} rows, fewer than the {len(classes)} classes."
        )
    counts = np.bincount(codes, minlength=len(classes))
    missing = classes[counts == 0].tolist()
    if missing:
        raise ValueError(
            f"is_clean marks no row of the classes {missing}, whose noise is then "
            "unknown. Check the labels of some of their rows, or leave the rows out."
        )
    if len(classes) == 2 and counts.min() < 2:
        rare = classes.tolist()[counts.argmin()]
        raise ValueError(
            f"is_clean marks a single row of the class {rare!r}. The model that "
            "predicts it would train on one class. Check another row of the class."
        )


def _fit_and_predict(estimator, X, labels, train, tests, classes, fit_params):
    """Probabilities of several sets of rows by one model."""
    fit_on(estimator, X, labels, train, fit_params)
    return [predict_proba_for(estimator, X, rows, classes) for rows in tests]
