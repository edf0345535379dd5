"""
Texts, as sparse rows, in a Pipeline
====================================

Texts become sparse rows of tf-idf weights; a network takes them as they are, batch by
batch. The texts are made up, from a distribution of words for each class, so that the
truth is known; messages on one subject are often filed under another.

    python examples/plot_sparse_text.py

Twenty seconds on one idle core.
"""

# %%
# The data: five subjects, 600 words. Most words are used for every subject, the others
# for some more than for others. Billing and refund are mistaken for each other,
# delivery for repair.

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.inspection import LabelIssuesDisplay, NoiseMatrixDisplay
from sklearn_noisy.metrics import label_error_report, noise_matrix_error

parser = argparse.ArgumentParser(description="Texts, as sparse rows, in a Pipeline")
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
args.output.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)

rng = np.random.RandomState(0)
subjects = ["billing", "delivery", "login", "refund", "repair"]
syllables = ["ba", "do", "fe", "gi", "ka", "lo", "mi", "nu", "ra", "so", "ti", "vu"]
words = np.unique(["".join(rng.choice(syllables, 3)) for _ in range(900)])[:600]
common = rng.dirichlet(np.full(len(words), 0.5))
own = rng.dirichlet(np.full(len(words), 0.3), size=len(subjects))
distribution = 0.5 * common + 0.5 * own


def write(subject):
    """A text of some 25 words."""
    n_words = 5 + rng.poisson(20)
    return " ".join(rng.choice(words, n_words, p=distribution[subject]))


codes = rng.randint(len(subjects), size=3000)
texts = pd.Series([write(code) for code in codes], name="text")
y = np.array(subjects)[codes]
print(f"{y[0]}: {texts[0]}")

Q = pd.DataFrame(np.eye(5), index=subjects, columns=subjects)
Q.loc["refund", "billing"] = Q.loc["billing", "refund"] = 0.35
Q.loc["repair", "delivery"] = 0.4
for subject in subjects:
    Q.loc[subject, subject] = 2 - Q[subject].sum()
print(Q)

X_train, X_test, y_train, y_test = train_test_split(
    texts, y, test_size=1000, stratify=y, random_state=0
)
y_given = corrupt_labels(y_train, Q, random_state=0)
changed = y_given != y_train
print(f"{changed.mean():.0%} of {len(y_given)} training labels are wrong")

# %%
# The vectorizer's rows are sparse, and nothing else has to be said.

settings = {"module__hidden_layer_sizes": (64,), "random_state": 0}
models = {
    "cross-entropy": RobustLossClassifier(loss="cross_entropy", **settings),
    "blurry loss": RobustLossClassifier(**settings),
    "noise layer, learned": NoiseAdaptedClassifier(**settings),
    "noise layer, true matrix": NoiseAdaptedClassifier(noise_matrix=Q, **settings),
}
pipelines, accuracy = {}, {}
print(f"{'':26} accuracy on true labels")
for name, model in models.items():
    pipelines[name] = make_pipeline(TfidfVectorizer(dtype=np.float32), model)
    pipelines[name].fit(X_train, y_given)
    accuracy[name] = pipelines[name].score(X_test, y_test)
    print(f"{name:26} {accuracy[name]:.3f}", flush=True)

# %%
# The matrix, learned from the wrong labels alone.

learned = pipelines["noise layer, learned"][-1].noise_matrix_
learned = pd.DataFrame(learned, index=subjects, columns=subjects)
print(learned.round(2))
print(f"error of the matrix, |Q̂ − Q| / K: {noise_matrix_error(learned, Q):.3f}")

figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for axis, matrix, title in zip(axes, (Q, learned), ("truth", "learned"), strict=True):
    NoiseMatrixDisplay.from_matrix(
        matrix, display_labels=subjects, ax=axis, colorbar=False
    )
    axis.set_title(title)
figure.savefig(args.output / "sparse_text_matrix.png", dpi=100)

# %%
# Which texts have a wrong label? The whole Pipeline is cross-validated, so that the
# vectorizer, too, sees no text that is judged.

pipeline = make_pipeline(
    TfidfVectorizer(dtype=np.float32),
    NoiseAdaptedClassifier(noise_matrix=learned, **settings),
)
issues = find_label_issues(pipeline, X_train, y_given, cv=3, noise_matrix=learned)
report = label_error_report(changed, issues["is_label_issue"])
print(
    f"{report['n_found']} labels look wrong, {report['n_correct']} of them are, of "
    f"{report['n_errors']}: precision {report['precision']:.3f}, "
    f"recall {report['recall']:.3f}"
)

# %%
# The worst, as a table.

display = LabelIssuesDisplay.from_issues(issues, X_train, n_issues=10)
display.figure_.savefig(args.output / "sparse_text_issues.png", dpi=100)
print(f"the pictures are in {args.output}")
