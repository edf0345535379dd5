"""Five folds of MNIST: find_label_issues beside CleanLearning over skorch.

The same network, the same epochs and batches. The contenders take turns in one process;
told is the median of the seconds of a search and its ratio to CleanLearning's.

    python benchmarks/label_issues_speed.py
"""

import argparse
import os
import statistics
import time

import numpy as np
import torch
from _common import markdown_table
from cleanlab.classification import CleanLearning
from sklearn.metrics import f1_score
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_noisy import RobustLossClassifier, find_label_issues
from sklearn_noisy.datasets import corrupt_labels, fetch_images
from sklearn_noisy.nn import MLP

LR = 1e-3
BATCH_SIZE = 128


def make_module():
    torch.manual_seed(0)
    return MLP(784, 10, hidden_layer_sizes=(256,))


def clean_learning(X, y, epochs):
    net = NeuralNetClassifier(
        make_module(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    cleaner = CleanLearning(net, cv_n_folds=5, seed=0)
    return cleaner.find_label_issues(X, y)["is_label_issue"]


def ours(X, y, epochs, n_jobs=None):
    clf = RobustLossClassifier(
        make_module(),
        loss="cross_entropy",
        lr=LR,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        early_stopping=False,
        random_state=0,
    )
    return find_label_issues(clf, X, y, cv=5, n_jobs=n_jobs)["is_label_issue"]


CONTENDERS = {
    "CleanLearning over skorch": clean_learning,
    "find_label_issues": ours,
    "find_label_issues, n_jobs=2": lambda *args: ours(*args, n_jobs=2),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    data = fetch_images("mnist")
    X = (data.X_train[: args.rows].reshape(-1, 784) / 255).astype(np.float32)
    y, changed = corrupt_labels(
        data.y_train[: args.rows], noise_rate=0.2, return_mask=True, random_state=0
    )
    seconds = {name: [] for name in CONTENDERS}
    f1 = {}
    ours(X[:1000], y[:1000], 1, n_jobs=2)  # the workers come up
    for _ in range(args.repeats):
        for name, find in CONTENDERS.items():
            start = time.perf_counter()
            found = find(X, y, args.epochs)
            seconds[name].append(time.perf_counter() - start)
            f1[name] = f1_score(changed, found)
    reference = seconds["CleanLearning over skorch"]
    table = []
    for name, own in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(own, reference, strict=True))
        figures = (f"{statistics.median(own):.1f}", f"{ratio:.2f}", f"{f1[name]:.3f}")
        table.append([name, *figures])
    print(f"{args.rows} rows, 5 folds of {args.epochs} epochs, {os.cpu_count()} cores")
    print(markdown_table(["", "seconds", "ratio", "F1"], table))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
