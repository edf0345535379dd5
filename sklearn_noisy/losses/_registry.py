"""Losses by name."""

import difflib
import inspect
from typing import Any

from torch import nn

from sklearn_noisy.losses import _losses
from sklearn_noisy.losses._base import BaseLoss

#: The losses by name.
LOSSES: dict[str, type[BaseLoss]] = {
    "cross_entropy": _losses.CrossEntropyLoss,
    "focal": _losses.FocalLoss,
    "blurry": _losses.BlurryLoss,
    "piecewise_zero": _losses.PiecewiseZeroLoss,
    "clipped": _losses.ClippedLoss,
    "uniform_mixing": _losses.UniformMixingLoss,
    "symmetric_noise": _losses.SymmetricNoiseLoss,
    "label_smoothing": _losses.LabelSmoothingLoss,
    "generalized_cross_entropy": _losses.GeneralizedCrossEntropyLoss,
    "symmetric_cross_entropy": _losses.SymmetricCrossEntropyLoss,
    "mean_absolute_error": _losses.MeanAbsoluteErrorLoss,
    "normalized_cross_entropy_reverse": _losses.NormalizedCrossEntropyReverseLoss,
}


def make_loss(
    loss: str | type[nn.Module] | nn.Module, n_classes: int, **params: Any
) -> nn.Module:
    """Build a loss from a name, a class or an instance.

    Parameters
    ----------
    loss : str, nn.Module class or nn.Module instance
        A key of :data:`LOSSES`, a class (called with `params`, and with
        ``n_classes`` and ``reduction="none"`` where its signature has them)
        or an instance, which is returned as it is.
    n_classes : int
    **params
        Arguments of the class.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        If the name is unknown, or parameters come with an instance.
    TypeError
        If `loss` is neither a name, a class nor an instance, or does not
        take a parameter.
    """
    if isinstance(loss, nn.Module):
        if params:
            names = ", ".join(f"loss__{name}" for name in sorted(params))
            raise ValueError(
                f"{names} cannot be set when loss is an instance of "
                f"{type(loss).__name__}: pass the class, or set it on the instance."
            )
        return loss
    name, loss_class = _find_class(loss)
    accepted = inspect.signature(loss_class).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for key in params:
        if key not in accepted and not takes_any:
            known = ", ".join(accepted) or "none"
            raise TypeError(
                f"loss {name!r} has no parameter {key!r}; its parameters: {known}."
            )
    defaults = {"n_classes": n_classes, "reduction": "none"}
    wanted = {key: value for key, value in defaults.items() if key in accepted}
    return loss_class(**(wanted | params))


def _find_class(loss: str | type[nn.Module]) -> tuple[str, type[nn.Module]]:
    """Name and class of a loss given by either."""
    if isinstance(loss, type) and issubclass(loss, nn.Module):
        return loss.__name__, loss
    if not isinstance(loss, str):
        raise TypeError(
            "loss must be a name, an nn.Module class or an nn.Module instance; "
            f"got {loss!r}."
        )
    if loss not in LOSSES:
        near = difflib.get_close_matches(loss, LOSSES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"loss must be one of {', '.join(map(repr, LOSSES))}, or an "
            f"nn.Module class or instance; got {loss!r}.{hint}"
        )
    return loss, LOSSES[loss]
