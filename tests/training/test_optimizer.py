"""Which step the optimizer takes, and that it is the same one."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy._training.net import can_be_fused
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix

LBFGS = {
    "optimizer": torch.optim.LBFGS,
    "optimizer__line_search_fn": "strong_wolfe",
    "lr": 1.0,
    "batch_size": -1,
}


def network(layer):
    return nn.Sequential(layer, nn.ReLU(), nn.Flatten())


def with_gaps():
    """A layer whose weights are a part of a larger tensor."""
    layer = nn.Linear(3, 4)
    layer.weight = nn.Parameter(torch.randn(4, 5)[:, :3])
    return layer


@pytest.mark.parametrize(
    ("optimizer", "settings", "layer", "expected"),
    [
        (torch.optim.Adam, {"lr": 0.1}, nn.Linear(3, 4, device="meta"), False),
        (torch.optim.Adam, {"lr": 0.1}, nn.Identity(), True),
        (torch.optim.AdamW, {}, nn.Identity(), True),
        (torch.optim.SGD, {"momentum": 0.9}, nn.Identity(), True),
        (torch.optim.RMSprop, {}, nn.Identity(), False),
        (torch.optim.LBFGS, {}, nn.Identity(), False),
        (torch.optim.Adam, {"fused": False}, nn.Identity(), False),
        (torch.optim.Adam, {"foreach": True}, nn.Identity(), False),
        (torch.optim.SGD, {"differentiable": True}, nn.Identity(), False),
    ],
)
def test_who_gets_a_fused_step(optimizer, settings, layer, expected):
    assert can_be_fused(optimizer, settings, network(layer)) is expected


def test_weights_that_a_fused_step_would_get_wrong():
    def possible(layer):
        return can_be_fused(torch.optim.SGD, {}, nn.Identity(), network(layer))

    with torch.random.fork_rng():
        assert possible(nn.Linear(3, 4))
        assert possible(nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last))
        assert not possible(with_gaps())
        assert not possible(nn.LazyLinear(3))
        assert not possible(nn.Linear(3, 4, dtype=torch.complex64))
        assert not possible(nn.Embedding(3, 4, sparse=True))
        assert possible(nn.Embedding(3, 4))


def trained(estimator, **params):
    X, y = load_digits(return_X_y=True)
    params = {"max_epochs": 8, "random_state": 0, **params}
    return estimator(**params).fit(X[:500] / 16, y[:500])


@pytest.mark.parametrize("estimator", [RobustLossClassifier, NoiseAdaptedClassifier])
def test_a_fused_step_is_the_same_step(estimator):
    fused = trained(estimator)
    loop = trained(estimator, optimizer__foreach=False)
    assert fused.net_.optimizer_.defaults["fused"]
    assert not loop.net_.optimizer_.defaults["fused"]
    for one, other in zip(
        fused.module_.parameters(), loop.module_.parameters(), strict=True
    ):
        # Both in float64: they differ by rounding alone.
        np.testing.assert_allclose(one.detach(), other.detach(), atol=1e-9)


class Words(nn.Module):
    """Logits from the sum of the vectors of a row's words."""

    def __init__(self, n_classes):
        super().__init__()
        self.vectors = nn.EmbeddingBag(17, n_classes, sparse=True, mode="sum")

    def forward(self, X):
        return self.vectors(X.long())


def test_sparse_gradients_go_on_working():
    clf = trained(
        RobustLossClassifier,
        module=Words,
        loss="cross_entropy",
        optimizer=torch.optim.SGD,
        max_epochs=1,
    )
    assert not clf.net_.optimizer_.defaults["fused"]
    assert clf.module_.vectors.weight.grad.is_sparse


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiled_network_is_the_same_network():
    plain = trained(RobustLossClassifier)
    # "eager" traces the network as other backends do and needs no compiler.
    compiled = trained(RobustLossClassifier, compile=True, compile__backend="eager")
    assert hasattr(compiled.module_, "_orig_mod")
    X = load_digits().data / 16
    np.testing.assert_allclose(
        compiled.predict_proba(X), plain.predict_proba(X), atol=1e-9
    )


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
def test_lbfgs_learns_through_the_noise_layer_in_two_epochs(schedule):
    X, y = load_digits(return_X_y=True)
    X, Q = X / 16, make_noise_matrix(10, 0.3)
    given = corrupt_labels(y, Q, random_state=0)
    clf = NoiseAdaptedClassifier(
        noise_matrix=Q, lr_schedule=schedule, max_epochs=2, random_state=0, **LBFGS
    )
    assert clf.fit(X[:900], given[:900]).score(X[900:], y[900:]) > 0.85


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, partial(torch.optim.LBFGS)])
def test_lbfgs_has_no_group_for_the_matrix(iris, optimizer):
    settings = {**LBFGS, "optimizer": optimizer}
    clf = NoiseAdaptedClassifier(regularizer="trace", max_epochs=1, **settings)
    with pytest.raises(ValueError, match="regularizer='trace' needs an optimizer with"):
        clf.fit(*iris)
    assert not hasattr(clf, "classes_")
