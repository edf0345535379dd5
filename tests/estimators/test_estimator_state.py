"""Reproducibility, copies, parameters, errors: what must not surprise."""

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from torch import nn
from torch.utils.data import DataLoader

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
)
from sklearn_noisy._training.trainer import computes_bfloat16
from sklearn_noisy.exceptions import (
    DeviceNotAvailableError,
    EmulatedPrecisionWarning,
    ModuleOutputError,
    TrainingDivergedError,
    UnknownParameterError,
)


class Linear(nn.Module):
    def __init__(self, n_features, n_classes, scale=1.0):
        super().__init__()
        self.linear = nn.Linear(n_features, n_classes)
        self.scale = scale

    def forward(self, X):
        return self.linear(X) * self.scale


def classifier(module=None, **params):
    defaults = {"loss": "generalized_cross_entropy", "lr": 0.01, "max_epochs": 5}
    return RobustLossClassifier(module, **{**defaults, "random_state": 0, **params})


def same(a, b, X):
    return np.array_equal(a.predict_proba(X), b.predict_proba(X))


# Reproducibility


def test_same_seed_same_bits(noisy_digits):
    X, y, _, _ = noisy_digits  # from 1,000 rows on: dropout and held-out rows, too
    first = classifier().fit(X, y)
    assert same(first, classifier().fit(X, y), X)
    assert same(first, first.fit(X, y), X)
    assert not same(first, classifier(random_state=1).fit(X, y), X)
    assert not same(
        classifier(random_state=None).fit(X, y),
        classifier(random_state=None).fit(X, y),
        X,
    )
    rng = np.random.RandomState(0)
    a, b = (
        classifier(random_state=rng).fit(X, y),
        classifier(random_state=rng).fit(X, y),
    )
    assert not same(a, b, X)


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("fails", [False, True])
def test_global_generators_are_left_alone(iris, random_state, fails):
    X, y = iris
    clf = classifier(random_state=random_state, module__dropout=0.5)
    if fails:
        clf.set_params(lr=1e200)
    torch.manual_seed(3)
    np.random.seed(3)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    if fails:
        with pytest.raises(TrainingDivergedError):
            clf.fit(X, y)
    else:
        clf.fit(X, y).partial_fit(X, y)
    assert torch.equal(torch.get_rng_state(), torch_state)
    for before, after in zip(numpy_state, np.random.get_state(), strict=True):
        assert np.array_equal(before, after)


def test_global_seeds_change_nothing(iris):
    X, y = iris
    torch.manual_seed(1)
    first = classifier().fit(X, y)
    torch.manual_seed(2)
    assert same(first, classifier().fit(X, y), X)


# Copies


