"""NoiseAdaptedClassifier: a net and a model of how its labels were made wrong."""

import functools
import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if

from sklearn_noisy._estimators.base import READ_BY_EVERY_CALL, BaseNoisyLabelClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._matrix_sources.plan import is_fixed, make_criterion, make_plan
from sklearn_noisy._training.callbacks import BestEpoch, OneCycle, is_worse
from sklearn_noisy._training.trainer import SEED_LIMIT, seeded_torch
from sklearn_noisy._validation import encode_labels
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.nn import NoiseLayer, floating_dtype
from sklearn_noisy.nn._noise_layer import encode_targets
from sklearn_noisy.noise._checks import check_possible

# Attributes of a fit whose source found something beside the matrix.
FOUND = ("noise_matrix_path_", "noise_matrix_estimator_", "label_quality_")


@dataclass(frozen=True)
class AutoBatch:
    """What ``batch_size="auto"`` means; measured on MNIST.

    Where most labels of many rows are wrong, the default network memorises them in
    smaller steps: with the true matrix of 80 % noise its last epoch was right about
    .818 of the test images in steps of 128, and about .915 in steps of 512.

    Attributes
    ----------
    size, size_of_many, many_rows : int
        Rows per step, and from this number of rows on.
    """

    size: int = 128
    size_of_many: int = 512
    many_rows: int = 10_000


AUTO_BATCH = AutoBatch()


def can_train_by_parts(estimator):
    """Whether there is a ``partial_fit``; the error says why not."""
    if not is_fixed(estimator.noise_model, estimator.noise_matrix, estimator.refine):
        raise AttributeError(
            "partial_fit needs a known noise_matrix (and refine=False) or "
            "noise_model='top_down': a part of the rows does not tell a matrix."
        )
    return True


def has_noise_matrix(estimator):
    """Whether there is a ``predict_noisy_proba``; the error says why not."""
    if estimator.noise_model == "top_down":
        raise AttributeError(
            "noise_model='top_down' converts labels and says nothing of how probable a "
            "given label is; 'bottom_up' has predict_noisy_proba."
        )
    return True


