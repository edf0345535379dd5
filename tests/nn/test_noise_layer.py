"""The layers between the softmax and the given labels, in torch."""

import numpy as np
import pytest
import torch

from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.losses import LabelSmoothingLoss, UniformMixingLoss
from sklearn_noisy.nn import ConvertedLabels, NoiseLayer
from sklearn_noisy.nn._noise_layer import (
    _LogMixture,
    _threshold_by_order,
    project_columns_,
)
from sklearn_noisy.noise import project_columns

K = 5
Q = make_noise_matrix(K, 0.4, "random", random_state=0)


@pytest.fixture
def logits():
    return torch.randn(12, K, dtype=torch.float64)


@pytest.fixture
def given():
    return torch.arange(12) % K


def softmax(logits):
    p = np.exp(logits.double().numpy())
    return p / p.sum(axis=1, keepdims=True)


def test_loss_of_a_given_label(logits, given):
    expected = -np.log((softmax(logits) @ Q.T)[np.arange(12), given.numpy()])
    for learn in (False, True):
        losses = NoiseLayer(torch.as_tensor(Q), learn=learn)(logits, given)
        np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "criterion",
    [
        NoiseLayer(torch.as_tensor(Q)),
        NoiseLayer(torch.as_tensor(Q), learn=True),
        ConvertedLabels(torch.as_tensor(Q)),
    ],
)
def test_true_labels_and_rows_of_no_class_go_round_the_matrix(criterion, logits, given):
    log_p = np.log(softmax(logits))
    of_true = criterion(logits, given + K).detach().numpy()
    np.testing.assert_allclose(of_true, -log_p[np.arange(12), given.numpy()])
    nowhere = torch.full((12,), 2 * K)
    of_none = criterion(logits, nowhere).detach().numpy()
    np.testing.assert_allclose(of_none, -log_p.mean(axis=1))


def test_soft_targets_are_those_of_the_true_class(logits):
    soft = torch.softmax(torch.randn(12, K, dtype=torch.float64), dim=1)
    expected = -(soft.numpy() * np.log(softmax(logits))).sum(axis=1)
    for criterion in (NoiseLayer, ConvertedLabels):
        losses = criterion(torch.as_tensor(Q))(logits, soft)
        np.testing.assert_allclose(losses.numpy(), expected)


def test_uniform_mixing_is_a_noise_layer(logits, given):
    mixed = 0.7 * np.eye(K) + 0.3 / K
    np.testing.assert_allclose(
        NoiseLayer(torch.as_tensor(mixed))(logits, given),
        UniformMixingLoss(0.3)(logits, given),
    )


def test_label_smoothing_is_the_top_down_model(logits, given):
    S = 0.7 * np.eye(K) + 0.3 / K
    np.testing.assert_allclose(
        ConvertedLabels(torch.as_tensor(S))(logits, given),
        LabelSmoothingLoss(0.3)(logits, given),
    )


def test_backward_correction_is_unbiased(logits):
    criterion = ConvertedLabels(torch.linalg.inv(torch.as_tensor(Q)))
    of_given = torch.stack(
        [criterion(logits, torch.full((12,), j)) for j in range(K)]
    ).numpy()
    for true in range(K):
        np.testing.assert_allclose(
            Q[:, true] @ of_given, -np.log(softmax(logits)[:, true])
        )


def test_posterior_is_bayes_rule(logits, given):
    p = softmax(logits)
    joint = p * Q[given.numpy()]
    posterior = NoiseLayer(torch.as_tensor(Q)).posterior
    np.testing.assert_allclose(
        posterior(logits, given), joint / joint.sum(axis=1, keepdims=True)
    )
    np.testing.assert_allclose(posterior(logits, given + K), np.eye(K)[given])
    np.testing.assert_allclose(
        posterior(logits, torch.full((12,), 2 * K)), np.full((12, K), 1 / K)
    )


def test_gradients():
    matrix = torch.as_tensor(Q).clone().requires_grad_()
    logits = torch.randn(12, K, dtype=torch.float64, requires_grad=True)
    given = torch.arange(12) % K

    def loss(matrix, logits):
        return _LogMixture.apply(matrix, torch.log_softmax(logits, 1), given)

    torch.autograd.gradcheck(loss, (matrix, logits))


