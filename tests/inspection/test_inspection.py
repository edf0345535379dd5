"""The pictures show what they say they show, and what they record is true."""

import warnings

import matplotlib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from cleanlab.classification import CleanLearning
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn
from torch.utils.data import TensorDataset

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    find_label_issues,
)
from sklearn_noisy.callbacks import EpochAccuracy
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.inspection import (
    LabelIssuesDisplay,
    LossDisplay,
    NoiseMatrixDisplay,
    TrainingDisplay,
)
from sklearn_noisy.losses import LOSSES, BlurryLoss

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# Losses.

# Loss and d loss / d p by hand, of 10 classes.
BY_HAND = {
    "cross_entropy": (lambda p: -np.log(p), lambda p: -1 / p),
    "focal": (
        lambda p: -((1 - p) ** 2) * np.log(p),
        lambda p: 2 * (1 - p) * np.log(p) - (1 - p) ** 2 / p,
    ),
    "piecewise_zero": (
        lambda p: np.where(p > 0.05, -np.log(p), 0),
        lambda p: np.where(p > 0.05, -1 / p, 0),
    ),
    "mean_absolute_error": (lambda p: 2 * (1 - p), lambda p: np.full_like(p, -2)),
    # Looks at the other classes, which share the rest.
    "label_smoothing": (
        lambda p: -0.91 * np.log(p) - 0.09 * np.log((1 - p) / 9),
        lambda p: -0.91 / p + 0.09 / (1 - p),
    ),
}


def test_losses_and_gradients_are_those_of_the_formulas():
    display = LossDisplay.from_losses(list(BY_HAND))
    assert display.names == list(BY_HAND)
    for k, (value, slope) in enumerate(BY_HAND.values()):
        for line, formula in zip(
            (display.lines_[0][k], display.lines_[1][k]), (value, slope), strict=True
        ):
            p, drawn = line.get_data()
            assert len(p) > 500
            np.testing.assert_allclose(drawn, formula(p), rtol=1e-9, atol=1e-9)
    texts = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert texts == [*BY_HAND, "untrained: 1/K = 0.1"]
    # The poles are cut off, what the losses do in the middle is not.
    low, high = display.ax_[1].get_ylim()
    assert -15 < low < -10
    assert 0 < high < 1


def test_the_gradient_with_respect_to_the_logit():
    display = LossDisplay.from_losses("cross_entropy", gradient="logit")
    p, drawn = display.lines_[1][0].get_data()
    np.testing.assert_allclose(drawn, p - 1, atol=1e-12)


def test_a_loss_that_pushes_away_is_shown_doing_so():
    pushes = LossDisplay.from_losses(("blurry", {"gamma": 0.5, "floor": 0.0}))
    assert pushes.gradient.max() > 1
    assert pushes.ax_[1].get_ylim()[1] > 0.9
    assert LossDisplay.from_losses(BlurryLoss(0.5)).gradient.max() <= 1e-12


def test_everything_that_a_loss_can_be():
    weight = torch.tensor([2.0, 1.0, 1.0])
    display = LossDisplay.from_losses(
        [
            "blurry",
            ("blurry", {"gamma": 0.4}),
            BlurryLoss,
            BlurryLoss(0.4),
            nn.CrossEntropyLoss,
            nn.CrossEntropyLoss(weight=weight, reduction="none"),
        ],
        n_classes=3,
    )
    named = LossDisplay.from_losses(
        {"mine": nn.CrossEntropyLoss, "blur": ("blurry", {"gamma": 0.4})}, n_classes=3
    )
    own = "CrossEntropyLoss"
    assert display.names == [
        *["blurry", "blurry (gamma=0.4)"] * 2,
        *[own, own],
    ]
    assert named.names == ["mine", "blur"]
    np.testing.assert_array_equal(named.loss, display.loss[[4, 1]])
    np.testing.assert_array_equal(display.loss[0], display.loss[2])
    np.testing.assert_allclose(display.loss[5], -2 * np.log(display.probability))
    assert weight.dtype == torch.float32  # the user's own is as it was


def test_the_loss_of_a_classifier(iris):
    clf = RobustLossClassifier(loss="clipped", c=0.2, max_epochs=1, delay=1)
    before = LossDisplay.from_estimator(clf)
    assert before.names == ["cross_entropy", "clipped (c=0.2)"]
    assert before.n_classes == 10
    assert before.loss[1].max() == pytest.approx(-np.log(0.2))
    with pytest.warns(UserWarning, match="Classes can get lost"):
        clf.fit(*iris)
    assert LossDisplay.from_estimator(clf).n_classes == 3
    plain = RobustLossClassifier(loss="cross_entropy")
    assert LossDisplay.from_estimator(plain).names == ["cross_entropy"]


def test_axes_of_ones_own_for_losses():
    _, axes = plt.subplots(1, 2)
    display = LossDisplay.from_losses(list(LOSSES), ax=axes)
    assert list(display.ax_) == list(axes)
    assert len(axes[0].get_legend().get_texts()) == 13
    # Twelve losses, twelve different looks.
    looks = {(line.get_color(), str(line._dash_pattern)) for line in display.lines_[0]}
    assert len(looks) == 12


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"losses": "blury"}, ValueError, "Did you mean 'blurry'"),
        ({"losses": []}, ValueError, "losses must hold at least one loss"),
        ({"losses": 3}, TypeError, "must be a name, an nn.Module class"),
        ({"losses": ("blurry", {"q": 1})}, TypeError, "has no parameter 'q'"),
        (
            {"losses": nn.CrossEntropyLoss()},
            ValueError,
            r"CrossEntropyLoss returned ()",
        ),
        ({"losses": "focal", "n_classes": 1}, ValueError, ">= 2, got 1"),
        ({"losses": "focal", "gradient": "z"}, ValueError, "'probability', 'logit'"),
        ({"losses": "focal", "ax": [None]}, ValueError, "ax must be 2 .* got 1"),
    ],
)
def test_losses_that_are_none(arguments, error, message):
    with pytest.raises(error, match=message):
        LossDisplay.from_losses(**arguments)


