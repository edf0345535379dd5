"""The losses."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import cross_entropy

from sklearn_noisy._validation import check_integer, check_real
from sklearn_noisy.losses._base import BaseLoss

# Largest size of a parameter. Its products with logarithms of probabilities, and with
# the weights of the rows, stay finite in float32.
LARGEST = 1e30

# A parameter below it changes no value of a loss in float64, but its quotients would be
# 0 / 0.
SMALLEST = 1e-20


def _check_fraction(value: float, name: str) -> float:
    return check_real(value, name, min_val=0, max_val=1, include_boundaries="left")


class CrossEntropyLoss(BaseLoss):
    r"""Cross-entropy :math:`-\log p_t`: the reference, not robust."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim == 1:  # torch fuses softmax, logarithm and selection
            dtype = torch.promote_types(logits.dtype, torch.float32)
            return cross_entropy(logits.to(dtype), targets, reduction="none")
        return super().forward(logits, targets)

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        return -log_p_label


class FocalLoss(BaseLoss):
    r"""Focal loss :math:`-(1 - p_t)^\gamma \log p_t`.

    It gives more weight to hard rows [1]_. Mislabelled rows are hard rows, so
    [2]_ uses it as the opposite of a robust loss.

    Parameters
    ----------
    gamma : float in [0, 1e30], default=2
        Exponent. 0 is cross-entropy.

    References
    ----------
    .. [1] T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017.
    .. [2] N. Pellegrino, D. Pellegrino, P. Fieguth, "Loss functions robust to the
       presence of label errors".
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = check_real(gamma, "gamma", min_val=0, max_val=LARGEST)

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        if self.gamma == 0:
            return -log_p_label
        # For 0 < gamma < 1 the gradient at p = 1 would be inf · 0 without the clamp.
        tiny = torch.finfo(log_p_label.dtype).tiny
        one_minus_p = (-torch.expm1(log_p_label)).clamp_min(tiny)
        return -one_minus_p.pow(self.gamma) * log_p_label


class _StallingLoss(BaseLoss):
    """A loss whose gradient vanishes where the label's probability is small."""

    def known_probability(self, n_classes: int) -> float:
        stall = self.stall_probability(n_classes)
        return min(2 * stall, (1 + stall) / 2)

    def safe_at_start(self, n_classes: int) -> bool:
        return self.stall_probability(n_classes) <= 0.5 / n_classes


def safe_blurry_gamma(n_classes: int) -> float:
    r"""Exponent of the blurry loss with which an untrained net loses no class.

    The gradient of :math:`-p^\gamma\log p` vanishes at
    :math:`p = e^{-1/\gamma}`. An untrained net predicts about :math:`1/K` for every
    class. This exponent puts the vanishing point at :math:`1/(6K)`; it is .40 for 2
    classes, .24 for 10, .16 for 100.

    Parameters
    ----------
    n_classes : int
        :math:`K`.

    Returns
    -------
    float
    """
    return 1.0 / math.log(6.0 * check_integer(n_classes, "n_classes", min_val=1))


