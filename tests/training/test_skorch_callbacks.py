"""What skorch's documentation promises to a callback holds for our nets."""

import io
import threading
from functools import partial

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    Initializer,
    InputShapeSetter,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    TensorBoard,
    Unfreezer,
)
from skorch.dataset import Dataset, unpack_data
from skorch.scoring import loss_scoring
from skorch.utils import data_from_dataset
from torch.utils.data import DataLoader, Subset

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import make_noise_matrix

FEW = {"max_epochs": 2, "random_state": 0, "module__hidden_layer_sizes": (8,)}
ADAPTED = {**FEW, "noise_matrix": make_noise_matrix(3, 0.2), "early_stopping": True}
ROBUST = {**FEW, "loss": "cross_entropy"}


class Seen(Callback):
    """Keep what hooks are given."""

    def initialize(self):
        self.begun, self.batches, self.data = [], [], None
        return self

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.begun.append((X.shape, np.asarray(X), y))

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        self.batches.append((training, batch))

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.data = dataset_train, dataset_valid


def callback(clf, name):
    return dict(clf.net_.callbacks_)[name]


# Labels.


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("batches", [{}, {"iterator_valid": DataLoader}])
@pytest.mark.parametrize("caching", [True, False])
def test_a_scoring_of_held_out_rows_is_the_recorded_accuracy(
    iris, share, batches, caching
):
    X, y = iris
    scoring = EpochScoring("accuracy", lower_is_better=False, use_caching=caching)
    clf = NoiseAdaptedClassifier(n_rounds=0, callbacks=[scoring], **batches, **ADAPTED)
    clf.fit(X, y, is_clean=np.arange(len(y)) < share * len(y))
    np.testing.assert_allclose(
        clf.history_[:, "accuracy"], clf.history_[:, "valid_acc"]
    )
    assert clf.history_[:, "accuracy_best"] == clf.history_[:, "valid_acc_best"]


@pytest.mark.parametrize("noise_model", ["bottom_up", "top_down", "backward"])
@pytest.mark.parametrize("loading", [{}, {"iterator_train": DataLoader}])
@pytest.mark.filterwarnings("ignore:noise_model='backward'")
def test_callbacks_see_given_labels_in_every_round(iris, noise_model, loading):
    """Posteriors of a round, codes of clean rows and outside rows are not labels."""
    X, y = iris
    y = np.where(np.arange(len(y)) % 10 == 0, 9, y)
    train = EpochScoring("accuracy", on_train=True)
    params = {**ADAPTED, **loading, "noise_model": noise_model, "outside_label": 9}
    if noise_model == "top_down":
        del params["noise_matrix"]
    clf = NoiseAdaptedClassifier(callbacks=[train, Seen()], **params)
    clf.fit(X, y, is_clean=np.arange(len(y)) % 3 == 0)
    n_rounds = 2 if noise_model == "bottom_up" else 1
    assert clf.history_[:, "round"] == [0, 0, 1, 1][: 2 * n_rounds]
    assert min(clf.history_[:, "accuracy"]) > 0
    seen = callback(clf, "Seen")
    labels = np.where(y == 9, 3, y)  # the number of classes for a row of no class
    for part in seen.data:
        given = {tuple(x): label for x, label in zip(X, labels, strict=True)}
        assert part.y.tolist() == [given[tuple(x)] for x in part.X]
    batch_labels = [batch[1] for training, batch in seen.batches if training]
    for_two_epochs = np.sort(torch.cat(batch_labels)).tolist()
    assert for_two_epochs == np.sort([*seen.data[0].y] * 2).tolist()
    assert 3 in seen.data[0].y
    assert 3 not in seen.data[1].y
    (shape, rows, given), *_ = seen.begun
    np.testing.assert_array_equal(rows, seen.data[0].X)
    np.testing.assert_array_equal(given, seen.data[0].y)
    assert shape == rows.shape


