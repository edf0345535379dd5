"""Dropout that costs little on a CPU."""

import torch
from torch import nn

from sklearn_noisy._validation import check_flag, check_real

# Values that 16 random bits can have.
LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """``torch.nn.Dropout``, about five times as fast on a CPU.

    On a CPU, one random number of 64 bits decides four units, so `p` is rounded to a
    multiple of 1 / 65,536. Kept units are scaled by the rounded value, so the
    expectation is exact. On other devices it is ``torch.nn.Dropout``.

    Parameters
    ----------
    p : float in [0, 1], default=0.5
        Probability that a unit is dropped.
    inplace : bool, default=False
        Whether to change the input in place, which uses ``torch.nn.Dropout``.

    Raises
    ------
    TypeError, ValueError
        If `p` is no number in [0, 1], or `inplace` no boolean.

    Examples
    --------
    >>> import torch
    >>> from sklearn_noisy.nn import Dropout
    >>> dropout = Dropout(0.75)
    >>> sorted(set(dropout(torch.ones(100)).tolist()))
    [0.0, 4.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False):
        p = check_real(p, "p", min_val=0, max_val=1)
        check_flag(inplace, "inplace")
        super().__init__(p, inplace)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """The input with some units set to 0, in training."""
        dropped = round(self.p * LEVELS)
        is_plain = X.device.type == "cpu" and X.is_floating_point() and not self.inplace
        if not (self.training and is_plain and 0 < dropped < LEVELS):
            return super().forward(X)
        words = torch.empty((X.numel() + 3) // 4, dtype=torch.int64)
        words.random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: X.numel()].view(X.shape)
        # A float mask: a boolean one takes four times as long to create and apply.
        kept = torch.empty(X.shape, dtype=X.dtype)
        torch.ge(bits, dropped - LEVELS // 2, out=kept)
        return X * kept.mul_(LEVELS / (LEVELS - dropped))
