"""A plugin of pytest: tests of other packages meet our estimators.

`peer_tests.py` loads it into the processes that it starts. The environment variable
``STAND_INS`` says what is replaced before a test module is imported:

- ``skorch``: ``NeuralNetClassifier`` and ``NeuralNetRegressor``,
- ``linear``: ``LogisticRegression``,
- ``mlp``: ``MLPClassifier``,
- empty: nothing.

Each result becomes a JSON line of the file ``RESULTS``.
"""

import importlib
import inspect
import json
import os
import signal
from functools import partial
from pathlib import Path
from unittest.mock import NonCallableMock, patch

import numpy as np
import pytest
import skorch
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from skorch.callbacks import EarlyStopping
from skorch.utils import noop
from torch import nn

from sklearn_noisy import RobustLossClassifier
from sklearn_noisy._training.net import NoisyLabelNet

SECONDS = 60  # for one test


class NoCounterpart(AttributeError):
    """Our estimators do not have what a test uses, on purpose."""


# skorch


def as_logits(output):
    """Logits of what a module of a test returns."""
    if isinstance(output, tuple):
        raise NoCounterpart("modules with several outputs")
    if output.ndim == 2 and output.shape[1] == 1:
        return torch.cat([torch.zeros_like(output), output], dim=1)
    total = output.sum(dim=-1)
    if (output >= 0).all() and torch.allclose(total, torch.ones_like(total)):
        return output.clamp_min(1e-30).log()
    return output


def with_logits(module):
    """The module, which returns logits; names of its parameters stay."""
    if isinstance(module, nn.Module):
        module.register_forward_hook(lambda module, args, output: as_logits(output))
        return module
    if isinstance(module, partial):
        return partial(with_logits(module.func), *module.args, **module.keywords)

    class Logits(module):
        def forward(self, *args, **kwargs):
            return as_logits(super().forward(*args, **kwargs))

    Logits.__signature__ = inspect.signature(module)
    return Logits


def held_out(train_split):
    """Parameters of ours that hold out as many rows as `train_split` does."""
    if train_split is None:
        return {"early_stopping": False}
    if getattr(train_split, "__qualname__", "") == "train_split.<locals>.func":
        return {"early_stopping": True, "validation_fraction": 0.5}
    cv = getattr(train_split, "cv", None)
    if not isinstance(cv, (int, float)):
        raise NoCounterpart("validation rows of the caller's choice")
    return {"early_stopping": True, "validation_fraction": 1 / cv if cv >= 1 else cv}


FIFTH = skorch.dataset.ValidSplit(5)  # skorch's default