def test_a_net_predicts_for_what_callbacks_are_given(iris):
    def of_data(net, data, y=None):
        assert y is None or isinstance(y, np.ndarray)
        X, labels = data_from_dataset(data) if isinstance(data, Dataset) else (data, y)
        part = Subset(data, [3, 1]) if isinstance(data, Dataset) else data[[3, 1]]
        expected = net.predict_proba(X)[[3, 1]]
        np.testing.assert_allclose(net.predict_proba(part), expected)
        for form in (torch.as_tensor(X), sparse.csr_array(X), {"X": X}):
            np.testing.assert_allclose(net.predict_proba(form)[[3, 1]], expected)
        return accuracy_score(labels, net.predict(X))

    class WholeData(Callback):
        def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            net.history.record("whole", of_data(net, dataset_valid))

    arrays = EpochScoring(of_data, use_caching=False, name="arrays")
    batch_accuracy = BatchScoring("accuracy", use_caching=False, name="batch")
    callbacks = [arrays, WholeData(), batch_accuracy]
    clf = NoiseAdaptedClassifier(callbacks=callbacks, n_rounds=0, **ADAPTED).fit(*iris)
    for name in ("arrays", "whole", "batch"):
        np.testing.assert_allclose(clf.history_[:, name], clf.history_[:, "valid_acc"])


def test_the_loss_of_the_net_is_a_score(iris):
    clf = RobustLossClassifier(
        callbacks=[EpochScoring(loss_scoring)], early_stopping=True, **ROBUST
    ).fit(*iris)
    np.testing.assert_allclose(
        clf.history_[:, "loss_scoring"], clf.history_[:, "valid_loss"]
    )


def test_a_checkpoint_of_the_best_accuracy(iris):
    stored = io.BytesIO()
    best = Checkpoint(
        monitor="valid_acc_best",
        f_params=stored,
        **dict.fromkeys(["f_optimizer", "f_history", "f_criterion"]),
    )
    NoiseAdaptedClassifier(callbacks=[best], n_rounds=0, **ADAPTED).fit(*iris)
    stored.seek(0)
    assert "layers.1.weight" in torch.load(stored, weights_only=True)


# Batches in the history.


class ReadsHistory(Callback):
    """A callback without batch hooks that reads batches."""

    def on_epoch_end(self, net, **kwargs):
        sizes = net.history[-1, "batches", :, "train_batch_size"]
        net.history.record("n_rows", sum(sizes))


def test_batches_are_in_the_history_if_a_callback_may_read_them(iris):
    params = {**ROBUST, "batch_size": 32}
    passed = PassthroughScoring("train_loss", on_train=True)
    for callbacks in ([passed], [ReadsHistory()], [("reads", ReadsHistory)]):
        clf = RobustLossClassifier(callbacks=callbacks, **params).fit(*iris)
        losses, sizes = zip(
            *clf.history_[0, "batches", :, ["train_loss", "train_batch_size"]],
            strict=True,
        )
        assert sizes == (32, 32, 32, 32, 22)
        mean = np.average(losses, weights=sizes)
        assert clf.history_[0, "train_loss"] == pytest.approx(mean)
    assert clf.history_[:, "n_rows"] == [150, 150]
    plain = RobustLossClassifier(
        callbacks=[EpochTimer(), EarlyStopping("train_loss")], **params
    ).fit(*iris)
    assert plain.history_[0, "batches"] == []
    assert plain.history_[:, "train_batch_count"] == [5, 5]


def test_a_scheduler_of_batches_counts_training_batches_alone(iris):
    scheduler = LRScheduler("StepLR", step_size=3, step_every="batch")
    clf = RobustLossClassifier(
        callbacks=[("lr", scheduler)],
        warm_start=True,
        early_stopping=True,
        batch_size=32,
        **ROBUST,
    ).fit(*iris)
    n_batches = 2 * clf.history_[0, "train_batch_count"]
    assert callback(clf, "lr").batch_idx_ == n_batches
    clf.fit(*iris)
    assert callback(clf, "lr").batch_idx_ == 2 * n_batches


