"""What all losses share."""

import inspect

import torch
from torch import nn

__all__ = ["BaseLoss", "log_softmax"]


def log_softmax(logits):
    """Logarithm of the softmax, in float32 at least.

    Half precision has 8 or 11 bits: not enough for a logarithm whose
    differences are the gradient.

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
    r"""What all losses share: the target's form and the domain.

    A subclass says what the loss of one label is, in :meth:`label_loss`.
    """

    def forward(self, logits, targets):
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

    def extra_repr(self):
        """Parameters, for the representation."""
        names = inspect.signature(type(self)).parameters
        return ", ".join(
            f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name)
        )

    def label_loss(self, log_p_label, log_p):
        r"""Loss :math:`\ell(k, p)` of the labels in the columns.

        Parameters
        ----------
        log_p_label : tensor of shape (n_samples, m)
            :math:`\log p_k` of the labels that are asked for: one column for
            hard targets, all K for soft ones.
        log_p : tensor of shape (n_samples, n_classes)
            :math:`\log p` of all classes.

        Returns
        -------
        tensor of shape (n_samples, m)
        """
        raise NotImplementedError

    def stall_probability(self, n_classes):
        """Largest p of the given label at which a row no longer learns it.

        Below it the gradient is zero or points away from the label, so a
        class whose rows all lie there can die. Zero for a loss that has no
        such region.
        """
        return 0.0

    def known_probability(self, n_classes):
        """Probability that says: the net knows this class, the loss may come on.

        It is compared with the upper quartile, over the rows that are given a
        class, of the probability of that class (doc/losses.md tells how it was
        chosen). Zero: the loss may come on at any time.
        """
        return 0.0

    def safe_at_start(self, n_classes):
        """Whether an untrained net, which gives every class 1/K, loses none."""
        return True
