"""RobustLossClassifier: a net trained with a loss that wrong labels do not pull."""

import inspect
from numbers import Integral

import torch

from sklearn_noisy._estimators.base import BaseNoisyLabelClassifier
from sklearn_noisy._training.between_epochs import BestEpoch
from sklearn_noisy._training.loss_schedule import LossSchedule, ScheduledLoss
from sklearn_noisy.losses import LOSSES, make_loss

__all__ = ["RobustLossClassifier"]


class RobustLossClassifier(BaseNoisyLabelClassifier):
    r"""Neural classifier trained with a loss that wrong labels do not pull.

    Training starts with cross-entropy and goes over to the loss once the net
    knows every class (`delay`). Everything else is a scikit-learn classifier
    around a skorch net.

    Parameters
    ----------
    module : nn.Module class or instance, callable or None, default=None
        Network that returns **logits** of shape ``(n_samples, n_classes)``. A
        class or callable is called with ``module__<name>`` and, where its
        signature has them, ``n_features`` (the product of a row's shape) and
        ``n_classes``; an instance is copied. None builds
        :class:`sklearn_noisy.nn.MLP`, which divides `X` by its root mean square
        and, from 1,000 rows on, drops half of the hidden units in training.
        Columns of different units need scaling before, as for any network.
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
        classes). Other losses ignore it. It has nothing to do with the weight
        ``gamma`` that Sukhbaatar & Fergus give to noisy rows.
    c : float or None, default=None
        Cut-off probability of the piecewise-zero and the clipped loss (None:
        0.05). Other losses ignore it.
    delay : int or "auto", default="auto"
        First epoch, counted from 1, of the loss; before it, cross-entropy.
        0 and 1 both mean at once. ``"auto"``: in every epoch before which the
        net knew every class, and at once for losses that need no start.
    optimizer : torch optimizer class, default=torch.optim.Adam
        Its parameters are ``optimizer__<name>``.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=100
        Passes over the rows, at most.
    batch_size : int, default=128
        Rows per step; -1 takes all.
    device : str or torch.device, default="cpu"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and the like, or ``"auto"``: the
        GPU if there is one.
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        What the net computes in. ``"auto"``: the default network on a CPU in
        the floating-point type of `X`, any other in its own; `X` is cast to
        it, integers and booleans are float32. ``"bfloat16"`` keeps float32
        weights (autocast).
    early_stopping : bool or "auto", default="auto"
        Hold out rows, stop when they no longer improve, and keep the weights
        of the epoch with the best accuracy on their *given* labels.
        ``"auto"``: from 1,000 rows on.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows that is held out, in the proportion of the
        classes.
    n_iter_no_change : int, default=10
        Epochs without a better accuracy or a lower loss on the held-out rows,
        after which training stops. They count from the switch of the loss.
    class_weight : dict, "balanced" or None, default=None
        Weights of the *given* classes, ``{label: weight}``.
    warm_start : bool, default=False
        Go on from the previous ``fit``, for `max_epochs` more. What the net was
        made with must be the same; `lr`, `optimizer` and its parameters,
        `batch_size`, the iterators and `verbose` may have changed since, as may
        what every call reads (such as `class_weight` and `early_stopping`).
    callbacks : list of skorch callbacks, "disable" or None, default=None
        They are cloned; the used ones are in ``net_.callbacks_``.
        ``"disable"`` also turns off early stopping and the schedule (the
        loss is then cross-entropy throughout).
    checkpoint : str, path-like or None, default=None
        Folder for a file that every epoch replaces, named by a hash of the parameters
        and the data. If ``fit`` is killed and called again, it goes on there, to the
        same model (bit for bit on the CPU); a ``fit`` that ended removes its files.
        They are pickles: the folder should be yours alone.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of the rows, dropout and the
        held-out rows. Global generators are left as they were.
    verbose : int, default=0
        Above 0, a line for each epoch.
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
        One row per epoch: ``train_loss``, ``robust`` (whether the loss was
        on) and, with held-out rows, ``valid_loss`` and ``valid_acc``.
    n_iter_ : int
        Epochs trained.

    See Also
    --------
    sklearn_noisy.find_label_issues : Which labels are wrong.

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

    def __init__(
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
        self._store_kwargs(kwargs)

    def _make_criterion(self):
        return ScheduledLoss(self._make_loss(len(self.classes_)))

    def _make_loss(self, n_classes):
        """The robust loss, with its parameters."""
        params = self._params_for("loss")
        loss = (
            LOSSES.get(self.loss, self.loss)
            if isinstance(self.loss, str)
            else self.loss
        )
        if isinstance(loss, type):
            accepted = inspect.signature(loss).parameters
            for name in ("gamma", "c"):
                # A grid over losses sets gamma for those that have none, too.
                if getattr(self, name) is None or name not in accepted:
                    continue
                if name in params:
                    raise ValueError(
                        f"{name} and loss__{name} are the same parameter; give one of "
                        f"them (got {getattr(self, name)!r} and {params[name]!r})."
                    )
                params[name] = getattr(self, name)
        return make_loss(self.loss, n_classes, **params)

    def _criterion_state(self):
        criterion = self.net_.criterion_
        # Ours are kept as they are, whatever became of the parameters since; one of
        # the user's is made anew.
        is_ours = type(criterion.loss) in LOSSES.values()
        return {
            "loss": criterion.loss if is_ours else None,
            "active": criterion.active,
        }

    def _remake_criterion(self, state):
        loss = state["loss"]
        criterion = self._make_criterion() if loss is None else ScheduledLoss(loss)
        criterion.active = state["active"]
        return criterion

    def _make_callbacks(self):
        first_epoch = 1 if self.delay == "auto" else self.delay
        return [
            ("loss_schedule", LossSchedule(self.delay, self.classes_.tolist())),
            ("best_epoch", BestEpoch(self.n_iter_no_change, first_epoch)),
        ]

    def _after_training(self):
        callbacks = dict(self.net_.callbacks_)
        if "loss_schedule" in callbacks:
            callbacks["loss_schedule"].warn_if_never(self.net_)

    def _check_parameters(self):
        if isinstance(self.module, str):
            raise TypeError(
                f"module must be a network, not a string; got {self.module!r}. The "
                "loss goes by its name: loss=..."
            )
        if self.delay != "auto" and (
            isinstance(self.delay, bool)
            or not isinstance(self.delay, Integral)
            or self.delay < 0
        ):
            raise ValueError(
                "delay must be 'auto' or an integer >= 0, the first epoch (counted "
                f"from 1) of the robust loss; got {self.delay!r}."
            )
        return super()._check_parameters()
