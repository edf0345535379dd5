"""What a fitted estimator consists of: parameters, attributes, a trained net.

An estimator is one more kind of value, so it can be a parameter or an attribute of
another one. A parameter that a file cannot hold is left out, and `load` requires it as
an argument.
"""

import inspect
import math
import re
import warnings
from dataclasses import replace
from functools import partial
from types import NoneType

import numpy as np
import torch
from sklearn import config_context
from skorch.exceptions import DeviceWarning
from torch import nn

from sklearn_noisy._estimators.base import BaseNoisyLabelClassifier
from sklearn_noisy._estimators.noise_adapted import NoiseAdaptedClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._rows.rows import LabelledRows, Rows, TensorBatches
from sklearn_noisy._serialization.values import (
    KINDS,
    CannotHoldError,
    Decoder,
    Encoder,
    Kind,
    package_of,
)
from sklearn_noisy._training.callbacks import ScheduledLoss
from sklearn_noisy._training.generators import seeded_torch
from sklearn_noisy._training.state_checks import check_size, check_trainer_state
from sklearn_noisy._training.trainer import (
    Trainer,
    build_module,
    make_net,
    resolve_device,
)
from sklearn_noisy.exceptions import DeviceNotAvailableError, InvalidFileError
from sklearn_noisy.losses import LOSSES
from sklearn_noisy.nn import MLP

#: The estimators that a file can hold.
ESTIMATORS = {
    cls.__name__: cls
    for cls in (RobustLossClassifier, NoiseAdaptedClassifier, NoiseMatrixEstimator)
}

# Parameters that belong to a machine: a file holds None for them.
OF_A_MACHINE = ("checkpoint", "n_jobs")

# Options of the batches that a file may hold.
BATCH_OPTIONS = ("shuffle", "drop_last", "batch_size")

# Groups of parameters of the default network, a loss of this package, an optimizer of
# torch, or a callback. A file holds data for them.
DATA_GROUPS = ("module", "loss", "optimizer", "callbacks")


def may_be_held(cls, name, value):
    """Whether a file may hold a parameter of an estimator.

    The names are a list of what is allowed, not of what is forbidden: nothing that
    reaches the compiler, the file system or other processes. Of what is allowed, the
    value must be data as well (see `_serialization`).

    Parameters
    ----------
    cls : type
        Of the estimator.
    name : str
    value : object
        Decoded.
    """
    if name in OF_A_MACHINE:
        return value is None
    group, is_nested, option = name.partition("__")
    if group in ("iterator_train", "iterator_valid"):
        return option in BATCH_OPTIONS if is_nested else value is TensorBatches
    if is_nested:
        return group in DATA_GROUPS
    return name == "use_caching" or name in inspect.signature(cls).parameters


class StateEncoder(Encoder):
    """An encoder that knows estimators.

    Parameters
    ----------
    omit : sequence of str
        Parameters that are left out. A `module` that a file cannot hold is always left
        out.

    Attributes
    ----------
    left_out : dict
        Value of each parameter that was left out.
    """

    def __init__(self, omit):
        super().__init__()
        self.omit = omit
        self.left_out = {}

    def kinds(self):
        """Kinds of values, by tag."""
        return {**KINDS, **ESTIMATOR_KINDS}

    def encode_params(self, cls, params, where, *, is_outermost=False):
        """JSON of parameters: a list of names and values.

        Parameters
        ----------
        cls : type
            Of the estimator.
        params : dict
        where : str
        is_outermost : bool, default=False
            Whether these are the parameters of the estimator that is saved. `omit`
            does not apply to an estimator inside it.

        Raises
        ------
        TypeError
            For a parameter that can neither be held nor left out.
        """
        encoded = []
        for name, value in params.items():
            value = None if name in OF_A_MACHINE else value
            try:
                is_omitted = is_outermost and name in self.omit
                if is_omitted or not may_be_held(cls, name, value):
                    raise CannotHoldError(value)
                entry = self.encode(value, f"{where}.{name}")
            except CannotHoldError:
                entry = {"left_out": self._leave_out(name, value)}
            except RecursionError:
                raise TypeError(
                    f"{name} holds itself or is nested too deeply for a file."
                ) from None
            encoded.append([name, entry])
        return encoded

    def _leave_out(self, name, value):
        if name != "module" and name not in self.omit:
            raise TypeError(
                f"{name}={value!r} cannot be kept in a file. With "
                f"save(..., omit=({name!r},)) it is left out, and "
                f"load(path, {name}=...) gives it back."
            )
        before = self.left_out.setdefault(name, value)
        # Two copies of one instance are the same network.
        same = value is before or (
            type(value) is type(before) and not isinstance(value, type)
        )
        if not same:
            raise TypeError(
                f"There are two parameters {name}, {before!r} and {value!r}, in one "
                "estimator and another inside it; load could restore only one."
            )
        return name


