"""The noise matrix as a heatmap."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_noisy._estimators.noise_matrix import NoiseMatrixEstimator
from sklearn_noisy._estimators.noise_model import BaseNoiseModelClassifier
from sklearn_noisy.noise._checks import check_noise_matrix, in_class_order

__all__ = ["NoiseMatrixDisplay"]

# More classes than this: no values in the cells, and only some names.
MOST_VALUES = 12
MOST_NAMES = 25

# Of more classes than these, a cell off the diagonal is so small that a linear scale
# would show an empty matrix.
MOST_LINEAR = 25


class NoiseMatrixDisplay:
    """Heatmap of ``Q[j, i] = P(given label j | true label i)``.

    Use :meth:`from_estimator` or :meth:`from_matrix`.

    Parameters
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
    display_labels : array-like of shape (n_classes,), default=None
        Names of the classes; None numbers them.
    interval : ndarray of shape (2, n_classes, n_classes), default=None
        Lower and upper bounds, written under the values.
    true_matrix : ndarray of shape (n_classes, n_classes), default=None
        Drawn beside the estimate.

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
            Drawn beside it.
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        NoiseMatrixDisplay

        Raises
        ------
        TypeError
            If `estimator` is of a kind that has no noise matrix.
        NotFittedError
            If it is not fitted.
        """
        if not isinstance(estimator, (BaseNoiseModelClassifier, NoiseMatrixEstimator)):
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
            None takes the columns of a DataFrame, or else numbers the classes.
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

        Of more than 25 classes, colours go with the square root of the values.

        Parameters
        ----------
        ax : matplotlib Axes, or two with a `true_matrix`, default=None
            None makes a figure that fits the number of classes.
        cmap : str or matplotlib Colormap, default="viridis"
        include_values : bool, default=None
            Write the values into the cells; None does up to 12 classes.
        colorbar : bool, default=True

        Returns
        -------
        self
        """
        import matplotlib.pyplot as plt
        from matplotlib.colors import PowerNorm

        panels = [("estimated", self.noise_matrix, self.interval)]
        if self.true_matrix is not None:
            panels.insert(0, ("true", self.true_matrix, None))
        n_classes = len(self.noise_matrix)
        if ax is None:
            side = 5.0 if n_classes <= 6 else min(9.0, 3.0 + 0.55 * n_classes)
            _, ax = plt.subplots(
                1,
                len(panels),
                figsize=(side * len(panels) + 0.8, side),
                layout="constrained",
            )
        axes = np.atleast_1d(ax)
        if len(axes) != len(panels):
            raise ValueError(f"ax must be {len(panels)} axes; got {len(axes)}.")
        values = n_classes <= MOST_VALUES if include_values is None else include_values
        top = max(float(matrix.max()) for _, matrix, _ in panels)
        norm = PowerNorm(1 if n_classes <= MOST_LINEAR else 0.5, vmin=0, vmax=top)
        self.text_ = []
        for axis, (title, matrix, interval) in zip(axes, panels, strict=True):
            image = axis.imshow(matrix, cmap=cmap, norm=norm)
            if values:
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
        size = max(6.0, 12.0 - 0.35 * len(matrix))
        for (j, i), value in np.ndenumerate(matrix):
            text = f"{value:.2f}".removeprefix("0")
            if interval is not None:
                low, high = (f"{v:.2f}".removeprefix("0") for v in interval[:, j, i])
                text += f"\n{low}–{high}"
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            color = "white" if dark else "black"
            self.text_.append(
                axis.text(
                    i,
                    j,
                    text,
                    ha="center",
                    va="center",
                    color=color,
                    fontsize=size if interval is None else 0.95 * size,
                )
            )

    def _name(self, axis):
        n_classes = len(self.noise_matrix)
        names = self.display_labels
        names = range(n_classes) if names is None else names
        shown = np.arange(0, n_classes, -(-n_classes // MOST_NAMES))
        labels = [str(list(names)[k]) for k in shown]
        long = max(map(len, labels)) > 2
        axis.set_xticks(shown, labels, rotation=90 if long else 0)
        axis.set_yticks(shown, labels)
        axis.set_xlabel("true label")
        axis.set_ylabel("given label")
