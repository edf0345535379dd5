"""A call that fails leaves the estimator bit for bit as it was."""

import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch.utils.data import Dataset

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.exceptions import (
    LossWarmUpWarning,
    TrainingDivergedError,
    TrainingInterruptedWarning,
)

SMALL = {
    "module__hidden_layer_sizes": (8,),
    "module__dropout": 0.2,
    "random_state": 0,
    "batch_size": 32,
}
ESTIMATORS = {
    "robust": RobustLossClassifier(gamma=0.3, max_epochs=4, early_stopping=True),
    "known": NoiseAdaptedClassifier(
        noise_matrix=make_noise_matrix(3, 0.2), max_epochs=4, early_stopping=True
    ),
    "learned": NoiseAdaptedClassifier(n_folds=2, max_epochs=4),
    "gradient": NoiseAdaptedClassifier(regularizer="trace", n_folds=2, max_epochs=4),
}


class Failure(Callback):
    """Fails in the third epoch from now on, once it is told how."""

    how = None
    epochs = 0

    def on_epoch_begin(self, net, **kwargs):
        Failure.epochs += 1

    def on_batch_end(self, net, training, **kwargs):
        if Failure.how is None or Failure.epochs < 3 or not training:
            return
        if Failure.how == "nan":
            with torch.no_grad():
                next(net.module_.parameters()).fill_(float("nan"))
        else:
            raise Failure.how


class Rows(Dataset):
    """Rows that cannot be read any more after some reads."""

    left = None

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        if Rows.left is not None:
            Rows.left -= 1
            if Rows.left < 0:
                raise OSError("the disk is gone")
        return self.X[index]


@pytest.fixture(autouse=True)
def _nothing_fails_yet(monkeypatch):
    monkeypatch.setattr(Failure, "how", None)
    monkeypatch.setattr(Failure, "epochs", 0)
    monkeypatch.setattr(Rows, "left", None)


def contents(value):
    """The same value made of bytes and plain values, so that it can be compared."""
    if isinstance(value, torch.Tensor):
        return contents(value.detach().cpu().double().numpy())
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, dict):
        return {key: contents(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [contents(entry) for entry in value]
    return repr(value)


def state(clf):
    """Everything that a fit has set."""
    attributes = {k: v for k, v in vars(clf).items() if k.endswith("_")}
    trainer = clf._trainer
    settings = {
        name: getattr(trainer.net, name)
        for name in ("lr", "batch_size", "verbose", "optimizer", "round_")
    }
    return copy.deepcopy(
        contents([attributes, trainer.state_dict(), settings, trainer.spec.parameters])
    )


def fitted(name, X, y, **params):
    clf = copy.deepcopy(ESTIMATORS[name])
    scheduler = LRScheduler("StepLR", step_size=2)
    clf.set_params(callbacks=[Failure(), scheduler], **SMALL, **params)
    if isinstance(clf, NoiseAdaptedClassifier):
        clf.set_params(lr_schedule="constant", n_rounds=0)
    return clf.fit(X, y)


def another(clf, way, X, y):
    """One more call, which begins anew, goes on, or trains on a part."""
    if way == "partial_fit":
        for _ in range(4):
            clf.partial_fit(X, y)
    else:
        clf.set_params(warm_start=way == "warm start", lr=1e-2, verbose=0).fit(X, y)


WAYS = [
    (name, way)
    for name in ESTIMATORS
    for way in ("fit", "warm start", "partial_fit")
    if way != "partial_fit" or name in ("robust", "known")
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:The noise matrix is not dominated"),
    pytest.mark.filterwarnings(
        f"ignore::{LossWarmUpWarning.__module__}.LossWarmUpWarning"
    ),
]


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_rows_that_cannot_be_read(iris, name, way):
    X, y = Rows(iris[0].astype(np.float32)), iris[1]
    clf = fitted(name, X, y)
    before, p = state(clf), clf.predict_proba(X)
    # The rows of whole epochs are read before the disk is gone.
    for left in (0, 20, len(y) + 50, 3 * len(y) + 50):
        Rows.left = left
        if way == "partial_fit" and left > len(y):
            continue
        with pytest.raises(OSError, match="the disk is gone"):
            another(clf, way, X, y)
        Rows.left = None
        clf.set_params(warm_start=False, lr=ESTIMATORS[name].lr)
        assert state(clf) == before
        np.testing.assert_array_equal(clf.predict_proba(X), p)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (ValueError("broken"), ValueError),
        ("nan", TrainingDivergedError),
        (SystemExit(), SystemExit),
    ],
)
@pytest.mark.parametrize(("name", "way"), [w for w in WAYS if w[1] != "partial_fit"])
def test_a_callback_that_fails_and_a_loss_of_nan(iris, name, way, how, error):
    X, y = iris
    clf = fitted(name, X, y)
    before, p = state(clf), clf.predict_proba(X)
    Failure.how, Failure.epochs = how, 0
    with pytest.raises(error):
        another(clf, way, X, y)
    Failure.how = None
    clf.set_params(warm_start=False, lr=ESTIMATORS[name].lr)
    assert state(clf) == before
    np.testing.assert_array_equal(clf.predict_proba(X), p)


