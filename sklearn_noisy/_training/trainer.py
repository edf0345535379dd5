"""From the specification of a net to a trained net.

A `NetSpec` holds everything that determines a net. A `Trainer` builds nets from it and
trains them.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch.callbacks import InputShapeSetter
from skorch.history import History
from torch import nn

from sklearn_noisy._rows.rows import (
    FitData,
    LabelledRows,
    TrainingData,
    check_range,
)
from sklearn_noisy._rows.scales import input_scaling
from sklearn_noisy._training.generators import seeded_torch
from sklearn_noisy._training.net import NoisyLabelNet, State, Training
from sklearn_noisy._training.settings import (
    OF_BATCHES,
    callbacks_of,
    check_keywords,
    own_callbacks,
    with_batches,
)
from sklearn_noisy._validation import brief
from sklearn_noisy.exceptions import (
    DeviceNotAvailableError,
    EmulatedPrecisionWarning,
    ModuleOutputError,
)
from sklearn_noisy.nn import floating_dtype

# Rows on which a module is tried before it trains.
PROBE_ROWS = 16

# Settings that may change when the training of a net continues.
TAKEN_OVER = ("lr", "optimizer", "batch_size", "verbose")


def resolve_device(device: str | torch.device) -> torch.device:
    """The torch device that a `device` parameter means.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` is ``"cuda"`` where there is one, else ``"cpu"``.

    Raises
    ------
    TypeError, ValueError
        If `device` names no device.
    DeviceNotAvailableError
        If it names a device that does not exist here.
    """
    accepted = "'cpu', 'cuda', 'cuda:<index>', 'auto' or a torch.device"
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be {accepted}; got {device!r}.")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be {accepted}; got {device!r}.") from error
    if resolved.type == "cpu":
        return resolved
    backend = getattr(torch, resolved.type, None)
    if backend is None or not backend.is_available():
        raise DeviceNotAvailableError(
            f"device={str(device)!r} was asked for, but torch {torch.__version__} "
            f"finds no {resolved.type} device here. Use device='cpu' or "
            "device='auto', or install a torch build for your device."
        )
    if resolved.index is not None and resolved.index >= backend.device_count():
        raise DeviceNotAvailableError(
            f"device={str(device)!r} was asked for, but there are only "
            f"{backend.device_count()} {resolved.type} devices here (counted from 0)."
        )
    return resolved


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16, as torch says.

    On a CPU these are the kernels of oneDNN. A build of torch without oneDNN has none.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True  # torch does not say
    query = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return query is not None and bool(query())


def warn_if_emulated(device: torch.device) -> None:
    """Warn if bfloat16 is emulated on a device.

    Warns
    -----
    EmulatedPrecisionWarning
    """
    if not computes_bfloat16(device):
        warnings.warn(
            f"precision='bfloat16' is emulated on this {device.type} device, which has "
            "no instructions for it: training can take tens of times as long. Use "
            "precision='float32'.",
            EmulatedPrecisionWarning,
            stacklevel=5,
        )


@dataclass(frozen=True)
class NetSpec:
    """What a net is made of. Nets of one spec, data and seed are equal.

    Attributes
    ----------
    module : nn.Module class or instance, or callable
    module_params : dict
        Arguments of `module`, except ``n_features`` and ``n_classes``.
    scales_inputs : bool
        Whether ``input_scale`` and ``input_center`` follow the rows of the fit.
    row_shape : tuple of int
    labels : ndarray of shape (n_classes,)
        What the encoded labels stand for.
    n_rows : int
        Number of rows for which automatic settings were chosen.
    dtype : torch.dtype or None
        Type of the module; None keeps its own.
    autocast : bool
        Whether the forward pass runs in bfloat16.
    device : torch.device
    batch_size : int
    optimizer : callable
    lr : float
    max_epochs : int
    criterion : callable
        Makes the criterion of a new net.
    callbacks : list or "disable"
        A new net gets copies, which share what the callbacks hold.
    settings : dict
        Further parameters of skorch's net.
    verbose : int
    parameters : dict
        The estimator's parameters that the net depends on. Its training can continue
        only if they are unchanged, except for those that it can take over.
    """

    module: Any
    module_params: dict[str, Any]
    scales_inputs: bool
    row_shape: tuple[int, ...]
    labels: np.ndarray
    n_rows: int
    dtype: torch.dtype | None
    autocast: bool
    device: torch.device
    batch_size: int
    optimizer: Callable[..., Any]
    lr: float
    max_epochs: int
    criterion: Callable[[], nn.Module]
    callbacks: Any
    settings: dict[str, Any]
    verbose: int
    parameters: dict[str, Any]


def make_net(spec: NetSpec, data: LabelledRows) -> NoisyLabelNet:
    """A new net for data of this kind, initialised by torch's global generator.

    Raises
    ------
    ModuleOutputError
        If the module does not return logits.
    ValueError
        If the criterion does not return one value per sample, or a value of the rows
        is too large for the type of the module.
    """
    criterion = spec.criterion()
    params = dict(spec.module_params)
    if spec.scales_inputs:
        params |= _input_scaling(data, spec.dtype or torch.float32)
    rebuild = partial(
        _rebuilt,
        spec.module,
        params,
        spec.dtype,
        {"n_features": math.prod(spec.row_shape), "n_classes": len(spec.labels)},
    )
    module = rebuild({})
    check_range(data.rows, floating_dtype(module))
    criterion.to(torch.promote_types(floating_dtype(module), torch.float32))
    callbacks, settings = own_callbacks(spec.callbacks, with_batches(spec.settings))
    few = data.batch(slice(0, PROBE_ROWS))
    # Such a callback gives the module its shape in a net that exists.
    is_shaped_later = any(
        isinstance(callback, InputShapeSetter) or callback is InputShapeSetter
        for callback in callbacks_of(callbacks)
    )
    if not is_shaped_later:
        _try_out(module, criterion, few, len(spec.labels))
    net = NoisyLabelNet(
        module,
        criterion=criterion,
        optimizer=spec.optimizer,
        lr=spec.lr,
        max_epochs=spec.max_epochs,
        batch_size=spec.batch_size,
        train_split=None,
        callbacks=callbacks,
        predict_nonlinearity=partial(torch.softmax, dim=-1),
        verbose=spec.verbose,
        device=str(spec.device),
        classes=np.arange(len(spec.labels)),
        **settings,
    )
    net.autocast_, net.labels_, net.rebuild_ = spec.autocast, spec.labels, rebuild
    net.initialize()
    if is_shaped_later:
        for _, callback in net.callbacks_:
            if isinstance(callback, InputShapeSetter):
                callback.on_train_begin(net, X=data.rows, y=data.y)
        _try_out(net.module_, criterion, few, len(spec.labels))
    return net


def _input_scaling(data: LabelledRows, dtype: torch.dtype) -> dict[str, Any]:
    """Parameters of the default network: center and scale of the inputs.

    Raises
    ------
    ValueError
        If the scale is too large or too small for the type of the network.
    """
    check_range(data.rows, dtype)
    center, scale = input_scaling(data)
    if isinstance(scale, torch.Tensor):
        return {"input_center": center, "input_scale": scale}
    if scale < torch.finfo(dtype).tiny:
        raise ValueError(
            f"X holds values that are too small for {str(dtype)[6:]}, in which the "
            f"network computes: their root mean square is {scale:.3g}. Scale X, or use "
            "a wider type."
        )
    return {"input_scale": scale}


def check_sampler(spec: NetSpec, train: TrainingData) -> None:
    """Refuse a sampler where a net trains on a part of the rows.

    Its positions are those of the caller's rows.

    Raises
    ------
    ValueError
        If there is one, and `train` lacks some of the caller's rows.
    """
    names = {"iterator_train__sampler", "iterator_train__batch_sampler"}
    given, n_rows, n_given = names & {*spec.settings}, len(train.y), len(train.kept)
    if given and n_rows < n_given:
        raise ValueError(
            f"{min(given)} selects among all {n_given} rows, but a net trains on "
            f"{n_rows} of them: the others are held out (early_stopping), left out as "
            "a fold (n_folds), or have weight 0. Set early_stopping=False and train on "
            "all rows, or use sample_weight instead of a sampler."
        )


class Trainer:
    """Makes and trains nets of one spec, and keeps the last one.

    Parameters
    ----------
    spec : NetSpec
    rng : numpy.random.RandomState
        All seeds come from it.
    checkpoint : Checkpoint or None, default=None
        Where the state of a training is written after each epoch.

    Attributes
    ----------
    net : NoisyLabelNet
        The net that was built last; absent before the first one.
    history : skorch.history.History
        Rows of the histories of all nets that `run` trained, in that order.
    """

    net: NoisyLabelNet

    def __init__(
        self, spec: NetSpec, rng: np.random.RandomState, checkpoint: Any = None
    ):
        self.spec, self.rng, self.checkpoint = spec, rng, checkpoint
        self.history = History()

    def build(self, data: TrainingData, round_number: int | None = None) -> None:
        """Make a new net."""
        with seeded_torch(self.rng, self.spec.device):
            self.net = make_net(self.spec, data.labelled())
        self.net.round_ = round_number

    def run(
        self, parts: FitData, n_epochs: int, targets: torch.Tensor | None = None
    ) -> None:
        """Train the net; an interrupt (Ctrl-C) ends the training early.

        Parameters
        ----------
        parts : FitData
        n_epochs : int
        targets : tensor of shape (n_train, ...), default=None
            Targets that replace those of the training rows.

        Raises
        ------
        TrainingDivergedError
            If the loss of an epoch is not finite.
        """
        check_sampler(self.spec, parts.train)
        n_before, rows = len(self.net.history_), parts.train.labelled()
        if targets is not None:
            rows.targets = targets
        with seeded_torch(self.rng, self.spec.device):
            self.train(self.net, rows, parts.valid, n_epochs)
        for row in self.net.history_[n_before:]:
            # Each net counts its own epochs.
            epoch = len(self.history) + 1
            self.history.append(
                row if row["epoch"] == epoch else {**row, "epoch": epoch}
            )

    def train(
        self,
        net: NoisyLabelNet,
        rows: LabelledRows,
        valid: TrainingData | None,
        n_epochs: int,
        progress: Callable[[], object] | None = None,
    ) -> None:
        """Train any net, from torch's global generator, as :meth:`run` does.

        `progress` is called after each epoch.
        """
        held_out = None if valid is None else valid.labelled(training=False)
        net.interrupted_ = False
        training = Training(net, rows, held_out, n_epochs)
        try:
            for _ in self.epochs_of(training):
                if progress is not None:
                    progress()
        except KeyboardInterrupt:
            net.interrupted_ = True
            training.end()

    def epochs_of(self, training: Any) -> Iterator[None]:
        """Epochs of a training; it resumes from a checkpoint if there is one.

        Parameters
        ----------
        training : object
            With ``epochs``, ``state_dict`` and ``load_state_dict``.
        """
        if self.checkpoint is None:
            return training.epochs()
        return self.checkpoint.epochs_of(training)

    # State.

    def state_dict(self, *, foreign: bool = True) -> State:
        """The trained net, the generator and the history."""
        return {
            "net": self.net.state_dict(foreign=foreign),
            "rng": self.rng.get_state(legacy=False),
            "history": self.history.to_list(),
        }

    def content(self) -> State:
        """What further training depends on, without times."""
        state = self.state_dict()
        parts = {k: state["net"][k] for k in ("module", "criterion", "optimizer")}
        return {**parts, "rng": state["rng"], "n_epochs": len(state["history"])}

    def load_state_dict(self, state: State) -> None:
        """Continue from the state of another trainer with a net of the same spec."""
        self.net.load_state_dict(state["net"])
        self.rng.set_state(state["rng"])
        self.history[:] = state["history"]

    @contextmanager
    def restored_on_error(self) -> Iterator[None]:
        """Put the trainer and its net back into their present state on any error."""
        parts = [(part, dict(vars(part))) for part in (self, self.net)]
        state = copy.deepcopy(self.state_dict())
        try:
            yield
        except BaseException:
            for part, attributes in parts:
                vars(part).clear()
                vars(part).update(attributes)
            self.load_state_dict(state)
            raise

    def take_over(self, spec: NetSpec) -> None:
        """Let the net continue with the parameters of another spec.

        Raises
        ------
        ValueError
            If a parameter has changed that the net cannot take over.
        """
        if str(spec.device) != str(self.net.device):
            raise ValueError(
                f"device={str(spec.device)!r}, but the net to continue with is on "
                f"{self.net.device!r}. Set device to that, or fit a new net."
            )
        before, now = self.spec.parameters, spec.parameters
        changed = [
            name
            for name, value in now.items()
            if name not in before or not _is_same(before[name], value)
        ]
        for name in changed:
            group = name.partition("__")[0]
            if name in TAKEN_OVER or group in OF_BATCHES:
                continue
            if group == "optimizer" and name != "optimizer__param_groups":
                continue
            was = "not set" if name not in before else brief(before[name])
            raise ValueError(
                f"Training continues with the net of the last call, but {name} has "
                f"changed since, from {was} to {brief(now[name])}. Set it back, or "
                "call fit with warm_start=False. What may change: lr, optimizer and "
                "its parameters, batch_size, iterator_train, iterator_valid, verbose."
            )
        if changed:
            self._change(spec, changed)
            self.spec = replace(
                self.spec,
                **{name: getattr(spec, name) for name in TAKEN_OVER},
                settings=spec.settings,
                parameters=now,
            )

    def _change(self, spec: NetSpec, changed: list[str]) -> None:
        """Set the attributes first: a new optimizer is made of them."""
        net, settings = self.net, with_batches(spec.settings)
        for name in [name for name in vars(net) if name.startswith(OF_BATCHES)]:
            delattr(net, name)
        for name, value in settings.items():
            if name.startswith(OF_BATCHES):
                setattr(net, name, value)
        for name in {"batch_size", "verbose", "optimizer"} & {*changed}:
            setattr(net, name, getattr(spec, name))
        # skorch passes these on to the present optimizer.
        net.set_params(
            **{
                name: spec.parameters[name]
                for name in changed
                if name == "lr" or name.startswith("optimizer__")
            }
        )
        if "optimizer" in changed:
            net.initialize_optimizer()
        if "verbose" in changed and "print_log" in dict(net.callbacks_):
            dict(net.callbacks_)["print_log"].initialize()  # with a heading


def _is_same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return np.array_equal(a, b)
    if isinstance(a, (list, tuple)) and type(a) is type(b):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return bool(a == b)


# The module.


def _rebuilt(
    module: Any,
    params: dict[str, Any],
    dtype: torch.dtype | None,
    sizes: dict[str, int],
    changed: dict[str, Any],
) -> nn.Module:
    """The module of a net, with some of its parameters changed."""
    built = build_module(module, {**params, **changed}, **sizes)
    return built if dtype is None else built.to(dtype)


def build_module(module: Any, params: dict[str, Any], **sizes: int) -> nn.Module:
    """Copy an instance, or call a class or factory.

    Parameters
    ----------
    module : nn.Module class or instance, or callable
    params : dict
        Arguments for a class or factory (``module__<name>``); `sizes` are added.
    **sizes : int
        Arguments that are filled in where the signature has them and `params`
        does not.

    Raises
    ------
    ValueError
        If there are parameters for an instance.
    TypeError
        If `module` is nothing that gives an ``nn.Module``, or does not take one of
        the `params`.
    """
    if isinstance(module, nn.Module):
        if params:
            names = ", ".join(f"module__{name}" for name in sorted(params))
            raise ValueError(
                f"{names} cannot be set when module is an instance of "
                f"{type(module).__name__}: give the class instead."
            )
        if any(weight.is_meta for weight in module.parameters()):
            raise ValueError(
                "module must have weights that hold numbers; those of this "
                f"{type(module).__name__} are on the device 'meta'."
            )
        return copy.deepcopy(module).cpu()
    built = module
    if callable(module):
        accepted = check_keywords(module, "module", params)
        for name in sizes.keys() & {*accepted}:
            params.setdefault(name, sizes[name])
        built = module(**params)
    if not isinstance(built, nn.Module):
        raise TypeError(
            "module must be None, an nn.Module class or instance, or a callable "
            f"that returns an nn.Module; got {module!r}."
        )
    return built


def _try_out(module: nn.Module, criterion: Any, batch: Any, n_classes: int) -> None:
    """Send a few rows through a module and a criterion; materialise lazy layers."""
    inputs, labels = batch
    # Of a schedule, the robust loss is tried, whether it is active or not.
    is_scheduled = hasattr(criterion, "loss")
    loss = criterion.loss if is_scheduled else criterion
    targets = labels if is_scheduled else inputs["target"]
    was_training = module.training
    module.eval()
    with torch.no_grad():
        where = next(module.parameters(), inputs["X"]).device
        X, targets = inputs["X"].to(where, floating_dtype(module)), targets.to(where)
        try:
            logits = module(X)
        except Exception as error:
            error.add_note(
                f"module was called with a batch of shape {tuple(X.shape)}, {X.dtype}."
            )
            raise
        shape = getattr(logits, "shape", type(logits).__name__)
        if shape != (len(X), n_classes):
            raise ModuleOutputError(
                "module must return logits of shape (n_samples, n_classes) = "
                f"({len(X)}, {n_classes}) for {len(X)} rows; got {_described(shape)}."
            )
        sums = logits.sum(dim=1)
        if (logits >= 0).all() and torch.allclose(sums, sums.new_ones(()), atol=1e-3):
            raise ModuleOutputError(
                "module must return logits, but its rows are non-negative and sum to "
                "1: these are probabilities. Remove the softmax at its end."
            )
        try:
            losses = loss(logits, targets)
        except Exception as error:
            error.add_note(
                f"loss was called with logits of shape {tuple(logits.shape)}, "
                f"{logits.dtype}, and targets of shape {tuple(targets.shape)}, "
                f"{targets.dtype}."
            )
            raise
    module.train(was_training)
    shape = getattr(losses, "shape", type(losses).__name__)
    if shape != targets.shape:
        raise ValueError(
            f"loss must return one value per sample, shape {tuple(targets.shape)}; got "
            f"{_described(shape)} (torch's own losses do with reduction='none')."
        )


def _described(shape: Any) -> str:
    return shape if isinstance(shape, str) else f"shape {tuple(shape)}"
