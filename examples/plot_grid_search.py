"""
Searches that are not misled by wrong labels
============================================

A grid search that scores on wrong labels rewards models that imitate the noise. Two
ways round that: score on rows that somebody checked (``CleanRowsKFold``), or correct
the score by the noise matrix (``make_noise_corrected_scorer``). Neither looks at a
true label but those of the checked rows.

    python examples/plot_grid_search.py

Three quarters of a minute on one idle core.
"""

# %%
# The data. In handwritten digits, 30 % of the labels of each class are those of the
# next one; one row of ten was checked by hand. Of these, we know the true label and the
# one that they had before.

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
)
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.metrics import make_noise_corrected_scorer, noise_matrix_error
from sklearn_noisy.model_selection import CleanRowsKFold

parser = argparse.ArgumentParser(
    description="Searches that wrong labels do not mislead"
)
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
torch.set_num_threads(1)

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)
Q = make_noise_matrix(10, 0.3, kind="pair")
y_given = corrupt_labels(y_train, Q, random_state=0)
is_clean = np.random.RandomState(1).rand(len(y_train)) < 0.1
y_mixed = np.where(is_clean, y_train, y_given)
print(f"{is_clean.sum()} rows were checked, {(~is_clean).sum()} were not")

# %%
# First search: how much to believe a noisy label (``alpha`` of the top-down model), and
# how much a noisy row weighs beside a clean one (``gamma``). ``CleanRowsKFold`` trains
# on all rows and scores on clean ones, each of them once. The mask goes to the splitter
# and to ``fit`` by metadata routing.

alphas, gammas = [0.3, 0.6, 1.0], [0.03, 0.1, 0.3, 1.0]
with sklearn.config_context(enable_metadata_routing=True):
    top_down = NoiseAdaptedClassifier(
        noise_model="top_down", max_epochs=10, random_state=0
    )
    by_weight = GridSearchCV(
        top_down.set_fit_request(is_clean=True),
        {"alpha": alphas, "gamma": gammas},
        cv=CleanRowsKFold(3),
    ).fit(X_train, y_mixed, is_clean=is_clean)
print(f"picked on clean rows: {by_weight.best_params_}")

# %%
# Second search: the loss, and its ``c`` or ``gamma``. It scores on all rows, with their
# given labels, corrected by a noise matrix. The matrix is estimated from the checked
# rows.

estimator = NoiseMatrixEstimator(LogisticRegression(max_iter=1000), random_state=0)
estimator.fit(X_train, y_mixed, is_clean=is_clean, y_given=y_given)
error = noise_matrix_error(estimator.noise_matrix_, Q)
print(f"error of the estimated matrix, |Q̂ − Q| / K: {error:.3f} (of at most 2)")

grid = [
    {"loss": ["cross_entropy", "generalized_cross_entropy"]},
    {"loss": ["piecewise_zero"], "c": [0.05, 0.2]},
    {"loss": ["blurry"], "gamma": [0.24, 0.4]},
]
by_loss = GridSearchCV(
    RobustLossClassifier(max_epochs=50, early_stopping=False, random_state=0),
    grid,
    scoring={
        "given": "accuracy",
        "corrected": make_noise_corrected_scorer(
            estimator.noise_matrix_, labels=np.arange(10)
        ),
    },
    refit="corrected",
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
).fit(X_train, y_given)
print(f"picked by corrected accuracy: {by_loss.best_params_}")

# %%
# What the choices are worth, on true labels. The last column is an oracle: each
# candidate was trained on all training rows and scored on the true labels of the
# test rows, which nobody has. It is here to judge the two scores, not to choose.

found = by_loss.cv_results_
names, true_accuracy = [], []
print(f"\n{'':34} {'given':>7} {'corrected':>10} {'oracle':>7}")
for params, given, corrected in zip(
    found["params"], found["mean_test_given"], found["mean_test_corrected"], strict=True
):
    model = sklearn.clone(by_loss.estimator).set_params(**params)
    true_accuracy.append(model.fit(X_train, y_given).score(X_test, y_test))
    names.append(" ".join(str(value) for value in reversed(params.values())))
    print(f"{names[-1]:34} {given:7.3f} {corrected:10.3f} {true_accuracy[-1]:7.3f}")

accuracy = {
    "top-down, alpha and gamma picked": by_weight.score(X_test, y_test),
    "robust loss, picked": by_loss.best_estimator_.score(X_test, y_test),
    "noise layer with that matrix": NoiseAdaptedClassifier(
        noise_matrix=estimator.noise_matrix_, random_state=0
    )
    .fit(X_train, y_mixed, is_clean=is_clean)
    .score(X_test, y_test),
}
print(f"\n{'':34} accuracy on true labels")
for name, value in accuracy.items():
    print(f"{name:34} {value:.3f}")

# %%
# The scores of both searches. On the right, the corrected scores would lie on the line
# if the networks of the folds, which saw two thirds of the rows, were as good as those
# that saw all. Scores on the given labels cannot: three of ten labels are wrong.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
scores = by_weight.cv_results_["mean_test_score"].reshape(len(alphas), len(gammas))
image = left.imshow(scores, cmap="viridis", origin="lower")
for (row, column), score in np.ndenumerate(scores):
    dark = score < scores.min() + 0.6 * np.ptp(scores)
    color = "white" if dark else "black"
    left.text(column, row, f"{score:.2f}", ha="center", va="center", color=color)
left.set_xticks(range(len(gammas)), gammas)
left.set_yticks(range(len(alphas)), alphas)
left.set(xlabel="gamma: weight of a noisy row", ylabel="alpha: belief in its label")
figure.colorbar(image, ax=left, label="accuracy on clean rows (3 folds)")
right.scatter(true_accuracy, found["mean_test_given"], color="#b3400a", label="given")
right.scatter(
    true_accuracy, found["mean_test_corrected"], color="#0b4f8a", label="corrected"
)
ends = [min(true_accuracy) - 0.02, max(true_accuracy) + 0.02]
right.plot(ends, ends, color="#666666", linestyle="--", label="exact")
right.set(
    xlabel="accuracy on true labels, test rows (oracle)",
    ylabel="score of the search (3 folds)",
)
right.legend(frameon=False)
args.output.mkdir(parents=True, exist_ok=True)
picture = args.output / "grid_search.png"
figure.savefig(picture, dpi=100)
print(f"the picture is in {picture}")
