"""scikit-learn estimators for classification when many training labels are wrong."""

from sklearn_noisy._robust_loss import RobustLossClassifier
from sklearn_noisy._version import __version__

__all__ = ["RobustLossClassifier", "__version__"]
