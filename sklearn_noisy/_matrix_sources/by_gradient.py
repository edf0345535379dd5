"""A noise matrix that the gradient learns as a part of the network.

This is the scheme of section 3.3 of Sukhbaatar & Fergus, "Learning from noisy labels
with deep neural networks": the regularizer is added to the loss, and the matrix is
projected to the probability matrices after every update. The matrix stays near its
start, so it stays near the identity where learning starts from that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from sklearn_noisy._matrix_sources.result import MatrixResult, MatrixSource
from sklearn_noisy._rows.rows import FitData
from sklearn_noisy._training.trainer import NetSpec, Trainer
from sklearn_noisy.nn import NoiseLayer

# The callbacks of this source in a net.
NAMES = ("start_learning", "noise_matrix_path")


class MatrixPath(Callback):
    """Keep the noise matrix of each epoch."""

    def initialize(self) -> MatrixPath:
        """Forget an earlier path."""
        self.path_: list[np.ndarray] = []
        return self

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Append the matrix after this epoch."""
        # A copy: the memory of the parameter changes in the next epoch.
        self.path_.append(net.criterion_.matrix.detach().cpu().double().numpy().copy())


class StartLearning(Callback):
    """Let the gradient change the noise matrix from some epoch on.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    """

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Switch before the first update of this epoch."""
        learn = len(net.history) >= self.epoch
        if learn != net.criterion_.learn:
            net.criterion_.set_learning(learn)


@dataclass(frozen=True)
class GradientMatrix:
    """The matrix that the gradient learns together with the net that is kept.

    Attributes
    ----------
    start : MatrixSource
        Where learning starts.
    regularizer : {"trace", "weight_decay", "log_det"}
    decay : float
        Factor of the regularizer.
    lr : float
        Highest learning rate of the matrix.
    warm_up : int
        Epochs before the gradient changes the matrix.
    outside : bool
        Whether there may be rows that belong to no class.
    max_epochs : int
    """

    start: MatrixSource
    regularizer: str
    decay: float
    lr: float
    warm_up: int
    outside: bool
    max_epochs: int

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """Train the trainer's net; the matrix is that of the epoch that was kept."""
        result = self.start.find(data, trainer)
        spec = trainer.spec
        group = ("matrix", {"lr": self.lr, "weight_decay": 0.0})
        groups = [group, *spec.settings.get("optimizer__param_groups", [])]
        callbacks = spec.callbacks
        if callbacks != "disable":
            own = StartLearning(self.warm_up + 1), MatrixPath()
            callbacks = [*zip(NAMES, own, strict=True), *callbacks]
        trainer.spec = replace(
            spec,
            criterion=partial(
                NoiseLayer,
                torch.as_tensor(result.matrix),
                learn=True,
                regularizer=self.regularizer,
                decay=self.decay,
                outside=self.outside,
            ),
            callbacks=callbacks,
            settings={**spec.settings, "optimizer__param_groups": groups},
        )
        trainer.build(data.everything, 0)
        trainer.run(data, self.max_epochs)
        path = dict(trainer.net.callbacks_).get("noise_matrix_path")
        _end_learning(trainer, spec)
        matrix = trainer.net.criterion_.matrix.detach().cpu().double().numpy()
        return replace(
            result,
            matrix=matrix / matrix.sum(axis=0),
            path=result.path if path is None else [*result.path, *path.path_],
            is_net_trained=True,
        )


def _end_learning(trainer: Trainer, spec: NetSpec) -> None:
    """Turn the net into one with a fixed matrix, as `spec` would make it."""
    net, layer = trainer.net, trainer.net.criterion_
    layer.set_learning(False)
    net.callbacks_ = [(name, c) for name, c in net.callbacks_ if name not in NAMES]
    if spec.callbacks != "disable":
        net.callbacks = net.callbacks[len(NAMES) :]
    # In a net of `spec`, the matrix, without a gradient, is the last of all weights.
    optimizer = net.optimizer_
    (of_matrix,) = optimizer.param_groups.pop(0)["params"]
    optimizer.param_groups[-1]["params"].append(of_matrix)
    optimizer.state.pop(of_matrix, None)
    del net.optimizer__param_groups
    groups = spec.settings.get("optimizer__param_groups")
    if groups is not None:
        net.optimizer__param_groups = groups
    trainer.spec = spec