def test_the_loss_of_what_is_no_robust_classifier():
    with pytest.raises(TypeError, match="must be a RobustLossClassifier"):
        LossDisplay.from_estimator(NoiseAdaptedClassifier())


# Training.


@pytest.fixture(scope="module")
def rows():
    """400 digits to train on, given labels, and 300 others with true labels."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    y_given = corrupt_labels(y, noise_rate=0.3, random_state=0)
    return X[:400], y_given[:400], X[400:700], y[400:700]


@pytest.fixture(scope="module")
def robust(rows):
    X, y_given, X_clean, y_clean = rows
    return RobustLossClassifier(
        loss="generalized_cross_entropy",
        delay=4,
        max_epochs=12,
        lr=0.01,
        early_stopping=True,
        callbacks=[EpochAccuracy(X_clean, y_clean)],
        random_state=0,
    ).fit(X, y_given)


@pytest.fixture(scope="module")
def adapted(rows):
    X, y_given, X_clean, y_clean = rows
    return NoiseAdaptedClassifier(
        max_epochs=4,
        n_folds=2,
        n_rounds=2,
        lr=0.01,
        early_stopping=True,
        callbacks=[
            ("clean", EpochAccuracy(X_clean, y_clean)),
            ("given", EpochAccuracy(X, y_given, name="given_acc")),
        ],
        random_state=0,
    ).fit(X, y_given)


def vertical_lines(axis):
    """Label and place of each vertical line."""
    return {
        line.get_label(): line.get_xdata()[0]
        for line in axis.lines
        if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
    }


def test_the_training_of_a_robust_classifier(robust, rows):
    _, _, X_clean, y_clean = rows
    display = TrainingDisplay.from_estimator(robust, X=X_clean, y=y_clean)
    assert [ax.get_ylabel() for ax in display.ax_] == ["loss", "accuracy"]
    assert list(display.lines_) == [
        "train_loss",
        "valid_loss",
        "valid_acc",
        "clean_acc",
    ]
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
        np.testing.assert_array_equal(line.get_ydata(), robust.history_[:, name])
    first = robust.history_[:, "robust"].index(True) + 1
    assert display.switch_epoch_ == first == 4
    marks = vertical_lines(display.ax_[0])
    assert marks["robust loss from epoch 4"] == 3.5
    kept = display.kept_epoch
    accuracies = robust.history_[:, "valid_acc"]
    assert accuracies[kept - 1] == max(accuracies)
    assert marks[f"kept: epoch {kept}"] == kept
    # What the net that was kept scores is what was recorded in that epoch.
    assert display.score == robust.history_[kept - 1, "clean_acc"]
    star = [line for line in display.ax_[1].lines if line.get_marker() == "*"]
    assert [line.get_xydata().tolist() for line in star] == [[[kept, display.score]]]


def test_epochs_of_cross_entropy_are_grey_also_when_it_came_back():
    history = [
        {"epoch": k + 1, "train_loss": 1.0, "robust": on}
        for k, on in enumerate([False, False, True, False, True])
    ]
    display = TrainingDisplay(history, kept_epoch=5).plot()
    spans = [(p.get_x(), p.get_x() + p.get_width()) for p in display.ax_[0].patches]
    assert spans == [(0.5, 2.5), (3.5, 4.5)]
    assert display.switch_epoch_ == 3
    texts = [text.get_text() for text in display.ax_[0].get_legend().get_texts()]
    assert texts.count("epochs of cross-entropy") == 1
    always = TrainingDisplay(history[2:3], kept_epoch=1).plot()
    assert always.switch_epoch_ is None
    assert len(always.ax_[0].patches) == 0


def test_the_training_of_a_noise_model(adapted, rows):
    _, _, X_clean, y_clean = rows
    Q = make_noise_matrix(10, 0.3)
    display = TrainingDisplay.from_estimator(
        adapted, X=X_clean, y=y_clean, true_matrix=Q
    )
    assert len(display.ax_) == 3
    rounds = adapted.history_[:, "round"]
    assert rounds == sorted(rounds)
    starts = [k for k in range(1, len(rounds)) if rounds[k] > rounds[k - 1]]
    assert starts == [4, 8][: len(starts)]
    assert len(starts) >= 1
    for name in ("train_loss", "valid_loss", "valid_acc", "clean_acc", "given_acc"):
        epochs, values = display.lines_[name].get_data()
        # One net's line does not run into the next one's.
        gaps = np.flatnonzero(np.isnan(values))
        np.testing.assert_array_equal(gaps, np.array(starts) + range(len(starts)))
        np.testing.assert_array_equal(
            values[~np.isnan(values)], adapted.history_[:, name]
        )
        np.testing.assert_array_equal(np.isnan(epochs), np.isnan(values))
    new_nets = [
        line.get_xdata()[0] for line in display.ax_[0].lines if line.get_ls() == ":"
    ]
    assert new_nets == [start + 0.5 for start in starts]
    kept = display.kept_epoch
    assert display.score == adapted.history_[kept - 1, "clean_acc"]
    path = adapted.noise_matrix_path_
    by_hand = [np.abs(matrix - Q).sum() / 10 for matrix in path]
    np.testing.assert_allclose(display.lines_["matrix"].get_ydata(), by_hand)
    drift = TrainingDisplay.from_estimator(adapted).matrix_error
    assert len(drift) == len(path)
    assert drift[-1] == 0 < drift[0]


def test_training_without_validation_rows_or_a_path(rows):
    X, y_given, _, _ = rows
    Q = make_noise_matrix(10, 0.3)
    clf = NoiseAdaptedClassifier(
        noise_matrix=Q, max_epochs=2, n_rounds=1, random_state=0
    ).fit(X, y_given)
    display = TrainingDisplay.from_estimator(clf)
    assert display.kept_epoch == 4
    assert list(display.lines_) == ["train_loss"]
    assert len(display.ax_) == 1
    # A known matrix has no path, but a distance.
    truth = make_noise_matrix(10, 0.2)
    other = TrainingDisplay.from_estimator(clf, true_matrix=truth)
    np.testing.assert_allclose(other.matrix_error, [np.abs(Q - truth).sum() / 10])
    _, ax = plt.subplots()
    assert TrainingDisplay.from_estimator(clf, ax=ax).figure_ is ax.figure


def test_what_has_no_training_to_show(robust):
    with pytest.raises(TypeError, match="last step of a Pipeline"):
        TrainingDisplay.from_estimator(make_pipeline(GaussianNB()))
    with pytest.raises(ValueError, match="not fitted yet"):
        TrainingDisplay.from_estimator(RobustLossClassifier())
    with pytest.raises(ValueError, match="X and y belong together; y is None"):
        TrainingDisplay.from_estimator(robust, X=[[1]])
    with pytest.raises(ValueError, match="true_matrix must be None for RobustLoss"):
        TrainingDisplay.from_estimator(robust, true_matrix=np.eye(10))
    with pytest.raises(ValueError, match="ax must be 2 matplotlib Axes; got 1"):
        TrainingDisplay.from_estimator(robust, ax=plt.subplots()[1])


def test_the_level_of_a_perfect_model(rows, robust):
    """A model that predicts every true label agrees where the given one is right.

    Three classes of different frequencies, which are kept with different probabilities.
    """
    names = np.array(["a", "b", "c"])
    prior = np.array([0.6, 0.3, 0.1])
    Q = np.array([[0.9, 0.3, 0.0], [0.1, 0.5, 0.2], [0.0, 0.2, 0.8]])
    # Exactly in proportion: 1,000 rows for each pair of true and given label.
    counts = np.rint(1000 * Q * prior).astype(int)
    y_given = np.repeat(names, counts.sum(axis=1))
    right = counts.trace() / 1000
    X = np.arange(1000.0)[:, None] / 1000
    options = {"noise_matrix": Q, "max_epochs": 1, "n_rounds": 0}
    clf = NoiseAdaptedClassifier(early_stopping=True, **options).fit(X, y_given)

    display = TrainingDisplay.from_estimator(clf, y_given=y_given)
    assert right == pytest.approx(Q.diagonal() @ prior) == pytest.approx(0.77)
    assert display.perfect_agreement == pytest.approx(right)
    line = display.lines_["perfect_agreement"]
    np.testing.assert_allclose(line.get_ydata(), right)
    assert (
        line.get_label() == "a perfect model would agree\nwith 77 % of the given labels"
    )
    texts = [text.get_text() for text in display.ax_[1].get_legend().get_texts()]
    assert line.get_label() in texts
    equal = TrainingDisplay.from_estimator(clf).perfect_agreement
    assert equal == pytest.approx(Q.trace() / 3)

    # Weights of the given labels weight the accuracy, too.
    weight = {"a": 1.0, "b": 2.0, "c": 5.0}
    by_class = np.array([1.0, 2.0, 5.0])
    expected = by_class @ counts.diagonal() / (by_class @ counts.sum(axis=1))
    weighted = clone(clf).set_params(class_weight=weight).fit(X, y_given)
    display = TrainingDisplay.from_estimator(weighted, y_given=y_given)
    assert display.perfect_agreement == pytest.approx(expected)

    # Without validation rows there is nothing to compare with it.
    plain = NoiseAdaptedClassifier(early_stopping=False, **options).fit(X, y_given)
    assert TrainingDisplay.from_estimator(plain).perfect_agreement is None
    # The matrix of the top-down model is not that of the noise.
    converted = NoiseAdaptedClassifier(
        noise_model="top_down", max_epochs=1, early_stopping=True
    ).fit(X, y_given)
    assert TrainingDisplay.from_estimator(converted).perfect_agreement is None


def test_the_level_of_a_perfect_model_for_a_robust_loss(robust):
    assert "perfect_agreement" not in TrainingDisplay.from_estimator(robust).lines_
    display = TrainingDisplay.from_estimator(robust, noise_rate=0.3)
    assert display.perfect_agreement == pytest.approx(0.7)
    assert max(robust.history_[:, "valid_acc"]) < 0.8
    Q = make_noise_matrix(10, 0.4, "pair")
    display = TrainingDisplay.from_estimator(robust, noise_matrix=Q)
    assert display.perfect_agreement == pytest.approx(0.6)
    for arguments, message in (
        ({"noise_rate": 1.5}, r"noise_rate must be in \[0, 1\], got 1.5"),
        ({"noise_rate": 0.3, "noise_matrix": Q}, "noise_rate replaces noise_matrix"),
        ({"noise_rate": 0.3, "y_given": [1]}, "noise_rate replaces y_given"),
        ({"y_given": [1]}, "y_given is only used with a noise matrix"),
        ({"noise_matrix": 2 * Q}, "noise_matrix must have columns that sum to 1"),
        ({"noise_matrix": Q, "y_given": ["a"]}, "y_given holds labels .* not among"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainingDisplay.from_estimator(robust, **arguments)
    with pytest.raises(TypeError, match="noise_rate must be a number"):
        TrainingDisplay.from_estimator(robust, noise_rate=True)


def test_the_title_of_a_training(robust):
    title = TrainingDisplay.from_estimator(robust).ax_[0].get_title(loc="left")
    assert title == "Training of RobustLossClassifier"
    display = TrainingDisplay.from_estimator(robust, name="the $ model", ax=None)
    assert display.ax_[0].get_title(loc="left") == "Training of the $ model"
    _, axes = plt.subplots(2, 1, figsize=(2, 4))
    narrow = TrainingDisplay.from_estimator(robust, name="a model " * 5, ax=axes)
    assert narrow.ax_[0].get_title(loc="left").count("\n") >= 1


def inside_others(estimator):
    """Estimators that hold a fitted one."""
    search = GridSearchCV(estimator, {})
    search.best_estimator_ = make_pipeline(FunctionTransformer(), estimator)
    learner = CleanLearning(estimator)
    learner.clf = estimator
    return [
        make_pipeline(FunctionTransformer(), estimator),
        search,
        make_pipeline(FunctionTransformer(), search),
        learner,
        FrozenEstimator(estimator),
    ]


def test_displays_find_the_estimator_inside_of_others(robust, adapted):
    losses = LossDisplay.from_estimator(robust)
    training = TrainingDisplay.from_estimator(robust)
    matrix = NoiseMatrixDisplay.from_estimator(adapted)
    for outer in inside_others(robust):
        assert LossDisplay.from_estimator(outer).names == losses.names
        display = TrainingDisplay.from_estimator(outer)
        assert display.kept_epoch == training.kept_epoch
        with pytest.raises(TypeError, match="must be a NoiseAdaptedClassifier or a"):
            NoiseMatrixDisplay.from_estimator(outer)
    for outer in inside_others(adapted):
        display = NoiseMatrixDisplay.from_estimator(outer)
        np.testing.assert_array_equal(display.noise_matrix, matrix.noise_matrix)
        with pytest.raises(TypeError, match="must be a RobustLossClassifier, or hold"):
            LossDisplay.from_estimator(outer)


def test_the_other_steps_of_a_pipeline_transform_the_rows(iris):
    X, y = iris
    model = RobustLossClassifier(loss="cross_entropy", max_epochs=5, lr=0.05)
    pipeline = make_pipeline(FunctionTransformer(np.negative), model)
    # The score of the search is no accuracy.
    search = GridSearchCV(
        pipeline,
        {"robustlossclassifier__random_state": [0]},
        scoring="neg_log_loss",
        cv=2,
    ).fit(X, y)
    display = TrainingDisplay.from_estimator(search, X, y)
    assert display.score == (search.predict(X) == y).mean() > 0.8
    assert search.score(X, y) < 0
    plain = TrainingDisplay.from_estimator(search.best_estimator_[-1], X, y)
    assert plain.score < 0.5


def test_a_search_without_a_best_estimator_is_told(iris):
    search = GridSearchCV(
        RobustLossClassifier(loss="cross_entropy", max_epochs=1),
        {"random_state": [0]},
        cv=2,
        refit=False,
    )
    for draw in (LossDisplay, TrainingDisplay):
        with pytest.raises(NotFittedError, match="GridSearchCV is not fitted yet"):
            draw.from_estimator(search)
    search.fit(*iris)
    for draw in (LossDisplay, TrainingDisplay):
        with pytest.raises(NotFittedError, match="fitted with refit=False"):
            draw.from_estimator(search)


# Label issues.


@pytest.fixture(scope="module")
def issues():
    """Of 600 digits, with the digits as flat rows."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    y_given = corrupt_labels(y, noise_rate=0.2, random_state=0)
    return X, find_label_issues(GaussianNB(var_smoothing=0.1), X, y_given, cv=3)


