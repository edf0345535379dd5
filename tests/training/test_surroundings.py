"""A fit does not depend on the modes of torch that its caller has set."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

import sklearn_noisy
from sklearn_noisy import (
    NoiseAdaptedClassifier,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy.inspection import LossDisplay


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


class Net(nn.Module):
    """Makes a tensor in its forward pass."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layer = nn.Linear(n_features, n_classes)

    def forward(self, X):
        return self.layer(X) + torch.arange(3) / 10


MODES = {
    "default device": lambda: default_device("meta"),
    "device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
    "no grad": torch.no_grad,
}
PLAIN = {"max_epochs": 2, "random_state": 0}


def saved(clf, X, path):
    sklearn_noisy.save(clf, path)
    return sklearn_noisy.load(path).predict_proba(X)


@pytest.mark.parametrize("mode", MODES)
def test_a_fit_does_not_depend_on_the_modes_of_its_caller(iris, mode, tmp_path):
    X, y = iris
    robust = RobustLossClassifier(loss="cross_entropy", early_stopping=True, **PLAIN)
    learned = NoiseAdaptedClassifier(n_folds=2, **PLAIN)
    # Slices of the rows themselves, without a copy.
    own = RobustLossClassifier(
        Net, loss="cross_entropy", iterator_train__shuffle=False, **PLAIN
    )

    def results():
        yield robust.fit(X, y).predict_proba(X)
        yield saved(robust, X, tmp_path / "robust")
        yield robust.partial_fit(X, y).predict_proba(X)
        yield learned.fit(X, y).predict_proba(X)
        yield own.fit(X, y).predict_proba(X)
        yield find_label_issues(own, X, y, cv=2)["label_quality"].to_numpy()
        yield LossDisplay.from_losses(["focal"], n_classes=3).gradient[0]

    expected = list(results())
    with MODES[mode]():
        found = list(results())
        is_enabled = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    # The caller's modes are kept.
    assert is_enabled == (mode not in ("inference", "no grad"), mode == "inference")
    assert torch.is_grad_enabled()
    assert torch.empty(0).device.type == "cpu"


def test_another_default_dtype(iris):
    X, y = iris
    torch.set_default_dtype(torch.float64)
    try:
        clf = RobustLossClassifier(loss="cross_entropy", max_epochs=20, random_state=0)
        assert clf.fit(X, y).score(X, y) > 0.9
        clf = NoiseAdaptedClassifier(n_folds=2, max_epochs=20, random_state=0)
        assert clf.fit(X.astype(np.float32), y).score(X, y) > 0.9
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_module_without_numbers_is_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"module must have weights.*device 'meta'"):
        RobustLossClassifier(nn.Linear(4, 3, device="meta"), **PLAIN).fit(X, y)
