"""The skorch net inside the estimators.

skorch's components (callbacks, history, optimizer, pickling) with a training
loop that knows weights, validation rows and schedules, and that does not pay
for callbacks that nobody listens with.
"""

import copy
import inspect
import warnings
from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EpochTimer,
    PrintLog,
    TrainEndCheckpoint,
)
from skorch.exceptions import DeviceWarning
from skorch.utils import is_dataset

from sklearn_noisy._rows.batches import Rows, TensorBatches
from sklearn_noisy._training.between_epochs import callback_progress, resume_callback
from sklearn_noisy._training.build import check_weights
from sklearn_noisy._training.optimizer import can_be_fused
from sklearn_noisy.exceptions import TrainingDivergedError
from sklearn_noisy.losses import log_softmax
from sklearn_noisy.nn import floating_dtype

__all__ = ["NoisyLabelNet", "with_batches"]

# Rows per batch when nothing is trained: no gradient, so memory is no concern.
PREDICTION_BATCH_SIZE = 1024

# They do not listen to batches, and look into the last one.
READ_BATCHES = (Checkpoint, TrainEndCheckpoint)


def with_batches(settings):
    """Skorch's parameters with our batches, unless others are set.

    Raises
    ------
    TypeError
        If ours are given a parameter that they do not have.
    """
    settings = {
        "iterator_train": TensorBatches,
        "iterator_valid": TensorBatches,
        **settings,
    }
    if not {"iterator_train__sampler", "iterator_train__batch_sampler"} & {*settings}:
        settings.setdefault("iterator_train__shuffle", True)
    own = {*inspect.signature(TensorBatches).parameters}
    foreign = [
        name
        for name in settings
        if name.startswith("iterator_train__")
        and name.removeprefix("iterator_train__") not in own
    ]
    if settings["iterator_train"] is TensorBatches and foreign:
        raise TypeError(
            f"{foreign[0]} is not a parameter of the default batches, which cut "
            "rows from memory; with iterator_train=torch.utils.data.DataLoader "
            "it is."
        )
    return settings


