"""Center and scale of the inputs of the default network."""

import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import train_test_split

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier, load, save
from sklearn_noisy._rows.rows import LabelledRows, Rows, root_mean_square
from sklearn_noisy._rows.scales import CONSTANT, input_scaling
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.nn import MLP

FEW = {
    "loss": "cross_entropy",
    "max_epochs": 3,
    "module__hidden_layer_sizes": (4,),
    "random_state": 0,
}


def labelled(X, weight=None):
    return LabelledRows(Rows(np.asarray(X)), weight=weight)


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return train_test_split(X, y, train_size=124, stratify=y, random_state=0)


def test_columns_of_different_units_have_their_own():
    X = np.array([[1, 1e4, 7], [2, 2e4, 7], [3, 5e4, 7], [5, 3e4, 7], [9, 4e4, 7.0]])
    center, scale = input_scaling(labelled(X))
    # The smallest entries up to which at least half, a quarter, three quarters lie.
    np.testing.assert_array_equal(center, [3, 3e4, 7])
    np.testing.assert_array_equal(scale, [3, 2e4, CONSTANT])


def test_a_column_that_is_mostly_constant_has_half_of_its_range():
    X = np.array([[0, 1e4], [0, 2e4], [0, 3e4], [0, 4e4], [3, 5e4]])
    _, scale = input_scaling(labelled(X))
    assert scale[0] == 1.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: load_digits().data,
        lambda: np.random.RandomState(0).randn(50, 4),
        lambda: np.random.RandomState(0).rand(50, 4) * [1, 2, 3, 4],
        lambda: np.full((5, 2), 7.0),
        lambda: np.zeros((5, 2)),
        lambda: np.random.RandomState(0).rand(20, 2, 2) * [1, 1e4],  # images
    ],
)
def test_columns_of_one_unit_share_one_scale(make):
    data = labelled(make())
    center, scale = input_scaling(data)
    assert center is None
    assert scale == root_mean_square(data)


def test_sparse_columns_share_one_scale():
    X = sparse.csr_array(np.eye(4) * [1, 1e2, 1e4, 1e6])
    assert input_scaling(LabelledRows(Rows(X)))[0] is None


def test_an_offset_that_all_rows_share_is_subtracted():
    X = 1e3 + np.random.RandomState(0).randn(50, 4)
    center, scale = input_scaling(labelled(X))
    assert abs(center - 1e3).max() < 1
    assert scale.max() < 3


def test_a_row_of_weight_k_is_k_rows():
    rng = np.random.RandomState(0)
    X, weight = rng.randn(12, 3) * [1, 1e3, 1e6], rng.randint(1, 5, 12)
    expected = input_scaling(labelled(np.repeat(X, weight, axis=0)))
    found = input_scaling(labelled(X, weight.astype(float)))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("unit", [2.0**600, 2.0**-600])
def test_any_unit_gives_the_same_model(unit):
    rng = np.random.RandomState(0)
    X, y = rng.randn(30, 2) * [1, 1e3], np.arange(30) % 2
    plain = RobustLossClassifier(**FEW).fit(X, y).predict_proba(X)
    other = RobustLossClassifier(**FEW).fit(X * unit, y).predict_proba(X * unit)
    np.testing.assert_array_equal(plain, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_are_clipped_smoothly(dtype):
    zeros, ones = torch.zeros(2), torch.ones(2)
    net = MLP(2, 2, hidden_layer_sizes=(), input_center=zeros, input_scale=ones)
    with torch.no_grad():
        net.layers[-1].weight.copy_(torch.eye(2))
        net.layers[-1].bias.zero_()
    net = net.to(torch.as_tensor(np.zeros(1, dtype)).dtype)
    Z = torch.as_tensor(np.array([[0.5, -4], [1e30, -1e30]], dtype))
    expected = [[0.5 / np.hypot(1, 0.5 / 3), -4 / np.hypot(1, 4 / 3)], [3, -3]]
    np.testing.assert_allclose(net(Z).detach(), expected, rtol=1e-4)


# scikit-learn looks for infinity by a sum.
@pytest.mark.filterwarnings("ignore:.* encountered in reduce:RuntimeWarning")
def test_the_largest_numbers():
    X = np.array([[1e308, 1], [-1e308, 2], [0, 3], [1e307, 4]] * 5)
    clf = RobustLossClassifier(**FEW).fit(X, np.arange(20) % 2)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_table_needs_no_scaler(wine):
    """One scale for all columns leaves .65, the share of two classes."""
    X, X_test, y, y_test = wine
    given = corrupt_labels(y, noise_rate=0.25, exact=True, random_state=0)
    clf = RobustLossClassifier(random_state=0).fit(X, given)
    assert clf.score(X_test, y_test) > 0.9


def test_it_stays_with_the_model(wine, tmp_path):
    X, X_test, y, _ = wine
    clf = NoiseAdaptedClassifier(
        noise_matrix=0.7 * np.eye(3) + 0.1,
        max_epochs=3,
        module__hidden_layer_sizes=(4,),
        random_state=0,
    ).fit(X, y)
    save(clf, tmp_path / "model")
    expected = clf.predict_proba(X_test)
    for again in (pickle.loads(pickle.dumps(clf)), load(tmp_path / "model")):
        np.testing.assert_array_equal(again.predict_proba(X_test), expected)
        again.set_params(warm_start=True)
        again.fit(X, y)
    center = clf.module_.state_dict()["input_center"]
    assert center.shape == (X.shape[1],)


def test_the_given_scale_is_taken(wine):
    X, _, y, _ = wine
    clf = RobustLossClassifier(**FEW, module__input_scale=5.0).fit(X, y)
    assert clf.module_.input_center is None
    assert float(clf.module_.input_scale) == 5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"input_scale": torch.zeros(3)}, "of positive numbers; got tensor"),
        ({"input_scale": 0.0}, "input_scale must be in"),
        ({"input_scale": torch.ones(2)}, r"tensor of shape \(3,\)"),
        ({"input_center": torch.full((3,), torch.nan)}, "input_center must be"),
    ],
)
def test_scales_that_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        MLP(3, 2, **params)