def as_drawn(display):
    return np.stack([ax.images[0].get_array() for ax in display.ax_])


def test_the_worst_images_in_order(issues):
    X, found = issues
    display = LabelIssuesDisplay.from_issues(
        found, X, n_issues=7, image_shape=(8, 8), order="quality"
    )
    worst = found.sort_values("label_quality", kind="stable").head(7)
    pd.testing.assert_frame_equal(display.issues, worst)
    np.testing.assert_array_equal(
        as_drawn(display), X[worst.index.to_numpy()].reshape(-1, 8, 8)
    )
    for text, (_, issue) in zip(display.text_, worst.iterrows(), strict=True):
        labels, quality = text.get_text().splitlines()
        given, suggested = issue["given_label"], issue["predicted_label"]
        assert labels == f"given {given}, suggested {suggested}"
        assert quality.startswith("quality")
    assert len(display.ax_) == 7
    assert len(LabelIssuesDisplay.from_issues(found, X, image_shape=(8, 8)).ax_) == 24


def test_images_of_every_layout(issues):
    X, found = issues
    grey = X.reshape(-1, 8, 8)
    expected = as_drawn(LabelIssuesDisplay.from_issues(found, grey, n_issues=3))
    color = np.stack([grey, 16 - grey, grey], axis=3) / 16
    for same, shape in [
        (grey[:, None], None),
        (grey[..., None], None),
        (sparse.csr_array(X), (8, 8)),
        (pd.DataFrame(X), (1, 8, 8)),
        (X.tolist(), (8, 8)),
    ]:
        display = LabelIssuesDisplay.from_issues(
            found, same, n_issues=3, image_shape=shape
        )
        np.testing.assert_array_equal(as_drawn(display), expected)
    last = LabelIssuesDisplay.from_issues(found, color, n_issues=3)
    first = LabelIssuesDisplay.from_issues(found, np.moveaxis(color, 3, 1), n_issues=3)
    np.testing.assert_array_equal(as_drawn(first), as_drawn(last))
    np.testing.assert_array_equal(as_drawn(last)[..., 0], expected / 16)
    # Standardised colours are brought back to where they can be shown.
    wide = LabelIssuesDisplay.from_issues(found, 3 * color - 1, n_issues=3)
    np.testing.assert_allclose(as_drawn(wide), as_drawn(last), atol=1e-12)


