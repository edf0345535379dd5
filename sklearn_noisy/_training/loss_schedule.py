"""When the robust loss takes over from cross-entropy."""

import warnings

import numpy as np
from skorch.callbacks import Callback

from sklearn_noisy.exceptions import LossWarmUpWarning
from sklearn_noisy.losses import CrossEntropyLoss
from sklearn_noisy.nn import Criterion

__all__ = ["LossSchedule", "ScheduledLoss", "class_quantiles"]

# Of the probabilities that the rows of one given class have for it. Half of them
# may be wrong, so the median says little; the upper quarter is right up to 75 %
# noise.
KNOWN_CLASS_QUANTILE = 0.75


class ScheduledLoss(Criterion):
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

    def probe(self, logits, targets):
        """Loss of each sample by the robust loss, whether it is on or not."""
        return self.loss(logits, targets)

    def progress(self):
        """The robust loss's state, and whether it is on."""
        return {**super().progress(), "active": self.active}

    def resume(self, progress):
        """Go on where another criterion, made in the same way, was."""
        super().resume(progress)
        self.active = progress["active"]

    def ask(self, question, n_classes, default):
        """Answer of the robust loss, `default` for a loss that cannot tell.

        The questions are the methods ``stall_probability``,
        ``known_probability`` and ``safe_at_start`` of :class:`BaseLoss`, which
        a loss of the user's own need not have.
        """
        method = getattr(self.loss, question, None)
        return default if method is None else method(n_classes)


def class_quantiles(p, y, weight, n_classes, quantile=KNOWN_CLASS_QUANTILE):
    """Weighted quantile of `p` in each class; NaN for a class without rows.

    The lower quantile: the smallest value at which the weights up to it reach
    their share of the total. A row of weight k counts as k rows. 1 for a class
    whose rows weigh nothing: nobody waits until it is known.
    """
    result = np.full(n_classes, np.nan)
    for k in range(n_classes):
        rows = np.flatnonzero(y == k)
        if len(rows):
            rows = rows[np.argsort(p[rows], kind="stable")]
            cumulated = np.cumsum(weight[rows])
            if cumulated[-1] == 0:
                result[k] = 1.0
                continue
            # The slack keeps rounding of the weights from moving a tie.
            share = quantile * cumulated[-1] * (1 - 1e-9)
            result[k] = p[rows[np.searchsorted(cumulated, share)]]
    return result


class LossSchedule(Callback):
    """Switch a :class:`ScheduledLoss` on, at an epoch or once it is safe.

    Parameters
    ----------
    delay : int or "auto"
        First epoch (counted from 1) of the robust loss. ``"auto"``: every
        epoch if the loss can learn from every probability; otherwise the
        epochs that follow one in which the net knew every given class.
    class_names : sequence
        What a warning calls the classes.
    """

    # What a file keeps of it.
    KEPT = ("switch_epoch_", "knowledge_")

    def __init__(self, delay, class_names):
        self.delay = delay
        self.class_names = class_names

    def initialize(self):
        """Forget what an earlier training knew."""
        self.switch_epoch_ = None
        # Kept over the calls of partial_fit, a chunk of which may lack a class.
        self.knowledge_ = np.zeros(len(self.class_names))
        return self

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Decide on the loss of the epoch that begins, and record it."""
        epoch = len(net.history)
        criterion = net.criterion_
        needed = criterion.ask("known_probability", len(self.class_names), default=0.0)
        if net.given_ is not None:
            self._update_knowledge(net)
        if self.delay != "auto":
            active = criterion.active or epoch >= self.delay
            if active and not criterion.active:
                self._warn_if_risky(net, epoch, needed)
        else:
            # Not once and for all: a high learning rate or dropout can lose a
            # class that was known, and cross-entropy brings it back.
            active = bool((self.knowledge_ >= needed).all())
        if active and self.switch_epoch_ is None:
            self.switch_epoch_ = epoch
        criterion.active = active
        watch = needed > 0 and (self.delay == "auto" or not active)
        net.given_ = [] if watch else None
        net.history.record("robust", active)

    def _update_knowledge(self, net):
        found = class_quantiles(*net.given_probabilities(), len(self.class_names))
        self.knowledge_ = np.where(np.isnan(found), self.knowledge_, found)

    def _warn_if_risky(self, net, epoch, needed):
        n_classes = len(self.class_names)
        if epoch == 1:
            if not net.criterion_.ask("safe_at_start", n_classes, default=True):
                self._warn_early(
                    net,
                    f"an untrained net gives each of {n_classes} classes about "
                    f"{1 / n_classes:.3g}",
                )
        elif (self.knowledge_ < needed).any():
            k = int(self.knowledge_.argmin())
            self._warn_early(
                net,
                f"at epoch {epoch} three quarters of the rows that are given class "
                f"{self.class_names[k]!r} have at most {self.knowledge_[k]:.3g} for "
                f"it (delay='auto' waits for {needed:.3g})",
            )

    def _warn_early(self, net, reason):
        stall = net.criterion_.ask("stall_probability", len(self.class_names), 0.0)
        warnings.warn(
            f"Classes can get lost for good: the loss stops learning a label below "
            f"p = {stall:.3g}, and {reason}. Raise delay={self.delay} (or use "
            "delay='auto'), or lower gamma or c.",
            LossWarmUpWarning,
            stacklevel=2,
        )

    def warn_if_never(self, net):
        """Say so when training ended before the robust loss came on."""
        if self.switch_epoch_ is not None:
            return
        if net.given_:
            self._update_knowledge(net)
        n_epochs = len(net.history)
        k = int(self.knowledge_.argmin())
        needed = net.criterion_.ask("known_probability", len(self.class_names), 0.0)
        if self.delay == "auto" and self.knowledge_[k] >= needed:
            reason = (
                "delay='auto' waits until the net knows every class, which was so "
                f"after the last of {n_epochs} epochs. Raise max_epochs, or set delay"
            )
        elif self.delay == "auto":
            reason = (
                f"delay='auto' waits until the net knows every class, and after "
                f"{n_epochs} epochs three quarters of the rows that are given class "
                f"{self.class_names[k]!r} have at most {self.knowledge_[k]:.3g} for "
                f"it, less than {needed:.3g}. Raise max_epochs or lr, lower gamma or "
                "c, or set delay"
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
