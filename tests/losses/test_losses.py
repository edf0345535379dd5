"""Values by hand, gradients by differences, and the identities between losses."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from sklearn_noisy import RobustLossClassifier, losses
from sklearn_noisy.losses import LOSSES, make_loss, safe_blurry_gamma

P = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
LOGITS = P.log()[None]


def by_hand(p, q_all):
    """Each default loss of a label of probability p; q_all: all probabilities."""
    K = len(q_all)
    g = 1 / math.log(6 * K)
    nce = math.log(p) / sum(map(math.log, q_all))
    return {
        "cross_entropy": -math.log(p),
        "focal": -((1 - p) ** 2) * math.log(p),
        "blurry": -(p**g) * math.log(p),
        "piecewise_zero": -math.log(p) if p > 0.05 else 0.0,
        "clipped": min(-math.log(p), -math.log(0.05)),
        "uniform_mixing": -math.log(0.7 * p + 0.3 / K),
        "symmetric_noise": -math.log(0.7 * p + 0.3 / (K - 1) * (1 - p)),
        "label_smoothing": -0.9 * math.log(p) - 0.1 * sum(map(math.log, q_all)) / K,
        "generalized_cross_entropy": (1 - p**0.7) / 0.7,
        "symmetric_cross_entropy": -0.1 * math.log(p) + 4 * (1 - p),
        "mean_absolute_error": 2 * (1 - p),
        "normalized_cross_entropy_reverse": nce + 4 * (1 - p),
    }


def random_logits(n=6, k=4, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, dtype=torch.float64, generator=generator) * scale


def grad(loss, logits, targets):
    logits = logits.clone().requires_grad_()
    loss(logits, targets).sum().backward()
    return logits.grad


@pytest.mark.parametrize("name", LOSSES)
def test_values_by_hand(name):
    loss = make_loss(name, 3)
    for label, p in enumerate(P.tolist()):
        expected = by_hand(p, P.tolist())[name]
        got = loss(LOGITS, torch.tensor([label]))
        assert got.shape == (1,)
        assert got.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_soft_targets_are_mixtures_of_hard_ones(name):
    loss = make_loss(name, 3)
    hard = torch.cat([loss(LOGITS, torch.tensor([k])) for k in range(3)])
    soft = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    assert loss(LOGITS, soft).item() == pytest.approx((soft[0] * hard).sum().item())
    one_hot = torch.eye(3, dtype=torch.float64)[[1]]
    assert loss(LOGITS, one_hot).item() == pytest.approx(hard[1].item())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("soft", [False, True])
def test_gradients(name, soft):
    logits = random_logits().requires_grad_()
    if soft:
        targets = torch.softmax(random_logits(seed=1), dim=1)
    else:
        targets = torch.tensor([0, 1, 2, 3, 0, 1])
    loss = make_loss(name, 4)
    assert gradcheck(lambda z: loss(z, targets), (logits,))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("gap", [30.0, 120.0, 1e4])
def test_finite_at_the_ends(name, dtype, gap):
    """p → 0 and p → 1, where naive powers have infinite gradients."""
    logits = torch.tensor([[gap, 0.0, 0.0], [0.0, gap, 0.0]], dtype=dtype)
    for targets in (torch.tensor([0, 0]), torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0]])):
        logits.grad = None
        logits.requires_grad_()
        value = make_loss(name, 3)(logits, targets)
        assert torch.isfinite(value).all()
        assert value.dtype == torch.promote_types(dtype, torch.float32)
        value.sum().backward()
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.0])
def test_focal_is_finite_at_one_for_every_exponent(gamma):
    logits = torch.tensor([[200.0, 0.0]])
    assert torch.isfinite(
        grad(losses.FocalLoss(gamma), logits, torch.tensor([0]))
    ).all()


@pytest.mark.parametrize(
    "loss",
    [
        losses.FocalLoss(0),
        losses.BlurryLoss(0),
        losses.GeneralizedCrossEntropyLoss(0),
        losses.GeneralizedCrossEntropyLoss(1e-9),
        losses.UniformMixingLoss(0),
        losses.SymmetricNoiseLoss(0),
        losses.LabelSmoothingLoss(0),
        losses.SymmetricCrossEntropyLoss(alpha=1, beta=0),
        losses.PiecewiseZeroLoss(1e-300),
        losses.ClippedLoss(1e-300),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_limits_are_cross_entropy(loss):
    logits, targets = random_logits(), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(loss(logits, targets), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("q", [0.2, 0.7, 1.0])
def test_blurry_with_its_power_held_constant_is_generalized_cross_entropy(q):
    logits, targets = random_logits(), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = grad(losses.GeneralizedCrossEntropyLoss(q), logits, targets)

    def held(z, t):
        log_p = torch.log_softmax(z, dim=1).gather(1, t[:, None])[:, 0]
        return -torch.exp(q * log_p).detach() * log_p

    torch.testing.assert_close(grad(held, logits, targets), expected)
    if q == 1:
        mae = grad(losses.MeanAbsoluteErrorLoss(), logits, targets)
        torch.testing.assert_close(expected, mae / 2)


def test_clipped_has_the_gradient_of_piecewise_zero():
    logits, targets = random_logits(n=50), torch.arange(50) % 4
    c = 0.2
    clipped = grad(losses.ClippedLoss(c), logits, targets)
    torch.testing.assert_close(
        clipped, grad(losses.PiecewiseZeroLoss(c), logits, targets)
    )
    p = torch.softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]
    assert 0 < (p <= c).sum() < 50
    assert (clipped[p <= c] == 0).all()


@pytest.mark.parametrize("K", [2, 4])
def test_symmetric_noise_is_uniform_mixing_at_another_rate(K):
    rho = 0.3
    logits, targets = random_logits(k=K), torch.tensor([0, 1, 1, 0, 0, 1])
    uniform = losses.UniformMixingLoss(rho * K / (K - 1))
    torch.testing.assert_close(
        losses.SymmetricNoiseLoss(rho)(logits, targets), uniform(logits, targets)
    )


def test_uniform_mixing_is_a_noise_layer_and_bounded():
    eps, K = 0.3, 4
    logits, targets = random_logits(k=K), torch.tensor([0, 1, 2, 3, 0, 1])
    Q = (1 - eps) * torch.eye(K, dtype=torch.float64) + eps / K
    noisy = torch.softmax(logits, dim=1) @ Q.T
    expected = -noisy.gather(1, targets[:, None])[:, 0].log()
    loss = losses.UniformMixingLoss(eps)
    torch.testing.assert_close(loss(logits, targets), expected)
    worst = loss(torch.tensor([[0.0, 500.0, 0.0, 0.0]]), torch.tensor([0]))
    assert worst.item() == pytest.approx(math.log(K / eps))


def test_closed_forms_of_the_uniform_mixing_gradient():
    """∂l/∂p and ∂l/∂z of −log((1 − ε) p + ε/K), as in the thread."""
    eps, K = 0.3, 3
    loss = losses.UniformMixingLoss(eps)
    t = 1
    p = P.clone().requires_grad_()
    value = -torch.log((1 - eps) * p[t] + eps / K)
    (dp,) = torch.autograd.grad(value, p)
    mixed = (1 - eps) * P[t] + eps / K
    expected_dp = torch.zeros(K, dtype=torch.float64)
    expected_dp[t] = -(1 - eps) / mixed
    torch.testing.assert_close(dp, expected_dp)
    # softmax's Jacobian: ∂p_t/∂z_k = p_t (δ_tk − p_k)
    delta = torch.eye(K, dtype=torch.float64)[t]
    expected_dz = -(1 - eps) * P[t] * (delta - P) / mixed
    torch.testing.assert_close(grad(loss, LOGITS, torch.tensor([t]))[0], expected_dz)


def test_symmetric_losses_sum_to_a_constant():
    """What makes a loss immune to symmetric noise: Σ_k ℓ(k, p) is constant."""
    logits = random_logits(n=20)
    for loss in (
        losses.MeanAbsoluteErrorLoss(),
        losses.NormalizedCrossEntropyReverseLoss(),
        losses.SymmetricCrossEntropyLoss(alpha=0),
    ):
        total = loss(logits, torch.ones(20, 4, dtype=torch.float64))
        torch.testing.assert_close(total, total[:1].expand(20))


def blurry_slope(loss, p):
    """d loss / d logit of a label of probability p, of two."""
    logits = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
    return grad(loss, logits, torch.tensor([0]))[0, 0].item()


@pytest.mark.parametrize("gamma", [0.2, 0.5])
def test_blurry_as_published_pushes_away_below_its_reversal(gamma):
    loss = losses.BlurryLoss(gamma, floor=0)
    point = math.exp(-1 / gamma)
    assert loss.stall_probability(2) == pytest.approx(point)
    assert blurry_slope(loss, point * 0.9) > 0
    assert blurry_slope(loss, point * 1.1) < 0


@pytest.mark.parametrize("gamma", [0.2, 0.5, 3.0])
def test_blurry_keeps_its_maximum_below_its_reversal(gamma):
    loss = losses.BlurryLoss(gamma)
    point = loss.stall_probability(2)
    assert point == pytest.approx(math.exp(-1 / gamma))
    p = torch.tensor([1e-30, point * 0.5, point, 0.5 + point / 2, 1.0]).double()
    logits = torch.stack([p.log(), torch.log1p(-p).clamp_min(-700)], dim=1)
    values = loss(logits, torch.zeros(5, dtype=torch.long))
    maximum = 1 / (math.e * gamma)
    np.testing.assert_allclose(values[:3], maximum)
    assert (values[3:] < maximum).all()
    assert blurry_slope(loss, point * 0.9) == 0
    # Neither the value nor the slope has a jump.
    assert -1e-6 < blurry_slope(loss, point * (1 + 1e-7)) < 0
    # Above, it is the published loss.
    published = losses.BlurryLoss(gamma, floor=0)
    torch.testing.assert_close(
        values[2:], published(logits, torch.zeros(5, dtype=torch.long))[2:]
    )


def test_blurry_takes_a_floor_of_ones_own():
    loss = losses.BlurryLoss(0.2, floor=0.05)
    assert loss.stall_probability(2) == 0.05
    assert blurry_slope(loss, 0.04) == 0
    assert blurry_slope(loss, 0.06) < 0


def test_safe_gamma_keeps_its_distance_at_every_number_of_classes():
    for K in (2, 10, 1000):
        loss = losses.BlurryLoss(safe_blurry_gamma(K))
        assert loss.stall_probability(K) == pytest.approx(1 / (6 * K))
        assert loss.safe_at_start(K)
    assert not losses.BlurryLoss(0.3).safe_at_start(10)
    assert losses.PiecewiseZeroLoss(0.05).safe_at_start(10)
    assert not losses.PiecewiseZeroLoss(0.1).safe_at_start(10)


def test_known_probability_is_above_the_stalling_point():
    for c in (0.01, 0.3, 0.9):
        assert c < losses.ClippedLoss(c).known_probability(10) < 1
    for gamma in (0.1, 0.5, 2):
        loss = losses.BlurryLoss(gamma)
        assert loss.stall_probability(10) < loss.known_probability(10) < 1
    assert losses.CrossEntropyLoss().known_probability(10) == 0


def test_label_smoothing_with_a_prior():
    prior = [0.5, 0.3, 0.2]
    loss = make_loss("label_smoothing", 3, prior=prior, noise_rate=0.2)
    expected = -0.8 * math.log(0.3) - 0.2 * sum(
        w * math.log(p) for w, p in zip(prior, P.tolist(), strict=True)
    )
    assert loss(LOGITS, torch.tensor([1])).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="prior has 3 entries for 2 classes"):
        loss(torch.zeros(1, 2), torch.tensor([0]))


@pytest.mark.parametrize(
    ("name", "params", "error", "message"),
    [
        ("focal", {"gamma": -1}, ValueError, r"gamma must be in \[0, 1e\+30\], got -1"),
        ("blurry", {"gamma": "x"}, TypeError, "gamma must be a number"),
        ("blurry", {"gamma": True}, TypeError, "gamma must be a number"),
        ("clipped", {"c": 1}, ValueError, r"c must be in \(0, 1\), got 1"),
        ("piecewise_zero", {"c": 0.0}, ValueError, r"c must be in \(0, 1\)"),
        ("uniform_mixing", {"noise_rate": 1}, ValueError, "noise_rate must be in"),
        ("generalized_cross_entropy", {"q": 1.5}, ValueError, r"q must be in \[0, 1\]"),
        ("symmetric_cross_entropy", {"A": 0}, ValueError, "A must be in"),
        (
            "label_smoothing",
            {"prior": [0.5, 0.6]},
            ValueError,
            "prior must be a vector",
        ),
        ("blurry", {"floor": 1}, ValueError, r"floor must be in \[0, 1\), got 1"),
        ("focal", {"gama": 1}, TypeError, "no parameter 'gama'; its parameters: gamma"),
        ("bluury", {}, ValueError, "got 'bluury'. Did you mean 'blurry'"),
        (3, {}, TypeError, "loss must be a name"),
        (losses.FocalLoss(), {"gamma": 1}, ValueError, "loss__gamma cannot be set"),
    ],
)
def test_bad_parameters(name, params, error, message):
    with pytest.raises(error, match=message):
        make_loss(name, 3, **params)


def test_symmetric_noise_refuses_a_rate_that_leaves_no_signal():
    loss = make_loss("symmetric_noise", 2, noise_rate=0.5)
    with pytest.raises(ValueError, match=r"must be below \(K - 1\) / K = 0.5"):
        loss(torch.zeros(1, 2), torch.tensor([0]))


def test_losses_show_their_parameters():
    assert repr(losses.BlurryLoss(0.3)) == "BlurryLoss(gamma=0.3, floor=None)"
    assert repr(losses.CrossEntropyLoss()) == "CrossEntropyLoss()"


def test_make_loss_fills_in_what_a_class_asks_for():
    loss = make_loss(torch.nn.CrossEntropyLoss, 3)
    assert loss(LOGITS, torch.tensor([0])).shape == (1,)

    class Sized(losses.BaseLoss):
        def __init__(self, n_classes):
            super().__init__()
            self.n_classes = n_classes

    assert make_loss(Sized, 7).n_classes == 7


@pytest.mark.parametrize(
    ("loss", "params"),
    [
        ("generalized_cross_entropy", {"q": 1e-39}),
        ("generalized_cross_entropy", {"q": 1e-300}),
        ("focal", {"gamma": 1e30}),
        ("focal", {"gamma": 1e-300}),
        ("blurry", {"gamma": 1e30}),
        ("blurry", {"gamma": 1e-320}),
        ("uniform_mixing", {"noise_rate": 5e-324}),
        ("symmetric_noise", {"noise_rate": 5e-324}),
        ("label_smoothing", {"noise_rate": 5e-324}),
        ("piecewise_zero", {"c": 5e-324}),
        ("clipped", {"c": 5e-324}),
        ("symmetric_cross_entropy", {"alpha": 1e30, "beta": 1e30, "A": -1.0}),
        ("symmetric_cross_entropy", {"A": -1e30}),
        ("normalized_cross_entropy_reverse", {"alpha": 1e30, "A": -1e-300}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_parameters_give_finite_losses(loss, params, dtype):
    logits = torch.tensor([[9.0, 0.0], [0.1, 0.0], [-90.0, 0.0], [0.0, 300.0]])
    logits = logits.to(dtype).requires_grad_()
    losses = make_loss(loss, 2, **params)(logits, torch.zeros(4, dtype=torch.int64))
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("loss", "name", "value"),
    [
        ("focal", "gamma", 1e31),
        ("blurry", "gamma", 1e39),
        ("symmetric_cross_entropy", "alpha", 1e39),
        ("symmetric_cross_entropy", "beta", 1e39),
        ("symmetric_cross_entropy", "A", -1e39),
    ],
)
def test_parameters_that_overflow_in_float32(loss, name, value):
    with pytest.raises(ValueError, match=f"{name} must be in"):
        make_loss(loss, 2, **{name: value})


@pytest.mark.parametrize("q", [1e-21, 1e-300])
def test_generalized_cross_entropy_tends_to_cross_entropy(q):
    logits = torch.tensor([[2.0, 0.0], [-9.0, 0.0]])
    y = torch.tensor([0, 0])
    found = make_loss("generalized_cross_entropy", 2, q=q)(logits, y)
    torch.testing.assert_close(found, make_loss("cross_entropy", 2)(logits, y))


OF_TORCH = [
    value
    for name, value in sorted(vars(torch.nn).items())
    if name.endswith("Loss") and issubclass(value, torch.nn.Module)
]
OF_LOGITS = (torch.nn.CrossEntropyLoss, torch.nn.MultiMarginLoss)


@pytest.mark.parametrize("loss", OF_TORCH)
def test_losses_of_torch_that_do_not_take_logits_are_refused(loss):
    if loss in OF_LOGITS:
        values = make_loss(loss, 3)(LOGITS, torch.tensor([0]))
        assert values.shape == (1,)
        return
    with pytest.raises(ValueError, match=rf"compare logits .* got {loss.__name__}, "):
        make_loss(loss, 3)
    with pytest.raises(ValueError, match=rf"compare logits .* got {loss.__name__}, "):
        make_loss(loss.__new__(loss), 3)


def test_nll_is_cross_entropy_of_logits(iris):
    with pytest.raises(ValueError, match="is CrossEntropyLoss of logits"):
        RobustLossClassifier(loss=torch.nn.NLLLoss).fit(*iris)


class OwnNLL(torch.nn.NLLLoss):
    def forward(self, logits, targets):
        return super().forward(logits.log_softmax(dim=1), targets)


class Squares(torch.nn.Module):
    def forward(self, logits, targets):
        return (logits - targets) ** 2


def test_subclasses_may_convert_logits(iris):
    X, y = iris
    params = {"max_epochs": 2, "random_state": 0, "delay": 1}
    own = RobustLossClassifier(loss=OwnNLL, **params).fit(X, y).predict_proba(X)
    same = RobustLossClassifier(loss=torch.nn.CrossEntropyLoss, **params).fit(X, y)
    np.testing.assert_allclose(own, same.predict_proba(X), rtol=1e-9)


def test_a_loss_that_fails_is_told_what_it_was_called_with(iris):
    with pytest.raises(RuntimeError, match="must match the size") as error:
        RobustLossClassifier(loss=Squares).fit(*iris)
    assert "logits of shape (16, 3)" in error.value.__notes__[0]
