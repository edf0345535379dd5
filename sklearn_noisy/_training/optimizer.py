"""Whether torch's fused optimizer step can be taken."""

import inspect

import torch

__all__ = ["can_be_fused"]

# Settings that say how the step is computed, or that a fused one has not.
_SAME_CHOICE = {"fused", "foreach", "capturable", "differentiable"}


def can_be_fused(optimizer, settings, *modules):
    """Whether ``fused=True`` changes nothing but the time of a step.

    The fused step goes once over the memory of weights, gradients and averages. That
    is right where all lie in the same order (autograd sees to it for dense weights),
    and it knows no sparse gradients.

    Parameters
    ----------
    optimizer : callable
        Class of the optimizer, or something that makes one.
    settings : dict
        What it is called with, beside the weights.
    *modules : nn.Module
        Whose weights it changes.

    Returns
    -------
    bool
        False where the settings say how steps are computed.
    """
    if "fused" not in inspect.signature(optimizer).parameters:
        return False
    if _SAME_CHOICE & {*settings}:
        return False
    parts = [part for module in modules for part in module.modules()]
    if any(getattr(part, "sparse", False) for part in parts):
        return False
    return all(
        weight.is_floating_point()
        and weight.device.type in ("cpu", "cuda")
        # A lazy layer has no weights yet.
        and not torch.nn.parameter.is_lazy(weight)
        and _is_dense(weight)
        for module in modules
        for weight in module.parameters()
    )


def _is_dense(weight):
    """Whether a weight fills its memory without gaps."""
    if weight.layout != torch.strided:
        return False
    channels_last = weight.ndim == 4 and weight.is_contiguous(
        memory_format=torch.channels_last
    )
    return weight.is_contiguous() or channels_last
