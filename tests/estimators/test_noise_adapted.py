"""NoiseAdaptedClassifier."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, Freezer, LRScheduler
from torch import nn

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
    load,
    save,
)
from sklearn_noisy._matrix_sources import learned as learned_module
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.exceptions import NoiseModelWarning

PAIR = make_noise_matrix(10, 0.4, "pair")


@pytest.fixture(scope="module")
def digits():
    """Training rows with true and given labels (pair noise), test rows."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=300, stratify=y, random_state=0
    )
    given = corrupt_labels(y_train, PAIR, random_state=0)
    return X_train, y_train, given, X_test, y_test


@pytest.fixture(scope="module")
def blobs():
    """Few rows of three classes, given labels, which rows are clean."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=240)
    X = 3 * np.eye(3)[y] + rng.randn(240, 3)
    Q = make_noise_matrix(3, 0.3, "pair")
    given = corrupt_labels(y, Q, random_state=1)
    is_clean = rng.rand(240) < 0.3
    return X, y, np.where(is_clean, y, given), is_clean, Q


def small(**params):
    params = {"max_epochs": 20, "lr": 0.01, "n_rounds": 0, **params}
    return NoiseAdaptedClassifier(
        module__hidden_layer_sizes=(16,), random_state=0, **params
    )


def error(Q_hat, Q):
    return np.abs(Q_hat - Q).sum() / len(Q)


# What it is for.


@pytest.fixture(scope="module")
def learned(digits):
    X, _, given, _, _ = digits
    return NoiseAdaptedClassifier(random_state=0).fit(X, given)


def test_learned_from_noisy_labels_alone(learned, digits):
    X, y, given, X_test, y_test = digits
    plain = NoiseAdaptedClassifier(
        noise_matrix=np.eye(10), n_rounds=0, random_state=0
    ).fit(X, given)
    assert learned.score(X_test, y_test) > plain.score(X_test, y_test) + 0.05
    path = learned.noise_matrix_path_
    assert path.shape == (31, 10, 10)
    np.testing.assert_array_equal(path[-1], learned.noise_matrix_)
    np.testing.assert_allclose(path.sum(axis=1), 1)
    assert error(path[-1], PAIR) < 0.5 * error(path[0], PAIR)
    # The wrong labels, found with the matrix.
    issues = find_label_issues(
        None,
        None,
        given,
        pred_probs=learned.predict_proba(X),
        noise_matrix=learned.noise_matrix_,
    )
    found, wrong = issues.is_label_issue, given != y
    assert (found & wrong).sum() / found.sum() > 0.85
    assert (found & wrong).sum() / wrong.sum() > 0.85


def test_the_quality_of_the_labels_that_it_learned_from(learned, digits):
    _, y, given, _, _ = digits
    assert f1_score(given != y, learned.label_quality_ < 0.5) > 0.9


def test_label_quality_is_that_of_the_rows_that_came(digits):
    X, y, given, _, _ = (part[:400] for part in digits)
    is_clean, given = np.arange(400) % 10 == 0, given.copy()
    given[is_clean] = y[is_clean]
    weight = np.where(np.arange(400) % 10 == 1, 0.0, 1.0)
    # Without a meaning where there is no class, and where a row counts as absent.
    given[5::10] = 99
    clf = small(outside_label=99).fit(X, given, sample_weight=weight, is_clean=is_clean)
    quality = clf.label_quality_
    assert quality.shape == (400,)
    assert (quality[is_clean] == 1).all()
    assert np.isnan(quality).sum() == 80
    assert np.isnan(quality[1::10]).all()
    assert np.isnan(quality[5::10]).all()
    judged = np.isfinite(quality) & ~is_clean
    assert f1_score((given != y)[judged], quality[judged] < 0.5) > 0.6
    # Another fit does not keep what it did not find out.
    assert not hasattr(
        clf.set_params(noise_matrix=PAIR, outside_label=None).fit(X, y),
        "label_quality_",
    )
    assert not hasattr(clf, "noise_matrix_path_")


@pytest.mark.filterwarnings("ignore:The noise matrix is not dominated")
def test_the_column_of_a_class_that_nobody_knows_stays(monkeypatch):
    """Three classes of four look alike: EM alone would move their columns freely."""
    rng = np.random.RandomState(0)
    y = rng.randint(4, size=800)
    X = rng.randn(800, 3)
    X[y == 0] += 4
    Q = make_noise_matrix(4, 0.3)
    given = corrupt_labels(y, Q, random_state=1)
    path = small().fit(X, given).noise_matrix_path_
    moved = np.abs(path[-1] - path[0]).sum(axis=0)
    assert np.abs(path[-1] - Q).sum(axis=0)[0] < 0.1
    monkeypatch.setattr(
        learned_module, "LEARNING", learned_module.Learning(start_worth=1e-9)
    )
    path = small().fit(X, given).noise_matrix_path_
    assert np.abs(path[-1] - path[0]).sum(axis=0).max() > 4 * moved[1:].max()


def test_noisy_probabilities_are_those_of_the_given_labels(learned, digits):
    X_test = digits[3]
    p = learned.predict_proba(X_test)
    np.testing.assert_allclose(
        learned.predict_noisy_proba(X_test), p @ learned.noise_matrix_.T
    )
    np.testing.assert_allclose(learned.predict_noisy_proba(X_test).sum(axis=1), 1)


def test_same_seed_same_bits(digits):
    X, _, given, X_test, _ = digits
    first = small(n_rounds=1, n_folds=2).fit(X, given)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = clone(first).fit(X, given)
    np.testing.assert_array_equal(
        again.predict_proba(X_test), first.predict_proba(X_test)
    )
    np.testing.assert_array_equal(again.noise_matrix_path_, first.noise_matrix_path_)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_pickle(learned, digits):
    copy = pickle.loads(pickle.dumps(learned))
    np.testing.assert_array_equal(
        copy.predict_noisy_proba(digits[3]), learned.predict_noisy_proba(digits[3])
    )


def test_a_known_matrix_is_used_as_it_is(digits):
    X, _, given, X_test, y_test = digits
    clf = NoiseAdaptedClassifier(noise_matrix=PAIR, random_state=0).fit(X, given)
    np.testing.assert_allclose(clf.noise_matrix_, PAIR)
    assert clf.score(X_test, y_test) > 0.93
    assert not hasattr(clf, "noise_matrix_path_")


@pytest.mark.parametrize("refine", [False, True])
def test_estimated_from_clean_rows(digits, refine):
    X, y, given, X_test, y_test = digits
    is_clean = np.random.RandomState(0).rand(len(y)) < 0.15
    clf = NoiseAdaptedClassifier(
        noise_matrix="estimate", refine=refine, random_state=0
    ).fit(X, np.where(is_clean, y, given), is_clean=is_clean)
    assert clf.score(X_test, y_test) > 0.93
    assert error(clf.noise_matrix_, PAIR) < 0.25
    assert len(clf.noise_matrix_path_) == (31 if refine else 1)
    start = clf.noise_matrix_estimator_.noise_matrix_
    np.testing.assert_array_equal(clf.noise_matrix_path_[0], start)


def test_an_estimator_of_the_matrix_is_taken_as_it_is(blobs):
    X, _, y_mixed, is_clean, _ = blobs
    estimator = NoiseMatrixEstimator(LogisticRegression(), random_state=0)
    clf = small(noise_matrix=estimator).fit(X, y_mixed, is_clean=is_clean)
    alone = clone(estimator).fit(X, y_mixed, is_clean=is_clean)
    np.testing.assert_array_equal(clf.noise_matrix_, alone.noise_matrix_)
    assert not hasattr(estimator, "noise_matrix_")


def test_without_clean_rows_the_confident_joint(digits):
    X, _, given, _, _ = digits
    clf = NoiseAdaptedClassifier(noise_matrix="estimate", n_rounds=0, random_state=0)
    with pytest.warns(NoiseModelWarning, match="confident joint"):
        clf.fit(X, given)
    assert error(clf.noise_matrix_, PAIR) < 0.5


# The literal scheme of the paper.


def test_the_literal_scheme_stays_at_the_identity(digits):
    X, _, given, _, _ = digits
    clf = NoiseAdaptedClassifier(
        regularizer="trace", noise_init="identity", n_rounds=0, random_state=0
    ).fit(X, given)
    path = clf.noise_matrix_path_
    assert len(path) == 31
    # A third of the epochs without the layer.
    np.testing.assert_array_equal(path[:11], np.broadcast_to(np.eye(10), (11, 10, 10)))
    assert np.abs(path[-1] - np.eye(10)).sum() > 0
    assert error(clf.noise_matrix_, PAIR) > 0.6  # of 0.8 at the identity


@pytest.mark.parametrize("regularizer", ["trace", "weight_decay", "log_det"])
def test_the_gradient_learns_probability_matrices(blobs, regularizer):
    X, _, y_mixed, _, _ = blobs
    clf = small(regularizer=regularizer, noise_lr=0.05, n_rounds=1).fit(X, y_mixed)
    path = clf.noise_matrix_path_
    assert (path >= 0).all()
    np.testing.assert_allclose(path.sum(axis=1), 1, atol=1e-6)
    assert not np.array_equal(path[-1], path[0])
    np.testing.assert_allclose(clf.noise_matrix_, path[-1], atol=1e-6)
    # The round after that trains with the matrix, and does not move it.
    np.testing.assert_allclose(
        clf.net_.criterion_.matrix.detach(), clf.noise_matrix_, atol=1e-6
    )


# Top-down, backward.


def test_top_down_at_one_is_plain_training(blobs):
    X, _, y_mixed, _, _ = blobs
    top_down = small(noise_model="top_down", alpha=1.0).fit(X, y_mixed)
    bottom_up = small(noise_matrix=np.eye(3)).fit(X, y_mixed)
    np.testing.assert_allclose(
        top_down.predict_proba(X), bottom_up.predict_proba(X), atol=1e-6
    )
    np.testing.assert_array_equal(top_down.noise_matrix_, np.eye(3))
    assert not hasattr(top_down, "predict_noisy_proba")


def test_alpha_bounds_the_confidence(blobs):
    X, _, y_mixed, _, _ = blobs
    sure = small(noise_model="top_down", alpha=0.9).fit(X, y_mixed)
    unsure = small(noise_model="top_down", alpha=0.2).fit(X, y_mixed)
    np.testing.assert_allclose(unsure.noise_matrix_, 0.2 * np.eye(3) + 0.8 / 3)
    highest = unsure.predict_proba(X).max(axis=1).mean()
    assert highest < sure.predict_proba(X).max(axis=1).mean()
    assert highest < 0.55


def test_backward(blobs):
    X, y, y_mixed, _, Q = blobs
    clf = small(noise_model="backward", noise_matrix=Q)
    with pytest.warns(NoiseModelWarning, match="lower bound"):
        clf.fit(X, y_mixed)
    assert clf.score(X, y) > 0.6
    with pytest.raises(ValueError, match="refine=True cannot go"):
        clf.set_params(refine=True).fit(X, y_mixed)
    with pytest.raises(ValueError, match="noise_matrix='learn' cannot go"):
        small(noise_model="backward").fit(X, y_mixed)


# Clean rows, outside rows, weights.


def test_gamma_is_the_weight_of_noisy_rows(blobs):
    X, _, y_mixed, is_clean, Q = blobs
    params = {"noise_matrix": Q, "batch_size": -1}
    gamma = small(gamma=0.25, **params).fit(X, y_mixed, is_clean=is_clean)
    weight = np.where(is_clean, 1.0, 0.25)
    # The same up to the scale of the loss, which AdamW hardly sees.
    weighted = small(**params).fit(X, y_mixed, weight, is_clean=is_clean)
    np.testing.assert_allclose(
        gamma.predict_proba(X), weighted.predict_proba(X), atol=1e-4
    )


def test_with_gamma_zero_noisy_rows_do_not_count(blobs):
    X, _, y_mixed, is_clean, Q = blobs
    y_other = np.where(is_clean, y_mixed, (y_mixed + 1) % 3)
    params = {"noise_matrix": Q, "gamma": 0.0, "early_stopping": True}
    one = small(**params).fit(X, y_mixed, is_clean=is_clean)
    assert one.score(X[is_clean], y_mixed[is_clean]) > 0.6
    params["early_stopping"] = False
    one = small(**params).fit(X, y_mixed, is_clean=is_clean)
    other = small(**params).fit(X, y_other, is_clean=is_clean)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    # They still measure the matrix, by nets of the clean rows.
    learned = small(gamma=0.0, n_folds=2).fit(X, y_mixed, is_clean=is_clean)
    np.testing.assert_allclose(learned.noise_matrix_.sum(axis=0), 1)


def test_clean_rows_go_round_the_layer(blobs):
    X, y, y_mixed, is_clean, _ = blobs
    # A matrix that says: a label means nothing. Only the clean rows teach.
    nothing = np.full((3, 3), 1 / 3)
    clf = small(noise_matrix=nothing, max_epochs=60)
    with pytest.warns(NoiseModelWarning, match="only the clean rows can"):
        clf.fit(X, y_mixed, is_clean=is_clean)
    assert clf.score(X, y) > 0.7


def test_outside_rows_are_no_class(blobs):
    X, y, _, _, _ = blobs
    rng = np.random.RandomState(1)
    X_all = np.concatenate([X, 3 * np.array([-1, -1, -1]) + rng.randn(100, 3)])
    names = np.array(["ash", "elm", "oak", "none"])
    y_all = np.concatenate([names[y], np.full(100, "none")])
    clf = small(
        noise_model="top_down", alpha=1.0, outside_label="none", max_epochs=40
    ).fit(X_all, y_all)
    assert clf.classes_.tolist() == ["ash", "elm", "oak"]
    assert clf.score(X, names[y]) > 0.9
    p = clf.predict_proba(X_all[240:])
    np.testing.assert_allclose(p.mean(axis=0), 1 / 3, atol=0.1)
    assert p.max(axis=1).mean() < 0.6
    # They take part in learning the matrix, too, and in cross-fitting.
    learned = small(outside_label="none", n_folds=2, early_stopping=True)
    learned.fit(X_all, y_all)
    assert learned.noise_matrix_.shape == (3, 3)


def test_an_outside_label_that_does_not_occur_is_warned_of(blobs):
    X, _, y_mixed, _, Q = blobs
    with pytest.warns(NoiseModelWarning, match="outside_label=7 does not occur in y"):
        small(noise_matrix=Q, outside_label=7).fit(X, y_mixed)


def test_methods_that_are_absent_say_why(blobs):
    X, _, y_mixed, _, _ = blobs
    with pytest.raises(AttributeError) as error:
        small().partial_fit(X, y_mixed)
    assert "needs a known noise_matrix" in str(error.value.__cause__)
    clf = small(noise_model="top_down").fit(X, y_mixed)
    with pytest.raises(AttributeError) as error:
        clf.predict_noisy_proba(X)
    assert "'bottom_up' has predict_noisy_proba" in str(error.value.__cause__)


@pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_estimated_from_three_clean_rows(blobs):
    X, y, y_mixed, _, _ = blobs
    is_clean = np.zeros(len(y), dtype=bool)
    is_clean[[np.flatnonzero(y == k)[0] for k in range(3)]] = True
    labels = np.where(is_clean, y, y_mixed)
    clf = small(noise_matrix="estimate").fit(X, labels, is_clean=is_clean)
    np.testing.assert_allclose(clf.noise_matrix_.sum(axis=0), 1)


def test_class_weights_do_not_change_the_matrix(digits):
    X, _, given, _, _ = digits
    params = {"max_epochs": 3, "n_rounds": 0, "random_state": 0}
    weights = {label: 1.0 + label for label in range(10)}
    plain = NoiseAdaptedClassifier(**params).fit(X, given)
    weighted = NoiseAdaptedClassifier(class_weight=weights, **params).fit(X, given)
    np.testing.assert_array_equal(plain.noise_matrix_, weighted.noise_matrix_)
    assert not np.array_equal(plain.predict_proba(X), weighted.predict_proba(X))


# Habits.


def test_labels_and_tables_of_all_kinds(blobs):
    X, _, y_mixed, is_clean, Q = blobs
    names = np.array(["ash", "elm", "oak"])
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    # Classes in another order, and pandas for everything.
    order = ["oak", "ash", "elm"]
    matrix = pd.DataFrame(Q, index=names, columns=names).loc[order, order]
    clf = small(noise_matrix=matrix).fit(
        frame, pd.Series(names[y_mixed]), is_clean=pd.Series(is_clean)
    )
    plain = small(noise_matrix=Q).fit(X, y_mixed, is_clean=is_clean)
    np.testing.assert_allclose(clf.noise_matrix_, Q)
    np.testing.assert_array_equal(clf.predict(frame), names[plain.predict(X)])
    from_sparse = small(noise_matrix=Q).fit(
        sparse.csr_array(X), y_mixed, is_clean=is_clean
    )
    np.testing.assert_allclose(
        from_sparse.predict_proba(X), plain.predict_proba(X), atol=1e-6
    )


def test_images_and_a_network_of_the_users(digits):
    X, _, given, X_test, _ = digits
    images = X.reshape(-1, 1, 8, 8)

    def network(n_classes):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(n_classes)
        )

    clf = NoiseAdaptedClassifier(network, max_epochs=4, random_state=0)
    clf.fit(images, given)
    assert clf.predict_noisy_proba(X_test.reshape(-1, 1, 8, 8)).shape == (300, 10)
    assert isinstance(clf.module_[0], nn.Conv2d)


def test_rounds_and_history(digits):
    X, _, given, _, _ = digits
    params = {"noise_matrix": PAIR, "max_epochs": 4, "random_state": 0}
    none = NoiseAdaptedClassifier(n_rounds=0, **params).fit(X, given)
    assert none.n_iter_ == 4
    two = NoiseAdaptedClassifier(n_rounds=2, early_stopping=False, **params)
    two.fit(X, given)
    assert two.n_iter_ == 12
    assert [row["epoch"] for row in two.history_] == list(range(1, 13))


def test_a_round_that_is_worse_is_not_kept(digits):
    X, _, given, _, _ = digits
    built = []

    def network(n_features, n_classes):
        built.append(nn.Linear(n_features, n_classes))
        # From the second time on it can say nothing.
        limit = 100.0 if len(built) == 1 else 1e-6
        return nn.Sequential(nn.Flatten(), built[-1], nn.Hardtanh(-limit, limit))

    clf = NoiseAdaptedClassifier(
        network, noise_matrix=PAIR, n_rounds=3, max_epochs=8, random_state=0
    ).fit(X, given)
    assert len(built) == 2
    assert clf.n_iter_ == 16
    assert clf.module_[1] is built[0]


def test_the_epoch_that_is_kept(digits):
    X, _, given, _, _ = digits
    clf = NoiseAdaptedClassifier(
        noise_matrix=PAIR, n_rounds=0, random_state=0, module__dropout=0.0
    ).fit(X, given)
    losses = [row["valid_loss"] for row in clf.history_]
    best_epoch = dict(clf.net_.callbacks_)["best_epoch"]
    kept = best_epoch.best_epoch_
    # The lowest loss, or a later one that is not clearly higher.
    assert kept >= int(np.argmin(losses)) + 1
    assert best_epoch.best_losses_ is None  # nothing of the rows stays
    assert losses[kept - 1] < losses[0]


def test_learning_rate_cycle(blobs):
    X, _, y_mixed, _, Q = blobs
    rates = []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    clf = small(noise_matrix=Q, optimizer=Spy, batch_size=-1, lr=0.1, max_epochs=10)
    clf.fit(X, y_mixed)
    assert len(rates) == 10
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert int(np.argmax(rates)) in (2, 3)
    assert rates[-1] < 0.01
    assert clf.net_.optimizer_.param_groups[0]["lr"] == 0.1
    rates.clear()
    clf.set_params(lr_schedule="constant").fit(X, y_mixed)
    assert set(rates) == {0.1}


def test_partial_fit_where_nothing_has_to_be_learned(blobs):
    X, y, y_mixed, is_clean, Q = blobs
    clf = small(noise_matrix=Q)
    for _ in range(30):
        clf.partial_fit(X, y_mixed, classes=[0, 1, 2], is_clean=is_clean)
    assert clf.score(X, y) > 0.8
    np.testing.assert_allclose(clf.noise_matrix_, Q)
    assert hasattr(small(noise_model="top_down"), "partial_fit")
    for params in (
        {},
        {"noise_matrix": "estimate"},
        {"noise_matrix": NoiseMatrixEstimator()},
        {"noise_matrix": Q, "refine": True},
    ):
        assert not hasattr(small(**params), "partial_fit")


def test_warm_start_goes_on_with_the_matrix(blobs):
    X, _, y_mixed, is_clean, _ = blobs
    clf = small(noise_matrix="estimate", warm_start=True)
    clf.fit(X, y_mixed, is_clean=is_clean)
    before = clf.noise_matrix_
    clf.fit(X, y_mixed, is_clean=is_clean)
    assert clf.n_iter_ == 40
    np.testing.assert_array_equal(clf.noise_matrix_, before)


def test_grid_search_in_a_pipeline_with_clean_rows(blobs):
    X, _, y_mixed, is_clean, _ = blobs
    with config_context(enable_metadata_routing=True):
        clf = small(noise_model="top_down", max_epochs=5)
        pipeline = Pipeline(
            [
                ("scale", StandardScaler()),
                ("net", clf.set_fit_request(is_clean=True)),
            ]
        )
        grid = {"net__alpha": [0.3, 0.8], "net__gamma": [0.1, 1.0]}
        search = GridSearchCV(pipeline, grid, cv=3)
        search.fit(X, y_mixed, is_clean=is_clean)
        scores = search.cv_results_["mean_test_score"]
        assert len(set(scores)) > 1
        best = clone(pipeline).set_params(**search.best_params_)
        best.fit(X, y_mixed, is_clean=is_clean)
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_the_class_of_the_matrix_can_be_searched(blobs):
    X, _, y_mixed, _, Q = blobs
    search = GridSearchCV(small(), {"noise_matrix": ["learn", Q, np.eye(3)]}, cv=2)
    search.fit(X, y_mixed)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_progress_is_shown_when_asked_for(blobs, capsys):
    X, _, y_mixed, _, _ = blobs
    small(max_epochs=3).fit(X, y_mixed)
    assert capsys.readouterr() == ("", "")
    small(max_epochs=3, verbose=1).fit(X, y_mixed)
    shown = capsys.readouterr()
    assert "epochs of the noise matrix: 100%" in shown.err
    assert "3/3" in shown.err
    assert shown.out.count("\n") == 5  # two lines above, one for each epoch


# What is refused.


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"noise_model": "sideways"}, "noise_model must be one of .*'sideways'"),
        ({"noise_matrix": "guess"}, "noise_matrix must be .*'guess'"),
        ({"noise_matrix": NoiseMatrixEstimator}, "an instance"),
        ({"noise_matrix": None}, "noise_matrix must be .* or a matrix; got None"),
        ({"n_folds": 500}, "n_folds=500 is more than the 240 noisy rows"),
        ({"noise_matrix": np.eye(4)}, r"shape \(3, 3\) for 3 classes"),
        ({"noise_matrix": np.full((3, 3), 0.5)}, "columns that sum to 1"),
        ({"noise_matrix": np.full((3, 3), 1 / 3)}, "noise_matrix is singular"),
        ({"noise_init": np.eye(2)}, "shape"),
        ({"noise_init": "zero"}, "noise_init must be .*'zero'"),
        ({"alpha": 1.2}, "alpha must be in .*, got 1.2"),
        ({"alpha": -0.1}, "alpha must be in .*, got -0.1"),
        ({"gamma": -1.0}, "gamma must be in .*, got -1.0"),
        ({"gamma": 0.0}, "gamma=0 leaves out all noisy rows"),
        ({"regularizer": "l1"}, "regularizer must be one of None, .*'l1'"),
        ({"noise_decay": -1.0}, "noise_decay must be in .*, got -1.0"),
        ({"noise_lr": 0.0}, "noise_lr must be in .*, got 0.0"),
        ({"warm_up": 0}, "warm_up must be 'auto' or an integer >= 1, got 0"),
        ({"n_folds": 0}, "n_folds must be 'auto' or an integer >= 1, got 0"),
        ({"n_rounds": -1}, "n_rounds must be an integer >= 0, got -1"),
        ({"lr_schedule": "linear"}, "lr_schedule must be .*'linear'"),
        ({"outside_label": "none"}, "outside_label='none' must be of the type"),
    ],
)
def test_bad_parameters(blobs, params, message):
    X, _, y_mixed, _, _ = blobs
    clf = small(**params)
    with pytest.raises((ValueError, TypeError), match=message):
        clf.fit(X, y_mixed)
    assert not hasattr(clf, "net_")
    assert not hasattr(clf, "noise_matrix_")


def test_bad_rows(blobs):
    X, _, y_mixed, is_clean, Q = blobs
    with pytest.raises(ValueError, match="is_clean marks no row"):
        small(noise_matrix=Q).fit(X, y_mixed, is_clean=np.zeros(240, dtype=bool))
    with pytest.raises(ValueError, match="boolean mask of shape"):
        small(noise_matrix=Q).fit(X, y_mixed, is_clean=is_clean[:10])
    with pytest.raises(ValueError, match="boolean mask of shape"):
        small(noise_matrix=Q).fit(X, y_mixed, is_clean=is_clean.astype(int))
    with pytest.raises(ValueError, match="needs noisy rows"):
        small().fit(X, y_mixed, is_clean=np.ones(240, dtype=bool))
    without = is_clean & (y_mixed != 2)
    with pytest.raises(ValueError, match=r"is_clean marks no row of the classes \[2\]"):
        small(noise_matrix="estimate").fit(X, y_mixed, is_clean=without)
    with pytest.raises(ValueError, match="noise_init must have columns that sum to 1"):
        small(noise_init=np.ones((3, 3))).fit(X, y_mixed)
    with pytest.raises(ValueError, match="nothing but outside_label"):
        small(outside_label=7).fit(X, np.full(240, 7))
    impossible = np.array([[0.6, 0.5, 0.5], [0.4, 0.5, 0.5], [0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="gives the label 2 probability 0"):
        small(noise_matrix=impossible).fit(X, y_mixed)
    frame = pd.DataFrame(Q, index=["a", "b", "c"], columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"classes \[0, 1, 2\] as its index"):
        small(noise_matrix=frame).fit(X, y_mixed)


def test_many_classes_of_few_rows():
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(60), 4)
    X = (2 * rng.randn(60, 10)[y] + rng.randn(240, 10)).astype(np.float32)
    given = corrupt_labels(y, noise_rate=0.3, random_state=100)
    with pytest.warns(NoiseModelWarning, match="not dominated"):
        clf = NoiseAdaptedClassifier(random_state=0, n_rounds=0).fit(X, given)
    assert (clf.noise_matrix_ >= 0).all()
    assert clf.score(X, y) > 0.3


def test_outside_rows_are_no_clean_rows(blobs):
    X, _, y_mixed, _, Q = blobs
    y = np.where(np.arange(240) < 10, -1, y_mixed)
    with pytest.raises(ValueError, match="gamma=0 leaves out all noisy rows"):
        small(noise_matrix=Q, gamma=0, outside_label=-1).fit(X, y, is_clean=y == -1)
    mask = y == -1
    with pytest.warns(NoiseModelWarning, match="there is no is_clean"):
        small(noise_matrix="estimate", outside_label=-1).fit(X, y, is_clean=mask)
    assert mask.sum() == 10  # not ours to change


def test_some_clean_rows_stay_to_train_with(blobs):
    X, _, y_mixed, _, _ = blobs
    clean = np.zeros(240, dtype=bool)
    clean[[np.flatnonzero(y_mixed == k)[0] for k in range(3)]] = True
    for seed in range(10):
        clf = small(noise_model="top_down", gamma=0, early_stopping=True)
        clf.set_params(validation_fraction=0.5, max_epochs=1, random_state=seed)
        clf.fit(X, y_mixed, is_clean=clean)
        assert clf.history_[0]["train_loss"] > 0


def test_many_rows_come_in_larger_batches(blobs, tmp_path):
    X, _, y_mixed, _, Q = blobs
    few = small(noise_matrix=Q, max_epochs=1).fit(X, y_mixed)
    assert few.net_.batch_size == 128
    X, y_mixed = np.tile(X, (42, 1)), np.tile(y_mixed, 42)  # 10,080 rows
    clf = small(noise_matrix=Q, max_epochs=1, warm_start=True).fit(X, y_mixed)
    assert clf.net_.batch_size == 512
    save(clf, tmp_path / "model")
    loaded = load(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(clf)), loaded, clf):
        assert other.net_.batch_size == 512
        assert other.set_params(batch_size=64).fit(X, y_mixed).net_.batch_size == 64
        other.set_params(batch_size="auto").fit(X, y_mixed)
        assert other.net_.batch_size == 512
    assert clf.n_iter_ == 3
    with pytest.raises(ValueError, match="must be -1 or 'auto' or an integer >= 1"):
        small(noise_matrix=Q, batch_size="all").fit(X, y_mixed)
    with pytest.raises(TypeError, match="must be -1 or an integer >= 1, got 'auto'"):
        RobustLossClassifier(batch_size="auto").fit(X, y_mixed)


def test_a_matrix_without_a_dominant_diagonal_is_warned_of(blobs):
    X, _, y_mixed, _, _ = blobs
    swapped = np.eye(3)[[1, 0, 2]] * 0.8 + 0.2 / 3
    with pytest.warns(NoiseModelWarning, match="classes are swapped"):
        small(regularizer="trace", noise_decay=0.0, noise_init=swapped).fit(X, y_mixed)


def test_a_failed_fit_leaves_everything_as_it_was(blobs):
    X, _, y_mixed, _, Q = blobs
    clf = small(noise_matrix=Q).fit(X, y_mixed)
    before = clf.predict_proba(X)
    clf.set_params(noise_matrix=np.eye(5))
    with pytest.raises(ValueError, match="shape"):
        clf.fit(X, y_mixed)
    clf.set_params(noise_matrix="learn", optimizer=torch.optim.SGD, lr=1e30)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_it_trains_inside_other_estimators(blobs):
    """A network for the matrix, robust to its own few labels."""
    X, _, y_mixed, is_clean, Q = blobs
    estimator = NoiseMatrixEstimator(
        RobustLossClassifier(
            loss="cross_entropy",
            module__hidden_layer_sizes=(16,),
            lr=0.01,
            random_state=0,
        ),
        random_state=0,
    )
    clf = small(noise_matrix=estimator).fit(X, y_mixed, is_clean=is_clean)
    assert error(clf.noise_matrix_, Q) < error(np.eye(3), Q)


@pytest.mark.filterwarnings("ignore:The noise matrix is not dominated")
@pytest.mark.parametrize(
    "groups",
    [None, [("layers*", {"lr": 1e-3})], [("*", {"lr": 1e-3})], [("nothing", {})]],
)
def test_a_matrix_of_the_gradient_leaves_the_users_groups_alone(
    blobs, tmp_path, groups
):
    """The net that is saved and trains on is one that the parameters describe."""
    X, y = blobs[:2]
    clf = small(regularizer="trace", n_folds=2, max_epochs=3, warm_start=True)
    if groups is not None:
        clf.set_params(optimizer__param_groups=groups)
    clf.fit(X, y)
    save(clf, tmp_path / "file")
    loaded = load(tmp_path / "file")
    np.testing.assert_array_equal(
        clf.fit(X, y).predict_proba(X), loaded.fit(X, y).predict_proba(X)
    )


class WithAMatrix(nn.Linear):
    """A network with a weight of the name that the noise layer's has."""

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.matrix = nn.Parameter(torch.eye(n_classes))

    def forward(self, X):
        return super().forward(X) @ self.matrix