class Sized(torch.nn.Linear):
    """A linear net whose default size fits nothing."""

    def __init__(self, input_dim=3, n_classes=2):
        super().__init__(input_dim, n_classes)


def test_a_callback_sets_the_input_shape(iris):
    params = {"max_epochs": 2, "loss": "cross_entropy", "random_state": 0}
    shaped = RobustLossClassifier(Sized, callbacks=[InputShapeSetter()], **params)
    shaped.fit(*iris)
    assert shaped.module_.weight.shape == (3, 4)
    # For the default network, the other parameters stay.
    setter = InputShapeSetter("n_features")
    clf = RobustLossClassifier(callbacks=[setter], **ROBUST).fit(*iris)
    assert clf.module_.layers[1].weight.shape == (8, 4)
    assert clf.module_.layers[1].weight.dtype == torch.float64
    assert clf.module_.layers[-1].weight.shape == (3, 8)


# Rounds: each net is a training of its own.


def test_weights_that_a_callback_sets_and_freezes_stay_in_every_round(iris):
    start = Initializer("*bias", partial(torch.nn.init.constant_, val=0.25))
    freeze = Freezer("*bias")
    clf = NoiseAdaptedClassifier(callbacks=[start, freeze], **ADAPTED).fit(*iris)
    for name, weight in clf.module_.named_parameters():
        assert bool((weight == 0.25).all()) == name.endswith("bias")


def test_hooks_count_the_epochs_of_their_own_net(iris):
    zero = ParamMapper("*weight", torch.nn.init.zeros_, at=2, schedule=None)
    unfreeze = [Freezer("*weight"), Unfreezer("*weight", at=2)]
    clf = NoiseAdaptedClassifier(
        callbacks=[zero, *unfreeze],
        callbacks__best_epoch=None,
        lr_schedule="constant",
        optimizer=torch.optim.SGD,
        **{**ADAPTED, "lr": 1e-9},
    ).fit(*iris)
    assert clf.history_[:, "round"] == [0, 0, 1, 1]
    weights = [w for name, w in clf.module_.state_dict().items() if "weight" in name]
    assert max(float(w.abs().max()) for w in weights) < 1e-6


def test_a_scheduler_and_early_stopping_in_every_round(iris):
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.5)
    stop = EarlyStopping(patience=2, threshold=1.0)  # nothing is so much better
    clf = NoiseAdaptedClassifier(
        callbacks=[scheduler, stop],
        lr_schedule="constant",
        **{**ADAPTED, "max_epochs": 9},
    ).fit(*iris)
    rounds, rates = clf.history_[:, "round"], clf.history_[:, "event_lr"]
    assert rounds == [0] * rounds.count(0) + [1] * rounds.count(1)
    assert 1 < rounds.count(1) < 9
    expected = [2e-3 / 2**k for n in (0, 1) for k in range(rounds.count(n))]
    np.testing.assert_allclose(rates, expected)


# What callbacks hold.


class Logger(Callback):
    """Holds what can be neither copied nor pickled."""

    def __init__(self, file):
        self.file = file
        self.lock = threading.Lock()
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        with self.lock:
            self.n_epochs += 1
            self.file.write(f"{net.history[-1, 'train_loss']}\n")


class Writer:
    """As TensorBoard's SummaryWriter."""

    def __init__(self):
        self.lock = threading.Lock()
        self.scalars = []

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.append(tag)

    def close(self):
        pass


@pytest.mark.parametrize("named", [False, True])
def test_a_log_is_written_where_it_was_asked_for(iris, named, tmp_path):
    with open(tmp_path / "log", "w+") as file:
        logger = Logger(file)
        callbacks = [("log", logger)] if named else [logger]
        clf = NoiseAdaptedClassifier(callbacks=callbacks, **ADAPTED).fit(*iris)
        file.seek(0)
        written = [float(line) for line in file]
    assert written == clf.history_[:, "train_loss"]
    # The given one is a parameter: training changes its copies.
    assert clf.callbacks is callbacks
    assert logger.n_epochs == 0
    assert callback(clf, "log" if named else "Logger").n_epochs == 2


