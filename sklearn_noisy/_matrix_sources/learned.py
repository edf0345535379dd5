"""The noise matrix from noisy labels alone.

A net that trained on a row has learned its label, and finds no noise in it. So the
rows are divided into folds; for each fold there is a net that trains on the others
and judges this one. These nets learn together, each through the noise layer, and
after every epoch the matrix is the likeliest one given what they all think of the
rows that they do not know.
"""

import copy
import math

import numpy as np
import torch
from scipy.special import softmax
from skorch.callbacks import Callback
from tqdm import tqdm

from sklearn_noisy._splits import stratified_folds
from sklearn_noisy._training.between_epochs import BestEpoch, OneCycle
from sklearn_noisy.nn import NoiseLayer
from sklearn_noisy.noise import (
    certain_noise_matrix,
    confident_noise_matrix,
    count_noise_matrix,
    likely_noise_matrix,
    probability_right,
)

__all__ = ["Folds", "MatrixPath", "StartLearning", "auto_folds", "knowledge"]

# The nets that count get this part of the epochs, or more, up to all, until they have
# had so many updates. Where the learning rate goes through no cycle, they stop after so
# many epochs without a gain.
WARM_UP_PART = 0.5
WARM_UP_STEPS = 200
WARM_UP_PATIENCE = 5

# The matrix stays where it is while the learning rate rises, and until the nets have
# had so many updates, but not for more than this part of the epochs: what a net that
# knows little makes of the matrix, it then learns, and both stay wrong.
RESTING_STEPS = 200
LONGEST_REST = 0.5

# What the start of a column is worth, as a part of what is not known of its class: see
# `knowledge`.
START_WORTH = 0.25

TINY = np.finfo(np.float64).tiny

# Steps of EM between two epochs, which go on from the last matrix, and in the end.
STEPS_PER_EPOCH = 20
MAX_STEPS = 2000


def auto_folds(n_rows):
    """Folds for so many noisy rows.

    Few rows want nets that train on most of them. On many, half is enough, and two
    nets on half of the rows cost what one on all of them would. Very few cannot be
    divided: there the matrix is only counted, and scikit-learn's rule that a row of
    weight k equals k rows holds exactly.
    """
    if n_rows < 200:
        return 1
    return 5 if n_rows < 10_000 else 2


def knowledge(probabilities, weight):
    """How far each class is known, from 0 to 1.

    The variance of "the true class is k" has a part that its probabilities explain,
    r = Var(p_k) / E p_k (1 - E p_k), and one that is missing. EM finds the column from
    the first, and goes astray where the other is large: where neither a row nor its
    label says much, it puts the row wherever it likes, and the nets learn that the
    rows of the class are noise. So the start keeps a weight in proportion to what is
    missing.

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
    explained = np.minimum(explained, 1)  # but for rounding
    return explained / (explained + START_WORTH * (1 - explained))


def n_updates(net, rows):
    """Updates of the weights in an epoch."""
    return len(net.get_iterator(rows, training=True))


class MatrixPath(Callback):
    """Keep the noise matrix of each epoch while the gradient changes it."""

    def initialize(self):
        """Forget an earlier path."""
        self.path_ = []
        return self

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """The matrix after this epoch."""
        matrix = net.criterion_.matrix.detach().cpu().double().numpy()
        self.path_.append(matrix.copy())  # not the memory that learns on


class StartLearning(Callback):
    """Let the gradient change the noise matrix from some epoch on.

    Parameters
    ----------
    epoch : int
        Counted from 1.

    Attributes
    ----------
    has_ended_ : bool
        Whether the matrix is fixed from now on.
    """

    # What a file keeps of it.
    KEPT = ("has_ended_",)

    def __init__(self, epoch):
        self.epoch = epoch

    def initialize(self):
        """A training that has not ended."""
        self.has_ended_ = False
        return self

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Switch, before the first update of this epoch."""
        learn = len(net.history) >= self.epoch and not self.has_ended_
        if learn != net.criterion_.learn:
            net.criterion_.set_learning(learn)


