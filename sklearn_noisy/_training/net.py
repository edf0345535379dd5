"""The skorch net inside the estimators, and one training of it.

The net has skorch's components: callbacks, history, optimizer, pickling. Its training
loop supports weights and given validation rows, and skips batch hooks that no callback
overrides or reads.
"""

from __future__ import annotations

import copy
import inspect
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from scipy import sparse
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, PrintLog
from skorch.exceptions import DeviceWarning
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, Dataset, Subset

from sklearn_noisy._rows.rows import LabelledRows, Rows, TensorBatches
from sklearn_noisy._training.callbacks import OwnCallback
from sklearn_noisy._training.state_checks import check_training_state, check_weights
from sklearn_noisy.exceptions import TrainingDivergedError
from sklearn_noisy.nn import floating_dtype

# Rows per batch without gradients, where memory is no concern.
PREDICTION_BATCH_SIZE = 1024

# skorch's callbacks that read no batch. A subclass may.
READ_NO_BATCHES = {EarlyStopping, EpochTimer, PrintLog}

# Optimizer settings that choose how a step is computed.
STEP_SETTINGS = {"fused", "foreach", "capturable", "differentiable"}

State = dict[str, Any]


def check_prediction_batches(net: NoisyLabelNet, rows: LabelledRows) -> None:
    """Raise unless `iterator_valid` makes batches of rows.

    Where no row is held out, it would be used for the first time by ``predict``.

    Raises
    ------
    TypeError
    """
    try:
        iterator = net.get_iterator(rows)
    except TypeError as error:
        raise TypeError(
            "iterator_valid cannot be called with a data set, batch_size and its "
            f"parameters: {error}"
        ) from error
    if not isinstance(iterator, Iterable):
        raise TypeError(
            f"iterator_valid must return batches, over which one can iterate; got "
            f"{iterator!r}."
        )


def can_be_fused(
    optimizer: Callable[..., Any], settings: Mapping[str, Any], *modules: nn.Module
) -> bool:
    """Whether ``fused=True`` changes nothing but the time of an optimizer step.

    The fused step passes once over the memory of weights, gradients and averages. It
    is correct if all of them have the same layout (autograd guarantees that for dense
    weights). It does not support sparse gradients.

    Parameters
    ----------
    optimizer : callable
        Class or factory of the optimizer.
    settings : dict
        Arguments of `optimizer`, except the weights.
    *modules : nn.Module
        Modules whose weights it updates.

    Returns
    -------
    bool
        False where the settings already choose how steps are computed.
    """
    if "fused" not in inspect.signature(optimizer).parameters:
        return False
    if STEP_SETTINGS & {*settings}:
        return False
    for module in modules:
        for part in module.modules():
            if getattr(part, "sparse", False):
                return False
        for weight in module.parameters():
            # A lazy layer has no weights yet.
            if torch.nn.parameter.is_lazy(weight) or not (
                weight.is_floating_point()
                and weight.device.type in ("cpu", "cuda")
                and weight.layout == torch.strided
            ):
                return False
            # Without gaps in its memory.
            if not weight.is_contiguous() and not (
                weight.ndim == 4
                and weight.is_contiguous(memory_format=torch.channels_last)
            ):
                return False
    return True