class StateDecoder(Decoder):
    """A decoder that knows estimators.

    Parameters
    ----------
    tensors : dict of str to tensor
    given : dict
        Value of each parameter that was left out.
    """

    def __init__(self, tensors, given):
        super().__init__(tensors)
        self.given = given
        self.unfinished = []

    def kinds(self):
        """Kinds of values, by tag."""
        return {**KINDS, **ESTIMATOR_KINDS}

    def finish(self, device=None):
        """Make the nets of the estimators that were decoded.

        This is separate from :meth:`decode`, since it calls classes of the caller.

        Parameters
        ----------
        device : str, default=None
            None is the device on which each net was trained, if it exists here.
        """
        for estimator, parts in self.unfinished:
            parts["device"] = _device_for(device or parts["device"])
            n_held = sum(tensor.numel() for tensor in self.tensors.values())
            restore_net(estimator, n_held=n_held, **parts)


def _device_for(name):
    """Device of a saved net; the CPU, with a warning, if that does not exist."""
    try:
        return resolve_device(name)
    except DeviceNotAvailableError:
        warnings.warn(
            f"The net was trained on {name!r}, which is not here: its weights are on "
            "the CPU.",
            DeviceWarning,
            stacklevel=2,
        )
        return torch.device("cpu")


# Estimators.


def is_ours(value):
    return type(value) in ESTIMATORS.values()


def encode_estimator(estimator, encoder, where, *, is_outermost=False):
    payload = {
        "class": type(estimator).__name__,
        "params": encoder.encode_params(
            type(estimator),
            estimator.get_params(deep=False),
            f"{where}params",
            is_outermost=is_outermost,
        ),
        "requests": encoder.encode(_requests(estimator), where),
        "attributes": [],
    }
    for name, value in _attributes(estimator).items():
        try:
            entry = encoder.encode(value, f"{where}{name}")
        except CannotHoldError as error:
            raise TypeError(f"{name} cannot be kept in a file: {error}.") from error
        payload["attributes"].append([name, entry])
    if "_trainer" in vars(estimator):
        payload["net"] = encode_net(estimator, encoder, f"{where}net_")
    return payload


def encode_net(estimator, encoder, where):
    trainer = estimator._trainer
    if trainer.net.optimizer_ is None:
        raise ValueError(
            "net_ was trimmed for prediction, so its optimizer and its loss are gone. "
            "Save the estimator before net_.trim_for_prediction()."
        )
    spec, state = trainer.spec, trainer.state_dict(foreign=False)
    callbacks = state["net"]["callbacks"]
    callbacks.update({name: dict(kept) for name, kept in callbacks.items()})
    params = {f"module__{name}": value for name, value in spec.module_params.items()}
    # A loss of this package is stored itself, since the parameters may have changed
    # after fit. A loss of the user is built again from the parameters.
    loss = getattr(trainer.net.criterion_, "loss", None)
    made_for = {
        "row_shape": spec.row_shape,
        "n_rows": spec.n_rows,
        "dtype": spec.dtype,
        "batch_size": spec.batch_size,
        "device": str(trainer.net.device),
        "loss": loss if type(loss) in LOSSES.values() else None,
    }
    try:
        return {
            "module_params": encoder.encode_params(type(estimator), params, where),
            "made_for": encoder.encode(made_for, f"{where}.made_for"),
            "state": encoder.encode(state.pop("net"), where),
            "trainer": encoder.encode(state, f"{where}.trainer"),
        }
    except CannotHoldError as error:
        raise TypeError(f"net_ cannot be kept in a file: {error}.") from error


def decode_net(payload, decoder):
    """Arguments of :func:`restore_net`."""
    params = {
        name.removeprefix("module__"): decoder.decode(entry)
        for name, entry in payload["module_params"]
    }
    made_for = decoder.decode(payload["made_for"])
    if type(made_for) is not dict or {*made_for} != {*MADE_FOR}:
        raise InvalidFileError("it says something else of the net")
    for name, kinds in MADE_FOR.items():
        if type(made_for[name]) not in kinds:
            raise InvalidFileError(f"{name} of the net is {made_for[name]!r}")
    state = {"net": decoder.decode(payload["state"])}
    return {
        "module_params": params,
        **made_for,
        "state": {**decoder.decode(payload["trainer"]), **state},
    }


# What a file says of a net beside its state, and the types of it.
MADE_FOR = {
    "row_shape": (tuple,),
    "n_rows": (int,),
    "dtype": (torch.dtype, NoneType),
    "batch_size": (int,),
    "device": (str,),
    "loss": (NoneType, *LOSSES.values()),
}


