"""Training that goes on with other parameters, and training that is cut."""

import functools
import os
import pickle
import signal
import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, Checkpoint, EpochScoring
from torch.utils.data import DataLoader

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
    load,
    save,
)
from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.exceptions import TrainingInterruptedWarning
from sklearn_noisy.nn import TensorBatches

Q = make_noise_matrix(3, 0.2)


def robust(**params):
    params = {"loss": "cross_entropy", "max_epochs": 3, "warm_start": True, **params}
    return RobustLossClassifier(random_state=0, **params)


def adapted(**params):
    params = {"max_epochs": 4, "n_rounds": 1, **params}
    return NoiseAdaptedClassifier(
        module__hidden_layer_sizes=(8,), random_state=0, **params
    )


def moved(clf, X, y):
    """How far probabilities move in another call."""
    before = clf.predict_proba(X)
    return np.abs(clf.fit(X, y).predict_proba(X) - before).max()


# Parameters that have changed.


def test_a_lower_learning_rate_is_taken(iris):
    X, y = iris
    clf = robust(lr=0.01).fit(X, y)
    assert moved(clf.set_params(lr=1e-9), X, y) < 1e-6
    assert clf.net_.lr == 1e-9
    # The optimizer is the same one: it knows the gradients that were.
    assert clf.net_.optimizer_.state_dict()["state"][0]["step"] == 12
    assert moved(clf.set_params(lr=0.01), X, y) > 1e-3
    again = adapted(noise_matrix=Q, n_rounds=0, warm_start=True).fit(X, y)
    assert moved(again.set_params(lr=1e-9), X, y) < 1e-6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.1),
        ("batch_size", 10),
        ("optimizer", torch.optim.SGD),
        ("optimizer__weight_decay", 0.5),
        ("iterator_train__drop_last", True),
        ("iterator_train", DataLoader),
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_what_a_net_takes_over(iris, name, value, copied):
    X, y = iris
    a, b = robust().fit(X, y), robust().fit(X, y)
    if copied:
        b = pickle.loads(pickle.dumps(b))
    a.fit(X, y)
    b.set_params(**{name: value}).fit(X, y)
    assert np.abs(a.predict_proba(X) - b.predict_proba(X)).max() > 1e-6
    # What is taken once is not taken again.
    assert b.fit(X, y).n_iter_ == 9


def test_partial_fit_takes_them_too(iris):
    X, y = iris
    clf = robust().partial_fit(X, y, classes=[0, 1, 2])
    before = clf.predict_proba(X)
    clf.set_params(lr=1e-9).partial_fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X), before, atol=1e-6)
    with pytest.raises(TypeError, match="iterator_train__num_workers is not"):
        clf.set_params(iterator_train__num_workers=0).partial_fit(X, y)


def test_lines_are_printed_from_then_on(iris, capsys):
    X, y = iris
    clf = robust().fit(X, y)
    assert capsys.readouterr().out == ""
    clf.set_params(verbose=1).fit(X, y)
    assert "train_loss" in capsys.readouterr().out


def test_a_loaded_model_takes_them(iris, tmp_path):
    X, y = iris
    save(robust(lr=0.01).fit(X, y), tmp_path / "model")
    clf = load(tmp_path / "model")
    assert moved(clf.set_params(lr=1e-9), X, y) < 1e-6


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (robust, "loss", "blurry"),
        (robust, "gamma", 0.3),
        (robust, "loss__q", 0.3),
        (robust, "delay", 3),
        (robust, "precision", "bfloat16"),
        (robust, "module__hidden_layer_sizes", (3,)),
        (robust, "n_iter_no_change", 3),
        (robust, "callbacks", [EpochScoring("accuracy")]),
        (robust, "optimizer__param_groups", [("*", {"lr": 1.0})]),
        (adapted, "noise_matrix", np.eye(3)),
        (adapted, "noise_model", "top_down"),
        (adapted, "alpha", 0.3),
    ],
)
def test_what_a_net_cannot_take_over(iris, make, name, value):
    X, y = iris
    given = {"noise_matrix": Q} if make is adapted else {}
    clf = make(**{"warm_start": True, **given}).fit(X, y)
    before = clf.predict_proba(X)
    old = clf.get_params().get(name)
    clf.set_params(**{name: value})
    with pytest.raises(ValueError, match=f"(?s){name} has changed since, from .* to "):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    if old is not None:
        assert clf.set_params(**{name: old}).fit(X, y).n_iter_ > 3