def test_a_callback_that_replaces_another_is_copied_too(iris):
    given = Logger(io.StringIO())
    clf = RobustLossClassifier(callbacks__best_epoch=given, **ROBUST).fit(*iris)
    assert given.n_epochs == 0
    assert callback(clf, "best_epoch").n_epochs == 2
    assert len(given.file.getvalue().split()) == 2


def test_a_writer_and_a_buffer_get_what_is_logged(iris):
    writer, buffer = Writer(), io.BytesIO()
    stored = Checkpoint(
        monitor=None,
        f_params=buffer,
        **dict.fromkeys(["f_optimizer", "f_history", "f_criterion"]),
    )
    RobustLossClassifier(callbacks=[TensorBoard(writer), stored], **ROBUST).fit(*iris)
    assert writer.scalars.count("Loss/train_loss") == 2
    assert len(buffer.getvalue()) > 0


def test_clones_share_what_callbacks_hold(iris):
    logger = Logger(io.StringIO())
    clf = RobustLossClassifier(callbacks=[("log", logger)], **ROBUST)
    copied = clone(clf)
    assert copied.callbacks[0][0] == "log"
    assert copied.callbacks[0][1] is not logger
    assert copied.callbacks[0][1].lock is logger.lock
    assert {**copied.get_params(), "callbacks": 0} == {
        **clf.get_params(),
        "callbacks": 0,
    }
    search = GridSearchCV(clf, {"lr": [1e-3]}, cv=2, error_score="raise")
    search.fit(*iris)
    assert len(logger.file.getvalue().split()) == 3 * 2


# What is refused before anything is trained.


@pytest.mark.parametrize("cls", [RobustLossClassifier, NoiseAdaptedClassifier])
@pytest.mark.parametrize(
    "make",
    [
        EarlyStopping,
        lambda: EarlyStopping("valid_acc", lower_is_better=False),
        Checkpoint,
        lambda: LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
    ],
)
def test_a_monitor_of_held_out_rows_needs_them(iris, cls, make):
    constant = {"lr_schedule": "constant"} if cls is NoiseAdaptedClassifier else {}
    clf = cls(callbacks=[make()], **FEW, **constant)
    with pytest.raises(ValueError, match=r"monitors 'valid_.* early_stopping=True"):
        clf.fit(*iris)
    assert not hasattr(clf, "classes_")


def test_partial_fit_holds_out_no_rows(iris):
    clf = RobustLossClassifier(callbacks=[EarlyStopping()], **ROBUST)
    with pytest.raises(ValueError, match="partial_fit holds out none"):
        clf.partial_fit(*iris, classes=[0, 1, 2])


def test_a_scoring_of_held_out_rows_says_that_there_are_none(iris):
    silent = LRScheduler("StepLR", step_size=1, monitor="valid_loss")  # not read
    scored = EpochScoring("accuracy", on_train=True, name="valid_acc")
    stop = EarlyStopping("valid_acc", lower_is_better=False)
    RobustLossClassifier(callbacks=[silent, scored, stop], **ROBUST).fit(*iris)
    clf = RobustLossClassifier(callbacks=[EpochScoring("accuracy")], **ROBUST)
    with pytest.warns(UserWarning, match=r"'EpochScoring' .* early_stopping=True"):
        clf.fit(*iris)
    clf.callbacks = [EpochScoring("accuracy"), EarlyStopping("accuracy")]
    with (
        pytest.warns(UserWarning, match="scores held-out rows"),
        pytest.raises(ValueError, match="monitors 'accuracy'"),
    ):
        clf.fit(*iris)