def cells(display):
    """Lines of the table, as tuples of texts."""
    texts = [text.get_text() for text in display.text_]
    return list(zip(*[iter(texts)] * (len(texts) // len(display.issues)), strict=True))


def test_a_table_of_what_is_no_image():
    wine = load_wine(as_frame=True)
    X = wine.data.set_axis([f"bottle {k}" for k in range(178)])
    y_given = corrupt_labels(wine.target, noise_rate=0.2, random_state=0)
    display = LabelIssuesDisplay.from_estimator(
        GaussianNB(),
        X,
        y_given,
        find_params={"cv": 3},
        n_issues=5,
        order="quality",
        class_names=["red", "white", "a name that does not fit"],
        max_features=2,
    )
    found = find_label_issues(GaussianNB(), X, y_given, cv=3)
    worst = found.sort_values("label_quality", kind="stable").head(5)
    short = {0: "red", 1: "white", 2: "a name that…"}
    drawn = cells(display)
    assert [line[0] for line in drawn] == list(worst.index)
    assert [line[1] for line in drawn] == [short[k] for k in worst["given_label"]]
    assert [line[2] for line in drawn] == [short[k] for k in worst["predicted_label"]]
    alcohol = X.loc[worst.index, "alcohol"]
    assert [line[4] for line in drawn] == [f"{value:.3g}" for value in alcohol]
    assert len(drawn[0]) == 4 + 2 + 1  # the last says how many more there are
    # The rows of a DataFrame are found by their index, whatever is left of them.
    flagged = found[found["is_label_issue"]].sort_values("label_quality")
    again = LabelIssuesDisplay.from_issues(flagged, X, n_issues=3, order="quality")
    assert list(again.rows.index) == list(flagged.index[:3])
    pd.testing.assert_frame_equal(again.rows, X.loc[flagged.index[:3]])


def test_texts_make_a_table_of_one_column(issues):
    _, found = issues
    texts = [f"line\n{k}" for k in range(600)]
    drawn = cells(LabelIssuesDisplay.from_issues(found, texts, n_issues=4))
    assert [line[4] for line in drawn] == [f"line {line[0]}" for line in drawn]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f, X: (f.to_numpy(), X, {}), TypeError, "got ndarray"),
        (lambda f, X: (f.drop(columns="label_quality"), X, {}), ValueError, "it lacks"),
        (lambda f, X: (f.head(9), X, {}), ValueError, "each of the 600 rows .* got 9"),
        (
            lambda f, X: (f.sort_values("label_quality"), X, {}),
            ValueError,
            "in the order of X",
        ),
        (lambda f, X: (f, X, {"n_issues": 0}), ValueError, "n_issues must .* got 0"),
        (lambda f, X: (f, X, {"n_issues": True}), TypeError, "n_issues .* got True"),
        (lambda f, X: (f, X, {"n_issues": 2.0}), TypeError, "n_issues .* got 2.0"),
        (lambda f, X: (f, X, {"n_columns": True}), TypeError, "n_columns .* True"),
        (lambda f, X: (f, X, {"max_features": 0}), ValueError, "max_features .* 0"),
        (lambda f, X: (f, None, {}), TypeError, "X must be .* got None"),
        (lambda f, X: (f, "text", {}), TypeError, "X must be .* got 'text'"),
        (lambda f, X: (f, {"a": X}, {}), TypeError, "X must be an array"),
        (lambda f, X: (f.head(0), X, {}), ValueError, "issues must have .* one row"),
        (
            lambda f, X: (f.astype({"label_quality": str}), X, {}),
            ValueError,
            "label_quality of issues must hold numbers",
        ),
        (lambda f, X: (f, X[:, :0, None], {}), ValueError, "at least one pixel"),
        (
            lambda f, X: (f, np.full((600, 2, 2), "a"), {}),
            ValueError,
            "X must hold numbers",
        ),
        (
            lambda f, X: (f, X, {"class_names": "abcdefghij"}),
            TypeError,
            "class_names must be a list .* got 'abcdefghij'",
        ),
        (lambda f, X: (f, X, {"class_names": 10}), TypeError, "class_names .* got 10"),
        (lambda f, X: (f, X, {"image_shape": 64}), TypeError, "image_shape .* got 64"),
        (lambda f, X: (f, X, {"image_shape": "88"}), TypeError, "image_shape .* '88'"),
        (
            lambda f, X: (f, X, {"image_shape": (-8, -8)}),
            ValueError,
            "each number of image_shape .* got -8",
        ),
        (lambda f, X: (f, X, {"ax": "a"}), TypeError, "ax must be .* Axes; got .*a"),
        (lambda f, X: (f, X, {"image_shape": (9, 9)}), ValueError, r"shape \(64,\)"),
        (lambda f, X: (f, X.reshape(-1, 4, 4, 4, 1), {}), ValueError, "hold images"),
        (lambda f, X: (f, X.reshape(-1, 2, 4, 8), {}), ValueError, r"\(2, 4, 8\)"),
        (lambda f, X: (f, X, {"class_names": ["a"]}), ValueError, "each of the 10"),
        (
            lambda f, X: (f, X, {"image_shape": (8, 8), "ax": [None]}),
            ValueError,
            "ax must be 24 matplotlib Axes; got 1",
        ),
    ],
)
def test_issues_that_do_not_belong_to_the_rows(issues, change, error, message):
    X, found = issues
    found, X, arguments = change(found, X)
    with pytest.raises(error, match=message):
        LabelIssuesDisplay.from_issues(found, X, **arguments)


