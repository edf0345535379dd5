"""Every loss on scikit-learn's digits with 30 % of the training labels wrong.

For each seed, a quarter of the rows is the test part, with true labels. The
labels of the others are made wrong. Two figures for each loss:

* test accuracy of 100 epochs without early stopping, and of the defaults;
* *noisy* accuracy in 5-fold cross-validation over the training rows: what
  somebody without true labels can see. The loss that has the highest is the one
  that is picked. The best on the test part is shown too, as the oracle's.

    python benchmarks/digits_losses.py
"""

import argparse

import numpy as np
from _common import Results, markdown_table, noisy_digits
from sklearn.model_selection import StratifiedKFold, cross_val_score

from sklearn_noisy import RobustLossClassifier
from sklearn_noisy.losses import LOSSES


def evaluate(loss, seed, noise_rate):
    """Noisy cross-validated accuracy and test accuracies of one loss."""
    X_train, y_given, X_test, y_test = noisy_digits(seed, noise_rate)
    full = RobustLossClassifier(loss=loss, early_stopping=False, random_state=seed)
    default = RobustLossClassifier(loss=loss, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return {
        "noisy_cv": cross_val_score(full, X_train, y_given, cv=folds).mean(),
        "test": full.fit(X_train, y_given).score(X_test, y_test),
        "test_default": default.fit(X_train, y_given).score(X_test, y_test),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise-rate", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", default="benchmarks/results/digits_losses.jsonl")
    args = parser.parse_args()
    results = Results(args.output)
    cells = {
        (loss, seed): results.get(
            {"loss": loss, "seed": seed, "noise_rate": args.noise_rate},
            lambda loss=loss, seed=seed: evaluate(loss, seed, args.noise_rate),
        )
        for seed in range(args.seeds)
        for loss in LOSSES
    }
    seeds = range(args.seeds)

    def summary(values):
        values = np.asarray(values)
        return f"{values.mean():.3f} ± {values.std(ddof=min(1, len(values) - 1)):.3f}"

    def column(loss, key):
        return summary([cells[loss, seed][key] for seed in seeds])

    picked = [max(LOSSES, key=lambda l: cells[l, s]["noisy_cv"]) for s in seeds]  # noqa: E741
    oracle = [max(LOSSES, key=lambda l: cells[l, s]["test"]) for s in seeds]  # noqa: E741
    keys = ("noisy_cv", "test", "test_default")
    rows = [[f"`{loss}`", *(column(loss, key) for key in keys)] for loss in LOSSES]
    for name, choice in (("**picked by noisy accuracy**", picked), ("oracle", oracle)):
        row = [
            summary([cells[loss, s][k] for s, loss in enumerate(choice)]) for k in keys
        ]
        rows.append([name, *row])
    header = ["loss", "noisy CV accuracy", "test accuracy", "at the defaults"]
    print(markdown_table(header, rows))
    print("picked:", ", ".join(picked))
    print("oracle:", ", ".join(oracle))
    gap = [
        cells[loss, s]["test"] - cells["cross_entropy", s]["test"]
        for s, loss in enumerate(picked)
    ]
    print("picked minus cross-entropy, test accuracy:", summary(gap))


if __name__ == "__main__":
    main()
