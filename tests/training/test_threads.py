"""Fits in threads of one process neither disturb each other nor wait for each other."""

import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn
from torch.utils.data import DataLoader

import sklearn_noisy._threads
from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy._threads import Turn
from sklearn_noisy._training.generators import Generators
from sklearn_noisy.noise.solvers import solve_fista

SMALL = RobustLossClassifier(
    loss="cross_entropy",
    max_epochs=4,
    lr=0.02,
    random_state=0,
    module__hidden_layer_sizes=(16,),
    module__dropout=0.2,
)


class Drawing(nn.Module):
    """A module of a user that draws in its constructor and in every pass."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(n_features, 16), nn.Linear(16, n_classes)
        )
        self.register_buffer("shift", torch.rand(n_features))

    def forward(self, X):
        return self.layers(X + self.shift)


@pytest.mark.parametrize(
    "clf",
    [
        SMALL,
        RobustLossClassifier(Drawing, max_epochs=3, delay=1, random_state=0),
        clone(SMALL).set_params(
            iterator_train=DataLoader, iterator_valid=DataLoader, early_stopping=True
        ),
    ],
    ids=["default", "module", "loader"],
)
def test_fits_in_threads_equal_fits_one_after_another(iris, clf):
    before = torch.get_rng_state()
    expected = cross_val_predict(clf, *iris, cv=4, method="predict_proba")
    with joblib.parallel_config("threading", n_jobs=4):
        found = cross_val_predict(clf, *iris, cv=4, method="predict_proba")
    np.testing.assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "inner",
    [SMALL, BaggingClassifier(SMALL, 2, n_jobs=2, random_state=0)],
    ids=["ours", "another"],
)
def test_a_fit_whose_matrix_is_estimated_in_threads_comes_to_an_end(iris, inner):
    X, y = iris
    is_clean = np.arange(len(y)) % 2 == 0
    clf = NoiseAdaptedClassifier(
        noise_matrix=NoiseMatrixEstimator(inner, cv=2, n_jobs=2, random_state=0),
        refine=True,
        n_folds=2,
        n_rounds=0,
        max_epochs=3,
        lr=0.02,
        random_state=0,
        module__hidden_layer_sizes=(16,),
    )

    def fitted(_):
        return clone(clf).fit(X, y, is_clean=is_clean).predict_proba(X)

    before = torch.get_rng_state()
    with joblib.parallel_config("sequential"):
        expected = fitted(0)
    with joblib.parallel_config("threading"):
        np.testing.assert_array_equal(fitted(0), expected)
        for found in joblib.Parallel(2)(joblib.delayed(fitted)(i) for i in range(2)):
            np.testing.assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_prediction_does_not_draw(iris):
    """It would draw from the generators of a fit in another thread."""
    X, y = iris
    clf = clone(SMALL).set_params(iterator_valid=DataLoader).fit(X, y)
    before = torch.get_rng_state()
    clf.predict(X)
    assert torch.equal(torch.get_rng_state(), before)


def test_lent_generators_come_back():
    """Even if the fits that lend them overlap."""
    generators, before = Generators(), torch.get_rng_state()
    lent, ended = threading.Event(), threading.Event()

    def other():
        with generators.seeded(2, cuda=False):
            first = torch.rand(3)
            with generators.lent():
                lent.set()
                assert ended.wait(60)
            return torch.cat([first, torch.rand(3)])

    with ThreadPoolExecutor(1) as pool:
        with generators.seeded(1, cuda=False):
            drawn = [torch.rand(3)]
            with generators.lent():
                of_other = pool.submit(other)
                assert lent.wait(60)
            drawn.append(torch.rand(3))
        ended.set()
        of_other = of_other.result()
    assert torch.equal(torch.get_rng_state(), before)
    for seed, found in ((1, torch.cat(drawn)), (2, of_other)):
        stream = torch.Generator().manual_seed(seed)
        expected = [torch.rand(3, generator=stream) for _ in range(2)]
        assert torch.equal(found, torch.cat(expected))


def test_a_lent_generator_is_that_of_the_fit():
    """What draws from torch's global generator remains seeded."""
    generators = Generators()
    with generators.seeded(1, cuda=False):
        drawn = [torch.rand(3)]
        with generators.lent():
            drawn.append(torch.rand(3))
            with generators.seeded(2, cuda=False):
                torch.rand(5)
        drawn.append(torch.rand(3))
    stream = torch.Generator().manual_seed(1)
    expected = [torch.rand(3, generator=stream) for _ in range(3)]
    assert torch.equal(torch.cat(drawn), torch.cat(expected))