def pairs_of(display):
    return list(zip(*(display.issues[name] for name in LABELS), strict=True))


LABELS = ("given_label", "predicted_label")


def issues_of_two_pairs():
    """The 30 lowest qualities belong to two pairs; six rows of other pairs follow."""
    given = [3] * 15 + [1] * 15 + [0, 2, 4, 5, 6, 7] + [9] * 4
    suggested = [8] * 15 + [7] * 15 + [1, 3, 5, 6, 7, 8] + [9] * 4
    quality = np.linspace(0.0, 0.4, 40)
    frame = pd.DataFrame(
        {
            "is_label_issue": np.arange(40) < 36,
            "label_quality": quality,
            "given_label": given,
            "predicted_label": suggested,
        }
    )
    order = np.random.RandomState(0).permutation(40)
    return frame.iloc[order].reset_index(drop=True)


def test_rows_are_spread_over_pairs_of_labels():
    found = issues_of_two_pairs()
    X = np.arange(80.0).reshape(40, 2)
    display = LabelIssuesDisplay.from_issues(found, X, n_issues=10)
    pairs = pairs_of(display)
    # The worst of each of the eight pairs, then the second worst of the two large ones.
    assert len({*pairs}) == 8
    assert pairs.count((3, 8)) == pairs.count((1, 7)) == 2
    worst = found.sort_values("label_quality").groupby([*LABELS]).head(1)
    assert {*worst.index[worst["is_label_issue"]]} <= {*display.issues.index}
    assert display.issues["label_quality"].is_monotonic_increasing
    np.testing.assert_array_equal(display.rows, X[display.issues.index])
    strict = LabelIssuesDisplay.from_issues(found, X, n_issues=10, order="quality")
    assert {*pairs_of(strict)} == {(3, 8)}
    # Rows that are no issues come last, whatever their quality.
    doubted = found.assign(is_label_issue=found["given_label"] == 9)
    first = LabelIssuesDisplay.from_issues(doubted, X, n_issues=5)
    assert pairs_of(first).count((9, 9)) == 4
    with pytest.raises(ValueError, match="order must be one of 'spread', 'quality'"):
        LabelIssuesDisplay.from_issues(found, X, order="worst")


