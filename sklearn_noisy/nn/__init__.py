"""Networks, the noise layer and its criteria: torch only."""

from sklearn_noisy._rows.rows import TensorBatches
from sklearn_noisy.nn._fast_dropout import Dropout
from sklearn_noisy.nn._mlp import MLP, floating_dtype
from sklearn_noisy.nn._noise_layer import REGULARIZERS, ConvertedLabels, NoiseLayer

__all__ = [
    "MLP",
    "REGULARIZERS",
    "ConvertedLabels",
    "Dropout",
    "NoiseLayer",
    "TensorBatches",
    "floating_dtype",
]
