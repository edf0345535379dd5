"""Fits that are killed again and again in one folder, and end with the same model.

Several processes fit at the same time, some of them the same estimator, with
checkpoints in one folder. Each is killed (SIGKILL) at a random moment and started
again, until the given number of kills is reached. Then all fits end. Every model must
equal the one of a fit without checkpoints, bit for bit, and the folder must be empty.

    python benchmarks/robustness/kills.py --kills 100
"""

import argparse
import collections
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone

sys.path.insert(0, str(Path(__file__).parents[1]))

from _common import Results, markdown_table, noisy_digits

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import make_noise_matrix

AT_ONCE = 3
SMALL = {
    "module__hidden_layer_sizes": (16,),
    "module__dropout": 0.2,
    "early_stopping": True,
    "random_state": 0,
    "device": "cpu",
}
ESTIMATORS = {
    "robust loss": RobustLossClassifier(gamma=0.3, lr=0.01, max_epochs=25, **SMALL),
    "known matrix": NoiseAdaptedClassifier(
        noise_matrix=make_noise_matrix(10, 0.3), max_epochs=15, **SMALL
    ),
    "learned matrix": NoiseAdaptedClassifier(max_epochs=10, n_folds=2, **SMALL),
    "by gradient": NoiseAdaptedClassifier(
        regularizer="trace", n_rounds=0, max_epochs=12, n_folds=2, **SMALL
    ),
    "NAdam": RobustLossClassifier(
        loss="focal", optimizer=torch.optim.NAdam, max_epochs=20, **SMALL
    ),
}


def start(estimator, X, y, folder, file):
    """Process that fits, then writes the probabilities into a file."""
    child = os.fork()
    if child == 0:
        warnings.simplefilter("ignore")
        clf = clone(estimator).set_params(checkpoint=folder).fit(X, y)
        np.save(f"{file}.tmp.npy", clf.predict_proba(X))
        os.replace(f"{file}.tmp.npy", file)
        os._exit(0)
    return child


def series(name, kills, seed, X, y, expected):
    """Kill fits of one estimator in a folder that others share, then let them end."""
    rng = np.random.RandomState(seed)
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kept = folder / "kept"
        # The last process fits another estimator in the same folder.
        names = [name] * (AT_ONCE - 1) + [next(n for n in ESTIMATORS if n != name)]

        def begin(i):
            file = folder / f"{i}.npy"
            return start(ESTIMATORS[names[i]], X, y, kept, file)

        children = {i: begin(i) for i in range(AT_ONCE)}
        while counts["kills"] < kills:
            time.sleep(rng.uniform(0.1, 1.5))
            i = rng.randint(AT_ONCE)
            os.kill(children[i], signal.SIGKILL)
            _, status = os.waitpid(children[i], 0)
            if os.WIFSIGNALED(status):
                counts["kills"] += 1
                counts["kills with a checkpoint"] += any(kept.glob("*.safetensors"))
            else:
                counts["ended before the signal"] += 1
                check(folder / f"{i}.npy", expected[names[i]], status, counts)
            children[i] = begin(i)
        for i, child in children.items():
            _, status = os.waitpid(child, 0)
            check(folder / f"{i}.npy", expected[names[i]], status, counts)
        # Files of a killed twin stay until the same fit runs again.
        while any(kept.iterdir()) and counts["fits to tidy up"] < 2 * AT_ONCE:
            for i in (0, AT_ONCE - 1):
                _, status = os.waitpid(begin(i), 0)
                check(folder / f"{i}.npy", expected[names[i]], status, counts)
                counts["fits to tidy up"] += 1
        counts["FILES LEFT"] += len([*kept.iterdir()])
    return counts


def check(file, expected, status, counts):
    if status != 0 or not file.exists():
        counts["FAILED FITS"] += 1
        return
    same = np.array_equal(np.load(file), expected)
    counts["equal models" if same else "OTHER MODELS"] += 1
    file.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--results", default="benchmarks/results/kills.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    X, y, _, _ = noisy_digits(0, 0.3)
    X, y = X[:600], y[:600]
    expected = {}
    for name, estimator in ESTIMATORS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected[name] = clone(estimator).fit(X, y).predict_proba(X)
    results, each = Results(args.results), args.kills // len(ESTIMATORS)
    for seed, name in enumerate(ESTIMATORS):
        results.get(
            {"estimator": name, "kills": each},
            lambda name=name, seed=seed: {
                "counts": series(name, each, seed, X, y, expected)
            },
        )
    rows = results.rows
    outcomes = sorted({outcome for row in rows for outcome in row["counts"]})
    table = [
        [row["settings"]["estimator"], *(row["counts"].get(o, 0) for o in outcomes)]
        for row in rows
    ]
    totals = [sum(row["counts"].get(o, 0) for row in rows) for o in outcomes]
    print(markdown_table(["estimator", *outcomes], [*table, ["all", *totals]]))


if __name__ == "__main__":
    main()
