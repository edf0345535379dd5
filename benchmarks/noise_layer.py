"""Noise layer on MNIST and Fashion-MNIST: known, estimated, learned, and rivals.

All 60,000 training images get wrong labels; an MLP 784-256-10 with dropout trains on
them. Nothing is chosen on test labels: epochs, and the parameters of top-down and of
generalized cross-entropy, by held-out rows with their *given* labels.

    python benchmarks/noise_layer.py --dataset mnist --seeds 0

A stopped run goes on where it was: results are JSON lines in ``--output``.
"""

import argparse
import warnings

import numpy as np
import torch
from _common import Results, markdown_table
from cleanlab.classification import CleanLearning
from sklearn.metrics import f1_score
from skorch.callbacks import Callback

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy._rows.rows import Rows
from sklearn_noisy.datasets import corrupt_labels, fetch_images, make_noise_matrix
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.metrics import noise_matrix_error

NOISES = (
    "symmetric 20 %",
    "symmetric 50 %",
    "symmetric 80 %",
    "asymmetric 40 %",
    "random 50 %",
    "pair 45 %",
)
METHODS = (
    "cross-entropy",
    "true Q",
    "estimated",
    "learned",
    "default",
    "CleanLearning",
    "top-down",
    "generalized CE",
)
N_CLEAN = 1000
ALPHAS = (0.4, 0.6, 0.8)
QS = (0.5, 0.7)
LAST = 10


def noise_matrix(noise):
    """The matrix that makes labels wrong."""
    kind, rate, _ = noise.split()
    rate = int(rate) / 100
    if kind != "asymmetric":
        return make_noise_matrix(10, rate, kind, random_state=0)
    Q = np.eye(10)
    for true, given in ((7, 1), (2, 7), (3, 8), (5, 6), (6, 5)):
        Q[true, true], Q[given, true] = 1 - rate, rate
    return Q


class Data:
    """Images with given labels."""

    def __init__(self, dataset, noise, seed):
        images = fetch_images(dataset)
        self.X, self.y = images.X_train, images.y_train
        self.X_test, self.y_test = images.X_test, images.y_test
        self.Q = noise_matrix(noise)
        self.given = corrupt_labels(self.y, self.Q, random_state=seed)
        counts = np.zeros((10, 10))
        np.add.at(counts, (self.given, self.y), 1)
        self.floor = noise_matrix_error(counts / counts.sum(axis=0), self.Q)


class TestAccuracy(Callback):
    """Accuracy on true test labels after each epoch; nothing is chosen by it."""

    data = None  # of the class: callbacks are copied

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        found = net.logits(Rows(self.data.X_test)).argmax(axis=1)
        accuracy = float((found == self.data.y_test).mean())
        net.history.record("test_accuracy", accuracy)


def options(args, seed):
    """What all methods share."""
    return {
        "module__hidden_layer_sizes": (256,),
        "module__dropout": 0.5,
        "module__input_dropout": 0.2,
        "module__input_scale": 255.0,
        "validation_fraction": 0.05,
        "batch_size": 256,
        "lr": 3e-3,
        "max_epochs": args.epochs,
        "precision": args.precision,
        "device": args.device,
        "optimizer__fused": True,
        "callbacks": [TestAccuracy()],
        "random_state": seed,
    }


def by_epoch(clf):
    """Test accuracy of all epochs."""
    return [round(row["test_accuracy"], 4) for row in clf.history_]


def figures(clf, data, args):
    """What is told of a model whose epoch was picked on noisy validation rows."""
    curve = by_epoch(clf)
    result = {
        "picked": clf.score(data.X_test, data.y_test),
        "last": float(np.mean(curve[-LAST:])),
        "first_net_last": float(np.mean(curve[args.epochs - LAST : args.epochs])),
        "last_epoch": curve[-1],
        "valid_loss": clf.history_[-1].get("valid_loss"),
        "curve": curve,
        "floor": data.floor,
    }
    if getattr(clf, "noise_model", None) == "bottom_up":
        result["error"] = noise_matrix_error(clf.noise_matrix_, data.Q)
    return result


def best_by_noisy_accuracy(make, values, data, args):
    """Model of the value with the highest accuracy on held-out given labels."""
    found = []
    for value in values:
        clf = make(value).fit(data.X, data.given)
        found.append((max(row["valid_acc"] for row in clf.history_), value, clf))
    _, value, clf = max(found, key=lambda item: item[0])
    return {"value": value, **figures(clf, data, args)}


def label_errors(clf, data, args, seed):
    """F1 of the labels found wrong: by the net itself and, of seed 0, out of fold."""
    wrong = data.given != data.y
    own = find_label_issues(
        None,
        None,
        data.given,
        pred_probs=clf.predict_proba(data.X),
        noise_matrix=clf.noise_matrix_,
    )
    result = {"f1_in_sample": f1_score(wrong, own.is_label_issue)}
    if seed:
        return result
    settings = options(args, seed) | {"callbacks": None, "max_epochs": 20}
    known = NoiseAdaptedClassifier(
        noise_matrix=clf.noise_matrix_, n_rounds=0, **settings
    )
    others = find_label_issues(
        known, data.X, data.given, cv=3, noise_matrix=clf.noise_matrix_
    )
    return result | {"f1_out_of_fold": f1_score(wrong, others.is_label_issue)}