def test_weights_of_rows_may_change(iris):
    X, y = iris
    clean = y == 0
    clf = adapted(noise_matrix=Q, n_rounds=0, warm_start=True)
    clf.fit(X, y, is_clean=clean)
    clf.set_params(gamma=0.1, class_weight={0: 2.0, 1: 1.0, 2: 1.0}, max_epochs=1)
    assert clf.fit(X, y, is_clean=clean).n_iter_ == 5


def test_labels_that_the_matrix_does_not_know_leave_the_model_whole(iris):
    X, y = iris
    matrix = [[1, 0, 0.5], [0, 1, 0.5], [0, 0, 0]]
    clf = adapted(noise_matrix=np.asarray(matrix, dtype=float), n_rounds=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*singular")
        clf.partial_fit(X, y, classes=[0, 1, 2], is_clean=np.ones(len(y), dtype=bool))
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match="gives the label 2 probability 0"):
        clf.partial_fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    # A part of the rows without a clean one is no mistake.
    some = y != 2
    clf.partial_fit(X[some], y[some], is_clean=np.zeros(some.sum(), dtype=bool))
    assert clf.n_iter_ == 2


def test_the_matrix_stays_as_it_was_learned(iris):
    X, y = iris
    for n_rounds in (0, 1):
        clf = adapted(
            regularizer="trace", noise_init="identity", noise_decay=1.0, noise_lr=0.05
        )
        clf.set_params(n_rounds=n_rounds, warm_start=True, max_epochs=6).fit(X, y)
        path = clf.noise_matrix_path_
        assert len(np.unique(path[:, 0, 0])) > 2  # every epoch its own
        np.testing.assert_allclose(path[-1], clf.noise_matrix_)
        clf = pickle.loads(pickle.dumps(clf)) if n_rounds else clf
        clf.fit(X, y)
        layer = clf.net_.criterion_
        assert not layer.learn
        np.testing.assert_allclose(layer.matrix.detach(), clf.noise_matrix_, atol=1e-6)


# Interrupts.


class Interrupt(Callback):
    """Ctrl-C in some epoch of the net that `fit` keeps."""

    def __init__(self, epoch, in_round=0):
        self.epoch = epoch
        self.in_round = in_round

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if len(net.history) == self.epoch and net.round_ in (None, self.in_round):
            raise KeyboardInterrupt


def test_an_interrupt_keeps_what_was_reached_and_says_so(iris):
    X, y = iris
    clf = robust(max_epochs=9, callbacks=[Interrupt(4)])
    with pytest.warns(TrainingInterruptedWarning, match="interrupted in epoch 4"):
        clf.fit(X, y)
    plain = robust().fit(X, y)  # three epochs
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    part = robust(callbacks=[Interrupt(2)]).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.warns(TrainingInterruptedWarning):
        part.partial_fit(X, y)


