"""The classifier that owns a skorch net.

check → encode → seed → train → softmax → decode. What is trained with (the
criterion, further callbacks) is the subclass's.
"""

import copy
import math
from functools import partial

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from sklearn_noisy._estimators.parameters import (
    SkorchParamsMixin,
    check_training_parameters,
)
from sklearn_noisy._rows.batches import Rows, root_mean_square
from sklearn_noisy._rows.training_data import TrainingData, check_rows
from sklearn_noisy._splits import stratified_holdout
from sklearn_noisy._training.build import build_module, try_out
from sklearn_noisy._training.checkpoint import NoCheckpoint, checkpointed
from sklearn_noisy._training.continuation import (
    READ_BY_EVERY_CALL,
    all_or_nothing,
    net_parameters,
    take_over_changes,
    warn_if_interrupted,
)
from sklearn_noisy._training.device import resolve_device, seeded_torch
from sklearn_noisy._training.net import NoisyLabelNet, with_batches
from sklearn_noisy._validation import (
    check_is_clean,
    check_partial_fit_classes,
    check_sample_weight,
    class_weights,
    encode_labels,
    own_generator,
)
from sklearn_noisy.nn import MLP, floating_dtype

__all__ = ["BaseNoisyLabelClassifier"]

# From this many rows on, "auto" holds out validation rows and the default MLP
# drops units. Below, both cost more than they bring, and scikit-learn's rule
# that a row of weight k equals k rows holds exactly.
AUTO_MIN_ROWS = 1000

AUTO_DROPOUT = 0.5

# Rows on which a module is tried out before it trains.
PROBE_ROWS = 16


