"""Rows that are shared, streamed, or moved to a device."""

import gc
import tracemalloc

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, Dataset, TensorDataset

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy._rows import rows as rows_module
from sklearn_noisy._rows.rows import LabelledRows, Rows, TensorBatches
from sklearn_noisy.datasets import corrupt_labels

FEW = {"max_epochs": 2, "random_state": 0}
PLAIN = {"loss": "cross_entropy", **FEW}


class Files(Dataset):
    """Rows that are read one by one, as from files; counts what was read."""

    def __init__(self, X):
        self.X = X
        self.n_read = 0

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        assert isinstance(index, int)
        self.n_read += 1
        return self.X[index]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)[:600]
    return X, corrupt_labels(y[:600], noise_rate=0.2, random_state=1)


def with_labels(X):
    return TensorDataset(torch.from_numpy(X), torch.zeros(len(X)))


def as_memory_map(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


# Parts of the rows.


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, Files, with_labels])
def test_a_part_of_a_part(make):
    X = np.arange(20.0).reshape(10, 2)
    rows = LabelledRows(Rows(make(X)), np.arange(10), np.arange(1.0, 11))
    part = rows.subset(np.arange(10) % 2 == 1).subset(np.array([4, 0]))
    assert len(part) == 2
    for batch in (slice(None), torch.tensor([0, 1])):
        inputs, y = part.batch(batch)
        np.testing.assert_array_equal(inputs["X"], X[[9, 1]])
        assert y.tolist() == [9, 1]
        assert inputs["weight"].tolist() == [10, 2]
    [(inputs, y)] = TensorBatches(part, 2)
    assert y.tolist() == [9, 1]
    again = LabelledRows(part.rows, np.array([5, 6]))  # the same with other labels
    np.testing.assert_array_equal(again.batch(slice(None))[0]["X"], X[[9, 1]])
    assert again.batch(slice(1, 2))[1].tolist() == [6]
    original = part.rows.original()
    if isinstance(original, Dataset):
        original = Rows(original).take(slice(None))
    elif sparse.issparse(original):
        assert isinstance(original, sparse.csr_array)
        original = original.toarray()
    np.testing.assert_array_equal(original, X[[9, 1]])


def test_early_stopping_and_folds_copy_no_rows():
    """What fit allocates is far less than the rows, of which it trains on parts."""
    X = np.zeros((2000, 2000), dtype=np.float32)
    X[:, :2] = np.random.RandomState(0).randn(2000, 2)
    y = (X[:, 0] > 0).astype(int)
    small = {"module__hidden_layer_sizes": (2,), "module__input_scale": 1.0, **FEW}
    clf = RobustLossClassifier(early_stopping=True, loss="cross_entropy", **small)
    for fit in (
        lambda: clf.fit(X, y),
        lambda: find_label_issues(clf, X, y, cv=3),
        lambda: NoiseAdaptedClassifier(n_folds=3, **small).fit(X, y),
    ):
        fit()  # imports, caches
        gc.collect()
        tracemalloc.start()
        fit()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.5 * X.nbytes


# Rows that are read when they are wanted.


def test_a_data_set_trains_as_its_rows_in_memory(digits, tmp_path):
    X, y = digits
    expected = RobustLossClassifier(early_stopping=True, **PLAIN).fit(X, y)
    p = expected.predict_proba(X)
    for source in (Files(X), with_labels(X), as_memory_map(X, tmp_path)):
        clf = RobustLossClassifier(early_stopping=True, **PLAIN).fit(source, y)
        np.testing.assert_array_equal(clf.predict_proba(X), p)
        np.testing.assert_array_equal(clf.predict_proba(source), p)
        assert clf.n_features_in_ == 64
    files = Files(X)
    RobustLossClassifier(**PLAIN).partial_fit(files, y, classes=range(10))
    # Every row once in the epoch and once for the scale of the input; a look at the
    # first ones before.
    assert 2 * len(X) <= files.n_read < 2 * len(X) + 50


def test_a_data_set_through_a_data_loader(digits):
    X, y = digits
    clf = RobustLossClassifier(iterator_train=DataLoader, **PLAIN)
    clf.fit(Files(X), y)
    assert clf.score(X, y) > 0.2
    with pytest.raises(TypeError, match="X must be an array or a data set, not a Data"):
        clf.fit(DataLoader(Files(X)), y)