def test_an_error_while_the_turn_is_lent_gives_it_back():
    turn = Turn()

    def fail():
        with turn.held(), turn.held(), turn.lent():
            assert turn.depth == 0
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()

    def depth():
        with turn.held():
            return turn.depth

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(depth).result(60) == 1


def test_a_fork_does_not_wait_for_a_thread_that_it_lacks():
    code = """
import importlib.util, os, sys, threading
spec = importlib.util.spec_from_file_location("threads", sys.argv[1])
threads = importlib.util.module_from_spec(spec)
spec.loader.exec_module(threads)
turn, held, end = threads.Turn(), threading.Event(), threading.Event()
def hold():
    with turn.held():
        held.set()
        end.wait()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if not child:
    with turn.held():
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
end.set()
holder.join()
"""
    path = Path(sklearn_noisy._threads.__file__)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "7"


# Settings of the process.


class SeesFilters(GaussianNB):
    """Notes the warning filters that its fit runs under."""

    seen = ()

    def fit(self, X, y):
        SeesFilters.seen = [*SeesFilters.seen, list(warnings.filters)]
        return super().fit(X, y)


def test_folds_run_under_the_filters_of_the_caller(iris):
    """Filters belong to the process: other threads would have them, too."""
    X, y = iris
    SeesFilters.seen = []
    find_label_issues(SeesFilters(), X, y, cv=2, filter_by="low_self_confidence")
    NoiseMatrixEstimator(SeesFilters(), cv=2).fit(X, y, is_clean=np.arange(150) % 2 > 0)
    assert SeesFilters.seen == [list(warnings.filters)] * 4


def test_searches_in_threads_leave_the_filters(iris):
    X, y = iris
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: find_label_issues(SeesFilters(), X, y, cv=2), range(8)))
    assert list(warnings.filters) == before


class Interrupted(nn.Linear):
    """Ctrl-C in the second epoch of its training."""

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.n_passes = 0

    def forward(self, X):
        self.n_passes += self.training
        if self.n_passes == 3:
            raise KeyboardInterrupt
        return super().forward(X)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_interrupted_fold_is_no_result(iris, n_jobs):
    X, y = iris
    clf = RobustLossClassifier(
        Interrupted, loss="cross_entropy", max_epochs=4, batch_size=-1, random_state=0
    )
    is_clean = np.arange(len(y)) % 2 == 0
    with joblib.parallel_config("threading"):
        for estimator in (clf, make_pipeline(StandardScaler(), clf)):
            with pytest.raises(KeyboardInterrupt):
                find_label_issues(estimator, X, y, cv=2, n_jobs=n_jobs)
            with pytest.raises(KeyboardInterrupt):
                NoiseMatrixEstimator(estimator, cv=2, n_jobs=n_jobs).fit(
                    X, y, is_clean=is_clean
                )


def test_solvers_in_threads_leave_the_number_of_blas_threads():
    rng = np.random.RandomState(0)
    C_clean = np.eye(20) * 0.8 + rng.dirichlet(np.ones(20), 20).T * 0.2
    C_noisy = C_clean @ (np.eye(20) * 0.6 + 0.02)

    def threads():
        return [pool["num_threads"] for pool in threadpool_info()]

    with threadpool_limits(2, "blas"):
        before = threads()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: solve_fista(C_clean, C_noisy), range(16)))
        assert threads() == before
