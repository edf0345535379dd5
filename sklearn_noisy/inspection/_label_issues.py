"""The rows with the lowest label quality, as images or as a table."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_scalar

from sklearn_noisy.inspection._style import get_axes
from sklearn_noisy.label_issues import find_label_issues

COLUMNS = ("is_label_issue", "label_quality", "given_label", "predicted_label")

# Numbers of channels that an image can have.
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class _Table:
    """Sizes of a table, chosen by eye for matplotlib's default font at 9 points."""

    max_name: int = 12  # characters of a class name
    max_cell: int = 40  # characters of a cell, which may hold a text
    max_head: int = 10  # characters in a line of a head
    character: float = 0.085  # width in inches
    line: float = 0.26  # height in inches
    bold: float = 1.2  # width of a bold character relative to a regular one


TABLE = _Table()


class LabelIssuesDisplay:
    """The rows whose given labels are most likely wrong.

    Use :meth:`from_issues` or :meth:`from_estimator`. The title of an image consists of
    the given label, the predicted label and the quality, which is the probability of
    the given label. Rows that are not images are drawn as a table.

    Parameters
    ----------
    issues : DataFrame of shape (n_issues, 4)
        The result of :func:`~sklearn_noisy.find_label_issues` for the rows to draw,
        the lowest quality first.
    rows : ndarray of shape (n_issues, height, width) or (n_issues, height, width, \
            n_channels), or DataFrame of shape (n_issues, n_features)
        Images, or the features that a table shows, in the same order.
    class_names : dict of label to str, default=None
        Names of the labels; None shows the labels themselves.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of matplotlib Axes
        One for each image, or a single one for a table.
    text_ : list of matplotlib Text
        The titles of the images, or the cells of the table row by row.

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
        """Draw the rows with the lowest label quality.

        Parameters
        ----------
        issues : DataFrame of shape (n_samples, 4)
            The result of :func:`~sklearn_noisy.find_label_issues`, with the index 0 to
            n_samples - 1, or with the index of `X`. In the second case it may be a
            subset in any order.
        X : array-like of shape (n_samples, ...), DataFrame or sparse matrix
            The rows. They are images if `X` has more than two axes, ``(n, h, w)``,
            ``(n, h, w, channels)`` or ``(n, channels, h, w)`` with 1, 3 or 4
            channels, or if `image_shape` is given.
        n_issues : int, default=24
            Maximal number of rows to draw.
        image_shape : tuple of int, default=None
            Shape of each image, where the rows of `X` are flat: ``(h, w)``,
            ``(h, w, channels)`` or ``(channels, h, w)``.
        class_names : dict of label to str or list of str, default=None
            Names of the labels. A list has one name for each label in `issues`, in
            sorted order.
        ax : matplotlib Axes or array-like of them, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LabelIssuesDisplay

        Raises
        ------
        ValueError
            If the arguments do not fit each other, or the rows have the shape of
            neither images nor a table.
        TypeError
            If `issues` is not a DataFrame.
        """
        import pandas as pd

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
        order = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
        worst = order[:n_issues]
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
        """Find label issues, and draw the rows with the lowest label quality.

        Parameters
        ----------
        estimator : classifier
            A classifier with ``predict_proba``. A clone of it is fitted.
        X : array-like of shape (n_samples, ...)
            Rows, in a form that `estimator` accepts.
        y : array-like of shape (n_samples,)
            Given labels.
        find_params : dict, default=None
            Other arguments of :func:`~sklearn_noisy.find_label_issues`, such as
            ``{"cv": 3}``.
        n_issues : int, default=24
            Maximal number of rows to draw.
        image_shape : tuple of int, default=None
            Shape of each image, where the rows of `X` are flat.
        class_names : dict of label to str or list of str, default=None
            Names of the labels; see :meth:`from_issues`.
        ax : matplotlib Axes or array-like of them, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LabelIssuesDisplay
        """
        issues = find_label_issues(estimator, X, y, **(find_params or {}))
        if not _is_frame(X):
            issues = issues.reset_index(drop=True)  # may be the index of y
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
            One for each image, or one for a table. None creates a figure.
        cmap : str or matplotlib Colormap, default="gray_r"
            Colours of images with a single channel.
        n_columns : int, default=8
            Images in a line of a new figure.
        max_features : int, default=6
            Maximal number of columns of `X` in a table.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` has a different number of axes than needed.
        """
        check_scalar(n_columns, "n_columns", Integral, min_val=1)
        check_scalar(max_features, "max_features", Integral, min_val=1)
        if _is_frame(self.rows):
            self._draw_table(ax, max_features)
        else:
            self._draw_images(ax, cmap, n_columns)
        self.figure_ = self.ax_[0].figure
        return self

    def _describe(self, issue):
        """Given label, predicted label and quality as texts."""
        names = self.class_names or {}
        labels = issue["given_label"], issue["predicted_label"]
        shown = [_shorten(names.get(label, label), TABLE.max_name) for label in labels]
        quality = issue["label_quality"]
        low = quality < 0.001
        return [*shown, "< .001" if low else f"{quality:.3f}".removeprefix("0")]

    def _draw_images(self, ax, cmap, n_columns):
        height, width = self.rows.shape[1:3]
        panel_size = (1.5, 0.56 + 1.25 * min(height / width, 1.5))
        n_images = len(self.rows)
        self.ax_ = get_axes(ax, n_images, n_columns=n_columns, panel_size=panel_size)
        self.text_ = []
        panels = zip(self.ax_, self.rows, self.issues.iterrows(), strict=True)
        for axis, image, (_, issue) in panels:
            axis.imshow(_displayable(image), cmap=cmap)
            axis.set(xticks=[], yticks=[])  # the frame shows where a white image ends
            # constrained_layout measures titles before images get their aspect ratio.
            # Anchored at the top, an image leaves its title in place.
            axis.set_anchor("N")
            title = "given {}\npredicted {}\nquality {}".format(*self._describe(issue))
            self.text_.append(axis.set_title(title, fontsize=8.5))

    def _draw_table(self, ax, max_features):
        heads, cells = self._cells(max_features)
        widths = [
            2 + max(TABLE.bold * max(map(len, head.split("\n"))), *map(len, column))
            for head, column in zip(heads, zip(*cells, strict=True), strict=True)
        ]
        size = (TABLE.character * sum(widths), TABLE.line * (len(cells) + 2))
        self.ax_ = get_axes(ax, 1, panel_size=size)
        self.ax_[0].set_axis_off()
        table = self.ax_[0].table(
            cells,
            colLabels=heads,
            colWidths=[width / sum(widths) for width in widths],
            cellLoc="right",
            bbox=[0, 0, 1, 1],
        )
        table.auto_set_font_size(False)
        table.set_fontsize(9)
        self.text_ = []
        # Cells in the order of their lines and columns; line 0 holds the heads.
        for (line, _), cell in sorted(table.get_celld().items()):
            cell.visible_edges = "B"
            cell.set_edgecolor("#BBBBBB")
            if line == 0:
                cell.set_text_props(weight="bold", ha="right")
                cell.set_height(2 * cell.get_height())
            else:
                self.text_.append(cell.get_text())

    def _cells(self, max_features):
        """Heads of the columns, and the lines of the table, as texts."""
        shown = self.rows.iloc[:, :max_features]
        heads = ["row", "given", "predicted", "quality", *map(_shorten, shown.columns)]
        features = shown.itertuples(index=False, name=None)
        cells = [
            [_shorten(index), *self._describe(issue), *map(_shorten, values)]
            for (index, issue), values in zip(
                self.issues.iterrows(), features, strict=True
            )
        ]
        n_more = self.rows.shape[1] - shown.shape[1]
        if n_more:
            heads.append(f"… {n_more} more")
            cells = [[*line, ""] for line in cells]
        return ["\n".join(textwrap.wrap(head, TABLE.max_head)) for head in heads], cells


