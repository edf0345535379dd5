"""A fit that was killed goes on where it was, to the same model."""

import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import threading
import warnings
from collections import OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import Dataset

import sklearn_noisy
from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy._matrix_sources import learned
from sklearn_noisy._matrix_sources.learned import FoldNets
from sklearn_noisy._serialization.file import CHECKPOINT, pack, unpack
from sklearn_noisy._training import checkpoint
from sklearn_noisy._training.checkpoint import own_slot
from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.exceptions import (
    CheckpointWarning,
    InvalidFileError,
    TrainingDivergedError,
)

# After a few epochs the matrix is what it is.
pytestmark = pytest.mark.filterwarnings("ignore:The noise matrix is not dominated")


class Stop(Callback):
    """Ends the fit at the second batch of an epoch, while a file says so."""

    def __init__(self, file, epoch, how="raise", net=1):
        self.file = file
        self.epoch = epoch
        self.how = how
        self.net = net

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        with Path(self.file + ".nets").open("a") as file:
            file.write("|")

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        now = len(net.history) == self.epoch and len(net.history[-1, "batches"]) == 2
        nets = len(Path(self.file + ".nets").read_text())
        if now and training and nets == self.net and Path(self.file).exists():
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise InterruptedError

    def on_epoch_end(self, net, **kwargs):
        with Path(self.file + ".epochs").open("a") as file:
            file.write(f"{len(net.history)} ")


class Names(Callback):
    """Writes the keys of the checkpoints in a folder into a file."""

    def __init__(self, folder, file):
        self.folder = folder
        self.file = file

    def on_epoch_end(self, net, **kwargs):
        with Path(self.file).open("a") as file:
            for path in Path(self.folder).iterdir():
                file.write(f"{path.name[:32]} ")


@pytest.fixture(scope="module")
def data(noisy_digits):
    X, y_given, _, _ = noisy_digits
    return X[:600], y_given[:600]


def same(clf, other, X):
    """The same predictions, history and state, bit for bit."""
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
    rows, others = (
        [{k: v for k, v in row.items() if k not in ("dur", "batches")} for row in h]
        for h in (clf.history_, other.history_)
    )
    assert rows == others
    states = [c.net_.optimizer_.state_dict()["state"] for c in (clf, other)]
    for key, values in states[0].items():
        for name, value in values.items():
            torch.testing.assert_close(value, states[1][key][name], rtol=0, atol=0)


SMALL = {
    "module__hidden_layer_sizes": (16,),
    "module__dropout": 0.2,
    "early_stopping": True,
    "random_state": 0,
}

ESTIMATORS = {
    "robust": RobustLossClassifier(gamma=0.3, max_epochs=16, lr=0.02, **SMALL),
    "delayed": RobustLossClassifier(
        loss="focal", delay=4, max_epochs=8, class_weight="balanced", **SMALL
    ),
    "bfloat16": RobustLossClassifier(
        loss="focal",
        max_epochs=8,
        precision="bfloat16",
        optimizer=torch.optim.SGD,
        **SMALL,
    ),
    "top_down": NoiseAdaptedClassifier(noise_model="top_down", max_epochs=8, **SMALL),
    "known": NoiseAdaptedClassifier(
        noise_matrix=make_noise_matrix(10, 0.3), max_epochs=8, **SMALL
    ),
    "gradient": NoiseAdaptedClassifier(
        regularizer="trace", n_rounds=0, max_epochs=8, n_folds=2, **SMALL
    ),
}


def test_that_it_goes_on_is_said_when_asked_for(data, tmp_path, capsys):
    X, y = data
    marker = tmp_path / "stop"
    clf = RobustLossClassifier(
        loss="focal",
        max_epochs=3,
        callbacks=[Stop(str(marker), epoch=2)],
        checkpoint=tmp_path / "kept",
        **SMALL,
    )
    marker.touch()
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    assert capsys.readouterr().err == ""
    marker.unlink()
    clone(clf).set_params(verbose=1).fit(X, y)
    shown = capsys.readouterr()
    assert "resuming from the checkpoint in" in shown.err
    assert [line.split()[0] for line in shown.out.splitlines()[2:]] == ["2", "3"]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_fit_that_failed_goes_on(data, tmp_path, name):
    X, y = data
    marker = tmp_path / "stop"
    folder = tmp_path / "kept"
    clf = clone(ESTIMATORS[name])
    clf.set_params(callbacks=[Stop(str(marker), epoch=5)], checkpoint=folder)
    marker.touch()
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    assert list(folder.iterdir())
    marker.unlink()
    again = clone(clf).fit(X, y)
    epochs = Path(f"{marker}.epochs").read_text().split()
    assert epochs[:8] == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert list(folder.iterdir()) == []
    whole = clone(clf).set_params(checkpoint=None).fit(X, y)
    same(again, whole, X)


