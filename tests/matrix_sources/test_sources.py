"""The sources of the noise matrix, each without an estimator."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sklearn_noisy import NoiseMatrixEstimator
from sklearn_noisy._matrix_sources.by_gradient import GradientMatrix
from sklearn_noisy._matrix_sources.estimated import EstimatedMatrix
from sklearn_noisy._matrix_sources.known import (
    IdentityMatrix,
    KnownMatrix,
    UniformConversion,
)
from sklearn_noisy._matrix_sources.learned import (
    CountedMatrix,
    FoldNets,
    FoldSettings,
    LearnedMatrix,
)
from sklearn_noisy._rows.rows import FitData, Rows, TrainingData
from sklearn_noisy._training.trainer import NetSpec, Trainer
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.exceptions import NoiseModelWarning
from sklearn_noisy.nn import MLP, NoiseLayer
from sklearn_noisy.nn._noise_layer import encode_targets

K = 3
Q = make_noise_matrix(K, 0.3, kind="pair")
CLASSES = np.array(["a", "b", "c"])
SETTINGS = FoldSettings(
    n_folds=3, warm_up="auto", max_epochs=12, one_cycle=True, verbose=0
)


def rows(n_samples=600, n_clean=0):
    """Three clusters with labels of pair noise; the first rows are clean."""
    rng = np.random.RandomState(0)
    y = rng.randint(K, size=n_samples)
    X = rng.randn(n_samples, 2) + 5 * np.eye(K)[y][:, :2]
    is_clean = np.arange(n_samples) < n_clean
    given = np.where(is_clean, y, corrupt_labels(y, Q, random_state=1))
    weight = np.ones(n_samples)
    data = TrainingData(
        rows=Rows(X),
        y=given,
        targets=encode_targets(given, is_clean, K),
        weight=weight,
        sample_weight=weight,
        classes=CLASSES,
        is_clean=is_clean,
        is_noisy=~is_clean,
        kept=np.ones(n_samples, dtype=bool),
    )
    return FitData(data, data, None), y


def trainer():
    spec = NetSpec(
        module=MLP,
        module_params={"hidden_layer_sizes": (16,)},
        scales_inputs=True,
        row_shape=(2,),
        labels=CLASSES,
        n_rows=600,
        dtype=torch.float64,
        autocast=False,
        device=torch.device("cpu"),
        batch_size=64,
        optimizer=torch.optim.AdamW,
        lr=1e-2,
        max_epochs=12,
        criterion=partial(NoiseLayer, torch.eye(K, dtype=torch.float64)),
        callbacks=[],
        settings={},
        verbose=0,
        parameters={},
    )
    torch.manual_seed(0)
    return Trainer(spec, np.random.RandomState(0))


def error(result):
    return np.abs(result.matrix - Q).sum() / K


def test_sources_that_need_no_data():
    data, _ = rows()
    shuffled = pd.DataFrame(Q, CLASSES, CLASSES).loc[["c", "a", "b"], ["b", "c", "a"]]
    for source, expected in (
        (KnownMatrix(Q, "noise_matrix"), Q),
        (KnownMatrix(shuffled, "noise_matrix"), Q),
        (IdentityMatrix(), np.eye(K)),
        (UniformConversion(0.4), 0.4 * np.eye(K) + 0.2),
    ):
        result = source.find(data, trainer=None)
        np.testing.assert_allclose(result.matrix, expected, rtol=1e-15)
        assert len(result.path) == 1
        assert result.estimator is result.label_quality is None
        assert not result.is_net_trained
    singular = np.full((K, K), 1 / K)
    with pytest.raises(ValueError, match="mine is singular"):
        KnownMatrix(singular, "mine").find(data, None)
    with pytest.warns(NoiseModelWarning, match="only the clean rows can"):
        KnownMatrix(singular, "mine").find(rows(n_clean=30)[0], None)
    with pytest.raises(ValueError, match="mine is singular"):
        KnownMatrix(singular, "mine", inverted=True).find(rows(n_clean=30)[0], None)


def test_counted_and_learned():
    data, y = rows()
    counted = CountedMatrix(SETTINGS).find(data, trainer())
    learned = LearnedMatrix(CountedMatrix(SETTINGS), SETTINGS).find(data, trainer())
    assert error(counted) < 0.2
    assert error(learned) < 0.2
    assert len(counted.path) == 1
    assert len(learned.path) == SETTINGS.max_epochs + 1
    np.testing.assert_array_equal(learned.path[0], counted.matrix)
    np.testing.assert_array_equal(learned.path[-1], learned.matrix)
    wrong = data.everything.y != y
    assert ((learned.label_quality < 0.5) == wrong).mean() > 0.9
    assert not learned.is_net_trained
    given = LearnedMatrix(KnownMatrix(Q, "noise_init"), SETTINGS)
    np.testing.assert_array_equal(given.find(data, trainer()).path[0], Q)


def test_a_net_that_judges_its_own_rows_only_counts():
    data, _ = rows(150)
    few = FoldSettings("auto", "auto", max_epochs=6, one_cycle=True, verbose=0)
    result = LearnedMatrix(CountedMatrix(few), few).find(data, trainer())
    counted = CountedMatrix(few).find(data, trainer())
    np.testing.assert_array_equal(result.matrix, counted.matrix)
    assert result.label_quality is None
    many = FoldSettings(151, "auto", max_epochs=6, one_cycle=True, verbose=0)
    with pytest.raises(ValueError, match="n_folds=151 is more than the 150 noisy rows"):
        FoldNets(data.everything, many, trainer())


def test_estimated():
    data, _ = rows(n_clean=90)
    estimator = NoiseMatrixEstimator(LogisticRegression())
    result = EstimatedMatrix(estimator, None, SETTINGS).find(data, trainer())
    assert error(result) < 0.2
    np.testing.assert_array_equal(result.matrix, result.estimator.noise_matrix_)
    assert not hasattr(estimator, "noise_matrix_")  # it is cloned
    asked = []

    def make_default(n_clean, trainer):
        asked.append(n_clean)
        return estimator

    default = EstimatedMatrix(None, make_default, SETTINGS)
    np.testing.assert_array_equal(default.find(data, trainer()).matrix, result.matrix)
    assert asked == [90]
    with pytest.warns(NoiseModelWarning, match="the confident joint is used"):
        result = default.find(rows()[0], trainer())
    assert error(result) < 0.3


def test_by_gradient_trains_the_net_and_leaves_a_plain_one():
    data, y = rows()
    source = GradientMatrix(
        KnownMatrix(Q, "noise_init"),
        regularizer="trace",
        decay=0.01,
        lr=1e-3,
        warm_up=4,
        outside=False,
        max_epochs=12,
    )
    maker = trainer()
    spec = maker.spec
    result = source.find(data, maker)
    assert result.is_net_trained
    assert maker.spec is spec
    assert len(result.path) == 13
    for fixed in result.path[1:5]:  # until the warm-up ends
        np.testing.assert_allclose(fixed, Q, atol=1e-12)
    assert np.abs(result.matrix - Q).max() > 1e-4
    np.testing.assert_allclose(result.matrix.sum(axis=0), 1)
    net = maker.net
    assert not net.criterion_.matrix.requires_grad
    assert net.criterion_.matrix not in net.optimizer_.state
    assert [name for name, _ in net.callbacks_] == ["epoch_timer", "print_log"]
    plain = trainer()
    plain.build(data.everything)
    shapes = [
        [
            [tuple(p.shape) for p in group["params"]]
            for group in n.optimizer_.param_groups
        ]
        for n in (net, plain.net)
    ]
    assert shapes[0] == shapes[1]
    predicted = net.logits(data.everything.rows).argmax(axis=1)
    assert (predicted == y).mean() > 0.95