class Net:
    """skorch's net, as its tests use it, around a RobustLossClassifier."""

    is_regressor = False

    def __init_subclass__(cls, *, is_stand_in=False, **kwargs):
        super().__init_subclass__(**kwargs)
        if not is_stand_in:
            raise NoCounterpart("subclasses of the net")

    def __init__(
        self,
        module,
        criterion=None,
        optimizer=torch.optim.SGD,
        *,
        lr=0.01,
        max_epochs=10,
        batch_size=128,
        train_split=FIFTH,
        callbacks=None,
        verbose=1,
        **kwargs,
    ):
        self.module = module
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.train_split = train_split
        self.callbacks = callbacks
        self.verbose = verbose
        self.kwargs = kwargs
        self.clf = None

    def __getattr__(self, name):
        clf = vars(self).get("clf")
        if name.startswith("__"):
            raise AttributeError(name)
        if clf is None:
            raise NoCounterpart(f"{name} of a net before fit")
        return getattr(clf.net_, name)

    def _fitted(self, name):
        if self.clf is None:
            raise NoCounterpart(f"{name} of a net before fit")
        return self.clf

    @property
    def history(self):
        return self._fitted("history").history_

    history_ = history

    def initialize(self):
        self.clf = None
        return self

    def set_params(self, **params):
        for name, value in params.items():
            if "__" in name:
                self.kwargs[name] = value
            else:
                setattr(self, name, value)
        return self

    def score(self, X, y):
        return self.clf.score(X, self._targets(y))

    def predict(self, X):
        clf = self._fitted("predict")
        return clf.predict_proba(X)[:, 1:] if self.is_regressor else clf.predict(X)

    def predict_proba(self, X):
        return self._fitted("predict_proba").predict_proba(X)

    def fit(self, X, y=None, **fit_params):
        return self._fit(X, y, **fit_params)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        return self._fit(X, y, goes_on=self.clf is not None, **fit_params)

    def _targets(self, y):
        if y is None:
            raise NoCounterpart("rows without labels")
        values = np.ravel(y)
        if values.min() == values.max():  # one class is none
            return np.arange(len(values)) % 2
        return (values > np.median(values)).astype(int) if self.is_regressor else y

    def _fit(self, X, y, *, goes_on=False, **fit_params):
        if fit_params:
            raise NoCounterpart("fit_params")
        y = self._targets(y)
        changed = {"max_epochs": self.max_epochs, **held_out(self.train_split)}
        clf = self.clf
        if goes_on:
            clf.set_params(**changed, warm_start=True)
        else:
            clf = RobustLossClassifier(
                with_logits(self.module),
                loss="cross_entropy",
                optimizer=self.optimizer,
                # Some tests want a training that changes nothing.
                lr=self.lr or 1e-30,
                batch_size=self.batch_size,
                callbacks=self.callbacks,
                n_iter_no_change=1000,
                precision="float32",
                random_state=0,
                verbose=self.verbose,
                **changed,
                # Ours takes larger batches where it needs no gradients.
                **{"iterator_valid__batch_size": self.batch_size, **self.kwargs},
            )
        mocks = [
            (name, mock)
            for name, mock in vars(self).items()
            if isinstance(mock, NonCallableMock)
        ]
        patches = [patch.object(NoisyLabelNet, name, mock) for name, mock in mocks]
        for each in patches:
            each.start()
        try:
            clf.fit(X, y)
        finally:
            for each in patches:
                each.stop()
        self.clf = clf
        self._show_callbacks()
        return self

    def _show_callbacks(self):
        """What the net's copies of the callbacks hold, in the given ones."""
        copies = iter([callback for _, callback in self.clf.net_.callbacks_])
        for given in self.callbacks or []:
            given = given[1] if isinstance(given, tuple) else given
            for copied in copies:
                if type(copied) is type(given):
                    vars(given).update(vars(copied))
                    break


class Classifier(Net, is_stand_in=True):
    pass


class Regressor(Net, is_stand_in=True):
    """Values above the median are one class, the others another."""

    is_regressor = True


# scikit-learn


class LogisticRegression(RobustLossClassifier):
    """A linear net; parameters of the solver are without effect."""

    def __init__(
        self,
        C=1.0,
        *,
        penalty=None,
        l1_ratio=None,
        tol=1e-4,
        solver="lbfgs",
        fit_intercept=True,
        max_iter=30,
        class_weight=None,
        random_state=0,
        **kwargs,
    ):
        shared = {"loss": "cross_entropy", "lr": 0.1, "early_stopping": False}
        linear = {"module__hidden_layer_sizes": (), "module__dropout": 0.0}
        super().__init__(
            class_weight=class_weight,
            random_state=0 if random_state is None else random_state,
            max_epochs=50,
            **{**shared, **linear, **kwargs},
        )
        self.C = C
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.tol = tol
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.random_state = random_state


ACTIVATIONS = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}


