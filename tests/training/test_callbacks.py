"""What decides which epoch is kept."""

import numpy as np
import pytest
import torch

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy._training.callbacks import is_worse
from sklearn_noisy.datasets import make_noise_matrix


def test_worse_by_a_standard_error():
    others = torch.linspace(0, 5, 100)
    assert is_worse(others + 0.1, others)
    assert not is_worse(others - 0.1, others)
    # The difference has standard deviation 1, its mean a standard error of 0.1.
    spread = torch.tensor([1.0, -1.0]).repeat(50)
    assert is_worse(others + spread + 0.12, others)
    assert not is_worse(others + spread + 0.08, others)


class NaNWhenJudged(torch.nn.Linear):
    """Trains, and cannot be validated."""

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)

    def forward(self, X):
        logits = super().forward(X)
        return logits if self.training else logits * torch.nan


def test_held_out_losses_of_nan_keep_the_last_epoch(iris):
    clf = NoiseAdaptedClassifier(
        NaNWhenJudged,
        noise_matrix=make_noise_matrix(3, 0.2),
        n_rounds=0,
        early_stopping=True,
        max_epochs=3,
        random_state=0,
    ).fit(*iris)
    assert np.isnan(clf.history_[:, "valid_loss"]).all()
    assert dict(clf.net_.callbacks_)["best_epoch"].best_epoch_ == 3


def test_held_out_rows_of_weight_zero_are_refused(iris):
    X, y = iris
    weight = {0: 0.0, 1: 0.0, 2: 1.0}
    few = np.flatnonzero((y != 2) | (np.cumsum(y == 2) <= 2))
    clf = RobustLossClassifier(early_stopping=True, class_weight=weight, max_epochs=2)
    with pytest.raises(ValueError, match="no validation row of positive weight"):
        clf.fit(X[few], y[few])
