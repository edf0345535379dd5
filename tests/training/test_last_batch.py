"""The last batch, and samplers that choose rows themselves."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy._rows.rows import LabelledRows, Rows, TensorBatches

SIZES = []


class Normed(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Linear(8, n_classes),
        )

    def forward(self, X):
        if self.training:
            SIZES.append(len(X))
        return self.layers(X)


class Plain(nn.Linear):
    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)

    def forward(self, X):
        if self.training:
            SIZES.append(len(X))
        return super().forward(X)


def trained_on(clf, X, y):
    """Sizes of the batches of a fit."""
    SIZES.clear()
    clf.fit(X, y)
    return list(SIZES)


def classifier(module, **params):
    params = {"loss": "cross_entropy", "max_epochs": 1, "random_state": 0} | params
    return RobustLossClassifier(module, **params)


def test_a_last_row_alone_is_joined_to_a_batch_for_batch_norm(iris):
    X, y = iris
    clf = classifier(Normed, batch_size=149)
    assert trained_on(clf, X, y) == [150]
    assert np.isfinite(clf.predict_proba(X[:1])).all()
    assert trained_on(clf.set_params(batch_size=50), X[:101], y[:101]) == [50, 51]
    assert trained_on(clf, X[:102], y[:102]) == [50, 50, 2]


def test_without_batch_norm_batches_stay_as_they_are(iris):
    X, y = iris
    assert trained_on(classifier(Plain, batch_size=149), X, y) == [149, 1]
    clf = classifier(Plain, batch_size=149, iterator_train__drop_last=True)
    assert trained_on(clf, X, y) == [149]


def test_nets_of_folds_with_batch_norm(iris):
    X, y = iris
    clf = NoiseAdaptedClassifier(
        Normed, n_folds=2, batch_size=74, max_epochs=2, random_state=0
    )
    sizes = trained_on(clf, X, y)
    assert 75 in sizes
    assert 1 not in sizes


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n_rows", [1, 4, 5, 6, 9])
def test_the_number_of_batches_is_that_of_a_pass(n_rows, drop_last, joins):
    rows = LabelledRows(Rows(np.arange(float(n_rows))[:, None]))
    batches = TensorBatches(rows, 4, drop_last=drop_last)
    batches.joins_single = joins
    sizes = [len(y) for _, y in batches]
    assert len(sizes) == len(batches)
    left_out = n_rows % 4 if drop_last and n_rows > 4 else 0
    assert sum(sizes) == n_rows - left_out
    assert (1 in sizes) == (
        n_rows == 1 or (not (joins or drop_last) and n_rows in (5, 9))
    )


@pytest.mark.parametrize(
    "params", [{"batch_size": 1}, {"batch_size": 149, "iterator_train": DataLoader}]
)
def test_a_batch_of_one_row_that_remains_is_explained(iris, params):
    with pytest.raises(ValueError, match="more than 1 value per channel") as error:
        classifier(Normed, **params).fit(*iris)
    assert "iterator_train__drop_last=True" in error.value.__notes__[0]


# Samplers.


def sampler_params(n_rows):
    return {
        "iterator_train": DataLoader,
        "iterator_train__sampler": WeightedRandomSampler(np.ones(n_rows), n_rows),
    }


def test_a_sampler_chooses_among_all_rows(iris):
    X, y = iris
    clf = classifier(Plain, early_stopping=False, **sampler_params(len(y)))
    assert sum(trained_on(clf, X, y)) == len(y)


def test_a_sampler_for_more_rows_than_train_is_refused(iris):
    X, y = iris
    params = sampler_params(len(y))
    match = "iterator_train__sampler selects among all 150 rows, but a net trains on "
    with pytest.raises(ValueError, match=match + "135"):
        classifier(Plain, early_stopping=True, **params).fit(X, y)
    with pytest.raises(ValueError, match=match + "149"):
        classifier(Plain, **params).fit(X, y, np.r_[0, np.ones(149)])
    is_clean = np.arange(len(y)) % 2 == 0
    for of_matrix in ({"n_folds": 3}, {"noise_matrix": "estimate"}):
        clf = NoiseAdaptedClassifier(Plain, max_epochs=1, **of_matrix, **params)
        with pytest.raises(ValueError, match=match):
            clf.fit(X, y, is_clean=is_clean)
    batches = torch.utils.data.BatchSampler(RandomSampler(range(150)), 50, False)
    clf = classifier(Plain, early_stopping=True, iterator_train=DataLoader)
    clf.set_params(iterator_train__batch_sampler=batches)
    with pytest.raises(ValueError, match="iterator_train__batch_sampler selects among"):
        clf.fit(X, y)


def test_a_row_that_a_fold_lacks_is_told_of_the_sampler(iris):
    clf = classifier(Plain, **sampler_params(150))
    with pytest.raises(
        IndexError, match="asks for row 1[0-9]+, but there are 100 rows"
    ):
        find_label_issues(clf, *iris, cv=3)
