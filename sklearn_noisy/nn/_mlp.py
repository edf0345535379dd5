"""The default network."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import nn

from sklearn_noisy._validation import check_integer, check_real
from sklearn_noisy.nn._fast_dropout import Dropout


class MLP(nn.Module):
    """Multilayer perceptron that returns logits.

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
    input_scale : float > 0, default=1.0
        Divisor of the inputs; a buffer of the module. The estimators set it to the
        root mean square of the training rows, so that pixels may range from 0 to
        255. Columns of different units still need scaling beforehand.

    Raises
    ------
    TypeError, ValueError
        If a size is no positive integer, or a number is out of its range.
    """

    input_scale: torch.Tensor

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden_layer_sizes: Sequence[int] = (256, 256),
        activation: type[nn.Module] = nn.ReLU,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        input_scale: float = 1.0,
    ):
        n_features = check_integer(n_features, "n_features", min_val=1)
        n_classes = check_integer(n_classes, "n_classes", min_val=1)
        for name, p in (("dropout", dropout), ("input_dropout", input_dropout)):
            check_real(p, name, min_val=0, max_val=1, include_boundaries="left")
        check_real(input_scale, "input_scale", min_val=0, include_boundaries="neither")
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
        self.register_buffer(
            "input_scale", torch.tensor(float(input_scale), dtype=torch.float64)
        )
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
        return self.layers(X / self.input_scale)


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