class BlurryLoss(_StallingLoss):
    r"""Blurry loss :math:`-p_t^\gamma \log p_t`, with a floor.

    It gives less weight to rows whose label the net finds unlikely [1]_. The
    published form has its maximum :math:`1/(e\gamma)` at
    :math:`p_t = e^{-1/\gamma}` and falls to 0 below. There, training pushes a row
    *away* from its label, and a net can lower its loss by making every label
    impossible. The loss therefore keeps its maximum below that point: it is
    monotone, its slope is continuous, and rows there have no gradient. ``floor=0``
    is the published form.

    With :math:`p^\gamma` held constant it would have exactly the gradient of
    :class:`GeneralizedCrossEntropyLoss` with :math:`q = \gamma`.

    Parameters
    ----------
    gamma : float in [0, 1e30], default=None
        Exponent. 0 is cross-entropy. None: :func:`safe_blurry_gamma` of the
        number of classes.
    floor : float in [0, 1), default=None
        Probability below which the loss is constant. None:
        :math:`e^{-1/\gamma}`.

    References
    ----------
    .. [1] N. Pellegrino, D. Pellegrino, P. Fieguth, "Loss functions robust to the
       presence of label errors".
    """

    def __init__(self, gamma: float | None = None, floor: float | None = None) -> None:
        super().__init__()
        self.gamma = (
            None
            if gamma is None
            else check_real(gamma, "gamma", min_val=0, max_val=LARGEST)
        )
        self.floor = None if floor is None else _check_fraction(floor, "floor")

    def _constants(self, n_classes: int) -> tuple[float, float, float]:
        """γ, the floor and the reversal point.

        Below the reversal point the published loss pushes a row away from its label.
        """
        gamma = safe_blurry_gamma(n_classes) if self.gamma is None else self.gamma
        reversal = math.exp(-1.0 / gamma) if gamma > 0 else 0.0
        return gamma, reversal if self.floor is None else self.floor, reversal

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        gamma, floor, _ = self._constants(log_p.shape[1])
        if floor > 0:
            log_p_label = log_p_label.clamp_min(math.log(floor))
        return -torch.exp(gamma * log_p_label) * log_p_label

    def stall_probability(self, n_classes: int) -> float:
        _, floor, reversal = self._constants(n_classes)
        return max(reversal, floor)

    def known_probability(self, n_classes: int) -> float:
        # The gradient is 1 + γ log p times the gradient with p^γ held constant. At
        # the square root of the reversal point this factor is 1/2, at the fourth
        # root 3/4. For a row that is pushed away, the factor is unbounded.
        _, floor, reversal = self._constants(n_classes)
        needed = reversal ** (0.25 if floor < reversal else 0.5)
        return max(needed, super().known_probability(n_classes))

    def safe_at_start(self, n_classes: int) -> bool:
        # Larger factors lose classes on digits (doc/losses.md).
        _, floor, reversal = self._constants(n_classes)
        margin = 0.1 if floor < reversal else 0.2
        return max(reversal, floor) <= margin / n_classes


class _CutOffLoss(_StallingLoss):
    """A loss whose gradient is zero below a cut-off `c`."""

    def __init__(self, c: float = 0.05) -> None:
        super().__init__()
        self.c = check_real(c, "c", min_val=0, max_val=1, include_boundaries="neither")

    def stall_probability(self, n_classes: int) -> float:
        return self.c


class PiecewiseZeroLoss(_CutOffLoss):
    r"""Cross-entropy where :math:`p_t > c`, zero elsewhere.

    Rows whose label has a probability of `c` or less do not count [1]_.

    Parameters
    ----------
    c : float in (0, 1), default=0.05
        Cut-off, a probability.

    References
    ----------
    .. [1] N. Pellegrino, D. Pellegrino, P. Fieguth, "Loss functions robust to the
       presence of label errors".
    """

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        return torch.where(log_p_label > math.log(self.c), -log_p_label, 0.0)


class ClippedLoss(_CutOffLoss):
    r"""Cross-entropy cut off at the top: :math:`\min(-\log p_t, -\log c)`.

    It has the gradient of :class:`PiecewiseZeroLoss` with the same `c`, but is
    continuous.

    Parameters
    ----------
    c : float in (0, 1), default=0.05
        Cut-off, a probability.
    """

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        cut = math.log(self.c)
        return torch.where(log_p_label > cut, -log_p_label, -cut)