def _is_frame(X):
    """Whether `X` is a DataFrame or Series of pandas."""
    return hasattr(X, "iloc")


def _shorten(value, max_length=TABLE.max_cell):
    """A value as a short text in one line."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}"
    text = " ".join(str(value).split())
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def _displayable(image):
    """The image; colours outside [0, 1] are rescaled, since matplotlib clips them."""
    if image.ndim == 2 or image.dtype == np.uint8:
        return image
    image = image.astype(np.float64)
    low, high = image.min(), image.max()
    if low >= 0 and high <= 1:
        return image
    return (image - low) / max(high - low, 1e-300)


def _check_class_names(class_names, issues):
    """``{label: name}``, or None."""
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
    """Positions in `X` of the rows of `issues`."""
    n_rows = X.shape[0]
    has_index = _is_frame(X) and X.index.is_unique
    if has_index and issues.index.isin(X.index).all():
        return X.index.get_indexer(issues.index)
    if len(issues) != n_rows:
        raise ValueError(
            f"issues must have a row for each of the {n_rows} rows of X; got "
            f"{len(issues)}. Only with a DataFrame X can issues be a subset."
        )
    order = np.arange(n_rows)
    if not np.array_equal(issues.index, order):
        raise ValueError(
            "issues must be in the order of X: its index must be that of X, or count "
            "from 0. issues.sort_index() undoes a sort if the index was sorted; "
            "issues.reset_index(drop=True) confirms that the order is right."
        )
    return order


def _rows(X, positions, image_shape):
    """Rows as images, channels last, or as a DataFrame."""
    rows = X.iloc[positions] if _is_frame(X) else X[positions]
    if sparse.issparse(rows):
        rows = rows.toarray()
    if image_shape is None and rows.ndim <= 2:
        import pandas as pd

        is_list = rows.ndim == 1 and not _is_frame(rows)
        return pd.DataFrame({"X": rows} if is_list else rows)
    images = np.asarray(rows)
    if image_shape is not None:
        if np.prod(image_shape) != np.prod(images.shape[1:]):
            raise ValueError(
                f"image_shape={tuple(image_shape)} does not fit the rows of X, which "
                f"have shape {images.shape[1:]}."
            )
        images = images.reshape(len(images), *image_shape)
    has_channels = images.ndim == 4
    if has_channels and images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.moveaxis(images, 1, 3)
    if images.ndim != 3 and not (has_channels and images.shape[3] in CHANNELS):
        raise ValueError(
            "X must hold images of shape (h, w), (h, w, channels) or (channels, h, w) "
            f"with 1, 3 or 4 channels, or be a table; got rows of shape "
            f"{images.shape[1:]}."
        )
    return images[..., 0] if has_channels and images.shape[3] == 1 else images