class BaseNoisyLabelClassifier(SkorchParamsMixin, ClassifierMixin, BaseEstimator):
    """Base of the classifiers; see :class:`RobustLossClassifier`."""

    # What `batch_size` may be beside a number.
    _named_batch_sizes = ()

    # Of the fit that is under way.
    _checkpoint = NoCheckpoint()

    # Parameters that may change between calls that train one net.
    _read_by_every_call = READ_BY_EVERY_CALL

    # What a file keeps beside the attributes that end with an underscore.
    _private_state = ("_rng", "_row_shape")

    def fit(self, X, y, sample_weight=None):
        """Train on labels some of which may be wrong.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
            Rows of any numeric dtype: a table, a sparse matrix (made dense
            batch by batch) or, for instance, images. Rows of a
            ``torch.utils.data.Dataset`` are read when they are wanted.
        y : array-like of shape (n_samples,)
            Given labels: integers, strings or booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 0 counts as absent.

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
        TrainingInterruptedWarning
            If an interrupt (Ctrl-C) ended the training early: the model is what was
            reached until then.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on these rows.

        No row is held out and training does not stop early; the schedule of
        the loss counts the calls.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, classes, sample_weight)

    def predict(self, X):
        """Most probable true label of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def predict_proba(self, X):
        """Probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
            Column k belongs to ``classes_[k]``.
        """
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X):
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                ndarray of shape (n_samples, ...) or Dataset

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        return log_softmax(self._logits(X), axis=1)

    @property
    def module_(self):
        """The trained ``nn.Module``; it returns logits."""
        return self._fitted_net().module_

    @property
    def history_(self):
        """Skorch's history: one row per epoch."""
        return self._fitted_net().history_

    @property
    def n_iter_(self):
        """Epochs trained so far."""
        return len(self._fitted_net().history_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    # What a subclass fills in.

    def _make_criterion(self):
        """:class:`~sklearn_noisy.nn.Criterion` of the net."""
        raise NotImplementedError

    def _criterion_state(self):
        """What a file keeps of the criterion, beside its ``state_dict``."""
        raise NotImplementedError

    def _remake_criterion(self, state):
        """The criterion that ``_criterion_state`` told of."""
        raise NotImplementedError

    def _prepare_to_go_on(self, data):
        """Before the net of the last call trains on."""
        take_over_changes(self)

    def _make_callbacks(self):
        """Named skorch callbacks that belong to the method."""
        raise NotImplementedError

    def _train(self, data, train, valid):
        """Train a new net; `data` are the training and the validation rows."""
        self._set_up(data, n_rows=len(data.y))
        self._run(self.net_, train, valid, self.max_epochs)

    def _after_training(self):
        """Look back at a finished call of ``fit``."""

    # What fit and partial_fit do.

    def _fit(self, X, y, sample_weight, is_clean=None):
        with all_or_nothing(self):
            go_on = self.warm_start and hasattr(self, "net_")
            data = self._check_training_data(
                X, y, sample_weight, is_clean, reset=not go_on
            )
            if go_on and not np.array_equal(data.classes, self.classes_):
                raise ValueError(
                    "warm_start=True goes on with the classes of the first fit, "
                    f"{self.classes_.tolist()}; y holds {data.classes.tolist()}."
                )
            if go_on:
                self._prepare_to_go_on(data)
            self._start(go_on)
            with checkpointed(self, data, go_on) as self._checkpoint:
                self._checkpoint.share_generator(self._rng)
                train, valid = self._split(data, self._rng)
                if go_on:
                    self._run(self.net_, train, valid, self.max_epochs)
                else:
                    self.classes_ = data.classes
                    self._train(data, train, valid)
            del self._checkpoint
            self._after_training()
            warn_if_interrupted(self)
        return self

    def _partial_fit(self, X, y, classes, sample_weight, is_clean=None):
        with all_or_nothing(self):
            go_on = hasattr(self, "net_")
            classes = check_partial_fit_classes(
                classes, self.class_weight, self.classes_ if go_on else None
            )
            data = self._check_training_data(
                X, y, sample_weight, is_clean, reset=not go_on, classes=classes
            )
            if go_on:
                self._prepare_to_go_on(data)
            self._start(go_on)
            if not go_on:
                self.classes_ = data.classes
                # How many rows will come is unknown: no dropout on "auto".
                self._set_up(data, n_rows=0)
            self._run(self.net_, data, None, epochs=1)
            warn_if_interrupted(self)
        return self

    # Checks.

    def _check_parameters(self):
        self._check_kwargs()
        check_training_parameters(self)
        return resolve_device(self.device)

    def _check_training_data(
        self, X, y, sample_weight, is_clean=None, *, reset, classes=None
    ):
        self._check_parameters()
        X, y = check_rows(self, X, y, reset=reset)
        weight = check_sample_weight(sample_weight, len(X))
        # A part of the rows may be without a clean one.
        is_clean = check_is_clean(is_clean, len(X), needed=classes is None)
        kept = weight > 0
        if not kept.all():
            X, y = X.subset(kept), y[kept]
            weight, is_clean = weight[kept], is_clean[kept]
        codes, classes = self._encode(y, classes)
        data = TrainingData(X, codes, weight, classes, is_clean, weight, kept)
        inside = ~data.is_outside
        per_class = class_weights(
            self.class_weight, codes[inside], classes, weight[inside]
        )
        data.weight = weight * np.append(per_class, 1.0)[codes]
        if not data.weight.any():
            raise ValueError(
                f"class_weight={self.class_weight!r} gives every row weight 0."
            )
        return data

    def _encode(self, y, classes):
        """Indices of the labels, and the classes."""
        return encode_labels(y, classes)

    # Training.

    def _start(self, go_on):
        """The generator that all seeds come from, drawn before any training."""
        rng = copy.deepcopy(self._rng) if go_on else own_generator(self.random_state)
        self._rng = rng
        return rng

    def _split(self, data, rng):
        """Training rows and, with early stopping, validation rows."""
        stop = self.early_stopping
        if stop == "auto":
            stop = len(data.y) >= AUTO_MIN_ROWS
        if not stop:
            return data, None
        held = np.zeros(len(data.y), dtype=bool)
        inside = np.flatnonzero(~data.is_outside)
        # Of the clean rows of a class as many as of the others.
        strata = (data.y + data.n_classes * data.is_clean)[inside]
        held[inside] = stratified_holdout(strata, self.validation_fraction, rng)
        if not held.any():
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(data.y)} "
                "rows leaves no validation row. Raise it, or set "
                "early_stopping=False."
            )
        return data.subset(~held), data.subset(held)

    def _seed(self):
        return self._rng.randint(np.iinfo(np.int32).max)

    def _set_up(self, data, n_rows):
        """The net that training starts from."""
        device = resolve_device(self.device)
        self._made_with = net_parameters(self)
        with seeded_torch(self._seed(), device):
            self.net_ = self._make_net(
                data,
                self._make_criterion(),
                self._all_callbacks(),
                n_rows=n_rows,
            )

    def _all_callbacks(self):
        if self.callbacks == "disable":
            return "disable"
        return [*self._make_callbacks(), *clone(self.callbacks or [], safe=False)]

    def _make_net(self, data, criterion, callbacks, *, n_rows):
        """A net of its own for data of this shape; to be called with torch seeded."""
        few = slice(0, PROBE_ROWS)
        return self._make_net_by(
            self._module_recipe(data, n_rows),
            Rows(data.X.subset(few), data.y[few]),
            criterion,
            callbacks,
            resolve_device(self.device),
        )

    def _make_net_by(self, recipe, few_rows, criterion, callbacks, device):
        module = self._build_module(recipe["params"], recipe["dtype"])
        criterion.to(torch.promote_types(floating_dtype(module), torch.float32))
        try_out(module, criterion, few_rows, len(self.classes_))
        net = self._build_net(
            module, criterion, callbacks, device, recipe["batch_size"]
        )
        net.recipe_ = recipe
        return net

    def _rebuild_net(self, state, device):
        """The net whose state a file holds, on this device."""
        few_rows = Rows(np.zeros((1, *self._row_shape)))
        # A constructor draws weights, which are then replaced.
        with seeded_torch(0, torch.device("cpu")):
            self.net_ = self._make_net_by(
                state["recipe"],
                few_rows,
                self._remake_criterion(state["criterion"]),
                self._all_callbacks(),
                device,
            )
        self.net_.load_training_state(state["training"])
        self._made_with = net_parameters(self)

    def _module_recipe(self, data, n_rows):
        """What the net is built with, beside parameters and the sizes of the data."""
        params = self._params_for("module")
        precision = self.precision
        if self.module is None:
            params.setdefault("dropout", AUTO_DROPOUT if n_rows >= AUTO_MIN_ROWS else 0)
            if "input_scale" not in params:
                params["input_scale"] = root_mean_square(self._rows(data))
            if precision == "auto" and resolve_device(self.device).type == "cpu":
                wide = data.X.dtype == torch.float64
                precision = "float64" if wide else "float32"
        dtype = precision if precision in ("float32", "float64") else None
        return {
            "params": params,
            "dtype": dtype,
            "batch_size": self._auto_batch(n_rows),
        }

    def _auto_batch(self, n_rows):
        """What ``batch_size="auto"`` stands for, where there is one."""
        return self.batch_size

    def _build_module(self, params, dtype):
        """The module in the dtype it trains in, on the CPU."""
        module = build_module(
            MLP if self.module is None else self.module,
            params,
            n_features=math.prod(self._row_shape),
            n_classes=len(self.classes_),
        )
        return module if dtype is None else module.to(getattr(torch, dtype))

    def _net_settings(self):
        """Parameters of skorch that the net is made with."""
        return {
            name: value
            for name, value in self._kwargs.items()
            if name.partition("__")[0] not in ("module", "loss")
        }

    def _build_net(self, module, criterion, callbacks, device, auto_batch):
        """The initialised skorch net."""
        settings = with_batches(self._net_settings())
        net = NoisyLabelNet(
            module,
            criterion=criterion,
            optimizer=self.optimizer,
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=auto_batch if self.batch_size == "auto" else self.batch_size,
            train_split=None,
            callbacks=callbacks,
            predict_nonlinearity=partial(torch.softmax, dim=-1),
            verbose=self.verbose,
            device=str(device),
            classes=np.arange(len(self.classes_)),
            **settings,
        )
        net.autocast_ = self.precision == "bfloat16"
        net.labels_ = self.classes_
        return net.initialize()

    def _run(self, net, train, valid, epochs):
        """Train a net that is set up."""
        self._run_on(net, self._rows(train), valid, epochs)

    def _run_on(self, net, rows, valid, epochs):
        """Train a net that is set up on rows that are made already."""
        device = resolve_device(self.device)
        if str(device) != str(net.device):
            raise ValueError(
                f"device={self.device!r}, but the net to go on with is on "
                f"{net.device!r}. Set device to that, or fit anew."
            )
        with seeded_torch(self._seed(), device):
            net.train(
                rows,
                None if valid is None else self._rows(valid, training=False),
                epochs,
                self._checkpoint.stage(),
            )

    def _rows(self, data, *, training=True):
        """Rows with weights of mean 1, so that the step size is theirs to scale."""
        return Rows(data.X, data.y, data.weight / data.weight.mean())

    def _fitted_net(self):
        try:
            return vars(self)["net_"]
        except KeyError:
            # hasattr and check_is_fitted ask this way.
            raise AttributeError(f"{type(self).__name__} is not fitted yet.") from None

    def _logits(self, X):
        check_is_fitted(self)
        return self.net_.logits(check_rows(self, X, reset=False))
