"""RobustLossClassifier: a net trained with a loss that is robust to wrong labels."""

from dataclasses import replace
from functools import partial

import torch

from sklearn_noisy._estimators.base import BaseNoisyLabelClassifier
from sklearn_noisy._estimators.parameters import parameters_of_loss
from sklearn_noisy._training.callbacks import BestEpoch, LossSchedule, ScheduledLoss
from sklearn_noisy._validation import check_integer
from sklearn_noisy.nn._noise_layer import encode_targets


class RobustLossClassifier(BaseNoisyLabelClassifier):
    r"""Neural classifier trained with a loss that is robust to wrong labels.

    Training starts with cross-entropy and switches to the robust loss once the
    net knows every class (`delay`). The estimator is a scikit-learn classifier
    around a skorch net.

    Parameters
    ----------
    module : nn.Module class or instance, callable or None, default=None
        Network that returns **logits** of shape ``(n_samples, n_classes)``. A
        class or callable is called with ``module__<name>`` and, where its
        signature has them, ``n_features`` (the product of a row's shape) and
        ``n_classes``; an instance is copied. None builds
        :class:`sklearn_noisy.nn.MLP`, which scales `X` itself and, from 1,000 rows on,
        drops half of the hidden units in training. Columns of one unit, images and
        sparse columns are divided by the root mean square of all entries. Columns of
        different units are centered and scaled one by one, and clipped smoothly.
    loss : str, nn.Module class or nn.Module instance, default="blurry"
        One of ``"cross_entropy"``, ``"focal"``, ``"blurry"``,
        ``"piecewise_zero"``, ``"clipped"``, ``"uniform_mixing"``,
        ``"symmetric_noise"``, ``"label_smoothing"``,
        ``"generalized_cross_entropy"``, ``"symmetric_cross_entropy"``,
        ``"mean_absolute_error"``, ``"normalized_cross_entropy_reverse"``, or
        a module of your own that maps logits and targets to one value per
        sample. See :mod:`sklearn_noisy.losses`; parameters are
        ``loss__<name>``.
    gamma : float or None, default=None
        Exponent of the focal loss (None: 2) and of the blurry loss (None:
        :func:`sklearn_noisy.losses.safe_blurry_gamma` of the number of
        classes). With other losses it has no effect, and ``fit`` warns of that. It has
        nothing to do with the weight ``gamma`` that Sukhbaatar & Fergus give to noisy
        rows.
    c : float or None, default=None
        Cut-off probability of the piecewise-zero and the clipped loss (None:
        0.05). With other losses it has no effect, and ``fit`` warns of that.
    delay : int or "auto", default="auto"
        First epoch, counted from 1, that uses `loss`. Earlier epochs use
        cross-entropy; with 0 or 1 there are none. ``"auto"``: an epoch uses `loss`
        if the net knew every class in the epoch before. It knows a class if a
        quarter of the rows with that label get a sufficient probability for it.
        Losses that need no warm-up are used from the first epoch on.
    optimizer : torch optimizer class, default=torch.optim.Adam
        Its parameters are ``optimizer__<name>``. For ``torch.optim.LBFGS``, `lr` is the
        part of a full step that it takes, so the default of `lr` hardly changes the
        weights. Set ``lr=1``, ``optimizer__line_search_fn="strong_wolfe"``,
        ``batch_size=-1`` and, for the default network and 1,000 or more rows,
        ``module__dropout=0``.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=100
        Maximum number of passes over the rows.
    batch_size : int, default=128
        Rows per step; -1 takes all.
    device : str or torch.device, default="cpu"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and the like, or ``"auto"``: the
        GPU if there is one.
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        Floating-point type in which the net computes. ``"auto"``: on a CPU, the
        default network computes in float64 if `X` is float64, else in float32. In
        all other cases, the network keeps its own type. `X` is cast to the type of
        the network. ``"bfloat16"`` keeps float32 weights (autocast). A device
        without instructions for bfloat16 emulates them, which is very slow.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out validation rows. Training then stops when their
        accuracy and loss no longer improve, and the weights of the epoch with the
        highest accuracy on their *given* labels are kept. ``"auto"``: with 1,000 or
        more rows.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that is held out, stratified by class.
    n_iter_no_change : int, default=10
        Training stops after this number of epochs without a higher accuracy or a
        lower loss on the held-out rows. The count restarts when the loss switches.
    class_weight : dict, "balanced" or None, default=None
        Weights of the *given* classes, ``{label: weight}``.
    warm_start : bool, default=False
        Whether ``fit`` continues to train the net of the previous call, for up to
        `max_epochs` more epochs. Between the calls, these parameters may change:
        `lr`, `optimizer` and its parameters, `batch_size`, the iterators, `verbose`,
        and those that are not part of the net (such as `max_epochs`, `class_weight`
        and `early_stopping`). A change of any other parameter is an error.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        The net has copies of them, in ``net_.callbacks_``, which share what the given
        ones hold, such as a writer or an open file. Callbacks see the labels as
        indices of `classes_`.
        ``"disable"`` also turns off early stopping and the schedule (the
        loss is then cross-entropy throughout).
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
        If above 0, a line is printed for each epoch.
    **kwargs
        Parameters of skorch's ``NeuralNet`` by their own names
        (``optimizer__weight_decay``, ``iterator_train``,
        ``callbacks__<name>__<parameter>``, ``compile``, …), of the network
        (``module__<name>``) and of the loss (``loss__<name>``).

    Attributes
    ----------
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
        One row per epoch: ``train_loss``, ``robust`` (whether the epoch used
        `loss`) and, with held-out rows, ``valid_loss`` and ``valid_acc``. The columns
        ``train_loss_best``, ``valid_loss_best`` and ``valid_acc_best`` say whether a
        value is the best one so far. If a callback may read batches, ``batches`` holds
        loss and size of each.
    n_iter_ : int
        Epochs trained.

    See Also
    --------
    sklearn_noisy.find_label_issues : Find the labels that are probably wrong.

    References
    ----------
    .. [1] N. Pellegrino, D. Pellegrino, P. Fieguth, "Loss functions robust to
       the presence of label errors".

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_noisy import RobustLossClassifier
    >>> from sklearn_noisy.datasets import corrupt_labels
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     X / 16, y, random_state=0)
    >>> y_given = corrupt_labels(y_train, noise_rate=0.3, random_state=0)
    >>> clf = RobustLossClassifier(
    ...     loss="symmetric_cross_entropy", random_state=0).fit(X_train, y_given)
    >>> clf.score(X_test, y_test) > 0.93
    True
    """

    def __init__(  # noqa: PLR0913
        self,
        module=None,
        *,
        loss="blurry",
        gamma=None,
        c=None,
        delay="auto",
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=100,
        batch_size=128,
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
        self.loss = loss
        self.gamma = gamma
        self.c = c
        self.delay = delay
        self.optimizer = optimizer
        self.lr = lr
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
        """Train on labels, some of which may be wrong.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
            Rows of any numeric dtype: a table, a sparse matrix (made dense
            batch by batch) or, for instance, images. Rows of a
            ``torch.utils.data.Dataset`` are read when they are needed.
        y : array-like of shape (n_samples,)
            Given labels: integers, strings or booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 0 counts as absent.
        is_clean : bool array-like of shape (n_samples,), default=None
            True where the label is known to be right. These rows train with
            cross-entropy in every epoch, the others with `loss` and its schedule.

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
        LossWarmUpWarning
            If the robust loss starts too early, or never.
        EmulatedPrecisionWarning
            If `precision` is ``"bfloat16"`` and the device has no instructions for it.
        IneffectiveParameterWarning
            If parameters differ from their defaults that have no effect with the
            values of the others.
        TrainingInterruptedWarning
            If an interrupt (Ctrl-C) ended the training early. The model is the one
            that training had reached.
        """
        return self._fit(X, y, sample_weight, is_clean)

    def partial_fit(self, X, y, classes=None, sample_weight=None, *, is_clean=None):
        """Train for one epoch on these rows.

        No row is held out and training does not stop early. For the schedule of
        the loss, each call is an epoch.

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
        return self._fit(X, y, sample_weight, is_clean, partial=True, classes=classes)

    def _check_data(self, X, y, sample_weight, is_clean, goes_on, classes=None):
        data = super()._check_data(X, y, sample_weight, is_clean, goes_on, classes)
        if not data.is_clean.any():
            return data
        targets = encode_targets(data.y, data.is_clean, len(data.classes))
        return replace(data, targets=targets)

    def _conditions(self, data):
        trains_with_it = self.callbacks != "disable"
        accepted = parameters_of_loss(self.loss)
        is_plain = isinstance(self.loss, str) and self.loss == "cross_entropy"
        return [
            *super()._conditions(data),
            # Without callbacks the loss is cross-entropy.
            (("loss",), trains_with_it or is_plain, "callbacks, which are disabled"),
            (
                ("delay", "gamma", "c", "n_iter_no_change"),
                trains_with_it,
                "callbacks, which are disabled",
            ),
            *(
                ((name,), name in accepted, f"a loss with the parameter {name}")
                for name in ("gamma", "c")
            ),
        ]

    def _net_spec(self, rows, classes, n_rows, device):
        if isinstance(self.module, str):
            raise TypeError(
                f"module must be a network, not a string; got {self.module!r}. Pass "
                "the loss by keyword: loss=..."
            )
        check_integer(
            self.delay,
            "delay",
            min_val=0,
            special=("auto",),
            hint="It is the first epoch, counted from 1, of the robust loss.",
        )
        spec = super()._net_spec(rows, classes, n_rows, device)
        params = loss_parameters(self, self._check_kwargs()["loss"])
        first_epoch = 1 if self.delay == "auto" else self.delay
        own = [
            ("loss_schedule", LossSchedule(self.delay, classes.tolist())),
            ("best_epoch", BestEpoch(self.n_iter_no_change, first_epoch)),
        ]
        disabled = spec.callbacks == "disable"
        return replace(
            spec,
            criterion=partial(ScheduledLoss, self.loss, len(classes), params),
            callbacks="disable" if disabled else own + spec.callbacks,
        )

    def _train(self, trainer, parts, *, goes_on, partial):
        super()._train(trainer, parts, goes_on=goes_on, partial=partial)
        schedule = dict(trainer.net.callbacks_).get("loss_schedule")
        if schedule is not None and not partial:
            schedule.warn_if_never(trainer.net)


def loss_parameters(estimator, params):
    """Parameters of the loss: `params`, `gamma` and `c`."""
    accepted = parameters_of_loss(estimator.loss)
    for name in ("gamma", "c"):
        value = getattr(estimator, name)
        # Without this parameter there is no effect: see `_conditions`.
        if value is None or name not in accepted:
            continue
        if name in params:
            raise ValueError(
                f"{name} and loss__{name} are the same parameter; give one of them "
                f"(got {value!r} and {params[name]!r})."
            )
        params[name] = value
    return params