@pytest.mark.parametrize(("net", "epoch"), [(1, 3), (2, 2)])
def test_the_noise_matrix_and_later_nets_go_on(data, tmp_path, net, epoch):
    """The callback counts the nets that may be kept: here the first, the second."""
    X, y = data
    marker = tmp_path / "stop"
    stop = Stop(str(marker), epoch=epoch, net=net)
    clf = NoiseAdaptedClassifier(
        max_epochs=6, n_folds=2, callbacks=[stop], checkpoint=tmp_path / "kept", **SMALL
    )
    marker.touch()
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    files = sorted(path.stem[-1] for path in (tmp_path / "kept").iterdir())
    # The generator, two nets that count, the matrix; then net after net.
    assert files == list("01234") + ["5"] * (net == 2)
    marker.unlink()
    again = clone(clf).fit(X, y)
    whole = clone(clf).set_params(checkpoint=None).fit(X, y)
    same(again, whole, X)
    np.testing.assert_array_equal(again.noise_matrix_path_, whole.noise_matrix_path_)
    np.testing.assert_array_equal(again.label_quality_, whole.label_quality_)


class CountedFoldNets(FoldNets):
    """Fails when the matrix has moved for the third time, once."""

    moves = 0

    def logits(self, nets):
        CountedFoldNets.moves += 1
        if CountedFoldNets.moves == 4:  # the first are those of the count
            raise InterruptedError
        return super().logits(nets)


def test_the_matrix_goes_on_in_the_middle(data, tmp_path, monkeypatch):
    X, y = data
    monkeypatch.setattr(learned, "FoldNets", CountedFoldNets)
    clf = NoiseAdaptedClassifier(
        max_epochs=12,
        n_folds=2,
        n_rounds=0,
        checkpoint=tmp_path,
        batch_size=32,
        **SMALL,
    )
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    assert CountedFoldNets.moves == 4
    again = clone(clf).fit(X, y)
    # Twelve epochs, of which the first six rest: seven judgements with the count.
    assert CountedFoldNets.moves == 4 + 5
    whole = clone(clf).set_params(checkpoint=None).fit(X, y)
    assert CountedFoldNets.moves == 9 + 7
    same(again, whole, X)
    np.testing.assert_array_equal(again.label_quality_, whole.label_quality_)
    np.testing.assert_array_equal(again.noise_matrix_path_, whole.noise_matrix_path_)


