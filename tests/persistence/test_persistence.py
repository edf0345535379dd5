"""Saved estimators come back as they were, and a file is nothing but data."""

import copy
import hashlib
import io
import json
import os
import pickle
import pickletools
import re
import stat
import sys
import time
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.torch
import torch
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import GradientNormClipping
from torch import nn

import sklearn_noisy
from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    load,
    save,
)
from sklearn_noisy._serialization import file as persisted_file
from sklearn_noisy.datasets import make_noise_matrix
from sklearn_noisy.exceptions import (
    DeviceNotAvailableError,
    InvalidFileError,
)
from sklearn_noisy.losses import LOSSES, BlurryLoss, LabelSmoothingLoss

Q = make_noise_matrix(3, 0.2, kind="symmetric")


class Net(nn.Module):
    """Batch norm: buffers, one of them an integer."""

    def __init__(self, n_features, n_classes, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(n_features, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, n_classes),
        )

    def forward(self, X):
        return self.layers(X)


class Lazy(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, X):
        return self.layers(X)


class OwnLoss(nn.Module):
    """A loss with state of its own."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, logits, targets):
        losses = nn.functional.cross_entropy(logits, targets, reduction="none")
        return self.scale * losses


def robust(module=None, **params):
    defaults = {"loss": "generalized_cross_entropy", "lr": 0.01, "max_epochs": 3}
    return RobustLossClassifier(module, **{**defaults, "random_state": 0, **params})


def adapted(**params):
    defaults = {"noise_matrix": Q, "max_epochs": 3, "n_rounds": 0, "random_state": 0}
    return NoiseAdaptedClassifier(**{**defaults, **params})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def through(path):
    """Save, then load."""

    def save_and_load(estimator, /, omit=(), **given):
        save(estimator, path, omit=omit)
        return load(path, **given)

    return save_and_load


def assert_same(a, b, X):
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    weights, others = a.module_.state_dict(), b.module_.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def assert_goes_on(a, b, X, y):
    """Bit for bit, one epoch after another."""
    for _ in range(2):
        a.partial_fit(X, y)
        b.partial_fit(X, y)
        assert_same(a, b, X)
    a.set_params(warm_start=True).fit(X, y)
    b.set_params(warm_start=True).fit(X, y)
    assert_same(a, b, X)
    drop_times = [
        [{**row, "dur": None} for row in estimator.history_] for estimator in (a, b)
    ]
    assert drop_times[0] == drop_times[1]


# What comes back


@pytest.mark.parametrize(
    "clf",
    [
        robust(),
        robust(loss="blurry"),  # waits for the net to know every class
        robust(loss="piecewise_zero", c=0.2, delay=3),
        robust(module__dropout=0.3, module__hidden_layer_sizes=(16,)),
        robust(module__activation=nn.Tanh, optimizer=torch.optim.SGD),
        robust(optimizer=torch.optim.SGD, optimizer__momentum=0.9),
        robust(optimizer=torch.optim.LBFGS, module__hidden_layer_sizes=()),
        robust(nn.LazyLinear, module__out_features=3),
        robust(loss=BlurryLoss(gamma=0.1), delay=0),
        robust(loss=LabelSmoothingLoss(0.2, [0.2, 0.3, 0.5])),
        robust(loss=nn.CrossEntropyLoss, precision="bfloat16"),
        robust(early_stopping=True, validation_fraction=0.2),
        robust(callbacks="disable", loss="blurry"),
        adapted(),
        adapted(noise_matrix="learn", noise_model="top_down", lr_schedule="constant"),
        adapted(noise_matrix=pd.DataFrame(Q), early_stopping=True),
        adapted(n_rounds=1, precision="float32"),
    ],
)
def test_training_goes_on_as_if_nothing_had_happened(iris, through, clf):
    X, y = iris
    clf.fit(X, y)
    loaded = through(clf)
    assert type(loaded) is type(clf)
    assert_same(clf, loaded, X)
    assert loaded.history_ == clf.history_
    assert loaded.n_iter_ == clf.n_iter_
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    assert loaded.get_params().keys() == clf.get_params().keys()
    assert_goes_on(clf, loaded, X, y)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(iris, through, name):
    clf = robust(loss=LOSSES[name](), delay=0, module__hidden_layer_sizes=(8,))
    loaded = through(clf.fit(*iris))
    assert repr(loaded.loss) == repr(clf.loss)
    assert_goes_on(clf, loaded, *iris)


def test_a_schedule_in_the_middle_of_its_epochs(iris, through):
    X, y = iris
    clf = robust(loss="piecewise_zero", c=0.2, delay=4)
    clf.partial_fit(X, y, classes=[0, 1, 2])
    loaded = through(clf)
    for _ in range(5):
        clf.partial_fit(X, y)
        loaded.partial_fit(X, y)
    robust_epochs = [False] * 3 + [True] * 3
    assert loaded.history_[:, "robust"] == clf.history_[:, "robust"] == robust_epochs
    assert_same(clf, loaded, X)


def test_what_training_knew_of_the_classes_decides_on_the_next_epoch(iris, through):
    """`delay="auto"` looks at the epoch before, which may be before the file."""
    X, y = iris
    clf = robust(loss="piecewise_zero", c=0.45, lr=0.003)
    clf.partial_fit(X, y, classes=[0, 1, 2])
    for _ in range(10):
        loaded = through(clf).partial_fit(X, y)
        clf.partial_fit(X, y)
        assert loaded.history_[:, "robust"] == clf.history_[:, "robust"]
    assert clf.history_[:2, "robust"] == [False, False]
    assert clf.history_[-1, "robust"]
    # Of a class that the last rows lack, it knows what it knew before.
    some = y != 2
    loaded = through(clf.partial_fit(X[some], y[some])).partial_fit(X, y)
    assert loaded.history_[-1, "robust"]
    assert_same(loaded, clf.partial_fit(X, y), X)


@pytest.mark.filterwarnings("ignore:The noise matrix is not dominated")
def test_what_it_says_of_its_labels(iris, through):
    X, y = iris
    weight = np.where(np.arange(len(y)) % 7, 1.0, 0.0)  # NaN for those of weight 0
    clf = adapted(noise_matrix="learn", n_folds=2, max_epochs=4)
    clf.fit(X, y, sample_weight=weight)
    assert np.isnan(clf.label_quality_).sum() == (weight == 0).sum()
    loaded = through(clf)
    np.testing.assert_array_equal(loaded.label_quality_, clf.label_quality_)


@pytest.mark.parametrize("n_rounds", [0, 1])
def test_a_matrix_that_the_gradient_learned(iris, through, n_rounds):
    X, y = iris
    clf = adapted(
        noise_matrix="learn",
        regularizer="trace",
        warm_up=1,
        max_epochs=4,
        n_rounds=n_rounds,
        warm_start=True,
    ).fit(X, y)
    loaded = through(clf)
    for attribute in ("noise_matrix_", "noise_matrix_path_"):
        np.testing.assert_array_equal(
            getattr(loaded, attribute), getattr(clf, attribute)
        )
    np.testing.assert_array_equal(
        loaded.predict_noisy_proba(X), clf.predict_noisy_proba(X)
    )
    layer, other = clf.net_.criterion_, loaded.net_.criterion_
    assert layer.learn is other.learn is other.matrix.requires_grad is False
    clf.fit(X, y)
    loaded.fit(X, y)
    assert_same(clf, loaded, X)
    assert torch.equal(clf.net_.criterion_.matrix, loaded.net_.criterion_.matrix)


@pytest.mark.filterwarnings("ignore:noise_model='backward' inverts")
def test_the_backward_correction(iris, through):
    X, y = iris
    clf = adapted(noise_model="backward").fit(X, y)
    assert_goes_on(clf, through(clf), X, y)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 7, -1]),
        np.array([3, 7, 9], dtype=np.uint8),
        np.array([3, 7, 9], dtype=">i4"),
        np.array([5.0, 1.0, 2.0]),
        np.array(["cat", "dog", "épée"]),
        np.array(["cat", "dog", "bee"], dtype=object),
        np.array([False, True]),
    ],
    ids=lambda labels: labels.dtype.str,
)
def test_labels(iris, through, labels):
    X, y = iris
    clf = robust(max_epochs=1).fit(X, labels[y % len(labels)])
    loaded = through(clf)
    assert loaded.classes_.dtype == clf.classes_.dtype
    assert loaded.classes_.tolist() == clf.classes_.tolist()
    assert loaded.predict(X).dtype == clf.predict(X).dtype
    assert loaded.predict(X).tolist() == clf.predict(X).tolist()


def test_names_and_shapes_of_the_columns(iris, through):
    X, y = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    loaded = through(robust(max_epochs=1).fit(frame, y))
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert loaded.feature_names_in_.dtype == object
    assert loaded.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(frame[["b", "a", "c", "d"]])
    images = X.reshape(-1, 2, 2)
    loaded = through(robust(max_epochs=1).fit(images, y))
    with pytest.raises(ValueError, match=r"fitted on rows of shape \(2, 2\)"):
        loaded.predict(np.zeros((3, 2, 3)))


def test_metadata_requests(iris, through):
    with config_context(enable_metadata_routing=True):
        clf = adapted(max_epochs=1).set_fit_request(is_clean=True, sample_weight="w")
    loaded = through(clf.fit(*iris))
    assert loaded.get_metadata_routing().fit.requests == {
        "is_clean": True,
        "sample_weight": "w",
        "y_given": None,
    }


@pytest.mark.parametrize(
    "params",
    [
        {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
        {"class_weight": {0: np.float32(2), 1: 1, 2: 1}},
        {"class_weight": "balanced"},
        {"device": torch.device("cpu")},
        {"optimizer__betas": (0.8, 0.99), "optimizer__eps": np.float64(1e-7)},
        {"module__hidden_layer_sizes": [7, 5]},
        {"gamma": np.float32(0.1), "loss": BlurryLoss, "delay": 0},
        {"iterator_train": sklearn_noisy.nn.TensorBatches},
        {"iterator_train__drop_last": True, "iterator_valid__batch_size": 7},
        {"module": sklearn_noisy.nn.MLP},
        {"random_state": np.random.RandomState(3)},
    ],
    ids=" ".join,
)
def test_parameters(iris, through, params):
    clf = robust(max_epochs=1).set_params(**params).fit(*iris)
    loaded = through(clf)
    for name, value in params.items():
        other = getattr(loaded, name) if hasattr(loaded, name) else loaded._kwargs[name]
        assert type(other) is type(value)
        if isinstance(value, np.random.RandomState):
            assert other.randint(2**30) == value.randint(2**30)
        else:
            assert other == value
        if isinstance(value, dict):
            assert [*map(type, other)] == [*map(type, value)]
            assert [*map(type, other.values())] == [*map(type, value.values())]
    assert_same(clf, loaded, iris[0])


@pytest.mark.parametrize(
    "value",
    [
        (1, (2.5, None), [True, "x"]),
        [float("inf"), -float("inf"), -0.0, 1e-310, 10**30],
        {1: "a", "1": "b", (2, 3): {None: 4}, False: 5, 0.5: []},
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.5),
        np.zeros((0, 4), dtype=np.float16),
        np.array([["a", "bc"], ["d", ""]]),
        np.array([1, "a", None, (1, 2)], dtype=object),
        np.int8(5),
        np.str_("x"),
        np.bool_(True),
        torch.device("cuda:1"),
        torch.bfloat16,
        '\ud800 \0 " \\ é',
    ],
    ids=str,
)
def test_values_come_back_with_their_types(iris, through, value):
    """`module__<name>` of a module that takes anything."""

    class Takes(Net):
        def __init__(self, anything, **sizes):
            super().__init__(4, 3)

    clf = robust(Takes, module__anything=value, max_epochs=1).fit(*iris)
    back = through(clf, module=Takes).get_params()["module__anything"]
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.strides == value.strides


def test_a_nan_comes_back(iris, through):
    clf = robust(max_epochs=1).fit(*iris).set_params(gamma=float("nan"))
    assert np.isnan(through(clf).gamma)


@pytest.mark.parametrize(
    "labels", [["a", "b", "c"], np.array([1, 2, 3], dtype=np.int16), [5.0, 6.0, 7.0]]
)
def test_frames(iris, through, labels):
    X, y = iris
    names = np.asarray(labels)
    frame = pd.DataFrame(Q, index=labels, columns=labels).iloc[::-1]
    frame = frame.astype({labels[0]: np.float32})
    clf = adapted(noise_matrix=frame, max_epochs=1).fit(X, names[y])
    loaded = through(clf)
    pd.testing.assert_frame_equal(loaded.noise_matrix, frame)
    assert_goes_on(clf, loaded, X, names[y])


# NoiseMatrixEstimator


@pytest.fixture(scope="module")
def partly_clean(iris):
    return {"is_clean": np.arange(150) % 3 == 0}


def attributes(estimator):
    return {name: v for name, v in vars(estimator).items() if name.endswith("_")}


@pytest.mark.parametrize(
    "params",
    [{}, {"method": "inverse"}, {"allowed": np.ones((3, 3), bool), "n_bootstrap": 3}],
)
def test_noise_matrix_estimator(iris, partly_clean, through, params):
    inner = robust(max_epochs=2)
    estimator = NoiseMatrixEstimator(inner, cv=2, random_state=0, **params)
    estimator.fit(*iris, **partly_clean)
    loaded = through(estimator)
    assert attributes(loaded).keys() == attributes(estimator).keys()
    for name, value in attributes(estimator).items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
        assert type(getattr(loaded, name)) is type(value)
    assert loaded.estimator.get_params() == inner.get_params()
    loaded.fit(*iris, **partly_clean)
    np.testing.assert_array_equal(loaded.noise_matrix_, estimator.noise_matrix_)


def test_an_estimator_of_others_is_given_back(iris, partly_clean, through, path):
    estimator = NoiseMatrixEstimator(LogisticRegression(C=0.1), cv=2)
    estimator.fit(*iris, **partly_clean)
    with pytest.raises(TypeError, match=r"estimator=LogisticRegression\(C=0.1\) ca"):
        save(estimator, path)
    assert not path.exists()
    other = LogisticRegression(C=0.1)
    loaded = through(estimator, omit=("estimator",), estimator=other)
    assert loaded.estimator is other
    np.testing.assert_array_equal(loaded.noise_matrix_, estimator.noise_matrix_)


def test_an_estimator_inside_a_classifier(iris, partly_clean, through, path):
    spec = NoiseMatrixEstimator(LogisticRegression(), cv=2)
    clf = adapted(noise_matrix=spec, max_epochs=2).fit(*iris, **partly_clean)
    with pytest.raises(TypeError, match=r"estimator=LogisticRegression\(\) cannot"):
        save(clf, path)
    loaded = through(clf, omit=("estimator",), estimator=LogisticRegression())
    assert_same(clf, loaded, iris[0])
    assert loaded.noise_matrix.cv == 2
    np.testing.assert_array_equal(
        loaded.noise_matrix_estimator_.confusion_clean_,
        clf.noise_matrix_estimator_.confusion_clean_,
    )


# After two epochs a class may never be predicted.
@pytest.mark.filterwarnings("ignore:Nothing is known of the true classes")
@pytest.mark.parametrize("is_instance", [False, True])
def test_an_estimated_matrix_with_a_module_of_ones_own(
    iris, partly_clean, through, is_instance
):
    """The same module is a parameter of three estimators in the file."""
    module = Net(4, 3) if is_instance else Net
    clf = adapted(noise_matrix="estimate", module=module, max_epochs=2)
    clf.fit(*iris, **partly_clean)
    loaded = through(clf, module=module)
    assert_same(clf, loaded, iris[0])
    assert loaded.noise_matrix_estimator_.estimator.module is module


# Modules and other parameters that are given back


@pytest.mark.parametrize(
    ("module", "given", "params"),
    [
        (Net, Net, {"module__width": 5}),
        (Net(4, 3), Net(4, 3), {}),
        (Net(4, 3), Net, {}),
        (lambda n_features, n_classes: Net(n_features, n_classes), Net, {}),
        (Lazy, Lazy, {}),
        (Net, Net, {"precision": "float64"}),
    ],
)
def test_a_module_of_ones_own(iris, through, module, given, params):
    X, y = iris
    clf = robust(module, **params).fit(X, y)
    loaded = through(clf, module=given)
    assert_goes_on(clf, loaded, X, y)


def test_a_module_that_is_forgotten(iris, path):
    save(robust(Net).fit(*iris), path)
    with pytest.raises(
        TypeError, match=r"saved without module, which was .*\.Net: pass it as load\("
    ):
        load(path)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (lambda: Net(4, 3, width=9), r"'layers\.1\.weight' is .*\(9, 4\), in the file"),
        (lambda: Net(4, 3).double(), r"torch.float64 of shape \(8, 4\), in the file"),
        (lambda: nn.Linear(4, 3), r"the file lacks 'weight'; .*module has no 'layers"),
        (lambda: nn.Linear(4, 2), r"module must return logits of shape"),
        (lambda: nn.Linear(5, 3), r"cannot be multiplied"),
        (lambda width: None, r"missing 1 required positional argument: 'width'"),
    ],
)
def test_another_module(iris, path, module, reason):
    save(robust(Net).fit(*iris), path)
    with pytest.raises(ValueError, match=reason) as caught:
        load(path, module=module)
    assert not isinstance(caught.value, InvalidFileError)
    assert "Net, does not match module=" in str(caught.value)


def test_what_is_not_missing_is_not_taken(iris, path):
    save(robust().fit(*iris), path)
    with pytest.raises(TypeError, match="load got module, which is none of the"):
        load(path, module=Net)
    with pytest.raises(TypeError, match=r"load got lr.*set_params afterwards"):
        load(path, lr=0.1)


def test_parameters_that_are_left_out(iris, through, path):
    X, y = iris
    clf = robust(
        loss=OwnLoss,
        loss__scale=2.0,
        callbacks=[("clip", GradientNormClipping(0.5))],
        callbacks__clip__gradient_clip_value=0.1,
    ).fit(X, y)
    with pytest.raises(TypeError, match=r"callbacks=\[.*omit=\('callbacks',\)"):
        save(clf, path)
    with pytest.raises(TypeError, match=r"loss=<class .*OwnLoss'> cannot be kept"):
        save(clf, path, omit=("callbacks",))
    save(clf, path, omit=("loss", "callbacks"))
    with pytest.raises(TypeError, match=r"without callbacks, which was \[\('clip'"):
        load(path, loss=OwnLoss)
    loaded = load(path, loss=OwnLoss, callbacks=clf.callbacks)
    assert loaded.net_.criterion_.loss.scale == 2
    assert_goes_on(clf, loaded, X, y)


def test_an_activation_that_is_a_function(iris, through):
    def activation():
        return nn.ELU(0.5)

    clf = robust(module__activation=activation).fit(*iris)
    omit = ("module__activation",)
    loaded = through(clf, omit=omit, module__activation=activation)
    assert_goes_on(clf, loaded, *iris)


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("compile__backend", "eager", "aot_eager"),
        ("torch_load_kwargs", {"weights_only": True}, {}),
    ],
)
def test_what_names_code_is_never_in_a_file(iris, path, name, value, other):
    clf = robust(max_epochs=1, **{name: value}).fit(*iris)
    with pytest.raises(TypeError, match=f"{name}=.* cannot be kept in a file"):
        save(clf, path)
    save(clf, path, omit=(name,))
    assert load(path, **{name: other}).get_params()[name] == other


@pytest.mark.parametrize(
    "value", [lambda epoch: 1, frozenset({1, 2}), b"bytes", 1j, Net(1, 1)]
)
def test_a_value_that_json_cannot_hold(iris, path, value):
    clf = robust(max_epochs=1).fit(*iris).set_params(random_state=value)
    with pytest.raises(TypeError, match=r"(?s)random_state=.* cannot be kept in"):
        save(clf, path)
    assert not path.exists()


def test_bad_calls_of_save(iris, path):
    clf = robust(max_epochs=1)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        save(clf, path)
    with pytest.raises(NotFittedError):
        save(NoiseMatrixEstimator(), path)
    clf.fit(*iris)
    with pytest.raises(ValueError, match="omit names 'losses'"):
        save(clf, path, omit=("losses", "callbacks"))
    with pytest.raises(TypeError, match="omit must be a tuple of names"):
        save(clf, path, omit="callbacks")
    with pytest.raises(TypeError, match="estimator must be one of RobustLoss"):
        save(make_pipeline(LogisticRegression()), path)
    clf.set_params(module=Net)
    with pytest.raises(ValueError, match="cannot be rebuilt from its"):
        save(clf, path)
    assert not path.exists()


def test_loading_leaves_the_global_generators_alone(iris, path):
    save(robust(Net).fit(*iris), path)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    load(path, module=Net)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


# Devices


@pytest.fixture
def trained_elsewhere(iris):
    """As a net from a GPU, on a machine without one."""
    clf = robust(device="cuda" if torch.cuda.is_available() else "cpu").fit(*iris)
    if not torch.cuda.is_available():
        clf.set_params(device="cuda")
        clf.net_.device = "cuda"
    return clf


def test_a_net_from_a_gpu(iris, path, trained_elsewhere):
    X, y = iris
    save(trained_elsewhere, path)
    if torch.cuda.is_available():
        loaded = load(path)
        assert next(loaded.module_.parameters()).is_cuda
        assert_goes_on(trained_elsewhere, loaded, X, y)
        return
    with pytest.warns(UserWarning, match="'cuda', which is not here") as caught:
        loaded = load(path)
    assert len(caught) == 1
    trained_elsewhere.net_.device = "cpu"
    assert_same(trained_elsewhere, loaded, X)
    with pytest.raises(DeviceNotAvailableError, match="device='cuda' was asked for"):
        loaded.fit(X, y)
    assert_same(trained_elsewhere, loaded, X)


# The file


@pytest.fixture
def saved(iris, path):
    clf = robust(max_epochs=1, module__hidden_layer_sizes=(4,)).fit(*iris)
    save(clf, path)
    return clf


def test_the_file_is_a_safetensors_file_without_pickle(saved, path):
    with safetensors.safe_open(path, "pt") as file:
        weights = file.get_tensor("net_.module.layers.1.weight")
        metadata = file.metadata()
        assert "classes_" in [*file.keys()]
    assert torch.equal(weights, saved.module_.layers[1].weight)
    document = json.loads(metadata["document"])
    assert document["versions"]["torch"] == torch.__version__
    assert {*document["versions"]} == {
        *("sklearn_noisy", "torch", "scikit-learn", "skorch", "numpy")
    }
    # What fails first depends on the length of the header, which comes first.
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        pickle.loads(path.read_bytes())
    with pytest.raises(ValueError, match=r"opcode|pickle"):
        list(pickletools.genops(path.read_bytes()))


def test_every_changed_byte_is_noticed(saved, path):
    content = path.read_bytes()
    n_header = int.from_bytes(content[:8], "little")
    rng = np.random.RandomState(0)
    places = [*range(8), *range(8 + n_header - 9, 8 + n_header + 9), len(content) - 1]
    places += [content.index(b"sha256") + 20, content.index(b"kind") + 10]
    places += rng.randint(len(content), size=200).tolist()
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randint(8)
        path.write_bytes(changed)
        with pytest.raises(InvalidFileError, match="model"):
            load(path)
    path.write_bytes(content)
    assert load(path).classes_.tolist() == [0, 1, 2]


def test_a_file_that_is_cut_off(saved, path):
    content = path.read_bytes()
    for size in [1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:size])
        # Of a length alone, the first byte may be that of a pickle.
        with pytest.raises(InvalidFileError, match=r"cut off|not a file|is a pickle"):
            load(path)
    path.write_bytes(b"")
    with pytest.raises(InvalidFileError, match="is empty"):
        load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(InvalidFileError, match="checksum"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(path.with_name("nothing"))


def test_other_files(saved, path):
    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(path) + ".was_run",)

    for protocol in (2, 5):
        path.write_bytes(pickle.dumps(Runs(), protocol=protocol))
        with pytest.raises(InvalidFileError, match="is a pickle; it was not read"):
            load(path)
    joblib.dump(Runs(), path)
    with pytest.raises(InvalidFileError, match="is a pickle"):
        load(path)
    joblib.dump(Runs(), path, compress=3)
    with pytest.raises(InvalidFileError, match=r"joblib\.dump does"):
        load(path)
    torch.save({}, path)
    with pytest.raises(InvalidFileError, match=r"as torch\.save"):
        load(path)
    path.write_text("A text, and not a short one.")
    with pytest.raises(InvalidFileError, match="is not a file that"):
        load(path)
    safetensors.torch.save_file({"a": torch.ones(2)}, path)
    with pytest.raises(InvalidFileError, match="not one that sklearn_noisy.save wrote"):
        load(path)
    assert not os.path.exists(str(path) + ".was_run")
    assert issubclass(InvalidFileError, ValueError)


@pytest.mark.parametrize(
    ("number", "remedy"), [("3", "Install a newer"), ("1", "fit and save .* again")]
)
def test_another_format(saved, path, number, remedy):
    content = path.read_bytes()
    other = f'"format":"{number}"'.encode()
    path.write_bytes(content.replace(b'"format":"2"', other, 1))
    message = f"has format {number}, written by.* reads format 2. .*{remedy}"
    with pytest.raises(InvalidFileError, match=message):
        load(path)


def test_a_file_is_replaced_whole_or_not_at_all(iris, saved, path):
    before = path.read_bytes()
    with pytest.raises(TypeError, match="bytes-like"):
        persisted_file.write_whole(path, "fails when the new file is open already")
    assert path.read_bytes() == before
    folder = path.with_name("folder")
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        save(saved, folder)
    assert {*os.listdir(path.parent)} == {path.name, "folder"}
    link = path.with_name("link")
    link.symlink_to(path)
    save(saved.partial_fit(*iris), link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert_same(load(path), saved, iris[0])


# A file from a stranger: its checksum is right, what it says is not


def find(node, tag):
    """The first object {tag: …} in a document."""
    if isinstance(node, dict):
        if tag in node:
            return node
        node = list(node.values())
    if isinstance(node, list):
        return next(filter(None, (find(entry, tag) for entry in node)), None)
    return None


def name_class(*names):
    return lambda document: find(document, "class").update({"class": list(names)})


def set_param(name, value):
    def change(document):
        params = document["estimator"]["params"]
        params[:] = [[n, value if n == name else v] for n, v in params]

    return change


def set_array(dtype):
    array = {"dtype": dtype, "shape": [1], "items": ["a"]}
    return set_param("lr", {"array": array})


def set_attribute(name, value):
    return lambda document: document["estimator"]["attributes"].append([name, value])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_param("optimizer", {"class": ["os", "system"]}), "names os.system, which"),
        (set_param("optimizer", {"class": ["torch", "load"]}), "names torch.load"),
        (set_param("optimizer", {"class": ["torch.optim", "sys"]}), "torch.optim.sys"),
        (set_param("loss", {"class": ["torch.nn", "functional"]}), "nn.functional"),
        (set_param("loss", {"class": ["torch.utils.data", "Dataset"]}), "data.Dataset"),
        (set_param("loss", {"class": ["tests.test_persistence", "Net"]}), "Net, which"),
        (set_param("loss", {"class": ["torch.nn.modules.linear", "Linear"]}), "Linear"),
        (set_param("loss", {"loss": ["os.system", {"dict": []}]}), "os.system"),
        (set_param("lr", {"pickle": "gASVAAAA"}), "the kind 'pickle' are unknown"),
        (set_param("lr", {"array": {"dtype": "O", "tensor": "classes_"}}), "object"),
        (set_param("lr", {"tensor": "nowhere"}), "nowhere"),
        (set_param("lr", {"left_out": "code"}), "code"),
        (set_param("lr", {"float": "1", "str": "2"}), "too many values"),
        (set_param("lr", {"float": 10**400}), "is no float"),
        (set_array("f8,("), "no array is of 'f8,\\('"),
        (set_array("V8"), "no array is of 'V8'"),
        (set_param("device", {"device": "python"}), "python"),
        (
            lambda d: d["estimator"]["params"].append(["compile__backend", "mine"]),
            "it sets compile__backend",
        ),
        (set_param("lr", {"dtype": "load"}), "save never wrote"),
        (set_attribute("predict", 3), "an attribute 'predict'"),
        (set_attribute("__class__", 3), "an attribute '__class__'"),
        (set_attribute("_check_parameters", 3), "attribute '_check_parameters'"),
        (set_attribute("history_", 3), "an attribute 'history_'"),
        (set_attribute("net_", 3), "an attribute 'net_'"),
        (lambda d: d["estimator"].update({"class": "Popen"}), "names Popen, which"),
        (lambda d: d["estimator"].update({"class": ["os"]}), "unhashable"),
        (lambda d: d["estimator"].pop("net"), "'net'"),
        (lambda d: d["estimator"]["net"].pop("trainer"), "'trainer'"),
        (lambda d: d.pop("estimator"), "'estimator'"),
        (lambda d: d.pop("left_out"), "'left_out'"),
        (
            lambda d: d["estimator"].update(
                requests={"dict": [["pickle", {"dict": []}]]}
            ),
            "metadata of 'pickle'",
        ),
    ],
)
def test_names_in_a_file_run_and_import_nothing(saved, path, change, reason):
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    change(document)
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match=reason):
        load(path)


def test_a_class_that_torch_does_not_define(iris, saved, path, monkeypatch):
    """Somebody's patch of torch.nn is not torch's."""
    monkeypatch.setattr(torch.nn, "Net", Net, raising=False)
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    set_param("loss", {"class": ["torch.nn", "Net"]})(document)
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match=r"names torch\.nn\.Net, which is none"):
        load(path)


def test_documents_that_are_no_documents(saved, path):
    for document in ([], None, "text", {"left_out": {}, "estimator": {"dict": 3}}):
        path.write_bytes(persisted_file.pack(document, {}))
        with pytest.raises(InvalidFileError, match="holds what save never wrote"):
            load(path)
    # Deeper than Python's parser goes: as the header, then as the document.
    deep = b'{"a":' + b"[" * 100_000
    path.write_bytes(len(deep).to_bytes(8, "little") + deep)
    with pytest.raises(InvalidFileError, match=r"header .* is damaged"):
        load(path)
    metadata = {"kind": "sklearn_noisy", "format": "2", "document": "[" * 100_000}
    content = safetensors.torch.save({}, {**metadata, "sha256": "0" * 64})
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content.replace(b"0" * 64, digest, 1))
    with pytest.raises(InvalidFileError, match="is not a valid file: .*recursion"):
        load(path)


# What a forged file could ask of the machine.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compile", True),
        ("compile__options", {"dict": [["cpp.cxx", "/bin/echo"]]}),
        ("compile__backend", "inductor"),
        ("torch_load_kwargs", {"dict": [["weights_only", False]]}),
        ("iterator_valid", {"class": ["torch.utils.data", "DataLoader"]}),
        ("iterator_valid__num_workers", 64),
        ("iterator_train__worker_init_fn", {"class": ["torch.nn", "Module"]}),
        ("checkpoint", "/tmp"),
        ("n_jobs", 64),
        ("predict_nonlinearity", "auto"),
        ("dataset", None),
    ],
)
def test_a_file_sets_nothing_that_reaches_the_system(saved, path, name, value):
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    params = document["estimator"]["params"]
    params[:] = [[n, v] for n, v in params if n != name] + [[name, value]]
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match=f"it sets {name}"):
        load(path)


def test_what_belongs_to_a_machine_is_not_in_a_file(iris, path, tmp_path):
    clf = robust(max_epochs=1, checkpoint=str(tmp_path / "kept")).fit(*iris)
    save(clf, path)
    assert load(path).checkpoint is None
    data_loader = robust(max_epochs=1, iterator_train=torch.utils.data.DataLoader)
    with pytest.raises(TypeError, match=r"iterator_train=.* cannot be kept in a file"):
        save(data_loader.fit(*iris), path)
    save(data_loader, path, omit=("iterator_train",))
    loaded = load(path, iterator_train=torch.utils.data.DataLoader)
    assert_goes_on(data_loader, loaded, *iris)


def change_net(**parts):
    """Put other values into what the file says of the net."""

    def change(document, tensors):
        made_for = document["estimator"]["net"]["made_for"]["dict"]
        made_for[:] = [[n, v] for n, v in made_for if n not in parts]
        made_for += [[n, v] for n, v in parts.items()]

    return change


def change_tensor(name, make):
    def change(document, tensors):
        assert name in tensors
        tensors[name] = make(tensors[name])

    return change


def change_group(name, value):
    """Another value in the parameter groups of the optimizer."""

    def change(document, tensors):
        state = dict(document["estimator"]["net"]["state"]["dict"])
        group = dict(state["optimizer"]["dict"])["param_groups"][0]["dict"]
        group[:] = [[n, v] for n, v in group if n != name] + [[name, value]]

    return change


def change_generator(name, value):
    def change(document, tensors):
        rng = dict(document["estimator"]["net"]["trainer"]["dict"])["rng"]["dict"]
        inner = dict(rng)["state"]["dict"] if name in ("pos", "key") else rng
        inner[:] = [[n, v] for n, v in inner if n != name] + [[name, value]]

    return change


MOMENT = "net_.optimizer.state.0.exp_avg"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_tensor(MOMENT, lambda t: t[:1, :1]), r"exp_avg of weight 0 must be"),
        (change_tensor(MOMENT, lambda t: torch.zeros(999, 999)), "exp_avg of weight 0"),
        (change_tensor(MOMENT, lambda t: t.to(torch.int8)), "exp_avg of weight 0"),
        (
            change_tensor("net_.optimizer.state.0.step", lambda t: torch.zeros(9)),
            "step of weight 0",
        ),
        (change_group("fused", False), "fused=False"),
        (change_group("params", [0, 1, 2, 99]), "params="),
        (change_group("lr", "fast"), "lr='fast'"),
        (change_group("lr", None), "lr=None"),
        (change_group("amsgrad", True), "amsgrad=True"),
        (change_group("differentiable", True), "differentiable=True"),
        (change_group("betas", {"dict": []}), "betas="),
        (change_generator("pos", 10**9), "no state of a random generator"),
        (change_generator("pos", -1), "no state of a random generator"),
        (change_generator("key", [1, 2]), "no state of a random generator"),
        (change_generator("gauss", {"float": "nan"}), "no state of a random"),
        (change_generator("bit_generator", "PCG64"), "no state of a random generator"),
        (
            change_net(settings={"dict": [["compile", True]]}),
            "something else of the net",
        ),
        (change_net(row_shape={"tuple": [10**9]}), r"'layers.1.weight' of module is"),
        (change_net(row_shape={"tuple": [10**6, 10**6]}), "of module is of shape"),
        (change_net(device=3), "device of the net is 3"),
        (change_net(row_shape=4), "row_shape of the net is 4"),
    ],
)
def test_a_forged_state_reaches_no_memory(iris, saved, path, change, reason):
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    change(document, tensors)
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match=reason):
        load(path)


def test_a_callback_gets_no_attribute_from_a_file(saved, path):
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    state = dict(document["estimator"]["net"]["state"]["dict"])
    callbacks = dict(state["callbacks"]["dict"])
    callbacks["best_epoch"]["dict"].append(["on_epoch_end", 3])
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match="BestEpoch has no state 'on_epoch_end'"):
        load(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr": 0.01},
        {"optimizer": torch.optim.SGD, "lr": 0.01},
        {"optimizer": torch.optim.RMSprop, "optimizer__centered": True},
        {"optimizer": torch.optim.Adam, "optimizer__amsgrad": True},
        {"optimizer": torch.optim.Adagrad},
        {"optimizer": torch.optim.NAdam, "precision": "float32"},
        {"optimizer": torch.optim.NAdam, "precision": "float64"},
        {"optimizer": torch.optim.Adafactor},
        {"optimizer": torch.optim.LBFGS, "batch_size": -1},
        {"optimizer__param_groups": [("layers.1*", {"amsgrad": True})]},
        {"precision": "float64"},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_the_state_of_any_optimizer_is_its_own(iris, through, settings):
    """What the checks expect is what torch's optimizers have."""
    clf = robust(max_epochs=2, warm_start=True, **settings).fit(*iris)
    assert_goes_on(clf, through(clf), *iris)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[:3], "LBFGS has another prev_flat_grad"),
        (lambda t: t[None], "LBFGS has another prev_flat_grad"),
        (lambda t: t.half(), "LBFGS has another prev_flat_grad"),
        (None, "LBFGS keeps other things"),
    ],
)
def test_a_forged_state_of_lbfgs(iris, path, change, reason):
    """Its state is that of no other optimizer."""
    settings = {"optimizer": torch.optim.LBFGS, "batch_size": -1}
    save(robust(max_epochs=2, **settings).fit(*iris), path)
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    if change is None:
        state = dict(document["estimator"]["net"]["state"]["dict"])
        state = dict(dict(state["optimizer"]["dict"])["state"]["dict"])
        del state[0]["dict"][0]
    else:
        change_tensor("net_.optimizer.state.0.prev_flat_grad", change)(None, tensors)
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match=reason):
        load(path)