def test_a_weight_of_the_same_name_is_the_networks(blobs):
    X, y = blobs[:2]
    settings = {"lr": 1e-2, "noise_lr": 1e-9, "noise_init": "identity", "n_rounds": 0}
    clf = NoiseAdaptedClassifier(
        WithAMatrix, regularizer="trace", max_epochs=4, random_state=0, **settings
    ).fit(X, y)
    moved = clf.module_.matrix.detach() - torch.eye(len(clf.classes_))
    assert moved.abs().max() > 1e-3
    np.testing.assert_allclose(clf.noise_matrix_, np.eye(len(clf.classes_)), atol=1e-6)


def test_rounds_without_the_callback_that_keeps_the_best_epoch(blobs):
    X, y = blobs[:2]
    clf = small(n_rounds=1, early_stopping=True, callbacks__best_epoch=None)
    assert len(clf.fit(X, y).history_) == 2 * clf.max_epochs


def test_an_estimator_that_knows_no_clean_rows_is_no_matrix(blobs):
    with pytest.raises(ValueError, match="a NoiseMatrixEstimator .an instance"):
        small(noise_matrix=LogisticRegression()).fit(*blobs[:2])


@pytest.mark.parametrize(
    "scheduler",
    [LRScheduler, LRScheduler("StepLR", step_size=2), ("mine", LRScheduler("StepLR"))],
)
def test_two_masters_of_the_learning_rate_are_refused(blobs, scheduler):
    X, _, y_mixed, _, Q = blobs
    clf = small(noise_matrix=Q, n_rounds=2, max_epochs=4, callbacks=[scheduler])
    with pytest.raises(ValueError, match="Set lr_schedule='constant'"):
        clf.fit(X, y_mixed)


