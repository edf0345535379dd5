"""What X may be: rows that have positions and are numeric arrays."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)

CLF = RobustLossClassifier(loss="cross_entropy", max_epochs=1, random_state=0)
IS_CLEAN = np.arange(150) % 2 == 0

ENTRIES = {
    "fit": lambda X, y: CLF.fit(X, y),
    "partial_fit": lambda X, y: CLF.partial_fit(X, y, classes=[0, 1, 2]),
    "noise-adapted": lambda X, y: NoiseAdaptedClassifier(max_epochs=1).fit(X, y),
    "matrix": lambda X, y: NoiseMatrixEstimator(CLF).fit(X, y, is_clean=IS_CLEAN),
    "joint": lambda X, y: NoiseMatrixEstimator(CLF).fit(X, y),
    "issues": lambda X, y: find_label_issues(CLF, X, y),
}


class Stream(IterableDataset):
    def __iter__(self):
        return iter([torch.zeros(4)])


class Endless(Dataset):
    def __getitem__(self, index):
        return torch.zeros(4)


class Items(Dataset):
    """Rows that a function makes."""

    def __init__(self, of_index):
        self.of_index = of_index

    def __len__(self):
        return 150

    def __getitem__(self, index):
        return self.of_index(index)


@pytest.mark.parametrize("entry", ENTRIES)
def test_rows_without_positions_are_refused(iris, entry):
    X, y = iris
    for data in (Stream(), Endless()):
        with pytest.raises(
            TypeError, match=r"X must be .* with __len__ and __getitem__"
        ):
            ENTRIES[entry](data, y)
    with pytest.raises(
        TypeError, match=r"X must be .*; got a dict with the keys \['a'"
    ):
        ENTRIES[entry]({"a": X}, y)
    with pytest.raises(TypeError, match="not a DataLoader"):
        ENTRIES[entry](DataLoader(X), y)


@pytest.mark.parametrize("entry", ENTRIES)
def test_labels_are_not_taken_from_a_data_set(iris, entry):
    X, y = iris
    pairs = Items(lambda i: (X[i], y[i]))
    with pytest.raises(
        ValueError, match=r"y must hold .* None.*label for _, label in X"
    ):
        ENTRIES[entry](pairs, None)


@pytest.mark.parametrize(
    "row",
    [
        {"x": np.zeros(4)},
        [np.zeros(4), 1],
        [torch.zeros(4), 1],
        ({"x": np.zeros(4)}, 1),
        "text",
        None,
    ],
    ids=["dict", "list", "list of tensor", "dict in a tuple", "text", "None"],
)
def test_rows_that_are_no_arrays_are_refused(iris, row):
    X, y = iris
    match = (
        r"arrays or tensors, or of tuples that begin with one; its row 60 is of type "
    )
    match += type(row[0] if isinstance(row, tuple) else row).__name__
    data = Items(lambda i: row if i == 60 else X[i])
    for entry in ("fit", "issues", "matrix"):
        with pytest.raises(TypeError, match=match):
            ENTRIES[entry](data, y)
    fitted = CLF.fit(X, y)
    with pytest.raises(TypeError, match=match):
        fitted.predict(data)


def test_rows_may_be_lists_of_numbers(iris):
    X, y = iris
    found = CLF.fit(Items(lambda i: X[i].tolist()), y).predict_proba(X)
    np.testing.assert_array_equal(found, CLF.fit(X, y).predict_proba(X))


def test_rows_of_different_shapes_are_refused(iris):
    X, y = iris
    match = r"X must hold rows of one shape; .* row 60 has shape \(3,\)"
    with pytest.raises(ValueError, match=match):
        CLF.fit(Items(lambda i: X[i][: 3 if i == 60 else 4]), y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("loader", [False, True])
def test_numbers_that_are_not_finite_are_told_of_x(iris, value, loader):
    """They do not make the learning rate look too high."""
    X, y = iris
    wrong = X.copy()
    wrong[60, 2] = value
    data = Items(lambda i: torch.from_numpy(wrong[i]).float())
    own = RobustLossClassifier(nn.Linear(4, 3), loss="cross_entropy", max_epochs=1)
    if loader:
        own.set_params(iterator_train=DataLoader, iterator_valid=DataLoader)
    match = "X must hold finite numbers; there is NaN or infinity in its row 60"
    with pytest.raises(ValueError, match=match):
        own.fit(data, y)
    with pytest.raises(ValueError, match=match):
        find_label_issues(own, data, y)
    fitted = own.fit(X, y)
    with pytest.raises(ValueError, match=match):
        fitted.predict(Subset(data, range(50, 70)))


def test_rows_may_be_objects_that_are_numbers(iris):
    X, y = iris
    found = CLF.fit(Items(lambda i: X[i].astype(object)), y).predict_proba(X)
    same = CLF.fit(X.astype(np.float32), y).predict_proba(X)
    np.testing.assert_array_equal(found, same)