@pytest.mark.parametrize("name", ["robust", "known"])
def test_a_part_that_fails(iris, name):
    X, y = iris
    clf = fitted(name, X, y)
    before = state(clf)
    Failure.how, Failure.epochs = ValueError("broken"), 5
    with pytest.raises(ValueError, match="broken"):
        clf.partial_fit(X, y)
    Failure.how = None
    assert state(clf) == before
    twin = copy.deepcopy(clf)
    for model in (clf, twin):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), twin.predict_proba(X))
    assert state(clf) != before


def test_an_interrupt_before_a_model_exists(iris):
    """The nets that learn the matrix have no user callbacks: the rows interrupt."""

    class Interrupted(Rows):
        def __getitem__(self, index):
            if Rows.left is not None:
                Rows.left -= 1
                if Rows.left < 0:
                    raise KeyboardInterrupt
            return self.X[index]

    X, y = Interrupted(iris[0].astype(np.float32)), iris[1]
    clf = fitted("learned", X, y)
    before = state(clf)
    # Within the root mean square, the first net that counts, the second.
    for left in (10, 500, 1000):
        Rows.left = left
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, y)
        Rows.left = None
        assert state(clf) == before


def test_an_interrupt_of_the_net_keeps_what_was_reached(iris):
    X, y = iris
    clf = fitted("robust", X, y)
    before = state(clf)
    Failure.how, Failure.epochs = KeyboardInterrupt(), 0
    with pytest.warns(TrainingInterruptedWarning):
        another(clf, "warm start", X, y)
    assert state(clf) != before


def test_a_change_that_no_net_takes_over(iris):
    X, y = iris
    clf = fitted("robust", X, y)
    before = state(clf)
    clf.set_params(warm_start=True, lr=0.1, module__hidden_layer_sizes=(9,))
    with pytest.raises(ValueError, match="module__hidden_layer_sizes has changed"):
        clf.fit(X, y)
    assert state(clf) == before


class GroupKey(Callback):
    """Sets what a scheduler sets in a group of parameters, and fails."""

    def on_train_begin(self, net, **kwargs):
        if Failure.how is not None:
            net.optimizer_.param_groups[0]["initial_lr"] = 1.0
            raise Failure.how


@pytest.mark.parametrize(
    ("made_with", "changed"),
    [
        ({"optimizer__momentum": 0.9}, {"optimizer__momentum": 0.0}),
        ({"optimizer__momentum": 0.0}, {"optimizer__momentum": 0.9}),
        ({"callbacks": [GroupKey()]}, {}),
    ],
)
def test_settings_of_the_optimizer_that_a_failed_call_changed(iris, made_with, changed):
    """The state before need not be one that the changed optimizer could have."""
    X, y = iris
    clf = RobustLossClassifier(
        optimizer=torch.optim.SGD, lr=0.01, max_epochs=3, callbacks=[Failure()], **SMALL
    )
    clf.set_params(warm_start=True, **made_with).fit(X, y)
    before = state(clf)
    Failure.how, Failure.epochs = ValueError("broken"), 0
    with pytest.raises(ValueError, match="broken"):
        clf.set_params(**changed).fit(X, y)
    assert state(clf) == before


def test_an_optimizer_that_was_changed_for_a_call_that_failed(iris):
    X, y = iris
    clf = fitted("robust", X, y).set_params(callbacks=[Failure()]).fit(X, y)
    before, optimizer = state(clf), clf.net_.optimizer_
    clf.set_params(warm_start=True, optimizer=torch.optim.SGD, batch_size=16)
    Failure.how, Failure.epochs = ValueError("broken"), 0
    with pytest.raises(ValueError, match="broken"):
        clf.fit(X, y)
    assert state(clf) == before
    assert clf.net_.optimizer_ is optimizer
