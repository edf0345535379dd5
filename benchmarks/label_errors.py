"""Find label errors among images: the experiment of Pellegrino et al.

Labels are made wrong, their CNN trains on all of them for 10 epochs, and
cleanlab's *prune by noise rate* and *prune by class* together say which labels
are wrong. ``in_sample`` judges the rows by the net that trained on them, as the
source does; ``out_of_fold`` by nets that did not (5 folds).

    python benchmarks/label_errors.py --dataset mnist --noise-rate 0.2 \
        --loss cross_entropy blurry piecewise_zero

A stopped run goes on where it was: results are JSON lines in ``--output``.
"""

import argparse

import numpy as np
import torch
from _common import Results, markdown_table
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from sklearn_noisy import RobustLossClassifier, find_label_issues
from sklearn_noisy.datasets import corrupt_labels, fetch_images
from sklearn_noisy.losses import LOSSES


class CNN(nn.Module):
    """The source's network: 1,199,882 weights for 28 × 28 images, 10 classes."""

    def __init__(self, n_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(12 * 12 * 64, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, n_classes),
        )

    def forward(self, X):
        return self.head(self.features(X[:, None]))


def evaluate(settings, device, verbose):
    """Train, find the wrong labels, compare with those that were made wrong."""
    data = fetch_images(settings["dataset"])
    rows = slice(settings["rows"])
    X = (data.X_train[rows] / 255).astype(np.float32)
    y_given, changed = corrupt_labels(
        data.y_train[rows],
        noise_rate=settings["noise_rate"],
        exact=True,
        return_mask=True,
        random_state=settings["seed"],
    )
    clf = RobustLossClassifier(
        CNN,
        loss=settings["loss"],
        gamma=settings["gamma"],
        c=settings["c"],
        delay=settings["delay"],
        max_epochs=settings["epochs"],
        early_stopping=False,
        device=device,
        random_state=settings["seed"],
        verbose=verbose,
        **({"loss__floor": settings["floor"]} if "floor" in settings else {}),
    )
    result = {}
    if settings["protocol"] == "in_sample":
        clf.fit(X, y_given)
        issues = find_label_issues(None, X, y_given, pred_probs=clf.predict_proba(X))
        test_accuracy = clf.score((data.X_test / 255).astype(np.float32), data.y_test)
        result["test_accuracy"] = test_accuracy
        switched = [row["epoch"] for row in clf.history_ if row["robust"]]
        result["robust_from_epoch"] = switched[0] if switched else None
    else:
        issues = find_label_issues(clf, X, y_given, cv=5, verbose=verbose)
    found = issues["is_label_issue"].to_numpy()
    precision, recall, f1, _ = precision_recall_fscore_support(
        changed, found, average="binary"
    )
    result |= {"precision": precision, "recall": recall, "f1": f1}
    result |= {"n_wrong": int(changed.sum()), "n_found": int(found.sum())}
    result["torch_threads"] = torch.get_num_threads()
    return result


def show(value, digits=4):
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return "" if value is None else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=("mnist", "fashion_mnist"), default="mnist"
    )
    parser.add_argument("--noise-rate", type=float, default=0.2)
    parser.add_argument("--loss", nargs="+", choices=LOSSES, default=["blurry"])
    parser.add_argument("--gamma", type=float, help="of focal and blurry")
    parser.add_argument("--floor", type=float, help="of blurry; 0 is as published")
    parser.add_argument("--c", type=float, help="of piecewise_zero and clipped")
    parser.add_argument(
        "--delay", type=int, help="first epoch of the loss; else 'auto'"
    )
    parser.add_argument(
        "--protocol", choices=("in_sample", "out_of_fold"), default="in_sample"
    )
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--output", default="benchmarks/results/label_errors.jsonl")
    args = parser.parse_args()

    results = Results(args.output)
    table = []
    for seed in args.seeds:
        for loss in args.loss:
            settings = {
                "dataset": args.dataset,
                "noise_rate": args.noise_rate,
                "loss": loss,
                # A parameter that the loss does not have is not part of its cell.
                "gamma": args.gamma if loss in ("focal", "blurry") else None,
                "c": args.c if loss in ("piecewise_zero", "clipped") else None,
                "delay": "auto" if args.delay is None else args.delay,
                "protocol": args.protocol,
                "rows": args.rows,
                "epochs": args.epochs,
                "seed": seed,
            }
            if loss == "cross_entropy":
                settings["delay"] = "auto"
            if loss == "blurry" and args.floor is not None:
                settings["floor"] = args.floor
            row = results.get(
                settings, lambda s=settings: evaluate(s, args.device, args.verbose)
            )
            keys = ("loss", "gamma", "floor", "c", "delay", "seed")
            figures = ("precision", "recall", "f1", "test_accuracy")
            table.append(
                [
                    *(show(settings.get(key), 2) for key in keys),
                    *(show(row.get(key)) for key in figures),
                    f"{row['seconds']:.0f}",
                ]
            )
    header = ["loss", "γ", "floor", "c", "delay", "seed", "precision", "recall", "F1"]
    print(markdown_table([*header, "test accuracy", "seconds"], table))


if __name__ == "__main__":
    main()
