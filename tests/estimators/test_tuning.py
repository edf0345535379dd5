"""Searches of scikit-learn over our parameters."""

import os

import numpy as np
import pytest
import sklearn
import torch
from scipy.stats import loguniform, uniform
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_noisy import NoiseAdaptedClassifier, RobustLossClassifier
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.metrics import make_noise_corrected_scorer

SMALL = {"module__hidden_layer_sizes": (8,), "lr": 0.02, "random_state": 0}


@pytest.fixture(scope="module")
def noisy_iris(iris):
    """Rows, labels of which 30 % are those of the next class, and which are right."""
    X, y = iris
    Q = make_noise_matrix(3, 0.3, "pair")
    y_given = corrupt_labels(y, Q, random_state=0)
    is_clean = np.arange(len(y)) % 4 == 0
    return X, np.where(is_clean, y, y_given), is_clean, Q


def test_random_search_over_the_loss_and_its_schedule(noisy_iris):
    X, y, _, _ = noisy_iris
    shared = {"delay": [2, 3], "module__hidden_layer_sizes": [(4,), (8, 8)]}
    space = [
        {"loss": ["blurry", "focal"], "gamma": uniform(0.05, 0.15), **shared},
        {"loss": ["piecewise_zero", "clipped"], "c": loguniform(0.01, 0.1), **shared},
    ]
    search = RandomizedSearchCV(
        RobustLossClassifier(max_epochs=4, **SMALL),
        space,
        n_iter=4,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    best = search.best_estimator_
    assert best.get_params().items() >= search.best_params_.items()
    robust = [row["robust"] for row in best.history_]
    assert robust.index(True) == search.best_params_["delay"] - 1
    widths = best.module_.layers[1].out_features
    assert widths == search.best_params_["module__hidden_layer_sizes"][0]


def test_halving_gives_the_survivors_more_epochs(noisy_iris):
    X, y, _, _ = noisy_iris
    search = HalvingGridSearchCV(
        RobustLossClassifier(**SMALL),
        {"loss": ["focal", "cross_entropy", "mean_absolute_error", "blurry"]},
        resource="max_epochs",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    assert search.n_resources_ == [2, 4, 8]
    assert search.n_candidates_ == [4, 2, 1]
    assert search.best_estimator_.max_epochs == search.best_estimator_.n_iter_ == 8


def test_the_noise_model_in_a_search_with_a_corrected_score(noisy_iris):
    X, y, _, Q = noisy_iris
    grid = [
        {"noise_matrix": [Q, Q.T]},
        {"noise_model": ["top_down"], "alpha": [0.5, 1.0]},
    ]
    search = GridSearchCV(
        NoiseAdaptedClassifier(max_epochs=10, n_rounds=0, **SMALL),
        grid,
        cv=3,
        scoring=make_noise_corrected_scorer(Q, metric="log_loss"),
        error_score="raise",
    ).fit(X, y)
    right, wrong = search.cv_results_["mean_test_score"][:2]
    assert right > wrong
    assert search.best_index_ != 1


class NumberOfThreads(Callback):
    """Keep how many threads the process that trains may use."""

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        net.history.record("threads", torch.get_num_threads())
        net.history.record("process", os.getpid())


def test_workers_share_the_cores_and_get_the_metadata(noisy_iris):
    X, y, is_clean, _ = noisy_iris
    weight = np.where(y == 0, 2.0, 1.0)
    clf = NoiseAdaptedClassifier(
        noise_model="top_down",
        max_epochs=3,
        callbacks=[NumberOfThreads()],
        **SMALL,
    )
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(is_clean=True, sample_weight=True)
        clf.set_score_request(sample_weight=True)
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), clf
        )
        params = {"is_clean": is_clean, "sample_weight": weight}
        found = {}
        for n_jobs, metadata in ((1, params), (2, params), (1, {})):
            result = cross_validate(
                clone(pipeline),
                X,
                y,
                cv=4,
                params=metadata,
                n_jobs=n_jobs,
                return_estimator=True,
                error_score="raise",
            )
            found[n_jobs, bool(metadata)] = result["estimator"]
    rows = [pipe[-1].history_[-1] for pipe in found[2, True]]
    assert os.getpid() not in {row["process"] for row in rows}
    # At most all cores for two workers together.
    share = max(1, (os.cpu_count() or 1) // 2)
    assert all(row["threads"] <= share for row in rows)
    p = {
        key: np.stack([pipe.predict_proba(X) for pipe in pipes])
        for key, pipes in found.items()
    }
    np.testing.assert_allclose(p[1, True], p[2, True], atol=1e-6)
    assert np.abs(p[1, True] - p[1, False]).max() > 0.01
