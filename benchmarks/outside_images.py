"""Few clean images beside many noisy ones, some of which belong to no class.

Sukhbaatar & Fergus, section 4.2 and Figure 7, in small: 1,000 clean digits of MNIST,
digits with wrong labels, and, among them, pictures of clothes (Fashion-MNIST) that
were given the label of some digit. Their weight beside the clean rows is gamma. In
*outside*, further pictures of clothes are known to be none, and train towards the
uniform distribution (the paper's random images).

    python benchmarks/outside_images.py

A stopped run goes on where it was: results are JSON lines in ``--output``; the curve
is drawn beside them.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from _common import Results, markdown_table

from sklearn_noisy import NoiseAdaptedClassifier
from sklearn_noisy.datasets import corrupt_labels, fetch_images, make_noise_matrix

matplotlib.use("Agg")
import matplotlib.pyplot as plt

GAMMAS = (0.1, 0.2, 0.4, 0.7, 1.0)
OUTSIDE = -1
METHODS = {
    "reweighting": {"noise_model": "top_down", "alpha": 1.0},
    "top-down, alpha .5": {"noise_model": "top_down", "alpha": 0.5},
    "top-down, alpha .2": {"noise_model": "top_down", "alpha": 0.2},
    "bottom-up, estimated": {"noise_matrix": "estimate"},
    "reweighting + outside": {"noise_model": "top_down", "alpha": 1.0},
    "bottom-up + outside": {"noise_matrix": "estimate"},
}


def make_data(args, seed):
    """Rows, labels and which rows are clean; the last rows are known outsiders."""
    rng = np.random.RandomState(seed)
    digits, clothes = fetch_images("mnist"), fetch_images("fashion_mnist")
    n = [args.clean, args.noisy, args.outside, args.known_outside]
    rows = rng.permutation(len(digits.y_train))[: n[0] + n[1]]
    others = rng.permutation(len(clothes.y_train))[: n[2] + n[3]]
    Q = make_noise_matrix(10, args.noise_rate, "random", random_state=0)
    y = digits.y_train[rows]
    given = np.concatenate(
        [
            y[: n[0]],
            corrupt_labels(y[n[0] :], Q, random_state=seed),
            rng.randint(10, size=n[2]),
            np.full(n[3], OUTSIDE),
        ]
    )
    X = np.concatenate([digits.X_train[rows], clothes.X_train[others]])
    is_clean = np.arange(len(X)) < n[0]
    return X, given, is_clean, digits


def evaluate(settings, args):
    X, y, is_clean, digits = make_data(args, settings["seed"])
    params = dict(METHODS.get(settings["method"], METHODS["reweighting"]))
    if settings["method"].endswith("outside"):
        params["outside_label"] = OUTSIDE
    else:
        inside = y != OUTSIDE
        X, y, is_clean = X[inside], y[inside], is_clean[inside]
    clf = NoiseAdaptedClassifier(
        gamma=settings["gamma"],
        max_epochs=args.epochs,
        lr=3e-3,
        n_rounds=0,
        module__input_scale=255.0,
        device=args.device,
        random_state=settings["seed"],
        **params,
    )
    clf.fit(X, y, is_clean=is_clean)
    return {"test_accuracy": clf.score(digits.X_test, digits.y_test)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=int, default=1_000)
    parser.add_argument("--noisy", type=int, default=10_000)
    parser.add_argument("--outside", type=int, default=10_000)
    parser.add_argument("--known-outside", type=int, default=2_000)
    parser.add_argument("--noise-rate", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", default="benchmarks/results/outside_images.jsonl")
    args = parser.parse_args()

    results = Results(args.output)
    found = {}
    for seed in args.seeds:
        for method in ("clean rows only", *METHODS):
            for gamma in (0.0,) if method not in METHODS else GAMMAS:
                settings = {
                    "method": method,
                    "gamma": gamma,
                    "seed": seed,
                    **{
                        name: getattr(args, name)
                        for name in ("clean", "noisy", "outside", "known_outside")
                    },
                    "noise_rate": args.noise_rate,
                    "epochs": args.epochs,
                }
                row = results.get(settings, lambda s=settings: evaluate(s, args))
                found.setdefault((method, gamma), []).append(row["test_accuracy"])
    table = [
        [
            method,
            *(
                f"{np.mean(found[method, gamma]):.3f} ± "
                f"{np.std(found[method, gamma], ddof=len(args.seeds) > 1):.3f}"
                for gamma in GAMMAS
            ),
        ]
        for method in METHODS
    ]
    only = found["clean rows only", 0.0]
    print(f"clean rows only: {np.mean(only):.3f} ± {np.std(only):.3f}")
    print(markdown_table(["method", *(f"γ = {gamma}" for gamma in GAMMAS)], table))

    figure, ax = plt.subplots(figsize=(8.6, 4.2), layout="constrained")
    markers = "osD^vP"
    for (method, marker), style in zip(
        zip(METHODS, markers, strict=True), ["-"] * 4 + ["--"] * 2, strict=True
    ):
        mean = [np.mean(found[method, gamma]) for gamma in GAMMAS]
        ax.plot(GAMMAS, mean, style, marker=marker, label=method)
    ax.axhline(np.mean(only), color="#666666", linestyle=":", label="clean rows only")
    ax.set(xlabel="γ: weight of a noisy row", ylabel="accuracy on true labels")
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    path = Path(args.output).with_suffix(".png")
    figure.savefig(path, dpi=100)
    print(f"the curve is in {path}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
