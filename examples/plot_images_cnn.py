"""
A convolutional network of one's own on images
==============================================

``module`` takes any network that returns logits, and images in the shape that it
wants. Here it is a small convolutional network, trained on handwritten digits of
which 40 % have a wrong label. ``TrainingDisplay`` shows how it went,
``LabelIssuesDisplay`` the labels that look most wrong.

    python examples/plot_images_cnn.py

Twenty seconds on one idle core.
"""

# %%
# The images have a channel axis, ``(n, 1, 8, 8)``. A quarter of them, with true labels,
# tests.

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

matplotlib.use("Agg")

from sklearn_noisy import RobustLossClassifier, find_label_issues
from sklearn_noisy.callbacks import EpochAccuracy
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.inspection import LabelIssuesDisplay, TrainingDisplay
from sklearn_noisy.metrics import label_error_report

parser = argparse.ArgumentParser(description="A convolutional network of one's own")
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
args.output.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)

digits = load_digits()
images = (digits.images[:, None] / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
)
y_given, changed = corrupt_labels(
    y_train, noise_rate=0.4, exact=True, return_mask=True, random_state=0
)
print(f"rows of shape {X_train.shape[1:]}, {changed.mean():.0%} of the labels wrong")

# %%
# The network. ``n_classes`` is filled in because the signature has it;
# ``module__width`` sets the width.


class SmallCNN(nn.Module):
    """Two convolutions, one hidden layer; logits."""

    def __init__(self, n_classes, width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * width, 64),
            nn.ReLU(),
            nn.Linear(64, n_classes),
        )

    def forward(self, X):
        """Logits of shape (n_samples, n_classes)."""
        return self.layers(X)


# %%
# The same network with cross-entropy and with the default loss. ``EpochAccuracy``
# writes the accuracy on the test rows, with their true labels, into the history, so
# that we see it. Nothing is chosen by it.

accuracy, models = {}, {}
for loss in ("cross_entropy", "blurry"):
    models[loss] = RobustLossClassifier(
        SmallCNN,
        module__width=32,
        loss=loss,
        lr=3e-3,
        max_epochs=60,
        early_stopping=False,
        callbacks=[EpochAccuracy(X_test, y_test, name="true_acc")],
        random_state=0,
    ).fit(X_train, y_given)
    accuracy[loss] = models[loss].score(X_test, y_test)
    best = max(models[loss].history_[:, "true_acc"])
    print(
        f"{loss:14} accuracy on true labels {accuracy[loss]:.3f} after the last epoch, "
        f"{best:.3f} after the best one (oracle)"
    )

# %%
# Cross-entropy learns the wrong labels by heart: its accuracy falls while its loss
# still does.

training = TrainingDisplay.from_estimator(
    models["cross_entropy"], name="the network with cross-entropy"
)
training.figure_.savefig(args.output / "images_cnn_cross_entropy.png", dpi=100)

# %%
# The blurry loss takes over when the network knows every class; grey epochs are
# cross-entropy.

training = TrainingDisplay.from_estimator(
    models["blurry"], name="the network with the blurry loss"
)
training.figure_.savefig(args.output / "images_cnn_blurry.png", dpi=100)

# %%
# Which labels are wrong? Every image is judged by a network that did not train on it.

clf = RobustLossClassifier(
    SmallCNN, lr=3e-3, max_epochs=30, early_stopping=False, random_state=0
)
issues = find_label_issues(clf, X_train, y_given, cv=3)
report = label_error_report(changed, issues["is_label_issue"])
print(
    f"{report['n_found']} labels look wrong, {report['n_correct']} of them are, of "
    f"{report['n_errors']}: precision {report['precision']:.3f}, "
    f"recall {report['recall']:.3f}"
)

# %%
# The worst of them, spread over pairs of given and suggested label.

display = LabelIssuesDisplay.from_issues(issues, X_train, n_issues=16)
display.figure_.savefig(args.output / "images_cnn_issues.png", dpi=100)
n_wrong = changed[display.issues.index].sum()
print(f"{n_wrong} of the {len(display.issues)} are wrong")
print(f"the pictures are in {args.output}")