def test_a_file_names_no_larger_network_than_it_holds(iris, saved, path):
    """The network would need 80 GB."""
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    params = document["estimator"]["net"]["module_params"]
    for sizes in ([10**5, 10**5], [10**10]):
        params[:] = [
            [n, {"tuple": sizes} if n == "module__hidden_layer_sizes" else v]
            for n, v in params
        ]
        path.write_bytes(persisted_file.pack(document, tensors))
        with pytest.raises(InvalidFileError, match="it sets module__hidden_layer_size"):
            load(path)


def test_rows_are_no_larger_than_a_file_allows(iris, path):
    clf = robust(Pooled, max_epochs=1)
    save(clf.fit(*iris), path)
    assert_same(load(path, module=Pooled), clf, iris[0])
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    change_net(row_shape={"tuple": [10**5, 10**5]})(document, tensors)
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(ValueError, match="a row has 10000000000 entries, but"):
        load(path, module=Pooled)


class Pooled(nn.Module):
    """Takes rows of any shape."""

    def __init__(self, n_classes):
        super().__init__()
        self.layer = nn.Linear(1, n_classes)

    def forward(self, X):
        return self.layer(X.flatten(1).mean(dim=1, keepdim=True))


def test_text_is_as_wide_as_its_longest_item(iris, path):
    """A file of a kilobyte could ask for two gigabytes."""
    y = np.array(["a", "bb", "c"])[iris[1]].astype("U40")
    clf = robust(max_epochs=1).fit(iris[0], y)
    save(clf, path)
    assert load(path).classes_.dtype == "U2"
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    classes = dict(document["estimator"]["attributes"])["classes_"]["array"]
    classes["dtype"] = "<U500000000"
    path.write_bytes(persisted_file.pack(document, tensors))
    assert load(path).classes_.dtype == "U2"