class UniformMixingLoss(BaseLoss):
    r"""Cross-entropy of the prediction mixed with the uniform distribution.

    :math:`-\log\left((1 - \varepsilon) p_t + \varepsilon / K\right)` [1]_: the
    negative log-likelihood of the given label if a fraction :math:`\varepsilon` of
    the labels was redrawn uniformly over all K classes. It is bounded by
    :math:`\log(K/\varepsilon)`, and equals the noise layer with
    :math:`Q = (1-\varepsilon) I + \varepsilon/K\,11^\top`.

    Parameters
    ----------
    noise_rate : float in [0, 1), default=0.3
        :math:`\varepsilon`, the fraction of labels that were redrawn.
        Of these, :math:`(K-1)/K` really change. 0 is cross-entropy.

    References
    ----------
    .. [1] Cross Validated, a question on training a network when 30 % of the
       labels are wrong, and its answer: mix the prediction with the uniform
       distribution.
    """

    def __init__(self, noise_rate: float = 0.3) -> None:
        super().__init__()
        self.noise_rate = _check_fraction(noise_rate, "noise_rate")

    def _mixing_rate(self, n_classes: int) -> float:
        return self.noise_rate

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        n_classes = log_p.shape[1]
        eps = self._mixing_rate(n_classes)
        if eps < SMALLEST:
            return -log_p_label
        floor = torch.full_like(log_p_label, math.log(eps / n_classes))
        return -torch.logaddexp(math.log1p(-eps) + log_p_label, floor)


class SymmetricNoiseLoss(UniformMixingLoss):
    r"""Uniform mixing, with the noise rate counted in wrong labels.

    :math:`-\log\left((1-\rho)p_t + \frac{\rho}{K-1}(1-p_t)\right)`, that is,
    :class:`UniformMixingLoss` with :math:`\varepsilon = \rho K/(K-1)`.

    Parameters
    ----------
    noise_rate : float in [0, (K - 1) / K), default=0.3
        :math:`\rho`, the fraction of labels that are wrong.
    """

    def _mixing_rate(self, n_classes: int) -> float:
        eps = self.noise_rate * n_classes / (n_classes - 1)
        if eps >= 1:
            raise ValueError(
                f"noise_rate={self.noise_rate} of symmetric_noise must be below "
                f"(K - 1) / K = {(n_classes - 1) / n_classes:.3g} for "
                f"{n_classes} classes: at that rate the given labels carry no "
                "information about the true ones."
            )
        return eps


class LabelSmoothingLoss(BaseLoss):
    r"""Cross-entropy with a smoothed target.

    :math:`-(1-\varepsilon)\log p_t - \varepsilon \sum_k \pi_k \log p_k` [1]_. It
    applies the matrix of :class:`UniformMixingLoss` to the target instead of the
    prediction, and is unbounded.

    Parameters
    ----------
    noise_rate : float in [0, 1), default=0.1
        :math:`\varepsilon`, the weight of the prior.
    prior : array-like of shape (n_classes,), default=None
        :math:`\pi`: non-negative, summing to 1. None is the uniform one.

    References
    ----------
    .. [1] C. Szegedy et al., "Rethinking the inception architecture for computer
       vision", CVPR 2016.
    """

    prior: Tensor | None

    def __init__(self, noise_rate: float = 0.1, prior: ArrayLike | None = None) -> None:
        super().__init__()
        self.noise_rate = _check_fraction(noise_rate, "noise_rate")
        self.register_buffer("prior", None if prior is None else _check_prior(prior))

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        n_classes = log_p.shape[1]
        if self.prior is None:
            smooth = log_p.mean(dim=1, keepdim=True)
        elif len(self.prior) != n_classes:
            raise ValueError(
                f"prior has {len(self.prior)} entries for {n_classes} classes."
            )
        else:
            smooth = (log_p * self.prior.to(log_p.dtype)).sum(dim=1, keepdim=True)
        return -(1 - self.noise_rate) * log_p_label - self.noise_rate * smooth


def _check_prior(prior: ArrayLike) -> Tensor:
    prior = np.asarray(prior, dtype=np.float64)
    is_distribution = (prior >= 0).all() and abs(prior.sum() - 1) <= 1e-6
    if prior.ndim != 1 or not is_distribution:
        raise ValueError(
            "prior must be a vector of non-negative numbers that sum to 1, "
            f"got {prior!r}."
        )
    return torch.from_numpy(prior)


