"""Settings that go on to skorch: batches, the optimizer, compilation, callbacks.

skorch reads most of them only when it needs them. They are checked before anything is
trained.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from numbers import Integral
from typing import Any

import torch
from sklearn.utils import check_scalar
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    LRScheduler,
    PassthroughScoring,
)
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sklearn_noisy._rows.rows import TensorBatches
from sklearn_noisy._training.callbacks import OwnCallback
from sklearn_noisy._training.net import NoisyLabelNet

OF_BATCHES = ("iterator_train", "iterator_valid")

# Columns of the history that only held-out rows have.
OF_HELD_OUT = ("valid_loss", "valid_acc")

SCORINGS = (BatchScoring, EpochScoring, PassthroughScoring)

NamedCallbacks = list[tuple[str, Callback]]


def with_batches(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Skorch's settings, with :class:`TensorBatches` as the default iterator.

    Raises
    ------
    TypeError
        If `settings` has a parameter that :class:`TensorBatches` does not have.
    """
    settings = {
        "iterator_train": TensorBatches,
        "iterator_valid": TensorBatches,
        **settings,
    }
    if not {"iterator_train__sampler", "iterator_train__batch_sampler"} & {*settings}:
        settings.setdefault("iterator_train__shuffle", True)
    own = inspect.signature(TensorBatches).parameters
    for name in settings:
        group, _, parameter = name.partition("__")
        is_ours = settings.get(group) is TensorBatches
        if is_ours and parameter and parameter not in own:
            raise TypeError(
                f"{name} is not a parameter of the default batches, which cut rows "
                f"from memory; with {group}=torch.utils.data.DataLoader it is."
            )
    return settings


def check_keywords(
    called: Callable[..., Any], group: str, params: Mapping[str, Any]
) -> Mapping[str, inspect.Parameter]:
    """Check that something can be called with some keyword arguments.

    Parameters
    ----------
    called : callable
    group : str
        The arguments are the user's parameters ``<group>__<name>``.
    params : dict
        Arguments by name.

    Returns
    -------
    mapping of str to inspect.Parameter
        What `called` accepts; empty if it does not say so.

    Raises
    ------
    TypeError
        If it does not accept one of them; the message names the nearest that it does.
    """
    try:
        signature = inspect.signature(called)
    except ValueError:  # a builtin type
        return {}
    accepted = signature.parameters
    try:
        signature.bind_partial(**params)
    except TypeError as error:
        name = next(
            (name for name in params if name not in accepted), next(iter(params))
        )
        near = get_close_matches(name, accepted, n=1)
        hint = f" Did you mean {group}__{near[0]}?" if near and near != [name] else ""
        owner = getattr(called, "__name__", called)
        raise TypeError(
            f"{group}__{name} is no keyword parameter of {owner}.{hint}"
        ) from error
    return accepted


def check_settings(
    settings: Mapping[str, Any], optimizer: Callable[..., Any], callbacks: Any
) -> NamedCallbacks:
    """Check what goes on to skorch.

    Parameters
    ----------
    settings : dict
        Parameters of skorch's net by their full names.
    optimizer : callable
    callbacks : list or "disable"

    Returns
    -------
    list of tuples
        Names and copies of the callbacks that a net will have.

    Raises
    ------
    TypeError, ValueError
        The message names the parameter.
    """
    settings = with_batches(settings)
    called = {
        "optimizer": optimizer,
        "compile": torch.compile,
        **{group: settings[group] for group in OF_BATCHES},
    }
    for group, function in called.items():
        if not callable(function):
            raise TypeError(
                f"{group} must be a class such as torch.utils.data.DataLoader; got "
                f"{function!r}."
            )
        prefix = f"{group}__"
        params = {
            name.removeprefix(prefix): value
            for name, value in settings.items()
            if name.startswith(prefix) and not name.startswith("optimizer__param_group")
        }
        check_keywords(function, group, params)
    _check_values(settings)
    return _check_callbacks(settings, callbacks)


def _check_values(settings: Mapping[str, Any]) -> None:
    for name in ("iterator_valid__shuffle", "iterator_valid__drop_last"):
        if settings.get(name):
            raise ValueError(
                f"{name}={settings[name]!r} is refused: predictions would not be those "
                "of the rows in X, one by one."
            )
    for group in OF_BATCHES:
        name = f"{group}__batch_size"
        if settings.get(name, -1) != -1 and settings[group] is TensorBatches:
            check_scalar(settings[name], name, Integral, min_val=1)
    if not isinstance(settings.get("compile", False), bool):
        raise TypeError(f"compile must be a boolean; got {settings['compile']!r}.")
    kwargs = settings.get("torch_load_kwargs")
    if not (kwargs is None or isinstance(kwargs, dict)):
        raise TypeError(f"torch_load_kwargs must be a dict or None; got {kwargs!r}.")