@pytest.mark.parametrize("module", [None, Linear, Linear(4, 3), nn.Linear(4, 3)])
@pytest.mark.parametrize(
    "copied",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_copies_before_and_after_fit(iris, module, copied):
    X, y = iris
    clf = classifier(module)
    before = copied(clf).fit(X, y)
    clf.fit(X, y)
    after = copied(clf)
    assert same(clf, before, X)
    assert same(clf, after, X)
    # A copy goes on training as the original does, and apart from it.
    expected = clf.predict_proba(X)
    after.partial_fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    clf.partial_fit(X, y)
    assert same(clf, after, X)


def test_deepcopy_of_a_local_module(iris):
    class Local(Linear):
        pass

    clf = classifier(Local).fit(*iris)
    assert same(clf, copy.deepcopy(clf), iris[0])


def test_clone(iris):
    X, y = iris
    clf = classifier(
        Linear,
        module__scale=2.0,
        optimizer__weight_decay=1e-3,
        callbacks=[("grad", GradientNormClipping(1.0))],
    )
    clf.fit(X, y)
    twin = clone(clf)
    with pytest.raises(NotFittedError):
        twin.predict(X)
    for attribute in ("net_", "module_", "history_", "n_iter_", "classes_"):
        assert hasattr(clf, attribute)
        assert not hasattr(twin, attribute)
    assert same(clf, twin.fit(X, y), X)
    assert twin.module_.scale == 2.0


def test_a_net_from_a_gpu_loads_without_one(iris):
    """What skorch stores for a CUDA net: its device and tensors to be mapped."""
    if torch.cuda.is_available():
        clf = classifier(device="cuda").fit(*iris)
    else:
        clf = classifier().fit(*iris).set_params(device="cuda")
        clf.net_.device = "cuda"
    stored = pickle.dumps(clf)
    if torch.cuda.is_available():
        return
    with pytest.warns(UserWarning, match="(?i)cuda") as caught:
        loaded = pickle.loads(stored)
    assert len(caught) == 1
    clf.net_.device = "cpu"
    assert same(clf, loaded, iris[0])
    with pytest.raises(DeviceNotAvailableError, match="device='cuda' was asked for"):
        loaded.fit(*iris)
    assert same(clf, loaded, iris[0])


# Parameters


def test_skorch_parameters_are_parameters(iris):
    clf = classifier(optimizer__weight_decay=0.1, iterator_train__drop_last=True)
    assert clf.get_params()["optimizer__weight_decay"] == 0.1
    assert "optimizer__weight_decay=0.1" in repr(clf)
    clf.set_params(optimizer__weight_decay=0.2, module__dropout=0.1, lr=0.5)
    assert clf.get_params()["module__dropout"] == 0.1
    assert clf.lr == 0.5
    assert clf.get_params(deep=False) == clf.get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'weight_decay'"):
        clf.set_params(weight_decay=0.3)
    assert "weight_decay" in clf._repr_html_()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learning_rate": 0.1}, "has no parameter 'learning_rate'"),
        ({"max_epoch": 3}, "'max_epoch'. Did you mean 'max_epochs'?"),
        ({"alpha": 1}, "'alpha'. Did you mean 'optimizer__weight_decay'"),
        (
            {"optimiser__weight_decay": 0},
            "Did you mean 'optimizer__weight_decay'?",
        ),
        ({"module_dropout": 0}, "'module_dropout'. Did you mean 'module__dropout'?"),
        ({"criterion": nn.NLLLoss}, "does not take 'criterion': use loss"),
        ({"criterion__weight": 1}, "does not take 'criterion__weight': use loss"),
        ({"train_split": None}, "use early_stopping and validation_fraction"),
        ({"classes": [0, 1]}, "the classes come from y"),
        ({"predict_nonlinearity": None}, "the softmax is applied for you"),
        ({"dataset": None}, "pass X and y to fit"),
    ],
)
def test_unknown_and_reserved_names(iris, params, message):
    clf = RobustLossClassifier(**params)  # stored, as scikit-learn wants it
    assert clone(clf).get_params().items() >= params.items()
    with pytest.raises(UnknownParameterError) as caught:
        clf.fit(*iris)
    assert message in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"lr": 0}, ValueError, r"lr must be in \(0, inf\), got 0"),
        ({"lr": np.nan}, ValueError, r"lr must be in \(0, inf\), got nan"),
        ({"lr": np.inf}, ValueError, r"lr must be in \(0, inf\), got inf"),
        ({"callbacks": [3]}, TypeError, "callbacks must be .*; got 3 in it"),
        (
            {"class_weight": {0: 0, 1: 0, 2: 0}},
            ValueError,
            "class_weight={0: 0.*} gives every row weight 0",
        ),
        ({"lr": "fast"}, TypeError, "lr must be a number in"),
        ({"max_epochs": 0}, ValueError, "max_epochs must be an integer >= 1, got 0"),
        ({"max_epochs": 2.5}, TypeError, "max_epochs must be an integer >= 1, got 2.5"),
        ({"batch_size": 0}, ValueError, "must be -1 or an integer >= 1, got 0"),
        ({"n_iter_no_change": 0}, ValueError, "change must be an integer >= 1, got 0"),
        (
            {"validation_fraction": 1},
            ValueError,
            r"validation_fraction must be in \(0, 1\), got 1",
        ),
        ({"module": "blurry"}, TypeError, "not a string; got 'blurry'.*loss=..."),
        (
            {"loss": "blurry", "gamma": 0.2, "loss__gamma": 0.7},
            ValueError,
            "gamma and loss__gamma are the same parameter",
        ),
        ({"optimizer": "adam"}, TypeError, "optimizer must be an optimizer class"),
        ({"callbacks": 3}, TypeError, "callbacks must be a list of skorch callbacks"),
        ({"early_stopping": "yes"}, ValueError, "early_stopping must be 'auto', True"),
        ({"precision": "half"}, ValueError, "precision must be one of 'auto'"),
        ({"device": "gpu"}, ValueError, "device must be 'cpu', 'cuda'.*got 'gpu'"),
        ({"device": 0}, TypeError, "device must be 'cpu', 'cuda'.*got 0"),
        (
            {"module": "mlp"},
            TypeError,
            "module must be a network, not a string; got 'mlp'",
        ),
        ({"module": dict}, TypeError, "module must be None"),
        ({"module__depth": 3}, TypeError, "depth"),
        ({"loss": "huber"}, ValueError, "loss must be one of.*got 'huber'"),
        ({"loss": nn.CrossEntropyLoss()}, ValueError, "one value per sample"),
        ({"loss__q": 2}, ValueError, r"q must be in \[0, 1\]"),
        ({"loss__p": 2}, TypeError, "no parameter 'p'; its parameters: q"),
        ({"class_weight": "even"}, ValueError, "class_weight must be None, 'balanced'"),
        ({"class_weight": {0: -1}}, ValueError, "class_weight\\[0\\] must be in"),
        ({"iterator_train__num_workers": 1}, TypeError, "with iterator_train=torch"),
    ],
)
def test_bad_parameters_leave_the_estimator_as_it_was(iris, params, error, message):
    X, y = iris
    clf = classifier()
    with pytest.raises(error, match=message):
        clone(clf).set_params(**params).fit(X, y)
    # Neither half-fitted …
    fresh = clone(clf).set_params(**params)
    before = dict(vars(fresh))
    with pytest.raises(error):
        fresh.fit(X, y)
    assert vars(fresh) == before
    # … nor is an earlier fit lost.
    expected = clf.fit(X, y).predict_proba(X)
    with pytest.raises(error):
        clf.set_params(**params).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_absent_device_is_an_error(iris, device):
    with pytest.raises(DeviceNotAvailableError, match="was asked for, but torch"):
        classifier(device=device).fit(*iris)
    assert issubclass(DeviceNotAvailableError, RuntimeError)


