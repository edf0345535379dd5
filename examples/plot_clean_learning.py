"""
cleanlab's CleanLearning around a robust network
================================================

``CleanLearning`` of cleanlab finds labels that look wrong and trains again without
their rows. It takes a ``RobustLossClassifier`` as it is. Beside it:
``find_label_issues``, and the same network trained on all rows, with cross-entropy
and with a robust loss.

    python examples/plot_clean_learning.py

Half a minute on one idle core.
"""

# %%
# The data: handwritten digits, 30 % of the training labels wrong. ``changed`` says
# which; it is used only to judge, at the end.

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from cleanlab.classification import CleanLearning
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sklearn_noisy import RobustLossClassifier, find_label_issues
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.metrics import label_error_report

parser = argparse.ArgumentParser(description="CleanLearning around a robust network")
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
torch.set_num_threads(1)

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)
y_given, changed = corrupt_labels(
    y_train, noise_rate=0.3, exact=True, return_mask=True, random_state=0
)
print(f"{changed.sum()} of {len(y_given)} training labels are wrong")

# %%
# Each network three times: trained on all rows, inside ``CleanLearning``, and trained
# on the rows that ``find_label_issues`` does not flag. Both ways judge every row by a
# network that did not train on it, here in the same three folds.

folds = StratifiedKFold(3, shuffle=True, random_state=0)
reports, accuracy = {}, {}
for loss in ("cross_entropy", "blurry"):
    clf = RobustLossClassifier(
        loss=loss, max_epochs=60, early_stopping=False, random_state=0
    )
    everything = clone(clf).fit(X_train, y_given)
    accuracy[f"{loss}, all rows"] = everything.score(X_test, y_test)

    learner = CleanLearning(clone(clf), cv_n_folds=3, seed=0)
    learner.fit(X_train, y_given)
    name = f"{loss}, CleanLearning"
    by_learner = learner.get_label_issues()["is_label_issue"].to_numpy()
    reports[name] = label_error_report(changed, by_learner)
    accuracy[name] = learner.score(X_test, y_test)

    found = find_label_issues(clf, X_train, y_given, cv=folds)
    name = f"{loss}, find_label_issues"
    kept = ~found["is_label_issue"].to_numpy()
    reports[name] = label_error_report(changed, ~kept)
    pruned = clone(clf).fit(X_train[kept], y_given[kept])
    accuracy[name] = pruned.score(X_test, y_test)

# %%
# What was found, against the labels that were made wrong.

print(f"{'':34} {'found':>6} {'right':>6} {'precision':>10} {'recall':>7} {'F1':>6}")
for name, report in reports.items():
    print(
        f"{name:34} {report['n_found']:6} {report['n_correct']:6} "
        f"{report['precision']:10.3f} {report['recall']:7.3f} {report['f1']:6.3f}"
    )

# %%
# And what training without these rows is worth.

print(f"{'':34} accuracy on true labels")
for name, value in accuracy.items():
    print(f"{name:34} {value:.3f}")

# %%
# The same as a picture.

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
place = np.arange(len(reports))
for shift, (key, color) in enumerate(
    {"precision": "#0b4f8a", "recall": "#b3400a", "f1": "#666666"}.items()
):
    values = [report[key] for report in reports.values()]
    left.barh(place + 0.27 * (shift - 1), values, height=0.25, color=color, label=key)
left.set_yticks(place, list(reports))
left.set(xlabel="wrong labels found", xlim=(0.5, 1.0))
left.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.15), ncols=3)
bars = right.barh(list(accuracy), list(accuracy.values()), color="#0b4f8a")
right.bar_label(bars, fmt="%.3f", padding=3)
right.set(xlabel="accuracy on true labels, test rows", xlim=(0, 1.15))
for axis in (left, right):
    axis.invert_yaxis()
args.output.mkdir(parents=True, exist_ok=True)
picture = args.output / "clean_learning.png"
figure.savefig(picture, dpi=100)
print(f"the picture is in {picture}")
