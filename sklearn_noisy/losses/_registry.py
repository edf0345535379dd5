"""Losses by name."""

import difflib
import inspect

from torch import nn

from sklearn_noisy.losses._losses import (
    BlurryLoss,
    ClippedLoss,
    CrossEntropyLoss,
    FocalLoss,
    GeneralizedCrossEntropyLoss,
    LabelSmoothingLoss,
    MeanAbsoluteErrorLoss,
    NormalizedCrossEntropyReverseLoss,
    PiecewiseZeroLoss,
    SymmetricCrossEntropyLoss,
    SymmetricNoiseLoss,
    UniformMixingLoss,
)

__all__ = ["LOSSES", "make_loss"]

#: The losses by name.
LOSSES = {
    "cross_entropy": CrossEntropyLoss,
    "focal": FocalLoss,
    "blurry": BlurryLoss,
    "piecewise_zero": PiecewiseZeroLoss,
    "clipped": ClippedLoss,
    "uniform_mixing": UniformMixingLoss,
    "symmetric_noise": SymmetricNoiseLoss,
    "label_smoothing": LabelSmoothingLoss,
    "generalized_cross_entropy": GeneralizedCrossEntropyLoss,
    "symmetric_cross_entropy": SymmetricCrossEntropyLoss,
    "mean_absolute_error": MeanAbsoluteErrorLoss,
    "normalized_cross_entropy_reverse": NormalizedCrossEntropyReverseLoss,
}


def make_loss(loss, n_classes, **params):
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
    if isinstance(loss, str):
        if loss not in LOSSES:
            near = difflib.get_close_matches(loss, LOSSES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"loss must be one of {', '.join(map(repr, LOSSES))}, or an "
                f"nn.Module class or instance; got {loss!r}.{hint}"
            )
        name, loss = loss, LOSSES[loss]
    elif isinstance(loss, nn.Module):
        if params:
            names = ", ".join(f"loss__{name}" for name in sorted(params))
            raise ValueError(
                f"{names} cannot be set when loss is an instance of "
                f"{type(loss).__name__}: give the class, or set it there."
            )
        return loss
    elif isinstance(loss, type) and issubclass(loss, nn.Module):
        name = loss.__name__
    else:
        raise TypeError(
            "loss must be a name, an nn.Module class or an nn.Module instance; "
            f"got {loss!r}."
        )
    accepted = inspect.signature(loss).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for key in params:
        if key not in accepted and not takes_any:
            known = ", ".join(accepted) or "none"
            raise TypeError(
                f"loss {name!r} has no parameter {key!r}; its parameters: {known}."
            )
    if "n_classes" in accepted:
        params.setdefault("n_classes", n_classes)
    if "reduction" in accepted:
        params.setdefault("reduction", "none")
    return loss(**params)
