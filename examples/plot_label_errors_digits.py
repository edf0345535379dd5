"""
Wrong labels among handwritten digits
=====================================

30 % of the labels of scikit-learn's handwritten digits are made wrong, so
that we know which. A network is trained on them with cross-entropy and with
every robust loss, and each network says which labels it takes for wrong. Nobody
tells it the noise rate, nor a single true label.

Run by ``make demo``; it takes about two minutes on two idle cores.
"""

# %%
# The data: a quarter of the rows, with true labels, tests the classifiers. Of
# the others, exactly 30 % get a wrong label.

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import train_test_split

matplotlib.use("Agg")

from sklearn_noisy import RobustLossClassifier, find_label_issues
from sklearn_noisy.datasets import corrupt_labels
from sklearn_noisy.inspection import LabelIssuesDisplay
from sklearn_noisy.losses import LOSSES

parser = argparse.ArgumentParser(
    description="Find wrong labels among handwritten digits"
)
parser.add_argument("--epochs", type=int, default=80)
parser.add_argument("--loss", nargs="+", choices=LOSSES, default=list(LOSSES))
parser.add_argument("--output", type=Path, default="examples/output")
args, _ = parser.parse_known_args()
# The network is small: one thread trains it as fast as two, and lets others live.
torch.set_num_threads(1)

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)
y_given, changed = corrupt_labels(
    y_train, noise_rate=0.3, exact=True, return_mask=True, random_state=0
)
print(f"{len(y_given)} training rows, {changed.sum()} of them with a wrong label")

# %%
# Each loss trains one network on all training rows, which is tested on true
# labels, and five on four fifths of them, which judge the last fifth. How often
# these agree with the *given* labels is what somebody without true labels can
# see: the loss for which it is highest is the one to pick.

table, issues = {}, {}
header = f"{'loss':33} {'agrees':>7} {'test':>7} {'prec.':>7} {'recall':>7} {'F1':>7}"
print(f"\n{header}   seconds", flush=True)
lines = [header]
for loss in args.loss:
    start = time.perf_counter()
    clf = RobustLossClassifier(
        loss=loss, max_epochs=args.epochs, early_stopping=False, random_state=0
    )
    found = find_label_issues(clf, X_train, y_given, n_jobs=2)
    agreement = (found["predicted_label"] == found["given_label"]).mean()
    precision, recall, f1, _ = precision_recall_fscore_support(
        changed, found["is_label_issue"], average="binary"
    )
    test = clf.fit(X_train, y_given).score(X_test, y_test)
    table[loss] = (agreement, test, precision, recall, f1)
    issues[loss] = found
    figures = " ".join(f"{value:7.3f}" for value in table[loss])
    lines.append(f"{loss:33} {figures}")
    print(f"{loss:33} {figures} {time.perf_counter() - start:9.1f}", flush=True)

picked = max(table, key=lambda loss: table[loss][0])
print(f"\npicked, by agreement with the given labels: {picked}")
if "cross_entropy" in table:
    gain = table[picked][1] - table["cross_entropy"][1]
    print(f"its test accuracy is {gain:+.3f} from that of cross-entropy")

# %%
# The worst offenders: of every pair of given and suggested label, the row whose given
# label has the lowest probability.

display = LabelIssuesDisplay.from_issues(
    issues[picked], X_train, n_issues=32, image_shape=(8, 8)
)
worst = display.issues
for ax, wrong in zip(display.ax_, changed[worst.index], strict=True):
    ax.title.set_color("#0072b2" if wrong else "#d55e00")
n_right = int(changed[worst.index].sum())
title = (
    f"{len(worst)} labels that look wrong, of as many pairs of classes as possible, by "
    f"{picked}: {n_right} of them are"
)
if n_right < len(worst):
    title += " (blue: wrong, orange: right)"
display.figure_.suptitle(title, fontsize=11)
args.output.mkdir(parents=True, exist_ok=True)
path = args.output / "label_errors_digits.png"
display.figure_.savefig(path, dpi=120)
path.with_suffix(".txt").write_text("\n".join(lines) + "\n")
print(f"the worst offenders are in {path}, the table in {path.with_suffix('.txt')}")
