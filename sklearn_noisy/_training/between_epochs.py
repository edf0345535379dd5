"""What the net does between epochs: which one it keeps, and how fast it learns."""

import copy
import math
import pickle

import numpy as np
from skorch.callbacks import Callback, PrintLog

__all__ = [
    "BestEpoch",
    "OneCycle",
    "callback_progress",
    "is_worse",
    "resume_callback",
]


def is_worse(losses, others):
    """Whether losses are higher than others of the same rows by a standard error.

    Parameters
    ----------
    losses, others : tensors of shape (n_samples,)
        Loss times weight of each row.
    """
    difference = losses - others
    n_rows = len(difference)
    # A single row tells no error.
    error = difference.std() / n_rows**0.5 if n_rows > 1 else 0.0
    return bool(difference.mean() > error)


class BestEpoch(Callback):
    """Keep the weights of the best epoch on the validation rows; stop in time.

    The best epoch has the highest weighted accuracy on the given labels, among
    equals the lowest loss. Training stops when for `patience` epochs neither
    the best accuracy nor the lowest loss was beaten: on few rows accuracy moves
    in steps while the loss still falls. Without validation rows it does nothing.

    Parameters
    ----------
    patience : int or None
        In epochs; None never stops.
    first_epoch : int, default=1
        Patience is counted from this epoch on at the earliest.
    by : {"accuracy", "loss"}, default="accuracy"
        ``"loss"`` takes the last epoch whose loss is within a standard error of the
        lowest (of the difference, row by row): right where the loss knows how the
        labels were made wrong, and where later epochs are better trained.

    Attributes
    ----------
    best_epoch_ : int
        Counted from 1.
    best_losses_ : tensor of shape (n_validation_rows,)
        Of the epoch that was kept.
    """

    # What a file keeps of it.
    KEPT = ("best_epoch_",)

    def __init__(self, patience, first_epoch=1, by="accuracy"):
        self.patience = patience
        self.first_epoch = first_epoch
        self.by = by

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start to compare anew: the validation rows may be others."""
        self.best_epoch_ = None
        self.best_score_ = (-np.inf, -np.inf)
        self.best_losses_ = self.lowest_losses_ = None
        self.lowest_loss_ = np.inf
        self.last_gain_ = len(net.history)
        self.robust_ = None
        self.state_ = None

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Compare this epoch with the best one so far."""
        if dataset_valid is None:
            return
        row = net.history[-1]
        epoch, accuracy, loss = row["epoch"], row["valid_acc"], row["valid_loss"]
        if row.get("robust") != self.robust_:
            # Another loss: its values do not compare, and it gets its time.
            self.robust_ = row.get("robust")
            self.lowest_loss_ = np.inf
            self.best_score_ = (self.best_score_[0], -np.inf)
        if self._is_best(net, accuracy, loss):
            self.best_score_ = (accuracy, -loss)
            self.best_epoch_ = self.last_gain_ = epoch
            self.best_losses_ = net.validation_losses_
            self.state_ = copy.deepcopy(
                (net.module_.state_dict(), net.criterion_.state_dict())
            )
        if loss < self.lowest_loss_:
            self.lowest_loss_ = loss
            self.lowest_losses_ = net.validation_losses_
            self.last_gain_ = epoch
        if self.patience is None:
            return
        since = max(self.last_gain_, self.first_epoch - 1)
        net.stop_training_ = epoch - since >= self.patience

    def _is_best(self, net, accuracy, loss):
        if self.by == "accuracy":
            return (accuracy, -loss) > self.best_score_
        return loss < self.lowest_loss_ or not is_worse(
            net.validation_losses_, self.lowest_losses_
        )

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Put the best weights back."""
        if self.state_ is not None:
            net.module_.load_state_dict(self.state_[0])
            net.criterion_.load_state_dict(self.state_[1])
            self.state_ = None
        self.lowest_losses_ = net.validation_losses_ = None


class OneCycle(Callback):
    """Learning rate that rises to the one that was set, then falls to zero.

    A cosine up in the first 30 % of the epochs of a training, a cosine down in the
    others; the rate is constant within an epoch. A single epoch is no cycle.
    """

    RISE = 0.3
    # Of the highest rate, at the start.
    START = 0.04

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """A new cycle begins."""
        self.start_ = len(net.history)
        self.peaks_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Rate of the middle of this epoch."""
        if net.planned_epochs_ == 1:
            return
        done = (len(net.history) - self.start_ - 0.5) / net.planned_epochs_
        if done < self.RISE:
            wave = (1 - math.cos(math.pi * done / self.RISE)) / 2
            factor = self.START + (1 - self.START) * wave
        else:
            fall = min(1.0, (done - self.RISE) / (1 - self.RISE))
            factor = (1 + math.cos(math.pi * fall)) / 2
        for group, peak in zip(net.optimizer_.param_groups, self.peaks_, strict=True):
            group["lr"] = factor * peak

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """What was set is set again, for a training that goes on."""
        for group, peak in zip(net.optimizer_.param_groups, self.peaks_, strict=True):
            group["lr"] = peak


def callback_progress(callback):
    """What a callback has come to know in a training, for :func:`resume_callback`.

    Parameters are left out, they come with the callback; so is what cannot be
    pickled, such as an open file, which `on_train_begin` makes anew.
    """
    if isinstance(callback, PrintLog):
        return {}  # another process prints its own heading
    params = callback.get_params(deep=False)
    found = {}
    for name, value in vars(callback).items():
        if name in params:
            continue
        # A learning-rate scheduler knows the optimizer, which is another object now.
        if hasattr(value, "load_state_dict") and not isinstance(value, type):
            value = value.state_dict()
        try:
            pickle.dumps(value)
        except (pickle.PicklingError, TypeError, AttributeError):
            continue
        found[name] = value
    return found


def resume_callback(callback, progress):
    """Put what a callback knew into one like it, after its `on_train_begin`."""
    for name, value in progress.items():
        current = getattr(callback, name, None)
        if hasattr(current, "load_state_dict") and not isinstance(current, type):
            current.load_state_dict(value)
        else:
            setattr(callback, name, value)
