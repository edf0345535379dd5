"""Losses, accuracies and the noise matrix by epoch."""

import textwrap

import numpy as np
from scipy.optimize import nnls
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from sklearn_noisy._estimators.noise_adapted import NoiseAdaptedClassifier
from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy._labels import (
    class_weights,
    label_array,
    label_codes,
)
from sklearn_noisy._validation import (
    check_real,
    check_same_order,
)
from sklearn_noisy.inspection._arguments import find_estimator
from sklearn_noisy.inspection._style import (
    GREY,
    INSIDE,
    font_size,
    get_axes,
    line_styles,
    make_room,
    sizes_of,
)
from sklearn_noisy.noise._checks import class_matrix

LOSSES = ("train_loss", "valid_loss")

NAMES = {
    "train_loss": "training rows",
    "valid_loss": "validation rows",
    "valid_acc": "validation rows, given labels",
}

# Up to this number of epochs, each has a dot; a single epoch would have no line.
MAX_DOTS = 40

WARM_UP = {"color": "#E3E3E3", "linewidth": 0}
SWITCH = {"color": GREY, "linewidth": 1.0}
NEW_NET = {"color": "black", "linestyle": ":"}
PERFECT = {"color": "#009E73", "linestyle": (0, (6, 1.5)), "linewidth": 1.4}
KEPT = {"color": "black", "linestyle": "--", "linewidth": 1.0}
STAR = {"color": "k", "marker": "*", "markersize": 11, "linestyle": "", "zorder": 3}

# Width of a character of the title relative to the size of the font.
CHARACTER = 0.6

# A legend to the right of the axes.
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "frameon": False}