def test_titles_tell_the_labels_and_small_qualities():
    found = issues_of_two_pairs().sort_values("label_quality", ignore_index=True)
    found["label_quality"] = np.geomspace(1e-8, 0.5, 40)
    X = np.zeros((40, 2, 2))
    display = LabelIssuesDisplay.from_issues(found, X, n_issues=40)
    texts = [text.get_text() for text in display.text_]
    assert texts[0] == "given 3, suggested 8\nquality < .000001"
    assert texts[-1] == "given 9, suggested 9\nquality .500"
    qualities = [text.split("quality ")[1] for text in texts]
    tiny = [q for q, value in zip(qualities, found["label_quality"], strict=True)
            if 1e-6 <= value < 1e-3]  # fmt: skip
    assert len({*tiny}) > 10
    assert all(q.startswith(".00") and len(q) <= 7 for q in tiny)
    # A comma and a second line where names are long; no formula between dollar signs.
    names = {3: "from $5 to $9 a piece", 8: "a very long name"}
    named = LabelIssuesDisplay.from_issues(found, X, class_names=names, n_issues=1)
    text = named.text_[0]
    assert text.get_text().splitlines()[:2] == [
        "given from $5 to…,",
        "suggested a very long…",
    ]
    assert not text.get_parse_math()


def test_cells_are_readable():
    found = issues_of_two_pairs().head(4)
    long = "The parcel arrived damaged, and nobody answers " * 6
    X = pd.DataFrame(
        {
            "amount": [69234.5, 0.00004813, 1234567.0, np.nan],
            "ratio": [0.12345, 12.0, 2e20, -3.4e-9],
            "day": pd.to_datetime(["2024-03-05", None, "2024-03-07", "2024-12-31"]),
            "time": pd.to_datetime(
                ["2024-03-05 14:30", "2024-03-06 00:00", "2024-03-07 01:02:03.5", None],
                format="ISO8601",
            ),
            "wait": pd.to_timedelta([3, 1.5, None, 0], unit="D"),
            "text": [long, "costs $5 or $6", None, "Donaudampfschifffahrt" * 20],
        },
        index=pd.date_range("2024-01-01", periods=4),
    )
    display = LabelIssuesDisplay.from_issues(found.set_index(X.index), X)
    drawn = {line[0]: line[4:] for line in cells(display)}
    lines = [drawn[f"2024-01-0{k}"] for k in range(1, 5)]
    assert [line[0] for line in lines] == ["69234", "0.0000481", "1234567", "missing"]
    assert [line[1] for line in lines] == ["0.123", "12", "2e20", "-3.4e-9"]
    assert [line[2] for line in lines][:2] == ["2024-03-05", "missing"]
    assert [line[3] for line in lines] == [
        *("2024-03-05 14:30", "2024-03-06", "2024-03-07 01:02:03", "missing")
    ]
    assert [line[4] for line in lines][:2] == ["3 days", "1 days 12:00:00"]
    first, second, third, last = (line[5] for line in lines)
    assert second == "costs $5 or $6"
    assert third == "missing"
    assert first.count("\n") == last.count("\n") == 2
    # Lines and the shortened text end with a word of the text.
    assert first.endswith("…")
    assert {*first.removesuffix("…").split()} <= {*long.split(), "damaged"}
    assert not any(text.get_parse_math() for text in display.text_)


