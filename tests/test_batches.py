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
from sklearn_noisy._splits import stratified_holdout
from sklearn_noisy.nn import MLP, Dropout


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
    assert Rows(X[::-1]).row_shape == (2,)


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


def test_mlp():
    module = MLP(6, 3, hidden_layer_sizes=(5, 4), dropout=0.1, input_dropout=0.2)
    linear = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [5, 4, 3]
    assert module(torch.zeros(2, 2, 3)).shape == (2, 3)
    assert len(list(MLP(6, 3, hidden_layer_sizes=()).parameters())) == 2
    scaled = MLP(2, 3, input_scale=10.0)
    scaled.load_state_dict((plain := MLP(2, 3)).state_dict())
    X = torch.randn(4, 2)
    torch.testing.assert_close(scaled(10 * X), plain(X))


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout(p, dtype):
    """As torch's: so many zeros, the rest scaled, the gradient of what is kept."""
    torch.manual_seed(0)
    X = torch.ones(300, 333, dtype=dtype, requires_grad=True)
    out = Dropout(p)(X)
    assert out.dtype == dtype
    kept = out != 0
    # Six standard errors.
    assert abs(kept.double().mean() - (1 - p)) < 6 * (p * (1 - p) / X.numel()) ** 0.5
    # p is rounded to a 65,536th.
    np.testing.assert_allclose(
        out[kept].detach().double(),
        1 / (1 - p),
        rtol=1e-2 if dtype == torch.bfloat16 else 1e-4,
    )
    out.sum().backward()
    torch.testing.assert_close(X.grad, out.detach())
    # All four units of a random number are independent, and so are rows.
    units = kept.double().flatten()[: 4 * (X.numel() // 4)].view(-1, 4)
    correlation = torch.corrcoef(units.T) - torch.eye(4)
    assert correlation.abs().max() < 6 / len(units) ** 0.5
    np.testing.assert_allclose(units.mean(dim=0), 1 - p, atol=6 * 0.5 / 158)


def test_dropout_follows_torch_where_nothing_is_drawn():
    X = torch.arange(6.0).view(2, 3)
    assert Dropout(0.5).eval()(X) is X
    assert torch.equal(Dropout(0.0)(X), X)
    assert torch.equal(Dropout(1.0)(X), torch.zeros(2, 3))
    assert Dropout(0.3)(torch.ones(0, 4)).shape == (0, 4)
    with pytest.raises(ValueError, match="probability"):
        Dropout(1.5)
    torch.manual_seed(1)
    one = Dropout(0.5)(torch.ones(50))
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.5)(torch.ones(50)), one)
    Dropout(0.5, inplace=True)(X)
    assert (X == 0).sum() > 1


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_stratified_holdout(fraction):
    y = np.repeat([0, 1, 2, 3], [100, 30, 7, 1])
    held = stratified_holdout(y, fraction, np.random.RandomState(0))
    counts = np.bincount(y[held], minlength=4)
    np.testing.assert_array_less(abs(counts - fraction * np.bincount(y)), 1)
    assert abs(held.sum() - fraction * len(y)) <= 1.5
    # A class of one row trains.
    assert counts[3] == 0
    other = stratified_holdout(y, fraction, np.random.RandomState(1))
    assert (held != other).any()