class CtrlC(Callback):
    """A real signal while callbacks run, which skorch takes for a quiet stop."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3 and net.round_ in (None, 0):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("make", [robust, functools.partial(adapted, noise_matrix=Q)])
def test_a_signal_among_callbacks_is_no_quiet_stop(iris, tmp_path, make):
    handler = signal.getsignal(signal.SIGINT)
    clf = make(max_epochs=9, callbacks=[CtrlC()], checkpoint=tmp_path)
    with pytest.warns(TrainingInterruptedWarning, match="interrupted in epoch 3"):
        clf.fit(*iris)
    assert clf.n_iter_ == 3
    assert list(tmp_path.iterdir())  # so that the fit can be resumed
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_trained_module_computes_what_is_predicted(iris):
    X, y = iris
    clf = robust(module__dropout=0.5).fit(X, y)
    logits = clf.module_(torch.as_tensor(X))
    np.testing.assert_allclose(
        torch.softmax(logits, dim=1).detach(), clf.predict_proba(X), rtol=1e-12
    )


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupt_keeps_the_last_net_that_is_whole(iris, early_stopping):
    X, y = iris
    settings = {"noise_matrix": Q, "early_stopping": early_stopping}
    clf = adapted(**settings, callbacks=[Interrupt(2, in_round=1)])
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X, y)
    whole = adapted(**settings, n_rounds=0).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))


class InterruptModule(torch.nn.Linear):
    """Ctrl-C in one forward pass of training."""

    count = None

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)

    def forward(self, X):
        if self.training and InterruptModule.count is not None:
            InterruptModule.count -= 1
            if InterruptModule.count == 0:
                raise KeyboardInterrupt
        return super().forward(X)


@pytest.mark.parametrize("count", [3, 12])
def test_without_a_matrix_there_is_no_model_yet(noisy_digits, count):
    X, y = noisy_digits[0][:400], noisy_digits[1][:400]
    # In the nets that count, and in those that learn the matrix.
    InterruptModule.count = count
    clf = NoiseAdaptedClassifier(
        InterruptModule, max_epochs=2, batch_size=100, n_folds=2, random_state=0
    )
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert not hasattr(clf, "classes_")


def test_folds_are_not_cut(iris):
    X, y = iris
    clf = RobustLossClassifier(
        InterruptModule, loss="cross_entropy", max_epochs=3, batch_size=50
    )
    for search in (
        lambda: find_label_issues(clf, X, y, cv=2),
        lambda: NoiseMatrixEstimator(clf, cv=2).fit(X, y, is_clean=np.arange(150) < 60),
    ):
        InterruptModule.count = 5
        with pytest.raises(KeyboardInterrupt):
            search()
    # scikit-learn's own searches go on, as with its own networks, and it is told.
    InterruptModule.count = 5
    with pytest.warns(TrainingInterruptedWarning):
        GridSearchCV(clf, {"lr": [0.1]}, cv=2).fit(X, y)


# Callbacks of skorch that look into the last batch.


def test_skorch_checkpoints(iris, tmp_path):
    X, y = iris
    for monitor in ("train_loss_best", None):
        checkpoint = Checkpoint(monitor=monitor, dirname=tmp_path / str(monitor))
        clf = robust(callbacks=[checkpoint]).fit(X, y)
        weights = torch.load(tmp_path / str(monitor) / "params.pt", weights_only=True)
        for name, value in clf.module_.state_dict().items():
            torch.testing.assert_close(weights[name], value)


def test_the_batches_are_ours_by_default(iris):
    clf = robust().fit(*iris)
    assert clf.net_.iterator_train is TensorBatches
    assert clf.history_[-1]["batches"] == []


@pytest.mark.parametrize("group", ["iterator_train", "iterator_valid"])
def test_parameters_that_our_batches_lack_are_refused_before_training(iris, group):
    message = f"{group}__num_workers is not a parameter .* with {group}=torch"
    with pytest.raises(TypeError, match=message):
        robust(**{f"{group}__num_workers": 1}).fit(*iris)


# A matrix that was found, then known.


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"regularizer": "trace"},
        {"noise_matrix": "estimate"},
        {"noise_matrix": Q, "refine": True},
        {"noise_model": "backward", "noise_matrix": "estimate"},
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning")
def test_the_matrix_that_was_found_is_known_from_then_on(iris, params):
    X, y = iris
    clf = adapted(max_epochs=2, **params).fit(X, y, is_clean=np.arange(len(y)) % 5 == 0)
    assert not hasattr(clf, "partial_fit")
    with pytest.raises(AttributeError) as caught:
        _ = clf.partial_fit
    assert "noise_matrix=clf.noise_matrix_" in str(caught.value.__cause__)
    matrix, other = clf.noise_matrix_, pickle.loads(pickle.dumps(clf))
    clf.set_params(noise_matrix=matrix, refine=False)
    before, epochs = clf.predict_proba(X), len(clf.net_.history)
    clf.partial_fit(X, y)
    assert np.abs(clf.predict_proba(X) - before).max() > 1e-5
    assert len(clf.net_.history) == epochs + 1
    np.testing.assert_array_equal(clf.noise_matrix_, matrix)
    # A warm start with the parameters of the first fit trains the same net.
    again = pickle.loads(pickle.dumps(other)).set_params(warm_start=True).fit(X, y)
    other.set_params(noise_matrix=matrix, refine=False, warm_start=True).fit(X, y)
    np.testing.assert_array_equal(other.predict_proba(X), again.predict_proba(X))


@pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning")
def test_a_file_goes_on_with_the_matrix_that_was_found(iris, tmp_path):
    X, y = iris
    outside = np.append(y[:-10], [-1] * 10)
    clf = adapted(max_epochs=2, outside_label=-1).fit(X, outside)
    save(clf, tmp_path / "fitted")
    loaded = load(tmp_path / "fitted")
    for part in (clf, loaded):
        part.set_params(noise_matrix=part.noise_matrix_).partial_fit(X, outside)
    save(loaded, tmp_path / "again")
    loaded = load(tmp_path / "again")
    for part in (clf, loaded):
        part.partial_fit(X, outside)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


@pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning")
def test_another_matrix_is_refused_in_one_line(iris):
    X, y = iris
    clf = adapted(max_epochs=2).fit(X, y)
    clf.set_params(noise_matrix=Q)
    with pytest.raises(ValueError, match="from 'learn' to an array of shape .3, 3."):
        clf.set_params(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="to an array of shape .3, 3."):
        clf.partial_fit(X, y)