class NoisyLabelNet(NeuralNetClassifier):
    """A skorch net that trains on weighted :class:`Rows`.

    Targets are encoded labels, the criterion returns one value per sample.
    The history has one row per epoch: ``train_loss`` and, with validation
    rows, ``valid_loss`` and ``valid_acc``, all weighted.
    """

    # Names without a trailing underscore would count as skorch parameters.
    autocast_ = False
    stop_training_ = False
    interrupted_ = False
    # Loss times weight of each validation row in the last epoch.
    validation_losses_ = None
    # Of the training that is under way.
    planned_epochs_ = None
    done_epochs_ = None
    # A list while somebody wants to know what training gives the given labels.
    given_ = None
    # What the encoded labels stand for, ndarray of shape (n_classes,).
    labels_ = None
    # Of nets that are trained one after another: which one, for the history.
    round_ = None
    # What the estimator built the module with.
    recipe_ = None

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())]

    def __deepcopy__(self, memo):
        # skorch's __getstate__ pickles the module, which fails for classes
        # that are defined inside a function.
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __setstate__(self, state):
        # skorch warns twice of a device that is not there any more.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            super().__setstate__(state)
        first = next((w for w in caught if w.category is DeviceWarning), None)
        for warning in caught:
            if warning.category is not DeviceWarning or warning is first:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )

    def training_state(self):
        """What training has changed; :meth:`load_training_state` takes it.

        Returns
        -------
        dict
            Of tensors, arrays and plain values.
        """
        given = self.given_
        if given:  # one batch instead of many
            given = [tuple(torch.cat(parts) for parts in zip(*given, strict=True))]
        return {
            "module": dict(self.module_.state_dict()),
            "criterion": dict(self.criterion_.state_dict()),
            "optimizer": self.optimizer_.state_dict(),
            "callbacks": {
                name: {attribute: getattr(callback, attribute) for attribute in kept}
                for name, callback, kept in self._kept_of_callbacks()
            },
            "history": self.history_.to_list(),
            "given": given,
            "round": self.round_,
        }

    def load_training_state(self, state):
        """Go on where another net, made in the same way, was.

        Raises
        ------
        ValueError
            If the weights are those of another module or criterion.
        """
        check_weights(self.module_, state["module"], "module")
        check_weights(self.criterion_, state["criterion"], "the loss")
        self.module_.load_state_dict(state["module"])
        self.criterion_.load_state_dict(state["criterion"])
        self.optimizer_.load_state_dict(state["optimizer"])
        for name, callback, kept in self._kept_of_callbacks():
            for attribute in kept:
                setattr(callback, attribute, state["callbacks"][name][attribute])
        # In place: nets that train one after another share it.
        self.history_[:] = state["history"]
        self.given_ = state["given"]
        self.round_ = state["round"]

    def _kept_of_callbacks(self):
        """Name, callback and the attributes that it needs to go on."""
        for name, callback in self.callbacks_:
            if kept := getattr(callback, "KEPT", ()):
                yield name, callback, kept

    def progress(self):
        """How far the training under way has come; :meth:`train_by_epoch` takes it.

        Returns
        -------
        dict
            More than :meth:`training_state`, which is for a training that ended.
        """
        return {
            "state": self.training_state(),
            "criterion": self.criterion_.progress(),
            "callbacks": {name: callback_progress(cb) for name, cb in self.callbacks_},
            "validation_losses": self.validation_losses_,
            "stop": self.stop_training_,
            "epochs": self.done_epochs_,
        }

    def _resume(self, progress):
        self.load_training_state(progress["state"])
        self.criterion_.resume(progress["criterion"])
        for name, callback in self.callbacks_:
            resume_callback(callback, progress["callbacks"][name])
        self.validation_losses_ = progress["validation_losses"]
        self.stop_training_ = progress["stop"]
        self.done_epochs_ = progress["epochs"]

    def train(self, rows, validation_rows=None, epochs=None, stage=None):
        """Train on `rows`, from the present weights on.

        With a `stage` of a checkpoint, from where it stands, and it is kept.

        An interrupt (Ctrl-C) ends the training early, with what was reached.

        Raises
        ------
        TrainingDivergedError
            If the loss of an epoch is not finite.
        """
        self.interrupted_ = False
        try:
            progress = None if stage is None else stage.load()
            for _ in self.train_by_epoch(rows, validation_rows, epochs, progress):
                if stage is not None:
                    stage.save(self.progress())
        except KeyboardInterrupt:
            self.interrupted_ = True
            self.notify("on_train_end", X=rows, y=None)
        return self

    def train_by_epoch(self, rows, validation_rows=None, epochs=None, progress=None):
        """The same as a generator that yields after each epoch."""
        self.check_training_readiness()
        datasets = {"dataset_train": rows, "dataset_valid": validation_rows}
        batches = self.get_iterator(rows, training=True)
        valid = None if validation_rows is None else self.get_iterator(validation_rows)
        self.stop_training_ = False
        self.planned_epochs_ = self.max_epochs if epochs is None else epochs
        self.done_epochs_ = 0
        self.notify("on_train_begin", X=rows, y=None)
        if progress is not None:
            self._resume(progress)
        while self.done_epochs_ < self.planned_epochs_ and not self.stop_training_:
            self.notify("on_epoch_begin", **datasets)
            if self.round_ is not None:
                self.history.record("round", self.round_)
            self.run_single_epoch(batches, True, "train", self.train_step)
            self.run_single_epoch(valid, False, "valid", self.validation_step)
            try:
                self.notify("on_epoch_end", **datasets)
            except KeyboardInterrupt:
                # So callbacks stop a training, skorch's EarlyStopping for one.
                self.stop_training_ = True
            self.done_epochs_ += 1
            yield
        self.notify("on_train_end", X=rows, y=None)

    def initialize_optimizer(self):
        """skorch's, with torch's fused step where that is the same and faster."""
        groups, settings = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        if can_be_fused(self.optimizer, settings, self.module_, self.criterion_):
            settings["fused"] = True
        self.optimizer_ = self.optimizer(*groups, **settings)
        return self

    def check_data(self, X, y=None):
        """Nothing to check: the estimator has done so."""

    def get_dataset(self, X, y=None):
        """Rows as they are; arrays become rows."""
        return X if is_dataset(X) else Rows(np.asarray(X), y)

    def get_iterator(self, dataset, training=False):
        """skorch's, with rows on the device, and more at a time without gradients."""
        iterator = super().get_iterator(dataset, training=training)
        if not isinstance(iterator, TensorBatches):
            return iterator
        iterator.dataset = dataset.at(self.device)
        if not training and "batch_size" not in self.get_params_for("iterator_valid"):
            iterator.batch_size = max(iterator.batch_size, PREDICTION_BATCH_SIZE)
        return iterator

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One pass over the batches; records the weighted means of the pass."""
        if iterator is None:
            return
        self._set_training(training)
        if not training:
            self.validation_losses_ = []
        notify_batches = self._listens("on_batch_begin", "on_batch_end") or any(
            isinstance(callback, READ_BATCHES) for _, callback in self.callbacks_
        )
        losses, weights, correct = [], [], 0.0
        for batch in iterator:
            if notify_batches:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            n_rows = len(batch[1])
            # Summed at the end of the epoch, where the net is.
            losses.append(step["loss"].detach() * n_rows)
            weights.append(batch[0]["weight"])
            if not training:
                correct = correct + self._weight_correct(step["y_pred"], batch)
            if notify_batches:
                self.history.record_batch(prefix + "_loss", step["loss"].item())
                self.history.record_batch(prefix + "_batch_size", n_rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
        total = float(torch.cat(weights).sum())
        loss = float(torch.stack(losses).sum())
        self._record_epoch(prefix, loss / max(total, 1e-300))
        if not training:
            self.history.record("valid_acc", float(correct) / total)
            self.validation_losses_ = torch.cat(self.validation_losses_)

    def _record_epoch(self, prefix, loss):
        if prefix == "train" and not np.isfinite(loss):
            raise TrainingDivergedError(
                f"The training loss became {loss} in epoch {len(self.history)}. "
                f"Lower lr={self.lr}, scale the features, or choose another loss."
            )
        past = self.history[:-1]
        best = all(
            loss < row[prefix + "_loss"] for row in past if prefix + "_loss" in row
        )
        self.history.record(prefix + "_loss", loss)
        self.history.record(prefix + "_loss_best", bool(best))

    def _weight_correct(self, logits, batch):
        inputs, y = batch
        observed = self.criterion_.observed(y.to(logits.device))
        hit = logits.argmax(dim=1) == observed
        # A product, not a selection: how much a mask selects, a GPU would have to tell.
        return (inputs["weight"].to(logits.device) * hit).sum()

    def _listens(self, *hooks):
        """Whether any callback overrides one of the hooks."""
        return any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in hooks
        )

    def validation_step(self, batch, **fit_params):
        """Logits and losses of one batch, without gradients."""
        inputs, y = batch
        with torch.no_grad():
            logits = self.infer(inputs)
            losses = self._losses(logits, y, inputs)
        self.validation_losses_.append(losses)
        return {"loss": losses.mean(), "y_pred": logits}

    def train_step(self, batch, **fit_params):
        """One optimizer step; skorch's own where a callback wants gradients."""
        if self._listens("on_grad_computed"):
            step = super().train_step(batch, **fit_params)
            self.criterion_.after_step()
            return step
        step = {}

        def closure():
            # LBFGS calls this several times; the first loss is the one before
            # the step.
            self._zero_grad_optimizer()
            current = self.train_step_single(batch)
            step.setdefault("loss", current["loss"])
            step.setdefault("y_pred", current["y_pred"])
            return current["loss"]

        self._step_optimizer(closure)
        self.criterion_.after_step()
        return step

    def train_step_single(self, batch, **fit_params):
        """Forward and backward pass of one batch."""
        inputs, y = batch
        logits = self.infer(inputs)
        loss = self.get_loss(logits, y, X=inputs, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": logits}

    def infer(self, x, **fit_params):
        """Logits of a batch: cast, move, forward."""
        X = x["X"] if isinstance(x, Mapping) else x
        X = X.to(device=self.device, dtype=floating_dtype(self.module_))
        context = (
            torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)
            if self.autocast_
            else nullcontext()
        )
        with context:
            return self.module_(X)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Mean of weight times loss over the batch, ``Σ s ℓ / n``.

        The weights have mean 1 over all rows (the estimator sees to that), so
        this is an unbiased estimate of ``Σ s ℓ / Σ s`` of the whole data;
        dividing by a batch's own weights would not be.
        """
        losses = self._losses(y_pred, y_true, X)
        if training and self.given_ is not None:
            y_true = y_true.to(y_pred.device)
            p = log_softmax(y_pred.detach()).gather(1, y_true[:, None])[:, 0].exp()
            self.given_.append((p, y_true, X["weight"]))
        loss = losses.mean()
        penalty = self.criterion_.penalty() if training else None
        return loss if penalty is None else loss + penalty

    def _losses(self, logits, y, inputs):
        """Weight times loss of each row."""
        losses = self.criterion_(logits, y.to(logits.device))
        return losses * inputs["weight"].to(losses)

    def logits(self, rows):
        """Logits of all rows, ndarray of shape (n_samples, n_classes), float64."""
        # Fetched once, not batch by batch.
        return self.forward(rows, device=self.device).cpu().double().numpy()

    def given_probabilities(self):
        """What the rows of the last epoch got for their labels, and stop recording.

        As they came up in training: under dropout a net is less sure than
        without, and it is training that a label must survive.

        Returns
        -------
        p, y, weight : ndarrays of shape (n_samples,)
        """
        columns = zip(*self.given_, strict=True)
        self.given_ = None
        return tuple(torch.cat(parts).cpu().double().numpy() for parts in columns)
