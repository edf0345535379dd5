"""Callbacks between epochs: the best epoch, the learning rate, the loss schedule.

The attributes of a callback that are not parameters are its state, which checkpoints
and saved files contain.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_noisy.exceptions import LossWarmUpWarning
from sklearn_noisy.losses import CrossEntropyLoss, log_softmax, make_loss


class OwnCallback(Callback):
    """A callback whose state is a part of a saved net."""


def is_worse(losses: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether the mean of `losses` exceeds that of `others` by a standard error.

    Parameters
    ----------
    losses, others : tensors of shape (n_samples,)
        Loss times weight of each row, for the same rows.
    """
    difference = losses - others
    n_rows = len(difference)
    # A single row has no standard error.
    error = difference.std() / n_rows**0.5 if n_rows > 1 else 0.0
    return bool(difference.mean() > error)


class BestEpoch(OwnCallback):
    """Keep the weights of the best epoch on the validation rows; stop early.

    The best epoch has the highest weighted accuracy on the given labels; of equal
    ones, the lowest loss. Training stops when neither the best accuracy nor the lowest
    loss has improved for `patience` epochs: on few rows the accuracy moves in steps
    while the loss still falls. Without validation rows the callback does nothing.

    Parameters
    ----------
    patience : int or None
        In epochs; None never stops.
    first_epoch : int, default=1
        Earliest epoch from which patience is counted.
    by : {"accuracy", "loss"}, default="accuracy"
        ``"loss"`` keeps the last epoch whose loss is within a standard error (of the
        difference, row by row) of the lowest. This suits a loss that models the noise,
        since later epochs are better trained.

    Attributes
    ----------
    best_epoch_ : int
        Counted from 1.
    best_losses_ : tensor of shape (n_validation_rows,)
        Losses in the epoch that was kept.
    """

    def __init__(
        self, patience: int | None, first_epoch: int = 1, by: str = "accuracy"
    ):
        self.patience = patience
        self.first_epoch = first_epoch
        self.by = by

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Reset the state: the validation rows may differ from the last training's."""
        self.best_epoch_ = None
        self.best_score_ = (-np.inf, -np.inf)
        self.best_losses_: Any = None
        self.lowest_losses_: Any = None
        self.lowest_loss_ = np.inf
        self.last_gain_ = len(net.history)
        self.robust_ = None
        self.state_: tuple[dict[str, Any], dict[str, Any]] | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare this epoch with the best one so far."""
        if kwargs.get("dataset_valid") is None:
            return
        row = net.history[-1]
        epoch, accuracy, loss = row["epoch"], row["valid_acc"], row["valid_loss"]
        if row.get("robust") != self.robust_:
            # Values of different losses are not comparable. Patience starts anew.
            self.robust_ = row.get("robust")
            self.lowest_loss_ = np.inf
            self.best_score_ = (self.best_score_[0], -np.inf)
        losses = net.validation_losses_
        if self.by == "accuracy":
            is_best = (accuracy, -loss) > self.best_score_
        else:
            is_best = self.lowest_losses_ is None or loss < self.lowest_loss_
            is_best = is_best or not is_worse(losses, self.lowest_losses_)
        if is_best:
            self.best_score_ = (accuracy, -loss)
            self.best_epoch_ = self.last_gain_ = epoch
            self.best_losses_ = losses
            parts = net.module_.state_dict(), net.criterion_.state_dict()
            self.state_ = copy.deepcopy((dict(parts[0]), dict(parts[1])))
        if loss < self.lowest_loss_:
            self.lowest_loss_ = loss
            self.lowest_losses_ = losses
            self.last_gain_ = epoch
        if self.patience is not None:
            since = max(self.last_gain_, self.first_epoch - 1)
            net.stop_training_ = epoch - since >= self.patience

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the best weights."""
        if self.state_ is not None:
            net.module_.load_state_dict(self.state_[0])
            net.criterion_.load_state_dict(self.state_[1])
        self.state_ = self.lowest_losses_ = None


