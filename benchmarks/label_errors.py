"""Find label errors among images: the experiments of Pellegrino et al.

Labels are made wrong, a network trains on all of them for 10 epochs, and cleanlab's
*prune by noise rate* and *prune by class* together say which labels are wrong. Rows are
judged ``in_sample`` by the net that trained on them, as in the source, or
``out_of_fold`` by nets that did not (5 folds).

    python benchmarks/label_errors.py table1      # their Table 1
    python benchmarks/label_errors.py defaults    # its losses as they come here
    python benchmarks/label_errors.py figure5     # over gamma and over c
    python benchmarks/label_errors.py figure6     # over the delay
    python benchmarks/label_errors.py others      # losses that they left for later
    python benchmarks/label_errors.py ours        # one setting of ours for all rows

``--show`` prints what was run already, and draws the figures. A stopped run goes on
where it was: results are JSON lines in ``--output``.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from _common import Results, markdown_table
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy.datasets import corrupt_labels, fetch_images
from sklearn_noisy.exceptions import LossWarmUpWarning
from sklearn_noisy.nn import Dropout

# The four rows of Table 1.
ROWS = (("mnist", 0.1), ("mnist", 0.2), ("fashion_mnist", 0.1), ("fashion_mnist", 0.2))

# Their F1: best of a grid for each row, on the labels that are told here.
THEIRS = {
    ("mnist", 0.1): {
        "cross_entropy": 0.9668,
        "blurry": 0.9793,
        "piecewise_zero": 0.9729,
    },
    ("mnist", 0.2): {
        "cross_entropy": 0.9708,
        "blurry": 0.9845,
        "piecewise_zero": 0.9827,
    },
    ("fashion_mnist", 0.1): {"focal": 0.8332, "blurry": 0.8237},
    ("fashion_mnist", 0.2): {"focal": 0.8814, "blurry": 0.8892},
}
# Their hyper-parameters on MNIST, by noise rate; those on Fashion-MNIST are not known.
GAMMA = {0.1: 0.3, 0.2: 0.4}
DELAY = {0.1: 6, 0.2: 4}

EPOCHS = 10

# One setting for all rows, fixed on other wrong labels (corruption seed 1000) of the
# same images: a noise matrix is learned, then Bayes' rule decides, by what the network
# says of the rows that it trained on, and by what the nets that found the matrix say of
# those that they left out (label_quality_).
OURS = "learned noise matrix"


class CNN(nn.Module):
    """The source's network: 1,199,882 weights for 28 × 28 images, 10 classes.

    The rectifier follows the pooling, which is the same and a quarter of the work;
    masks of dropout and the order of the channels in memory are fast ones.
    """

    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3)),
            *(nn.MaxPool2d(2), nn.ReLU(), Dropout(0.25), nn.Flatten()),
            *(nn.Linear(12 * 12 * 64, 128), nn.ReLU(), Dropout(0.5)),
            nn.Linear(128, n_classes),
        ).to(memory_format=torch.channels_last)

    def forward(self, X):
        return self.layers(X[:, None])


class SmallCNN(nn.Module):
    """A network of ours with a twentieth of the multiplications, 35,530 weights."""

    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 5, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2), nn.BatchNorm2d(64), nn.ReLU()),
            *(nn.Flatten(), Dropout(0.5), nn.Linear(64 * 25, n_classes)),
        ).to(memory_format=torch.channels_last)

    def forward(self, X):
        return self.layers(X[:, None])


class ShiftedCNN(SmallCNN):
    """The small network; in training, each batch is moved by up to two pixels.

    It learns fewer rows by heart. Pixels that leave on one side come in on the other:
    margins are black.
    """

    def forward(self, X):
        if self.training:
            shifts = torch.randint(-2, 3, (2,)).tolist()
            X = X.roll(shifts, (-2, -1))
        return super().forward(X)


NETWORKS = {"small": SmallCNN, "shifted": ShiftedCNN, "source": CNN}


def robust(loss, *, delay="auto", **params):
    """Settings of one of the source's methods."""
    return {"method": loss, "delay": delay, "params": params}


def table1(rate):
    return [
        robust("cross_entropy"),
        robust("focal", gamma=2.0),
        robust("blurry", gamma=GAMMA[rate]),
        robust("piecewise_zero", c=0.05, delay=DELAY[rate]),
        # As published: without a floor, from the first epoch on.
        robust("blurry", gamma=GAMMA[rate], delay=1, loss__floor=0.0),
    ]


