"""A noise matrix that EM learns from noisy labels alone.

A net that trained on a row has memorised its label and finds no noise in it. So the
rows are divided into folds, and for each fold one net trains on the other folds and
predicts this one. These nets train together, each through the noise layer. After an
epoch, EM increases the likelihood of the matrix under the predictions for the rows that
the nets did not train on.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from tqdm import tqdm

from sklearn_noisy._matrix_sources.result import MatrixResult, MatrixSource
from sklearn_noisy._rows.rows import FitData, TrainingData
from sklearn_noisy._splits import stratified_folds
from sklearn_noisy._training.callbacks import BestEpoch, OneCycle
from sklearn_noisy._training.net import NoisyLabelNet, Training
from sklearn_noisy._training.state_checks import check_parts
from sklearn_noisy._training.trainer import Trainer, check_sampler, make_net
from sklearn_noisy.nn import NoiseLayer
from sklearn_noisy.noise import (
    certain_noise_matrix,
    count_noise_matrix,
    likely_noise_matrix,
    probability_right,
)

TINY = np.finfo(np.float64).tiny

# Difference of logits at which the other probabilities are 0, with any temperature.
CERTAIN = 1e5


@dataclass(frozen=True)
class Learning:
    """How the matrix is learned; measured on MNIST, Fashion-MNIST and digits.

    Attributes
    ----------
    warm_up_part : float
        Part of the epochs for which the counting nets train.
    warm_up_updates, warm_up_patience : int
        If that is less than `warm_up_updates` updates, they train for more epochs, up
        to all. Without a learning-rate cycle, they stop after `warm_up_patience` epochs
        without an improvement.
    resting_updates : int
    longest_rest : float
        The matrix is fixed while the learning rate rises and until the nets have had
        `resting_updates` updates, but at most for the part `longest_rest` of the
        epochs. Early estimates reinforce themselves: the nets learn the errors of the
        matrix.
    steps_per_epoch, last_steps : int
        Steps of EM after an epoch, starting from the last matrix, and after the last
        epoch.
    start_worth : float
        Weight of the initial column of a class, relative to the unexplained part of
        the variance; see `knowledge`.
    few_rows, many_rows, few_folds, many_folds : int
        Fewer noisy rows than `few_rows` cannot be divided: the matrix is only counted,
        and scikit-learn's rule that a row of weight k equals k rows holds exactly.
        From `many_rows` on, nets on half of the rows are good enough, and two of them
        cost as much as one on all rows.
    """

    warm_up_part: float = 0.5
    warm_up_updates: int = 200
    warm_up_patience: int = 5
    resting_updates: int = 200
    longest_rest: float = 0.5
    steps_per_epoch: int = 20
    last_steps: int = 2000
    start_worth: float = 0.25
    few_rows: int = 200
    many_rows: int = 10_000
    few_folds: int = 5
    many_folds: int = 2


LEARNING = Learning()


@dataclass(frozen=True)
class FoldSettings:
    """Parameters of the nets that each leave out a fold.

    Attributes
    ----------
    n_folds : int or "auto"
        1 is a single net that trains on all rows and predicts the same rows.
    warm_up : int or "auto"
        Epochs of the nets without a noise layer.
    max_epochs : int
    one_cycle : bool
        Whether the learning rate goes through a cycle, where there are several nets.
    verbose : int
        Above 0, a progress bar (on stderr).
    """

    n_folds: int | str
    warm_up: int | str
    max_epochs: int
    one_cycle: bool
    verbose: int


def knowledge(probabilities: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """How far each class is known, from 0 to 1.

    The probabilities explain the part r = Var(p_k) / E p_k (1 - E p_k) of the variance
    of the indicator "the true class is k". EM estimates the column from this part. If
    the unexplained part is large, rows and labels contain little information about the
    class: EM then assigns the rows arbitrarily, and the nets learn that the rows of the
    class are noise. So the initial column keeps a weight in proportion to the
    unexplained part.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Of the true classes, given the rows and their labels.
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_classes,)
    """
    weight = weight / weight.sum()
    mean = weight @ probabilities
    variance = weight @ (probabilities - mean) ** 2
    explained = variance / np.maximum(mean * (1 - mean), TINY)
    explained = np.minimum(explained, 1)  # more than 1 by rounding
    return explained / (explained + LEARNING.start_worth * (1 - explained))


class FoldNets:
    """Nets that each leave out a fold, and what they predict for it.

    Parameters
    ----------
    data : TrainingData
    settings : FoldSettings
    trainer : Trainer
        Torch's generators must be seeded: all nets draw from one stream.

    Attributes
    ----------
    given : int64 ndarray of shape (n_noisy,)
        Labels of the noisy rows.
    weight : ndarray of shape (n_noisy,)
    checked : tuple of ndarrays of shape (n_checked,)
        True labels, given labels and weights of the clean rows whose given label is
        known.
    updates_per_epoch : int
        Updates of the weights of one net in an epoch, once nets were made.
    parts : list of tuples
        Rows that train, rows that are left out, and positions of the latter among the
        noisy rows.

    Raises
    ------
    ValueError
        If there are fewer noisy rows than folds.
    """

    def __init__(self, data: TrainingData, settings: FoldSettings, trainer: Trainer):
        # Class weights change how classes are learned, not how labels went wrong.
        data = replace(data, weight=data.sample_weight)
        self.data, self.settings, self.trainer = data, settings, trainer
        noisy = np.flatnonzero(data.is_noisy)
        self.given, self.weight = data.y[noisy], data.weight[noisy]
        known = np.zeros(len(data.y), dtype=bool)
        given = data.y
        if data.y_given is not None:
            given = data.y_given
            known = given >= 0
        self.checked = data.y[known], given[known], data.weight[known]
        n_folds: Any = settings.n_folds
        if n_folds == "auto":
            few = len(noisy) < LEARNING.many_rows
            n_folds = LEARNING.few_folds if few else LEARNING.many_folds
            if len(noisy) < LEARNING.few_rows:
                n_folds = 1
        elif n_folds > len(noisy):
            raise ValueError(
                f"n_folds={n_folds} is more than the {len(noisy)} noisy rows."
            )
        self.is_cross_fitted = n_folds > 1
        # A net that predicts its own training rows memorises them more with a cycle.
        self.one_cycle = settings.one_cycle and self.is_cross_fitted
        self.parts = [(data, data.subset(noisy), np.arange(len(noisy)))]
        if self.is_cross_fitted:
            # The matrix does not depend on predictions for clean and outside rows, so
            # every net trains on them.
            self.parts = []
            for _, test in stratified_folds(self.given, n_folds):
                train = np.ones(len(data.y), dtype=bool)
                train[noisy[test]] = False
                self.parts.append((data.subset(train), data.subset(noisy[test]), test))

    def make(self, matrix: np.ndarray, *callbacks: Any) -> list[NoisyLabelNet]:
        """New nets, each with a noise layer of this matrix."""
        cycle = [("cycle", OneCycle())] if self.one_cycle else []
        spec = replace(
            self.trainer.spec,
            criterion=partial(
                NoiseLayer,
                torch.as_tensor(matrix),
                outside=not (self.data.is_clean | self.data.is_noisy).all(),
            ),
            callbacks=[*callbacks, *cycle],
            verbose=0,  # lines of several nets at once cannot be told apart
        )
        nets = []
        check_sampler(spec, self.parts[0][0])
        for train, _, _ in self.parts:
            nets.append(make_net(spec, train.labelled()))
        first = self.parts[0][0].labelled()
        self.updates_per_epoch = len(nets[0].get_iterator(first, training=True))
        return nets

    def logits(self, nets: list[NoisyLabelNet]) -> np.ndarray:
        """Logits of every noisy row, by the net that leaves it out."""
        result = np.empty((len(self.given), len(self.data.classes)))
        for net, (_, left_out, test) in zip(nets, self.parts, strict=True):
            result[test] = net.logits(left_out.rows)
        return result

    def evidence(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, given labels and weights of all rows that show how labels go wrong.

        These are the noisy rows, then the checked ones, whose true label is certain.

        Parameters
        ----------
        logits : ndarray of shape (n_noisy, n_classes)
            Of the noisy rows.
        """
        true, given, weight = self.checked
        certain = CERTAIN * (np.eye(logits.shape[1])[true] - 1)
        return (
            np.concatenate([logits, certain]),
            np.concatenate([self.given, given]),
            np.concatenate([self.weight, weight]),
        )

    def warm_up(self) -> np.ndarray:
        """Logits of every noisy row by nets without a noise layer.

        By default they train for half of the epochs, and for more if there are few
        rows. Without a learning-rate cycle, they train until the accuracy on the given
        labels of the left-out fold stops improving. The best epoch is kept.

        Returns
        -------
        ndarray of shape (n_noisy, n_classes)
        """
        n_epochs, is_auto = self.settings.warm_up, self.settings.warm_up == "auto"
        waits = is_auto and not self.one_cycle
        best = BestEpoch(
            LEARNING.warm_up_patience if waits else None,
            by="loss" if self.one_cycle else "accuracy",
        )
        nets = self.make(np.eye(len(self.data.classes)), ("best_epoch", best))
        if is_auto:
            n_epochs = self.settings.max_epochs
            if self.one_cycle:
                enough = LEARNING.warm_up_updates / self.updates_per_epoch
                part = max(LEARNING.warm_up_part * n_epochs, enough)
                n_epochs = min(n_epochs, math.ceil(part))
        n_epochs = int(n_epochs)
        bar = tqdm(
            desc="epochs of the warm-up",
            total=len(nets) * n_epochs,
            disable=not self.settings.verbose,
        )
        with bar:
            for number, (train, left_out, _) in enumerate(self.parts):
                net, held_out = nets[number], left_out if self.is_cross_fitted else None
                self.trainer.train(
                    net, train.labelled(), held_out, n_epochs, progress=bar.update
                )
                if net.interrupted_:  # no model has been reached yet
                    raise KeyboardInterrupt
                # It may have stopped early, or was resumed.
                bar.update((number + 1) * n_epochs - bar.n)
        return self.logits(nets)


