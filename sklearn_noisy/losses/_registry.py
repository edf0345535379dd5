"""Losses by name."""

import difflib
import inspect
from typing import Any, NoReturn

from torch import nn

from sklearn_noisy._validation import check_integer
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


# The losses of torch that compare logits of shape (n, K) with labels of shape (n,).
TAKE_LOGITS = (nn.CrossEntropyLoss.forward, nn.MultiMarginLoss.forward)


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
        If the name is unknown, or parameters come with an instance; if it is a loss of
        torch that compares something else than logits and labels.
    TypeError
        If `loss` is neither a name, a class nor an instance, or does not
        take a parameter.
    """
    check_integer(n_classes, "n_classes", min_val=1)
    if isinstance(loss, nn.Module):
        if params:
            names = ", ".join(f"loss__{name}" for name in sorted(params))
            raise ValueError(
                f"{names} cannot be set when loss is an instance of "
                f"{type(loss).__name__}: pass the class, or set it on the instance."
            )
        _check_takes_logits(type(loss))
        return loss
    loss_class = LOSSES.get(loss) if isinstance(loss, str) else loss
    if not (isinstance(loss_class, type) and issubclass(loss_class, nn.Module)):
        _refuse(loss)
    _check_takes_logits(loss_class)
    signature = inspect.signature(loss_class)
    try:
        signature.bind_partial(**params)
    except TypeError:
        unknown = next(key for key in params if key not in signature.parameters)
        name = loss if isinstance(loss, str) else loss_class.__name__
        known = ", ".join(signature.parameters) or "none"
        raise TypeError(
            f"loss {name!r} has no parameter {unknown!r}; its parameters: {known}."
        ) from None
    for key, value in (("n_classes", n_classes), ("reduction", "none")):
        if key in signature.parameters:
            params.setdefault(key, value)
    return loss_class(**params)


def _check_takes_logits(loss_class: type[nn.Module]) -> None:
    """Refuse a module of torch whose forward takes something else."""
    forward = loss_class.forward
    if forward in TAKE_LOGITS or not forward.__module__.startswith("torch.nn."):
        return
    name = loss_class.__name__
    hint = ""
    if forward is nn.NLLLoss.forward:
        hint = " NLLLoss of log-probabilities is CrossEntropyLoss of logits."
    raise ValueError(
        "loss must compare logits of shape (n, K) with labels of shape (n,), as "
        f"nn.CrossEntropyLoss and the losses of this package do; got {name}, which "
        f"expects other input.{hint} (A subclass with its own forward can convert it.)"
    )


def _refuse(loss: object) -> NoReturn:
    """Raise an error that says what a loss may be."""
    if not isinstance(loss, str):
        raise TypeError(
            "loss must be a name, an nn.Module class or an nn.Module instance; "
            f"got {loss!r}."
        )
    near = difflib.get_close_matches(loss, LOSSES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"loss must be one of {', '.join(map(repr, LOSSES))}, or an "
        f"nn.Module class or instance; got {loss!r}.{hint}"
    )