def fit_in_process(marker, folder):
    """What the process that is killed does, and another after it."""
    X, y = load_digits(return_X_y=True)
    clf = NoiseAdaptedClassifier(
        noise_model="top_down",
        max_epochs=8,
        early_stopping=True,
        callbacks=[Stop(str(marker), epoch=6, how="kill")],
        checkpoint=folder,
        module__hidden_layer_sizes=(16,),
        random_state=0,
    )
    return clf.fit(X[:600], y[:600]).predict_proba(X)


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import conftest, numpy, test_checkpoint
folder = Path(sys.argv[3])
found = test_checkpoint.fit_in_process(folder / "stop", folder / "kept")
numpy.save(folder / "found.npy", found)
"""


def test_a_process_that_was_killed(tmp_path):
    here = Path(__file__).parent
    folders = [str(here), str(here.parent), str(tmp_path)]  # of this file and conftest
    command = [sys.executable, "-c", SCRIPT, *folders]
    (tmp_path / "stop").touch()
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "found.npy").exists()
    (tmp_path / "stop").unlink()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "stop.epochs").read_text() == "1 2 3 4 5 6 7 8 "
    assert list((tmp_path / "kept").iterdir()) == []
    whole = fit_in_process(tmp_path / "other", None)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), whole)


def test_callbacks_and_schedulers_go_on(data, tmp_path):
    X, y = data
    marker = tmp_path / "stop"
    rate = LRScheduler(ExponentialLR, gamma=0.5)
    clf = RobustLossClassifier(
        loss="focal",
        max_epochs=8,
        callbacks=[("stop", Stop(str(marker), epoch=4)), ("rate", rate)],
        checkpoint=tmp_path / "kept",
        **SMALL,
    )
    marker.touch()
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    marker.unlink()
    again = clone(clf).fit(X, y)
    assert again.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(1e-3 / 2**8)
    same(again, clone(clf).set_params(checkpoint=None).fit(X, y), X)


def test_without_a_seed_the_same_rows_are_held_out(data, tmp_path):
    X, y = data
    marker = tmp_path / "stop"
    clf = RobustLossClassifier(
        loss="focal",
        callbacks=[Stop(str(marker), epoch=4)],
        checkpoint=tmp_path / "kept",
        max_epochs=6,
        **SMALL | {"random_state": None},
    )
    marker.touch()
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    marker.unlink()
    shutil.copytree(tmp_path / "kept", tmp_path / "copy")
    again = clone(clf).fit(X, y)
    (tmp_path / "kept").rmdir()
    (tmp_path / "copy").rename(tmp_path / "kept")
    same(again, clone(clf).fit(X, y), X)
    assert (clone(clf).fit(X, y).predict_proba(X) != again.predict_proba(X)).any()


def test_every_fit_has_files_of_its_own(data, tmp_path):
    X, y = data
    folder = tmp_path / "kept"
    clf = RobustLossClassifier(
        loss="focal",
        max_epochs=2,
        callbacks=[Names(str(folder), str(tmp_path / "keys"))],
        checkpoint=folder,
        **SMALL,
    )

    def n_keys():
        return len({*(tmp_path / "keys").read_text().split()})

    GridSearchCV(clf, {"lr": [1e-3, 1e-2]}, cv=3, refit=False).fit(X, y)
    assert n_keys() == 6
    clf.fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    clf.fit(X[:, ::-1], y)
    assert n_keys() == 8
    clone(clf).fit(X[:, ::-1], y)
    assert n_keys() == 8
    clf.set_params(warm_start=True).fit(X, y)
    clf.fit(X, y)
    assert n_keys() == 10
    assert list(folder.iterdir()) == []


def test_generators_and_attributes_are_left_alone(data, tmp_path):
    X, y = data
    before = torch.get_rng_state()
    clf = RobustLossClassifier(
        loss="focal", max_epochs=2, checkpoint=str(tmp_path), **SMALL
    )
    plain = clone(clf).set_params(checkpoint=None).fit(X, y)
    clf.fit(X, y)
    assert torch.equal(before, torch.get_rng_state())
    assert vars(clf).keys() == vars(plain).keys()
    same(clf, plain, X)


def test_a_divergence_leaves_no_files(data, tmp_path):
    X, y = data
    clf = RobustLossClassifier(
        checkpoint=tmp_path, optimizer=torch.optim.SGD, lr=1e30, **SMALL
    )
    with pytest.raises(TrainingDivergedError):
        clf.fit(X, y)
    assert list(tmp_path.iterdir()) == []


def test_bad_folders_and_files(data, tmp_path):
    X, y = data
    with pytest.raises(TypeError, match="checkpoint must be the path of a folder"):
        RobustLossClassifier(checkpoint=True).fit(X, y)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match=r"checkpoint must be the path .* is a file"):
        RobustLossClassifier(checkpoint=file).fit(X, y)
    marker = tmp_path / "stop"
    marker.touch()
    clf = RobustLossClassifier(
        callbacks=[Stop(str(marker), epoch=2)],
        checkpoint=tmp_path / "kept",
        **SMALL,
    )
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    kept = sorted((tmp_path / "kept").iterdir())[-1]
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(InvalidFileError, match=f"{kept.name}.* Remove the file"):
        clone(clf).fit(X, y)


# The content of the files.


def killed(clf, X, y, tmp_path, epoch=3, callbacks=()):
    """Leave checkpoints of a fit behind, and return the estimator without a fault."""
    marker = tmp_path / "stop"
    clf = clone(clf).set_params(
        callbacks=[*callbacks, Stop(str(marker), epoch=epoch)],
        checkpoint=tmp_path / "kept",
    )
    marker.touch()
    with pytest.raises(InterruptedError):
        clf.fit(X, y)
    marker.unlink()
    return clone(clf)


def files_in(folder):
    return sorted(path for path in folder.iterdir() if path.suffix == ".safetensors")


def test_the_files_are_data_that_only_their_owner_can_read(data, tmp_path):
    before = os.umask(0)  # the mask of the process would allow everything
    try:
        killed(ESTIMATORS["known"], *data, tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    files = files_in(tmp_path / "kept")
    assert len(files) == 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with safetensors.safe_open(path, "pt") as content:
            assert content.metadata()["kind"] == "sklearn_noisy checkpoint"
        with pytest.raises(InvalidFileError, match=r"not one that sklearn_noisy\.save"):
            sklearn_noisy.load(path)


@pytest.mark.parametrize("stage", [0, 1])
def test_no_damage_goes_unnoticed(data, tmp_path, stage):
    X, y = data
    clf = killed(ESTIMATORS["known"], X, y, tmp_path)
    path = files_in(tmp_path / "kept")[stage]
    whole = path.read_bytes()
    rng = np.random.RandomState(0)
    places = rng.randint(len(whole), size=10)
    contents = [whole[: len(whole) // 2], b"", pickle.dumps({"state": {}})]
    contents += [
        whole[:i] + bytes([whole[i] ^ (1 << rng.randint(8))]) + whole[i + 1 :]
        for i in places
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(InvalidFileError, match=f"{path.name}.* Remove the file"):
            clf.fit(X, y)
        assert not hasattr(clf, "classes_")
    path.write_bytes(whole)
    same(clf.fit(X, y), clone(clf).set_params(checkpoint=None).fit(X, y), X)


def forge(path, change):
    """Change a file, and give it the right checksum."""
    document, tensors = unpack(path.read_bytes(), "", CHECKPOINT)
    change(dict(document["dict"]), tensors)
    path.write_bytes(pack(document, tensors, CHECKPOINT))


def grow(name):
    def change(document, tensors):
        tensors[name] = torch.zeros(999)

    return change


def rename_state(document, tensors):
    net = dict(dict(document["state"]["dict"])["net"]["dict"])
    callbacks = dict(net["callbacks"]["dict"])
    callbacks["best_epoch"]["dict"].append(["on_epoch_end", 3])


def drop_done(document, tensors):
    document["state"]["dict"][:] = document["state"]["dict"][:1]


def change_kept_weights(document, tensors):
    (name,) = (n for n in tensors if "best_epoch.state_.0.layers.1.weight" in n)
    tensors[name] = torch.zeros(3)


def drop_the_epoch(document, tensors):
    net = dict(dict(document["state"]["dict"])["net"]["dict"])
    row = net["history"][0]["dict"]
    row[:] = [[name, value] for name, value in row if name != "epoch"]


def lose_a_number(document, tensors):
    net = dict(dict(document["state"]["dict"])["net"]["dict"])
    row = net["history"][0]["dict"]
    row[:] = [[n, [1.0] if n == "train_loss" else v] for n, v in row]


def name_a_class(document, tensors):
    document["state"]["dict"].append(["more", {"class": ["torch.optim", "SGD"]}])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (grow(".state.net.optimizer.state.0.exp_avg"), "exp_avg of weight 0 must be"),
        (
            grow(".state.net.module.layers.1.weight"),
            "weights in the file are not those",
        ),
        (grow(".cpu"), "RNG state"),
        (rename_state, "BestEpoch has no state 'on_epoch_end'"),
        (drop_done, "a training has other parts"),
        (change_kept_weights, "not those of the best epoch"),
        (drop_the_epoch, "a row of the history has other columns"),
        (lose_a_number, "a row of the history has other columns"),
        (name_a_class, "values of the kind 'class' are unknown"),
    ],
)
def test_a_forged_file_reaches_no_memory(data, tmp_path, change, reason):
    X, y = data
    clf = killed(ESTIMATORS["known"], X, y, tmp_path)
    forge(files_in(tmp_path / "kept")[-1], change)
    with pytest.raises(InvalidFileError, match=reason):
        clf.fit(X, y)


def test_a_forged_generator_reaches_no_memory(data, tmp_path):
    X, y = data
    clf = killed(ESTIMATORS["known"], X, y, tmp_path)

    def move(document, tensors):
        document["state"]["dict"][:] = [
            [name, 10**9 if name == "pos" else value]
            for name, value in document["state"]["dict"]
        ]

    forge(files_in(tmp_path / "kept")[0], move)
    with pytest.raises(InvalidFileError, match="no state of a random generator"):
        clf.fit(X, y)


def test_nadam_keeps_its_product_to_the_last_bit(data, tmp_path):
    X, y = data
    clf = ESTIMATORS["delayed"]
    clf = clone(clf).set_params(optimizer=torch.optim.NAdam, precision="float64")
    clf = killed(clf, X, y, tmp_path, epoch=5)
    same(clf.fit(X, y), clone(clf).set_params(checkpoint=None).fit(X, y), X)


class Collecting(Callback):
    """Has data, code, a resource and an object as attributes."""

    def __init__(self, changes=False):
        self.changes = changes

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.lock_, self.function_, self.class_ = threading.Lock(), len, Callback
        self.seen_, self.weights_ = set(), OrderedDict()
        self.object_ = Fraction(1, 3)

    def on_epoch_end(self, net, **kwargs):
        self.seen_.add(len(net.history))
        self.weights_["last"] = np.arange(len(net.history))
        if self.changes:
            self.object_ += 1


def test_a_callback_keeps_its_data(data, tmp_path):
    X, y = data
    clf = clone(ESTIMATORS["delayed"]).set_params(early_stopping=False)
    callbacks = [("mine", Collecting())]
    clf = killed(clf, X, y, tmp_path, epoch=4, callbacks=callbacks)
    mine = dict(clf.fit(X, y).net_.callbacks_)["mine"]
    assert mine.seen_ == {1, 2, 3, 4, 5, 6, 7, 8}
    assert len(mine.weights_["last"]) == 8
    assert mine.lock_.acquire(blocking=False)


def test_a_callback_that_cannot_be_kept_is_an_error(data, tmp_path):
    X, y = data
    clf = clone(ESTIMATORS["delayed"])
    clf.set_params(callbacks=[Collecting(changes=True)], checkpoint=tmp_path)
    with pytest.raises(TypeError, match=r"checkpoint cannot keep .*Fraction\(4, 3\)"):
        clf.fit(X, y)
    assert not hasattr(clf, "classes_")


class Deciding(Collecting):
    """Says itself what is kept."""

    def state_dict(self):
        return {"n_seen": len(self.seen_)}

    def load_state_dict(self, state):
        self.seen_ = {*range(state["n_seen"])}


def test_a_callback_decides_what_is_kept(data, tmp_path):
    X, y = data
    clf = clone(ESTIMATORS["delayed"])
    callbacks = [("mine", Deciding(changes=True))]
    clf = killed(clf, X, y, tmp_path, epoch=4, callbacks=callbacks)
    mine = dict(clf.fit(X, y).net_.callbacks_)["mine"]
    assert mine.seen_ == {0, 1, 2, 4, 5, 6, 7, 8}


# Which fit a file belongs to.


def small_network(n_features, n_classes, p=0.1):
    return nn.Sequential(
        nn.Linear(n_features, 8), nn.Dropout(p), nn.Linear(8, n_classes)
    )


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.layer = nn.Linear(64, 10)

    def forward(self, X):
        return self.layer(self.factor * X)


def scaled(factor):
    torch.manual_seed(0)
    return Scaled(factor)


class Slotted(Dataset):
    """Its rows are not in its `__dict__`."""

    __slots__ = ("rows",)

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


PAIRS = {
    "partial as module": [
        {"module": partial(small_network, p=0.1)},
        {"module": partial(small_network, p=0.5)},
    ],
    "lambda as module": [
        {"module": lambda n_features: small_network(n_features, 10, p=0.1)},
        {"module": lambda n_features: small_network(n_features, 10, p=0.5)},
    ],
    "partial as optimizer": [
        {"optimizer": partial(torch.optim.SGD, momentum=0.0)},
        {"optimizer": partial(torch.optim.SGD, momentum=0.9)},
    ],
    "attribute of a module": [{"module": scaled(1.0)}, {"module": scaled(0.5)}],
    "lambda of a callback": [
        {"callbacks__rate": LRScheduler("LambdaLR", lr_lambda=lambda epoch: 1.0)},
        {"callbacks__rate": LRScheduler("LambdaLR", lr_lambda=lambda epoch: 0.5)},
    ],
}


@pytest.mark.parametrize("name", PAIRS)
def test_another_fit_begins_anew(data, tmp_path, name):
    X, y = data
    first, other = PAIRS[name]
    rate = ("rate", LRScheduler("LambdaLR", lr_lambda=lambda epoch: 2.0))
    marker = tmp_path / "stop"
    clf = RobustLossClassifier(
        loss="focal",
        max_epochs=3,
        random_state=0,
        callbacks=[rate, Stop(str(marker), epoch=3)],
        checkpoint=tmp_path / "kept",
    )
    marker.touch()
    with pytest.raises(InterruptedError):
        clone(clf).set_params(**first).fit(X, y)
    marker.unlink()
    n_files = len(files_in(tmp_path / "kept"))
    again = clone(clf).set_params(**other).fit(X, y)
    assert len(files_in(tmp_path / "kept")) == n_files  # those of the first fit
    whole = clone(clf).set_params(**other, checkpoint=None).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))


def test_the_rows_of_a_data_set_count_wherever_they_are(data, tmp_path):
    X, y = data
    rows = X.astype(np.float32)
    clf = killed(ESTIMATORS["delayed"], Slotted(rows), y, tmp_path)
    other = clone(clf).fit(Slotted(rows[:, ::-1].copy()), y)
    assert len(files_in(tmp_path / "kept")) == 2
    whole = clone(clf).set_params(checkpoint=None).fit(Slotted(rows[:, ::-1].copy()), y)
    same(other, whole, rows)
    clone(clf).fit(Slotted(rows.copy()), y)
    assert files_in(tmp_path / "kept") == []


def test_without_readable_content_there_is_no_checkpoint(data, tmp_path):
    X, y = data
    lock = threading.Lock()
    module = partial(small_network, p=0.1)
    module.lock = lock
    clf = RobustLossClassifier(module, checkpoint=tmp_path / "kept", max_epochs=1)
    with pytest.raises(TypeError, match="checkpoint needs the content .* __getstate__"):
        clf.fit(X, y)
    assert not (tmp_path / "kept").exists()


# Fits that run at the same time.


def test_the_same_fit_at_the_same_time_has_files_of_its_own(data, tmp_path):
    """Each inner fit runs while the outer one trains, in the same folder."""
    X, y = data
    found = []

    class Inner(Callback):
        def on_epoch_end(self, net, **kwargs):
            if not found:
                found.append(None)
                found[0] = clone(clf).fit(X, y)

    for seed in (0, None):
        found.clear()
        clf = RobustLossClassifier(
            loss="focal", max_epochs=2, checkpoint=tmp_path, **SMALL
        ).set_params(random_state=seed)
        outer = clone(clf).set_params(callbacks=[Inner()])
        outer.fit(X, y)
        assert list(tmp_path.iterdir()) == []
        first, second = outer.predict_proba(X), found[0].predict_proba(X)
        # Without a seed each has a generator of its own.
        assert np.array_equal(first, second) == (seed == 0)


def test_two_slots(tmp_path):
    with own_slot(tmp_path, "key") as first, own_slot(tmp_path, "key") as second:
        assert (first, second) == ("key.1", "key.2")
        with own_slot(tmp_path, "other") as third:
            assert third == "other.1"
    with own_slot(tmp_path, "key") as again:
        assert again == "key.1"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads run
            child = os.fork()
        if child == 0:  # a worker that outlives this process keeps no lock
            os._exit(len(checkpoint._HELD))
        assert os.wait()[1] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_slot_with_files_comes_first(tmp_path):
    """Its fit was killed, while that of the first slot has ended."""
    for number in (12, 3):
        (tmp_path / f"key.{number}-0.safetensors").touch()
        (tmp_path / f"key.{number}-1.safetensors").touch()
    (tmp_path / "other.7-1.safetensors").touch()
    with own_slot(tmp_path, "key") as first, own_slot(tmp_path, "key") as second:
        assert (first, second) == ("key.3", "key.12")
        with own_slot(tmp_path, "key") as third:
            assert third == "key.1"


def test_a_lock_of_a_killed_process_is_free(tmp_path):
    (tmp_path / "key.1.lock").touch()
    with own_slot(tmp_path, "key") as name:
        assert name == "key.1"


def test_a_file_that_cannot_be_removed_loses_no_model(data, tmp_path):
    X, y = data

    class MakesAFolder(Callback):
        def on_train_end(self, net, X=None, y=None, **kwargs):
            (path,) = tmp_path.glob("*-0.safetensors")
            (tmp_path / path.name.replace("-0.", "-9.")).mkdir()

    clf = RobustLossClassifier(
        loss="focal",
        max_epochs=1,
        callbacks=[MakesAFolder()],
        checkpoint=tmp_path,
        **SMALL,
    )
    with pytest.warns(CheckpointWarning, match="a checkpoint of it cannot be removed"):
        clf.fit(X, y)
    assert clf.predict(X).shape == y.shape
