r"""Loss functions for training with wrong labels.

Every loss is an ``nn.Module`` that maps logits of shape ``(n, K)`` and targets
to one value per sample, shape ``(n,)``. The caller weights and averages them.
Targets are class indices ``(n,)`` (int64) or soft targets ``(n, K)``, for which the
value is :math:`\sum_k t_k\,\ell(k, p)`.

Throughout, :math:`p = \mathrm{softmax}(\text{logits})`, :math:`t` is the given
label and :math:`K` the number of classes. The losses are computed from
:math:`\log p`, never from :math:`p` alone: :math:`p^\gamma` is
``exp(γ log p)``, whose gradient stays finite at :math:`p = 0`.
"""

from sklearn_noisy.losses._base import BaseLoss, log_softmax
from sklearn_noisy.losses._losses import (
    BlurryLoss,
    ClippedLoss,
    CrossEntropyLoss,
    FocalLoss,
    GeneralizedCrossEntropyLoss,
    LabelSmoothingLoss,
    MeanAbsoluteErrorLoss,
    NormalizedCrossEntropyReverseLoss,
    PiecewiseZeroLoss,
    SymmetricCrossEntropyLoss,
    SymmetricNoiseLoss,
    UniformMixingLoss,
    safe_blurry_gamma,
)
from sklearn_noisy.losses._registry import LOSSES, make_loss

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
    "log_softmax",
    "make_loss",
    "safe_blurry_gamma",
]