def test_auto_device_takes_what_there_is(iris):
    clf = classifier(device="auto").fit(*iris)
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert next(clf.module_.parameters()).device.type == expected


# Data


def set_entry(X, value):
    X = X.copy()
    X[3, 1] = value
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (set_entry(X, np.nan), y), "Input X contains NaN"),
        (lambda X, y: (set_entry(X, np.inf), y), "Input X contains infinity"),
        (lambda X, y: (X[:5], y), "inconsistent numbers of samples"),
        (lambda X, y: (X, np.zeros(len(y))), "at least two classes.*got one class"),
        (lambda X, y: (X, X[:, 0]), "Unknown label type"),
        (lambda X, y: (X[0], y), "Expected 2D array"),
        (
            lambda X, y: (X.astype(str), y),
            "not compatible with arrays of bytes/strings",
        ),
    ],
)
def test_bad_data(iris, change, message):
    X, y = iris
    with pytest.raises(ValueError, match=message):
        classifier().fit(*change(X, y))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(150, -1.0), "must not be negative; got -1 in row 0"),
        (np.zeros(150), "at least one non-zero"),
        (np.ones(149), r"sample_weight must have shape \(150,\).*got \(149,\)"),
        (np.ones((150, 1)), r"must have shape \(150,\)"),
        (np.full(150, np.nan), "sample_weight contains NaN"),
    ],
)
def test_bad_weights(iris, weight, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(*iris, sample_weight=weight)


def test_weights_that_leave_one_class(iris):
    X, y = iris
    with pytest.raises(ValueError, match="one class"):
        classifier().fit(X, y, sample_weight=(y == 1).astype(float))


# Modules


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 2), r"logits of shape .* = \(16, 3\).*got shape \(16, 2\)"),
        (nn.Flatten(0), "got shape"),
        (nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1)), "these are probabilities"),
        (nn.LSTM(4, 3), "got tuple"),
    ],
)
def test_modules_that_return_something_else(iris, module, message):
    with pytest.raises(ModuleOutputError, match=message) as caught:
        classifier(module).fit(*iris)
    assert isinstance(caught.value, ValueError)