class MLPClassifier(ClassifierMixin, BaseEstimator):
    """RobustLossClassifier under the names of scikit-learn's parameters."""

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
    ):
        given = dict(locals())
        for name in inspect.signature(MLPClassifier).parameters:
            setattr(self, name, given[name])

    def _parameters(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}")
        if self.learning_rate != "constant":
            raise NoCounterpart("learning_rate; callbacks have the schedules")
        optimizers = {
            "adam": torch.optim.Adam,
            "sgd": torch.optim.SGD,
            "lbfgs": torch.optim.LBFGS,
        }
        if self.solver not in optimizers:
            raise ValueError(f"solver={self.solver!r}")
        params = {}
        if self.solver != "lbfgs":
            params["optimizer__weight_decay"] = self.alpha
        else:
            params = {"batch_size": -1, "max_epochs": 1, "lr": 1.0}
            params["optimizer__max_iter"] = self.max_iter
            params["optimizer__line_search_fn"] = "strong_wolfe"
        if self.solver == "sgd":
            params["optimizer__momentum"] = self.momentum
            params["optimizer__nesterov"] = self.nesterovs_momentum and (
                self.momentum > 0
            )
        if self.solver != "lbfgs" and not self.early_stopping:
            # scikit-learn stops by the training loss.
            stop = EarlyStopping(
                "train_loss",
                patience=self.n_iter_no_change,
                threshold=self.tol,
                threshold_mode="abs",
                sink=noop,
            )
            params["callbacks"] = [stop]
        if self.batch_size != "auto":
            params["batch_size"] = self.batch_size
        return {
            "module__hidden_layer_sizes": tuple(np.atleast_1d(self.hidden_layer_sizes)),
            "module__activation": ACTIVATIONS[self.activation],
            "loss": "cross_entropy",
            "optimizer": optimizers[self.solver],
            "lr": self.learning_rate_init,
            "max_epochs": self.max_iter,
            "iterator_train__shuffle": self.shuffle,
            "random_state": self.random_state,
            "verbose": int(self.verbose),
            "warm_start": self.warm_start,
            "early_stopping": self.early_stopping,
            "validation_fraction": self.validation_fraction,
            "n_iter_no_change": min(self.n_iter_no_change, self.max_iter),
            **params,
        }

    def _ours(self):
        if not (hasattr(self, "clf_") and self.warm_start):
            self.clf_ = RobustLossClassifier(**self._parameters())
        else:
            params = self._parameters()
            params.pop("callbacks", None)  # as they were
            self.clf_.set_params(**params)
        return self.clf_

    def _show(self):
        for name in ("classes_", "n_features_in_", "feature_names_in_", "n_iter_"):
            if hasattr(self.clf_, name):
                setattr(self, name, getattr(self.clf_, name))
        history = self.clf_.history_
        self.loss_curve_ = history[:, "train_loss"]
        self.loss_ = self.loss_curve_[-1]
        if "valid_acc" in history[-1]:
            self.validation_scores_ = history[:, "valid_acc"]
            self.best_validation_score_ = max(self.validation_scores_)
        return self

    def fit(self, X, y, sample_weight=None):
        self._ours().fit(X, y, sample_weight)
        return self._show()

    def _has_partial_fit(self):
        return self.solver != "lbfgs"

    @available_if(_has_partial_fit)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        if not hasattr(self, "clf_"):
            self._ours()
        self.clf_.partial_fit(X, y, classes, sample_weight)
        return self._show()

    def predict(self, X):
        return self.clf_.predict(X)

    def predict_proba(self, X):
        return self.clf_.predict_proba(X)

    def predict_log_proba(self, X):
        return self.clf_.predict_log_proba(X)

    def __sklearn_tags__(self):
        return RobustLossClassifier().__sklearn_tags__()


# pytest

# Imported beforehand: the modules of the package keep the real class.
USERS = (
    *("calibration", "ensemble", "feature_selection", "inspection", "linear_model"),
    *("model_selection", "multiclass", "multioutput", "neural_network", "pipeline"),
)

REPLACED = {
    "": {},
    "skorch": {
        "skorch.NeuralNetClassifier": Classifier,
        "skorch.NeuralNetRegressor": Regressor,
    },
    "linear": {"sklearn.linear_model.LogisticRegression": LogisticRegression},
    "mlp": {"sklearn.neural_network.MLPClassifier": MLPClassifier},
}


def pytest_configure(config):
    # A process in the background is started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    for name in USERS:
        importlib.import_module(f"sklearn.{name}")
    for path, stand_in in REPLACED[os.environ.get("STAND_INS", "")].items():
        module, _, name = path.rpartition(".")
        setattr(importlib.import_module(module), name, stand_in)


def too_long(signum, frame):
    raise TimeoutError(f"longer than {SECONDS} s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # A test that passes has three reports, each other one at least one that says why.
    if (report.when == "call" and report.passed) or not report.passed:
        error = ""
        if call.excinfo is not None:
            error = f"{call.excinfo.typename}: {call.excinfo.value}"
        row = {
            "test": report.nodeid.partition("::")[2],
            "outcome": report.outcome,
            "error": error[:2000],
        }
        if path := os.environ.get("RESULTS"):
            with Path(path).open("a") as file:
                file.write(json.dumps(row) + "\n")
    return report


def pytest_collectreport(report):
    if report.failed and (path := os.environ.get("RESULTS")):
        row = {"test": "", "outcome": "failed", "error": str(report.longrepr)[-2000:]}
        with Path(path).open("a") as file:
            file.write(json.dumps(row) + "\n")