def test_each_round_has_a_schedule_of_its_own(blobs):
    """A scheduler and a frozen layer work in later nets as in the first one."""
    X, _, y_mixed, _, Q = blobs
    seen = []

    class Spy(Callback):
        def on_epoch_end(self, net, **kwargs):
            row = net.history[-1]
            seen.append(
                (net.round_, row["epoch"], net.optimizer_.param_groups[0]["lr"])
            )

    clf = small(
        noise_matrix=Q,
        n_rounds=1,
        max_epochs=4,
        lr=0.1,
        lr_schedule="constant",
        callbacks=[Spy(), LRScheduler("StepLR", step_size=2), Freezer("layers.1*")],
    ).fit(X, y_mixed)
    assert [row[:2] for row in seen] == [(r, e) for r in (0, 1) for e in (1, 2, 3, 4)]
    rates = [round(rate, 6) for _, _, rate in seen]
    assert rates[:4] == rates[4:]
    assert len(set(rates)) > 1
    assert not clf.module_.layers[1].weight.requires_grad
    assert [row["epoch"] for row in clf.history_] == list(range(1, 9))


@pytest.mark.filterwarnings("ignore:noise_matrix is singular")
def test_a_class_that_nobody_is_given_beside_outside_rows(blobs):
    """The gradient of an outside row is finite, though its label is impossible."""
    X, y, _, is_clean, _ = blobs
    Q = np.array([[0.0, 0.0, 0.0], [0.9, 1.0, 0.0], [0.1, 0.0, 1.0]])
    given = np.where(y == 0, 1, y)
    labels = np.where(is_clean, y, given)
    labels[:20] = -9
    clf = small(noise_matrix=Q, outside_label=-9).fit(X, labels, is_clean=is_clean)
    assert np.isfinite(clf.predict_proba(X)).all()
    assert clf.score(X, y) > 0.8


