"""Networks and batches: torch only, nothing of scikit-learn."""

from sklearn_noisy.nn._batches import Rows, TensorBatches, root_mean_square
from sklearn_noisy.nn._build import build_module, check_logits
from sklearn_noisy.nn._mlp import MLP, floating_dtype

__all__ = [
    "MLP",
    "Rows",
    "TensorBatches",
    "build_module",
    "check_logits",
    "floating_dtype",
    "root_mean_square",
]