@pytest.mark.parametrize(
    "entry", [("a", EpochTimer(), 1), ("a", 3), (3, EpochTimer()), (EpochTimer(),), ()]
)
def test_entries_that_are_no_callbacks(iris, entry):
    with pytest.raises(TypeError, match=r"pairs of a name and one; got \("):
        RobustLossClassifier(callbacks=[entry], **ROBUST).fit(*iris)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (RobustLossClassifier, "best_epoch"),
        (RobustLossClassifier, "loss_schedule"),
        (RobustLossClassifier, "epoch_timer"),
        (NoiseAdaptedClassifier, "best_epoch"),
        (NoiseAdaptedClassifier, "cycle"),
        (NoiseAdaptedClassifier, "print_log"),
    ],
)
def test_names_of_the_estimators_own_callbacks(iris, cls, name):
    clf = cls(callbacks=[(name, EpochTimer())], **FEW)
    with pytest.raises(ValueError, match=f"'{name}' is that of one of the estimator"):
        clf.fit(*iris)
    clf.callbacks = [("mine", EpochTimer()), ("mine", EpochTimer())]
    with pytest.raises(ValueError, match="two of the name 'mine'"):
        clf.fit(*iris)


@pytest.mark.parametrize("cls", [RobustLossClassifier, NoiseAdaptedClassifier])
def test_without_the_callback_of_the_best_epoch(iris, cls):
    params = ROBUST if cls is RobustLossClassifier else ADAPTED
    params = {**params, "early_stopping": True, "callbacks__best_epoch": None}
    clf = cls(**params).fit(*iris)
    assert "best_epoch" not in dict(clf.net_.callbacks_)


@pytest.mark.parametrize("cls", [RobustLossClassifier, NoiseAdaptedClassifier])
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"optimizer__weight_deca": 1}, TypeError, "Did you mean optimizer__weight_"),
        ({"compile__foo": 1}, TypeError, "compile__foo is no keyword parameter"),
        ({"compile": "yes"}, TypeError, "compile must be a boolean; got 'yes'"),
        ({"torch_load_kwargs": 3}, TypeError, "torch_load_kwargs must be a dict"),
        ({"iterator_train": 3}, TypeError, "iterator_train must be a class"),
        (
            {"iterator_valid": DataLoader, "iterator_valid__foo": 1},
            TypeError,
            "iterator_valid__foo is no keyword parameter of DataLoader",
        ),
        (
            {"iterator_train": DataLoader, "iterator_train__foo": 1},
            TypeError,
            "iterator_train__foo is no keyword parameter of DataLoader",
        ),
        ({"iterator_valid__foo": 1}, TypeError, "iterator_valid__foo is not a param"),
        ({"iterator_valid__shuffle": True}, ValueError, "shuffle=True is refused"),
        ({"iterator_valid__drop_last": True}, ValueError, "drop_last=True is refused"),
        ({"iterator_train__batch_size": 0}, ValueError, "iterator_train__batch_size"),
        ({"iterator_valid__batch_size": 2.5}, TypeError, "iterator_valid__batch_size"),
        ({"callbacks__nope": None}, ValueError, "callbacks__nope .* no callback"),
        ({"callbacks__nope__x": 1}, ValueError, "callbacks__nope__x .* no callback"),
        ({"callbacks__print_log__x": 1}, ValueError, "Invalid parameter 'x'"),
    ],
)
def test_settings_without_a_meaning(iris, cls, params, error, message, monkeypatch):
    def train(*args, **kwargs):
        raise AssertionError("something was trained")

    monkeypatch.setattr("sklearn_noisy._training.trainer.Trainer.train", train)
    with pytest.raises(error, match=message):
        cls(**params, **FEW).fit(*iris)


def test_batches_have_inputs_and_labels(iris):
    clf = RobustLossClassifier(callbacks=[Seen()], **ROBUST).fit(*iris)
    inputs, y = unpack_data(callback(clf, "Seen").batches[0][1])
    assert {*inputs} == {"X", "weight", "target"}
    assert {len(part) for part in inputs.values()} == {len(y)}
