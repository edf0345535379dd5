"""The skorch net inside the estimators.

skorch's components (callbacks, history, optimizer, pickling) with a training
loop that knows weights, validation rows and schedules, and that does not pay
for callbacks that nobody listens with.
"""

import copy
import inspect
import math
import warnings
from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.exceptions import DeviceWarning
from skorch.history import History
from skorch.utils import is_dataset, to_device

from sklearn_noisy.exceptions import TrainingDivergedError
from sklearn_noisy.losses import log_softmax
from sklearn_noisy.nn import Rows, TensorBatches, check_weights, floating_dtype

__all__ = ["BestEpoch", "NoisyLabelNet", "OneCycle", "is_worse", "with_batches"]

# Rows per batch when nothing is trained: no gradient, so memory is no concern.
PREDICTION_BATCH_SIZE = 1024


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


def is_worse(losses, others):
    """Whether losses are higher than others of the same rows by a standard error.

    Parameters
    ----------
    losses, others : tensors of shape (n_samples,)
        Loss times weight of each row.
    """
    difference = losses - others
    return bool(difference.mean() > difference.std() / len(difference) ** 0.5)


class BestEpoch(Callback):
    """Keep the weights of the best epoch on the validation rows; stop in time.

    The best epoch has the highest weighted accuracy on the given labels, among
    equals the lowest loss. Training stops when for `patience` epochs neither
    the best accuracy nor the lowest loss was beaten: on few rows accuracy moves
    in steps while the loss still falls. Without validation rows it does nothing.

    Parameters
    ----------
    patience : int or None
        In epochs; None never stops.
    first_epoch : int, default=1
        Patience is counted from this epoch on at the earliest.
    by : {"accuracy", "loss"}, default="accuracy"
        ``"loss"`` takes the last epoch whose loss is within a standard error of the
        lowest (of the difference, row by row): right where the loss knows how the
        labels were made wrong, and where later epochs are better trained.

    Attributes
    ----------
    best_epoch_ : int
        Counted from 1.
    best_losses_ : tensor of shape (n_validation_rows,)
        Of the epoch that was kept.
    """

    # What a file keeps of it.
    KEPT = ("best_epoch_",)

    def __init__(self, patience, first_epoch=1, by="accuracy"):
        self.patience = patience
        self.first_epoch = first_epoch
        self.by = by

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start to compare anew: the validation rows may be others."""
        self.best_epoch_ = None
        self.best_score_ = (-np.inf, -np.inf)
        self.best_losses_ = self.lowest_losses_ = None
        self.lowest_loss_ = np.inf
        self.last_gain_ = len(net.history)
        self.robust_ = None
        self.state_ = None

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Compare this epoch with the best one so far."""
        if dataset_valid is None:
            return
        row = net.history[-1]
        epoch, accuracy, loss = row["epoch"], row["valid_acc"], row["valid_loss"]
        if row.get("robust") != self.robust_:
            # Another loss: its values do not compare, and it gets its time.
            self.robust_ = row.get("robust")
            self.lowest_loss_ = np.inf
            self.best_score_ = (self.best_score_[0], -np.inf)
        if self._is_best(net, accuracy, loss):
            self.best_score_ = (accuracy, -loss)
            self.best_epoch_ = self.last_gain_ = epoch
            self.best_losses_ = net.validation_losses_
            self.state_ = copy.deepcopy(
                (net.module_.state_dict(), net.criterion_.state_dict())
            )
        if loss < self.lowest_loss_:
            self.lowest_loss_ = loss
            self.lowest_losses_ = net.validation_losses_
            self.last_gain_ = epoch
        if self.patience is None:
            return
        since = max(self.last_gain_, self.first_epoch - 1)
        net.stop_training_ = epoch - since >= self.patience

    def _is_best(self, net, accuracy, loss):
        if self.by == "accuracy":
            return (accuracy, -loss) > self.best_score_
        return loss < self.lowest_loss_ or not is_worse(
            net.validation_losses_, self.lowest_losses_
        )

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Put the best weights back."""
        if self.state_ is not None:
            net.module_.load_state_dict(self.state_[0])
            net.criterion_.load_state_dict(self.state_[1])
            self.state_ = None
        self.lowest_losses_ = net.validation_losses_ = None


class OneCycle(Callback):
    """Learning rate that rises to the one that was set, then falls to zero.

    A cosine up in the first 30 % of the epochs of a training, a cosine down in the
    others; the rate is constant within an epoch. A single epoch is no cycle.
    """

    RISE = 0.3
    # Of the highest rate, at the start.
    START = 0.04

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """A new cycle begins."""
        self.start_ = len(net.history)
        self.peaks_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Rate of the middle of this epoch."""
        if net.planned_epochs_ == 1:
            return
        done = (len(net.history) - self.start_ - 0.5) / net.planned_epochs_
        if done < self.RISE:
            wave = (1 - math.cos(math.pi * done / self.RISE)) / 2
            factor = self.START + (1 - self.START) * wave
        else:
            fall = min(1.0, (done - self.RISE) / (1 - self.RISE))
            factor = (1 + math.cos(math.pi * fall)) / 2
        for group, peak in zip(net.optimizer_.param_groups, self.peaks_, strict=True):
            group["lr"] = factor * peak

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """What was set is set again, for a training that goes on."""
        for group, peak in zip(net.optimizer_.param_groups, self.peaks_, strict=True):
            group["lr"] = peak


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
    # Epochs of the training that is under way.
    planned_epochs_ = None
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
        self.history_ = History(state["history"])
        self.given_ = state["given"]
        self.round_ = state["round"]

    def _kept_of_callbacks(self):
        """Name, callback and the attributes that it needs to go on."""
        for name, callback in self.callbacks_:
            if kept := getattr(callback, "KEPT", ()):
                yield name, callback, kept

    def train(self, rows, validation_rows=None, epochs=None):
        """Train on `rows`, from the present weights on.

        An interrupt (Ctrl-C) ends the training early, with what was reached.

        Raises
        ------
        TrainingDivergedError
            If the loss of an epoch is not finite.
        """
        self.interrupted_ = False
        try:
            for _ in self.train_by_epoch(rows, validation_rows, epochs):
                pass
        except KeyboardInterrupt:
            self.interrupted_ = True
            self.notify("on_train_end", X=rows, y=None)
        return self

    def train_by_epoch(self, rows, validation_rows=None, epochs=None):
        """The same as a generator that yields after each epoch."""
        self.check_training_readiness()
        datasets = {"dataset_train": rows, "dataset_valid": validation_rows}
        batches = self.get_iterator(rows, training=True)
        valid = None if validation_rows is None else self.get_iterator(validation_rows)
        self.stop_training_ = False
        self.planned_epochs_ = self.max_epochs if epochs is None else epochs
        self.notify("on_train_begin", X=rows, y=None)
        for _ in range(self.planned_epochs_):
            self.notify("on_epoch_begin", **datasets)
            if self.round_ is not None:
                self.history.record("round", self.round_)
            self.run_single_epoch(batches, True, "train", self.train_step)
            self.run_single_epoch(valid, False, "valid", self.validation_step)
            self.notify("on_epoch_end", **datasets)
            yield
            if self.stop_training_:
                break
        self.notify("on_train_end", X=rows, y=None)

    def check_data(self, X, y=None):
        """Nothing to check: the estimator has done so."""

    def get_dataset(self, X, y=None):
        """Rows as they are; arrays become rows."""
        return X if is_dataset(X) else Rows(np.asarray(X), y)

    def get_iterator(self, dataset, training=False):
        """skorch's, with larger batches where there is no gradient."""
        iterator = super().get_iterator(dataset, training=training)
        is_own = not training and isinstance(iterator, TensorBatches)
        if is_own and "batch_size" not in self.get_params_for("iterator_valid"):
            iterator.batch_size = max(iterator.batch_size, PREDICTION_BATCH_SIZE)
        return iterator

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One pass over the batches; records the weighted means of the pass."""
        if iterator is None:
            return
        self._set_training(training)
        if not training:
            self.validation_losses_ = []
        notify_batches = self._listens("on_batch_begin", "on_batch_end")
        loss = correct = total = 0.0
        for batch in iterator:
            if notify_batches:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            weight, n_rows = batch[0]["weight"].sum(), len(batch[1])
            # Summed where the net is; one synchronisation an epoch.
            loss = loss + step["loss"].detach() * n_rows
            total = total + weight
            if not training:
                correct = correct + self._weight_correct(step["y_pred"], batch)
            if notify_batches:
                self.history.record_batch(prefix + "_loss", step["loss"].item())
                self.history.record_batch(prefix + "_batch_size", n_rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
        self._record_epoch(prefix, float(loss) / max(float(total), 1e-300))
        if not training:
            self.history.record("valid_acc", float(correct) / float(total))
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
        return inputs["weight"].to(logits.device)[hit].sum()

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
        X = to_device(X, self.device).to(floating_dtype(self.module_))
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
        y_true = to_device(y_true, y_pred.device)
        losses = self._losses(y_pred, y_true, X)
        if training and self.given_ is not None:
            p = log_softmax(y_pred.detach()).gather(1, y_true[:, None])[:, 0].exp()
            self.given_.append((p, y_true, X["weight"]))
        loss = losses.mean()
        penalty = self.criterion_.penalty() if training else None
        return loss if penalty is None else loss + penalty

    def _losses(self, logits, y, inputs):
        """Weight times loss of each row."""
        losses = self.criterion_(logits, to_device(y, logits.device))
        return losses * to_device(inputs["weight"], losses.device).to(losses.dtype)

    def logits(self, rows):
        """Logits of all rows, ndarray of shape (n_samples, n_classes), float64."""
        return self.forward(rows).double().numpy()

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