class Folds:
    """Nets that each leave out a fold, and what they say of it.

    Parameters
    ----------
    data : TrainingData
    n_folds : int
        1: a single net that trains on everything, and judges that.
    make_net : callable
        Takes data, a criterion and a list of callbacks, returns a net.
    make_rows : callable
        Takes data and, as a keyword, whether they train; returns rows.
    max_epochs : int
        Of each training.
    one_cycle : bool
        Whether the learning rate goes through a cycle, where there are several nets.
    checkpoint : Checkpoint or NoCheckpoint
    verbose : int
        Above 0, a progress bar (on stderr).

    Attributes
    ----------
    quality : ndarray of shape (n_noisy,) or None
        Once a matrix is learned: how probable it is that the label of each noisy row
        is right, by the net that leaves it out.
    """

    quality = None

    def __init__(
        self,
        data,
        n_folds,
        make_net,
        make_rows,
        *,
        max_epochs,
        one_cycle,
        checkpoint,
        verbose,
    ):
        self.verbose = verbose
        self.data = data
        self.checkpoint = checkpoint
        self.make_net = make_net
        self.make_rows = make_rows
        self.max_epochs = max_epochs
        self.noisy = np.flatnonzero(data.is_noisy)
        self.given = data.y[self.noisy]
        self.weight = data.weight[self.noisy]
        self.is_cross_fitted = n_folds > 1
        # A net that judges the rows that it trains on need not learn them better.
        self.one_cycle = one_cycle and self.is_cross_fitted
        everything = np.ones(len(data.y), dtype=bool)
        self.parts = [(everything, np.arange(len(self.noisy)))]
        if self.is_cross_fitted:
            # Clean and outside rows measure nothing: every net learns from them.
            self.parts = []
            for _, test in stratified_folds(self.given, n_folds):
                train = everything.copy()
                train[self.noisy[test]] = False
                self.parts.append((train, test))

    def _layers_and_nets(self, matrix, callbacks=()):
        if self.one_cycle:
            callbacks = [*callbacks, ("cycle", OneCycle())]
        layers, nets = [], []
        for train, _ in self.parts:
            layers.append(
                NoiseLayer(
                    torch.as_tensor(matrix), outside=bool(self.data.is_outside.any())
                )
            )
            part = self.data.subset(train)
            own = [(name, copy.copy(callback)) for name, callback in callbacks]
            nets.append(self.make_net(part, layers[-1], own))
        return layers, nets

    def _rows(self):
        """Training rows and left-out rows of each net."""
        for train, test in self.parts:
            yield (
                self.make_rows(self.data.subset(train)),
                self.make_rows(self.data.subset(self.noisy[test]), training=False),
            )

    def _logits(self, nets, left_out):
        logits = np.empty((len(self.noisy), self.data.n_classes))
        for net, rows, (_, test) in zip(nets, left_out, self.parts, strict=True):
            logits[test] = net.logits(rows)
        return logits

    def warm_up(self, n_epochs):
        """Logits of every noisy row by nets without a noise layer.

        Parameters
        ----------
        n_epochs : int or None
            None: half of the epochs, more on few rows, or, where the learning rate
            goes through no cycle, until the agreement with the given labels of the
            fold that is left out no longer grows. The best epoch is kept.

        Returns
        -------
        ndarray of shape (n_noisy, n_classes)
        """
        waits = n_epochs is None and not self.one_cycle
        best = BestEpoch(
            WARM_UP_PATIENCE if waits else None,
            by="loss" if self.one_cycle else "accuracy",
        )
        callbacks = [("best_epoch", best)]
        _, nets = self._layers_and_nets(np.eye(self.data.n_classes), callbacks)
        rows = list(self._rows())
        if n_epochs is None:
            n_epochs = self.max_epochs
            if self.one_cycle:
                enough = WARM_UP_STEPS / n_updates(nets[0], rows[0][0])
                n_epochs = min(
                    n_epochs, math.ceil(max(WARM_UP_PART * n_epochs, enough))
                )
        for net, (train, left_out) in zip(nets, rows, strict=True):
            net.train(
                train,
                left_out if self.is_cross_fitted else None,
                n_epochs,
                self.checkpoint.stage(),
            )
            if net.interrupted_:  # no model has been reached yet
                raise KeyboardInterrupt
        return self._logits(nets, [left_out for _, left_out in rows])

    def count(self, logits):
        """Noise matrix by counting, where the nets are certain if they can be."""
        if self.is_cross_fitted:
            return certain_noise_matrix(
                softmax(logits, axis=1), self.given, self.weight
            )
        return count_noise_matrix(
            logits.argmax(axis=1), self.given, self.data.n_classes, self.weight
        )

    def confident(self, logits):
        """Noise matrix from the confident joint."""
        return confident_noise_matrix(softmax(logits, axis=1), self.given, self.weight)

    def learn(self, start):
        """The matrix that learns together with the nets.

        Parameters
        ----------
        start : ndarray of shape (n_classes, n_classes)

        Returns
        -------
        list of ndarrays of shape (n_classes, n_classes)
            The start, and the matrix after each epoch.
        """
        if not self.is_cross_fitted:
            # Judged by nets that know their labels, EM goes to the identity.
            return [start]
        layers, nets = self._layers_and_nets(start)
        rows = list(self._rows())
        left_out = [rows for _, rows in rows]
        stage = self.checkpoint.stage()
        path, self.quality, progress = (stage and stage.load()) or (
            [start],
            None,
            [None] * len(nets),
        )
        trainings = [
            net.train_by_epoch(train, None, self.max_epochs, of_net)
            for net, (train, _), of_net in zip(nets, rows, progress, strict=True)
        ]
        rest = self._resting_epochs(nets[0], rows[0][0])
        epochs = tqdm(
            zip(*trainings, strict=True),
            desc="epochs of the noise matrix",
            initial=len(path) - 1,
            total=self.max_epochs,
            disable=not self.verbose,
        )
        for _ in epochs:
            epoch, matrix = len(path), path[-1]
            last = epoch == self.max_epochs
            if epoch > rest or last:
                steps = MAX_STEPS if last else STEPS_PER_EPOCH
                matrix, p = self._update(
                    self._logits(nets, left_out), matrix, start, steps
                )
                if last:
                    self.quality = probability_right(p, self.given, matrix)
                for layer in layers:
                    layer.set_matrix(matrix)
            path.append(matrix)
            if stage is not None:
                stage.save((path, self.quality, [net.progress() for net in nets]))
        return path

    def _update(self, logits, matrix, start, n_steps):
        """The matrix after an epoch, by so many steps of EM, and what it goes by.

        That is the probability of each true class, given the row alone.
        """
        likely, factor, _ = likely_noise_matrix(
            logits, self.given, matrix, self.weight, max_iter=n_steps
        )
        p = softmax(factor * logits, axis=1)
        posterior = p * matrix[self.given]
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), TINY)
        known = knowledge(posterior, self.weight)
        return known * likely + (1 - known) * start, p

    def _resting_epochs(self, net, rows):
        rest = OneCycle.RISE * self.max_epochs
        rest = max(rest, RESTING_STEPS / n_updates(net, rows))
        return min(rest, LONGEST_REST * self.max_epochs)
