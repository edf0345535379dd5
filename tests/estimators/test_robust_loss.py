"""RobustLossClassifier as people use it: on real rows with wrong labels."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_noisy import RobustLossClassifier
from sklearn_noisy.datasets import corrupt_labels


def classifier(module=None, **params):
    # A loss that is on from the first epoch, as few epochs are trained here.
    defaults = {"loss": "generalized_cross_entropy", "lr": 3e-3, "max_epochs": 20}
    return RobustLossClassifier(module, **{**defaults, "random_state": 0, **params})


def test_robust_beats_cross_entropy_on_wrong_labels(noisy_digits):
    X, y_given, y, _ = noisy_digits
    train, test = train_test_split(np.arange(len(y)), random_state=0, stratify=y)
    scores = {}
    for loss in ("cross_entropy", "symmetric_cross_entropy"):
        clf = RobustLossClassifier(
            loss=loss, max_epochs=60, early_stopping=False, random_state=0
        )
        scores[loss] = clf.fit(X[train], y_given[train]).score(X[test], y[test])
    assert scores["symmetric_cross_entropy"] > 0.96
    assert scores["symmetric_cross_entropy"] > scores["cross_entropy"]


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (["a", "b", "c"], object),
        (["a", "b", "c"], str),
        ([-5, 7, 1000], int),
        ([0.0, 2.0, 9.0], float),
    ],
)
def test_any_labels_decode(iris, labels, dtype):
    X, y = iris
    names = np.array(labels, dtype=dtype)[y]
    clf = classifier().fit(X, names)
    assert clf.classes_.tolist() == labels
    prediction = clf.predict(X)
    assert prediction.dtype == names.dtype
    assert (prediction == names).mean() > 0.9
    # Which labels stand for the classes changes nothing.
    np.testing.assert_array_equal(
        clf.predict_proba(X), classifier().fit(X, y).predict_proba(X)
    )


def test_boolean_labels(iris):
    X, y = iris
    clf = classifier().fit(X, y == 0)
    assert clf.classes_.tolist() == [False, True]
    assert clf.predict(X).dtype == bool
    assert clf.score(X, y == 0) == 1.0


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "uint8",
        "int16",
        "int64",
        "uint16",
        "uint64",
        "f2",
        "f4",
        "f8",
        ">f8",
        ">i4",
        "longdouble",
    ],
)
def test_any_numeric_dtype(iris, dtype):
    X, y = iris
    X = (10 * (X - X.min())).astype(dtype)
    clf = classifier().fit(X, y)
    wide = dtype in ("f8", ">f8", "longdouble")
    expected = torch.float64 if wide else torch.float32
    assert next(clf.module_.parameters()).dtype == expected
    assert clf.predict_proba(X[::-1]).shape == (150, 3)
    if dtype != "bool":
        assert clf.score(X, y) > 0.85


def test_sparse_rows_train_as_dense_ones(iris):
    X, y = iris
    X = np.where(X > 0, X, 0)
    dense = classifier(batch_size=32).fit(X, y)
    for make in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        clf = classifier(batch_size=32).fit(make(X), y)
        np.testing.assert_array_equal(
            clf.predict_proba(make(X)), dense.predict_proba(X)
        )


def test_data_frames_keep_their_names(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    clf = classifier().fit(frame, pd.Series(y, index=range(1000, 1150)))
    assert clf.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert clf.score(frame, y) > 0.9
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(frame.rename(columns={"a": "z"}))


class SmallCNN(nn.Module):
    def __init__(self, n_classes, width=4):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36 * width, n_classes),
        )

    def forward(self, X):
        return self.layers(X[:, None])


class LinearModule(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_features, n_classes)

    def forward(self, X):
        return self.linear(X.flatten(1))


def test_images(noisy_digits):
    X, y_given, y, _ = noisy_digits
    images = (X.reshape(-1, 8, 8) * 16).astype(np.uint8)
    clf = classifier(SmallCNN, module__width=8, lr=3e-3, max_epochs=15)
    clf.fit(images, y_given)
    assert clf.n_features_in_ == 8
    assert clf.score(images, y) > 0.9
    assert not hasattr(clf, "feature_names_in_")
    with pytest.raises(
        ValueError, match=r"rows of shape \(8, 7\).*fitted on .*\(8, 8\)"
    ):
        clf.predict(images[:, :, :7])
    # The default network flattens.
    assert classifier().fit(images / 16, y_given).module_.layers[1].in_features == 64


def test_module_as_class_factory_and_instance(iris):
    X, y = iris
    instance = LinearModule(4, 3)
    before = {k: v.clone() for k, v in instance.state_dict().items()}

    def factory(n_features):
        return nn.Sequential(nn.Linear(n_features, 8), nn.ReLU(), nn.Linear(8, 3))

    for module in (LinearModule, factory, instance, nn.Linear(4, 3).double()):
        clf = classifier(module, lr=0.1, max_epochs=30).fit(X, y)
        assert clf.score(X, y) > 0.85
        dtype = torch.float64 if isinstance(module, nn.Linear) else torch.float32
        assert next(clf.module_.parameters()).dtype == dtype
    for name, value in instance.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert clf.module_ is not clf.module


def test_lazy_layers(iris):
    X, y = iris
    module = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    assert classifier(module, lr=0.1, loss="focal").fit(X, y).score(X, y) > 0.9


def test_weight_k_is_k_rows_for_every_epoch_of_whole_batches(iris):
    X, y = iris
    weight = np.random.RandomState(0).randint(0, 3, len(y))
    params = {"batch_size": -1, "loss": "blurry", "gamma": 0.4, "max_epochs": 60}
    weighted = classifier(**params).fit(X, y, sample_weight=weight)
    repeated = classifier(**params).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7
    )
    assert [r["robust"] for r in weighted.history_] == [
        r["robust"] for r in repeated.history_
    ]
    # The scale of the weights is immaterial.
    scaled = classifier(**params).fit(X, y, sample_weight=weight * 1e-3)
    np.testing.assert_allclose(scaled.predict_proba(X), weighted.predict_proba(X))


def test_class_weight_is_a_weight_of_the_rows(iris):
    X, y = iris
    rows = np.r_[np.flatnonzero(y == 0)[:10], np.flatnonzero(y > 0)]
    X, y = X[rows], y[rows]
    balanced = classifier(class_weight="balanced").fit(X, y)
    weight = np.where(y == 0, 110 / 30, 110 / 150)
    by_hand = classifier().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X))
    as_dict = classifier(class_weight={0: 5.0}).fit(X, y)
    by_hand = classifier().fit(X, y, sample_weight=np.where(y == 0, 5.0, 1.0))
    np.testing.assert_allclose(as_dict.predict_proba(X), by_hand.predict_proba(X))


def test_probabilities_are_exact(iris):
    X, y = iris
    clf = classifier(max_epochs=100, lr=0.1).fit(X.astype(np.float32), y)
    p = clf.predict_proba(X.astype(np.float32))
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15)
    assert ((p >= 0) & (p <= 1)).all()
    with np.errstate(divide="ignore"):
        expected = np.log(p)
    log_p = clf.predict_log_proba(X.astype(np.float32))
    normal = p > np.finfo(p.dtype).tiny
    np.testing.assert_allclose(log_p[normal], expected[normal], atol=1e-9)
    assert np.isfinite(log_p).all()


def test_partial_fit(iris):
    X, y = iris
    clf = classifier()
    for epoch in range(12):
        rows = np.arange(len(y)) % 3 != epoch % 3
        clf.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert clf.n_iter_ == 12
    assert clf.score(X, y) > 0.9
    # Every call draws its own order: not the same epoch again and again.
    twice = classifier(max_epochs=2, batch_size=32).fit(X, y)
    steps = classifier(batch_size=32)
    steps.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert steps.history_[0, "train_loss"] == twice.history_[0, "train_loss"]
    assert steps.n_iter_ == twice.n_iter_ == 2


def test_partial_fit_of_many_classes():
    """A list of classes is no sample in which every other label is a new one."""
    X, y = np.random.RandomState(0).rand(120, 3), np.arange(120) % 40
    clf = classifier(max_epochs=1).partial_fit(X, y, classes=np.arange(40))
    assert clf.predict_proba(X).shape == (120, 40)


def test_partial_fit_errors(iris):
    X, y = iris
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        classifier().partial_fit(X, y)
    clf = classifier().partial_fit(X[y < 2], y[y < 2], classes=[0, 1])
    with pytest.raises(ValueError, match=r"labels that are not among .*\[2\]"):
        clf.partial_fit(X, y)
    with pytest.raises(ValueError, match="differs from the first call's"):
        clf.partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert clf.n_iter_ == 1
    with pytest.raises(ValueError, match="'balanced' needs all rows at once"):
        classifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_warm_start_goes_on(iris):
    X, y = iris
    clf = classifier(warm_start=True, max_epochs=5).fit(X, y)
    first = clf.history_[-1, "train_loss"]
    clf.fit(X, y)
    assert clf.n_iter_ == 10
    assert clf.history_[5, "train_loss"] < first
    with pytest.raises(ValueError, match=r"classes of the first fit, \[0, 1, 2\]"):
        clf.fit(X[y < 2], y[y < 2])
    assert clf.n_iter_ == 10
    clf.set_params(warm_start=False).fit(X, y)
    assert clf.n_iter_ == 5


def test_early_stopping_restores_the_best_epoch(noisy_digits):
    X, y_given, _, _ = noisy_digits
    clf = classifier(loss="cross_entropy", lr=3e-3, max_epochs=60, n_iter_no_change=5)
    clf.fit(X, y_given)
    rows = clf.history_[:]
    best = max(rows, key=lambda row: (row["valid_acc"], -row["valid_loss"]))
    assert len(rows) < 60
    assert best["epoch"] < len(rows)
    same = classifier(
        loss="cross_entropy", lr=3e-3, max_epochs=best["epoch"], n_iter_no_change=60
    ).fit(X, y_given)
    np.testing.assert_array_equal(same.predict_proba(X), clf.predict_proba(X))
    # After the best epoch neither accuracy nor loss was beaten for 5 epochs.
    lowest = min(rows, key=lambda row: row["valid_loss"])["epoch"]
    assert len(rows) - max(best["epoch"], lowest) == 5


def test_early_stopping_is_on_from_a_thousand_rows(noisy_digits):
    X, y_given, _, _ = noisy_digits
    for n_rows, on in ((999, False), (1000, True)):
        clf = classifier(max_epochs=3).fit(X[:n_rows], y_given[:n_rows])
        assert ("valid_acc" in clf.history_[0]) == on
        dropout = [m for m in clf.module_.modules() if isinstance(m, nn.Dropout)]
        assert bool(dropout) == on
    clf = classifier(max_epochs=3, early_stopping=True, validation_fraction=0.3)
    assert "valid_acc" in clf.fit(X[:50], y_given[:50]).history_[0]
    with pytest.raises(ValueError, match="leaves no validation row"):
        classifier(early_stopping=True, validation_fraction=0.01).fit(
            X[:20], y_given[:20]
        )


def test_validation_rows_are_weighted(iris):
    """A validation row of weight w counts w times in valid_acc."""
    X, y = iris
    weight = np.where(y == 0, 100.0, 1.0)
    wrong = np.where(y == 0, 0, 3 - y)  # classes 1 and 2 swapped at random rows
    swap = np.random.RandomState(0).rand(len(y)) < 0.5
    y_given = np.where(swap, wrong, y)
    clf = classifier(early_stopping=True, validation_fraction=0.3)
    assert clf.fit(X, y_given, sample_weight=weight).history_[-1, "valid_acc"] > 0.98
    assert clf.fit(X, y_given).history_[-1, "valid_acc"] < 0.9


def test_grid_search_in_a_pipeline(iris):
    X, y = iris
    y = corrupt_labels(y, noise_rate=0.2, random_state=0)
    pipe = make_pipeline(StandardScaler(), classifier(max_epochs=5))
    shared = {
        "robustlossclassifier__module__hidden_layer_sizes": [(8,), (4, 4)],
        "robustlossclassifier__optimizer__weight_decay": [0, 1e-3],
    }
    grid = [
        {"robustlossclassifier__loss": ["mean_absolute_error"], **shared},
        {
            "robustlossclassifier__loss": ["focal"],
            "robustlossclassifier__gamma": [0.5, 2],
            **shared,
        },
    ]
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 12
    best = search.best_estimator_[-1]
    sizes = search.best_params_["robustlossclassifier__module__hidden_layer_sizes"]
    assert best.module_.layers[1].out_features == sizes[0]
    decay = search.best_params_["robustlossclassifier__optimizer__weight_decay"]
    assert best.net_.optimizer_.param_groups[0]["weight_decay"] == decay


def test_gamma_and_c_reach_the_loss(iris):
    X, y = iris
    with_gamma = classifier(loss="focal", gamma=0.25).fit(X, y)
    assert with_gamma.net_.criterion_.loss.gamma == 0.25
    with_c = classifier(loss="clipped", c=0.3).fit(X, y)
    assert with_c.net_.criterion_.loss.c == 0.3
    other = classifier(loss="uniform_mixing", loss__noise_rate=0.1).fit(X, y)
    assert other.net_.criterion_.loss.noise_rate == 0.1
    assert clone(other).get_params()["loss__noise_rate"] == 0.1


def test_verbose_prints_a_line_per_epoch(iris, capsys):
    classifier(max_epochs=4, verbose=1).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["epoch", "robust", "train_loss"]
    assert len(lines) == 2 + 4
    classifier(max_epochs=4).fit(*iris)
    assert capsys.readouterr() == ("", "")
