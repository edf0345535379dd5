"""Rows in memory and the batches cut from them."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.utils.data import DataLoader

from sklearn_noisy._rows import rows as rows_module
from sklearn_noisy._rows.rows import (
    LabelledRows,
    Limits,
    Rows,
    TensorBatches,
    root_mean_square,
)


def rows(n=10, make=lambda X: X):
    X = np.arange(2.0 * n).reshape(n, 2)
    return LabelledRows(Rows(make(X)), np.arange(n), np.linspace(1, 2, n))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_pass_has_every_row_once_with_its_own_weight(make, shuffle):
    data = rows(make=make)
    batches = list(TensorBatches(data, 4, shuffle=shuffle))
    assert [len(y) for _, y in batches] == [4, 4, 2]
    y = torch.cat([y for _, y in batches])
    assert sorted(y.tolist()) == list(range(10))
    assert (y.tolist() == list(range(10))) != shuffle
    X = torch.cat([inputs["X"] for inputs, _ in batches])
    assert X.tolist() == [[2.0 * k, 2.0 * k + 1] for k in y]
    weight = torch.cat([inputs["weight"] for inputs, _ in batches])
    np.testing.assert_array_equal(weight, np.linspace(1, 2, 10)[y])


def test_drop_last():
    assert [len(y) for _, y in TensorBatches(rows(), 4, drop_last=True)] == [4, 4]
    assert [len(y) for _, y in TensorBatches(rows(3), 4, drop_last=True)] == [3]
    for n in (3, 4, 8, 9):
        for drop in (False, True):
            batches = TensorBatches(rows(n), 4, drop_last=drop)
            assert len(list(batches)) == len(batches)


def test_every_pass_has_its_own_order_from_torchs_seed():
    batches = TensorBatches(rows(), 10, shuffle=True)
    torch.manual_seed(0)
    first, second = ([y.tolist() for _, y in batches] for _ in range(2))
    torch.manual_seed(0)
    assert first == [y.tolist() for _, y in batches] != second


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_a_data_loader_reads_the_same_rows(make):
    loaded = list(DataLoader(rows(make=make), batch_size=4))
    for (a, y_a), (b, y_b) in zip(
        loaded, TensorBatches(rows(make=make), 4), strict=True
    ):
        assert torch.equal(y_a, y_b)
        assert all(torch.equal(a[name], b[name]) for name in ("X", "weight"))


def test_arrays_are_not_copied():
    X = np.zeros((3, 2))
    for _ in range(2):
        for view in (Rows(X), Rows(X).subset(slice(None)), LabelledRows(Rows(X)).rows):
            assert view.source.X.data_ptr() == X.ctypes.data
        X.setflags(write=False)
    assert Rows(X[::-1]).source.row_shape == (2,)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_root_mean_square(make, monkeypatch):
    X = np.random.RandomState(0).randn(50, 3)
    weight = np.random.RandomState(1).randint(1, 4, 50)
    expected = np.sqrt((X.repeat(weight, axis=0) ** 2).mean())
    for chunk_size in (7, 4096):
        monkeypatch.setattr(rows_module, "LIMITS", Limits(chunk_size=chunk_size))
        data = LabelledRows(Rows(make(X)), None, weight)
        assert root_mean_square(data) == pytest.approx(expected, rel=1e-12)
    assert root_mean_square(LabelledRows(Rows(make(0 * X)))) == 1.0