def test_a_value_that_holds_itself_is_refused(iris, path):
    circle = []
    circle.append(circle)
    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in (circle, deep):
        clf = robust(max_epochs=1).fit(*iris).set_params(random_state=value)
        with pytest.raises(TypeError, match="random_state .*nested too deeply"):
            save(clf, path)
    assert not path.exists()


def test_a_trimmed_net_is_refused(iris, path):
    clf = robust(max_epochs=1).fit(*iris)
    clf.net_.trim_for_prediction()
    assert clf.predict(iris[0]).shape == iris[1].shape
    with pytest.raises(ValueError, match=r"Save the estimator before net_\.trim_for"):
        save(clf, path)
    assert not path.exists()


def test_permissions_of_a_file(iris, saved, path):
    mask = os.umask(0o027)
    try:
        save(saved, path.with_name("new"))
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.with_name("new").stat().st_mode) == 0o640
    path.chmod(0o600)
    save(saved, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_pipe_is_no_place_for_a_file(saved, path):
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="path must be a regular file"):
        save(saved, pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["n" * 250, b"bytes", "name with spaces"])
def test_any_name_that_the_system_takes(iris, saved, path, name):
    folder = os.fsencode(path.parent) if isinstance(name, bytes) else path.parent
    save(saved, os.path.join(folder, name))
    assert_same(load(os.path.join(folder, name)), saved, iris[0])
    assert len(os.listdir(path.parent)) == 2


