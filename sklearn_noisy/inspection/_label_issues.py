"""The rows whose labels are most likely wrong, as images or as a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sklearn_noisy._validation import check_choice, check_integer
from sklearn_noisy.inspection._arguments import as_list
from sklearn_noisy.inspection._issue_rows import (
    check_issues,
    choose,
    is_pandas,
    positions_in,
    rows_at,
)
from sklearn_noisy.inspection._style import get_axes, make_room, sizes_of
from sklearn_noisy.inspection._texts import as_text, is_number, shorten, wrap
from sklearn_noisy.label_issues import find_label_issues

ORDERS = ("spread", "quality")


@dataclass(frozen=True)
class _Titles:
    """Sizes of the titles of images, chosen by eye for matplotlib's default font."""

    size: float = 8.5  # points
    character: float = 0.068  # width in inches at that size
    line: float = 0.17  # height in inches at that size
    max_line: int = 24  # characters of a line that holds both labels


@dataclass(frozen=True)
class _Table:
    """Sizes of a table, chosen by eye for matplotlib's default font at 9 points."""

    size: float = 9.0  # points
    max_name: int = 12  # characters of a class name
    max_index: int = 24  # characters of the index of a row
    least_quality: float = 1e-6  # smaller qualities are not told apart
    max_lines: int = 3  # lines of a cell that holds a text
    widths: tuple[int, int] = (16, 60)  # limits of the width of a text, in characters
    total: int = 130  # characters of all columns of features
    labels: int = 40  # characters of the columns before the features
    head: int = 10  # characters in a line of a head
    character: float = 0.085  # width in inches
    least_character: float = 0.06  # width for which texts are shortened
    line: float = 0.15  # height in inches
    padding: float = 0.11  # height in inches, above and below the lines of a row
    bold: float = 1.2  # width of a bold character relative to a regular one


TITLES = _Titles()
TABLE = _Table()