def test_boolean_labels_name_a_matrix(blobs):
    X, y = blobs[:2]
    labels = y > 0
    Q = pd.DataFrame([[0.8, 0.3], [0.2, 0.7]], [False, True], [False, True])
    given = corrupt_labels(labels, Q, random_state=0)
    clf = small(noise_matrix=Q.loc[::-1, ::-1]).fit(X, given)
    np.testing.assert_array_equal(clf.noise_matrix_, Q)
    P = pd.DataFrame(clf.predict_proba(X), columns=[False, True])
    for frame in (P, P.iloc[:, ::-1]):
        issues = find_label_issues(
            None, None, given, pred_probs=frame, noise_matrix=Q, filter_by="posterior"
        )
        assert (issues.predicted_label == clf.predict(X)).all()


def test_what_a_fit_leaves_does_not_grow_with_the_rows(blobs):
    X, _, y_mixed, _, Q = blobs
    for clf in (
        small(noise_matrix=Q, max_epochs=2),
        RobustLossClassifier(max_epochs=2, random_state=0),
    ):
        few, many = (
            len(pickle.dumps(clf.fit(np.tile(X, (n, 1)), np.tile(y_mixed, n))))
            for n in (5, 20)
        )
        assert many < 1.02 * few


def test_label_quality_says_why_it_is_missing(blobs):
    X, _, y_mixed, is_clean, Q = blobs
    rows = X[:60], y_mixed[:60]
    for params, message in (
        ({}, "fewer than 200 noisy rows are not divided: set n_folds"),
        ({"noise_matrix": Q}, "its matrix was not learned"),
    ):
        clf = small(max_epochs=2, n_rounds=0, **params)
        with pytest.raises(AttributeError, match="_: it is not fitted yet"):
            _ = clf.label_quality_
        clf.fit(*rows, is_clean=is_clean[:60])
        assert not hasattr(clf, "label_quality_")
        with pytest.raises(AttributeError, match=message):
            _ = clf.label_quality_
    clf = small(max_epochs=2, n_rounds=0, n_folds=2).fit(*rows, is_clean=is_clean[:60])
    assert clf.label_quality_.shape == (60,)


