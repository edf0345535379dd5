"""The default network."""

import math
from collections.abc import Sequence
from itertools import chain

import torch
from torch import nn

from sklearn_noisy._validation import check_integer, check_real
from sklearn_noisy.nn._fast_dropout import Dropout

# Limit of the smooth clip of standardised inputs.
CLIP = 3.0
# From here on the clip changes no digit that matters.
LARGEST = 100 * CLIP


class MLP(nn.Module):
    r"""Multilayer perceptron that returns logits.

    Parameters
    ----------
    n_features : int
        Product of a row's shape; rows of any shape are flattened.
    n_classes : int
    hidden_layer_sizes : sequence of int, default=(256, 256)
        Units of each hidden layer; empty for a linear model.
    activation : type of nn.Module, default=nn.ReLU
    dropout : float in [0, 1), default=0.0
        Fraction of the hidden units dropped in training.
    input_dropout : float in [0, 1), default=0.0
        Fraction of the inputs dropped in training.
    input_scale : float > 0 or tensor of shape (n_features,), default=1.0
        Divisor of the inputs; a buffer of the module. The estimators set it to the
        root mean square of the training rows, so that pixels may range from 0 to
        255.
    input_center : tensor of shape (n_features,), default=None
        Subtracted from the inputs; a buffer of the module. The quotients z of the
        centered inputs are then clipped smoothly to (-3, 3), as
        :math:`z / \sqrt{1 + (z / 3)^2}` [1]_. The estimators set it to the medians of
        the columns, and `input_scale` to their interquartile ranges, where the columns
        of a table have different units.

    Raises
    ------
    TypeError, ValueError
        If a size is no positive integer, or a number is out of its range.

    References
    ----------
    .. [1] D. Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted
       trees on tabular data", NeurIPS 2024.
    """

    input_scale: torch.Tensor
    input_center: torch.Tensor | None

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden_layer_sizes: Sequence[int] = (256, 256),
        activation: type[nn.Module] = nn.ReLU,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        input_scale: float | torch.Tensor = 1.0,
        input_center: torch.Tensor | None = None,
    ):
        n_features = check_integer(n_features, "n_features", min_val=1)
        n_classes = check_integer(n_classes, "n_classes", min_val=1)
        for name, p in (("dropout", dropout), ("input_dropout", input_dropout)):
            check_real(p, name, min_val=0, max_val=1, include_boundaries="left")
        scale = _of_columns(input_scale, "input_scale", n_features, positive=True)
        center = None
        if input_center is not None:
            center = _of_columns(input_center, "input_center", n_features)
        try:
            sizes = list(hidden_layer_sizes)
        except TypeError as error:
            raise TypeError(
                "hidden_layer_sizes must be a sequence of integers; got "
                f"{hidden_layer_sizes!r}."
            ) from error
        for position, size in enumerate(sizes):
            check_integer(size, f"hidden_layer_sizes[{position}]", min_val=1)
        super().__init__()
        self.register_buffer("input_scale", scale)
        self.register_buffer("input_center", center)
        layers: list[nn.Module] = [nn.Flatten()]
        if input_dropout:
            layers.append(Dropout(input_dropout))
        width = n_features
        for size in sizes:
            layers += [nn.Linear(width, size), activation()]
            if dropout:
                layers.append(Dropout(dropout))
            width = size
        layers.append(nn.Linear(width, n_classes))
        self.layers = nn.Sequential(*layers)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Logits of shape (n_samples, n_classes)."""
        if self.input_center is None:
            return self.layers(X / self.input_scale)
        Z = (X.flatten(1) - self.input_center) / self.input_scale
        Z = Z.clamp(-LARGEST, LARGEST)  # also infinity; its square does not overflow
        return self.layers(Z * torch.rsqrt(1 + (Z / CLIP).square()))


def _of_columns(
    value: float | torch.Tensor, name: str, n_columns: int, *, positive: bool = False
) -> torch.Tensor:
    """A finite number, or one for each column, as a float64 tensor."""
    if not isinstance(value, torch.Tensor):
        lowest = 0.0 if positive else -math.inf
        check_real(value, name, min_val=lowest, include_boundaries="neither")
        return torch.tensor(float(value), dtype=torch.float64)
    is_right = value.isfinite() & (value > 0) if positive else value.isfinite()
    if value.shape not in {(), (n_columns,)} or not is_right.all():
        kind = "positive" if positive else "finite"
        raise ValueError(
            f"{name} must be a number or a tensor of shape ({n_columns},) of {kind} "
            f"numbers; got {value}."
        )
    return value.detach().clone().double()


def floating_dtype(module: nn.Module) -> torch.dtype:
    """Dtype of the module's first floating-point weight; float32 if it has none.

    Inputs are cast to it before they enter the module.

    Parameters
    ----------
    module : nn.Module

    Returns
    -------
    torch.dtype
    """
    for tensor in chain(module.parameters(), module.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32
