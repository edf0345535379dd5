"""The noise matrix as a heatmap."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_noisy._estimators.noise_adapted import NoiseAdaptedClassifier
from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy.inspection._style import get_axes
from sklearn_noisy.noise._checks import check_noise_matrix, in_class_order


@dataclass(frozen=True)
class _Limits:
    """Numbers of classes up to which a plot is readable, chosen by eye."""

    values: int = 12  # with values in the cells
    names: int = 25  # with the names of all classes
    # With more classes, values off the diagonal are so small that a linear colour
    # scale would show an empty matrix.
    linear: int = 25


LIMITS = _Limits()


class NoiseMatrixDisplay:
    """Heatmap of ``Q[j, i] = P(given label j | true label i)``.

    Use :meth:`from_estimator` or :meth:`from_matrix`.

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
        Values in the cells.
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
            Fitted.
        true_matrix : array-like of shape (n_classes, n_classes), default=None
            Drawn to the left of the estimate.
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        NoiseMatrixDisplay

        Raises
        ------
        TypeError
            If `estimator` is of a class without a noise matrix.
        NotFittedError
            If `estimator` is not fitted.
        """
        if not isinstance(estimator, (NoiseAdaptedClassifier, NoiseMatrixEstimator)):
            raise TypeError(
                "estimator must be a NoiseAdaptedClassifier or a NoiseMatrixEstimator "
                "(the last step of a Pipeline, the best_estimator_ of a search); got "
                f"{type(estimator).__name__}. from_matrix draws any noise matrix."
            )
        check_is_fitted(estimator, "noise_matrix_")
        if true_matrix is not None:
            true_matrix = in_class_order(true_matrix, estimator.classes_, "true_matrix")
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
            None takes the columns of a DataFrame; without one, classes are numbered.
        interval : array-like of shape (2, n_classes, n_classes), default=None
        true_matrix : array-like of shape (n_classes, n_classes), default=None
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        NoiseMatrixDisplay
        """
        if hasattr(noise_matrix, "loc"):
            names = np.asarray(noise_matrix.columns)
            noise_matrix = in_class_order(noise_matrix, names)
            if true_matrix is not None:
                true_matrix = in_class_order(true_matrix, names, "true_matrix")
            display_labels = names if display_labels is None else display_labels
        Q = check_noise_matrix(noise_matrix)
        n_classes = len(Q)
        if true_matrix is not None:
            true_matrix = check_noise_matrix(true_matrix, n_classes=n_classes)
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
            None creates a figure whose size depends on the number of classes.
        cmap : str or matplotlib Colormap, default="viridis"
        include_values : bool, default=None
            Whether to write the values into the cells. None writes them for up to 12
            classes.
        colorbar : bool, default=True

        Returns
        -------
        self
        """
        from matplotlib.colors import PowerNorm

        panels = [("estimated", self.noise_matrix, self.interval)]
        if self.true_matrix is not None:
            panels.insert(0, ("true", self.true_matrix, None))
        n_classes = len(self.noise_matrix)
        side = 5.0 if n_classes <= 6 else min(9.0, 3.0 + 0.55 * n_classes)
        axes = get_axes(ax, len(panels), panel_size=(side, side), extra_width=0.8)
        if include_values is None:
            include_values = n_classes <= LIMITS.values
        top = max(float(matrix.max()) for _, matrix, _ in panels)
        norm = PowerNorm(1 if n_classes <= LIMITS.linear else 0.5, vmin=0, vmax=top)
        self.text_ = []
        for axis, (title, matrix, interval) in zip(axes, panels, strict=True):
            image = axis.imshow(matrix, cmap=cmap, norm=norm)
            if include_values:
                self._write(axis, image, matrix, interval)
            self._name(axis)
            if len(panels) > 1:
                axis.set_title(title)
        self.figure_ = axes[0].figure
        self.ax_ = axes[0] if len(panels) == 1 else axes
        if colorbar:
            self.figure_.colorbar(
                image, ax=list(axes), shrink=0.8, label="P(given | true)"
            )
        return self

    def _write(self, axis, image, matrix, interval):
        size = max(6.0, 12.0 - 0.35 * len(matrix)) * (1 if interval is None else 0.95)
        for (j, i), value in np.ndenumerate(matrix):
            bounds = [] if interval is None else interval[:, j, i]
            text, *bounds = (f"{v:.2f}".removeprefix("0") for v in (value, *bounds))
            if bounds:
                text += "\n" + "–".join(bounds)
            red, green, blue, _ = image.cmap(image.norm(value))
            # Luma of ITU-R BT.601.
            is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            color = "white" if is_dark else "black"
            style = {"ha": "center", "va": "center", "color": color, "fontsize": size}
            self.text_.append(axis.text(i, j, text, **style))

    def _name(self, axis):
        n_classes = len(self.noise_matrix)
        names = range(n_classes) if self.display_labels is None else self.display_labels
        shown = np.arange(0, n_classes, -(-n_classes // LIMITS.names))
        labels = [str(list(names)[k]) for k in shown]
        rotation = 90 if max(map(len, labels)) > 2 else 0
        axis.set_xticks(shown, labels, rotation=rotation)
        axis.set_yticks(shown, labels)
        axis.set(xlabel="true label", ylabel="given label")
