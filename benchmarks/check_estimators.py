"""scikit-learn's estimator checks at the defaults, for every estimator and loss.

python benchmarks/check_estimators.py
"""

import os
import warnings

# Before scipy is imported: without it scikit-learn skips a check.
os.environ["SCIPY_ARRAY_API"] = "1"

from _common import markdown_table
from sklearn.utils.estimator_checks import check_estimator

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
)
from sklearn_noisy.losses import LOSSES

STATUSES = ("passed", "failed", "xfail", "skipped")


def main():
    table = []
    estimators = {loss: RobustLossClassifier(loss=loss) for loss in LOSSES}
    estimators |= {
        "NoiseMatrixEstimator": NoiseMatrixEstimator(),
        "NoiseAdaptedClassifier, learn": NoiseAdaptedClassifier(),
        "estimate": NoiseAdaptedClassifier(noise_matrix="estimate"),
        "top_down": NoiseAdaptedClassifier(noise_model="top_down"),
        "backward": NoiseAdaptedClassifier(
            noise_model="backward", noise_matrix="estimate"
        ),
    }
    for name, estimator in estimators.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(estimator, on_fail=None)
        counts = [sum(r["status"] == status for r in results) for status in STATUSES]
        table.append([f"`{name}`", *counts])
        for result in results:
            if result["status"] in ("failed", "skipped"):
                print(name, result["status"], result["check_name"], result["exception"])
    print(markdown_table(["loss or estimator", *STATUSES], table))


if __name__ == "__main__":
    main()
