"""A network of the user's: built, and asked whether it returns logits."""

import copy
import difflib
import inspect

import torch
from torch import nn

from sklearn_noisy.exceptions import ModuleOutputError
from sklearn_noisy.nn._mlp import floating_dtype

__all__ = ["build_module", "check_logits", "check_weights", "try_out"]


def build_module(module, params, **sizes):
    """Copy an instance, or call a class or factory.

    Parameters
    ----------
    module : nn.Module class or instance, or callable
    params : dict
        Arguments for a class or factory (``module__<name>``).
    **sizes
        Arguments that are filled in where the signature has them and `params`
        does not.

    Returns
    -------
    nn.Module

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
        return copy.deepcopy(module)
    built = module
    if callable(module):
        try:
            accepted = inspect.signature(module).parameters
        except ValueError:  # a builtin type
            accepted = {}
        known = {name: size for name, size in sizes.items() if name in accepted}
        _check_names(module, params, accepted)
        built = module(**{**known, **params})
    if not isinstance(built, nn.Module):
        raise TypeError(
            "module must be None, an nn.Module class or instance, or a callable "
            f"that returns an nn.Module; got {module!r}."
        )
    return built


def _check_names(module, params, accepted):
    if not accepted or any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        return
    unknown = [name for name in params if name not in accepted]
    if unknown:
        near = difflib.get_close_matches(unknown[0], accepted, n=1)
        hint = f" Did you mean module__{near[0]}?" if near else ""
        raise TypeError(
            f"module__{unknown[0]} is no parameter of "
            f"{getattr(module, '__name__', module)}.{hint}"
        )


def check_logits(logits, n_rows, n_classes):
    """Raise unless `logits` can be logits of `n_classes` classes.

    Parameters
    ----------
    logits : object
        What a module returned for `n_rows` rows.
    n_rows : int
    n_classes : int

    Raises
    ------
    ModuleOutputError
        If it is no tensor of shape ``(n_rows, n_classes)``, or holds
        probabilities.
    """
    if not isinstance(logits, torch.Tensor) or logits.shape != (n_rows, n_classes):
        got = (
            f"shape {tuple(logits.shape)}"
            if isinstance(logits, torch.Tensor)
            else type(logits).__name__
        )
        raise ModuleOutputError(
            f"module must return logits of shape (n_samples, n_classes) = "
            f"({n_rows}, {n_classes}) for {n_rows} rows; got {got}."
        )
    if (logits >= 0).all() and torch.allclose(
        logits.sum(dim=1), torch.ones((), dtype=logits.dtype), atol=1e-3
    ):
        raise ModuleOutputError(
            "module must return logits, but its rows are non-negative and sum to 1: "
            "these are probabilities. Remove the softmax at its end."
        )


def try_out(module, criterion, rows, n_classes):
    """Send a few rows through a module and a criterion; materialise lazy layers.

    Parameters
    ----------
    module : nn.Module
    criterion : Criterion
    rows : Rows
    n_classes : int

    Raises
    ------
    ModuleOutputError
        If the module does not return logits.
    ValueError
        If the criterion does not return one value per sample.
    """
    inputs, y = rows.batch(slice(None))
    was_training = module.training
    module.eval()
    with torch.no_grad():
        batch = inputs["X"].to(floating_dtype(module))
        try:
            logits = module(batch)
        except Exception as error:
            error.add_note(
                f"module was called with a batch of shape {tuple(batch.shape)}, "
                f"{batch.dtype}."
            )
            raise
        check_logits(logits, len(y), n_classes)
        losses = criterion.probe(logits, y)
    module.train(was_training)
    if not isinstance(losses, torch.Tensor) or losses.shape != y.shape:
        shape = getattr(losses, "shape", type(losses).__name__)
        raise ValueError(
            f"loss must return one value per sample, shape {tuple(y.shape)}; got "
            f"{tuple(shape) if isinstance(shape, torch.Size) else shape} (torch's "
            "own losses do with reduction='none')."
        )


def check_weights(module, weights, name):
    """Raise unless a module has weights of these names, shapes and types.

    Parameters
    ----------
    module : nn.Module
    weights : dict
        A ``state_dict`` from a file.
    name : str
        What an error calls the module.

    Raises
    ------
    ValueError
    """
    own = module.state_dict()
    problems = [f"the file lacks {key!r}" for key in own if key not in weights]
    problems += [f"{name} has no {key!r}" for key in weights if key not in own]
    for key in own:
        # Anything else is what a module itself calls its extra state.
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
