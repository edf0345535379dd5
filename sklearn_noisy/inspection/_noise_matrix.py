"""The noise matrix as a heatmap."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_noisy._estimators.noise_adapted import NoiseAdaptedClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._validation import check_flag
from sklearn_noisy.inspection._arguments import as_list, find_estimator
from sklearn_noisy.inspection._style import font_size, get_axes, make_room, sizes_of
from sklearn_noisy.inspection._texts import as_text, shorten
from sklearn_noisy.noise._checks import check_noise_matrix, class_matrix
from sklearn_noisy.noise._names import named_classes


@dataclass(frozen=True)
class _Limits:
    """Numbers of classes up to which a plot is readable, chosen by eye."""

    values: int = 12  # with values in the cells
    names: int = 25  # with the names of all classes
    # With more classes, values off the diagonal are so small that a linear colour
    # scale would show an empty matrix.
    linear: int = 25
    name: int = 24  # characters of the name of a class
    empty: float = 0.005  # values below are not written
    font: tuple[float, float] = (5.0, 12.0)  # size of the values, in points


LIMITS = _Limits()

LAYOUT = "compressed"  # the cells are squares, so the aspect of the axes is fixed


class NoiseMatrixDisplay:
    """Heatmap of ``Q[j, i] = P(given label j | true label i)``.

    Use :meth:`from_estimator` or :meth:`from_matrix`. Cells of less than .005 are
    empty, and a line below the axes says so.

    Parameters
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
    display_labels : array-like of shape (n_classes,), default=None
        Names of the classes; None numbers them.
    interval : ndarray of shape (2, n_classes, n_classes), default=None
        Lower and upper bounds, written below the values.
    true_matrix : ndarray of shape (n_classes, n_classes), default=None
        Drawn to the left of the estimate.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes, or ndarray of two with a `true_matrix`
    text_ : list of matplotlib Text
        Values in the cells row by row, with an empty text for an empty cell. There are
        none if the values are not written.
    """

    def __init__(
        self, noise_matrix, *, display_labels=None, interval=None, true_matrix=None
    ):
        self.noise_matrix = noise_matrix
        self.display_labels = display_labels
        self.interval = interval
        self.true_matrix = true_matrix

    @classmethod
    def from_estimator(cls, estimator, *, true_matrix=None, ax=None, **plot_params):
        """Draw the matrix of a fitted estimator.

        Parameters
        ----------
        estimator : NoiseAdaptedClassifier or NoiseMatrixEstimator
            Fitted. It may be the last step of a Pipeline, the best estimator of a
            search, or the ``clf`` of a CleanLearning.
        true_matrix : array-like or DataFrame of shape (n_classes, n_classes), \
                default=None
            Drawn to the left of the estimate. DataFrames are matched by name.
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        NoiseMatrixDisplay

        Raises
        ------
        TypeError
            If `estimator` is, and holds, no estimator with a noise matrix.
        NotFittedError
            If `estimator` is not fitted.
        """
        estimator = find_estimator(
            estimator,
            (NoiseAdaptedClassifier, NoiseMatrixEstimator),
            hint="from_matrix draws any noise matrix.",
        )
        check_is_fitted(estimator, "noise_matrix_")
        if true_matrix is not None:
            true_matrix = class_matrix(true_matrix, estimator.classes_, "true_matrix")
        return cls.from_matrix(
            estimator.noise_matrix_,
            display_labels=estimator.classes_,
            interval=getattr(estimator, "interval_", None),
            true_matrix=true_matrix,
            ax=ax,
            **plot_params,
        )

    @classmethod
    def from_matrix(
        cls,
        noise_matrix,
        *,
        display_labels=None,
        interval=None,
        true_matrix=None,
        ax=None,
        **plot_params,
    ):
        """Draw a noise matrix.

        Parameters
        ----------
        noise_matrix : array-like or DataFrame of shape (n_classes, n_classes)
        display_labels : array-like of shape (n_classes,), default=None
            Names of the classes, in the order of the arrays. None takes those of a
            DataFrame, in sorted order; without one, classes are numbered.
        interval : array-like of shape (2, n_classes, n_classes), default=None
        true_matrix : array-like or DataFrame of shape (n_classes, n_classes), \
                default=None
            Drawn to the left of `noise_matrix`. DataFrames are matched by name.
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        NoiseMatrixDisplay

        Raises
        ------
        ValueError
            If a matrix is no noise matrix, the arguments do not fit each other, or two
            DataFrames have other classes.
        TypeError
            If `display_labels` is not a list of names.
        """
        if display_labels is not None:
            display_labels = as_list(display_labels, "display_labels", of="names")
        classes = _drawn_classes(noise_matrix, true_matrix, display_labels)
        if classes is None:
            Q = check_noise_matrix(noise_matrix)
        else:
            Q = class_matrix(noise_matrix, classes)
            display_labels = classes if display_labels is None else display_labels
        n_classes = len(Q)
        if true_matrix is not None:
            order = np.arange(n_classes) if classes is None else classes
            true_matrix = class_matrix(true_matrix, order, "true_matrix")
        if display_labels is not None and len(display_labels) != n_classes:
            raise ValueError(
                f"display_labels must name {n_classes} classes; got "
                f"{len(display_labels)}."
            )
        if interval is not None and np.shape(interval) != (2, n_classes, n_classes):
            raise ValueError(
                f"interval must have shape {(2, n_classes, n_classes)}; got "
                f"{np.shape(interval)}."
            )
        display = cls(
            Q,
            display_labels=display_labels,
            interval=None if interval is None else np.asarray(interval),
            true_matrix=true_matrix,
        )
        return display.plot(ax=ax, **plot_params)

    def plot(self, ax=None, *, cmap="viridis", include_values=None, colorbar=True):
        """Draw.

        With more than 25 classes, the colours show the square roots of the values.

        Parameters
        ----------
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
            None creates a figure whose size depends on the number of classes. If the
            names of the classes do not fit into the figure of given axes, and it has no
            layout engine, its axes are moved once so that they do.
        cmap : str or matplotlib Colormap, default="viridis"
        include_values : bool, default=None
            Whether to write the values into the cells. None writes them for up to 12
            classes if the cells are large enough.
        colorbar : bool, default=True

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` has a different number of axes than needed.
        TypeError
            If `include_values` or `colorbar` is not a boolean.
        """
        if include_values is not None:
            include_values = check_flag(include_values, "include_values")
        colorbar = check_flag(colorbar, "colorbar")
        panels = [("estimated", self.noise_matrix, self.interval)]
        if self.true_matrix is not None:
            panels.insert(0, ("true", self.true_matrix, None))
        n_classes = len(self.noise_matrix)
        side = 5.0 if n_classes <= 6 else min(9.0, 3.0 + 0.55 * n_classes)
        axes = get_axes(
            ax,
            len(panels),
            panel_size=(side, side),
            extra_width=0.8,
            layout=LAYOUT,
        )
        from matplotlib.colors import PowerNorm  # after get_axes, whose error helps

        top = max(float(matrix.max()) for _, matrix, _ in panels)
        norm = PowerNorm(1 if n_classes <= LIMITS.linear else 0.5, vmin=0, vmax=top)
        images = []
        for axis, (title, matrix, _) in zip(axes, panels, strict=True):
            images.append(axis.imshow(matrix, cmap=cmap, norm=norm))
            if len(panels) > 1:
                axis.set_title(title)
        for axis, size in zip(axes, sizes_of(axes), strict=True):
            self._name(axis, size)
        self.figure_ = axes[0].figure
        self.ax_ = axes[0] if len(panels) == 1 else axes
        if colorbar:
            # The tight layout of a user's figure knows colour bars of single axes only.
            engine = axes[0].figure.figure.get_layout_engine()
            is_tight = engine is not None and engine.colorbar_gridspec
            self.figure_.colorbar(
                images[-1],
                ax=axes[0] if is_tight and len(axes) == 1 else list(axes),
                shrink=0.8,
                label="P(given | true)",
            )
        if ax is not None:
            make_room(axes, LAYOUT)
        self.text_ = []
        sizes = sizes_of(axes)
        for image, panel, axis_size in zip(images, panels, sizes, strict=True):
            texts = _values(*panel[1:])
            size = _value_size(texts, axis_size)
            fits = n_classes <= LIMITS.values and size >= LIMITS.font[0]
            if fits if include_values is None else include_values:
                self._write(image, texts, max(size, LIMITS.font[0]))
        if ax is not None:
            make_room(axes, LAYOUT)  # for the line about empty cells, too
        return self

    def _write(self, image, texts, size):
        """Write texts into the cells, and below the axes what an empty cell means."""
        matrix, axis = image.get_array(), image.axes
        for (j, i), text in np.ndenumerate(texts):
            red, green, blue, _ = image.cmap(image.norm(matrix[j, i]))
            # Luma of ITU-R BT.601.
            is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            color = "white" if is_dark else "black"
            style = {"ha": "center", "va": "center", "color": color, "fontsize": size}
            self.text_.append(axis.text(i, j, text, **style))
        if not texts.all():
            note = f"empty cells: below {LIMITS.empty}".replace("0.", ".")
            axis.set_xlabel(f"true label\n({note})")

    def _name(self, axis, axis_size):
        n_classes = len(self.noise_matrix)
        names = range(n_classes) if self.display_labels is None else self.display_labels
        names = [shorten(as_text(name), LIMITS.name) for name in names]
        size = font_size(axis_size[0])
        # A line of text takes about 1.5 times its size of 1/72 inch.
        most = min(LIMITS.names, max(1, int(min(axis_size) * 72 / (1.5 * size))))
        shown = np.arange(0, n_classes, -(-n_classes // most))
        labels = [names[k] for k in shown]
        rotation = 90 if max(map(len, labels)) > 2 else 0
        # A dollar sign in the name of a class does not begin a formula.
        style = {"fontsize": size, "parse_math": False}
        axis.set_xticks(shown, labels, rotation=rotation, **style)
        axis.set_yticks(shown, labels, **style)
        axis.set_xlabel("true label", fontsize=size)
        axis.set_ylabel("given label", fontsize=size)


def _values(matrix, interval):
    """Texts of the cells, of the shape of the matrix; small values have none."""
    texts = np.empty(matrix.shape, dtype=object)
    for cell, value in np.ndenumerate(matrix):
        bounds = [] if interval is None else interval[(slice(None), *cell)]
        largest = max(value, *bounds, value)
        parts = [f"{v:.2f}".removeprefix("0") for v in (value, *bounds)]
        text = "\n".join([parts[0], "–".join(parts[1:])]).rstrip("\n")
        texts[cell] = text if largest >= LIMITS.empty else ""
    return texts


def _value_size(texts, axis_size):
    """Font size in points with which the longest text fits into a cell."""
    longest = max(max(map(len, text.split("\n"))) for text in texts.ravel())
    cell = min(axis_size) / len(texts) * 72
    # A digit is 0.64 times as wide as the font is high.
    return min(0.85 * cell / (0.64 * max(longest, 1)), LIMITS.font[1])


def _drawn_classes(noise_matrix, true_matrix, display_labels):
    """Classes of named matrices in the order of drawing; None if nothing is named."""
    classes = named_classes(noise_matrix, true_matrix)
    if classes is None or display_labels is None:
        return classes
    labels = np.asarray(display_labels)
    return labels if {*labels.tolist()} == {*classes.tolist()} else classes
