"""A fit that was killed goes on where it was, to the same model."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import ExponentialLR

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy._matrix_sources import learned
from sklearn_noisy._matrix_sources.learned import FoldNets
from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.exceptions import TrainingDivergedError

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
    "robust": RobustLossClassifier(gamma=0.3, max_epochs=12, lr=0.01, **SMALL),
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
    files = sorted(path.name[-4] for path in (tmp_path / "kept").iterdir())
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
    keys = set()

    class Names(Callback):
        def on_epoch_end(self, net, **kwargs):
            keys.update(path.name[:32] for path in tmp_path.iterdir())

    clf = RobustLossClassifier(
        loss="focal", max_epochs=2, callbacks=[Names()], checkpoint=tmp_path, **SMALL
    )
    GridSearchCV(clf, {"lr": [1e-3, 1e-2]}, cv=3, refit=False).fit(X, y)
    assert len(keys) == 6
    clf.fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    clf.fit(X[:, ::-1], y)
    assert len(keys) == 8
    clone(clf).fit(X[:, ::-1], y)
    assert len(keys) == 8
    clf.set_params(warm_start=True).fit(X, y)
    clf.fit(X, y)
    assert len(keys) == 10
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(FileExistsError):
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
    with pytest.raises(RuntimeError) as error:
        clone(clf).fit(X, y)
    assert "remove it" in error.value.__notes__[0]
