"""When the robust loss comes on."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from skorch.callbacks import Callback

from sklearn_noisy import RobustLossClassifier
from sklearn_noisy._training.callbacks import class_quantiles
from sklearn_noisy.exceptions import LossWarmUpWarning


def robust_epochs(clf):
    return [row["epoch"] for row in clf.history_ if row["robust"]]


def classifier(**params):
    defaults = {"lr": 0.02, "max_epochs": 12, "random_state": 0}
    return RobustLossClassifier(**{**defaults, **params})


def test_quantile_of_weighted_rows_is_that_of_repeated_rows():
    rng = np.random.RandomState(0)
    p, y = rng.rand(40), rng.randint(0, 3, 40)
    weight = rng.randint(1, 5, 40)
    repeated = class_quantiles(
        p.repeat(weight), y.repeat(weight), np.ones(weight.sum()), 4
    )
    np.testing.assert_array_equal(class_quantiles(p, y, weight * 0.3, 4), repeated)
    assert np.isnan(repeated[3])
    for k in range(3):
        values = np.sort(p.repeat(weight)[y.repeat(weight) == k])
        assert repeated[k] == values[int(np.ceil(0.75 * len(values))) - 1]


def test_a_loss_that_needs_no_start_is_on_at_once(iris):
    clf = classifier(loss="generalized_cross_entropy").fit(*iris)
    assert robust_epochs(clf) == list(range(1, 13))


class Record(Callback):
    """What the net knew of each class in each epoch."""

    def on_epoch_begin(self, net, **kwargs):
        self.batches_ = []

    def on_batch_end(self, net, batch, training, y_pred, **kwargs):
        if training:
            inputs, y = batch
            p = torch.softmax(y_pred.detach(), dim=1).gather(1, y[:, None])[:, 0]
            self.batches_.append((p, y, inputs["weight"]))

    def on_epoch_end(self, net, **kwargs):
        p, y, weight = (torch.cat(c).numpy() for c in zip(*self.batches_, strict=True))
        net.history.record("known", class_quantiles(p, y, weight, 3).tolist())


def test_auto_is_robust_after_an_epoch_that_knew_every_class(iris):
    clf = classifier(loss="blurry", gamma=1.0, lr=0.003, callbacks=[Record]).fit(*iris)
    needed = clf.net_.criterion_.loss.known_probability(3)
    rows = clf.history_[:]
    assert not rows[0]["robust"]
    assert [row["robust"] for row in rows[1:]] == [
        min(row["known"]) >= needed for row in rows[:-1]
    ]
    assert 2 < robust_epochs(clf)[0] < 12


class Forget(Callback):
    """After its fifth epoch the net finds one class impossible."""

    def on_epoch_end(self, net, **kwargs):
        if net.history[-1]["epoch"] == 5:
            with torch.no_grad():
                net.module_.layers[-1].weight[1] = 0
                net.module_.layers[-1].bias[1] = -30


def test_auto_goes_back_when_a_class_gets_lost(iris):
    X, y = iris
    params = {"max_epochs": 30, "batch_size": 8, "callbacks": [Forget]}
    clf = classifier(**params).fit(X, y)
    robust = robust_epochs(clf)
    assert 5 in robust
    assert 7 not in robust
    assert 30 in robust
    assert clf.score(X, y) > 0.9
    # Without the way back it stays lost: below its floor the loss is constant.
    clf.set_params(delay=4).fit(X, y)
    assert robust_epochs(clf) == list(range(4, 31))
    assert len(set(clf.predict(X))) == 2


@pytest.mark.parametrize(
    ("delay", "epochs"), [(0, range(1, 13)), (1, range(1, 13)), (5, range(5, 13))]
)
def test_delay_counts_epochs_from_one(iris, delay, epochs):
    clf = classifier(loss="clipped", delay=delay).fit(*iris)
    assert robust_epochs(clf) == list(epochs)


def test_before_the_switch_training_is_that_of_cross_entropy(iris):
    X, y = iris
    robust = classifier(loss="generalized_cross_entropy", delay=6, max_epochs=6)
    robust.fit(X, y)
    plain = classifier(loss="cross_entropy", max_epochs=6).fit(X, y)
    assert [r["train_loss"] for r in robust.history_[:5]] == [
        r["train_loss"] for r in plain.history_[:5]
    ]
    assert robust.history_[5, "train_loss"] != plain.history_[5, "train_loss"]


def test_a_loss_that_is_not_safe_at_the_start_warns(iris):
    with pytest.warns(LossWarmUpWarning, match=r"below p = 0.135.*Raise delay=1 "):
        classifier(loss="blurry", gamma=0.5, delay=1).fit(*iris)


def test_a_delay_that_comes_too_early_warns_and_names_the_class(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    with pytest.warns(LossWarmUpWarning, match=r"class 'v\w+'.*Raise delay=2 "):
        classifier(loss="blurry", gamma=1.0, delay=2, lr=1e-4).fit(X, names)


def test_a_loss_that_never_came_on_warns(iris):
    with pytest.warns(LossWarmUpWarning, match=r"was never used.*Raise max_epochs"):
        clf = classifier(loss="blurry", gamma=1.0, lr=1e-5).fit(*iris)
    assert robust_epochs(clf) == []
    with pytest.warns(LossWarmUpWarning, match="before delay=50"):
        classifier(loss="focal", delay=50).fit(*iris)
    first = robust_epochs(classifier(loss="blurry", gamma=0.5).fit(*iris))[0]
    with pytest.warns(LossWarmUpWarning, match=f"after the last of {first - 1} epochs"):
        classifier(loss="blurry", gamma=0.5, max_epochs=first - 1).fit(*iris)


def test_auto_loses_no_class_where_an_early_start_does(noisy_digits):
    """From epoch 1 on, γ ≥ .3 kills classes on digits."""
    X, y_given, y, _ = noisy_digits
    params = {"loss": "blurry", "gamma": 0.5, "max_epochs": 60}
    params |= {"early_stopping": False, "random_state": 0}
    safe = RobustLossClassifier(**params).fit(X, y_given)
    recall = confusion_matrix(y, safe.predict(X), normalize="true").diagonal()
    assert recall.min() > 0.8
    with pytest.warns(LossWarmUpWarning, match="Classes can get lost"):
        early = RobustLossClassifier(**params, delay=1).fit(X, y_given)
    recall = confusion_matrix(y, early.predict(X), normalize="true").diagonal()
    assert recall.min() < 0.5


def test_the_schedule_counts_the_calls_of_partial_fit(iris):
    X, y = iris
    clf = classifier(loss="clipped", delay=3)
    for _ in range(4):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    assert [row["robust"] for row in clf.history_] == [False, False, True, True]


def test_auto_gathers_what_it_knows_over_chunks_that_lack_classes(iris):
    X, y = iris
    clf = classifier(loss="blurry", gamma=1.0)
    for k in range(60):
        rows = y != k % 3
        clf.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert robust_epochs(clf)


@pytest.mark.parametrize(
    ("delay", "error"),
    [
        (-1, ValueError),
        (1.5, TypeError),
        ("later", ValueError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_bad_delay(iris, delay, error):
    with pytest.raises(error, match="delay must be 'auto' or an integer"):
        classifier(delay=delay).fit(*iris)


def test_a_loss_of_ones_own_needs_no_schedule(iris):
    clf = classifier(loss=torch.nn.CrossEntropyLoss).fit(*iris)
    assert clf.score(*iris) > 0.9
    assert robust_epochs(clf)[0] == 1


def test_a_class_of_weight_zero_is_not_waited_for(iris):
    X, y = iris
    clf = RobustLossClassifier(class_weight={0: 0.0, 1: 1.0, 2: 1.0}, random_state=0)
    clf.set_params(max_epochs=60).fit(X, y)
    assert clf.history_[-1]["robust"]