def test_log_probabilities_and_positive_logits_are_logits(iris):
    X, y = iris
    for end in (nn.LogSoftmax(dim=1), nn.Softplus()):
        module = nn.Sequential(nn.Linear(4, 3), end)
        clf = classifier(module, max_epochs=80).fit(X, y)
        assert clf.score(X, y) > 0.8


def test_a_module_that_fails_is_told_what_it_was_called_with(iris):
    with pytest.raises(RuntimeError, match="cannot be multiplied") as caught:
        RobustLossClassifier(torch.nn.Linear(7, 3)).fit(*iris)
    assert "batch of shape (16, 4)" in caught.value.__notes__[0]


def test_parameters_of_a_module_instance_cannot_be_set(iris):
    with pytest.raises(ValueError, match="module__scale cannot be set when module is"):
        classifier(Linear(4, 3), module__scale=2).fit(*iris)


def test_divergence_names_the_epoch_and_leaves_it_as_it_was(iris):
    X, y = iris

    class Breaks(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                with torch.no_grad():
                    next(net.module_.parameters()).fill_(float("nan"))

    clf = classifier(callbacks=[Breaks()])
    with pytest.raises(TrainingDivergedError):
        clf.fit(X, y)
    with pytest.raises(NotFittedError):
        clf.predict(X)
    assert not hasattr(clf, "classes_")
    clf.set_params(callbacks=None).fit(X, y)
    p = clf.predict_proba(X)
    clf.set_params(callbacks=[Breaks()])
    with pytest.raises(TrainingDivergedError, match="became nan in epoch 3") as caught:
        clf.fit(X, y)
    assert isinstance(caught.value, FloatingPointError)
    np.testing.assert_array_equal(clf.predict_proba(X), p)
    assert clf.set_params(callbacks=None).fit(X, y).score(X, y) > 0.8


# skorch


def test_precision(iris):
    X, y = iris
    for precision in ("float32", "float64", "bfloat16"):
        clf = classifier(precision=precision, max_epochs=20).fit(X, y)
        expected = torch.float64 if precision == "float64" else torch.float32
        assert next(clf.module_.parameters()).dtype == expected
        assert clf.score(X, y) > 0.85
    rounded = clf.net_.infer(torch.from_numpy(X))
    assert rounded.dtype == torch.bfloat16


def test_callbacks_work_and_are_not_touched(iris):
    X, y = iris
    scoring = EpochScoring("accuracy", name="given_acc", on_train=True)
    clf = classifier(
        callbacks=[
            ("acc", scoring),
            LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1),
            GradientNormClipping(0.1),
        ],
        callbacks__acc__name="renamed",
    ).fit(X, y)
    assert 0.5 < clf.history_[-1, "renamed"] <= 1
    assert not hasattr(scoring, "y_trues_")
    assert scoring.name == "given_acc"
    assert clf.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01 * 0.1**2)


def test_batch_scheduler_sees_every_batch(iris):
    X, y = iris
    one_cycle = LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=0.01,
        total_steps=26,
        step_every="batch",
    )
    clf = classifier(batch_size=32, callbacks=[one_cycle]).fit(X, y)
    assert clf.net_.optimizer_.param_groups[0]["lr"] < 1e-4
    assert clf.score(X, y) > 0.9


