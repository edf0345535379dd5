"""NoiseAdaptedClassifier: a net that is trained with a model of the label noise."""

import functools
import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from skorch.callbacks import LRScheduler

from sklearn_noisy._estimators.base import READ_BY_EVERY_CALL, BaseNoisyLabelClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._labels import (
    encode_labels,
)
from sklearn_noisy._matrix_sources.learned import LEARNING
from sklearn_noisy._matrix_sources.plan import is_fixed, make_criterion, make_plan
from sklearn_noisy._training.callbacks import BestEpoch, OneCycle, is_worse
from sklearn_noisy._training.generators import SEED_LIMIT, seeded_torch
from sklearn_noisy._validation import (
    without_effect,
)
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.nn import NoiseLayer, floating_dtype
from sklearn_noisy.nn._noise_layer import encode_targets
from sklearn_noisy.noise._checks import check_possible
from sklearn_noisy.noise._names import in_class_order, is_frame, resolve_classes

# Parameters that the top-down model does not use.
OF_THE_MATRIX = (
    *("noise_matrix", "noise_init", "refine", "regularizer", "noise_decay"),
    *("noise_lr", "warm_up", "n_folds"),
)

# Attributes of a fit that only some sources of the matrix set.
FOUND = ("noise_matrix_path_", "noise_matrix_estimator_", "label_quality_")


@dataclass(frozen=True)
class AutoBatch:
    """What ``batch_size="auto"`` means; measured on MNIST.

    If most labels of a large data set are wrong, the default network memorises them
    when batches are small. With the true matrix of 80 % noise, its accuracy on the test
    images after the last epoch was .818 with batches of 128, and .915 with batches of
    512.

    Attributes
    ----------
    size, size_of_many, many_rows : int
        Rows per step, rows per step for many rows, and the number of rows from which
        on there are many.
    """

    size: int = 128
    size_of_many: int = 512
    many_rows: int = 10_000


AUTO_BATCH = AutoBatch()


def can_train_by_parts(estimator):
    """True if ``partial_fit`` is possible; otherwise an AttributeError says why not."""
    if not is_fixed(estimator.noise_model, estimator.noise_matrix, estimator.refine):
        raise AttributeError(
            "partial_fit needs a known noise_matrix (and refine=False) or "
            "noise_model='top_down': a part of the rows does not determine a matrix. "
            "After fit, set_params(noise_matrix=clf.noise_matrix_, refine=False) lets "
            "partial_fit continue with the matrix that fit found."
        )
    return True


def has_noise_matrix(estimator):
    """True if there are probabilities of given labels; otherwise an AttributeError."""
    if estimator.noise_model == "top_down":
        raise AttributeError(
            "noise_model='top_down' converts labels and does not model the probability "
            "of a given label; 'bottom_up' has predict_noisy_proba."
        )
    return True


class _LabelQuality:
    """What `label_quality_` is where the fit has not set it: an error with the reason.

    It has no ``__set__``, so an attribute of the instance hides it. A property, or
    ``__getattr__``, would hide that attribute or the errors of other properties.
    """

    def __get__(self, estimator, owner):
        if estimator is None:
            return self
        name = f"{owner.__name__} has no label_quality_: "
        if not hasattr(estimator, "_trainer"):
            raise AttributeError(name + "it is not fitted yet.")
        if is_fixed(estimator.noise_model, estimator.noise_matrix, estimator.refine):
            raise AttributeError(
                name + "its matrix was not learned. find_label_issues with "
                "filter_by='posterior' and noise_matrix=noise_matrix_ finds wrong "
                "labels."
            )
        raise AttributeError(
            name + "it needs a matrix that EM learned (noise_matrix='learn' or "
            "refine=True, without a regularizer) with at least two folds. With "
            f"n_folds='auto', fewer than {LEARNING.few_rows} noisy rows are not "
            "divided: set n_folds."
        )