class GeneralizedCrossEntropyLoss(BaseLoss):
    r"""Generalized cross-entropy :math:`(1 - p_t^q) / q`.

    It interpolates between cross-entropy (:math:`q \to 0`) and half the mean absolute
    error (:math:`q = 1`) [1]_.

    Parameters
    ----------
    q : float in [0, 1], default=0.7
        0 is cross-entropy.

    References
    ----------
    .. [1] Z. Zhang, M. Sabuncu, "Generalized cross entropy loss for training deep
       neural networks with noisy labels", NeurIPS 2018.
    """

    def __init__(self, q: float = 0.7) -> None:
        super().__init__()
        self.q = check_real(q, "q", min_val=0, max_val=1)

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        if self.q < SMALLEST:
            return -log_p_label
        return -torch.expm1(self.q * log_p_label) / self.q


class MeanAbsoluteErrorLoss(BaseLoss):
    r"""Mean absolute error :math:`\sum_k |p_k - [k = t]| = 2(1 - p_t)`.

    In the limit of infinite data, symmetric noise does not change its minimiser [1]_.
    Training is slow with many classes.

    References
    ----------
    .. [1] A. Ghosh, H. Kumar, P. Sastry, "Robust loss functions under label noise
       for deep neural networks", AAAI 2017.
    """

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        return -2 * torch.expm1(log_p_label)


class SymmetricCrossEntropyLoss(BaseLoss):
    r"""Cross-entropy plus reverse cross-entropy.

    :math:`-\alpha\log p_t - \beta A (1 - p_t)` [1]_; the second term is
    :math:`-\sum_k p_k \log [k = t]` with :math:`\log 0` replaced by `A`.

    Parameters
    ----------
    alpha : float in [0, 1e30], default=0.1
        Weight of cross-entropy.
    beta : float in [0, 1e30], default=1
        Weight of reverse cross-entropy.
    A : float in [-1e30, 0), default=-4
        Value used for :math:`\log 0`.

    References
    ----------
    .. [1] Y. Wang et al., "Symmetric cross entropy for robust learning with noisy
       labels", ICCV 2019.
    """

    def __init__(self, alpha: float = 0.1, beta: float = 1.0, A: float = -4.0) -> None:
        super().__init__()
        self.alpha = check_real(alpha, "alpha", min_val=0, max_val=LARGEST)
        self.beta = check_real(beta, "beta", min_val=0, max_val=LARGEST)
        self.A = check_real(
            A, "A", min_val=-LARGEST, max_val=0, include_boundaries="left"
        )

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        reverse = self.A * torch.expm1(log_p_label)
        return -self.alpha * log_p_label + self.beta * reverse


class NormalizedCrossEntropyReverseLoss(SymmetricCrossEntropyLoss):
    r"""Normalised cross-entropy plus reverse cross-entropy (NCE + RCE).

    :math:`\alpha \frac{\log p_t}{\sum_k \log p_k} - \beta A (1 - p_t)`: the sum of
    an active and a passive loss, both robust to symmetric noise [1]_.

    Parameters
    ----------
    alpha : float in [0, 1e30], default=1
        Weight of normalised cross-entropy.
    beta : float in [0, 1e30], default=1
        Weight of reverse cross-entropy.
    A : float in [-1e30, 0), default=-4
        Value used for :math:`\log 0`.

    References
    ----------
    .. [1] X. Ma et al., "Normalized loss functions for deep learning with noisy
       labels", ICML 2020.
    """

    def __init__(self, alpha: float = 1.0, beta: float = 1.0, A: float = -4.0) -> None:
        super().__init__(alpha, beta, A)

    def label_loss(self, log_p_label: Tensor, log_p: Tensor) -> Tensor:
        # The denominator is at most -K log K, so it is never near zero.
        normalised = log_p_label / log_p.sum(dim=1, keepdim=True)
        reverse = self.A * torch.expm1(log_p_label)
        return self.alpha * normalised + self.beta * reverse