def test_a_table_takes_the_width_that_it_has(issues):
    _, found = issues
    X = pd.DataFrame({f"text {k}": ["many words " * 40] * 600 for k in range(6)})
    own = LabelIssuesDisplay.from_issues(found, X, n_issues=3)
    assert own.figure_.get_size_inches()[0] < 20
    _, ax = plt.subplots(figsize=(8, 4))
    given = LabelIssuesDisplay.from_issues(found, X, n_issues=3, ax=ax)
    boxes = {}
    for (row, _), cell in given.ax_[0].tables[0].get_celld().items():
        boxes.setdefault(row, []).append(cell.get_text().get_window_extent())
    for line in boxes.values():
        ends, starts = ([getattr(b, side) for b in line] for side in ("x1", "x0"))
        assert all(end < start for end, start in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_images_of_every_sparse_format(issues, name, kind):
    X, found = issues
    images = X.reshape(-1, 8, 8)
    expected = as_drawn(LabelIssuesDisplay.from_issues(found, images, n_issues=2))
    rows = getattr(sparse, f"coo_{kind}")(X)
    with warnings.catch_warnings():
        # Digits have many diagonals.
        warnings.simplefilter("ignore", sparse.SparseEfficiencyWarning)
        rows = rows.asformat(name)
        display = LabelIssuesDisplay.from_issues(
            found, rows, image_shape=(8, 8), n_issues=2
        )
    np.testing.assert_array_equal(as_drawn(display), expected)


def test_rows_of_polars_torch_and_data_sets(issues):
    X, found = issues
    images = X.reshape(-1, 8, 8)
    expected = as_drawn(LabelIssuesDisplay.from_issues(found, images, n_issues=2))
    frame = pl.DataFrame(X)
    tensor = torch.tensor(X, requires_grad=True)
    dataset = TensorDataset(torch.tensor(X).reshape(-1, 8, 8), torch.zeros(600))
    for rows, shape in (
        (frame, (8, 8)),
        (tensor, (8, 8)),
        (X.astype(object), (8, 8)),
        (dataset, None),
    ):
        display = LabelIssuesDisplay.from_issues(
            found, rows, image_shape=shape, n_issues=2
        )
        np.testing.assert_array_equal(as_drawn(display), expected)
    table = LabelIssuesDisplay.from_issues(found, frame, n_issues=2)
    assert [*table.rows] == frame.columns
    np.testing.assert_array_equal(table.rows, X[table.issues.index])
    texts = [f"text {k}" for k in range(600)]
    for rows in (pl.Series(texts), texts, tuple(texts), np.array(texts)):
        table = LabelIssuesDisplay.from_issues(found, rows, n_issues=3)
        assert [*table.rows["X"]] == [texts[k] for k in table.issues.index]


# Noise matrices.

Q3 = make_noise_matrix(3, 0.4, "pair")


def test_noise_matrix_of_an_estimator(iris):
    X, y = iris
    names = np.array(["ash", "elm", "oak"])[y]
    fitted = NoiseMatrixEstimator(LogisticRegression(), cv=3, random_state=0)
    fitted.fit(X, corrupt_labels(names, noise_rate=0.2, random_state=0))
    display = NoiseMatrixDisplay.from_estimator(fitted)
    values = [text.get_text() for text in display.text_]
    assert values == [
        f"{v:.2f}".removeprefix("0") for v in fitted.noise_matrix_.ravel()
    ]
    ticks = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert ticks == ["ash", "elm", "oak"]
    assert display.ax_.get_xlabel() == "true label"
    assert display.ax_.get_ylabel() == "given label"
    np.testing.assert_allclose(display.ax_.images[0].get_array(), fitted.noise_matrix_)


def test_noise_matrix_beside_the_truth_and_with_intervals():
    interval = np.stack([np.zeros((3, 3)), np.ones((3, 3))])
    display = NoiseMatrixDisplay.from_matrix(Q3, true_matrix=Q3, interval=interval)
    assert [ax.get_title() for ax in display.ax_] == ["true", "estimated"]
    assert display.text_[-1].get_text() == ".60\n.00–1.00"
    _, ax = plt.subplots()
    assert NoiseMatrixDisplay.from_matrix(Q3, ax=ax, colorbar=False).ax_ is ax


def test_noise_matrix_of_many_classes():
    """What nobody can read is left out, and small values are seen."""
    display = NoiseMatrixDisplay.from_matrix(make_noise_matrix(100, 0.4))
    assert display.text_ == []
    assert len(display.ax_.get_xticks()) <= 25
    small = 0.4 / 99 / 0.6
    norm = display.ax_.images[0].norm
    assert norm(0.6 * small) == pytest.approx(small**0.5)
    of_few = NoiseMatrixDisplay.from_matrix(Q3).ax_.images[0].norm
    assert of_few(0.3) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_matrix": np.ones((2, 2))}, "columns that sum to 1"),
        ({"noise_matrix": Q3, "display_labels": ["a"]}, "must name 3 classes; got 1"),
        ({"noise_matrix": Q3, "interval": Q3}, r"shape \(2, 3, 3\)"),
        ({"noise_matrix": Q3, "true_matrix": np.eye(2)}, r"shape \(3, 3\)"),
        (
            {"noise_matrix": Q3, "true_matrix": np.ones((3, 3))},
            "true_matrix must have columns that sum to 1",
        ),
        ({"noise_matrix": pd.Series([0.5, 0.5])}, r"noise_matrix .* shape \(2,\)"),
        (
            {"noise_matrix": pd.DataFrame(Q3), "true_matrix": pd.Series([1.0])},
            r"true_matrix must be square; got shape \(1,\)",
        ),
    ],
)
def test_noise_matrix_that_is_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoiseMatrixDisplay.from_matrix(**arguments)


def test_named_matrices_are_matched_by_their_names():
    names = [f"class {k}" for k in range(3)]
    Q = np.array([[0.8, 0.1, 0.0], [0.2, 0.8, 0.3], [0.0, 0.1, 0.7]])
    frame = pd.DataFrame(Q, index=names, columns=names)
    other = frame.loc[names[::-1], names[::-1]]
    display = NoiseMatrixDisplay.from_matrix(frame, true_matrix=other)
    np.testing.assert_array_equal(display.true_matrix, Q)
    assert [t.get_text() for t in display.ax_[0].get_xticklabels()] == names
    rng = np.random.RandomState(0)
    y = np.array(names)[rng.randint(3, size=60)]
    clf = NoiseAdaptedClassifier(noise_matrix=frame, max_epochs=1, n_rounds=0)
    clf.fit(rng.randn(60, 2), y)
    display = NoiseMatrixDisplay.from_estimator(clf, true_matrix=other)
    np.testing.assert_array_equal(display.true_matrix, Q)
    training = TrainingDisplay.from_estimator(clf, true_matrix=other)
    assert training.matrix_error.tolist() == [0]


