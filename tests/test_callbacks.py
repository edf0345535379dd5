"""What callbacks record is true, and recording changes nothing."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from sklearn_noisy import RobustLossClassifier
from sklearn_noisy.callbacks import EpochAccuracy
from sklearn_noisy.datasets import corrupt_labels


@pytest.fixture(scope="module")
def rows():
    """400 digits to train on, given labels, and 300 others with true labels."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    y_given = corrupt_labels(y, noise_rate=0.3, random_state=0)
    return X[:400], y_given[:400], X[400:700], y[400:700]


@pytest.mark.parametrize("batches", [{}, {"iterator_valid": DataLoader}])
def test_recording_does_not_change_training(rows, batches):
    X, y_given, X_clean, y_clean = rows
    names = np.array(["d" + str(k) for k in range(10)], dtype=object)
    y_given, y_clean = names[y_given], names[y_clean]
    params = {"loss": "cross_entropy", "max_epochs": 3, "random_state": 0, **batches}
    params["module__dropout"] = 0.5
    plain = RobustLossClassifier(**params).fit(X, y_given)
    records = [EpochAccuracy(sparse.csr_array(X_clean), y_clean, name="checked")]
    watched = RobustLossClassifier(callbacks=records, **params).fit(X, y_given)
    assert watched.history_[:, "train_loss"] == plain.history_[:, "train_loss"]
    score = watched.score(X_clean, y_clean)
    assert watched.history_[-1, "checked"] == score != watched.history_[0, "checked"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda X, y: EpochAccuracy(X, y + 5),
            r"y of EpochAccuracy .*not among the classes .*\[10",
        ),
        (lambda X, y: EpochAccuracy(X[:, :9], y), r"rows of shape \(9,\)"),
        (lambda X, y: EpochAccuracy(X[:9], y), "inconsistent numbers of samples"),
        (lambda X, y: EpochAccuracy(X, y, name=3), "non-empty string; got 3"),
        (lambda X, y: EpochAccuracy(X, y, name="train_loss"), "a column of the hist"),
    ],
)
def test_rows_that_cannot_be_recorded(rows, make, message):
    X, y_given, X_clean, y_clean = rows
    clf = RobustLossClassifier(max_epochs=1, callbacks=[make(X_clean, y_clean)])
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y_given)
