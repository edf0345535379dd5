"""RobustLossClassifier: a net trained with a loss that wrong labels do not pull."""

import inspect
from numbers import Integral

import torch

from sklearn_noisy._base import BaseNoisyLabelClassifier
from sklearn_noisy._schedule import LossSchedule, ScheduledLoss
from sklearn_noisy.losses import LOSSES, make_loss

__all__ = ["RobustLossClassifier"]


class RobustLossClassifier(BaseNoisyLabelClassifier):
    def __init__(
        self,
        module=None,
        *,
        loss="blurry",
        gamma=None,
        c=None,
        delay="auto",
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=100,
        batch_size=128,
        device="cpu",
        precision="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        class_weight=None,
        warm_start=False,
        callbacks=None,
        random_state=None,
        verbose=0,
        **kwargs,
    ):
        self.module = module
        self.loss = loss
        self.gamma = gamma
        self.c = c
        self.delay = delay
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose
        self._store_kwargs(kwargs)

    def _make_criterion(self, n_classes):
        params = self._params_for("loss")
        loss = LOSSES.get(self.loss, self.loss) if isinstance(self.loss, str) else self.loss
        if isinstance(loss, type):
            accepted = inspect.signature(loss).parameters
            for name in ("gamma", "c"):
                # A grid over losses sets gamma for those that have none, too.
                if getattr(self, name) is not None and name in accepted:
                    params[name] = getattr(self, name)
        return ScheduledLoss(make_loss(self.loss, n_classes, **params))

    def _make_callbacks(self):
        return [("loss_schedule", LossSchedule(self.delay, self.classes_.tolist()))]

    def _patience_from(self):
        return 1 if self.delay == "auto" else self.delay

    def _after_training(self):
        callbacks = dict(self.net_.callbacks_)
        if "loss_schedule" in callbacks:
            callbacks["loss_schedule"].warn_if_never(self.n_iter_)

    def _check_parameters(self):
        if self.delay != "auto" and (
            isinstance(self.delay, bool)
            or not isinstance(self.delay, Integral)
            or self.delay < 0
        ):
            raise ValueError(
                "delay must be 'auto' or an integer >= 0, the first epoch (counted "
                f"from 1) of the robust loss; got {self.delay!r}."
            )
        return super()._check_parameters()
