"""Networks and batches: torch only, nothing of scikit-learn."""

from sklearn_noisy.nn._batches import Rows, TensorBatches, root_mean_square
from sklearn_noisy.nn._mlp import MLP, floating_dtype

__all__ = ["MLP", "Rows", "TensorBatches", "floating_dtype", "root_mean_square"]