def test_unfinished_files_of_a_killed_process_are_removed(saved, path):
    other = path.with_name("other")
    for target, age in ((path, 1e4), (path, 0), (other, 1e4)):
        name = persisted_file._prefix(str(target)) + f"{age:.0f}"
        path.with_name(name).touch()
        then = time.time() - age
        os.utime(path.with_name(name), (then, then))
    assert len(os.listdir(path.parent)) == 4
    save(saved, path)
    left = {*os.listdir(path.parent)} - {path.name}
    assert left == {
        persisted_file._prefix(str(path)) + "0",  # it may still be written
        persisted_file._prefix(str(other)) + "10000",
    }


def test_weights_of_another_shape(saved, path):
    document, tensors = persisted_file.unpack(path.read_bytes(), "")
    tensors["net_.module.layers.1.weight"] = torch.zeros(5, 4)
    path.write_bytes(persisted_file.pack(document, tensors))
    with pytest.raises(InvalidFileError, match=r"of shape \(4, 4\), in the file.*\(5,"):
        load(path)


# Pipelines.


class OwnScaler(StandardScaler):
    """A step that skops does not know."""


def test_a_pipeline(iris, through):
    X, y = iris
    pipe = make_pipeline(StandardScaler(), "passthrough", PCA(2), robust()).fit(X, y)
    loaded = through(pipe)
    assert [name for name, _ in loaded.steps] == [name for name, _ in pipe.steps]
    np.testing.assert_array_equal(loaded.predict_proba(X), pipe.predict_proba(X))
    np.testing.assert_array_equal(loaded[:-1].transform(X), pipe[:-1].transform(X))
    assert_goes_on(pipe[-1], loaded[-1], pipe[:-1].transform(X), y)


