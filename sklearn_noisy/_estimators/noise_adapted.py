"""NoiseAdaptedClassifier: a net and a model of how its labels were made wrong."""

import torch
from sklearn.utils.metaestimators import available_if

from sklearn_noisy._estimators.noise_model import (
    BaseNoiseModelClassifier,
    can_train_by_parts,
    has_noise_matrix,
)

__all__ = ["NoiseAdaptedClassifier"]


class NoiseAdaptedClassifier(BaseNoiseModelClassifier):
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

    def __init__(
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
        self._store_kwargs(kwargs)

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
            If the loss became NaN; the estimator is then unfitted.

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
        return self._partial_fit(X, y, classes, sample_weight, is_clean)

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