# Callbacks.


def callbacks_of(callbacks: Any) -> Iterable[Any]:
    """The callbacks in a list of them, or of names and them; none if disabled."""
    entries = [] if callbacks == "disable" else callbacks
    return [entry[-1] if isinstance(entry, tuple) else entry for entry in entries]


def own_callback(callback: Any) -> Any:
    """A copy with attributes of its own, which shares what the callback holds.

    A writer, an open file or a lock cannot be copied, and a logger is given so that
    it receives what is logged.
    """
    return copy.copy(callback) if isinstance(callback, Callback) else callback


def copied_callbacks(callbacks: Any) -> Any:
    """A list of :func:`own_callback` of each, with their names; "disable" as it is."""
    if not isinstance(callbacks, (list, tuple)):
        return callbacks
    return [
        (*entry[:-1], own_callback(entry[-1]))
        if isinstance(entry, tuple) and entry
        else own_callback(entry)
        for entry in callbacks
    ]


def own_callbacks(
    callbacks: Any, settings: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Callbacks of a new net, and its settings, which may hold further ones."""
    settings = {name: own_callback(value) for name, value in settings.items()}
    return copied_callbacks(callbacks), settings


def _check_callbacks(settings: Mapping[str, Any], callbacks: Any) -> NamedCallbacks:
    """Names and copies of the callbacks; refuses settings of absent ones."""
    if isinstance(callbacks, str):  # "disable"
        return []
    callbacks, settings = own_callbacks(
        callbacks,
        {name: v for name, v in settings.items() if name.startswith("callbacks__")},
    )
    _check_names(callbacks)
    net = NoisyLabelNet(nn.Identity, callbacks=callbacks)
    names = net.callback_names()
    for name in settings:
        if name.split("__")[1] not in names:
            raise ValueError(
                f"{name} is a parameter of no callback; the callbacks are "
                f"{', '.join(names)}."
            )
    net = NoisyLabelNet(nn.Identity, callbacks=callbacks, **settings)
    net.initialize_callbacks()
    return net.callbacks_


def _check_names(callbacks: Any) -> None:
    """Refuse a name that two callbacks have."""
    own = {name for name, _ in NoisyLabelNet(nn.Identity).get_default_callbacks()}
    seen = {*own}
    for entry in [] if callbacks == "disable" else callbacks:
        if not isinstance(entry, tuple):
            continue
        name, callback = entry
        if name in own:
            raise ValueError(
                f"callbacks: the name {name!r} is that of one of the estimator's own "
                f"callbacks. Choose another; callbacks__{name} replaces that one, or "
                "removes it (None)."
            )
        if name in seen:
            raise ValueError(f"callbacks has two of the name {name!r}.")
        seen.add(name)
        if isinstance(callback, OwnCallback):
            own.add(name)


def check_monitored(callbacks: NamedCallbacks, *, partial: bool) -> None:
    """Check that callbacks do not need held-out rows, of a training that has none.

    Parameters
    ----------
    callbacks : list of tuples
        Names and initialized callbacks.
    partial : bool
        Whether this is a call of ``partial_fit``.

    Raises
    ------
    ValueError
        If one monitors a value of held-out rows.

    Warns
    -----
    UserWarning
        If one scores held-out rows, in ``fit``.
    """
    remedy = (
        "and partial_fit holds out none"
        if partial
        else "and no rows are held out. Set early_stopping=True ('auto' holds out rows "
        "from 1,000 rows on)"
    )
    scorings = {
        getattr(callback, "name_", callback.name): (name, callback)
        for name, callback in callbacks
        if isinstance(callback, SCORINGS)
    }
    absent = {*OF_HELD_OUT}
    for column, (name, callback) in scorings.items():
        if callback.on_train:
            absent.discard(column)
            continue
        absent.add(column)
        if not partial:
            warnings.warn(
                f"The callback {name!r} scores held-out rows, {remedy}. It records "
                "nothing.",
                UserWarning,
                stacklevel=2,
            )
    for name, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(callback, LRScheduler) and not _is_plateau(callback):
            continue  # it has a monitor that it does not read
        if isinstance(monitor, str) and monitor.removesuffix("_best") in absent:
            raise ValueError(
                f"The callback {name!r} monitors {monitor!r}, a value of held-out "
                f"rows, {remedy}."
            )


def _is_plateau(callback: LRScheduler) -> bool:
    policy = callback.policy_
    return isinstance(policy, type) and issubclass(policy, ReduceLROnPlateau)
