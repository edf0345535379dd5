"""The estimators at their defaults on tables, text and few rows, beside rivals.

    python benchmarks/defaults.py                      # everything, 5 seeds
    python benchmarks/defaults.py --data wine text --seeds 0 1
    python benchmarks/defaults.py --show

The data ship with scikit-learn or are generated; the texts are docstrings of installed
packages, and the class is the package. Test labels are true. Training labels are wrong
by a matrix that depends on the class and the seed. "raw" is the columns as they are,
"scaled" a StandardScaler (for text a MaxAbsScaler) before every classifier. Log loss is
on true labels. F1 is that of the wrong training labels found: by `label_quality_` below
one half where an estimator has it, otherwise by `find_label_issues` (cleanlab's
CleanLearning: its own). Seconds are those of `fit`, one thread, to be read as ratios.
"""

import argparse
import ast
import importlib.util
import os
import time
import warnings
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
import torch
from _common import Results, markdown_table
from cleanlab.classification import CleanLearning
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_wine,
    make_classification,
)
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.metrics import label_error_report

TEXTS = (
    *("sklearn", "torch", "numpy", "scipy", "pandas"),
    *("matplotlib", "joblib", "skorch", "cleanlab", "cvxpy"),
)
TEXTS_PER_CLASS = 300
FEWEST_WORDS = 15


# Data: rows, true labels, size of the training part, noise matrix.


def wine(seed):
    X, y = load_wine(return_X_y=True)
    return X, y, 124, make_noise_matrix(3, 0.25, "random", random_state=seed)


def breast_cancer(seed):
    X, y = load_breast_cancer(return_X_y=True)
    return X, y, 398, np.array([[0.9, 0.34], [0.1, 0.66]])


def table(seed, scales=False):
    X, y = make_classification(
        20_000, 30, n_informative=12, n_redundant=6, n_classes=3,
        weights=[0.7, 0.25, 0.05], random_state=seed,
    )  # fmt: skip
    if scales:
        rng = np.random.RandomState(seed)
        X = X * 10 ** rng.uniform(-3, 4, X.shape[1])
    return X, y, 14_000, np.array([[0.8, 0.2, 0.1], [0.15, 0.7, 0.3], [0.05, 0.1, 0.6]])


def digits(seed):
    X, y = load_digits(return_X_y=True)
    return X, y, 1347, make_noise_matrix(10, 0.3)


@cache
def docstrings():
    """Docstrings of the packages, and the package of each."""
    texts, labels = [], []
    for package in TEXTS:
        folder = Path(importlib.util.find_spec(package).origin).parent
        paths = [p for p in sorted(folder.rglob("*.py")) if "test" not in str(p.parent)]
        rng = np.random.RandomState(0)
        found = set()
        for path in (paths[k] for k in rng.permutation(len(paths))):
            if len(found) >= 2 * TEXTS_PER_CLASS:
                break
            try:
                tree = ast.parse(path.read_text())
            except (SyntaxError, UnicodeDecodeError):
                continue
            for node in ast.walk(tree):
                kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
                text = ast.get_docstring(node) if isinstance(node, kinds) else None
                if text and len(text.split()) >= FEWEST_WORDS:
                    found.add(text.split("Parameters\n---")[0])
        chosen = rng.permutation(sorted(found))[:TEXTS_PER_CLASS]
        texts += chosen.tolist()
        labels += [package] * len(chosen)
    return np.array(texts, dtype=object), np.array(labels)


def text(seed, kind="symmetric"):
    texts, y = docstrings()
    n_train = int(0.7 * len(y))
    return texts, y, n_train, make_noise_matrix(len(TEXTS), 0.2, kind)


DATA = {
    "wine": wine,
    "breast cancer": breast_cancer,
    "table": table,
    "table, any units": lambda seed: table(seed, scales=True),
    "text, symmetric": text,
    "text, pair": lambda seed: text(seed, "pair"),
    "digits": digits,
}


def split(name, seed):
    X, y, n_train, Q = DATA[name](seed)
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=n_train, stratify=y, random_state=seed
    )
    given = corrupt_labels(y, Q, exact=True, random_state=seed)
    if name.startswith("text"):
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
        X, X_test = vectorizer.fit_transform(X), vectorizer.transform(X_test)
    return X, given, y, X_test, y_test


