"""The base class of the losses, and the softmax that they use."""

import inspect

import torch
from torch import Tensor, nn


def log_softmax(logits: Tensor) -> Tensor:
    """Logarithm of the softmax, in float32 or higher precision.

    bfloat16 and float16 have significands of 8 and 11 bits, too few for the
    differences of logarithms that make up the gradient.

    Parameters
    ----------
    logits : tensor of shape (n_samples, n_classes)

    Returns
    -------
    tensor of shape (n_samples, n_classes)
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits, dim=-1, dtype=dtype)


class BaseLoss(nn.Module):
    r"""Base class: hard and soft targets, computed from log-probabilities.

    A subclass defines the loss of a single label in :meth:`label_loss`.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each sample.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
        targets : int64 tensor of shape (n_samples,) or float tensor of shape \
                (n_samples, n_classes)

        Returns
        -------
        tensor of shape (n_samples,)
        """
        log_p = log_softmax(logits)
        if targets.ndim == 1:
            log_p_label = log_p.gather(1, targets[:, None])
            return self.label_loss(log_p_label, log_p).squeeze(1)
        return (targets * self.label_loss(log_p, log_p)).sum(dim=1)

    def extra_repr(self) -> str:
        """Parameters of the loss, as ``repr`` shows them."""
        names = inspect.signature(type(self)).parameters
        return ", ".join(
            f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name)
        )

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        r"""Loss :math:`\ell(k, p)` of the labels in the columns.

        Parameters
        ----------
        log_p_label : tensor of shape (n_samples, m)
            :math:`\log p_k` of the labels to evaluate: one column for hard
            targets, all K columns for soft ones.
        log_p : tensor of shape (n_samples, n_classes)
            :math:`\log p` of all classes.

        Returns
        -------
        tensor of shape (n_samples, m)
        """
        raise NotImplementedError

    def stall_probability(self, n_classes: int) -> float:
        """Probability of the given label below which a row is not learned.

        Below it the gradient is zero or points away from the label. If all rows
        of a class lie there, the net can lose that class. Zero means that the
        loss has no such region.
        """
        return 0.0

    def known_probability(self, n_classes: int) -> float:
        """Probability from which on the net counts as knowing a class.

        The schedule switches from cross-entropy to this loss when every class is
        known. It compares this number with the upper quartile of the probability
        of the given label, over the rows with that label; doc/losses.md describes
        how the number was chosen. Zero means that the loss can be used from the
        first epoch on.
        """
        return 0.0

    def safe_at_start(self, n_classes: int) -> bool:
        """Whether an untrained net, which predicts 1/K, loses no class."""
        return True
