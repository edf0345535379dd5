"""The noise matrix from few clean rows: how far from the truth?

All 60,000 training rows; some are clean, the others get labels that are made
wrong. Logistic regression on 64 principal components (of the images alone) is the
classifier inside. Mean of ‖Q̂ − Q‖₁ / K over the seeds, ± its standard deviation:
K columns, each of which is at most 2 from the truth.

    python benchmarks/noise_matrix_clean_data.py --dataset mnist

*Floor*: the true labels of the noisy rows counted, sampling error alone. *Symmetric*:
the symmetric matrix nearest to the truth, which nobody can know. Coverage: share of
the entries of Q inside their 90 % bootstrap interval.
"""

import argparse
import warnings

import numpy as np
from _common import Results, markdown_table
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from sklearn_noisy import NoiseMatrixEstimator
from sklearn_noisy.datasets import corrupt_labels, fetch_images, make_noise_matrix

K = 10
NOISE = (
    ("symmetric", 0.5),
    ("symmetric", 0.7),
    ("random", 0.5),
    ("random", 0.7),
    ("pair", 0.45),
)
CLEAN = (100, 300, 1000, 10_000)
METHODS = (
    "inverse",
    "l1",
    "l1, no shrinkage",
    "l1 and y_given",
    "confident_joint",
    "identity",
    "symmetric",
    "floor",
)


def error(Q_hat, Q):
    return float(np.abs(Q_hat - Q).sum() / K)


def features(dataset):
    """Principal components of the images, and the true labels."""
    data = fetch_images(dataset)
    X = data.X_train.reshape(len(data.y_train), -1) / 255
    Z = PCA(64, svd_solver="randomized", random_state=0).fit_transform(X)
    return (Z / Z[:, 0].std()).astype(np.float32), data.y_train


def counted(y_true, y_given):
    table = np.zeros((K, K))
    np.add.at(table, (y_given, y_true), 1)
    return table / table.sum(axis=0)


def evaluate(Z, y, kind, rate, n_clean, seed, n_bootstrap):
    """Error of each method that needs clean rows, and of the trivial answers."""
    Q = make_noise_matrix(K, rate, kind, random_state=seed)
    y_noisy = corrupt_labels(y, Q, random_state=seed + 100)
    is_clean = np.zeros(len(y), dtype=bool)
    is_clean[np.random.RandomState(seed + 200).permutation(len(y))[:n_clean]] = True
    y_mixed = np.where(is_clean, y, y_noisy)

    def fit(**params):
        y_given = y_noisy if params.pop("use_y_given", False) else None
        estimator = NoiseMatrixEstimator(
            LogisticRegression(max_iter=300), random_state=seed, **params
        )
        return estimator.fit(Z, y_mixed, is_clean=is_clean, y_given=y_given)

    l1 = fit(method="l1", n_bootstrap=n_bootstrap)
    low, high = l1.interval_
    flips = ~np.eye(K, dtype=bool)
    inside = (low <= Q) & (high >= Q)
    trivial = [make_noise_matrix(K, r, "symmetric") for r in np.linspace(0, 0.899, 300)]
    rows = ~is_clean
    result = {
        "inverse": fit(method="inverse", shrinkage=0),
        "l1": l1,
        "l1, no shrinkage": fit(method="l1", shrinkage=0),
        "l1 and y_given": fit(method="l1", use_y_given=True),
    }
    result = {name: error(e.noise_matrix_, Q) for name, e in result.items()}
    return result | {
        "identity": error(np.eye(K), Q),
        "symmetric": min(error(matrix, Q) for matrix in trivial),
        "floor": error(counted(y[rows], y_noisy[rows]), Q),
        "l1_penalty": l1.l1_penalty_,
        "coverage_diagonal": float(inside[~flips].mean()),
        "coverage_flips": float(inside[flips].mean()),
        "width": float((high - low).mean()),
    }


def confident_joint(Z, y, kind, rate, seed):
    """Error of cleanlab's counts, which need no clean row."""
    Q = make_noise_matrix(K, rate, kind, random_state=seed)
    y_noisy = corrupt_labels(y, Q, random_state=seed + 100)
    classifier = LogisticRegression(max_iter=100, tol=1e-3)
    estimator = NoiseMatrixEstimator(classifier, method="confident_joint", cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs: close enough
        return {"confident_joint": error(estimator.fit(Z, y_noisy).noise_matrix_, Q)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=("mnist", "fashion_mnist"), default="mnist"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bootstrap", type=int, default=200)
    parser.add_argument(
        "--output", default="benchmarks/results/noise_matrix_clean_data.jsonl"
    )
    args = parser.parse_args()
    results = Results(args.output)
    Z, y = features(args.dataset)
    table = []
    for n_clean in CLEAN:
        for kind, rate in NOISE:
            cells = []
            for seed in range(args.seeds):
                settings = {
                    "dataset": args.dataset,
                    "kind": kind,
                    "noise_rate": rate,
                    "seed": seed,
                }
                joint = results.get(
                    settings,
                    lambda c=(kind, rate, seed): confident_joint(Z, y, *c),
                )
                settings = settings | {"n_clean": n_clean}
                settings["n_bootstrap"] = args.bootstrap
                cell = (kind, rate, n_clean, seed, args.bootstrap)
                row = results.get(settings, lambda c=cell: evaluate(Z, y, *c))
                cells.append({**row, "confident_joint": joint["confident_joint"]})

            def show(name, cells=cells):
                values = [cell[name] for cell in cells]
                return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"

            coverage = [
                f"{np.mean([cell[name] for cell in cells]):.2f}"
                for name in ("coverage_diagonal", "coverage_flips")
            ]
            name = f"{kind} {rate:.0%}"
            table.append([name, n_clean, *map(show, METHODS), " / ".join(coverage)])
    header = ["noise", "clean rows", *METHODS, "coverage: diagonal / flips"]
    print(markdown_table(header, table))


if __name__ == "__main__":
    main()
