"""A grid search in two processes against one: what the second one brings.

12 candidates, 3 folds, 5,000 rows of the size of digits; the same for scikit-learn's
MLPClassifier with the same network. One run, the workers are up before the clock
starts, and both ways take turns.

    python benchmarks/parallel_search.py
"""

import argparse
import statistics
import time

import numpy as np
from _common import markdown_table
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import corrupt_labels

LEARNING_RATES = [3e-4, 1e-3, 3e-3, 1e-2]


def make_data(n_rows=5_000):
    """Digits with a little noise on the pixels, 30 % of the labels wrong."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.RandomState(0)
    rows = rng.randint(len(y), size=n_rows)
    X = ((X[rows] + rng.randn(n_rows, 64)) / 16).astype(np.float32)
    return X, corrupt_labels(y[rows], noise_rate=0.3, random_state=0)


def searches(max_epochs):
    """Estimator and grid of 12 candidates each."""
    shared = {"max_epochs": max_epochs, "early_stopping": False, "random_state": 0}
    return {
        "RobustLossClassifier": (
            RobustLossClassifier(loss="generalized_cross_entropy", **shared),
            {"lr": LEARNING_RATES, "loss__q": [0.3, 0.5, 0.7]},
        ),
        "NoiseAdaptedClassifier": (
            NoiseAdaptedClassifier(noise_model="top_down", **shared),
            {"lr": LEARNING_RATES, "alpha": [0.3, 0.5, 0.8]},
        ),
        "MLPClassifier": (
            MLPClassifier(
                (256, 256),
                batch_size=128,
                max_iter=max_epochs,
                n_iter_no_change=max_epochs + 1,
                tol=0,
                random_state=0,
            ),
            {"learning_rate_init": LEARNING_RATES, "alpha": [1e-4, 1e-3, 1e-2]},
        ),
    }


def seconds(estimator, grid, data, n_jobs):
    search = GridSearchCV(estimator, grid, cv=3, refit=False, n_jobs=n_jobs)
    start = time.perf_counter()
    search.fit(*data)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    data = make_data()
    table = []
    for name, (estimator, grid) in searches(args.epochs).items():
        first = {key: values[:1] for key, values in grid.items()}
        seconds(estimator, first, data, n_jobs=2)  # imports in the workers
        pairs = [
            [seconds(estimator, grid, data, n_jobs) for n_jobs in (1, 2)]
            for _ in range(args.repeats)
        ]
        ratio = statistics.median(two / one for one, two in pairs)
        one, two = (statistics.median(times) for times in zip(*pairs, strict=True))
        table.append([name, f"{one:.1f}", f"{two:.1f}", f"{ratio:.2f}"])
        print(table[-1], flush=True)
    header = ["36 fits", "n_jobs=1, s", "n_jobs=2, s", "ratio"]
    print(markdown_table(header, table))


if __name__ == "__main__":
    import warnings

    # The workers have filters of their own: by the environment, PYTHONWARNINGS.
    warnings.filterwarnings("ignore", "Stochastic Optimizer")
    main()