def clean_learning(data, args, seed):
    """What a user would pick today: the same net, 10 epochs, inside cleanlab."""
    settings = options(args, seed) | {"callbacks": None, "max_epochs": 10}
    net = RobustLossClassifier(loss="cross_entropy", early_stopping=False, **settings)
    X = data.X.reshape(len(data.X), -1)
    clf = CleanLearning(net, seed=seed, find_label_issues_kwargs={"n_jobs": 1})
    clf.fit(X, data.given)
    found = clf.get_label_issues()["is_label_issue"]
    return {
        "picked": float(
            (
                clf.predict(data.X_test.reshape(len(data.X_test), -1)) == data.y_test
            ).mean()
        ),
        "f1_out_of_fold": f1_score(data.given != data.y, found),
    }


def evaluate(settings, args):
    """One cell: a method on a noise with a seed."""
    data = Data(settings["dataset"], settings["noise"], settings["seed"])
    TestAccuracy.data = data
    method, seed = settings["method"], settings["seed"]
    shared = options(args, seed)
    if method == "default":
        clf = NoiseAdaptedClassifier(random_state=seed).fit(data.X, data.given)
        return {
            "picked": clf.score(data.X_test, data.y_test),
            "error": noise_matrix_error(clf.noise_matrix_, data.Q),
            "floor": data.floor,
        }
    if method == "CleanLearning":
        return clean_learning(data, args, seed)
    if method == "cross-entropy":
        # The noise layer of no noise: the same schedule, nothing else.
        clf = NoiseAdaptedClassifier(noise_matrix=np.eye(10), n_rounds=0, **shared)
        return figures(clf.fit(data.X, data.given), data, args)
    if method == "true Q":
        clf = NoiseAdaptedClassifier(noise_matrix=data.Q, **shared)
        return figures(clf.fit(data.X, data.given), data, args)
    if method == "estimated":
        clean = np.zeros(len(data.y), dtype=bool)
        clean[np.random.RandomState(seed).permutation(len(data.y))[:N_CLEAN]] = True
        y = np.where(clean, data.y, data.given)
        clf = NoiseAdaptedClassifier(noise_matrix="estimate", **shared)
        return figures(clf.fit(data.X, y, is_clean=clean), data, args)
    if method == "learned":
        clf = NoiseAdaptedClassifier(**shared).fit(data.X, data.given)
        start = noise_matrix_error(clf.noise_matrix_path_[0], data.Q)
        issues = label_errors(clf, data, args, seed)
        return {"start_error": start, **issues, **figures(clf, data, args)}
    if method == "top-down":
        return best_by_noisy_accuracy(
            lambda alpha: NoiseAdaptedClassifier(
                noise_model="top_down", alpha=alpha, **shared
            ),
            ALPHAS,
            data,
            args,
        )
    return best_by_noisy_accuracy(
        lambda q: RobustLossClassifier(
            loss="generalized_cross_entropy",
            loss__q=q,
            n_iter_no_change=args.epochs,
            **shared,
        ),
        QS,
        data,
        args,
    )


def show(rows, key):
    """Mean and, of several seeds, standard deviation; a dash if nothing was run."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return "–"
    digits = 3 if "error" in key or "f1" in key or key == "floor" else 4
    text = f"{np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.{digits}f}"
    return text.replace("0.", ".")


def accuracies(found, noises, methods):
    """Table of the epoch that was picked / the mean of the last ones."""
    table = []
    for noise in noises:
        line = [noise]
        for method in methods:
            rows = found.get((noise, method), [])
            picked, last = show(rows, "picked"), show(rows, "last")
            line.append(picked if last == "–" else f"{picked} / {last}")
        table.append(line)
    return markdown_table(["noise", *methods], table)


def matrices(found, noises):
    """Table of the errors of the matrix, and of the labels found with it."""
    columns = {
        "floor": ("learned", "floor"),
        "counted at the start": ("learned", "start_error"),
        "learned": ("learned", "error"),
        "default": ("default", "error"),
        "estimated": ("estimated", "error"),
        "F1": ("learned", "f1_in_sample"),
        "F1, out of fold": ("learned", "f1_out_of_fold"),
        "F1 of CleanLearning": ("CleanLearning", "f1_out_of_fold"),
    }
    table = [
        [noise, *(show(found.get((noise, m), []), key) for m, key in columns.values())]
        for noise in noises
    ]
    return markdown_table(["noise", *columns], table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=("mnist", "fashion_mnist"), default="mnist"
    )
    parser.add_argument("--noise", nargs="+", choices=NOISES, default=NOISES)
    parser.add_argument("--method", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", default="benchmarks/results/noise_layer.jsonl")
    parser.add_argument(
        "--show", action="store_true", help="only the table of what was run already"
    )
    args = parser.parse_args()

    results = Results(args.output)
    rows = {}
    for seed in args.seeds:
        for method in args.method:
            for noise in args.noise:
                settings = {
                    "dataset": args.dataset,
                    "noise": noise,
                    "method": method,
                    "epochs": args.epochs,
                    "seed": seed,
                }
                if args.show:
                    row = results.find(settings)
                else:
                    row = results.get(settings, lambda s=settings: evaluate(s, args))
                if row is not None:
                    rows.setdefault((noise, method), []).append(row)
    methods = [m for m in args.method if any(m == method for _, method in rows)]
    print(f"{args.dataset}: accuracy\n\n{accuracies(rows, args.noise, methods)}\n")
    print(f"{args.dataset}: matrix, wrong labels\n\n{matrices(rows, args.noise)}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=NoiseModelWarning)
    torch.set_num_threads(1)
    main()
