"""Losses and their gradients, against the probability of the given label."""

import copy
import inspect
from collections.abc import Mapping
from numbers import Integral

import numpy as np
import torch
from sklearn.utils import check_scalar

from sklearn_noisy._estimators.robust_loss import RobustLossClassifier
from sklearn_noisy.inspection._style import GREY, INSIDE, get_axes, line_styles
from sklearn_noisy.losses import LOSSES, make_loss

__all__ = ["LossDisplay"]

# Probabilities at which the losses are computed: 0 and 1 themselves are poles.
N_POINTS = 999

# Gradients have poles: cross-entropy at 0, label smoothing also at 1. What lies outside
# of these may leave the picture.
SHOWN = (0.1, 0.9)

# More losses than this are named beside the panels, not in one of them.
MOST_INSIDE = 4

GRADIENTS = {
    "probability": r"gradient  $\mathrm{d}\ell\,/\,\mathrm{d}p_t$",
    "logit": r"gradient  $\mathrm{d}\ell\,/\,\mathrm{d}z_t$",
}


class LossDisplay:
    r"""Loss and gradient against the probability of the given label.

    Use :meth:`from_losses` or :meth:`from_estimator`. The other classes share
    :math:`1 - p_t` equally, for losses that look at more than :math:`p_t`.

    Parameters
    ----------
    probability : ndarray of shape (n_points,)
        :math:`p_t`, ascending.
    loss : ndarray of shape (n_losses, n_points)
        :math:`\ell`.
    gradient : ndarray of shape (n_losses, n_points)
        :math:`\mathrm d \ell / \mathrm d p_t` along the line on which the other
        classes share the rest equally.
    names : list of str
        What the losses are called.
    n_classes : int
        :math:`K`.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of two matplotlib Axes
        The loss and the gradient.
    lines_ : list of two lists of matplotlib Line2D
        Of the losses and of the gradients, in the order of the names.

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
            parameters; a list of these; or a dict whose keys are what to call them.
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
            For an unknown name, no loss at all, or a loss that does not return one
            value per sample.
        TypeError
            For something that is no loss, or a parameter that it does not have.
        """
        check_scalar(n_classes, "n_classes", Integral, min_val=2)
        built = _named_losses(losses, n_classes)
        p = np.linspace(0, 1, N_POINTS + 2)[1:-1]
        curves = [_loss_and_gradient(loss, p, n_classes) for _, loss in built]
        values, gradients = map(np.stack, zip(*curves, strict=True))
        names = [name for name, _ in built]
        display = cls(p, values, gradients, names=names, n_classes=n_classes)
        return display.plot(ax=ax, **plot_params)

    @classmethod
    def from_estimator(cls, estimator, *, n_classes=None, ax=None, **plot_params):
        """Draw the loss of a classifier beside cross-entropy, its warm-up.

        Parameters
        ----------
        estimator : RobustLossClassifier
            Fitted or not.
        n_classes : int, default=None
            None: of the data that it was fitted on, or 10.
        ax : two matplotlib Axes, default=None
        **plot_params
            For :meth:`plot`.

        Returns
        -------
        LossDisplay

        Raises
        ------
        TypeError
            If `estimator` is no :class:`~sklearn_noisy.RobustLossClassifier`.
        """
        if not isinstance(estimator, RobustLossClassifier):
            raise TypeError(
                "estimator must be a RobustLossClassifier (the last step of a "
                f"Pipeline); got {estimator!r}."
            )
        if n_classes is None:
            n_classes = len(getattr(estimator, "classes_", range(10)))
        check_scalar(n_classes, "n_classes", Integral, min_val=2)
        loss = estimator._make_loss(n_classes)
        losses = ["cross_entropy", loss]
        same = _name(loss) == "cross_entropy"
        return cls.from_losses(losses[same:], n_classes=n_classes, ax=ax, **plot_params)

    def plot(self, ax=None, *, gradient="probability"):
        r"""Draw.

        Parameters
        ----------
        ax : two matplotlib Axes, default=None
            For the loss and the gradient; None makes a figure.
        gradient : {"probability", "logit"}, default="probability"
            With respect to what: :math:`p_t`, as in the paper, or the logit of the
            given label, :math:`\mathrm d\ell/\mathrm dz_t = p_t (1 - p_t)\,\mathrm
            d\ell/\mathrm dp_t`, which is what trains the net. Below 0, a step of
            training makes the label more probable; above, less.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` are not two, or `gradient` is none of the above.
        """
        if gradient not in GRADIENTS:
            raise ValueError(
                f"gradient must be one of {', '.join(map(repr, GRADIENTS))}; got "
                f"{gradient!r}."
            )
        p, slope = self.probability, self.gradient
        if gradient == "logit":
            slope = slope * p * (1 - p)
        inside = ax is not None or len(self.names) <= MOST_INSIDE
        axes = get_axes(ax, 2, extra_width=0 if inside else 2.6)
        self.lines_ = []
        for axis, curves in zip(axes, (self.loss, slope), strict=True):
            styles = line_styles(len(curves), widths=(2.8, 1.4))
            self.lines_.append(
                [
                    axis.plot(p, curve, label=name, **style)[0]
                    for curve, name, style in zip(
                        curves, self.names, styles, strict=True
                    )
                ]
            )
            axis.axvline(
                1 / self.n_classes,
                color=GREY,
                linewidth=0.8,
                label=f"untrained: 1/K = {1 / self.n_classes:.3g}",
            )
            axis.set(xlabel="probability $p_t$ of the given label", xlim=(0, 1))
        axes[0].set_ylabel(r"loss  $\ell$")
        axes[1].set_ylabel(GRADIENTS[gradient])
        axes[1].axhline(0, color=GREY, linewidth=0.8)
        if gradient == "probability":
            axes[1].set_ylim(*_limits(p, slope))
        self.figure_ = axes[0].figure
        self.ax_ = axes
        if inside:
            axes[0].legend(**INSIDE)
        else:
            handles, labels = axes[0].get_legend_handles_labels()
            self.figure_.legend(
                handles, labels, loc="outside right upper", handlelength=3.2
            )
        return self