def test_listening_callbacks_do_not_change_training(iris):
    class Listens(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

        def on_grad_computed(self, net, named_parameters, **kwargs):
            pass

    X, y = iris
    assert same(classifier().fit(X, y), classifier(callbacks=[Listens]).fit(X, y), X)


def test_skorch_early_stopping(iris):
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=1e6)
    clf = classifier(max_epochs=50, callbacks=[stop]).fit(*iris)
    assert clf.n_iter_ < 10


def test_data_loader_as_iterator(iris):
    X, y = iris
    clf = classifier(
        iterator_train=DataLoader,
        iterator_valid=DataLoader,
        batch_size=-1,
        max_epochs=30,
    ).fit(X, y)
    own = classifier(batch_size=-1, max_epochs=30).fit(X, y)
    # The order within the one batch differs, and nothing else.
    np.testing.assert_allclose(clf.predict_proba(X), own.predict_proba(X), rtol=1e-6)


def test_lbfgs(iris):
    X, y = iris
    clf = classifier(
        Linear,
        optimizer=torch.optim.LBFGS,
        lr=0.5,
        batch_size=-1,
        loss="cross_entropy",
        max_epochs=5,
    ).fit(X, y)
    assert clf.score(X, y) > 0.95


def test_disabled_callbacks(iris):
    clf = classifier(callbacks="disable", loss="cross_entropy").fit(*iris)
    assert clf.net_.callbacks_ == []
    assert clf.score(*iris) > 0.8


def test_nothing_is_warned_about_in_a_plain_fit(iris):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RobustLossClassifier(random_state=0).fit(*iris)


def test_an_unknown_parameter_of_the_module_is_told(iris):
    X, y = iris
    with pytest.raises(TypeError, match="Did you mean module__hidden_layer_sizes"):
        RobustLossClassifier(module__hidden_layer_size=(3,)).fit(X, y)


def test_images_of_another_shape_are_told_so(iris):
    X, y = iris
    clf = RobustLossClassifier(loss="focal", max_epochs=1, random_state=0)
    clf.fit(X.reshape(-1, 1, 2, 2), y)
    for other in (X.reshape(-1, 2, 2), X, X[:, :3]):
        with pytest.raises(ValueError, match=r"fitted on rows of shape \(1, 2, 2\)"):
            clf.predict(other)
    flat = RobustLossClassifier(loss="focal", max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"fitted on rows of shape \(4,\)"):
        flat.predict(X.reshape(-1, 2, 2))


@pytest.mark.parametrize("loss", ["cross_entropy", "symmetric_cross_entropy"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("alpha", "'optimizer__weight_decay' or 'loss__alpha'"),
        ("q", "'loss__q'"),
        ("max_iter", "'max_epochs'"),
        ("hidden_layer_sizes", "'module__hidden_layer_sizes'"),
        ("activation", "'module__activation'"),
        ("learning_rate_init", "'lr'"),
        ("solver", "'optimizer'"),
    ],
)
def test_unknown_names_have_the_same_hint_everywhere(iris, loss, name, meant):
    message = re.escape(f" Did you mean {meant}?")
    with pytest.raises(ValueError, match=message):
        RobustLossClassifier(loss=loss).set_params(**{name: 1})
    with pytest.raises(ValueError, match=message):
        RobustLossClassifier().set_params(loss=loss, **{name: 1})
    with pytest.raises(TypeError, match=message):
        RobustLossClassifier(loss=loss, **{name: 1}).fit(*iris)