def test_a_pipeline_of_texts(through):
    texts = ["a good day", "a bad day", "good and bright", "bad and dark"] * 5
    labels = ["+", "-"] * 10
    pipe = make_pipeline(TfidfVectorizer(), robust()).fit(texts, labels)
    loaded = through(pipe)
    np.testing.assert_array_equal(
        loaded.predict_proba(texts), pipe.predict_proba(texts)
    )


def test_a_pipeline_around_a_module_of_ones_own(iris, path):
    pipe = make_pipeline(StandardScaler(), robust(Net, module__width=4)).fit(*iris)
    save(pipe, path)
    with pytest.raises(TypeError, match="was saved without module"):
        load(path)
    loaded = load(path, module=Net)
    np.testing.assert_array_equal(loaded.predict(iris[0]), pipe.predict(iris[0]))


def test_a_step_of_ones_own_must_be_trusted(iris, path):
    pipe = make_pipeline(OwnScaler(), robust()).fit(*iris)
    save(pipe, path)
    name = f"{OwnScaler.__module__}.OwnScaler"
    with pytest.raises(TypeError, match=rf"trusted=\['{re.escape(name)}'\]"):
        load(path)
    loaded = load(path, trusted=[name])
    np.testing.assert_array_equal(loaded.predict(iris[0]), pipe.predict(iris[0]))


