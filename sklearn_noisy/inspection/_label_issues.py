"""The rows whose labels look most wrong, as images or as a table."""

import textwrap
from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_scalar

from sklearn_noisy.inspection._style import get_axes
from sklearn_noisy.label_issues import find_label_issues

__all__ = ["LabelIssuesDisplay"]

COLUMNS = ("is_label_issue", "label_quality", "given_label", "predicted_label")

# Numbers of channels that an image can have.
CHANNELS = (1, 3, 4)

# Characters of a name, and of a cell of the table, which may be a text.
MOST_IN_NAME = 12
MOST_IN_CELL = 40

# Inches that a character and a line of the table take.
CHARACTER = 0.085
LINE = 0.26


class LabelIssuesDisplay:
    """The rows whose given labels look most wrong.

    Use :meth:`from_issues` or :meth:`from_estimator`. Images are drawn as such, with
    the given label, the predicted one, and the quality, which is the probability of
    the given label; other rows are drawn as a table.

    Parameters
    ----------
    issues : DataFrame of shape (n_issues, 4)
        What :func:`~sklearn_noisy.find_label_issues` says of the rows to draw, the
        worst first.
    rows : ndarray of shape (n_issues, height, width) or (n_issues, height, width, \
            n_channels), or DataFrame of shape (n_issues, n_features)
        Images, or what a table shows, in the same order.
    class_names : dict of label to str, default=None
        What to call the labels; None takes the labels themselves.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of matplotlib Axes
        One for each image, or a single one for a table.
    text_ : list of matplotlib Text
        The titles of the images; of a table, its cells row by row.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_noisy import find_label_issues
    >>> from sklearn_noisy.datasets import corrupt_labels
    >>> from sklearn_noisy.inspection import LabelIssuesDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> y_given = corrupt_labels(y, noise_rate=0.2, exact=True, random_state=0)
    >>> issues = find_label_issues(LogisticRegression(max_iter=1000), X, y_given)
    >>> display = LabelIssuesDisplay.from_issues(issues, X, n_issues=10)
    >>> len(display.issues)
    10
    """

    def __init__(self, issues, rows, *, class_names=None):
        self.issues = issues
        self.rows = rows
        self.class_names = class_names

    @classmethod
    def from_issues(
        cls,
        issues,
        X,
        *,
        n_issues=24,
        image_shape=None,
        class_names=None,
        ax=None,
        **plot_params,
    ):
        """Draw the rows of the lowest label quality.

        Parameters
        ----------
        issues : DataFrame of shape (n_samples, 4)
            As :func:`~sklearn_noisy.find_label_issues` returned it, numbered from 0
            on, or with the index of `X`: then it may be a part of it, in any order.
        X : array-like of shape (n_samples, ...), DataFrame or sparse matrix
            The rows. They are images if there are more than two axes, ``(n, h, w)``,
            ``(n, h, w, channels)`` or ``(n, channels, h, w)`` with 1, 3 or 4
            channels, or if an `image_shape` is given.
        n_issues : int, default=24
            Rows to draw, at most.
        image_shape : tuple of int, default=None
            Shape of each image, where the rows of `X` are flat: ``(h, w)``,
            ``(h, w, channels)`` or ``(channels, h, w)``.
        class_names : dict of label to str or list of str, default=None
            What to call the labels; a list has one name for each label of `issues`,
            sorted.
        ax : matplotlib Axes or array-like of them, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LabelIssuesDisplay

        Raises
        ------
        ValueError
            If the arguments do not belong together, or the rows have the shape of
            neither images nor a table.
        TypeError
            If `issues` is no DataFrame.
        """
        if not isinstance(issues, pd.DataFrame):
            raise TypeError(
                "issues must be the DataFrame that find_label_issues returns; got "
                f"{type(issues).__name__}."
            )
        missing = [name for name in COLUMNS if name not in issues]
        if missing:
            raise ValueError(
                f"issues must have the columns {', '.join(COLUMNS)}; it lacks "
                f"{', '.join(missing)}."
            )
        check_scalar(n_issues, "n_issues", Integral, min_val=1)
        if not hasattr(X, "shape"):
            X = np.asarray(X)
        names = _check_class_names(class_names, issues)
        positions = _positions(issues, X)
        worst = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
        worst = worst[:n_issues]
        rows = _rows(X, positions[worst], image_shape)
        display = cls(issues.iloc[worst], rows, class_names=names)
        return display.plot(ax=ax, **plot_params)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        find_params=None,
        n_issues=24,
        image_shape=None,
        class_names=None,
        ax=None,
        **plot_params,
    ):
        """Find the labels that look wrong, and draw the worst.

        Parameters
        ----------
        estimator : classifier
            Any with ``predict_proba``; it is cloned, not fitted.
        X : array-like of shape (n_samples, ...)
            What `estimator` takes.
        y : array-like of shape (n_samples,)
            Given labels.
        find_params : dict, default=None
            Other arguments of :func:`~sklearn_noisy.find_label_issues`, such as
            ``{"cv": 3}``.
        n_issues : int, default=24
            Rows to draw, at most.
        image_shape : tuple of int, default=None
            Shape of each image, where the rows of `X` are flat.
        class_names : dict of label to str or list of str, default=None
            What to call the labels; see :meth:`from_issues`.
        ax : matplotlib Axes or array-like of them, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LabelIssuesDisplay
        """
        issues = find_label_issues(estimator, X, y, **(find_params or {}))
        if not isinstance(X, (pd.DataFrame, pd.Series)):
            issues = issues.reset_index(drop=True)  # it may have that of y
        return cls.from_issues(
            issues,
            X,
            n_issues=n_issues,
            image_shape=image_shape,
            class_names=class_names,
            ax=ax,
            **plot_params,
        )

    def plot(self, ax=None, *, cmap="gray_r", n_columns=8, max_features=6):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One for each image, or one for a table; None makes a figure.
        cmap : str or matplotlib Colormap, default="gray_r"
            Of images with a single channel.
        n_columns : int, default=8
            Images beside each other in a new figure.
        max_features : int, default=6
            Columns of `X` in a table, at most.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` are not as many as needed.
        """
        check_scalar(n_columns, "n_columns", Integral, min_val=1)
        check_scalar(max_features, "max_features", Integral, min_val=1)
        if isinstance(self.rows, pd.DataFrame):
            self._draw_table(ax, max_features)
        else:
            self._draw_images(ax, cmap, n_columns)
        self.figure_ = self.ax_[0].figure
        return self

    def _call(self, label):
        name = label if self.class_names is None else self.class_names.get(label, label)
        return _shorten(name, MOST_IN_NAME)

    def _draw_images(self, ax, cmap, n_columns):
        height, width = self.rows.shape[1:3]
        panel_size = (1.5, 0.56 + 1.25 * min(height / width, 1.5))
        self.ax_ = get_axes(
            ax, len(self.rows), n_columns=n_columns, panel_size=panel_size
        )
        self.text_ = []
        for axis, image, (_, issue) in zip(
            self.ax_, self.rows, self.issues.iterrows(), strict=True
        ):
            axis.imshow(_displayable(image), cmap=cmap)
            # A frame, so that one sees where a white image ends.
            axis.set(xticks=[], yticks=[])
            # Room that an image leaves is below it: constrained_layout measures titles
            # before images get their shape, and would cut them off.
            axis.set_anchor("N")
            title = (
                f"given {self._call(issue['given_label'])}\n"
                f"predicted {self._call(issue['predicted_label'])}\n"
                f"quality {_quality(issue['label_quality'])}"
            )
            self.text_.append(axis.set_title(title, fontsize=8.5))

    def _draw_table(self, ax, max_features):
        shown = self.rows.iloc[:, :max_features]
        heads = ["row", "given", "predicted", "quality", *map(_shorten, shown.columns)]
        cells = [
            [
                _shorten(index),
                self._call(issue["given_label"]),
                self._call(issue["predicted_label"]),
                _quality(issue["label_quality"]),
                *map(_shorten, values),
            ]
            for (index, issue), values in zip(
                self.issues.iterrows(),
                shown.itertuples(index=False, name=None),
                strict=True,
            )
        ]
        n_more = self.rows.shape[1] - shown.shape[1]
        if n_more:
            heads.append(f"… {n_more} more")
            cells = [[*line, ""] for line in cells]
        # Long heads take two lines.
        heads = ["\n".join(textwrap.wrap(head, 10)) for head in heads]
        widths = [
            # Bold letters are wider.
            2 + max(*(1.2 * len(part) for part in head.split("\n")), *map(len, column))
            for head, column in zip(heads, zip(*cells, strict=True), strict=True)
        ]
        size = (CHARACTER * sum(widths), LINE * (len(cells) + 2))
        self.ax_ = get_axes(ax, 1, panel_size=size)
        axis = self.ax_[0]
        axis.set_axis_off()
        table = axis.table(
            cells,
            colLabels=heads,
            colWidths=[width / sum(widths) for width in widths],
            cellLoc="right",
            bbox=[0, 0, 1, 1],
        )
        table.auto_set_font_size(False)
        table.set_fontsize(9)
        for (line, _), cell in table.get_celld().items():
            # Lines below the rows only; the heads bold and twice as high.
            cell.visible_edges = "B"
            cell.set_edgecolor("#BBBBBB")
            if line == 0:
                cell.set_text_props(weight="bold", ha="right")
                cell.set_height(2 * cell.get_height())
        self.text_ = [
            table[line, column].get_text()
            for line in range(1, len(cells) + 1)
            for column in range(len(heads))
        ]


def _shorten(value, most=MOST_IN_CELL):
    """A value as a short text."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}"
    # A line break or a tab would leave the cell.
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _quality(value):
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _displayable(image):
    """Colours in [0, 1] where matplotlib would cut them off; grey as it is."""
    if image.ndim == 2 or image.dtype == np.uint8:
        return image
    image = image.astype(np.float64)
    low, high = image.min(), image.max()
    if low >= 0 and high <= 1:
        return image
    return (image - low) / max(high - low, 1e-300)


def _check_class_names(class_names, issues):
    """Names by label."""
    if class_names is None or isinstance(class_names, Mapping):
        return class_names
    labels = np.unique(issues[["given_label", "predicted_label"]].to_numpy())
    if len(class_names) != len(labels):
        raise ValueError(
            f"class_names must have a name for each of the {len(labels)} labels "
            f"{labels.tolist()}, or be a dict; got {len(class_names)}."
        )
    return dict(zip(labels.tolist(), class_names, strict=True))


def _positions(issues, X):
    """Where in `X` the rows of `issues` are."""
    n_rows = X.shape[0]
    indexed = isinstance(X, (pd.DataFrame, pd.Series)) and X.index.is_unique
    if indexed and issues.index.isin(X.index).all():
        return X.index.get_indexer(issues.index)
    if len(issues) != n_rows:
        raise ValueError(
            f"issues must have a row for each of the {n_rows} rows of X; got "
            f"{len(issues)}. (A part of it will do if X is a DataFrame.)"
        )
    order = np.arange(n_rows)
    if not np.array_equal(issues.index, order):
        raise ValueError(
            "issues must be in the order of X, and its index, which is not that of X, "
            "does not say so. issues.sort_index() undoes a sort (if the index was "
            "sorted), issues.reset_index(drop=True) says that the order is right."
        )
    return order


def _rows(X, positions, image_shape):
    """Rows as images, channels last, or as a DataFrame."""
    frame = isinstance(X, (pd.DataFrame, pd.Series))
    rows = X.iloc[positions] if frame else X[positions]
    if sparse.issparse(rows):
        rows = rows.toarray()
    if image_shape is None and rows.ndim <= 2:
        rows = pd.DataFrame(rows) if frame or rows.ndim == 2 else pd.Series(rows)
        return rows.to_frame("X") if isinstance(rows, pd.Series) else rows
    images = np.asarray(rows)
    if image_shape is not None:
        if np.prod(image_shape) != np.prod(images.shape[1:]):
            raise ValueError(
                f"image_shape={tuple(image_shape)} does not fit the rows of X, which "
                f"have shape {images.shape[1:]}."
            )
        images = images.reshape(len(images), *image_shape)
    if images.ndim == 4:
        if images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
            images = np.moveaxis(images, 1, 3)
        if images.shape[3] == 1:
            images = images[..., 0]
    if images.ndim not in (3, 4) or (
        images.ndim == 4 and images.shape[3] not in CHANNELS
    ):
        raise ValueError(
            "X must hold images of shape (h, w), (h, w, channels) or (channels, h, w) "
            f"with 1, 3 or 4 channels, or be a table; got rows of shape "
            f"{images.shape[1:]}."
        )
    return images
