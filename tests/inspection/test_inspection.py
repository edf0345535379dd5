"""The pictures show what they say they show, and what they record is true."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from torch import nn

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