def test_parameters_are_set_all_or_none():
    clf = NoiseAdaptedClassifier(
        noise_matrix=NoiseMatrixEstimator(cv=4), module__dropout=0.1
    )
    before = clf.get_params()
    for unknown in ("nonsense", "noise_matrix__nonsense"):
        with pytest.raises(ValueError, match="nonsense"):
            clf.set_params(
                lr=0.5,
                module__dropout=0.5,
                optimizer__weight_decay=0.1,
                noise_matrix__cv=3,
                **{unknown: 3},
            )
        assert clf.get_params() == before
    assert clf.set_params(lr=0.5, module__dropout=0.5).get_params()["lr"] == 0.5


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"iterator_train": "x"}, TypeError, "iterator_train must be a class such"),
        ({"iterator_valid": "x"}, TypeError, "iterator_valid must be a class such"),
        ({"iterator_valid": 3}, TypeError, "iterator_valid must be a class .* got 3"),
        ({"iterator_valid": int}, TypeError, "iterator_valid cannot be called with"),
        (
            {"iterator_valid": DataLoader, "iterator_valid__foo": 1},
            TypeError,
            "iterator_valid__foo is no keyword parameter of DataLoader",
        ),
        (
            {"iterator_valid": lambda rows, batch_size: 3},
            TypeError,
            "iterator_valid must return batches",
        ),
        ({"checkpoint": ""}, ValueError, "checkpoint must be the path .* got ''"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be the path .* got 3"),
    ],
)
def test_what_only_predict_would_notice(iris, params, error, message):
    clf = classifier(early_stopping=False, **params)
    with pytest.raises(error, match=message):
        clf.fit(*iris)
    assert not hasattr(clf, "net_")


def test_iterators_that_change_between_calls(iris):
    clf = classifier(warm_start=True).fit(*iris)
    before = clf.predict_proba(iris[0])
    with pytest.raises(TypeError, match="iterator_valid cannot be called"):
        clf.set_params(iterator_valid=int).fit(*iris)
    np.testing.assert_array_equal(clf.predict_proba(iris[0]), before)


def test_a_checkpoint_needs_a_folder(iris, tmp_path):
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file", str(tmp_path / "file" / "in_it")):
        with pytest.raises(ValueError, match="checkpoint must be the path of a folder"):
            classifier(checkpoint=path).fit(*iris)
    assert (tmp_path / "file").read_text() == "kept"


# Subclasses


class Small(RobustLossClassifier):
    """A constructor of its own, which sets the parameters of its base."""

    def __init__(self, width=4, *, folder=None):
        super().__init__(
            loss="cross_entropy",
            max_epochs=2,
            checkpoint=folder,
            random_state=0,
            module__hidden_layer_sizes=(width,),
        )
        self.width = width
        self.folder = folder


class SmallAdapted(NoiseAdaptedClassifier):
    def __init__(self, width=4):
        super().__init__(
            noise_matrix=np.full((3, 3), 0.1) + 0.7 * np.eye(3),
            max_epochs=2,
            random_state=0,
            module__hidden_layer_sizes=(width,),
        )
        self.width = width


@pytest.mark.parametrize("cls", [Small, SmallAdapted])
def test_a_subclass_may_have_a_constructor_of_its_own(iris, cls):
    X, y = iris
    fitted = cls(width=3).fit(X, y)
    assert fitted.module_.layers[1].out_features == 3
    assert "module__hidden_layer_sizes" not in fitted.get_params()
    assert same(clone(fitted).fit(X, y), fitted, X)
    with pytest.raises(ValueError, match="Invalid parameter 'module'"):
        fitted.set_params(module__dropout=0.5)
    before = fitted.n_iter_
    fitted.warm_start = True
    assert fitted.fit(X, y).n_iter_ == before + 2


class StopsInEpoch2(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            raise OSError("disk")


def test_what_a_subclass_sets_belongs_to_its_checkpoint(iris, tmp_path):
    X, y = iris
    stopped = Small(folder=tmp_path)
    stopped.callbacks = [StopsInEpoch2()]
    with pytest.raises(OSError, match="disk"):
        stopped.fit(X, y)
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    fresh, other = Small(), Small(folder=tmp_path)
    fresh.lr = other.lr = 0.1
    assert same(other.fit(X, y), fresh.fit(X, y), X)


def test_bfloat16_that_is_emulated_warns(iris):
    """Whether it does depends on the processor, which torch knows."""
    clf = RobustLossClassifier(
        loss="cross_entropy", max_epochs=1, precision="bfloat16", random_state=0
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(*iris)
        clf.set_params(precision="float32").fit(*iris)
    told = [w for w in caught if w.category is EmulatedPrecisionWarning]
    assert len(told) == (not computes_bfloat16(torch.device("cpu")))
    assert all(w.filename == __file__ for w in told)
