"""Losses and their gradients, against the probability of the given label."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from sklearn_noisy._estimators.robust_loss import RobustLossClassifier, loss_parameters
from sklearn_noisy._training.surroundings import own_torch_modes
from sklearn_noisy._validation import check_choice, check_integer
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
from sklearn_noisy.losses import LOSSES, make_loss


@dataclass(frozen=True)
class _Curves:
    """Range and axes of the curves, chosen by eye for the losses of this package."""

    n_points: int = 999  # inside (0, 1): losses and gradients have poles at 0 and 1
    # Only slopes at probabilities from `low` to `high` must fit the gradient's axis.
    low: float = 0.1
    high: float = 0.9
    narrow: float = 2.5  # inches of width below which labels have two lines
    n_names: int = 4  # with more losses, the legend is beside the panels


CURVES = _Curves()

GRADIENTS = {
    "probability": r"gradient  $\mathrm{d}\ell\,/\,\mathrm{d}p_t$",
    "logit": r"gradient  $\mathrm{d}\ell\,/\,\mathrm{d}z_t$",
}


class LossDisplay:
    r"""Loss and gradient against the probability of the given label.

    Use :meth:`from_losses` or :meth:`from_estimator`. The other classes share
    :math:`1 - p_t` equally, which matters for losses that depend on more than
    :math:`p_t`.

    Parameters
    ----------
    probability : ndarray of shape (n_points,)
        :math:`p_t`, ascending.
    loss : ndarray of shape (n_losses, n_points)
        :math:`\ell`.
    gradient : ndarray of shape (n_losses, n_points)
        :math:`\mathrm d \ell / \mathrm d p_t`, with the other classes sharing the rest
        equally.
    names : list of str
        Names of the losses.
    n_classes : int
        :math:`K`.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of two matplotlib Axes
        The loss and the gradient.
    lines_ : list of two lists of matplotlib Line2D
        Curves of the losses and of the gradients, in the order of `names`.

    Examples
    --------
    >>> from sklearn_noisy.inspection import LossDisplay
    >>> display = LossDisplay.from_losses(
    ...     ["cross_entropy", ("blurry", {"gamma": 0.4})])
    >>> display.names
    ['cross_entropy', 'blurry (gamma=0.4)']
    """

    def __init__(self, probability, loss, gradient, *, names, n_classes):
        self.probability = probability
        self.loss = loss
        self.gradient = gradient
        self.names = names
        self.n_classes = n_classes

    @classmethod
    def from_losses(cls, losses, *, n_classes=10, ax=None, **plot_params):
        """Draw one or several losses.

        Parameters
        ----------
        losses : str, nn.Module class or instance, tuple, list or dict
            A name of :data:`sklearn_noisy.losses.LOSSES`; a class or an instance
            that maps logits of shape ``(n, K)`` and targets of shape ``(n,)`` to one
            value per sample; a tuple of a name or class and the ``dict`` of its
            parameters; a list of these; or a dict whose keys are their names.
        n_classes : int, default=10
            :math:`K`, at least 2.
        ax : two matplotlib Axes, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LossDisplay

        Raises
        ------
        ValueError
            If a name is unknown, `losses` is empty, or a loss does not return one
            value per sample.
        TypeError
            If an entry is not a loss, or a loss does not have a given parameter, or
            `n_classes` is not an integer.
        """
        n_classes = check_integer(n_classes, "n_classes", min_val=2)
        built = _named_losses(losses, n_classes)
        p = np.linspace(0, 1, CURVES.n_points + 2)[1:-1]
        curves = [_loss_and_gradient(loss, p, n_classes) for _, loss in built]
        values, gradients = map(np.stack, zip(*curves, strict=True))
        names = [name for name, _ in built]
        display = cls(p, values, gradients, names=names, n_classes=n_classes)
        return display.plot(ax=ax, **plot_params)

    @classmethod
    def from_estimator(cls, estimator, *, n_classes=None, ax=None, **plot_params):
        """Draw the loss of a classifier, and the cross-entropy of its warm-up.

        Parameters
        ----------
        estimator : RobustLossClassifier
            Fitted or not. It may be the last step of a Pipeline, the best estimator of
            a fitted search, or the ``clf`` of a CleanLearning.
        n_classes : int, default=None
            None takes the number of classes of a fitted classifier, or else 10.
        ax : two matplotlib Axes, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LossDisplay

        Raises
        ------
        TypeError
            If `estimator` is, and holds, no
            :class:`~sklearn_noisy.RobustLossClassifier`.
        NotFittedError
            If a search is not fitted.
        """
        estimator = find_estimator(estimator, (RobustLossClassifier,))
        if n_classes is None:
            n_classes = len(getattr(estimator, "classes_", range(10)))
        n_classes = check_integer(n_classes, "n_classes", min_val=2)
        given = estimator.get_params(deep=False).items()
        given = {
            k.removeprefix("loss__"): v for k, v in given if k.startswith("loss__")
        }
        params = loss_parameters(estimator, given)
        loss = make_loss(estimator.loss, n_classes, **params)
        losses = [loss] if _name(loss) == "cross_entropy" else ["cross_entropy", loss]
        return cls.from_losses(losses, n_classes=n_classes, ax=ax, **plot_params)

    def plot(self, ax=None, *, gradient="probability"):
        r"""Draw.

        Parameters
        ----------
        ax : two matplotlib Axes, default=None
            For the loss and the gradient; None creates a figure.
        gradient : {"probability", "logit"}, default="probability"
            The variable of the derivative: :math:`p_t`, as in the paper, or the logit
            of the given label, :math:`\mathrm d\ell/\mathrm dz_t = p_t
            (1 - p_t)\,\mathrm d\ell/\mathrm dp_t`, which trains the net. Where it is
            negative, training increases the probability of the label; where it is
            positive, training decreases it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` is not two axes, or `gradient` is none of the above.
        """
        check_choice(gradient, "gradient", GRADIENTS)
        p, slope = self.probability, self.gradient
        if gradient == "logit":
            slope = slope * p * (1 - p)
        inside = ax is not None or len(self.names) <= CURVES.n_names
        axes = get_axes(ax, 2, extra_width=0 if inside else 2.6)
        styles = line_styles(len(self.names), widths=(2.8, 1.4))
        untrained = 1 / self.n_classes
        self.lines_ = []
        for axis, curves in zip(axes, (self.loss, slope), strict=True):
            self.lines_.append([])
            for curve, name, style in zip(curves, self.names, styles, strict=True):
                self.lines_[-1] += axis.plot(p, curve, label=name, **style)
            label = f"untrained: 1/K = {untrained:.3g}"
            axis.axvline(untrained, color=GREY, linewidth=0.8, label=label)
            axis.set_xlim(0, 1)
        size = self._name_axes(axes, GRADIENTS[gradient])
        axes[1].axhline(0, color=GREY, linewidth=0.8)
        if gradient == "probability":
            axes[1].set_ylim(*_limits(p, slope))
        self.figure_ = axes[0].figure
        self.ax_ = axes
        if inside:
            axes[0].legend(fontsize=size, **INSIDE)
        else:
            entries = axes[0].get_legend_handles_labels()
            self.figure_.legend(*entries, loc="outside right upper", handlelength=3.2)
        if ax is not None:
            make_room(axes)
        return self

    def _name_axes(self, axes, gradient):
        """Write the labels of the axes; the font size that suits their width."""
        width, _ = sizes_of(axes)[0]
        size = font_size(width)
        for axis, label in zip(axes, (r"loss  $\ell$", gradient), strict=True):
            between = " " if width >= CURVES.narrow else "\n"
            axis.set_xlabel(
                f"probability $p_t${between}of the given label", fontsize=size
            )
            axis.set_ylabel(label, fontsize=size)
        return size


def _limits(p, slope):
    """Limits of the gradient's axis, which leave out the poles at 0 and 1."""
    # Only the lower limit leaves out small probabilities. The upper limit includes
    # them, since the slopes of some losses are positive there.
    low = min(0.0, slope[:, (p >= CURVES.low) & (p <= CURVES.high)].min())
    high = min(max(0.0, slope[:, p <= CURVES.high].max()), max(-low, 1.0))
    margin = 0.05 * max(high - low, 1e-3)
    return low - margin, high + margin


def _named_losses(losses, n_classes):
    """List of (name, loss) from all forms that `losses` can have."""
    if isinstance(losses, Mapping):
        named = list(losses.items())
    else:
        is_single = not isinstance(losses, (list, tuple)) or _has_parameters(losses)
        named = [(None, loss) for loss in ([losses] if is_single else losses)]
    if not named:
        raise ValueError(f"losses must hold at least one loss; got {losses!r}.")
    result = []
    for name, spec in named:
        spec, params = spec if _has_parameters(spec) else (spec, {})
        try:
            loss = make_loss(spec, n_classes, **params)
        except (TypeError, ValueError) as error:
            raise type(error)(f"losses must hold losses: {error}") from error
        result.append((_name(loss) if name is None else str(name), loss))
    return result


def _has_parameters(spec):
    return isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[1], Mapping)


def _name(loss):
    """Name of a loss, with the parameters that differ from their defaults."""
    names = {loss_class: name for name, loss_class in LOSSES.items()}
    name = names.get(type(loss), type(loss).__name__)
    changed = [
        f"{key}={getattr(loss, key)}"
        for key, parameter in inspect.signature(type(loss)).parameters.items()
        if key not in ("reduction", "n_classes")
        and isinstance(getattr(loss, key, None), (bool, int, float, str))
        and getattr(loss, key) != parameter.default
    ]
    return f"{name} ({', '.join(changed)})" if changed else name


@own_torch_modes()
def _loss_and_gradient(loss, p, n_classes):
    """Values of a loss and d loss / d p_t, where the others share 1 - p_t."""
    # The original may be on a GPU or in float32, and stays there.
    loss = copy.deepcopy(loss).cpu().double()
    p = torch.from_numpy(p).requires_grad_()
    rest = ((1 - p) / (n_classes - 1)).log()
    logits = torch.stack([p.log(), *[rest] * (n_classes - 1)], dim=1)
    values = loss(logits, torch.zeros(len(p), dtype=torch.int64))
    if not isinstance(values, torch.Tensor) or values.shape != p.shape:
        shape = getattr(values, "shape", type(values).__name__)
        raise ValueError(
            "losses must return one value per sample (torch's own do with "
            f"reduction='none'); of {len(p)} samples, {type(loss).__name__} returned "
            f"{tuple(shape) if isinstance(shape, torch.Size) else shape}."
        )
    (gradient,) = torch.autograd.grad(values.sum(), p)
    return values.detach().numpy(), gradient.numpy()
