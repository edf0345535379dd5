"""scikit-learn estimators for classification when many training labels are wrong."""

from sklearn_noisy._estimators.noise_adapted import NoiseAdaptedClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._version import __version__
from sklearn_noisy.label_issues import find_label_issues
from sklearn_noisy.persistence import load, save

__all__ = [
    "NoiseAdaptedClassifier",
    "NoiseMatrixEstimator",
    "RobustLossClassifier",
    "__version__",
    "find_label_issues",
    "load",
    "save",
]