def _limits(p, slope):
    """Range of the slopes without the poles at 0."""
    low = min(0.0, slope[:, (p >= SHOWN[0]) & (p <= SHOWN[1])].min())
    # A loss that pushes away has slopes above 0 left of there; they are the point.
    high = min(max(0.0, slope[:, p <= SHOWN[1]].max()), max(-low, 1.0))
    margin = 0.05 * max(high - low, 1e-3)
    return low - margin, high + margin


def _named_losses(losses, n_classes):
    """List of (name, loss) from whatever `losses` may be."""
    if isinstance(losses, Mapping):
        named = list(losses.items())
    elif isinstance(losses, list) or (
        isinstance(losses, tuple) and not _has_parameters(losses)
    ):
        named = [(None, loss) for loss in losses]
    else:
        named = [(None, losses)]
    if not named:
        raise ValueError(f"losses must hold at least one loss; got {losses!r}.")
    result = []
    for name, spec in named:
        spec, params = spec if _has_parameters(spec) else (spec, {})
        loss = make_loss(spec, n_classes, **params)
        result.append((_name(loss) if name is None else str(name), loss))
    return result


def _has_parameters(spec):
    return isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[1], Mapping)


def _name(loss):
    """Name of a loss, with the parameters that are not its defaults."""
    of_class = {own: name for name, own in LOSSES.items()}
    name = of_class.get(type(loss), type(loss).__name__)
    changed = [
        f"{key}={getattr(loss, key)}"
        for key, parameter in inspect.signature(type(loss)).parameters.items()
        if key not in ("reduction", "n_classes")
        and isinstance(getattr(loss, key, None), (bool, int, float, str))
        and getattr(loss, key) != parameter.default
    ]
    return f"{name} ({', '.join(changed)})" if changed else name


def _loss_and_gradient(loss, p, n_classes):
    """Values of a loss and d loss / d p_t, where the others share 1 - p_t."""
    # A copy: the original may be on a GPU, or in float32.
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
