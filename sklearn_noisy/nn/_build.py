"""A network of the user's: built, and asked whether it returns logits."""

import copy
import inspect

import torch
from torch import nn

from sklearn_noisy.exceptions import ModuleOutputError

__all__ = ["build_module", "check_logits"]


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
        If `module` is nothing that gives an ``nn.Module``.
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
        built = module(**{**known, **params})
    if not isinstance(built, nn.Module):
        raise TypeError(
            "module must be None, an nn.Module class or instance, or a callable "
            f"that returns an nn.Module; got {module!r}."
        )
    return built


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