class NoiseAdaptedClassifier(BaseNoisyLabelClassifier):
    r"""Neural classifier with a model of the label noise.

    The network predicts the probabilities of the *true* labels. A noise matrix,
    ``Q[j, i] = P(given label j | true label i)``, converts them to the probabilities
    of the *given* labels, which the training loss compares with the labels in `y`
    (bottom-up, Eq. 6 of [1]_). The matrix is known, estimated from rows whose labels
    were checked, or learned from the noisy labels alone.

    Parameters
    ----------
    module : nn.Module class or instance, callable or None, default=None
        Network that returns **logits** of shape ``(n_samples, n_classes)``. A
        class or callable is called with ``module__<name>`` and, where its
        signature has them, ``n_features`` (the product of a row's shape) and
        ``n_classes``; an instance is copied. None builds
        :class:`sklearn_noisy.nn.MLP`, which scales `X` itself and, from 1,000 rows on,
        drops half of the hidden units in training; see :class:`RobustLossClassifier`.
    noise_model : {"bottom_up", "top_down", "backward"}, default="bottom_up"
        ``"bottom_up"``: the loss is :math:`-\log (Qp)` of the given label.
        ``"top_down"``: every given label is converted to the distribution
        :math:`\alpha e_j + (1 - \alpha)/K`, see `alpha`. ``"backward"``: every
        given label is converted by the inverse of Q. This loss is unbiased but has no
        lower bound, and ``fit`` warns of that.
    noise_matrix : {"learn", "estimate"}, NoiseMatrixEstimator or array-like of \
            shape (n_classes, n_classes), default="learn"
        An array is a known matrix, which stays fixed without `refine`. Its columns sum
        to 1, with the classes in sorted order. A DataFrame names the classes by its
        index and columns, in any order. `y` may then lack some of them, as a fold of a
        cross-validation may; `classes_` holds all. ``"estimate"``: a
        :class:`NoiseMatrixEstimator` with the same network estimates the matrix from
        the rows that `is_clean` marks. If there are none, the confident joint is used,
        with a warning. An instance of :class:`NoiseMatrixEstimator` is used with its
        own parameters (except that it shows its progress if `verbose` asks for that
        here). ``"learn"``: the matrix is learned from noisy labels alone, see Notes.
        The top-down model does not use this parameter.
    alpha : float in [0, 1], default=0.5
        Weight of the given label in the top-down model. With 1, labels are not
        converted, and `gamma` alone reweights the noisy rows.
    gamma : float >= 0, default=1.0
        Weight of a noisy row relative to a clean one (Eq. 7 of [1]_).
    regularizer : {"trace", "weight_decay", "log_det"} or None, default=None
        None learns the matrix by EM. Otherwise the matrix is a parameter of the
        network, which the gradient learns. The regularizer is added to the loss, and
        after every update the columns of the matrix are projected onto the
        probability simplex (section 3.3 of [1]_).
    noise_decay : float >= 0, default=0.01
        Factor of the regularizer.
    noise_lr : float > 0 or None, default=None
        Highest learning rate of the matrix, if there is a regularizer. None is `lr`.
    noise_init : {"count", "identity"} or array-like, default="count"
        Initial matrix of the learning. ``"count"``: nets without a noise layer predict
        the classes of the rows. The given labels are counted for each predicted class,
        mainly on the rows that are predicted with high confidence.
    warm_up : int or "auto", default="auto"
        Epochs of the nets without a noise layer. With a regularizer, it is also the
        number of epochs before the gradient first updates the matrix. ``"auto"``: the
        nets train for half of `max_epochs`, or for 200 updates if these take longer;
        with ``lr_schedule="constant"``, they train until the accuracy on left-out rows
        stops improving. The gradient updates the matrix after a third of `max_epochs`.
    n_folds : int or "auto", default="auto"
        Number of folds of the noisy rows while a matrix is learned. Each fold is
        predicted by a net that did not train on it. With 1, a net predicts the rows
        that it trained on, and EM does not change the initial matrix. ``"auto"``: 1
        for fewer than 200 noisy rows, 5 for fewer than 10,000, else 2.
    refine : bool, default=False
        Whether a known or estimated matrix is refined by learning that starts from it.
    n_rounds : int >= 0, default=1
        Maximum number of nets after the first one. Each is trained on soft targets:
        the probabilities of the true labels given the rows and their labels, from the
        previous net and the matrix. With held-out rows, the rounds end when the loss
        of a net exceeds that of the previous net by more than the standard error of
        the difference, and the previous net is kept. Only the bottom-up model uses
        this parameter.
    outside_label : label or None, default=None
        Label in `y` that marks rows of none of the classes. On these rows, the net is
        trained to predict the uniform distribution. The label itself is not a class.
        Scores and :func:`find_label_issues` do not support it: call them without these
        rows.
    optimizer : torch optimizer class, default=torch.optim.AdamW
        Its parameters are ``optimizer__<name>``. For ``torch.optim.LBFGS``, `lr` is the
        part of a full step that it takes, so the default of `lr` hardly changes the
        weights. Set ``lr=1``, ``optimizer__line_search_fn="strong_wolfe"``,
        ``batch_size=-1`` and, for the default network and 1,000 or more rows,
        ``module__dropout=0``. LBFGS cannot be combined with a `regularizer`.
    lr : float, default=2e-3
        Highest learning rate.
    lr_schedule : {"one_cycle", "constant"}, default="one_cycle"
        ``"one_cycle"``: the rate rises in the first 30 % of the epochs and falls to
        zero in the others. Training then does not stop early.
    max_epochs : int, default=30
        Maximum number of passes over the rows in each training: of the nets that learn
        the matrix, of the first net, and of the net of each round.
    batch_size : int or "auto", default="auto"
        Rows per step; -1 takes all. ``"auto"``: 128, and 512 from 10,000 rows on.
    device : str or torch.device, default="cpu"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and the like, or ``"auto"``: the
        GPU if there is one.
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        Floating-point type in which the net computes; see
        :class:`RobustLossClassifier`. The noise layer computes in float32 or float64.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out validation rows and keep the weights of the epoch that is
        best on their *given* labels. In the bottom-up model, this is the last epoch
        whose loss, which takes the matrix into account, is within a standard error of
        the lowest. In the other models, it is the epoch with the highest accuracy.
        ``"auto"``: with 1,000 or more rows.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that is held out, stratified by class.
    n_iter_no_change : int, default=10
        With ``lr_schedule="constant"``, training stops after this number of epochs
        without an improvement on the held-out rows.
    class_weight : dict, "balanced" or None, default=None
        Weights of the *given* classes, ``{label: weight}``.
    warm_start : bool, default=False
        Whether ``fit`` continues to train the net of the previous call, with the same
        matrix, for up to `max_epochs` more epochs. Between the calls, these parameters
        may change: `lr`, `optimizer` and its parameters, `batch_size`, the iterators,
        `verbose`, and those that are not part of the net (such as `max_epochs`,
        `gamma` and `class_weight`). `noise_matrix` may be set to the fitted
        `noise_matrix_` (and `refine` to False). A change of any other parameter is an
        error.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Every net that may become `net_` has copies of them, in ``net_.callbacks_``,
        which share what the given ones hold, such as a writer or an open file.
        Callbacks see the given labels as indices of `classes_`; the number of classes
        stands for a row that belongs to none. ``"disable"`` also turns off the
        learning-rate cycle and the choice of the best epoch.
    checkpoint : str, path-like or None, default=None
        Folder for checkpoints. ``fit`` writes one after each epoch; its name contains
        a hash of the parameters and the data. If the process is killed, the same call
        of ``fit`` resumes from the last checkpoint and returns the same model (bit for
        bit on the CPU). A completed ``fit`` removes its checkpoints. They are data, not
        pickles, and only their owner can read them. Every parameter and the rows must
        have content that can be read; an open file, for instance, has none.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of the rows, dropout and the
        held-out rows. Global generators keep their state.
    verbose : int, default=0
        If above 0, progress bars (on stderr) are shown while a matrix is estimated or
        learned, and a line is printed for each epoch of the nets that train with it.
    **kwargs
        Parameters of skorch's ``NeuralNet`` by their own names, and of the network
        (``module__<name>``).

    Attributes
    ----------
    noise_matrix_ : ndarray of shape (n_classes, n_classes)
        The matrix that was used. In the top-down model, it is the matrix that
        converts the given labels.
    noise_matrix_path_ : ndarray of shape (n_matrices, n_classes, n_classes)
        Only if the matrix was estimated or learned: the initial matrix and, if it was
        learned, the matrix after each epoch.
    noise_matrix_estimator_ : NoiseMatrixEstimator
        The fitted estimator, if one was used.
    label_quality_ : ndarray of shape (n_samples,)
        Only if EM learned the matrix with at least two folds: probability that the
        label of each training row is right, from the net that did not train on the
        row. Below 0.5, the label is more likely wrong than right. The value is 1 for
        clean rows, and NaN for outside rows and rows of weight 0. It is an array, in
        the order of the rows: ``pd.Series(clf.label_quality_, index=X.index)`` has the
        index of a DataFrame.
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted: those in `y`, or those that a DataFrame names as
        `noise_matrix`.
    n_features_in_ : int
        ``X.shape[1]``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only if `X` had string column names.
    net_ : skorch.NeuralNet
        The trained net.
    module_ : nn.Module
        The trained network.
    history_ : skorch.history.History
        One row per epoch of the first net (``round`` 0) and of the later rounds:
        ``train_loss`` and, with held-out rows, ``valid_loss`` and ``valid_acc``. The
        columns ``train_loss_best``, ``valid_loss_best`` and ``valid_acc_best`` say
        whether a value is the best one so far. If a callback may read batches,
        ``batches`` holds loss and size of each.
    n_iter_ : int
        Number of epochs in the history.

    See Also
    --------
    RobustLossClassifier : Losses that need no model of the noise.
    NoiseMatrixEstimator : Estimate the matrix without training a classifier with it.
    find_label_issues : Find the labels that are probably wrong.

    Notes
    -----
    ``noise_matrix="learn"`` learns the matrix from noisy labels alone, in three steps:

    1. The noisy rows are divided into folds. For each fold, a net without a noise
       layer trains on the other rows (`warm_up`). The epoch that agrees best with the
       given labels of the fold is kept. The given labels are counted for each class
       that these nets predict for the rows that they left out (`noise_init`).
    2. New nets, one for each fold, train with a noise layer that has this initial
       matrix. After an epoch, EM increases the likelihood of the given labels under
       the predictions for the left-out rows. It updates the matrix, and fits one
       temperature of the predictions. All nets continue with the new matrix.
    3. The net that is kept trains with the final matrix.

    The scheme of [1]_ uses one net, which learns the matrix by the gradient from the
    identity. It is ``regularizer="trace", noise_init="identity", n_rounds=0``. Its
    matrix stays near the identity.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_noisy import NoiseAdaptedClassifier
    >>> from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> Q = make_noise_matrix(10, 0.3, kind="symmetric")
    >>> y_given = corrupt_labels(y_train, Q, random_state=0)
    >>> clf = NoiseAdaptedClassifier(random_state=0).fit(X_train, y_given)
    >>> clf.score(X_test, y_test) > 0.93
    True
    >>> clf.noise_matrix_.shape
    (10, 10)
    """

    def __init__(  # noqa: PLR0913
        self,
        module=None,
        *,
        noise_model="bottom_up",
        noise_matrix="learn",
        alpha=0.5,
        gamma=1.0,
        regularizer=None,
        noise_decay=0.01,
        noise_lr=None,
        noise_init="count",
        warm_up="auto",
        n_folds="auto",
        refine=False,
        n_rounds=1,
        outside_label=None,
        optimizer=torch.optim.AdamW,
        lr=2e-3,
        lr_schedule="one_cycle",
        max_epochs=30,
        batch_size="auto",
        device="cpu",
        precision="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        class_weight=None,
        warm_start=False,
        callbacks=None,
        checkpoint=None,
        random_state=None,
        verbose=0,
        **kwargs,
    ):
        self.module = module
        self.noise_model = noise_model
        self.noise_matrix = noise_matrix
        self.alpha = alpha
        self.gamma = gamma
        self.regularizer = regularizer
        self.noise_decay = noise_decay
        self.noise_lr = noise_lr
        self.noise_init = noise_init
        self.warm_up = warm_up
        self.n_folds = n_folds
        self.refine = refine
        self.n_rounds = n_rounds
        self.outside_label = outside_label
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose
        self._kwargs = kwargs

    def fit(self, X, y, sample_weight=None, *, is_clean=None, y_given=None):
        """Train on labels, some of which may be wrong.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
            Rows of any numeric dtype: a table, a sparse matrix (made dense
            batch by batch) or, for instance, images. Rows of a
            ``torch.utils.data.Dataset`` are read when they are needed.
        y : array-like of shape (n_samples,)
            True labels where `is_clean`, given labels elsewhere; `outside_label`
            for rows that belong to no class.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 0 counts as absent.
        is_clean : bool array-like of shape (n_samples,), default=None
            True where the label is known to be right.
        y_given : array-like of shape (n_samples,), default=None
            Labels of the clean rows before they were checked. They show how labels go
            wrong, which improves a matrix that is learned or estimated. A known matrix
            does not need them. Other rows are ignored.

        Returns
        -------
        self
            If the call fails, the estimator stays as it was before.

        Raises
        ------
        ValueError
            For an argument or a parameter out of its range, or if pandas objects hold
            the same rows in a different order.
        TypeError
            For an unknown parameter.
        ModuleOutputError
            If the module does not return logits of shape
            ``(n_samples, n_classes)``.
        DeviceNotAvailableError
            If `device` does not exist on this machine.
        TrainingDivergedError
            If the loss became NaN or infinite.

        Warns
        -----
        NoiseModelWarning
            If ``"estimate"`` has no clean row to estimate from; if `noise_model` is
            ``"backward"``; if a matrix that was estimated or learned is not dominated
            by its diagonal; if no row has the label `outside_label`.
        EmulatedPrecisionWarning
            If `precision` is ``"bfloat16"`` and the device has no instructions for it.
        IneffectiveParameterWarning
            If parameters differ from their defaults that have no effect with the
            values of the others or, as `gamma`, with these rows.
        TrainingInterruptedWarning
            If an interrupt (Ctrl-C) ended the training early. The model is the last
            net that was fully trained or, in the first training, the net that it had
            reached. While a noise matrix is learned, there is no model yet, and the
            interrupt is raised.
        """
        make_plan(self, self._default_matrix_estimator)  # refuses bad parameters
        return self._fit(X, y, sample_weight, is_clean, y_given=y_given)

    @available_if(can_train_by_parts)
    def partial_fit(self, X, y, classes=None, sample_weight=None, *, is_clean=None):
        """Train for one epoch on these rows.

        This needs a known matrix or the top-down model, since a matrix cannot be
        estimated from a part of the rows. After a fit that learned or estimated the
        matrix, ``clf.set_params(noise_matrix=clf.noise_matrix_).partial_fit(X, y)``
        continues to train the net with that matrix. No row is held out, and the
        learning rate is constant.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels that any call will contain; required in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
        is_clean : bool array-like of shape (n_samples,), default=None

        Returns
        -------
        self
        """
        make_plan(self, self._default_matrix_estimator)
        return self._fit(X, y, sample_weight, is_clean, partial=True, classes=classes)

    @available_if(has_noise_matrix)
    def predict_noisy_proba(self, X):
        """Probability of each *given* label: the noise matrix times `predict_proba`.

        It does not exist for the top-down model, which has no noise matrix.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        return self.predict_proba(X) @ self.noise_matrix_.T

    label_quality_ = _LabelQuality()

    # Weights of noisy rows are computed in every call.
    _read_by_every_call = READ_BY_EVERY_CALL | {"gamma"}

    _named_batch_sizes = ("auto",)

    def _conditions(self, data):
        model, word = self.noise_model, None
        if isinstance(self.noise_matrix, str):
            word = self.noise_matrix
        from_labels = word == "learn"
        has_clean = data is not None and data.is_clean.any()
        weighs = data is None or (data.is_noisy.any() and not data.is_noisy.all())
        learns = from_labels or bool(self.refine)
        by_gradient = learns and self.regularizer is not None
        counts = from_labels and isinstance(self.noise_init, str)
        counts = counts and self.noise_init == "count"
        # The confident joint takes the place of an estimate from clean rows.
        counts = counts or (word == "estimate" and not has_clean)
        return [
            *super()._conditions(data),
            (("alpha",), model == "top_down", "noise_model='top_down'"),
            (OF_THE_MATRIX, model != "top_down", "a noise_model that has a matrix"),
            # With other models there are no further nets, which 0 says as well.
            (
                ("n_rounds",),
                model == "bottom_up" or self.n_rounds == 0,
                "noise_model='bottom_up'",
            ),
            (("refine",), not from_labels, "a matrix that is known or estimated"),
            (("noise_init",), from_labels, "noise_matrix='learn'"),
            (("regularizer",), learns, "noise_matrix='learn' or refine=True"),
            (
                ("noise_decay", "noise_lr"),
                by_gradient,
                "a regularizer, and noise_matrix='learn' or refine=True",
            ),
            (
                ("n_folds",),
                counts or (learns and not by_gradient),
                "a matrix that is counted or learned by EM",
            ),
            (
                ("warm_up",),
                counts or by_gradient,
                "a matrix that is counted, or learned with a regularizer",
            ),
            (
                ("gamma",),
                weighs,
                "noisy rows beside clean ones (is_clean) or outside ones",
            ),
        ]

    def _encode(self, y, classes):
        outside = self.outside_label
        if outside is None:
            return self._encode_inside(y, classes)
        is_outside = _is_outside(outside, y, classes)
        inside, classes = self._encode_inside(y[~is_outside], classes)
        codes = np.full(len(y), len(classes), dtype=np.int64)
        codes[~is_outside] = inside
        return codes, classes

    def _encode_inside(self, y, classes):
        """Codes and classes; a known matrix may name classes that no row has."""
        matrix = self.noise_matrix
        if isinstance(matrix, str) and matrix == "learn":
            matrix = self.noise_init
        if classes is None and self.noise_model != "top_down" and is_frame(matrix):
            found = np.unique(y)
            known = resolve_classes(found, matrix=matrix)
            classes = None if known is found else known
        return encode_labels(y, classes)

    def _check_data(self, X, y, sample_weight, is_clean, goes_on, classes=None):
        data = super()._check_data(X, y, sample_weight, is_clean, goes_on, classes)
        targets = encode_targets(data.y, data.is_clean, len(data.classes))
        data = replace(data, targets=targets, noisy_weight=self.gamma)
        if self.gamma == 0 and not data.is_clean.any():
            raise ValueError(
                "gamma=0 leaves out all noisy rows, and is_clean marks no clean row."
            )
        if goes_on:
            check_possible(self.noise_matrix_, data.y[data.is_noisy], data.classes)
        return data

    def _net_spec(self, rows, classes, n_rows, device):
        spec = super()._net_spec(rows, classes, n_rows, device)
        callbacks = spec.callbacks
        if callbacks != "disable":
            cycles = self.lr_schedule == "one_cycle"
            own = [("cycle", OneCycle())] if cycles else []
            for callback in callbacks if cycles else ():
                given = callback[-1] if isinstance(callback, tuple) else callback
                if isinstance(given, LRScheduler) or given is LRScheduler:
                    raise ValueError(
                        "callbacks hold an LRScheduler, but lr_schedule='one_cycle' "
                        "sets the learning rate. Set lr_schedule='constant'."
                    )
            best_epoch = BestEpoch(
                None if cycles else self.n_iter_no_change,
                by="loss" if self.noise_model == "bottom_up" else "accuracy",
            )
            callbacks = [("best_epoch", best_epoch), *own, *callbacks]
        batch_size = self.batch_size
        if batch_size == "auto":
            many = n_rows >= AUTO_BATCH.many_rows
            batch_size = AUTO_BATCH.size_of_many if many else AUTO_BATCH.size
        # It is made after the source has set `noise_matrix_`.
        criterion = functools.partial(make_criterion, self)
        return replace(
            spec, criterion=criterion, callbacks=callbacks, batch_size=batch_size
        )

    def _continued(self, spec):
        # The net has its matrix already: where that came from is no part of the net.
        if not is_fixed(self.noise_model, self.noise_matrix, self.refine):
            return spec
        matrix = in_class_order(self.noise_matrix, self.classes_)
        if not np.array_equal(matrix, self.noise_matrix_):
            return spec
        before = self._trainer.spec.parameters
        same = {name: before[name] for name in ("noise_matrix", "refine")}
        return replace(spec, parameters=spec.parameters | same)

    def _train(self, trainer, parts, *, goes_on, partial):
        """Find the matrix, train a net with it, then more nets on the posteriors."""
        if goes_on:
            super()._train(trainer, parts, goes_on=goes_on, partial=partial)
            return
        plan, data = make_plan(self, self._default_matrix_estimator), parts.everything
        for name in FOUND:
            vars(self).pop(name, None)  # of an earlier fit
        if plan.is_fixed:
            found = plan.source.find(parts, trainer)
        elif data.is_noisy.any():
            with seeded_torch(trainer.rng, trainer.spec.device):
                found = plan.source.find(parts, trainer)
            self.noise_matrix_path_ = np.stack(found.path)
        else:
            raise ValueError(
                f"noise_matrix={self.noise_matrix!r} needs noisy rows, but is_clean "
                "marks every row."
            )
        self.noise_matrix_ = found.matrix
        if found.estimator is not None:
            self.noise_matrix_estimator_ = found.estimator
        if found.label_quality is not None:  # of the noisy rows
            quality = np.where(data.is_clean, 1.0, np.nan)
            quality[data.is_noisy] = found.label_quality
            self.label_quality_ = np.full(len(data.kept), np.nan)
            self.label_quality_[data.kept] = quality
        if self.noise_model == "backward":
            warnings.warn(
                "noise_model='backward' inverts the noise matrix. Its loss has no "
                "lower bound, so training can diverge; that of 'bottom_up' has one.",
                NoiseModelWarning,
                stacklevel=4,
            )
        if not found.is_net_trained:
            trainer.build(data, 0)
            trainer.run(parts, 1 if partial else self.max_epochs)
        if not plan.is_fixed and not data.is_clean.any():
            _warn_unless_dominant(self.noise_matrix_, self.classes_)
        for number in range(1, 1 if partial else plan.n_rounds + 1):
            if not _train_a_round(self, trainer, parts, number):
                break

    def _default_matrix_estimator(self, n_clean, trainer):
        """Estimator of ``noise_matrix="estimate"``: this network and cross-entropy."""
        same = ("module", "optimizer", "lr", "max_epochs", "device", "precision")
        same += ("early_stopping", "validation_fraction", "n_iter_no_change")
        params = {
            name: value
            for name, value in self._kwargs.items()
            if not name.startswith("callbacks")
        }
        # This fit has warned of what has no effect; those of the folds need not.
        values, conditions = self.get_params(deep=False), super()._conditions(None)
        unread = without_effect(type(self), values, conditions)
        is_auto = self.batch_size == "auto"
        plain = RobustLossClassifier(
            loss="cross_entropy",
            random_state=trainer.rng.randint(SEED_LIMIT),
            batch_size=AUTO_BATCH.size if is_auto else self.batch_size,
            **{name: getattr(self, name) for name in same if name not in unread},
            **params,
        )
        return NoiseMatrixEstimator(
            plain,
            cv=min(5, max(2, n_clean)),
            random_state=trainer.rng.randint(SEED_LIMIT),
            verbose=self.verbose,
        )


def _train_a_round(estimator, trainer, parts, number):
    """Train a new net on the posterior of the true labels under the last net.

    Returns
    -------
    bool
        False if the last net is kept: the training was interrupted, or the new net is
        clearly worse on the validation rows.
    """
    teacher = trainer.net
    if teacher.interrupted_:
        return False
    layer = NoiseLayer(torch.as_tensor(estimator.noise_matrix_))
    logits = torch.from_numpy(teacher.logits(parts.train.rows))
    posterior = layer.posterior(logits, torch.from_numpy(parts.train.targets))
    dtype = torch.promote_types(floating_dtype(teacher.module_), torch.float32)
    trainer.build(parts.everything, number)
    trainer.run(parts, estimator.max_epochs, posterior.to(dtype))
    student = trainer.net
    if student.interrupted_:
        # The last net is complete. The fit as a whole was interrupted.
        teacher.interrupted_ = True
    elif parts.valid is None:
        return True
    else:
        losses, others = _kept_losses(student), _kept_losses(teacher)
        if losses is None or not is_worse(losses, others):
            return True
    trainer.net = teacher
    return False


def _kept_losses(net):
    """Losses of the validation rows in the epoch that was kept, or None."""
    return getattr(dict(net.callbacks_).get("best_epoch"), "best_losses_", None)


def _is_outside(outside, y, classes):
    """Mask of the rows that belong to no class; refuses a label that cannot be one."""
    is_text = y.dtype.kind in "US" or (y.dtype.kind == "O" and isinstance(y[0], str))
    if isinstance(outside, str) != is_text:
        raise ValueError(
            f"outside_label={outside!r} must be of the type of the labels in y; "
            f"got labels such as {y.tolist()[0]!r}."
        )
    if classes is not None and outside in classes:
        raise ValueError(
            f"outside_label={outside!r} marks rows of no class, but classes holds it."
        )
    is_outside = y == outside
    if classes is None and not is_outside.any():
        warnings.warn(
            f"outside_label={outside!r} does not occur in y: there are no outside "
            "rows.",
            NoiseModelWarning,
            stacklevel=2,
        )
    if is_outside.all():
        raise ValueError(f"y holds nothing but outside_label={outside!r}.")
    return is_outside


def _warn_unless_dominant(Q, classes):
    """Warn if a class is more often given another label than its own."""
    wrong = np.flatnonzero(Q.argmax(axis=0) != np.arange(len(Q)))
    if len(wrong):
        i, names = int(wrong[0]), classes.tolist()
        warnings.warn(
            f"The noise matrix is not dominated by its diagonal: the class "
            f"{names[i]!r} is given the label {names[Q[:, i].argmax()]!r} more "
            "often than its own. Noisy labels alone cannot rule out that the classes "
            "are swapped; some clean rows (is_clean) can.",
            NoiseModelWarning,
            stacklevel=2,
        )