class TrainingDisplay:
    """Losses, accuracies and the noise matrix by epoch.

    Use :meth:`from_estimator`. A dashed line marks the epoch whose weights were kept.
    Grey epochs were trained with cross-entropy, before the robust loss was used or
    after the net had lost a class. Dotted lines mark the first epoch of another net.

    If many given labels are wrong, even a model that predicts every true label agrees
    with few of them. A green line marks its accuracy on given labels, where the noise
    is known. The accuracy on validation rows is measured with given labels, so that
    training cannot be expected to raise it above this line.

    Parameters
    ----------
    history : list of dict
        A row for each epoch, with ``epoch``, ``train_loss`` and the other columns of
        skorch's history.
    kept_epoch : int
        Epoch whose weights were kept, counted from 1.
    score : float, default=None
        Accuracy of the fitted estimator on other rows than those of training.
    matrix_error : ndarray of shape (n_matrices,), default=None
        Distance of the noise matrix from the reference, by epoch.
    matrix_reference : {"last", "true"}, default="last"
        Reference of `matrix_error`: the final matrix or the true one.
    perfect_agreement : float, default=None
        Fraction of the given labels with which a perfect model would agree.
    estimator_name : str, default=None
        Name in the title; None draws no title.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of matplotlib Axes
        The loss, the accuracy and the noise matrix; the last two only if available.
    lines_ : dict of str to matplotlib Line2D
        Lines by column of the history; ``"matrix"`` is the distance of the noise
        matrix, and ``"perfect_agreement"`` the line of a perfect model. NaN separates
        the values of one net from those of the next.
    switch_epoch_ : int or None
        First epoch of the robust loss; None if it is the first epoch, or there is none.
    """

    def __init__(
        self,
        history,
        *,
        kept_epoch,
        score=None,
        matrix_error=None,
        matrix_reference="last",
        perfect_agreement=None,
        estimator_name=None,
    ):
        self.history = history
        self.kept_epoch = kept_epoch
        self.score = score
        self.matrix_error = matrix_error
        self.matrix_reference = matrix_reference
        self.perfect_agreement = perfect_agreement
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(  # noqa: PLR0913
        cls,
        estimator,
        X=None,
        y=None,
        *,
        true_matrix=None,
        noise_rate=None,
        noise_matrix=None,
        y_given=None,
        name=None,
        ax=None,
        **plot_params,
    ):
        r"""Draw the training of a fitted classifier.

        :class:`sklearn_noisy.callbacks.EpochAccuracy` adds further accuracies to the
        history, such as that on clean rows.

        Parameters
        ----------
        estimator : RobustLossClassifier or NoiseAdaptedClassifier
            Fitted. It may be the last step of a Pipeline, the best estimator of a
            search, or the ``clf`` of a CleanLearning. The other steps of a Pipeline
            transform `X`.
        X : array-like of shape (n_samples, ...), default=None
            Rows to score the fitted classifier on; the score is drawn as a star at the
            epoch that was kept.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        true_matrix : array-like or DataFrame of shape (n_classes, n_classes), \
                default=None
            Reference of the distance of the noise matrix,
            :math:`\sum_{ji} |Q_{ji} - \hat Q_{ji}| / K`. None takes the final noise
            matrix.
        noise_rate : float in [0, 1], default=None
            Fraction of the given labels of the validation rows that are wrong. It
            determines the line of a perfect model, ``1 - noise_rate``, and replaces
            `noise_matrix`.
        noise_matrix : array-like or DataFrame of shape (n_classes, n_classes), \
                default=None
            ``Q[j, i] = P(given label j | true label i)``, which determines the line of
            a perfect model, :math:`\sum_i \pi_i Q_{ii}` with the frequencies
            :math:`\pi` of the true labels. It holds for noisy rows; the labels of
            clean validation rows are right. None takes `true_matrix` or, without one,
            the matrix of a :class:`~sklearn_noisy.NoiseAdaptedClassifier`
            (bottom-up or backward) with held-out validation rows. Otherwise, no line
            is drawn.
        y_given : array-like of shape (n_samples,), default=None
            Given labels of the training rows. Their frequencies and the noise matrix
            determine those of the true labels. None takes all true labels for equally
            frequent.
        name : str, default=None
            Name of the estimator in the title. None takes that of its class.
        ax : array-like of matplotlib Axes, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        TypeError
            If `estimator` is, and holds, no classifier of this package, or `noise_rate`
            is not a number.
        NotFittedError
            If `estimator` is not fitted.
        ValueError
            If only one of `X` and `y` is given; if `true_matrix` is given and the
            classifier has no noise matrix; if `noise_rate` or a matrix is out of its
            range; if `y_given` is given where the line of a perfect model does not
            depend on it, or holds a label that is not among the classes.
        """
        inner = find_estimator(
            estimator, (RobustLossClassifier, NoiseAdaptedClassifier)
        )
        check_is_fitted(inner, "net_")
        if (X is None) != (y is None):
            missing = "X" if X is None else "y"
            raise ValueError(f"X and y belong together; {missing} is None.")
        check_same_order(X=X, y=y)
        matrix_error = _matrix_error(inner, true_matrix)
        if noise_matrix is None and noise_rate is None:
            noise_matrix = _known_matrix(inner, true_matrix)
        display = cls(
            [dict(row) for row in inner.history_],
            kept_epoch=_kept_epoch(inner),
            # The score of a search may be something else than the accuracy.
            score=None if X is None else accuracy_score(y, estimator.predict(X)),
            matrix_error=matrix_error,
            matrix_reference="last" if true_matrix is None else "true",
            perfect_agreement=_perfect_agreement(
                inner, noise_rate, noise_matrix, y_given
            ),
            estimator_name=type(inner).__name__ if name is None else name,
        )
        return display.plot(ax=ax, **plot_params)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            The axes of ``ax_``; None creates a figure.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` has a different number of axes than ``ax_``.
        """
        accuracies = self._columns(lambda name: name.endswith("_acc"))
        given = (self.score, self.perfect_agreement)
        has_accuracy = bool(accuracies) or any(value is not None for value in given)
        n_axes = 1 + has_accuracy + (self.matrix_error is not None)
        # One column, so that an epoch has the same position in all axes.
        axes = get_axes(ax, n_axes, n_columns=1, panel_size=(8.6, 2.6))
        self.lines_ = {}
        self._draw_history(axes[0], self._columns(LOSSES.__contains__), "loss")
        if has_accuracy:
            self._draw_history(axes[1], accuracies, "accuracy")
            if self.score is not None:
                label = "kept net on X, y"
                axes[1].plot(self.kept_epoch, self.score, **STAR, label=label)
            if self.perfect_agreement is not None:
                self._draw_perfect(axes[1])
        if self.matrix_error is not None:
            self._draw_matrix(axes[-1])
        self.switch_epoch_ = self._switch_epoch()
        for axis in axes[: 1 + has_accuracy]:
            self._mark(axis, names=axis is axes[0])
        widths = [width for width, _ in sizes_of(axes)]
        for axis, width in zip(axes, widths, strict=True):
            axis.xaxis.get_major_locator().set_params(integer=True)
            size = font_size(width)
            place = BESIDE if ax is None else INSIDE
            axis.legend(handlelength=2.6, fontsize=size, **place)
        if self.estimator_name is not None:
            self._draw_title(axes[0], widths[0])
        if ax is not None:
            make_room(axes)
        self.figure_ = axes[0].figure
        self.ax_ = axes
        return self

    def _columns(self, wanted):
        """Wanted columns of the history, in the order of their first values."""
        names = dict.fromkeys(name for row in self.history for name in row)
        return [name for name in names if wanted(name)]

    def _starts(self):
        """Indices of the first epoch of every net except the first."""
        rounds = [row.get("round") for row in self.history]
        return [k for k in range(1, len(rounds)) if rounds[k] != rounds[k - 1]]

    def _draw_history(self, axis, columns, label):
        starts = self._starts()
        epochs = np.arange(1.0, len(self.history) + 1)
        marker = "." if len(self.history) <= MAX_DOTS else None
        for name, style in zip(columns, line_styles(len(columns)), strict=True):
            values = [row.get(name, np.nan) for row in self.history]
            (self.lines_[name],) = axis.plot(
                np.insert(epochs, starts, np.nan),
                np.insert(values, starts, np.nan),
                label=NAMES.get(name, name),
                marker=marker,
                **style,
            )
        axis.set(xlabel="epoch", ylabel=label)

    def _draw_perfect(self, axis):
        label = (
            "a perfect model would agree\n"
            f"with {self.perfect_agreement:.0%} of the given labels"
        ).replace("%", " %")
        self.lines_["perfect_agreement"] = axis.axhline(
            self.perfect_agreement, **PERFECT, label=label
        )

    def _draw_title(self, axis, width):
        """The title in as many lines as the width of the axes demands."""
        size = font_size(width)
        n_characters = max(12, int(width * 72 / (CHARACTER * size)))
        title = textwrap.fill(f"Training of {self.estimator_name}", n_characters)
        axis.set_title(title, loc="left", fontsize=size, parse_math=False)

    def _draw_matrix(self, axis):
        label = {
            "last": r"distance from the final matrix",
            "true": r"distance from the true matrix",
        }[self.matrix_reference]
        (self.lines_["matrix"],) = axis.plot(
            self.matrix_error, marker=".", **line_styles(1)[0], label=label
        )
        axis.set(
            xlabel="epoch of the matrix (0: start)",
            ylabel=r"$\|\hat{Q} - Q\|_1\,/\,K$",
        )
        axis.set_ylim(bottom=0)

    def _switch_epoch(self):
        robust = [row.get("robust", True) for row in self.history]
        return None if all(robust) or not any(robust) else robust.index(True) + 1

    def _mark(self, axis, names):
        """Mark warm-up, switch, new nets and kept epoch; `names` also in the legend."""
        warm_up = _runs([not row.get("robust", True) for row in self.history])
        marks = [
            (
                axis.axvspan,
                (first - 0.5, last + 0.5),
                WARM_UP,
                "epochs of cross-entropy",
            )
            for first, last in warm_up
        ]
        if self.switch_epoch_ is not None:
            label = f"robust loss from epoch {self.switch_epoch_}"
            marks.append((axis.axvline, (self.switch_epoch_ - 0.5,), SWITCH, label))
        marks += [
            (axis.axvline, (start + 0.5,), NEW_NET, "another net begins")
            for start in self._starts()
        ]
        label = f"kept: epoch {self.kept_epoch}"
        marks.append((axis.axvline, (self.kept_epoch,), KEPT, label))
        named = set() if names else {label for *_, label in marks}
        for draw, position, style, label in marks:
            draw(*position, **style, label=None if label in named else label)
            named.add(label)


def _runs(flags):
    """First and last epoch, counted from 1, of each run of true flags."""
    edges = np.flatnonzero(np.diff([0, *map(int, flags), 0]))
    return [(int(a) + 1, int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _kept_epoch(estimator):
    """Epoch of the net's weights: the best one on validation rows, or the last."""
    net = estimator.net_
    rows = [row for row in estimator.history_ if row.get("round") == net.round_]
    best_epoch = getattr(dict(net.callbacks_).get("best_epoch"), "best_epoch_", None)
    # The net counts its own epochs.
    return rows[-1 if best_epoch is None else best_epoch - 1]["epoch"]


def _matrix_error(estimator, true_matrix):
    path = getattr(estimator, "noise_matrix_path_", None)
    if true_matrix is None:
        if path is None or len(path) == 1:
            return None
        reference = path[-1]
    elif not hasattr(estimator, "noise_matrix_"):
        raise ValueError(
            f"true_matrix must be None for {type(estimator).__name__}, which has no "
            "noise matrix to compare with it."
        )
    else:
        if path is None:
            path = estimator.noise_matrix_[np.newaxis]
        reference = class_matrix(true_matrix, estimator.classes_, "true_matrix")
    return np.abs(path - reference).sum(axis=(1, 2)) / path.shape[1]


def _known_matrix(estimator, true_matrix):
    """The noise matrix that a perfect model's accuracy follows from, or None."""
    if true_matrix is not None:
        return true_matrix
    # The matrix of the top-down model converts labels, and says nothing of their noise.
    says_nothing = getattr(estimator, "noise_model", "top_down") == "top_down"
    is_validated = any("valid_acc" in row for row in estimator.history_)
    return None if says_nothing or not is_validated else estimator.noise_matrix_


def _perfect_agreement(estimator, noise_rate, noise_matrix, y_given):
    """Expected accuracy, on given labels, of a model that predicts true labels.

    Let the model be right in every row. A row of the true class i, with the weight w_j
    of its given label j, then counts as correct only if j = i. The weighted accuracy is
    Σ_i π_i Q_ii w_i / Σ_ij π_i Q_ji w_j.
    """
    if noise_rate is not None:
        if noise_matrix is not None or y_given is not None:
            other = "y_given" if noise_matrix is None else "noise_matrix"
            raise ValueError(f"noise_rate replaces {other}; give only one of them.")
        return 1.0 - check_real(noise_rate, "noise_rate", min_val=0, max_val=1)
    if noise_matrix is None:
        if y_given is not None:
            raise ValueError(
                "y_given is only used with a noise matrix; give noise_matrix, too."
            )
        return None
    classes = estimator.classes_
    Q = class_matrix(noise_matrix, classes)
    prior = np.full(len(classes), 1 / len(classes))
    if y_given is not None:
        labels = label_array(y_given, "y_given")
        outside = getattr(estimator, "outside_label", None)
        if outside is not None:
            labels = labels[labels != outside]
        codes = label_codes(labels, classes, "y_given")
        prior, _ = nnls(Q, np.bincount(codes, minlength=len(classes)) / len(codes))
        prior /= prior.sum()
    weight = class_weights(
        estimator.class_weight, np.arange(len(classes)), classes, Q @ prior
    )
    return float(weight * Q.diagonal() @ prior / (weight @ Q @ prior))
