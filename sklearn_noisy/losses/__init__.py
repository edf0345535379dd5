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