def test_issues_whose_order_is_not_told_are_refused(issues):
    X, found = issues
    named = found.set_index(found.index[::-1] + 7)
    for part in (named, found.sort_values("label_quality"), named.sample(frac=1)):
        with pytest.raises(ValueError, match="issues must be in the order of X"):
            LabelIssuesDisplay.from_issues(part, X, image_shape=(8, 8))
    display = LabelIssuesDisplay.from_issues(
        named.reset_index(drop=True), X, image_shape=(8, 8), n_issues=3
    )
    expected = LabelIssuesDisplay.from_issues(found, X, image_shape=(8, 8), n_issues=3)
    np.testing.assert_array_equal(as_drawn(display), as_drawn(expected))
    # It finds them itself, in the order of X, whatever the index of y.
    y = pd.Series(found["given_label"].to_numpy(), index=named.index)
    model, options = GaussianNB(var_smoothing=0.1), {"find_params": {"cv": 3}}
    again = LabelIssuesDisplay.from_estimator(
        model, X, y, n_issues=3, image_shape=(8, 8), **options
    )
    np.testing.assert_array_equal(as_drawn(again), as_drawn(expected))


def test_what_has_no_noise_matrix_is_told():
    for estimator in (make_pipeline(RobustLossClassifier()), RobustLossClassifier()):
        with pytest.raises(TypeError, match="last step of a Pipeline"):
            NoiseMatrixDisplay.from_estimator(estimator)
    with pytest.raises(NotFittedError):
        NoiseMatrixDisplay.from_estimator(make_pipeline(NoiseAdaptedClassifier()))


def test_flags_and_names_of_a_noise_matrix_are_checked():
    for arguments, message in (
        (
            {"display_labels": "abc"},
            "display_labels must be a list of names; got 'abc'",
        ),
        ({"display_labels": 3}, "display_labels must be a list of names; got 3"),
        ({"include_values": "no"}, "include_values must be True or False; got 'no'"),
        ({"colorbar": "no"}, "colorbar must be True or False; got 'no'"),
        ({"ax": [None]}, "ax must be matplotlib Axes; got None"),
    ):
        with pytest.raises(TypeError, match=message):
            NoiseMatrixDisplay.from_matrix(Q3, **arguments)


def test_the_true_matrix_is_named_in_errors(adapted):
    for draw in (NoiseMatrixDisplay, TrainingDisplay):
        with pytest.raises(ValueError, match="true_matrix must have columns that sum"):
            draw.from_estimator(adapted, true_matrix=np.ones((10, 10)))
        with pytest.raises(ValueError, match="true_matrix must be square"):
            draw.from_estimator(adapted, true_matrix=pd.Series(np.ones(10)))


def test_small_values_are_left_out_of_a_noise_matrix():
    Q = np.array([[0.996, 0.0, 0.3], [0.004, 0.5, 0.0], [0.0, 0.5, 0.7]])
    display = NoiseMatrixDisplay.from_matrix(Q)
    texts = [text.get_text() for text in display.text_]
    assert texts == ["1.00", "", ".30", "", ".50", "", "", ".50", ".70"]
    assert display.ax_.get_xlabel() == "true label\n(empty cells: below .005)"
    full = NoiseMatrixDisplay.from_matrix(make_noise_matrix(3, 0.3))
    assert full.ax_.get_xlabel() == "true label"
    # An interval that reaches above is written, with its value.
    interval = np.stack([np.zeros((3, 3)), np.where(Q > 0, 1.0, 0.0)])
    display = NoiseMatrixDisplay.from_matrix(Q, interval=interval)
    assert display.text_[3].get_text() == ".00\n.00–1.00"
    assert display.text_[1].get_text() == ""


LONG_NAMES = ["aircraft carrier", "bird of paradise", "a name that nobody would expect"]


def overflowing(figure):
    """Axes of a figure that are not inside it with all their texts."""
    figure.draw_without_rendering()
    page = figure.bbox.padded(1)
    boxes = {axis: axis.get_tightbbox() for axis in figure.axes}
    return [
        axis
        for axis, box in boxes.items()
        if not (page.contains(*box.min) and page.contains(*box.max))
    ]


@pytest.mark.parametrize("size", [(3.2, 2.8), (6.4, 4.8), (12, 10)])
def test_names_of_classes_fit_into_the_axes_that_are_given(size):
    figure, ax = plt.subplots(figsize=size)
    display = NoiseMatrixDisplay.from_matrix(Q3, display_labels=LONG_NAMES, ax=ax)
    assert overflowing(figure) == []
    assert figure.get_layout_engine() is None
    ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert ticks == [*LONG_NAMES[:2], "a name that nobody…"]


def test_names_of_classes_are_not_upon_other_axes():
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 4.8))
    NoiseMatrixDisplay.from_matrix(
        Q3, display_labels=LONG_NAMES, ax=axes[1], colorbar=False
    )
    figure.draw_without_rendering()
    left, right = (axis.get_tightbbox() for axis in axes)
    assert left.x1 < right.x0


def test_figures_whose_texts_fit_stay_as_they_are():
    figure, ax = plt.subplots(figsize=(8, 8))
    before = ax.get_position(original=True).bounds
    NoiseMatrixDisplay.from_matrix(Q3, ax=ax, colorbar=False)
    assert ax.get_position(original=True).bounds == before
    figure, ax = plt.subplots(layout="tight")
    engine = figure.get_layout_engine()
    NoiseMatrixDisplay.from_matrix(Q3, display_labels=LONG_NAMES, ax=ax)
    assert figure.get_layout_engine() is engine


def test_pictures_in_small_axes(robust, issues):
    X, found = issues
    figure, axes = plt.subplots(2, 2, figsize=(3.2, 3.2))
    LabelIssuesDisplay.from_issues(
        found,
        X,
        n_issues=4,
        image_shape=(8, 8),
        ax=axes,
        class_names=["long name"] * 10,
    )
    assert overflowing(figure) == []
    for axis, below in zip(axes[0], axes[1], strict=True):
        assert below.get_tightbbox().y1 < axis.get_tightbbox().y0
    figure, axes = plt.subplots(2, 1, figsize=(3.2, 4))
    TrainingDisplay.from_estimator(robust, noise_rate=0.3, ax=axes)
    assert overflowing(figure) == []
    figure, axes = plt.subplots(1, 2, figsize=(3.2, 2))
    LossDisplay.from_losses("blurry", ax=axes)
    assert overflowing(figure) == []
