"""scikit-learn's estimator checks at the defaults, for every estimator and loss.

python benchmarks/check_estimators.py
"""

import os
import warnings

# Before scipy is imported: without it scikit-learn skips a check.
os.environ["SCIPY_ARRAY_API"] = "1"

from _common import markdown_table
from sklearn.utils.estimator_checks import check_estimator

from sklearn_noisy import NoiseMatrixEstimator, RobustLossClassifier
from sklearn_noisy.losses import LOSSES

STATUSES = ("passed", "failed", "xfail", "skipped")


def main():
    table = []
    estimators = [RobustLossClassifier(loss=loss) for loss in LOSSES]
    for estimator in [*estimators, NoiseMatrixEstimator()]:
        loss = getattr(estimator, "loss", "NoiseMatrixEstimator")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(estimator, on_fail=None)
        counts = [sum(r["status"] == status for r in results) for status in STATUSES]
        table.append([f"`{loss}`", *counts])
        for result in results:
            if result["status"] in ("failed", "skipped"):
                print(loss, result["status"], result["check_name"], result["exception"])
    print(markdown_table(["loss", *STATUSES], table))


if __name__ == "__main__":
    main()
