"""When may a loss that stalls on unlikely labels come on?

scikit-learn's digits, 30 % of the training labels wrong, 100 epochs without
early stopping: the blurry loss with its floor and as published (``floor=0``),
and the piecewise-zero loss, from the first epoch on and with ``delay="auto"``.
Mean test accuracy over the seeds, and the worst recall of any class: near 0
where a class got lost.

    python benchmarks/schedule.py
"""

import argparse
import warnings

import numpy as np
from _common import Results, markdown_table, noisy_digits
from sklearn.metrics import recall_score

from sklearn_noisy import RobustLossClassifier
from sklearn_noisy.exceptions import LossWarmUpWarning

BLURRY = [
    {"loss": "blurry", "gamma": gamma, **floor}
    for floor in ({}, {"loss__floor": 0.0})
    for gamma in (0.2, 0.25, 0.3, 0.4, 0.5)
]
PIECEWISE = [{"loss": "piecewise_zero", "c": c} for c in (0.05, 0.07, 0.1, 0.2)]


def evaluate(params, delay, seed, noise_rate):
    """Test accuracy, worst recall and epochs of the loss."""
    X_train, y_given, X_test, y_test = noisy_digits(seed, noise_rate)
    clf = RobustLossClassifier(
        **params, delay=delay, early_stopping=False, random_state=seed
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LossWarmUpWarning)
        predicted = clf.fit(X_train, y_given).predict(X_test)
    recall = recall_score(y_test, predicted, average=None, zero_division=0)
    robust = [row["robust"] for row in clf.history_]
    first = robust.index(True) if any(robust) else len(robust)
    return {
        "test": float((predicted == y_test).mean()),
        "worst_recall": float(recall.min()),
        "first_robust": first + 1,
        "back": sum(not on for on in robust[first:]),
        "warned": any(issubclass(w.category, LossWarmUpWarning) for w in caught),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise-rate", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", default="benchmarks/results/schedule.jsonl")
    args = parser.parse_args()
    results = Results(args.output)
    table = []
    for params in BLURRY + PIECEWISE:
        for delay in (1, "auto"):
            rows = []
            for seed in range(args.seeds):
                cell = (params, delay, seed, args.noise_rate)
                settings = {**params, "delay": delay, "seed": seed}
                settings["noise_rate"] = args.noise_rate
                rows.append(results.get(settings, lambda cell=cell: evaluate(*cell)))
            figures = {
                key: [row[key] for row in rows]
                for key in ("test", "worst_recall", "first_robust", "back", "warned")
            }
            table.append(
                [
                    " ".join(f"{name}={value}" for name, value in params.items()),
                    delay,
                    f"{np.mean(figures['test']):.3f}",
                    f"{min(figures['worst_recall']):.2f}",
                    " ".join(map(str, figures["first_robust"])),
                    " ".join(map(str, figures["back"])),
                    f"{sum(figures['warned'])} of {args.seeds}",
                ]
            )
    header = ["loss", "delay", "test accuracy", "worst recall", "first epoch", "back"]
    print(markdown_table([*header, "warned"], table))


if __name__ == "__main__":
    main()