def test_steps_that_cannot_be_kept(iris, path, monkeypatch):
    X, y = iris
    pipe = make_pipeline(FunctionTransformer(lambda X: X), robust()).fit(X, y)
    with pytest.raises(TypeError, match="skops cannot keep the step 'functiontrans"):
        save(pipe, path)
    monkeypatch.setitem(sys.modules, "skops.io", None)  # as if it was not installed
    pipe = make_pipeline(StandardScaler(), robust()).fit(X, y)
    with pytest.raises(TypeError, match=r"pip install skops\).*save\(pipeline\[-1\]"):
        save(pipe, path)
    assert not path.exists()
    save(make_pipeline(robust()).fit(X, y), path)  # it needs no skops
    assert_same(load(path)[-1], robust().fit(X, y), X)


def test_a_pipeline_from_a_stranger(iris, path):
    save(make_pipeline(StandardScaler(), robust()).fit(*iris), path)
    whole = persisted_file.unpack(path.read_bytes(), "")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "0" * 10**7)
    for content in (b"PK", pickle.dumps(3), buffer.getvalue()):
        document, tensors = copy.deepcopy(whole)
        tensors["steps.standardscaler"] = torch.tensor([*content], dtype=torch.uint8)
        path.write_bytes(persisted_file.pack(document, tensors))
        with pytest.raises(InvalidFileError, match="step 'standardscaler' is damaged"):
            load(path)


def test_joblib_still_works(iris, tmp_path):
    clf = robust().fit(*iris)
    joblib.dump(clf, tmp_path / "clf")
    assert_goes_on(clf, joblib.load(tmp_path / "clf"), *iris)