def defaults(rate):
    return [robust("blurry"), robust("piecewise_zero")]


def figure5(rate):
    gammas = (0.1, 0.2, 0.3, 0.4, 0.5)
    cs = (0.01, 0.02, 0.05, 0.1, 0.2)
    return [robust("blurry", gamma=gamma) for gamma in gammas] + [
        robust("piecewise_zero", c=c) for c in cs
    ]


def figure6(rate):
    return [robust("piecewise_zero", c=0.05, delay=delay) for delay in range(9)]


def others(rate):
    return [
        robust("generalized_cross_entropy"),
        robust("symmetric_cross_entropy"),
        robust("normalized_cross_entropy_reverse"),
        robust("mean_absolute_error"),
        robust("uniform_mixing"),
    ]


def ours(rate):
    return [{"method": OURS, "network": "shifted", "params": {"n_folds": 5}}]


EXPERIMENTS = {
    "table1": table1,
    "defaults": defaults,
    "figure5": figure5,
    "figure6": figure6,
    "others": others,
    "ours": ours,
}


def classifier(cell, args):
    """The estimator of a cell."""
    shared = {
        "precision": args.precision,
        "device": args.device,
        "random_state": cell["seed"],
        "max_epochs": EPOCHS,
    }
    if cell["method"] == OURS:
        return NoiseAdaptedClassifier(
            NETWORKS[cell["network"]], batch_size=128, **cell["params"], **shared
        )
    return RobustLossClassifier(
        NETWORKS[cell.get("network", "source")],
        loss=cell["method"],
        delay=cell["delay"],
        early_stopping=False,
        **cell["params"],
        **shared,
    )


def evaluate(cell, args):
    """Train, find the wrong labels, compare with those that were made wrong."""
    data = fetch_images(cell["dataset"])
    X, X_test = (
        (part / 255).astype(np.float32)
        for part in (data.X_train[: args.rows], data.X_test)
    )
    y_given, changed = corrupt_labels(
        data.y_train[: args.rows],
        noise_rate=cell["noise_rate"],
        exact=True,
        return_mask=True,
        # The classifier has the seeds from 0 on.
        random_state=100 + cell["seed"],
    )
    clf = classifier(cell, args)
    result, options = {}, {}
    if cell["protocol"] == "in_sample":
        clf.fit(X, y_given)
        options["pred_probs"] = clf.predict_proba(X)
        result["test_accuracy"] = clf.score(X_test, data.y_test)
    if cell["method"] == OURS:
        options |= {"noise_matrix": clf.noise_matrix_, "filter_by": "posterior"}
        result["out_of_fold"] = judged(clf.label_quality_ < 0.5, changed)
    issues = find_label_issues(clf, X, y_given, **options)
    return result | judged(issues["is_label_issue"].to_numpy(), changed)


def compute(cell, args, results):
    """A result; one fit of ours has rows judged in both ways."""
    if cell["method"] == OURS and cell["protocol"] == "out_of_fold":
        in_sample = {**cell, "protocol": "in_sample"}
        row = results.get(in_sample, lambda: evaluate(in_sample, args))
        return row["out_of_fold"]
    return evaluate(cell, args)


def judged(found, changed):
    """Precision, recall, F1 and the counts behind them."""
    precision, recall, f1, _ = precision_recall_fscore_support(
        changed, found, average="binary"
    )
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "n_wrong": int(changed.sum()),
        "n_found": int(found.sum()),
        "n_correct": int((changed & found).sum()),
    }


def name_of(cell):
    """What a table calls a method."""
    words = [cell["method"].replace("_", " ")]
    for key, value in cell.get("params", {}).items():
        words.append(f"{key.removeprefix('loss__')} = {value:g}")
    if cell.get("delay", "auto") != "auto":
        words.append(f"delay {cell['delay']}")
    if "network" in cell:
        words.append(f"{cell['network']} network")
    return ", ".join(words)