class NoisyLabelNet(NeuralNetClassifier):
    """A skorch net that trains on :class:`LabelledRows`.

    The criterion returns one loss per sample. The history has one row per epoch:
    ``train_loss`` and, with validation rows, ``valid_loss`` and ``valid_acc``, all
    weighted; beside each, whether it is the best so far (``valid_acc_best``); and the
    number of batches (``train_batch_count``). It has the batches themselves if a
    callback may read them.

    To callbacks, ``batch[1]`` and the ``y`` of data sets are labels as indices of the
    classes; the number of classes stands for a row that belongs to none.

    Attributes
    ----------
    autocast_ : bool
        Whether the forward pass runs in bfloat16.
    interrupted_ : bool
        Whether an interrupt ended the last training early.
    stop_training_ : bool
        Whether the training under way ends after this epoch.
    planned_epochs_ : int
        Maximum number of epochs of the training under way.
    validation_losses_ : tensor of shape (n_validation_rows,) or None
        Loss times weight of each validation row in the last epoch of the training
        under way.
    batch_observer_ : callable or None
        Called with logits, targets and weights of each training batch.
    labels_ : ndarray of shape (n_classes,)
        What the encoded labels stand for.
    round_ : int or None
        Number of this net, where several are trained one after another.
    rebuild_ : callable or None
        Makes the module anew with further parameters, which a callback has set.
    """

    # skorch takes names without a trailing underscore for parameters.
    autocast_ = False
    interrupted_ = False
    stop_training_ = False
    planned_epochs_ = 0
    validation_losses_ = None
    batch_observer_: Callable[..., None] | None = None
    labels_: np.ndarray | None = None
    round_: int | None = None
    rebuild_: Callable[[dict[str, Any]], nn.Module] | None = None

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())]

    def __deepcopy__(self, memo: dict[int, Any]) -> NoisyLabelNet:
        # skorch's __getstate__ pickles the module, which fails for classes that are
        # defined inside a function.
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __setstate__(self, state: State) -> None:
        # skorch would warn twice about a missing device.
        on_cuda = torch.device(state["device"]).type == "cuda"
        if on_cuda and not torch.cuda.is_available():
            warnings.warn(
                f"The net was fitted on {state['device']!r}, and there is no CUDA "
                "device here: it is loaded on the CPU.",
                DeviceWarning,
                stacklevel=2,
            )
            state = {**state, "device": "cpu"}
        super().__setstate__(state)

    # State.

    def state_dict(self, *, foreign: bool = True) -> State:
        """What training has changed.

        Parameters
        ----------
        foreign : bool, default=True
            Whether to include the state of callbacks of other packages.

        Returns
        -------
        dict
            References, not copies.
        """
        return {
            "module": dict(self.module_.state_dict()),
            "criterion": dict(self.criterion_.state_dict()),
            "optimizer": self.optimizer_.state_dict(),
            "callbacks": {
                name: _callback_state(callback)
                for name, callback in self.callbacks_
                if foreign or isinstance(callback, OwnCallback)
            },
            "history": self.history_.to_list(),
            "round": self.round_,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from the state of a net that was made in the same way.

        Raises
        ------
        ValueError
            If the weights are those of another module or criterion.
        """
        check_weights(self.module_, state["module"], "module")
        check_weights(self.criterion_, state["criterion"], "the loss")
        self.module_.load_state_dict(state["module"])
        self.criterion_.load_state_dict(state["criterion"])
        load_optimizer_state(self.optimizer_, state["optimizer"])
        for name, callback in self.callbacks_:
            _load_callback_state(callback, state["callbacks"].get(name, {}))
        self.history_[:] = state["history"]
        self.round_ = state["round"]

    # skorch's components.

    def callback_names(self) -> list[str]:
        """Names of all callbacks, before any is initialized or removed."""
        return [name for name, _ in self._uniquely_named_callbacks()]

    def initialize_module(self) -> NoisyLabelNet:
        """The given module, or a new one if a callback has set parameters of it."""
        params = self.get_params_for("module")
        rebuild = self.rebuild_
        if not params or rebuild is None:
            super().initialize_module()
            return self
        self.module_ = rebuild(params)
        return self

    def initialize_optimizer(self) -> NoisyLabelNet:
        """skorch's, with torch's fused step where it gives the same result faster."""
        groups, settings = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        if can_be_fused(self.optimizer, settings, self.module_, self.criterion_):
            settings["fused"] = True
        self.optimizer_ = self.optimizer(*groups, **settings)
        return self

    def check_data(self, X: Any, y: Any = None) -> None:
        """Nothing to check: the estimator has done so."""

    def get_dataset(self, X: Any, y: Any = None) -> LabelledRows:
        """Rows with labels as they are; other rows, or those of a batch, get labels."""
        if isinstance(X, LabelledRows):
            return X
        if isinstance(X, Subset) and isinstance(X.dataset, LabelledRows):
            return X.dataset.subset(torch.as_tensor(X.indices))
        if isinstance(X, Mapping):
            X = X["X"]
        if isinstance(X, torch.Tensor):
            X = X.detach().cpu().numpy()
        if not isinstance(X, Rows):
            is_stored = isinstance(X, Dataset)
            X = X.tocsr() if sparse.issparse(X) else X if is_stored else np.asarray(X)
            X = Rows(X)
        return LabelledRows(X, y)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """skorch's, with rows on the device and larger batches without gradients."""
        iterator = super().get_iterator(dataset, training=training)
        if not isinstance(iterator, TensorBatches):
            return iterator
        # The statistics of a single row are no statistics: torch refuses to train.
        iterator.joins_single = training and any(
            isinstance(part, _BatchNorm) for part in self.module_.modules()
        )
        iterator.dataset = dataset.at(self.device)
        if not training and "batch_size" not in self.get_params_for("iterator_valid"):
            iterator.batch_size = max(iterator.batch_size, PREDICTION_BATCH_SIZE)
        return iterator

    # One epoch.

    def listens(self, *hooks: str) -> bool:
        """Whether any callback overrides one of the hooks."""
        for _, callback in self.callbacks_:
            for hook in hooks:
                if getattr(type(callback), hook) is not getattr(Callback, hook):
                    return True
        return False

    def uses_batches(self) -> bool:
        """Whether any callback may listen to batches, or read them in the history."""
        package = __name__.partition(".")[0]
        for _, callback in self.callbacks_:
            is_own = type(callback).__module__.partition(".")[0] == package
            if not is_own and type(callback) not in READ_NO_BATCHES:
                return True
        return self.listens("on_batch_begin", "on_batch_end")

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **kwargs: Any
    ) -> None:
        """One pass over the batches; records the weighted means of the pass."""
        if iterator is None:
            return
        self._set_training(training)
        uses_batches = self.uses_batches()
        # Summed at the end of the epoch, on the device of the net.
        losses, weights, correct, of_rows = [], [], 0.0, []
        for batch in iterator:
            if uses_batches:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            n_rows = len(batch[1])
            losses.append(step["loss"].detach() * n_rows)
            weights.append(batch[0]["weight"])
            if not training:
                of_rows.append(step.pop("losses"))
                correct = correct + step.pop("correct")
            if uses_batches:
                self.history.record_batch(prefix + "_loss", step["loss"].item())
                self.history.record_batch(prefix + "_batch_size", n_rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
        total = float(torch.cat(weights).sum())
        loss = float(torch.stack(losses).sum()) / max(total, 1e-300)
        if not training:
            self._record("valid_acc", float(correct) / total, higher_is_better=True)
            self.validation_losses_ = torch.cat(of_rows)
        elif not np.isfinite(loss):
            raise TrainingDivergedError(
                f"The training loss became {loss} in epoch {len(self.history)}. "
                f"Lower lr={self.lr}, scale the features, or choose another loss."
            )
        self._record(prefix + "_loss", loss)
        self.history.record(prefix + "_batch_count", len(losses))

    def _record(
        self, name: str, value: float, *, higher_is_better: bool = False
    ) -> None:
        """Record a value of this epoch, and whether it is the best one so far."""
        sign = -1 if higher_is_better else 1
        before = [row[name] for row in self.history[:-1] if name in row]
        is_best = all(sign * value < sign * other for other in before)
        self.history.record(name, value)
        self.history.record(name + "_best", is_best)

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Logits and losses of one batch, and the weight of the correct rows."""
        inputs, y = batch
        with torch.no_grad():
            logits = self.infer(inputs)
            losses = self.criterion_(logits, inputs["target"].to(logits.device))
            losses = losses * inputs["weight"].to(losses)
            hit = logits.argmax(dim=1) == y.to(logits.device)
            # A product: boolean indexing would synchronise a GPU.
            correct = (inputs["weight"].to(logits.device) * hit).sum()
        return {
            "loss": losses.mean(),
            "y_pred": logits,
            "losses": losses,
            "correct": correct,
        }

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """One optimizer step; skorch's own if a callback needs the gradients."""
        step: dict[str, Any] = {}

        def closure() -> torch.Tensor:
            # LBFGS calls this several times. The first loss is the one before the
            # step.
            self._zero_grad_optimizer()
            current = self.train_step_single(batch)
            step.setdefault("loss", current["loss"])
            step.setdefault("y_pred", current["y_pred"])
            return current["loss"]

        if self.listens("on_grad_computed"):
            step = super().train_step(batch, **fit_params)
        else:
            self._step_optimizer(closure)
        if self.criterion_.learn:
            self.criterion_.after_step()
        return step

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Forward and backward pass of one batch."""
        inputs, y = batch
        logits = self.infer(inputs)
        loss = self.get_loss(logits, y, X=inputs, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": logits}

    def infer(self, x: Any, **fit_params: Any) -> torch.Tensor:
        """Logits of a batch: cast, move, forward."""
        X = x["X"] if isinstance(x, Mapping) else x
        X = X.to(device=self.device, dtype=floating_dtype(self.module_))
        context = (
            torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)
            if self.autocast_
            else nullcontext()
        )
        with context:
            try:
                return self.module_(X)
            except ValueError as error:
                if self.module_.training and len(X) == 1:
                    error.add_note(
                        "The batch has a single row, of which BatchNorm computes no "
                        "statistics. Raise batch_size, or set "
                        "iterator_train__drop_last=True."
                    )
                raise

    def get_loss(
        self, y_pred: torch.Tensor, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        """Mean of weight times loss over the batch, ``Σ s ℓ / n``.

        The weights have mean 1 over all rows, so this is an unbiased estimate of
        ``Σ s ℓ / Σ s`` over all of them. Division by the weights of the batch would
        be biased. Without the inputs of a batch, `y_true` is the target and the weight
        is 1.
        """
        inputs = X if isinstance(X, Mapping) else {}
        target = inputs.get("target", y_true)
        losses = self.criterion_(y_pred, target.to(y_pred.device))
        if "weight" in inputs:
            losses = losses * inputs["weight"].to(losses)
        loss = losses.mean()
        if not training:
            return loss
        if self.batch_observer_ is not None:
            self.batch_observer_(y_pred.detach(), y_true, inputs["weight"])
        return loss + self.criterion_.penalty() if self.criterion_.learn else loss

    def logits(self, rows: Rows | LabelledRows) -> np.ndarray:
        """Logits of all rows, float64 ndarray of shape (n_samples, n_classes)."""
        batches = self.get_iterator(self.get_dataset(rows))
        if isinstance(batches, DataLoader) and batches.generator is None:
            # It draws a seed for every pass, from torch's global generator by default.
            batches.generator = torch.Generator()
        parts = [self.evaluation_step(batch) for batch in batches]
        return torch.cat(parts).cpu().double().numpy()


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Load the state of an optimizer, each entry with its own type.

    torch casts floating-point entries to the type of their weight, but NAdam keeps some
    in another type.
    """
    optimizer.load_state_dict(state)
    groups = optimizer.param_groups
    weights = [weight for group in groups for weight in group["params"]]
    for index, of_weight in state["state"].items():
        loaded = optimizer.state[weights[index]]
        for name, value in of_weight.items():
            if isinstance(value, torch.Tensor) and value.dtype != loaded[name].dtype:
                loaded[name] = value.clone().to(loaded[name].device)


class Training:
    """One training of a net, from its present weights on.

    Parameters
    ----------
    net : NoisyLabelNet
    rows : LabelledRows
    validation_rows : LabelledRows or None
    n_epochs : int
        Maximum number of epochs.
    """

    def __init__(
        self,
        net: NoisyLabelNet,
        rows: LabelledRows,
        validation_rows: LabelledRows | None,
        n_epochs: int,
    ):
        self.net, self.rows, self.validation_rows = net, rows, validation_rows
        self.done = 0
        net.check_training_readiness()
        check_prediction_batches(net, rows)
        net.stop_training_, net.planned_epochs_ = False, n_epochs
        self.batches = net.get_iterator(rows, training=True)
        self.validation_batches = (
            None if validation_rows is None else net.get_iterator(validation_rows)
        )
        net.notify("on_train_begin", X=rows.rows, y=rows.y)

    def epochs(self) -> Iterator[None]:
        """Train; yields after each epoch.

        Raises
        ------
        TrainingDivergedError
            If the loss of an epoch is not finite.
        """
        net = self.net
        datasets = {"dataset_train": self.rows, "dataset_valid": self.validation_rows}
        # skorch's callbacks, such as EarlyStopping, end a training by the exception
        # that Ctrl-C raises. A signal handler tells the two apart.
        in_main = threading.current_thread() is threading.main_thread()
        handler: Any = signal.getsignal(signal.SIGINT) if in_main else None
        signals = []

        def note(number: int, frame: Any) -> None:
            signals.append(number)
            handler(number, frame)

        while self.done < net.planned_epochs_ and not net.stop_training_:
            net.notify("on_epoch_begin", **datasets)
            if net.round_ is not None:
                net.history.record("round", net.round_)
            net.run_single_epoch(self.batches, True, "train", net.train_step)
            net.run_single_epoch(
                self.validation_batches, False, "valid", net.validation_step
            )
            try:
                if callable(handler):
                    signal.signal(signal.SIGINT, note)
                net.notify("on_epoch_end", **datasets)
            except KeyboardInterrupt:
                if signals:
                    raise
                net.stop_training_ = True
            finally:
                if callable(handler):
                    signal.signal(signal.SIGINT, handler)
            self.done += 1
            yield
        self.end()

    def end(self) -> None:
        """Let the callbacks end the training; the net keeps none of its rows."""
        net = self.net
        net.notify("on_train_end", X=self.rows.rows, y=self.rows.y)
        net.validation_losses_ = net.batch_observer_ = None
        net.module_.eval()  # `module_` then computes what `predict_proba` does

    def state_dict(self) -> State:
        """What the training needs to continue."""
        return {
            "net": self.net.state_dict(),
            "done": self.done,
            "stop": self.net.stop_training_,
        }

    def check_state(self, state: Any) -> None:
        """Raise a ValueError unless a state from a file can be loaded."""
        check_training_state(self.net, state)

    def load_state_dict(self, state: State) -> None:
        """Continue from the state of a training of the same net on the same rows."""
        self.net.load_state_dict(state["net"])
        self.done, self.net.stop_training_ = state["done"], state["stop"]


class CallbackState(dict):
    """Attributes of a callback that a training has changed, by name.

    Some may be resources, such as an open file. A deep copy leaves them out, since
    `on_train_begin` opens them again.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> CallbackState:
        copied = CallbackState()
        for name, value in self.items():
            try:
                copied[name] = copy.deepcopy(value, memo)
            except (TypeError, AttributeError, ValueError, RuntimeError, OSError):
                continue
        return copied


def _callback_state(callback: Callback) -> State:
    """The state of a callback: what it says itself, or else its attributes.

    Parameters are left out, since they come with the callback.
    """
    if isinstance(callback, PrintLog):
        return {}  # another process prints its own heading
    if hasattr(callback, "state_dict"):
        return callback.state_dict()
    params = callback.get_params(deep=False)
    state = CallbackState()
    for name, value in vars(callback).items():
        if name not in params:
            # A learning-rate scheduler refers to its optimizer; its state does not.
            has_state = hasattr(value, "load_state_dict")
            is_class = isinstance(value, type)
            state[name] = value.state_dict() if has_state and not is_class else value
    return state


def _load_callback_state(callback: Callback, state: State) -> None:
    if hasattr(callback, "load_state_dict"):
        callback.load_state_dict(state)
        return
    for name, value in state.items():
        current: Any = getattr(callback, name, None)
        if hasattr(current, "load_state_dict") and not isinstance(current, type):
            current.load_state_dict(value)
        else:
            setattr(callback, name, value)
