"""When the robust loss takes over from cross-entropy."""

import warnings

import numpy as np
from skorch.callbacks import Callback
from torch import nn

from sklearn_noisy.exceptions import LossWarmUpWarning
from sklearn_noisy.losses import CrossEntropyLoss

__all__ = ["LossSchedule", "ScheduledLoss", "class_medians"]

# A class counts as known when the median probability of its given label is
# this many times the probability at which the loss stops learning.
KNOWN_CLASS_FACTOR = 2.0

# An untrained net gives 1/K. A loss that stalls above this fraction of it is
# not safe from the first epoch on: rows cross the point before the class is
# learned (see doc/losses.md for the measurements).
SAFE_START_FRACTION = 0.1


class ScheduledLoss(nn.Module):
    """Cross-entropy until ``active`` is set, then `loss`.

    Parameters
    ----------
    loss : nn.Module
        Maps logits and targets to one value per sample.
    """

    def __init__(self, loss):
        super().__init__()
        self.loss = loss
        self.warm_up = CrossEntropyLoss()
        self.active = False

    def forward(self, logits, targets):
        """Loss of each sample, by the loss that is on."""
        return (self.loss if self.active else self.warm_up)(logits, targets)

    def stall_probability(self, n_classes):
        """The robust loss's :meth:`BaseLoss.stall_probability`, 0 if it has none."""
        method = getattr(self.loss, "stall_probability", None)
        return 0.0 if method is None else method(n_classes)


def class_medians(p, y, weight, n_classes):
    """Weighted median of `p` in each class; NaN for a class without rows.

    The lower median: the smallest value at which the weights up to it make up
    half of the total. A row of weight k counts as k rows.
    """
    medians = np.full(n_classes, np.nan)
    for k in range(n_classes):
        rows = np.flatnonzero(y == k)
        if len(rows):
            rows = rows[np.argsort(p[rows], kind="stable")]
            cumulated = np.cumsum(weight[rows])
            # The slack keeps rounding of the weights from moving a tie.
            half = 0.5 * cumulated[-1] * (1 - 1e-9)
            medians[k] = p[rows[np.searchsorted(cumulated, half)]]
    return medians


class LossSchedule(Callback):
    """Switch a :class:`ScheduledLoss` on, at an epoch or once it is safe.

    Parameters
    ----------
    delay : int or "auto"
        First epoch (counted from 1) of the robust loss. ``"auto"``: at once
        if the loss can learn from every probability; otherwise after the
        first epoch at whose end the net knows every given class.
    class_names : sequence
        What a warning calls the classes.
    """

    def __init__(self, delay, class_names):
        self.delay = delay
        self.class_names = class_names

    def initialize(self):
        """Forget what an earlier training knew."""
        self.switch_epoch_ = None
        # Kept over the calls of partial_fit, a chunk of which may lack a class.
        self.medians_ = np.zeros(len(self.class_names))
        return self

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Decide on the loss of the epoch that begins, and record it."""
        epoch = len(net.history)
        criterion = net.criterion_
        if not criterion.active and self._is_due(net, epoch, dataset_train):
            criterion.active = True
            self.switch_epoch_ = epoch
        net.history.record("robust", criterion.active)

    def _is_due(self, net, epoch, rows):
        n_classes = len(self.class_names)
        stall = net.criterion_.stall_probability(n_classes)
        if self.delay == "auto":
            if stall == 0:
                return True
            return epoch > 1 and self._knows_classes(net, rows, stall)
        if epoch < self.delay:
            return False
        if stall > 0:
            self._warn_if_risky(net, epoch, rows, stall)
        return True

    def _knows_classes(self, net, rows, stall):
        p, y, weight = net.given_probabilities(rows)
        medians = class_medians(p, y, weight, len(self.class_names))
        self.medians_ = np.where(np.isnan(medians), self.medians_, medians)
        return bool((self.medians_ >= KNOWN_CLASS_FACTOR * stall).all())

    def _warn_if_risky(self, net, epoch, rows, stall):
        n_classes = len(self.class_names)
        if epoch == 1:
            if stall > SAFE_START_FRACTION / n_classes:
                warnings.warn(
                    f"The loss stops learning a label below p = {stall:.3g}, and an "
                    f"untrained net gives each of {n_classes} classes about "
                    f"{1 / n_classes:.3g}: classes can get lost for good. Raise "
                    f"delay={self.delay} (or use delay='auto'), or lower gamma or c.",
                    LossWarmUpWarning,
                    stacklevel=2,
                )
        elif not self._knows_classes(net, rows, stall):
            k = int(self.medians_.argmin())
            warnings.warn(
                f"At epoch {epoch} the net gives class {self.class_names[k]!r} a "
                f"median probability of {self.medians_[k]:.3g} where it is the given "
                f"label; the loss stops learning a label below {stall:.3g}. Raise "
                f"delay={self.delay} (or use delay='auto'), or lower gamma or c.",
                LossWarmUpWarning,
                stacklevel=2,
            )

    def warn_if_never(self, n_epochs):
        """Say so when training ended before the robust loss came on."""
        if self.switch_epoch_ is not None:
            return
        if self.delay == "auto":
            k = int(self.medians_.argmin())
            reason = (
                f"after {n_epochs} epochs the net does not know class "
                f"{self.class_names[k]!r} well enough (delay='auto' waits until the "
                "median probability of every given class is "
                f"{KNOWN_CLASS_FACTOR:g} times the point below which the loss stops "
                "learning). Raise max_epochs or lr, lower gamma or c, or set delay"
            )
        else:
            reason = (
                f"training ended after {n_epochs} epochs, before delay={self.delay}. "
                "Raise max_epochs or lower delay"
            )
        warnings.warn(
            f"The robust loss never came on, this is a model of cross-entropy: "
            f"{reason}.",
            LossWarmUpWarning,
            stacklevel=2,
        )
