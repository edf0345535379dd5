"""Values of rows: dtypes, and sizes that the type of the net cannot hold."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from torch import nn
from torch.utils.data import Dataset

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy._rows.rows import LabelledRows, Rows, root_mean_square
from sklearn_noisy.callbacks import EpochAccuracy
from sklearn_noisy.exceptions import ModuleOutputError

Y = np.arange(20) % 2
X = np.column_stack([Y - 0.5, np.arange(20) / 20])
DAYS = np.arange(40).reshape(20, 2).astype("datetime64[D]")


class Items(Dataset):
    """Rows of an array, read on request."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index]


def classifier(**params):
    params = {"loss": "cross_entropy", "max_epochs": 1, "random_state": 0, **params}
    return RobustLossClassifier(**params)


def linear(dtype):
    torch.manual_seed(0)
    return nn.Linear(2, 2).to(dtype)


def with_row(value, dtype=np.float64):
    changed = X.astype(dtype)
    changed[3, 1] = value
    return changed


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    ("dtype", "value", "name"),
    [(torch.float32, -1e39, "float32"), (torch.float16, 1e5, "float16")],
)
def test_values_that_overflow_in_the_type_of_the_net(kind, dtype, value, name):
    bad = kind(with_row(value))
    message = f"X holds values that are too large for {name}, .* in row 3"
    clf = classifier(module=linear(dtype), precision="auto")
    with pytest.raises(ValueError, match=message):
        clf.fit(bad, Y)
    assert not hasattr(clf, "net_")
    fitted = classifier(module=linear(torch.float32)).fit(X, Y)
    fitted.module_.to(dtype)
    for method in (fitted.predict, fitted.predict_proba, fitted.predict_log_proba):
        with pytest.raises(ValueError, match=message):
            method(bad)


@pytest.mark.parametrize("continuing", ["partial_fit", "warm_start"])
def test_values_that_overflow_later_leave_the_net_as_it_was(continuing):
    clf = classifier(precision="float32", warm_start=True).fit(X, Y)
    before, epochs = clf.predict_proba(X), clf.n_iter_
    train = clf.partial_fit if continuing == "partial_fit" else clf.fit
    with pytest.raises(ValueError, match="too large for float32"):
        train(with_row(1e39), Y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert clf.n_iter_ == epochs
    weight = np.where(np.arange(20) == 3, 0.0, 1.0)  # the row counts as absent
    assert train(with_row(1e39), Y, sample_weight=weight) is clf


def test_values_that_overflow_in_a_noise_adapted_net():
    clf = NoiseAdaptedClassifier(max_epochs=1, precision="float32", n_folds=2)
    with pytest.raises(ValueError, match="too large for float32"):
        clf.fit(with_row(1e39), Y)


def test_values_that_overflow_in_the_widest_type():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        return  # this platform has no wider type
    bad = with_row(np.longdouble("1e400"), np.longdouble)
    clf = classifier().fit(X, Y)
    for call in (lambda: classifier().fit(bad, Y), lambda: clf.predict_proba(bad)):
        with pytest.raises(ValueError, match=r"too large for float64: up to 1e\+400"):
            call()


def test_large_integers_in_a_narrow_net():
    bad = np.where(np.arange(40).reshape(20, 2) == 7, -70_000, 1)
    with pytest.raises(ValueError, match="too large for float16.*7e\\+04 in row 3"):
        classifier(module=linear(torch.float16)).fit(bad, Y)


def test_logits_that_are_not_numbers_for_another_reason():
    clf = classifier().fit(X, Y)
    broken = copy.deepcopy(clf)
    with torch.no_grad():
        next(broken.module_.parameters()).fill_(torch.nan)
    with pytest.raises(ModuleOutputError, match="no probabilities for 20 of 20 rows"):
        broken.predict(X)


@pytest.mark.parametrize("size", [2.0**600, 2.0**-600, 2.0**1015])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_inputs_of_any_size_are_scaled(size, kind):
    """A power of two changes no digit, so the model is the same."""
    plain = classifier(max_epochs=3).fit(kind(X), Y)
    extreme = classifier(max_epochs=3).fit(kind(X * size), Y)
    scale = float(plain.module_.input_scale)
    assert float(extreme.module_.input_scale) / size == pytest.approx(scale, rel=1e-15)
    np.testing.assert_allclose(
        extreme.predict_proba(kind(X * size)), plain.predict_proba(kind(X)), rtol=1e-12
    )


def test_root_mean_square_of_zeros_and_of_the_smallest_number():
    assert root_mean_square(LabelledRows(Rows(np.zeros((3, 2))))) == 1
    for value in (5e-324, 1e-310, np.finfo(float).max):
        rows = LabelledRows(Rows(np.full((3, 2), value)))
        assert root_mean_square(rows) == pytest.approx(value, rel=1e-15)


def test_inputs_too_small_for_the_type_of_the_net():
    with pytest.raises(ValueError, match="that are too small for float32"):
        classifier(precision="float32").fit(X * 1e-200, Y)


@pytest.mark.parametrize(
    "rows",
    [
        DAYS,
        DAYS - DAYS[0],
        pd.DataFrame(DAYS),
        pd.DataFrame(DAYS - DAYS[0]),
        pd.DataFrame({"a": np.arange(20.0), "b": pd.Series(DAYS[:, 0])}),
        pd.DataFrame({"a": pd.Series(DAYS[:, 0]).dt.tz_localize("UTC")}),
        pl.DataFrame({"a": DAYS[:, 0]}),
        pl.DataFrame({"a": np.arange(20.0), "b": DAYS[:, 0]}),
        pl.DataFrame({"a": (DAYS[:, 0] - DAYS[0, 0]).astype("timedelta64[ms]")}),
        DAYS.tolist(),
        Items(DAYS),
        Items(np.ones((20, 2)) * 1j),
        Items(np.full((20, 2), "1")),
        Items(np.zeros((20, 2), dtype=[("a", float)])),
    ],
)
def test_rows_that_are_not_numbers(rows):
    clf = classifier().fit(X, Y)
    calls = [lambda: classifier().fit(rows, Y), lambda: clf.predict(rows)]
    if not isinstance(rows, Items):
        callback = EpochAccuracy(rows, Y)
        calls.append(lambda: classifier(callbacks=[callback]).fit(X, Y))
    for call in calls:
        with pytest.raises((TypeError, ValueError), match="numbers|number|numeric"):
            call()


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((20, 2)) * 1j,
        Items(torch.ones(20, 2) * 1j),
        np.full((20, 2), "a", dtype=object),
        np.zeros((20, 2), dtype=[("a", float)]),
    ],
)
def test_rows_that_scikit_learn_refuses(rows):
    with pytest.raises(ValueError, match="Complex|convert|numeric"):
        classifier().fit(rows, Y)


@pytest.mark.parametrize("shape", [(20, 0, 5), (20, 5, 0), (20, 0)])
@pytest.mark.parametrize("kind", [np.asarray, Items])
def test_rows_without_a_value(shape, kind):
    with pytest.raises(ValueError, match="a minimum of 1 is required"):
        classifier().fit(kind(np.zeros(shape)), Y)
