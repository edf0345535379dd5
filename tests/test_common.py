"""scikit-learn's own checks; `python benchmarks/check_estimators.py` runs them at
the defaults."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_noisy import NoiseMatrixEstimator, RobustLossClassifier
from sklearn_noisy.losses import LOSSES

# Enough training for the checks on accuracy, and no more.
CHEAP = {"lr": 0.02, "max_epochs": 30, "module__hidden_layer_sizes": (16,)}

# With a class weight of 1e-7 no net knows that class, and the estimator says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The robust loss never came on:sklearn_noisy.exceptions.LossWarmUpWarning"
)


@parametrize_with_checks(
    [
        *(RobustLossClassifier(loss=loss, **CHEAP) for loss in LOSSES),
        NoiseMatrixEstimator(LogisticRegression()),
        NoiseMatrixEstimator(RobustLossClassifier(loss="cross_entropy", **CHEAP)),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)
