"""What the benchmarks share: results that survive a stop, tables, digits."""

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_noisy.datasets import corrupt_labels

PACKAGES = ("sklearn-noisy", "scikit-learn", "skorch", "torch", "numpy", "cleanlab")


class Results:
    """One JSON line per result; what a file already holds is not done again.

    Parameters
    ----------
    path : path
        Appended to; made if it does not exist.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = []
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    self.rows.append(json.loads(line))
                except json.JSONDecodeError:
                    # The run was stopped while it wrote its last line.
                    continue

    def find(self, settings):
        """The stored row of these settings, or None."""
        return next((row for row in self.rows if row["settings"] == settings), None)

    def get(self, settings, compute):
        """The stored row of these settings, or ``compute()`` stored under them."""
        if found := self.find(settings):
            return found
        start = time.perf_counter()
        row = {"settings": settings, **compute()}
        row["seconds"] = round(time.perf_counter() - start, 1)
        row["versions"] = {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        }
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        self.rows.append(row)
        return row


def markdown_table(header, rows):
    """Table in Markdown; the first column is text, the others are numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def noisy_digits(seed, noise_rate):
    """scikit-learn's digits: rows with given labels, and a quarter with true ones."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(np.float32), y, test_size=0.25, stratify=y, random_state=seed
    )
    y_given = corrupt_labels(
        y_train, noise_rate=noise_rate, exact=True, random_state=seed
    )
    return X_train, y_given, X_test, y_test
