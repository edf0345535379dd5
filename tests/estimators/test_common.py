"""scikit-learn's own checks. `make check-estimators` runs them at the defaults, with
every loss."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
)

# Enough training for the checks on accuracy, and no more.
CHEAP = {"lr": 0.02, "max_epochs": 30, "module__hidden_layer_sizes": (16,)}
ADAPTED = {**CHEAP, "max_epochs": 20}

# Those that differ in when they are active, and two more. The others differ in their
# formula only (tests/losses).
KINDS_OF_LOSSES = (
    "cross_entropy",
    "blurry",
    "piecewise_zero",
    "normalized_cross_entropy_reverse",
    "label_smoothing",
)

# With a class weight of 1e-7 no net knows that class, and the estimator says so.
# Without clean rows "estimate" warns, as the backward correction always does.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:The robust loss was never used:"
        "sklearn_noisy.exceptions.LossWarmUpWarning"
    ),
    pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning"),
]


@parametrize_with_checks(
    [
        *(RobustLossClassifier(loss=loss, **CHEAP) for loss in KINDS_OF_LOSSES),
        NoiseMatrixEstimator(LogisticRegression()),
        NoiseMatrixEstimator(RobustLossClassifier(loss="cross_entropy", **CHEAP)),
        NoiseAdaptedClassifier(**ADAPTED),
        NoiseAdaptedClassifier(regularizer="trace", **ADAPTED),
        NoiseAdaptedClassifier(noise_matrix="estimate", **ADAPTED),
        NoiseAdaptedClassifier(noise_model="top_down", **ADAPTED),
        NoiseAdaptedClassifier(
            noise_model="backward", noise_matrix="estimate", **ADAPTED
        ),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)