def test_an_entry_of_zero_has_a_gradient_and_can_return(logits, given):
    layer = NoiseLayer(torch.eye(K, dtype=torch.float64), learn=True)
    layer(logits, given).sum().backward()
    p = softmax(logits)
    expected = np.zeros((K, K))
    for row, j in zip(p, given.numpy(), strict=True):
        expected[j] -= row / row[j]
    np.testing.assert_allclose(layer.matrix.grad, expected)
    with torch.no_grad():
        layer.matrix -= 0.01 * layer.matrix.grad
    layer.after_step()
    found = layer.matrix.detach().numpy()
    assert (found[~np.eye(K, dtype=bool)] > 0).any()
    np.testing.assert_allclose(found.sum(axis=0), 1)


@pytest.mark.parametrize("regularizer", ["trace", "weight_decay", "log_det"])
def test_regularizers_shrink_the_diagonal(regularizer):
    layer = NoiseLayer(
        torch.eye(K, dtype=torch.float64),
        learn=True,
        regularizer=regularizer,
        decay=2.0,
    )
    value = {"trace": 2.0 * K, "weight_decay": 1.0 * K, "log_det": 0.0}[regularizer]
    penalty = layer.penalty()
    assert penalty.item() == pytest.approx(value)
    penalty.backward()
    # At the identity all three have the same gradient.
    np.testing.assert_allclose(layer.matrix.grad, 2.0 * np.eye(K))
    layer.set_learning(False)
    assert not layer.learn  # then nobody asks for the penalty
    assert not layer.matrix.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_low_precision_and_huge_logits(dtype, scale):
    n_classes = 1000
    matrix = make_noise_matrix(n_classes, 0.45, "pair")
    logits = (scale * torch.randn(64, n_classes)).to(dtype).requires_grad_()
    given = torch.randint(n_classes, (64,))
    for learn in (False, True):
        layer = NoiseLayer(torch.as_tensor(matrix, dtype=torch.float32), learn=learn)
        losses = layer(logits, given)
        assert losses.dtype == torch.float32
        assert torch.isfinite(losses).all()
        losses.mean().backward()
        assert torch.isfinite(logits.grad).all()
        exact = NoiseLayer(torch.as_tensor(matrix))(logits.detach().double(), given)
        np.testing.assert_allclose(losses.detach(), exact, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("n_classes", [1, 2, 7, 300])
def test_projection_onto_the_simplices(n_classes):
    for shift in (0, -20, 20):
        matrix = torch.randn(n_classes, n_classes, dtype=torch.float64) + shift
        expected = project_columns(matrix.numpy())
        np.testing.assert_allclose(
            matrix.sub(_threshold_by_order(matrix)).clamp_min(0), expected, atol=1e-12
        )
        np.testing.assert_allclose(project_columns_(matrix), expected, atol=1e-12)


def test_projection_of_a_matrix_that_has_moved_a_little():
    Q = torch.as_tensor(make_noise_matrix(50, 0.45, "pair"), dtype=torch.float32)
    moved = Q + 1e-3 * torch.randn(50, 50)
    expected = project_columns(moved.double().numpy())
    np.testing.assert_allclose(project_columns_(moved), expected, atol=1e-6)
    np.testing.assert_allclose(project_columns_(Q.clone()), Q, atol=1e-7)


def test_projection_of_a_matrix_that_is_lost():
    matrix = torch.eye(3)
    matrix[0, 0] = np.nan
    assert _threshold_by_order(matrix)[0].isnan()  # and no index out of its range


def test_columns_of_large_numbers_are_projected():
    """In float32, 1 less than a number from 2**24 on is the number itself."""
    matrix = torch.tensor(
        [
            [3e9, -3e9, 5e37, 0.2, 2e9],
            [1.0, -3e9, -3e38, 0.5, 2e9],
            [0, -4e9, 0, 0.3, 0],
        ]
    )
    expected = [[1, 0.5, 1, 0.2, 0.5], [0, 0.5, 0, 0.5, 0.5], [0, 0, 0, 0.3, 0]]
    for dtype in (torch.float32, torch.float64):
        found = project_columns_(matrix.to(dtype))
        torch.testing.assert_close(found, torch.tensor(expected, dtype=dtype))
