"""Checks of a state that comes from a file, before torch uses it.

A fused optimizer writes to memory without a check of shapes, so a forged state could
crash the interpreter.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from sklearn_noisy._validation import check_generator_state

# Largest number of entries of a row, where the file itself holds less than a tenth.
ROW_SIZE = 2**24


def check_weights(module: nn.Module, weights: Mapping[str, Any], name: str) -> None:
    """Raise unless a module has weights of these names, shapes and types.

    Parameters
    ----------
    module : nn.Module
    weights : dict
        A ``state_dict`` from a file.
    name : str
        Name of the module in the error message.

    Raises
    ------
    ValueError
    """
    own = module.state_dict()
    problems = [f"the file lacks {key!r}" for key in own if key not in weights]
    problems += [f"{name} has no {key!r}" for key in weights if key not in own]
    for key in own:
        # Anything that is no tensor is the extra state of a module.
        if key in weights and isinstance(own[key], torch.Tensor):
            mine, its = (
                (getattr(w, "dtype", type(w)), tuple(getattr(w, "shape", ())))
                for w in (own[key], weights[key])
            )
            if mine != its:
                problems.append(
                    f"{key!r} is {mine[0]} of shape {mine[1]}, in the file {its[0]} of "
                    f"shape {its[1]}"
                )
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ValueError(
            f"The weights in the file are not those of {name}, "
            f"{type(module).__name__}: {'; '.join(problems[:3])}{more}."
        )


def check_optimizer_state(optimizer: torch.optim.Optimizer, state: Any) -> None:
    """Raise unless a state is one that this optimizer can have.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    state : object
        Its ``state_dict`` from a file.

    Raises
    ------
    ValueError
    """
    if type(state) is not dict or {*state} != {"state", "param_groups"}:
        raise ValueError("the state of the optimizer has other parts")
    own = optimizer.state_dict()["param_groups"]
    if len(own) != len(state["param_groups"]):
        raise ValueError("the optimizer has another number of parameter groups")
    for mine, its in zip(own, state["param_groups"], strict=True):
        if not {*mine} <= {*its}:
            raise ValueError(f"a parameter group lacks {sorted({*mine} - {*its})}")
        for name, value in its.items():
            # A scheduler adds numbers of its own.
            is_valid = _is_alike(value, mine.get(name, 0.0))
            if not is_valid or (name == "params" and value != mine[name]):
                raise ValueError(f"a parameter group has {name}={value!r}")
    weights = []
    for group in optimizer.param_groups:
        template = _state_of_a_weight(optimizer, group)
        weights += [(weight, template) for weight in group["params"]]
    n_entries = sum(weight.numel() for weight, _ in weights)
    for index, of_weight in state["state"].items():
        if type(index) is not int or not 0 <= index < len(weights):
            raise ValueError(f"the optimizer has no weight number {index!r}")
        weight, template = weights[index]
        if isinstance(optimizer, torch.optim.LBFGS):
            history_size = optimizer.param_groups[0]["history_size"]
            example = torch.empty(n_entries, dtype=weight.dtype, device="meta")
            _check_lbfgs_state(of_weight, example, history_size)
        elif template is None:
            _check_other_state(index, of_weight, weight, n_entries)
        else:
            _check_state_of(index, of_weight, weight, template)


def _is_alike(value: Any, mine: Any) -> bool:
    """Whether a setting can stand where the optimizer has `mine`.

    A switch must be the same one, since the state depends on it. A number may be
    another one.
    """
    if isinstance(mine, (list, tuple)):
        return (
            type(value) is type(mine)
            and len(value) == len(mine)
            and all(map(_is_alike, value, mine))
        )
    if isinstance(mine, torch.Tensor):
        return isinstance(value, torch.Tensor) and value.shape == mine.shape
    if isinstance(mine, (int, float)) and not isinstance(mine, bool):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(mine) and bool(value == mine)


def _state_of_a_weight(
    optimizer: torch.optim.Optimizer, group: Mapping[str, Any]
) -> dict[str, Any] | None:
    """State after a step of one weight of shape (2, 3), in a group of parameters.

    Returns
    -------
    dict or None
        None for an optimizer whose state has other shapes, such as LBFGS, or that is
        not torch's.
    """
    cls = type(optimizer)
    if not cls.__module__.startswith("torch.optim"):
        return None
    weight = torch.ones(2, 3, requires_grad=True)
    accepted = inspect.signature(cls).parameters
    settings = {k: v for k, v in group.items() if k in accepted and k != "params"}
    try:
        single = cls([weight], **settings)
        weight.grad = torch.ones(2, 3)
        single.step(lambda: 0.0)
    except (RuntimeError, TypeError):  # it wants other weights or gradients
        return None
    state = dict(single.state[weight])
    for value in state.values():
        if not isinstance(value, torch.Tensor) or value.shape not in ((), (2, 3)):
            return None
    return state


def _check_state_of(
    index: int, state: Any, weight: torch.Tensor, template: dict[str, Any]
) -> None:
    """Raise unless this is the state of a weight, given that of one of shape (2, 3)."""
    if type(state) is not dict or {*state} != {*template}:
        raise ValueError(f"the optimizer keeps other things of weight {index}")
    for name, example in template.items():
        value, like = state[name], weight if example.shape else example
        expected = like.shape, like.dtype
        if not isinstance(value, torch.Tensor) or expected != (
            value.shape,
            value.dtype,
        ):
            raise ValueError(
                f"{name} of weight {index} must be {like.dtype} of shape "
                f"{tuple(like.shape)}"
            )


def _check_lbfgs_state(state: Any, example: torch.Tensor, history_size: int) -> None:
    """Raise unless this is a state of LBFGS.

    It holds directions over all entries of all weights, in lists.
    """

    def is_flat(value: Any) -> bool:
        expected = example.shape, example.dtype
        return isinstance(value, torch.Tensor) and expected == (
            value.shape,
            value.dtype,
        )

    def is_number(value: Any) -> bool:
        return type(value) in (int, float) or (
            isinstance(value, torch.Tensor) and value.ndim == 0
        )

    def is_list(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
        return lambda value: type(value) is list and all(map(of, value))

    tests = {
        "func_evals": is_number,
        "n_iter": is_number,
        "d": is_flat,
        "t": is_number,
        "old_dirs": is_list(is_flat),
        "old_stps": is_list(is_flat),
        "ro": is_list(is_number),
        "H_diag": is_number,
        "prev_flat_grad": is_flat,
        "prev_loss": is_number,
        "al": is_list(lambda value: value is None or is_number(value)),
    }
    if type(state) is not dict or not {*tests} - {"al"} <= {*state} <= {*tests}:
        raise ValueError("LBFGS keeps other things")
    for name, value in state.items():
        if not tests[name](value):
            raise ValueError(f"LBFGS has another {name}")
    lengths = {len(state[name]) for name in ("old_dirs", "old_stps", "ro")}
    if len(lengths) > 1 or max(lengths) > history_size:
        raise ValueError("LBFGS keeps another number of directions")
    if len(state.get("al", [None] * history_size)) != history_size:
        raise ValueError("LBFGS has another al")


def _check_other_state(
    index: int, value: Any, weight: torch.Tensor, n_entries: int
) -> None:
    """Raise unless a state without a template can be that of a weight.

    Adafactor, for instance, keeps means over one axis of a weight.
    """
    if isinstance(value, torch.Tensor):
        shape = tuple(value.shape)
        is_reduced = len(shape) == weight.ndim and all(
            size in (1, own) for size, own in zip(shape, weight.shape, strict=True)
        )
        if not (is_reduced or shape in ((), (n_entries,))):
            raise ValueError(f"the optimizer keeps a tensor {shape} of weight {index}")
    elif type(value) in (list, tuple, dict):
        for entry in value.values() if type(value) is dict else value:
            _check_other_state(index, entry, weight, n_entries)
    elif type(value) not in (type(None), bool, int, float, str):
        raise ValueError(f"the optimizer keeps {value!r} of weight {index}")


def check_trainer_state(trainer: Any, state: Mapping[str, Any]) -> None:
    """Raise unless a state from a file is one that this trainer and its net can have.

    Only a file needs this. A state of our own, such as that before a failed call, may
    differ from what the optimizer now has, since settings may have changed.

    Parameters
    ----------
    trainer : Trainer
        With a net.
    state : dict
        Of ``Trainer.state_dict``.

    Raises
    ------
    ValueError
    """
    check_generator_state(state["rng"])
    check_history(state["history"])
    check_net_state(trainer.net, state["net"])


def check_net_state(net: Any, state: Any) -> None:
    """Raise unless a state from a file is one that a net can have.

    Parameters
    ----------
    net : NoisyLabelNet
    state : object
        Of ``NoisyLabelNet.state_dict``.

    Raises
    ------
    ValueError
    """
    parts = ("module", "criterion", "optimizer", "callbacks", "history", "round")
    check_parts(state, parts, "a net")
    check_history(state["history"])
    check_weights(net.module_, state["module"], "module")
    check_weights(net.criterion_, state["criterion"], "the loss")
    check_optimizer_state(net.optimizer_, state["optimizer"])
    if state["round"] is not None and type(state["round"]) is not int:
        raise ValueError(f"the round of a net is {state['round']!r}")
    if type(state["callbacks"]) is not dict:
        raise ValueError("the callbacks have another state")
    callbacks = dict(net.callbacks_)
    for name, of_callback in state["callbacks"].items():
        if name in callbacks:
            check_callback_state(callbacks[name], of_callback)
            kept = of_callback.get("state_") if name == "best_epoch" else None
            if kept is not None:  # weights of the best epoch
                for module, weights in zip(
                    (net.module_, net.criterion_), kept, strict=True
                ):
                    check_weights(module, weights, "the best epoch")


def check_training_state(net: Any, state: Any) -> None:
    """Raise unless a state from a file is one that a training of a net can have.

    Parameters
    ----------
    net : NoisyLabelNet
    state : object
        Of ``Training.state_dict``.

    Raises
    ------
    ValueError
    """
    check_parts(state, ("net", "done", "stop"), "a training")
    if type(state["done"]) is not int or type(state["stop"]) is not bool:
        raise ValueError("it says something else of a training")
    check_net_state(net, state["net"])


def check_parts(state: Any, parts: Iterable[str], name: str) -> None:
    """Raise unless a state is a dictionary of these parts."""
    if type(state) is not dict or {*state} != {*parts}:
        raise ValueError(f"the state of {name} has other parts")


def check_callback_state(callback: Any, state: Any) -> None:
    """Raise unless a state holds nothing but attributes that a training sets."""
    if type(state) is not dict:
        raise ValueError(f"{type(callback).__name__} has another state")
    if hasattr(callback, "load_state_dict"):
        return  # it checks what it loads
    params = callback.get_params(deep=False)
    is_ours = type(callback).__module__.startswith("sklearn_noisy.")
    for name in state:
        is_attribute = name.endswith("_") if is_ours else not name.startswith("__")
        if name in params or not is_attribute or hasattr(type(callback), name):
            raise ValueError(f"{type(callback).__name__} has no state {name!r}")


def check_size(
    module: nn.Module, weights: Mapping[str, Any], n_held: int, row_size: int
) -> None:
    """Raise unless a file holds as much as its net and its rows need.

    Parameters
    ----------
    module : nn.Module
        The module of the file on the meta device, which needs no memory.
    weights : dict
        Its weights in the file.
    n_held : int
        Entries of all tensors in the file.
    row_size : int
        Entries of a row.

    Raises
    ------
    ValueError
    """
    for name, own in module.state_dict().items():
        is_lazy = torch.nn.parameter.is_lazy(own)
        if isinstance(own, torch.Tensor) and not is_lazy:
            found = getattr(weights.get(name), "shape", None)
            if found != own.shape:
                has = "none" if found is None else f"shape {tuple(found)}"
                raise ValueError(
                    f"{name!r} of module is of shape {tuple(own.shape)}, in the file "
                    f"it has {has}"
                )
    if row_size > max(ROW_SIZE, 10 * n_held):
        raise ValueError(f"a row has {row_size} entries, but the file holds {n_held}")


# Columns of a history that the training loop compares.
NUMBERS = ("train_loss", "valid_loss", "valid_acc")


def check_history(rows: Any) -> None:
    """Raise unless these can be the rows of a history."""
    if type(rows) is not list or not all(type(row) is dict for row in rows):
        raise ValueError("the history has other rows")
    for row in rows:
        numbers = [row[name] for name in NUMBERS if name in row]
        if type(row.get("epoch")) is not int or not all(
            type(number) in (int, float) for number in numbers
        ):
            raise ValueError("a row of the history has other columns")
