"""
A few clean labels beside many noisy ones
=========================================

Somebody has checked 8 % of the rows of a table by hand; of the other labels, 60 % are
wrong. How much should a noisy label be believed (``alpha`` of the top-down model), and
how much should a noisy row weigh beside a clean one (``gamma``)? A grid search in a
Pipeline answers, with the mask of the clean rows routed through both.

    python examples/plot_clean_and_noisy.py

A minute on one idle core.
"""

# %%
# The data. ``is_clean`` says which labels were checked.

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sklearn_noisy import NoiseAdaptedClassifier
from sklearn_noisy.datasets import corrupt_labels

parser = argparse.ArgumentParser(description="A few clean labels beside many")
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
torch.set_num_threads(1)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)
is_clean = np.random.RandomState(1).rand(len(y_train)) < 0.08
y_given = corrupt_labels(y_train, noise_rate=0.6, random_state=0)
y_mixed = np.where(is_clean, y_train, y_given)
print(f"{is_clean.sum()} clean rows, {(~is_clean).sum()} noisy ones")

# %%
# The search. Metadata routing takes the mask to ``fit`` of the classifier. A score
# on noisy labels would do, but the clean rows of each test part are better judges:
# their weight in the score is 1, that of the others 0.

sklearn.set_config(enable_metadata_routing=True)
pipeline = make_pipeline(
    MinMaxScaler(),
    NoiseAdaptedClassifier(
        noise_model="top_down", max_epochs=args.epochs, random_state=0
    ).set_fit_request(is_clean=True, sample_weight=False),
)
alphas, gammas = [0.1, 0.3, 0.6, 1.0], [0.03, 0.1, 0.3, 1.0]
search = GridSearchCV(
    pipeline,
    {
        "noiseadaptedclassifier__alpha": alphas,
        "noiseadaptedclassifier__gamma": gammas,
    },
    scoring=make_scorer(accuracy_score).set_score_request(sample_weight=True),
    cv=3,
)
search.fit(X_train, y_mixed, is_clean=is_clean, sample_weight=is_clean.astype(float))
best = {name.split("__")[1]: value for name, value in search.best_params_.items()}
print(f"picked: {best}")

# %%
# Beside it: the clean rows alone, all rows with cross-entropy, and the noise layer,
# whose matrix is estimated from the clean rows.

models = {
    "clean rows only": {"noise_model": "top_down", "alpha": 1.0, "gamma": 0.0},
    "all rows, no model": {"noise_model": "top_down", "alpha": 1.0},
    "noise layer, estimated": {"noise_matrix": "estimate"},
}
accuracy = {"top-down, picked": search.score(X_test, y_test)}
for name, params in models.items():
    model = NoiseAdaptedClassifier(max_epochs=args.epochs, random_state=0, **params)
    model.fit(X_train, y_mixed, is_clean=is_clean)
    accuracy[name] = model.score(X_test, y_test)
for name, value in accuracy.items():
    print(f"{name:24} {value:.3f}")

# %%
# The scores of the search, and accuracy on true labels.

scores = search.cv_results_["mean_test_score"].reshape(len(alphas), len(gammas))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
image = left.imshow(scores, cmap="viridis", origin="lower")
for (row, column), score in np.ndenumerate(scores):
    dark = score < scores.min() + 0.6 * np.ptp(scores)
    color = "white" if dark else "black"
    left.text(column, row, f"{score:.2f}", ha="center", va="center", color=color)
left.set_xticks(range(len(gammas)), gammas)
left.set_yticks(range(len(alphas)), alphas)
left.set(xlabel="gamma: weight of a noisy row", ylabel="alpha: belief in its label")
figure.colorbar(image, ax=left, label="accuracy on clean rows (3 folds)")
bars = right.barh(list(accuracy), list(accuracy.values()), color="#0b4f8a")
right.bar_label(bars, fmt="%.3f", padding=3)
right.set(xlabel="accuracy on true labels, test rows", xlim=(0, 1.15))
right.invert_yaxis()
args.output.mkdir(parents=True, exist_ok=True)
picture = args.output / "clean_and_noisy.png"
figure.savefig(picture, dpi=100)
print(f"the picture is in {picture}")
