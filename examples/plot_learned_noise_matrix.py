"""
A noise matrix learned from wrong labels alone
==============================================

40 % of the labels of scikit-learn's handwritten digits are made wrong: every 0 may
have become a 1, every 1 a 2, and so on. ``NoiseAdaptedClassifier`` is told nothing of
it. It finds the matrix, and with it the true labels.

    python examples/plot_learned_noise_matrix.py

Half a minute on one idle core.
"""

# %%
# The data: a quarter of the rows, with true labels, tests.

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sklearn_noisy import NoiseAdaptedClassifier
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.inspection import NoiseMatrixDisplay

parser = argparse.ArgumentParser(description="Learn a noise matrix")
parser.add_argument("--noise-rate", type=float, default=0.4)
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
torch.set_num_threads(1)

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)
Q = make_noise_matrix(10, args.noise_rate, kind="pair")
y_given = corrupt_labels(y_train, Q, random_state=0)
print(f"{(y_given != y_train).mean():.0%} of {len(y_given)} training labels are wrong")

# %%
# The same network three times: as if there were no noise, with the matrix learned,
# and with the true one, which nobody has.

models = {
    "no noise layer": NoiseAdaptedClassifier(noise_matrix=np.eye(10), random_state=0),
    "learned matrix": NoiseAdaptedClassifier(random_state=0),
    "true matrix": NoiseAdaptedClassifier(noise_matrix=Q, random_state=0),
}
print(f"\n{'':16} accuracy on true labels")
accuracy = {}
for name, model in models.items():
    accuracy[name] = model.fit(X_train, y_given).score(X_test, y_test)
    print(f"{name:16} {accuracy[name]:.3f}", flush=True)

# %%
# ``noise_matrix_path_`` holds the start, counted against what nets without a noise
# layer predict, where they are certain, and the matrix after each epoch. The start
# takes the mistakes that are left for noise. The matrix rests until the nets know
# enough, then EM finds it.

path = models["learned matrix"].noise_matrix_path_
errors = np.abs(path - Q).sum(axis=(1, 2)) / 10
counts = np.zeros((10, 10))
np.add.at(counts, (y_given, y_train), 1)
floor = np.abs(counts / counts.sum(axis=0) - Q).sum() / 10
print("\nerror of the matrix, |Q̂ − Q| / K")
print(f"{'start':16} {errors[0]:.3f}\n{'learned':16} {errors[-1]:.3f}")
print(f"{'true labels counted':16} {floor:.3f}")

figure = plt.figure(figsize=(13, 8.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
axes = above.subplots(1, 3)
titles = ("truth", f"start, error {errors[0]:.2f}", f"learned, error {errors[-1]:.2f}")
for ax, matrix, title in zip(axes, (Q, path[0], path[-1]), titles, strict=True):
    NoiseMatrixDisplay.from_matrix(matrix, ax=ax, colorbar=False)
    ax.set_title(title)
left, right = below.subplots(1, 2)
left.plot(errors, color="#0b4f8a", label="learned matrix")
left.axhline(floor, color="#666666", linestyle="--", label="true labels, counted")
left.set(xlabel="epoch", ylabel="error of the matrix", ylim=(0, None))
left.legend(frameon=False)
bars = right.barh(
    list(accuracy), list(accuracy.values()), color=["#b3400a", "#0b4f8a", "#666666"]
)
right.bar_label(bars, fmt="%.3f", padding=3)
right.set(xlabel="accuracy on true labels", xlim=(0, 1.1))
right.invert_yaxis()

# %%
# The picture.

args.output.mkdir(parents=True, exist_ok=True)
picture = args.output / "learned_noise_matrix.png"
figure.savefig(picture, dpi=100)
print(f"\nthe matrices and the path are in {picture}")
