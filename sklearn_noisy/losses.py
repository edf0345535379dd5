r"""Losses for training on labels some of which are wrong.

Every loss is an ``nn.Module`` that maps logits of shape ``(n, K)`` and targets
to one value per sample, shape ``(n,)``; weighting and averaging are the
caller's. Targets are class indices ``(n,)`` (int64) or soft targets ``(n, K)``,
for which the value is :math:`\sum_k t_k\,\ell(k, p)`.

Throughout, :math:`p = \mathrm{softmax}(\text{logits})`, :math:`t` is the given
label and :math:`K` the number of classes. The losses work with
:math:`\log p`, never with :math:`p` alone: :math:`p^\gamma` is
``exp(γ log p)``, whose gradient stays finite at :math:`p = 0`.

References
----------
.. [1] N. Pellegrino, D. Pellegrino, P. Fieguth, "Loss functions robust to the
   presence of label errors".
.. [2] T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017.
.. [3] Z. Zhang, M. Sabuncu, "Generalized cross entropy loss for training deep
   neural networks with noisy labels", NeurIPS 2018.
.. [4] Y. Wang et al., "Symmetric cross entropy for robust learning with noisy
   labels", ICCV 2019.
.. [5] A. Ghosh, H. Kumar, P. Sastry, "Robust loss functions under label noise
   for deep neural networks", AAAI 2017.
.. [6] X. Ma et al., "Normalized loss functions for deep learning with noisy
   labels", ICML 2020.
.. [7] C. Szegedy et al., "Rethinking the inception architecture for computer
   vision", CVPR 2016.
.. [8] Cross Validated, a question on training a network when 30 % of the
   labels are wrong, and its answer: mix the prediction with the uniform
   distribution.
"""

import inspect
import math
from numbers import Real

import numpy as np
import torch
from torch import nn

__all__ = [
    "LOSSES",
    "BaseLoss",
    "BlurryLoss",
    "ClippedLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GeneralizedCrossEntropyLoss",
    "LabelSmoothingLoss",
    "MeanAbsoluteErrorLoss",
    "NormalizedCrossEntropyReverseLoss",
    "PiecewiseZeroLoss",
    "SymmetricCrossEntropyLoss",
    "SymmetricNoiseLoss",
    "UniformMixingLoss",
    "make_loss",
    "safe_blurry_gamma",
]