def cells(args):
    """Settings of the cells in the order of the tables, by row."""
    network = {} if args.network == "source" else {"network": args.network}
    for dataset, rate in ROWS:
        if dataset not in args.dataset or rate not in args.noise_rate:
            continue
        yield (
            (dataset, rate),
            [
                [
                    {
                        "dataset": dataset,
                        "noise_rate": rate,
                        **network,
                        **method,
                        "protocol": args.protocol,
                        "rows": args.rows,
                        "precision": args.precision,
                        "seed": seed,
                    }
                    for seed in args.seeds
                ]
                for method in EXPERIMENTS[args.experiment](rate)
            ],
        )


def show(values, digits=4):
    """Mean, and the spread if there are several."""
    mean = f"{np.mean(values):.{digits}f}".removeprefix("0")
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}".replace("± 0.", "± .")


def table(row, methods, results):
    """What was run of one row, in Markdown."""
    lines = []
    for method in methods:
        found = [one for cell in method if (one := results.find(cell)) is not None]
        if not found:
            continue
        figures = [
            show([one[key] for one in found])
            for key in ("precision", "recall", "f1", "test_accuracy")
            if key in found[0]
        ]
        theirs = THEIRS[row].get(method[0]["method"])
        lines.append(
            [
                name_of(method[0]),
                *(f"{np.mean([one[key] for one in found]):.0f}" for key in COUNTS),
                *figures,
                "" if theirs is None else show([theirs]),
            ]
        )
    header = ["", "found", "of these wrong", "precision", "recall", "F1"]
    if lines and len(lines[0]) == 8:
        header.append("test accuracy")
    return markdown_table([*header, "best of theirs"], lines)


COUNTS = ("n_found", "n_correct")

NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}


def draw(args, results, path):
    """Figure 5 or 6: detections, and those that are right, along a parameter."""
    # Only where a picture is wanted.
    from matplotlib.figure import Figure

    key = {"figure5": ("gamma", "c"), "figure6": ("delay",)}[args.experiment]
    rows = list(cells(args))
    figure = Figure(
        figsize=(max(5.2, 4.2 * len(key)), 3.2 * len(rows)), layout="constrained"
    )
    axes = figure.subplots(len(rows), len(key), squeeze=False, sharey="row")
    for (row, methods), line in zip(rows, axes, strict=True):
        for name, ax in zip(key, line, strict=True):
            points = []
            for method in methods:
                value = {**method[0]["params"], "delay": method[0]["delay"]}.get(name)
                found = [one for cell in method if (one := results.find(cell))]
                if found and value not in (None, "auto"):
                    counts = [np.mean([one[k] for one in found]) for k in COUNTS]
                    points.append((value, *counts, found[0]["n_wrong"]))
            if not points:
                continue
            x, n_found, n_correct, n_wrong = zip(*points, strict=True)
            ax.axhline(n_wrong[0], color="0.5", linestyle="--", label="wrong labels")
            ax.plot(x, n_found, "o-", color="#0072b2", label="found")
            ax.plot(x, n_correct, "s-", color="#d55e00", label="found and wrong")
            loss = "piecewise zero" if name != "gamma" else "blurry"
            ax.set(
                title=f"{NAMES[row[0]]}, ρ = {row[1]:g}: {loss}",
                xlabel={"gamma": "γ", "delay": "delay (epochs)"}.get(name, name),
                ylabel="rows",
            )
            if name == "c":
                ax.set_xscale("log")
                ax.set_xticks(x, [f"{value:g}" for value in x])
                ax.minorticks_off()
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3
    )
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--dataset", nargs="+", default=["mnist", "fashion_mnist"])
    parser.add_argument("--noise-rate", type=float, nargs="+", default=[0.1, 0.2])
    parser.add_argument(
        "--protocol", choices=("in_sample", "out_of_fold"), default="in_sample"
    )
    parser.add_argument("--network", choices=NETWORKS, default="source")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", default="benchmarks/results/label_errors.jsonl")
    parser.add_argument("--show", action="store_true", help="only what was run already")
    args = parser.parse_args()

    results = Results(args.output)
    for row, methods in cells(args):
        for method in methods:
            for cell in [] if args.show else method:
                results.get(cell, lambda c=cell: compute(c, args, results))
        print(f"\n{row[0]}, {row[1]:g}, {args.protocol}\n")
        print(table(row, methods, results))
    if args.show and args.experiment.startswith("figure"):
        draw(args, results, Path(args.output).with_name(f"{args.experiment}.png"))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=LossWarmUpWarning)
    torch.set_num_threads(1)
    main()