FIVE = pd.DataFrame(
    make_noise_matrix(5, 0.3), index=list("abcde"), columns=list("abcde")
).loc[list("cabed"), list("edcba")]


@pytest.mark.parametrize(
    "params",
    [
        {"noise_matrix": FIVE},
        {"noise_matrix": FIVE, "noise_model": "backward"},
        {"noise_matrix": FIVE, "class_weight": "balanced", "early_stopping": True},
        {"noise_matrix": FIVE, "refine": True, "n_folds": 2},
        {"noise_init": FIVE, "regularizer": "trace"},
    ],
    ids=["known", "backward", "balanced", "refined", "initial"],
)
@pytest.mark.filterwarnings("ignore::sklearn_noisy.exceptions.NoiseModelWarning")
def test_a_named_matrix_has_classes_that_a_fold_lacks(params):
    rng = np.random.RandomState(0)
    X, y = rng.randn(60, 4), np.array(list("abcd"))[rng.randint(4, size=60)]
    y[7] = "e"
    clf = NoiseAdaptedClassifier(
        max_epochs=1, n_rounds=0, module__hidden_layer_sizes=(4,), **params
    )
    search = GridSearchCV(clf, {"lr": [0.01]}, cv=KFold(2), error_score="raise")
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    clf.fit(X[8:], y[8:])
    assert clf.classes_.tolist() == list("abcde")
    assert clf.predict_proba(X).shape == (60, 5)
    issues = find_label_issues(clf, X[8:], y[8:], cv=2)
    assert set(issues["given_label"]) == set("abcd")


def test_a_matrix_of_more_classes_needs_names():
    rng = np.random.RandomState(0)
    X, y = rng.randn(30, 2), np.arange(30) % 2
    with pytest.raises(ValueError, match="give a DataFrame with the classes as index"):
        NoiseAdaptedClassifier(noise_matrix=np.eye(3)).fit(X, y)
    with pytest.raises(ValueError, match=r"must have the classes \['a', 'z'\] as its"):
        NoiseAdaptedClassifier(noise_matrix=FIVE).fit(X, np.array(["a", "z"])[y])