def log_softmax(logits):
    """Logarithm of the softmax, in float32 at least.

    Half precision has 8 or 11 bits: not enough for a logarithm whose
    differences are the gradient.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits, dim=-1, dtype=dtype)


def _check_number(name, value, low, high=math.inf, *, closed="left"):
    """Return `value` as a float, or say which argument is out of its range."""
    bounds = {
        "left": f"[{low}, {high})",
        "right": f"({low}, {high}]",
        "neither": f"({low}, {high})",
        "both": f"[{low}, {high}]",
    }[closed]
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number in {bounds}, got {value!r}.")
    above = value >= low if closed in ("left", "both") else value > low
    below = value <= high if closed in ("right", "both") else value < high
    if not (above and below):
        raise ValueError(f"{name} must be in {bounds}, got {value!r}.")
    return float(value)


class BaseLoss(nn.Module):
    r"""What all losses share: the target's form and the domain.

    A subclass says what the loss of one label is, in :meth:`label_loss`.
    """

    def forward(self, logits, targets):
        """Loss of each sample.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
        targets : int64 tensor of shape (n_samples,) or float tensor of shape \
                (n_samples, n_classes)

        Returns
        -------
        tensor of shape (n_samples,)
        """
        log_p = log_softmax(logits)
        if targets.ndim == 1:
            return self.label_loss(log_p.gather(1, targets[:, None]), log_p)[:, 0]
        return (targets * self.label_loss(log_p, log_p)).sum(dim=1)

    def label_loss(self, log_p_label, log_p):
        r"""Loss :math:`\ell(k, p)` of the labels in the columns.

        Parameters
        ----------
        log_p_label : tensor of shape (n_samples, m)
            :math:`\log p_k` of the labels that are asked for: one column for
            hard targets, all K for soft ones.
        log_p : tensor of shape (n_samples, n_classes)
            :math:`\log p` of all classes.

        Returns
        -------
        tensor of shape (n_samples, m)
        """
        raise NotImplementedError

    def stall_probability(self, n_classes):
        """Largest p of the given label at which a row no longer learns it.

        Below it the gradient is zero or points away from the label, so a
        class whose rows all lie there can die. Zero for a loss that has no
        such region.
        """
        return 0.0

    def known_probability(self, n_classes):
        """Probability that says: the net knows this class, the loss may come on.

        It is compared with the upper quartile, over the rows that are given a
        class, of the probability of that class (doc/losses.md tells how it was
        chosen). Zero: the loss may come on at any time.
        """
        return 0.0

    def safe_at_start(self, n_classes):
        """Whether an untrained net, which gives every class 1/K, loses none."""
        return True


class CrossEntropyLoss(BaseLoss):
    r"""Cross-entropy :math:`-\log p_t`: the yardstick, not robust."""

    def label_loss(self, log_p_label, log_p):
        return -log_p_label


class FocalLoss(BaseLoss):
    r"""Focal loss :math:`-(1 - p_t)^\gamma \log p_t` [2]_.

    It turns towards the hard rows, which are also the mislabelled ones.
    [1]_ uses it as the opposite of a robust loss.

    Parameters
    ----------
    gamma : float >= 0, default=2
        Exponent. 0 is cross-entropy.
    """

    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = _check_number("gamma", gamma, 0)

    def label_loss(self, log_p_label, log_p):
        if self.gamma == 0:
            return -log_p_label
        # Without the clamp p = 1 has gradient inf · 0 for 0 < gamma < 1.
        tiny = torch.finfo(log_p_label.dtype).tiny
        one_minus_p = (-torch.expm1(log_p_label)).clamp_min(tiny)
        return -one_minus_p.pow(self.gamma) * log_p_label


def safe_blurry_gamma(n_classes):
    r"""Exponent of the blurry loss that no class dies of at the start.

    The gradient of :math:`-p^\gamma\log p` has the wrong sign below
    :math:`e^{-1/\gamma}`. An untrained net gives every class about
    :math:`1/K`; this exponent puts the reversal at a fifteenth of that:
    .29 for 2 classes, .20 for 10, .14 for 100.
    """
    return 1.0 / math.log(15.0 * n_classes)


class BlurryLoss(BaseLoss):
    r"""Blurry loss :math:`-p_t^\gamma \log p_t` [1]_.

    It turns away from the rows that the net finds unlikely. Below
    :math:`p_t = e^{-1/\gamma}` its gradient pushes the row *away* from its
    label, which is what unlearns wrong labels, and what kills a class that
    is not known yet. With :math:`p^\gamma` held constant it would have
    exactly the gradient of :class:`GeneralizedCrossEntropyLoss` with
    :math:`q = \gamma`.

    Parameters
    ----------
    gamma : float >= 0, default=None
        Exponent. 0 is cross-entropy. None: :func:`safe_blurry_gamma` of the
        number of classes.
    """

    def __init__(self, gamma=None):
        super().__init__()
        self.gamma = None if gamma is None else _check_number("gamma", gamma, 0)

    def _gamma(self, n_classes):
        return safe_blurry_gamma(n_classes) if self.gamma is None else self.gamma

    def label_loss(self, log_p_label, log_p):
        gamma = self._gamma(log_p.shape[1])
        return -torch.exp(gamma * log_p_label) * log_p_label

    def stall_probability(self, n_classes):
        gamma = self._gamma(n_classes)
        return math.exp(-1.0 / gamma) if gamma > 0 else 0.0

    def known_probability(self, n_classes):
        # Below the stalling point rows are pushed away, so a class must be well
        # above it: a quarter of the way down from 1, in logarithms.
        return self.stall_probability(n_classes) ** 0.25

    def safe_at_start(self, n_classes):
        return self.stall_probability(n_classes) <= 0.1 / n_classes


class _CutOffLoss(BaseLoss):
    """A loss that has no gradient below a cut-off `c`."""

    def __init__(self, c=0.05):
        super().__init__()
        self.c = _check_number("c", c, 0, 1, closed="neither")

    def stall_probability(self, n_classes):
        return self.c

    def known_probability(self, n_classes):
        # Rows below c are left alone, not pushed away: twice c is enough.
        return min(2 * self.c, (1 + self.c) / 2)

    def safe_at_start(self, n_classes):
        return self.c <= 0.5 / n_classes


class PiecewiseZeroLoss(_CutOffLoss):
    r"""Cross-entropy where :math:`p_t > c`, zero elsewhere [1]_.

    Rows whose label the net finds less likely than `c` are left out.

    Parameters
    ----------
    c : float in (0, 1), default=0.05
        Cut-off, a probability.
    """

    def label_loss(self, log_p_label, log_p):
        return torch.where(log_p_label > math.log(self.c), -log_p_label, 0.0)


class ClippedLoss(_CutOffLoss):
    r"""Cross-entropy cut off at the top: :math:`\min(-\log p_t, -\log c)`.

    Its gradient is that of :class:`PiecewiseZeroLoss` with the same `c`; its
    value is continuous.

    Parameters
    ----------
    c : float in (0, 1), default=0.05
        Cut-off, a probability.
    """

    def label_loss(self, log_p_label, log_p):
        cut = math.log(self.c)
        return torch.where(log_p_label > cut, -log_p_label, -cut)


class UniformMixingLoss(BaseLoss):
    r"""Cross-entropy of the prediction mixed with the uniform distribution.

    :math:`-\log\left((1 - \varepsilon) p_t + \varepsilon / K\right)` [8]_: the
    likelihood of a given label, of which a fraction :math:`\varepsilon` was
    redrawn over all K classes. It is bounded by :math:`\log(K/\varepsilon)`,
    and it is the noise layer with
    :math:`Q = (1-\varepsilon) I + \varepsilon/K\,11^\top`.

    Parameters
    ----------
    noise_rate : float in [0, 1), default=0.3
        :math:`\varepsilon`, the fraction of labels that were redrawn.
        Of these, :math:`(K-1)/K` really change. 0 is cross-entropy.
    """

    def __init__(self, noise_rate=0.3):
        super().__init__()
        self.noise_rate = _check_number("noise_rate", noise_rate, 0, 1)

    def _mixing_rate(self, n_classes):
        return self.noise_rate

    def label_loss(self, log_p_label, log_p):
        n_classes = log_p.shape[1]
        eps = self._mixing_rate(n_classes)
        if eps == 0:
            return -log_p_label
        floor = torch.full_like(log_p_label, math.log(eps / n_classes))
        return -torch.logaddexp(math.log1p(-eps) + log_p_label, floor)


class SymmetricNoiseLoss(UniformMixingLoss):
    r"""Uniform mixing for labels that never flip to themselves.

    :math:`-\log\left((1-\rho)p_t + \frac{\rho}{K-1}(1-p_t)\right)`, that is,
    :class:`UniformMixingLoss` with :math:`\varepsilon = \rho K/(K-1)`.

    Parameters
    ----------
    noise_rate : float in [0, (K - 1) / K), default=0.3
        :math:`\rho`, the fraction of labels that are wrong.
    """

    def _mixing_rate(self, n_classes):
        eps = self.noise_rate * n_classes / (n_classes - 1)
        if eps >= 1:
            raise ValueError(
                f"noise_rate={self.noise_rate} of symmetric_noise must be below "
                f"(K - 1) / K = {(n_classes - 1) / n_classes:.3g} for "
                f"{n_classes} classes: from there on the given labels say "
                "nothing about the true ones."
            )
        return eps


class LabelSmoothingLoss(BaseLoss):
    r"""Cross-entropy with a smoothed target [7]_.

    :math:`-(1-\varepsilon)\log p_t - \varepsilon \sum_k \pi_k \log p_k`. The
    same matrix as in :class:`UniformMixingLoss`, but on the target: nothing
    is bounded.

    Parameters
    ----------
    noise_rate : float in [0, 1), default=0.1
        :math:`\varepsilon`, the weight of the prior.
    prior : array-like of shape (n_classes,), default=None
        :math:`\pi`: non-negative, summing to 1. None is the uniform one.
    """

    def __init__(self, noise_rate=0.1, prior=None):
        super().__init__()
        self.noise_rate = _check_number("noise_rate", noise_rate, 0, 1)
        if prior is not None:
            prior = np.asarray(prior, dtype=np.float64)
            if prior.ndim != 1 or (prior < 0).any() or abs(prior.sum() - 1) > 1e-6:
                raise ValueError(
                    "prior must be a vector of non-negative numbers that sum to "
                    f"1, got {prior!r}."
                )
            prior = torch.from_numpy(prior)
        self.register_buffer("prior", prior)

    def label_loss(self, log_p_label, log_p):
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


class GeneralizedCrossEntropyLoss(BaseLoss):
    r"""Generalized cross-entropy :math:`(1 - p_t^q) / q` [3]_.

    Between cross-entropy (:math:`q \to 0`) and half the mean absolute error
    (:math:`q = 1`).

    Parameters
    ----------
    q : float in [0, 1], default=0.7
        0 is cross-entropy.
    """

    def __init__(self, q=0.7):
        super().__init__()
        self.q = _check_number("q", q, 0, 1, closed="both")

    def label_loss(self, log_p_label, log_p):
        if self.q == 0:
            return -log_p_label
        return -torch.expm1(self.q * log_p_label) / self.q


class MeanAbsoluteErrorLoss(BaseLoss):
    r"""Mean absolute error :math:`\sum_k |p_k - [k = t]| = 2(1 - p_t)` [5]_.

    Unmoved by symmetric noise, in the limit of infinite data; slow to learn
    when there are many classes.
    """

    def label_loss(self, log_p_label, log_p):
        return -2 * torch.expm1(log_p_label)


class SymmetricCrossEntropyLoss(BaseLoss):
    r"""Cross-entropy plus reverse cross-entropy [4]_.

    :math:`-\alpha\log p_t - \beta A (1 - p_t)`; the second term is
    :math:`-\sum_k p_k \log [k = t]` with :math:`\log 0` put to `A`.

    Parameters
    ----------
    alpha : float >= 0, default=0.1
        Weight of cross-entropy.
    beta : float >= 0, default=1
        Weight of reverse cross-entropy.
    A : float < 0, default=-4
        What stands for log 0.
    """

    def __init__(self, alpha=0.1, beta=1.0, A=-4.0):
        super().__init__()
        self.alpha = _check_number("alpha", alpha, 0)
        self.beta = _check_number("beta", beta, 0)
        self.A = _check_number("A", A, -math.inf, 0, closed="neither")

    def label_loss(self, log_p_label, log_p):
        reverse = self.A * torch.expm1(log_p_label)
        return -self.alpha * log_p_label + self.beta * reverse


class NormalizedCrossEntropyReverseLoss(BaseLoss):
    r"""Normalised cross-entropy plus reverse cross-entropy (NCE + RCE) [6]_.

    :math:`\alpha \frac{\log p_t}{\sum_k \log p_k} - \beta A (1 - p_t)`: an
    active and a passive loss, each of which symmetric noise leaves unmoved.

    Parameters
    ----------
    alpha : float >= 0, default=1
        Weight of normalised cross-entropy.
    beta : float >= 0, default=1
        Weight of reverse cross-entropy.
    A : float < 0, default=-4
        What stands for log 0.
    """

    def __init__(self, alpha=1.0, beta=1.0, A=-4.0):
        super().__init__()
        self.alpha = _check_number("alpha", alpha, 0)
        self.beta = _check_number("beta", beta, 0)
        self.A = _check_number("A", A, -math.inf, 0, closed="neither")

    def label_loss(self, log_p_label, log_p):
        # sum_k log p_k <= -K log K: never near zero.
        normalised = log_p_label / log_p.sum(dim=1, keepdim=True)
        reverse = self.A * torch.expm1(log_p_label)
        return self.alpha * normalised + self.beta * reverse


#: The losses by name.
LOSSES = {
    "cross_entropy": CrossEntropyLoss,
    "focal": FocalLoss,
    "blurry": BlurryLoss,
    "piecewise_zero": PiecewiseZeroLoss,
    "clipped": ClippedLoss,
    "uniform_mixing": UniformMixingLoss,
    "symmetric_noise": SymmetricNoiseLoss,
    "label_smoothing": LabelSmoothingLoss,
    "generalized_cross_entropy": GeneralizedCrossEntropyLoss,
    "symmetric_cross_entropy": SymmetricCrossEntropyLoss,
    "mean_absolute_error": MeanAbsoluteErrorLoss,
    "normalized_cross_entropy_reverse": NormalizedCrossEntropyReverseLoss,
}


def make_loss(loss, n_classes, **params):
    """Build a loss from a name, a class or an instance.

    Parameters
    ----------
    loss : str, nn.Module class or nn.Module instance
        A key of :data:`LOSSES`, a class (called with `params`, and with
        ``n_classes`` and ``reduction="none"`` where its signature has them)
        or an instance, which is returned as it is.
    n_classes : int
    **params
        Arguments of the class.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        If the name is unknown, or parameters come with an instance.
    TypeError
        If `loss` is neither a name, a class nor an instance, or does not
        take a parameter.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(
                f"loss must be one of {', '.join(map(repr, LOSSES))}, or an "
                f"nn.Module class or instance; got {loss!r}."
            )
        name, loss = loss, LOSSES[loss]
    elif isinstance(loss, nn.Module):
        if params:
            names = ", ".join(f"loss__{name}" for name in sorted(params))
            raise ValueError(
                f"{names} cannot be set when loss is an instance of "
                f"{type(loss).__name__}: give the class, or set it there."
            )
        return loss
    elif isinstance(loss, type) and issubclass(loss, nn.Module):
        name = loss.__name__
    else:
        raise TypeError(
            "loss must be a name, an nn.Module class or an nn.Module instance; "
            f"got {loss!r}."
        )
    accepted = inspect.signature(loss).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for key in params:
        if key not in accepted and not takes_any:
            known = ", ".join(accepted) or "none"
            raise TypeError(
                f"loss {name!r} has no parameter {key!r}; its parameters: {known}."
            )
    if "n_classes" in accepted:
        params.setdefault("n_classes", n_classes)
    if "reduction" in accepted:
        params.setdefault("reduction", "none")
    return loss(**params)
