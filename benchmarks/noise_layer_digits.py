"""Noise layer on scikit-learn's digits: 1,347 rows, everything at its defaults.

    python benchmarks/noise_layer_digits.py

A stopped run goes on where it was: results are JSON lines in ``--output``.
"""

import argparse

import numpy as np
import torch
from _common import Results, markdown_table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix

NOISES = ("symmetric 30 %", "symmetric 60 %", "pair 40 %")
METHODS = ("no noise layer", "blurry loss", "learned", "true matrix")


def evaluate(settings):
    """Test accuracy, and the error of the matrix."""
    seed = settings["seed"]
    kind, rate, _ = settings["noise"].split()
    Q = make_noise_matrix(10, int(rate) / 100, kind)
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X / 16, y, stratify=y, random_state=seed
    )
    rows = slice(0, settings["rows"])
    X_train, y_train = X_train[rows], y_train[rows]
    given = corrupt_labels(y_train, Q, random_state=seed)
    clf = {
        "no noise layer": NoiseAdaptedClassifier(noise_matrix=np.eye(10), n_rounds=0),
        "blurry loss": RobustLossClassifier(),
        "learned": NoiseAdaptedClassifier(n_folds=settings["n_folds"]),
        "true matrix": NoiseAdaptedClassifier(noise_matrix=Q),
    }[settings["method"]]
    clf.set_params(random_state=seed).fit(X_train, given)
    result = {"test_accuracy": clf.score(X_test, y_test)}
    if settings["method"] == "learned":
        counts = np.zeros((10, 10))
        np.add.at(counts, (given, y_train), 1)
        result["error"] = float(np.abs(clf.noise_matrix_ - Q).sum() / 10)
        result["floor"] = float(np.abs(counts / counts.sum(axis=0) - Q).sum() / 10)
    return result


def show(values):
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1347)
    parser.add_argument("--n-folds", default="auto")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", nargs="+", choices=NOISES, default=NOISES)
    parser.add_argument("--method", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument(
        "--output", default="benchmarks/results/noise_layer_digits.jsonl"
    )
    args = parser.parse_args()
    results = Results(args.output)
    n_folds = args.n_folds if args.n_folds == "auto" else int(args.n_folds)
    table = []
    for noise in args.noise:
        for method in args.method:
            shared = {
                "noise": noise,
                "method": method,
                "rows": args.rows,
                "n_folds": n_folds,
            }
            runs = [{**shared, "seed": seed} for seed in range(args.seeds)]
            rows = [results.get(run, lambda s=run: evaluate(s)) for run in runs]
            line = [
                show([row[key] for row in rows]) if key in rows[0] else ""
                for key in ("test_accuracy", "error", "floor")
            ]
            table.append([noise, method, *line])
    header = ["noise", "method", "test accuracy", "error of the matrix", "floor"]
    print(markdown_table(header, table))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
