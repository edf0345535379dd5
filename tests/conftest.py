"""Data that several test modules use."""

import os
import sys

# Before scipy is imported: without it scikit-learn skips a check.
os.environ["SCIPY_ARRAY_API"] = "1"

import numpy as np
import pytest
import scipy
import torch
from sklearn.datasets import load_digits, load_iris

from sklearn_noisy.datasets import corrupt_labels

# Two cores: more threads only get in each other's way, and sums in another
# order would be other sums.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def dispatches():
    """For `array_api_dispatch`: True where this SciPy can; older ones refuse it."""
    return tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 14)


@pytest.fixture(autouse=True)
def _seeded_torch():
    """Modules that a test builds itself have weights from the global generator."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _closed_figures():
    """A test leaves no figures to the next one in the same process."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def iris():
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    order = np.random.RandomState(0).permutation(len(y))
    return X[order], y[order]


@pytest.fixture(scope="session")
def noisy_digits():
    """X in [0, 1], given labels (30 % wrong), true labels, which are wrong."""
    X, y = load_digits(return_X_y=True)
    y_given, changed = corrupt_labels(
        y, noise_rate=0.3, exact=True, return_mask=True, random_state=0
    )
    return (X / 16).astype(np.float32), y_given, y, changed
