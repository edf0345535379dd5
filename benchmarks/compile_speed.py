"""What ``compile=True`` brings: an epoch with and without it.

Rows of the size of MNIST; the same training with each, told are the seconds of the
first epoch, compilation included, and the median of those of the others.

    python benchmarks/compile_speed.py
"""

import argparse
import statistics

import torch
from _common import markdown_table
from training_speed import Case, ChannelsLast, make_data

from sklearn_noisy import RobustLossClassifier

NETWORKS = {
    "default network": (Case(n_rows=10_000), {}),
    "CNN": (
        Case("cnn, channels last", n_rows=1500),
        {"module": ChannelsLast, "precision": "bfloat16"},
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    table = []
    for name, (case, params) in NETWORKS.items():
        X, y = make_data(case)
        medians = []
        for compiled in (False, True):
            clf = RobustLossClassifier(
                loss="cross_entropy",
                compile=compiled,
                max_epochs=args.epochs,
                early_stopping=False,
                random_state=0,
                **params,
            ).fit(X, y)
            first, *others = clf.history_[:, "dur"]
            medians.append(statistics.median(others))
            table.append(
                [
                    f"{name}, compiled" if compiled else name,
                    f"{first:.2f}",
                    f"{medians[-1]:.3f}",
                    f"{medians[-1] / medians[0]:.2f}",
                ]
            )
            print(table[-1], flush=True)
    print(markdown_table(["", "first epoch, s", "another, s", "ratio"], table))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