@dataclass(frozen=True)
class CountedMatrix:
    """Counts of the given labels for each class that nets predict for left-out rows.

    Attributes
    ----------
    settings : FoldSettings
    """

    settings: FoldSettings

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """The counts; if rows are left out, mainly those of confident predictions."""
        nets = FoldNets(data.everything, self.settings, trainer)
        logits, given, weight = nets.evidence(nets.warm_up())
        if nets.is_cross_fitted:
            matrix = certain_noise_matrix(softmax(logits, axis=1), given, weight)
        else:
            matrix = count_noise_matrix(
                logits.argmax(axis=1), given, len(nets.data.classes), weight
            )
        return MatrixResult(matrix, [matrix])


@dataclass(frozen=True)
class LearnedMatrix:
    """The matrix that EM learns together with nets that each leave out a fold.

    Attributes
    ----------
    start : MatrixSource
        Where learning starts.
    settings : FoldSettings
    """

    start: MatrixSource
    settings: FoldSettings

    def find(self, data: FitData, trainer: Trainer) -> MatrixResult:
        """The matrix after the last epoch."""
        result = self.start.find(data, trainer)
        nets = FoldNets(data.everything, self.settings, trainer)
        if not nets.is_cross_fitted:
            # With predictions of a net that memorised the labels, EM converges to the
            # identity.
            return result
        learning = MatrixTraining(nets, result.matrix)
        for _ in trainer.epochs_of(learning):
            pass
        return replace(
            result,
            matrix=learning.path[-1],
            path=learning.path,
            label_quality=learning.label_quality,
        )


