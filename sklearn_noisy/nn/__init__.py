"""Networks and batches: torch only, nothing of scikit-learn."""

from sklearn_noisy.nn._batches import Rows, TensorBatches, root_mean_square
from sklearn_noisy.nn._build import (
    build_module,
    check_logits,
    check_weights,
    try_out,
)
from sklearn_noisy.nn._criterion import Criterion
from sklearn_noisy.nn._dropout import Dropout
from sklearn_noisy.nn._mlp import MLP, floating_dtype
from sklearn_noisy.nn._noise_layer import REGULARIZERS, ConvertedLabels, NoiseLayer
from sklearn_noisy.nn._optimizer import can_be_fused

__all__ = [
    "MLP",
    "REGULARIZERS",
    "ConvertedLabels",
    "Criterion",
    "Dropout",
    "NoiseLayer",
    "Rows",
    "TensorBatches",
    "build_module",
    "can_be_fused",
    "check_logits",
    "check_weights",
    "floating_dtype",
    "root_mean_square",
    "try_out",
]