class NoiseAdaptedClassifier(BaseNoisyLabelClassifier):
    r"""Neural classifier with a model of how the labels were made wrong.

    The network says how probable each *true* label is. A noise matrix,
    ``Q[j, i] = P(given label j | true label i)``, says how probable each *given*
    label then is, and that is what is compared with the labels in training
    (bottom-up, Eq. 6 of [1]_). The matrix is known, estimated from rows that
    somebody checked, or learned from the noisy labels alone.

    Parameters
    ----------
    module : nn.Module class or instance, callable or None, default=None
        Network that returns **logits** of shape ``(n_samples, n_classes)``. A
        class or callable is called with ``module__<name>`` and, where its
        signature has them, ``n_features`` (the product of a row's shape) and
        ``n_classes``; an instance is copied. None builds
        :class:`sklearn_noisy.nn.MLP`, which divides `X` by its root mean square
        and, from 1,000 rows on, drops half of the hidden units in training.
    noise_model : {"bottom_up", "top_down", "backward"}, default="bottom_up"
        ``"bottom_up"``: the loss is :math:`-\log (Qp)` of the given label.
        ``"top_down"``: every given label is converted to the distribution
        :math:`\alpha e_j + (1 - \alpha)/K`, see `alpha`. ``"backward"``: the given
        label is converted by the inverse of Q; unbiased, but without a lower bound
        (warned).
    noise_matrix : {"learn", "estimate"}, NoiseMatrixEstimator or array-like of \
            shape (n_classes, n_classes), default="learn"
        A matrix is known and fixed: columns sum to 1, classes in sorted order (a
        DataFrame may have them in any order, as index and columns).
        ``"estimate"``: :class:`NoiseMatrixEstimator` around the same network, from
        the rows that are `is_clean` (without them, the confident joint, warned); an
        instance is taken as it is. ``"learn"``: from noisy labels alone, see Notes.
        The top-down model needs none.
    alpha : float in [0, 1], default=0.5
        Of the top-down model: how much of a given label is believed. 1 is plain
        training, and with `gamma` plain reweighting.
    gamma : float >= 0, default=1.0
        Weight of a noisy row beside that of a clean one (Eq. 7 of [1]_).
    regularizer : {"trace", "weight_decay", "log_det"} or None, default=None
        None learns the matrix by EM. Otherwise the gradient learns it as a part of
        the network, with this added to the loss, and it is projected to the
        probability matrices after every update (section 3.3 of [1]_).
    noise_decay : float >= 0, default=0.01
        Factor of the regularizer.
    noise_lr : float > 0 or None, default=None
        Highest learning rate of the matrix under a regularizer; None is `lr`.
    noise_init : {"count", "identity"} or array-like, default="count"
        What learning starts from. ``"count"``: given labels counted against what
        nets without a noise layer predict, where they are certain.
    warm_up : int or "auto", default="auto"
        Epochs of those nets, and of training before a regularizer's gradient moves
        the matrix. ``"auto"``: half of `max_epochs` or 200 updates, if that is more
        (a third of the epochs under a regularizer); with
        ``lr_schedule="constant"`` until rows that were left out say so.
    n_folds : int or "auto", default="auto"
        Parts of the rows, each judged by a net that did not train on it, while a
        matrix is learned. 1: the rows are judged by the net that trained on them,
        and the matrix stays what was counted. ``"auto"``: 1 below 200 noisy rows,
        5 below 10,000, else 2.
    refine : bool, default=False
        Learn on from a matrix that is known or estimated.
    n_rounds : int >= 0, default=1
        Nets after the first one, each trained on the probabilities of the true
        labels that the last net and the matrix give for the training rows. With
        held-out rows, until a net is worse than the one before it by a standard
        error of their losses. Bottom-up only.
    outside_label : label or None, default=None
        Label in `y` of rows that belong to none of the classes. They train towards
        the uniform distribution, and are no class. Scores and
        :func:`find_label_issues` know nothing of it: leave such rows out there.
    optimizer : torch optimizer class, default=torch.optim.AdamW
        Its parameters are ``optimizer__<name>``.
    lr : float, default=2e-3
        Learning rate, at its highest.
    lr_schedule : {"one_cycle", "constant"}, default="one_cycle"
        ``"one_cycle"``: up in the first 30 % of the epochs, down to zero in the
        others; then training does not stop early.
    max_epochs : int, default=30
        Passes over the rows of each training: of the nets that learn the matrix, of
        the first net, and of each round.
    batch_size : int or "auto", default="auto"
        Rows per step; -1 takes all. ``"auto"``: 128, and 512 from 10,000 rows on.
    device : str or torch.device, default="cpu"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and the like, or ``"auto"``: the
        GPU if there is one.
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        What the net computes in; see :class:`RobustLossClassifier`. The noise layer
        computes in float32 at least.
    early_stopping : bool or "auto", default="auto"
        Hold out rows and keep the weights of the epoch that is best on their
        *given* labels: the last one whose loss (which knows the matrix) is within a
        standard error of the lowest, or, top-down and backward, the one of the
        highest accuracy. ``"auto"``: from 1,000 rows on.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that is held out, in the proportion of the
        classes.
    n_iter_no_change : int, default=10
        Epochs without a gain after which training stops, with
        ``lr_schedule="constant"``.
    class_weight : dict, "balanced" or None, default=None
        Weights of the *given* classes, ``{label: weight}``.
    warm_start : bool, default=False
        Go on from the previous ``fit``, with its matrix, for `max_epochs` more. What
        the net was made with must be the same; `lr`, `optimizer` and its parameters,
        `batch_size`, the iterators and `verbose` may have changed since, as may what
        every call reads (such as `gamma` and `class_weight`).
    callbacks : list of skorch callbacks, "disable" or None, default=None
        They are cloned for every net that may become `net_`. ``"disable"`` also
        turns off the learning-rate cycle and the choice of the best epoch.
    checkpoint : str, path-like or None, default=None
        Folder for a file that every epoch replaces, named by a hash of the parameters
        and the data. If ``fit`` is killed and called again, it goes on there, to the
        same model (bit for bit on the CPU); a ``fit`` that ended removes its files.
        They are pickles: the folder should be yours alone.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of the rows, dropout and the
        held-out rows. Global generators are left as they were.
    verbose : int, default=0
        Above 0, a progress bar while a matrix is learned (on stderr), and a line for
        each epoch of the nets after it.
    **kwargs
        Parameters of skorch's ``NeuralNet`` by their own names, and of the network
        (``module__<name>``).

    Attributes
    ----------
    noise_matrix_ : ndarray of shape (n_classes, n_classes)
        The matrix that was used; of the top-down model, what labels are converted
        by.
    noise_matrix_path_ : ndarray of shape (n_matrices, n_classes, n_classes)
        Where the matrix was estimated or learned: the start and, if it was learned,
        the matrix after each epoch.
    noise_matrix_estimator_ : NoiseMatrixEstimator
        The fitted one, where one was used.
    label_quality_ : ndarray of shape (n_samples,)
        Where EM learned the matrix in several folds: how probable it is that the label
        of each training row is right, by the net that did not train on it; below .5
        it is more probably wrong. 1 for clean rows, NaN for outside rows and for rows
        of weight 0.
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    n_features_in_ : int
        ``X.shape[1]``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only if `X` had string column names.
    net_ : skorch.NeuralNet
        The trained net.
    module_ : nn.Module
        The trained network.
    history_ : skorch.history.History
        One row per epoch of the first net (``round`` 0) and of the rounds after it:
        ``train_loss`` and, with held-out rows, ``valid_loss`` and ``valid_acc``.
    n_iter_ : int
        Rows of the history.

    See Also
    --------
    RobustLossClassifier : Losses that need no model of the noise.
    NoiseMatrixEstimator : The matrix alone.
    find_label_issues : Which labels are wrong.

    Notes
    -----
    Learning from noisy labels alone: nets without a noise layer train until they no
    longer agree better with the given labels of rows that were left out; these are
    counted against their predictions. With that matrix, nets learn that each leave
    out a part of the rows; after every epoch, the matrix becomes the likeliest one,
    by EM, under what they say of the rows that they do not know, with one
    temperature fitted as well. The net that is kept then trains with the matrix.
    The scheme of the paper itself, one net and the identity to start from, is
    ``regularizer="trace", noise_init="identity", n_rounds=0``; it stays near the
    identity.

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

    def fit(self, X, y, sample_weight=None, *, is_clean=None):
        """Train on labels some of which may be wrong.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
            Rows of any numeric dtype: a table, a sparse matrix (made dense
            batch by batch) or, for instance, images. Rows of a
            ``torch.utils.data.Dataset`` are read when they are wanted.
        y : array-like of shape (n_samples,)
            True labels where `is_clean`, given labels elsewhere; `outside_label`
            for rows that belong to no class.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 0 counts as absent.
        is_clean : bool array-like of shape (n_samples,), default=None
            True where the label is known to be right.

        Returns
        -------
        self
            If the call fails, the estimator is what it was before.

        Raises
        ------
        ValueError
            For an argument or a parameter out of its range.
        TypeError
            For an unknown parameter.
        ModuleOutputError
            If the module does not return logits of shape
            ``(n_samples, n_classes)``.
        DeviceNotAvailableError
            If `device` does not exist here.
        TrainingDivergedError
            If the loss became NaN.

        Warns
        -----
        NoiseModelWarning
            If ``"estimate"`` has no clean row to estimate from; for the backward
            correction; if a matrix that was estimated or learned is not dominated by
            its diagonal; if there is no row of `outside_label`.
        TrainingInterruptedWarning
            If an interrupt (Ctrl-C) ended the training early: the model is the last
            net that is whole, or what the first one had reached. Before there is a
            noise matrix there is no model, and the interrupt is raised.
        """
        make_plan(self, self._default_matrix_estimator)  # refuses bad parameters
        return self._fit(X, y, sample_weight, is_clean)

    @available_if(can_train_by_parts)
    def partial_fit(self, X, y, classes=None, sample_weight=None, *, is_clean=None):
        """Train for one epoch on these rows.

        Only with a known matrix or the top-down model: a matrix cannot be estimated
        from a part of the rows. No row is held out, the learning rate stays.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
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

        Not of the top-down model, which has no such matrix.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        return self.predict_proba(X) @ self.noise_matrix_.T

    # Weights of noisy rows are computed in every call.
    _read_by_every_call = READ_BY_EVERY_CALL | {"gamma"}

    _named_batch_sizes = ("auto",)

    def _encode(self, y, classes):
        outside = self.outside_label
        if outside is None:
            return encode_labels(y, classes)
        is_outside = _is_outside(outside, y, classes)
        inside, classes = encode_labels(y[~is_outside], classes)
        codes = np.full(len(y), len(classes), dtype=np.int64)
        codes[~is_outside] = inside
        return codes, classes

    def _check_data(self, X, y, sample_weight, is_clean, goes_on, classes=None):
        data = super()._check_data(X, y, sample_weight, is_clean, goes_on, classes)
        targets = encode_targets(data.y, data.is_clean, len(data.classes))
        data = replace(data, targets=targets, noisy_weight=self.gamma)
        if self.gamma == 0 and not data.is_clean.any():
            raise ValueError(
                "gamma=0 leaves out all noisy rows, and is_clean marks no other."
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

    def _train(self, trainer, parts, *, goes_on, partial):
        """Find the matrix, train a net with it, and more nets on its posteriors."""
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
                f"noise_matrix={self.noise_matrix!r} needs noisy rows; is_clean marks "
                "every one."
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
                "noise_model='backward' inverts the noise matrix: its loss has no "
                "lower bound, and networks diverge. 'bottom_up' does not.",
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
        """What ``noise_matrix="estimate"`` means: this net, with cross-entropy."""
        same = ("module", "optimizer", "lr", "max_epochs", "device", "precision")
        same += ("early_stopping", "validation_fraction", "n_iter_no_change")
        params = {
            name: value
            for name, value in self._kwargs.items()
            if not name.startswith("callbacks")
        }
        is_auto = self.batch_size == "auto"
        plain = RobustLossClassifier(
            loss="cross_entropy",
            random_state=trainer.rng.randint(SEED_LIMIT),
            batch_size=AUTO_BATCH.size if is_auto else self.batch_size,
            **{name: getattr(self, name) for name in same},
            **params,
        )
        return NoiseMatrixEstimator(
            plain,
            cv=min(5, max(2, n_clean)),
            random_state=trainer.rng.randint(SEED_LIMIT),
        )


def _train_a_round(estimator, trainer, parts, number):
    """Train a new net on the probabilities of the true labels, by the last net.

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
            f"outside_label={outside!r} is no class, but classes holds it."
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
            "often than its own. From noisy labels alone the classes may then have "
            "changed places; some clean rows (is_clean) would tell.",
            NoiseModelWarning,
            stacklevel=2,
        )