def restore_net(
    estimator, *, state, loss, row_shape, n_rows, device, n_held, **resolved
):
    """Make the net of a decoded estimator, and load its state.

    Parameters
    ----------
    estimator : estimator
        With its parameters and attributes.
    state : dict
        Of ``Trainer.state_dict``.
    loss : nn.Module or None
        The trained loss of this package; None builds the loss of the parameters.
    row_shape : tuple of int
    n_rows : int
    device : torch.device
    n_held : int
        Entries of all tensors in the file.
    **resolved
        Further fields of the specification of the net.
    """
    n_features = math.prod(row_shape)
    module = nn.Module()  # a network of the reader needs what it needs
    given, weights = estimator.module, state["net"]["module"]
    if given is None and n_features <= n_held and "input_center" in weights:
        # Columns with units of their own: the values come from the state.
        zeros, ones = torch.zeros(n_features), torch.ones(n_features)
        columns = {"input_center": zeros, "input_scale": ones}
        resolved["module_params"] = {**columns, **resolved["module_params"]}
    if given is None or (isinstance(given, type) and package_of(given) is not None):
        with torch.device("meta"):
            module = build_module(
                MLP if given is None else given,
                _bounded(resolved["module_params"], n_held),
                n_features=n_features,
                n_classes=len(estimator.classes_),
            )
    check_size(module, weights, n_held, n_features)
    rows = Rows(np.zeros((1, *row_shape)))
    spec = estimator._net_spec(rows, estimator.classes_, n_rows, device)
    spec = replace(spec, scales_inputs=False, **resolved)
    if loss is not None:
        spec = replace(spec, criterion=partial(ScheduledLoss, loss, len(spec.labels)))
    trainer = Trainer(spec, np.random.RandomState(0))
    # A constructor draws weights, which are then replaced.
    with seeded_torch(trainer.rng, torch.device("cpu")):
        trainer.net = make_net(spec, LabelledRows(rows))
    check_trainer_state(trainer, state)
    trainer.load_state_dict(state)
    estimator._trainer = trainer


def _bounded(params, n_held):
    """The parameters of a module from a file, if it can hold such a module."""
    for name, value in params.items():
        sizes = value if isinstance(value, (list, tuple)) else [value]
        for size in sizes:
            if isinstance(size, int) and size > max(n_held, 10):
                raise InvalidFileError(
                    f"it sets module__{name}={size}, but holds {n_held} numbers"
                )
    return dict(params)


def decode_estimator(payload, decoder):
    if payload["class"] not in ESTIMATORS:
        raise InvalidFileError(
            f"it names {payload['class']}, which is none of the estimators "
            f"{', '.join(ESTIMATORS)}"
        )
    cls, params = ESTIMATORS[payload["class"]], {}
    for name, entry in payload["params"]:
        params[name] = decoder.decode(entry)
        is_given = type(entry) is dict and "left_out" in entry
        if not is_given and not may_be_held(cls, name, params[name]):
            raise InvalidFileError(f"it sets {name}")
    estimator = cls(**params)
    _set_requests(estimator, decoder.decode(payload["requests"]))
    for name, entry in payload["attributes"]:
        if not _is_attribute(name, estimator):
            raise InvalidFileError(f"it names an attribute {name!r}")
        setattr(estimator, name, decoder.decode(entry))
    if isinstance(estimator, BaseNoisyLabelClassifier) and payload["attributes"]:
        decoder.unfinished.append((estimator, decode_net(payload["net"], decoder)))
    return estimator


def _attributes(estimator):
    return {
        name: value
        for name, value in vars(estimator).items()
        if _is_attribute(name, estimator)
    }


def _is_attribute(name, estimator):
    """Whether a file holds this attribute of an estimator: data that ``fit`` set."""
    is_fitted = name.endswith("_") and not name.startswith("_")
    # A method or property is not data.
    of_class = inspect.getattr_static(type(estimator), name, None)
    return is_fitted and not (callable(of_class) or isinstance(of_class, property))


# Requests of metadata: set_fit_request and the like.


def _requests(estimator):
    """``{method: {metadata: request}}`` of what was requested."""
    routing = estimator.get_metadata_routing()
    requests = {
        method: {
            name: request
            for name, request in getattr(routing, method).requests.items()
            if request is not None
        }
        for method in _with_requests(estimator)
    }
    return {method: asked for method, asked in requests.items() if asked}


def _with_requests(estimator):
    names = (re.fullmatch("set_(.+)_request", name) for name in dir(type(estimator)))
    return [match[1] for match in names if match]


def _set_requests(estimator, requests):
    for method, asked in requests.items():
        if method not in _with_requests(estimator):
            raise InvalidFileError(f"it asks for metadata of {method!r}")
        with config_context(enable_metadata_routing=True):
            getattr(estimator, f"set_{method}_request")(**asked)


ESTIMATOR_KINDS = {
    "estimator": Kind(
        is_ours,
        lambda value, encoder, where: encode_estimator(value, encoder, f"{where}."),
        decode_estimator,
    ),
    "left_out": Kind(
        lambda value: False,  # encode_params makes these
        lambda value, encoder, where: None,
        lambda name, decoder: decoder.given[name],
    ),
}