class LabelIssuesDisplay:
    """The rows whose given labels are most likely wrong.

    Use :meth:`from_issues` or :meth:`from_estimator`. The title of an image consists of
    the given label, the label that the model suggests, and the quality, which is the
    probability of the given label. Rows that are not images are drawn as a table.

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
        order="spread",
        image_shape=None,
        class_names=None,
        ax=None,
        **plot_params,
    ):
        """Draw the rows whose labels look most wrong.

        Parameters
        ----------
        issues : DataFrame of shape (n_samples, 4)
            The result of :func:`~sklearn_noisy.find_label_issues`, with the index 0 to
            n_samples - 1, or with the index of `X`. In the second case it may be a
            subset in any order.
        X : array-like of shape (n_samples, ...), DataFrame, sparse matrix or Dataset
            The rows. They are images if `X` has more than two axes, ``(n, h, w)``,
            ``(n, h, w, channels)`` or ``(n, channels, h, w)`` with 1, 3 or 4
            channels, or if `image_shape` is given.
        n_issues : int, default=24
            Maximal number of rows to draw.
        order : {"spread", "quality"}, default="spread"
            Which rows are drawn. ``"spread"``: label issues before other rows, and of
            these, the rows are spread over the pairs of given and suggested label.
            First the worst row of every pair is taken, then the second worst of every
            pair, and so on, in each round by their quality. ``"quality"``: the rows of
            the lowest quality, even if all of them belong to one pair. In both cases,
            the chosen rows are drawn in the order of their quality.
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
            If the arguments do not fit each other, `issues` has no row, or the rows
            have the shape of neither images nor a table.
        TypeError
            If `issues` is not a DataFrame, or an argument is of another kind than
            described.
        """
        check_issues(issues)
        n_issues = check_integer(n_issues, "n_issues", min_val=1)
        check_choice(order, "order", ORDERS)
        names = _check_class_names(class_names, issues)
        positions = positions_in(X, issues)
        chosen = choose(issues, n_issues, order)
        rows = rows_at(X, positions[chosen], image_shape)
        display = cls(issues.iloc[chosen], rows, class_names=names)
        return display.plot(ax=ax, **plot_params)

    @classmethod
    def from_estimator(  # noqa: PLR0913
        cls,
        estimator,
        X,
        y,
        *,
        find_params=None,
        n_issues=24,
        order="spread",
        image_shape=None,
        class_names=None,
        ax=None,
        **plot_params,
    ):
        """Find label issues, and draw the rows whose labels look most wrong.

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
        order : {"spread", "quality"}, default="spread"
            Which rows are drawn; see :meth:`from_issues`.
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
        if not is_pandas(X):
            issues = issues.reset_index(drop=True)  # may be the index of y
        return cls.from_issues(
            issues,
            X,
            n_issues=n_issues,
            order=order,
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
        n_columns = check_integer(n_columns, "n_columns", min_val=1)
        max_features = check_integer(max_features, "max_features", min_val=1)
        if is_pandas(self.rows):
            self._draw_table(ax, max_features)
        else:
            self._draw_images(ax, cmap, n_columns)
        self.figure_ = self.ax_[0].figure
        return self

    def _describe(self, issue):
        """Given label, suggested label and quality as texts."""
        names = self.class_names or {}
        labels = issue["given_label"], issue["predicted_label"]
        shown = [
            shorten(as_text(names.get(label, label)), TABLE.max_name)
            for label in labels
        ]
        return [*shown, _quality(issue["label_quality"])]

    def _titles(self, max_line):
        """Title of each image; its labels are in one line if all of these fit."""
        texts = [self._describe(issue) for _, issue in self.issues.iterrows()]
        labels = [
            (f"given {given},", f"suggested {other}") for given, other, _ in texts
        ]
        fit = max(len(" ".join(both)) for both in labels) <= max_line
        between = " " if fit else "\n"
        return [
            f"{between.join(both)}\nquality {quality}"
            for both, (_, _, quality) in zip(labels, texts, strict=True)
        ]

    def _draw_images(self, ax, cmap, n_columns):
        titles = self._titles(TITLES.max_line)
        height, width = self.rows.shape[1:3]
        longest = max(len(line) for title in titles for line in title.split("\n"))
        n_lines = titles[0].count("\n") + 1
        panel_size = (
            max(1.5, TITLES.character * (longest + 2)),
            0.05 + TITLES.line * n_lines + 1.25 * min(height / width, 1.5),
        )
        n_images = len(self.rows)
        self.ax_ = get_axes(ax, n_images, n_columns=n_columns, panel_size=panel_size)
        size = TITLES.size
        if ax is not None:
            # Between axes is room for some characters more than above them.
            width = 1.15 * min(width for width, _ in sizes_of(self.ax_))
            titles = self._titles(width / TITLES.character)
            longest = max(len(line) for title in titles for line in title.split("\n"))
            fitting = size * width / (TITLES.character * longest)
            size = float(np.clip(fitting, 5.0, size))
        self.text_ = []
        for axis, image, title in zip(self.ax_, self.rows, titles, strict=True):
            axis.imshow(_displayable(image), cmap=cmap)
            axis.set(xticks=[], yticks=[])  # the frame shows where a white image ends
            # constrained_layout measures titles before images get their aspect ratio.
            # Anchored at the top, an image leaves its title in place.
            axis.set_anchor("N")
            # A dollar sign in the name of a class does not begin a formula.
            self.text_.append(axis.set_title(title, fontsize=size, parse_math=False))
        if ax is not None:
            make_room(self.ax_)

    def _draw_table(self, ax, max_features):
        total = TABLE.total
        if ax is not None:
            ((width, _),) = sizes_of(get_axes(ax, 1))
            total = min(total, width / TABLE.least_character - TABLE.labels)
        heads, cells, is_left = self._cells(max_features, total)
        widths = [
            2 + max(TABLE.bold * _longest_line(head), *map(_longest_line, column))
            for head, column in zip(heads, zip(*cells, strict=True), strict=True)
        ]
        heights = [
            TABLE.padding + TABLE.line * max(cell.count("\n") + 1 for cell in line)
            for line in [heads, *cells]
        ]
        needed = np.array([TABLE.character * sum(widths), sum(heights)])
        self.ax_ = get_axes(ax, 1, panel_size=tuple(needed))
        size = TABLE.size
        if ax is not None:
            size *= min(1.0, *(sizes_of(self.ax_)[0] / needed))
        from matplotlib.table import Table  # get_axes says if matplotlib is missing

        self.ax_[0].set_axis_off()
        table = Table(self.ax_[0], bbox=[0, 0, 1, 1])
        table.auto_set_font_size(False)
        self.text_ = []
        for row, line in enumerate([heads, *cells]):
            for column, text in enumerate(line):
                cell = table.add_cell(
                    row,
                    column,
                    width=widths[column],
                    height=heights[row],
                    text=text,
                    loc="left" if is_left[column] else "right",
                )
                cell.visible_edges = "B"
                cell.set_edgecolor("#BBBBBB")
                cell.PAD = 1 / widths[column]  # one character
                style = {"fontsize": size, "weight": "normal" if row else "bold"}
                # A dollar sign in a text does not begin a formula.
                cell.set_text_props(parse_math=False, **style)
                if row:
                    self.text_.append(cell.get_text())
        self.ax_[0].add_table(table)
        if ax is not None:
            make_room(self.ax_)

    def _cells(self, max_features, total):
        """Heads, lines of the table, and whether a column is aligned to the left."""
        shown = self.rows.iloc[:, :max_features]
        labels = ["given_label", "predicted_label", "label_quality"]
        columns = [
            self.issues.index,
            *(self.issues[name] for name in labels),
            *(shown.iloc[:, k] for k in range(shown.shape[1])),
        ]
        is_left = [not any(map(is_number, column)) for column in columns]
        is_left[1] |= self.class_names is not None
        is_left[2] = is_left[1]
        texts = [[as_text(value) for value in column] for column in columns[4:]]
        limit = _text_width(texts, total)
        texts = [
            [wrap(text, limit, TABLE.max_lines) for text in column] for column in texts
        ]
        described = [self._describe(issue) for _, issue in self.issues.iterrows()]
        index = [shorten(as_text(value), TABLE.max_index) for value in columns[0]]
        columns = [index, *map(list, zip(*described, strict=True)), *texts]
        heads = ["row", "given", "suggested", "quality", *map(_head, shown.columns)]
        n_more = self.rows.shape[1] - shown.shape[1]
        if n_more:
            heads.append(f"… {n_more} more")
            columns.append([""] * len(index))
            is_left.append(False)
        heads = [
            wrap(head, max(TABLE.head, *map(_longest_line, column)), TABLE.max_lines)
            for head, column in zip(heads, columns, strict=True)
        ]
        return heads, list(zip(*columns, strict=True)), is_left


def _quality(value):
    """A probability with three decimals, or with one digit if it is small."""
    if value < TABLE.least_quality:
        return f"< {TABLE.least_quality:.6f}".replace("0.", ".")
    n_decimals = 3 if not value < 0.001 else -math.floor(math.log10(value))
    return f"{value:.{n_decimals}f}".removeprefix("0")


def _longest_line(text):
    return max(map(len, text.split("\n")))


def _text_width(columns, total):
    """Characters of the widest column, so that all columns have room in a line."""
    longest = [max(map(len, column)) for column in columns]
    least, most = TABLE.widths
    for width in range(most, least, -1):
        if sum(min(length, width) for length in longest) <= total:
            return width
    return least


def _head(name):
    """Name of a column; one of several levels is a tuple."""
    return " ".join(map(as_text, name)) if isinstance(name, tuple) else as_text(name)


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
    names = as_list(class_names, "class_names", of="names, or a dict of label to name")
    labels = np.unique(issues[["given_label", "predicted_label"]].to_numpy())
    if len(names) != len(labels):
        raise ValueError(
            f"class_names must have a name for each of the {len(labels)} labels "
            f"{labels.tolist()}, or be a dict; got {len(names)}."
        )
    return dict(zip(labels.tolist(), names, strict=True))