class MatrixTraining:
    """Training of the matrix and of the nets that each leave out a fold.

    Parameters
    ----------
    nets : FoldNets
    start : ndarray of shape (n_classes, n_classes)

    Attributes
    ----------
    path : list of ndarrays of shape (n_classes, n_classes)
        The start, and the matrix after each epoch.
    label_quality : ndarray of shape (n_noisy,) or None
        After the last epoch: the probability that the label of each noisy row is
        right, by the net that leaves it out.
    """

    def __init__(self, nets: FoldNets, start: np.ndarray):
        self.folds, self.path = nets, [start]
        self.n_epochs = nets.settings.max_epochs
        self.label_quality: np.ndarray | None = None
        self.nets = nets.make(start)
        self.trainings = []
        for net, (train, _, _) in zip(self.nets, nets.parts, strict=True):
            training = Training(net, train.labelled(), None, self.n_epochs)
            self.trainings.append(training)

    def epochs(self) -> Iterator[None]:
        """Train; yields after each epoch of all nets and of the matrix."""
        rest = OneCycle.RISE * self.n_epochs
        rest = max(rest, LEARNING.resting_updates / self.folds.updates_per_epoch)
        rest = min(rest, LEARNING.longest_rest * self.n_epochs)
        bar = tqdm(
            desc="epochs of the noise matrix",
            initial=len(self.path) - 1,
            total=self.n_epochs,
            disable=not self.folds.settings.verbose,
        )
        with bar:
            for _ in zip(*map(Training.epochs, self.trainings), strict=True):
                epoch = len(self.path)
                is_last = epoch == self.n_epochs
                if epoch > rest or is_last:
                    self.path.append(self._updated(is_last))
                else:
                    self.path.append(self.path[-1])
                bar.update()
                yield

    def _updated(self, is_last: bool) -> np.ndarray:
        """The matrix after an epoch, which the nets train with from now on."""
        start, matrix = self.path[0], self.path[-1]
        logits, given, weight = self.folds.evidence(self.folds.logits(self.nets))
        likely, factor, _ = likely_noise_matrix(
            logits,
            given,
            matrix,
            weight,
            max_iter=LEARNING.last_steps if is_last else LEARNING.steps_per_epoch,
        )
        p = softmax(factor * logits, axis=1)
        posterior = p * matrix[given]
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), TINY)
        known = knowledge(posterior, weight)
        matrix = known * likely + (1 - known) * start
        if is_last:
            n_noisy = len(self.folds.given)
            quality = probability_right(p[:n_noisy], given[:n_noisy], matrix)
            self.label_quality = quality
        for net in self.nets:
            net.criterion_.set_matrix(matrix)
        return matrix

    def state_dict(self) -> dict[str, Any]:
        """What learning needs to continue."""
        return {
            "path": self.path,
            "label_quality": self.label_quality,
            "trainings": [training.state_dict() for training in self.trainings],
        }

    def check_state(self, state: Any) -> None:
        """Raise a ValueError unless a state from a file can be loaded."""
        check_parts(state, ("path", "label_quality", "trainings"), "the matrix")
        shapes = [np.shape(matrix) for matrix in state["path"]]
        if not 1 <= len(shapes) <= self.n_epochs + 1 or {*shapes} != {
            self.path[0].shape
        }:
            raise ValueError("the path of the matrix has another shape")
        quality = state["label_quality"]
        if quality is not None and np.shape(quality) != self.folds.given.shape:
            raise ValueError("the quality of the labels has another shape")
        for training, of_training in zip(
            self.trainings, state["trainings"], strict=True
        ):
            training.check_state(of_training)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of the same learning."""
        self.path, self.label_quality = state["path"], state["label_quality"]
        for training, of_training in zip(
            self.trainings, state["trainings"], strict=True
        ):
            training.load_state_dict(of_training)