class OneCycle(OwnCallback):
    """One-cycle learning rate: a cosine up to the given rate, then one down to zero.

    The rate is constant within an epoch. A training of one epoch has no cycle.
    """

    #: Fraction of the epochs in which the rate rises.
    RISE = 0.3
    #: Rate at the start, as a fraction of the highest one.
    START = 0.04

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin a new cycle."""
        self.start_ = len(net.history)
        self.peaks_ = list(map(itemgetter("lr"), net.optimizer_.param_groups))

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the rate of the middle of this epoch."""
        if net.planned_epochs_ == 1:
            return
        done = (len(net.history) - self.start_ - 0.5) / net.planned_epochs_
        if done < self.RISE:
            wave = (1 - math.cos(math.pi * done / self.RISE)) / 2
            self._set_rates(net, self.START + (1 - self.START) * wave)
        else:
            fall = min(1.0, (done - self.RISE) / (1 - self.RISE))
            self._set_rates(net, (1 + math.cos(math.pi * fall)) / 2)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the given rate, for a training that continues."""
        self._set_rates(net, 1.0)

    def _set_rates(self, net: Any, factor: float) -> None:
        for group, peak in zip(net.optimizer_.param_groups, self.peaks_, strict=True):
            group["lr"] = factor * peak


# The schedule of the robust loss.


@dataclass(frozen=True)
class KnownClass:
    """When a class counts as known; chosen on digits and MNIST, see doc/losses.md.

    Attributes
    ----------
    quantile : float
        Quantile of the probabilities of the class, among the rows that were given it.
        Half of these labels may be wrong, so the median is not informative. With up to
        75 % noise, at least a quarter of them are right.
    """

    quantile: float = 0.75


class ScheduledLoss(nn.Module):
    """Criterion that is cross-entropy until ``active`` is set, then `loss`.

    Rows whose label is known to be right have cross-entropy in every epoch. Their
    targets are the codes from `n_classes` on (`nn._noise_layer.encode_targets`).

    Parameters
    ----------
    loss, n_classes, params : object, int, dict
        Arguments of :func:`sklearn_noisy.losses.make_loss`.

    Attributes
    ----------
    active : bool
        Whether the robust loss is active.
    has_clean : bool
        Whether there may be rows with a label that is known to be right.
    """

    # Whether training changes the criterion, which then has `penalty` and `after_step`.
    learn = False
    # What the net's `get_loss` does, for `skorch.scoring.loss_scoring`.
    reduction = "mean"

    def __init__(
        self,
        loss: Any,
        n_classes: int,
        params: Mapping[str, Any] = MappingProxyType({}),
    ):
        super().__init__()
        self.loss = make_loss(loss, n_classes, **params)
        self.warm_up = CrossEntropyLoss()
        self.n_classes = n_classes
        self.active, self.has_clean = False, True

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each sample, by the loss that is active."""
        if not self.has_clean:
            return (self.loss if self.active else self.warm_up)(logits, targets)
        labels = targets % self.n_classes
        plain = self.warm_up(logits, labels)
        if not self.active:
            return plain
        is_clean = targets >= self.n_classes
        return torch.where(is_clean, plain, self.loss(logits, labels))

    def ask(self, question: str, n_classes: int, default: Any) -> Any:
        """Answer of the robust loss, or `default` if it has no such method.

        The questions are the methods ``stall_probability``, ``known_probability`` and
        ``safe_at_start`` of :class:`BaseLoss`. A loss of the user need not have them.
        """
        method = getattr(self.loss, question, None)
        return default if method is None else method(n_classes)