def test_noisy_labels_of_a_data_set(digits):
    X, y = digits
    files = Files(X)
    clf = RobustLossClassifier(**PLAIN)
    expected = find_label_issues(clf, X, y, cv=2)
    for n_jobs in (None, 2):
        issues = find_label_issues(clf, files, y, cv=2, n_jobs=n_jobs)
        assert issues.equals(expected)
    is_clean = np.arange(600) < 200
    settings = {"noise_matrix": "estimate", "n_rounds": 0, **FEW}
    clf = NoiseAdaptedClassifier(**settings).fit(X, y, is_clean=is_clean)
    again = NoiseAdaptedClassifier(**settings).fit(files, y, is_clean=is_clean)
    np.testing.assert_array_equal(again.noise_matrix_, clf.noise_matrix_)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    estimator = NoiseMatrixEstimator(
        RobustLossClassifier(**PLAIN), cv=2, random_state=0
    )
    Q = [
        estimator.fit(source, y, is_clean=is_clean).noise_matrix_
        for source in (X, files)
    ]
    np.testing.assert_array_equal(*Q)


def test_a_noise_matrix_estimator_with_a_classifier_of_others(digits):
    """Rows that our classifier shares reach it as the array that they were."""
    X, y = digits
    is_clean = np.arange(600) < 200
    inner = LogisticRegression(max_iter=500)
    estimator = NoiseMatrixEstimator(inner, cv=2, random_state=0)
    clf = NoiseAdaptedClassifier(noise_matrix=estimator, n_rounds=0, **FEW)
    clf.fit(X, y, is_clean=is_clean)
    alone = estimator.fit(X, y, is_clean=is_clean)
    np.testing.assert_allclose(clf.noise_matrix_, alone.noise_matrix_)


def test_a_data_set_in_a_search(digits):
    X, y = digits
    files = SliceDataset(with_labels(X))
    clf = RobustLossClassifier(**PLAIN)
    cv = StratifiedKFold(2)
    search = GridSearchCV(clf, {"lr": [0.001, 0.01]}, cv=cv, refit=False)
    expected = search.fit(X, y).cv_results_["mean_test_score"]
    found = search.fit(files, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(found, expected)
    p = [
        cross_val_predict(clf, source, y, cv=cv, method="predict_proba")
        for source in (X, files)
    ]
    np.testing.assert_array_equal(*p)


@pytest.mark.parametrize(
    ("make", "y", "error", "message"),
    [
        (Files, lambda y: y[1:], ValueError, "inconsistent numbers of samples"),
        (Files, lambda y: np.c_[y, y], ValueError, "y should be a 1d array"),
        (lambda X: Files(X[:0]), lambda y: y[:0], ValueError, "data set of 0 rows"),
        (
            lambda X: Files(X[:, 0].tolist()),
            lambda y: y,
            ValueError,
            "rows that are",
        ),
        (lambda X: Files(["a"] * len(X)), lambda y: y, TypeError, "numeric arrays"),
    ],
)
def test_bad_data_sets(digits, make, y, error, message):
    X, labels = digits
    clf = RobustLossClassifier(**PLAIN)
    with pytest.raises(error, match=message):
        clf.fit(make(X), y(labels))
    assert not hasattr(clf, "n_iter_")


def test_a_data_set_of_other_rows(digits):
    X, y = digits
    clf = RobustLossClassifier(**PLAIN).fit(Files(X), y)
    with pytest.raises(ValueError, match=r"rows of shape \(63,\)"):
        clf.predict(Files(X[:, 1:]))
    images = Files(X.reshape(-1, 8, 8))
    with pytest.raises(ValueError, match="shape"):
        clf.predict(images)
    clf = RobustLossClassifier(**PLAIN).fit(images, y)
    with pytest.raises(ValueError, match=r"rows of shape \(64,\)"):
        clf.predict(Files(X))


# Rows on a device. "meta" stands for a GPU: it has shapes and no values.


def test_rows_move_to_a_device_once_if_they_fit(monkeypatch):
    X = np.zeros((10, 3), dtype=np.uint8)

    def memory(free):
        return lambda device: free if device.type == "meta" else 0

    rows = LabelledRows(Rows(X), np.arange(10), np.ones(10)).subset(np.arange(8))
    assert rows.at("cpu") is rows
    monkeypatch.setattr(rows_module, "free_memory", memory(2 * X.nbytes - 1))
    assert rows.at("meta") is rows
    rows = LabelledRows(Rows(X), np.arange(10), np.ones(10)).subset(np.arange(8))
    monkeypatch.setattr(rows_module, "free_memory", memory(2 * X.nbytes))
    moved = rows.at("meta")
    assert moved.labels.device.type == moved.targets.device.type == "meta"
    assert rows.labels.device.type == "cpu"
    for inputs, y in TensorBatches(moved, 3, shuffle=True):
        tensors = (*inputs.values(), y)
        assert {tensor.device.type for tensor in tensors} == {"meta"}
        assert inputs["X"].dtype == torch.uint8
        assert inputs["X"].shape == (len(y), 3)
    # Another part of the same rows finds them there.
    other = LabelledRows(rows.rows.subset(slice(0, 2))).at("meta")
    assert other.rows.source is moved.rows.source
    # What is not in memory stays.
    for source in (sparse.csr_array(X), Files(X)):
        there = LabelledRows(Rows(source))
        assert there.at("meta") is there