# Estimators.


def classifiers(seed):
    lr, hgb = LogisticRegression(max_iter=2000), HistGradientBoostingClassifier
    codes = {"seed": seed, "verbose": False}
    return {
        "RobustLoss": RobustLossClassifier(random_state=seed),
        "NoiseAdapted": NoiseAdaptedClassifier(random_state=seed),
        "LR": lr,
        "HGB": hgb(random_state=seed),
        "MLP": MLPClassifier(random_state=seed),
        "CleanLearning(LR)": CleanLearning(lr, **codes),
        "CleanLearning(HGB)": CleanLearning(hgb(random_state=seed), **codes),
    }


OURS = ("RobustLoss", "NoiseAdapted")


def is_wrong(name, fitted, X, given, seed):
    """Mask of the training labels that a classifier says are wrong."""
    if name.startswith("CleanLearning"):
        return fitted.get_label_issues()["is_label_issue"].to_numpy()
    quality = getattr(fitted, "label_quality_", None)
    if quality is not None:
        return quality < 0.5
    issues = find_label_issues(classifiers(seed)[name], X, given)
    return issues["is_label_issue"].to_numpy()


def measure(data, scaling, name, seed):
    X, given, y, X_test, y_test = split(data, seed)
    if scaling == "scaled":
        scaler = MaxAbsScaler() if data.startswith("text") else StandardScaler()
        X, X_test = scaler.fit_transform(X), scaler.transform(X_test)
    if not isinstance(X, np.ndarray) and name.endswith(("HGB", "HGB)")):
        X, X_test = X.toarray(), X_test.toarray()
    classes, codes = np.unique(given, return_inverse=True)  # for cleanlab
    clf = classifiers(seed)[name]
    start = time.perf_counter()
    clf.fit(X, codes)
    took = time.perf_counter() - start
    p, truth = clf.predict_proba(X_test), np.searchsorted(classes, y_test)
    found = is_wrong(name, clf, X, codes, seed)
    return {
        "accuracy": float((p.argmax(axis=1) == truth).mean()),
        "log_loss": log_loss(truth, p, labels=np.arange(len(classes))),
        "f1": label_error_report(given != y, found)["f1"],
        "fit_seconds": took,
    }


def show(results, seeds):
    for scaling in ("raw", "scaled"):
        rows = []
        for data in DATA:
            for name in classifiers(0):
                found = [
                    row
                    for row in results.rows
                    if row["settings"]["data"] == data
                    and row["settings"]["scaling"] == scaling
                    and row["settings"]["classifier"] == name
                    and row["settings"]["seed"] in seeds
                ]
                if not found:
                    continue
                acc = [row["accuracy"] for row in found]
                columns = ("log_loss", "f1", "fit_seconds")
                others = [np.mean([row[column] for row in found]) for column in columns]
                rows.append(
                    [
                        f"{data}: {name}",
                        len(found),
                        f"{np.mean(acc):.3f} ± {np.std(acc):.3f}",
                        *(f"{value:.3f}" for value in others[:2]),
                        f"{others[2]:.2f}",
                    ]
                )
        print(f"\n{scaling}\n")
        header = ["data: classifier", "seeds", "accuracy", "log loss", "F1", "seconds"]
        print(markdown_table(header, rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--scaling", nargs="+", default=["raw", "scaled"])
    parser.add_argument("--classifiers", nargs="+", default=list(classifiers(0)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--show", action="store_true", help="run nothing")
    parser.add_argument("--results", default="benchmarks/results/defaults.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = Results(args.results)
    if not args.show:
        for seed in args.seeds:
            for data in args.data:
                for scaling in args.scaling:
                    for name in args.classifiers:
                        settings = {
                            "data": data, "scaling": scaling, "classifier": name,
                            "seed": seed,
                        }  # fmt: skip
                        results.get(
                            settings,
                            lambda s=settings: measure(
                                s["data"], s["scaling"], s["classifier"], s["seed"]
                            ),
                        )
    show(results, args.seeds)


if __name__ == "__main__":
    main()