def class_quantiles(
    p: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    n_classes: int,
    quantile: float = KnownClass.quantile,
) -> np.ndarray:
    """Weighted quantile of `p` in each class; NaN for a class without rows.

    The lower quantile: the smallest value at which the weights up to it reach their
    share of the total. A row of weight k counts as k rows. The quantile is 1 for a
    class whose rows all have weight 0, so that the schedule does not wait for it.
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


class LossSchedule(OwnCallback):
    """Activate a :class:`ScheduledLoss` from some epoch on, or once it is safe.

    Parameters
    ----------
    delay : int or "auto"
        First epoch (counted from 1) of the robust loss. ``"auto"``: every epoch if the
        loss can learn from every probability; otherwise the epochs that follow one in
        which the net knew every given class.
    class_names : sequence
        Names of the classes in warnings.

    Attributes
    ----------
    active_ : bool
        Whether the robust loss is active.
    switch_epoch_ : int or None
        First epoch in which it was.
    knowledge_ : ndarray of shape (n_classes,)
        Quantile of the probabilities of each class in the last epoch that was recorded.
    given_ : list or None
        Probability of the given label, label and weight of the rows of each batch of
        this epoch; None when not recording.
    """

    def __init__(self, delay: int | str, class_names: Sequence[Any]):
        self.delay = delay
        self.class_names = class_names

    def initialize(self) -> LossSchedule:
        """Forget an earlier training."""
        self.active_ = False
        self.switch_epoch_: int | None = None
        # It persists between calls of partial_fit, since a chunk may lack a class.
        self.knowledge_ = np.zeros(len(self.class_names))
        self.given_: list[tuple[torch.Tensor, ...]] | None = None
        return self

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Choose the loss of the epoch that begins, and record it."""
        epoch, criterion = len(net.history), net.criterion_
        criterion.has_clean = any(
            bool((rows.targets >= criterion.n_classes).any())
            for rows in (kwargs.get("dataset_train"), kwargs.get("dataset_valid"))
            if rows is not None
        )
        needed = criterion.ask("known_probability", len(self.class_names), 0.0)
        if self.delay == "auto":
            # Decided in every epoch: with a high learning rate or dropout, the net can
            # lose a class that it knew, and cross-entropy recovers it.
            active = bool((self.knowledge_ >= needed).all())
        else:
            active = self.active_ or epoch >= int(self.delay)
            if active and not self.active_:
                self._warn_if_risky(criterion, epoch, needed)
        if active and self.switch_epoch_ is None:
            self.switch_epoch_ = epoch
        self.active_ = criterion.active = active
        # Probabilities in training mode: dropout lowers them, and a class must be known
        # in spite of it.
        recording = needed > 0 and (self.delay == "auto" or not active)
        self.given_ = [] if recording else None
        net.batch_observer_ = self._record if recording else None
        net.history.record("robust", active)

    def _record(
        self, logits: torch.Tensor, y: torch.Tensor, weight: torch.Tensor
    ) -> None:
        y = y.to(logits.device)
        p = log_softmax(logits).gather(1, y[:, None])[:, 0].exp()
        assert self.given_ is not None
        self.given_.append((p, y, weight))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Summarise the recorded probabilities, and release them."""
        if self.given_:
            p, y, weight = map(torch.cat, zip(*self.given_, strict=True))
            found = class_quantiles(
                p.cpu().double().numpy(),
                y.cpu().numpy(),
                weight.cpu().double().numpy(),
                len(self.class_names),
            )
            self.knowledge_ = np.where(np.isnan(found), self.knowledge_, found)
        self.given_ = None

    def _warn_if_risky(
        self, criterion: ScheduledLoss, epoch: int, needed: float
    ) -> None:
        n_classes = len(self.class_names)
        if epoch == 1:
            if criterion.ask("safe_at_start", n_classes, default=True):
                return
            reason = (
                f"an untrained net gives each of {n_classes} classes a probability of "
                f"about {1 / n_classes:.3g}"
            )
        elif (self.knowledge_ < needed).any():
            reason = f"at epoch {epoch} {self._least_known(needed)}"
        else:
            return
        stall = criterion.ask("stall_probability", n_classes, 0.0)
        warnings.warn(
            f"Classes can get lost for good: the loss stops learning a label below "
            f"p = {stall:.3g}, and {reason}. Raise delay={self.delay} (or use "
            "delay='auto'), or lower gamma or c.",
            LossWarmUpWarning,
            stacklevel=2,
        )

    def _least_known(self, needed: float) -> str:
        k = int(self.knowledge_.argmin())
        return (
            f"three quarters of the rows that are given class {self.class_names[k]!r} "
            f"have a probability of at most {self.knowledge_[k]:.3g} for it "
            f"(delay='auto' waits for {needed:.3g})"
        )

    def warn_if_never(self, net: Any) -> None:
        """Warn if training ended before the robust loss was active."""
        if self.switch_epoch_ is not None:
            return
        n_epochs = len(net.history)
        needed = net.criterion_.ask("known_probability", len(self.class_names), 0.0)
        if self.delay != "auto":
            reason = (
                f"training ended after {n_epochs} epochs, before delay={self.delay}. "
                "Raise max_epochs or lower delay"
            )
        elif self.knowledge_.min() >= needed:
            reason = (
                "delay='auto' waits until the net knows every class, which it did only "
                f"after the last of {n_epochs} epochs. Raise max_epochs, or set delay"
            )
        else:
            reason = (
                f"after {n_epochs} epochs {self._least_known(needed)}. Raise "
                "max_epochs or lr, lower gamma or c, or set delay"
            )
        warnings.warn(
            f"The robust loss was never used, only cross-entropy was: {reason}.",
            LossWarmUpWarning,
            stacklevel=2,
        )
