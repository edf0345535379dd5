"""The noise layer, between the softmax and the given labels, and its target codes.

A target is one observation of a row. With K classes, the codes 0 … K − 1 mean "this
label was given", K … 2K − 1 mean "this is the true label" and 2K means "none of the
classes". `encode_targets` writes the codes, the criteria here read them.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from sklearn_noisy.losses import log_softmax

# Exponents in the gradient are clipped here, so that exp stays finite in float32.
MAX_EXPONENT = 60.0

# Size of an entry from which on a column is shifted before it is projected.
LARGE = 1024.0

REGULARIZERS = ("trace", "weight_decay", "log_det")


def encode_targets(y: np.ndarray, is_clean: np.ndarray, n_classes: int) -> np.ndarray:
    """Codes of the targets of the criteria in this module.

    Parameters
    ----------
    y : int64 ndarray of shape (n_samples,)
        Labels as indices; `n_classes` for a row that belongs to no class.
    is_clean : bool ndarray of shape (n_samples,)
        Whether the label is the true one.
    n_classes : int

    Returns
    -------
    int64 ndarray of shape (n_samples,)
    """
    codes = np.where(is_clean, y + n_classes, y)
    codes[y == n_classes] = 2 * n_classes
    return codes


@torch.no_grad()
def project_columns_(matrix: torch.Tensor) -> torch.Tensor:
    """Euclidean projection of every column onto the simplex, in place.

    Parameters
    ----------
    matrix : tensor of shape (n_rows, n_columns)

    Returns
    -------
    matrix
    """
    # The projection of v is that of v - c. For entries from 2**24 on, a difference of 1
    # would be lost in float32. (Subtracting 0 changes nothing.)
    largest = matrix.amax(dim=0)
    matrix.sub_(torch.where(largest.abs() > LARGE, largest, 0))
    # The iteration makes few passes over the memory, which suits a CPU. Its test of
    # convergence would synchronise a GPU after every pass.
    find = _threshold_by_passes if matrix.device.type == "cpu" else _threshold_by_order
    return matrix.sub_(find(matrix)).clamp_min_(0)


def _threshold_by_passes(matrix: torch.Tensor) -> torch.Tensor:
    """Threshold to subtract from each column: Michelot's iteration, without sorting.

    It starts from the positive entries. For a probability matrix after one small
    update these are nearly the support of the projection.
    """
    largest = matrix.amax(dim=0)
    threshold = torch.where(largest > 0, 0, largest - 1)
    support = None
    for _ in range(len(matrix) + 1):
        above = matrix > threshold
        last, support = support, above.sum(dim=0)
        if last is not None and torch.equal(support, last):
            break
        threshold = (torch.where(above, matrix, 0).sum(dim=0) - 1) / support
    return threshold


def _threshold_by_order(matrix: torch.Tensor) -> torch.Tensor:
    """The same threshold, from the sorted entries."""
    ordered = matrix.sort(dim=0, descending=True).values
    counts = torch.arange(1, len(matrix) + 1, device=matrix.device)
    thresholds = (ordered.cumsum(dim=0) - 1) / counts.to(matrix.dtype)[:, None]
    n_above = (ordered > thresholds).sum(dim=0, keepdim=True)
    # No entry is above in a matrix of NaN. The training loss then reports the NaN.
    return thresholds.gather(0, (n_above - 1).clamp_min(0))[0]


class _LogSumExp(torch.autograd.Function):
    """``torch.logsumexp(joint, dim=1)``, computed from its gradient, the softmax.

    The value is the largest entry minus the logarithm of its softmax. That is as exact
    and, for many classes, takes two thirds of the time, since the backward pass reuses
    the softmax.
    """

    @staticmethod
    def forward(ctx: Any, joint: torch.Tensor) -> torch.Tensor:
        posterior = torch.softmax(joint, dim=1)
        ctx.save_for_backward(posterior)
        return joint.amax(dim=1) - posterior.amax(dim=1).log()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        (posterior,) = ctx.saved_tensors
        return posterior * grad[:, None]


class _LogMixture(torch.autograd.Function):
    """``log Σ_i Q[given, i] p_i`` with a gradient for Q, including its zeros.

    Autograd's gradient of ``logsumexp(log Q + log p)`` is 0 / 0 where Q is 0. An entry
    that a projection has set to 0 must be able to become positive again.
    """

    @staticmethod
    def forward(
        ctx: Any, matrix: torch.Tensor, log_p: torch.Tensor, given: torch.Tensor
    ) -> torch.Tensor:
        log_row = matrix.log()[given]
        result = torch.logsumexp(log_row + log_p, dim=1, keepdim=True)
        # The sum can underflow to 0. Its logarithm is then that of a tiny number.
        result = result.clamp_min(torch.finfo(log_p.dtype).min / 2)
        ctx.save_for_backward(log_row, log_p, given, result)
        ctx.shape = matrix.shape
        return result[:, 0]

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor, None]:
        log_row, log_p, given, result = ctx.saved_tensors
        ratio = (log_p - result).clamp_max(MAX_EXPONENT).exp() * grad[:, None]
        grad_matrix = None
        if ctx.needs_input_grad[0]:
            grad_matrix = ratio.new_zeros(ctx.shape).index_add_(0, given, ratio)
        return grad_matrix, (log_row + log_p - result).exp() * grad[:, None], None


def _check_matrix(matrix: Any) -> None:
    """Raise unless a matrix is a square tensor of finite floating-point numbers."""
    if not isinstance(matrix, torch.Tensor) or not matrix.is_floating_point():
        raise TypeError(
            "matrix must be a tensor of floating-point numbers; got "
            f"{getattr(matrix, 'dtype', type(matrix).__name__)}."
        )
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1]:
        raise ValueError(f"matrix must be square; got shape {tuple(matrix.shape)}.")
    if not torch.isfinite(matrix).all():
        raise ValueError("matrix must hold finite numbers; got NaN or infinity.")


class _CodedCriterion(nn.Module):
    """A criterion whose targets are the codes of this module."""

    n_classes: int
    log_table: torch.Tensor
    table: torch.Tensor
    # Whether training changes the criterion, which then has `penalty` and `after_step`.
    learn = False
    # What the net's `get_loss` does, for `skorch.scoring.loss_scoring`.
    reduction = "mean"


class NoiseLayer(_CodedCriterion):
    r"""Bottom-up model: the noise matrix maps true labels to given ones.

    The loss of a given label j is :math:`-\log \sum_i Q_{ji} p_i` (Eq. 6 of [1]_).
    The loss of a label that is known to be true is :math:`-\log p_k`. The loss of a
    row that belongs to no class is :math:`-\frac1K \sum_k \log p_k`.

    Parameters
    ----------
    matrix : tensor of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.
    learn : bool, default=False
        Whether the matrix has a gradient.
    regularizer : {"trace", "weight_decay", "log_det"} or None, default=None
        Term of the loss while the matrix is learned: its trace, half the sum of its
        squares, or the logarithm of its determinant's absolute value. Each one
        shrinks the diagonal.
    decay : float, default=0.0
        Factor of the regularizer.
    outside : bool, default=True
        Whether there may be rows that belong to no class.

    Raises
    ------
    TypeError, ValueError
        If `matrix` is no square tensor of finite floating-point numbers.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014.
    """

    def __init__(
        self,
        matrix: torch.Tensor,
        *,
        learn: bool = False,
        regularizer: str | None = None,
        decay: float = 0.0,
        outside: bool = True,
    ):
        super().__init__()
        _check_matrix(matrix)
        self.learn = learn
        self.regularizer = regularizer
        self.decay = decay
        self.outside = outside
        self.n_classes = matrix.shape[0]
        self.matrix = nn.Parameter(matrix.clone(), requires_grad=learn)
        self.refresh()

    def set_matrix(self, matrix: np.ndarray | torch.Tensor) -> None:
        """Replace the matrix by one of the same size."""
        with torch.no_grad():
            self.matrix.copy_(torch.as_tensor(matrix))
        self.refresh()

    def set_learning(self, learn: bool) -> None:
        """Set whether updates change the matrix from now on."""
        self.learn = learn
        self.matrix.requires_grad_(learn)
        self.refresh()

    def refresh(self) -> None:
        """Compute the table of log-probabilities: given labels, then true ones."""
        matrix = self.matrix.detach()
        table = matrix.new_full((2 * self.n_classes, self.n_classes), -torch.inf)
        torch.log(matrix, out=table[: self.n_classes])
        table[self.n_classes :].fill_diagonal_(0)
        # A buffer, which is saved: it may have been computed in a wider type than the
        # matrix has now.
        self.register_buffer("log_table", table)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each sample; soft targets are distributions of the true class.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
        targets : int64 tensor of shape (n_samples,) or float tensor of shape \
                (n_samples, n_classes)

        Returns
        -------
        tensor of shape (n_samples,)
        """
        log_p = log_softmax(logits)
        if targets.ndim == 2:
            return -(targets * log_p).sum(dim=1)
        if not self.outside:
            return -self._log_likelihood(log_p, targets)
        nowhere = targets == 2 * self.n_classes
        # The value of an outside row is not used. It is that of a clean row, since the
        # logarithms of a given label may all be -inf, with a gradient of NaN.
        codes = torch.where(nowhere, self.n_classes, targets)
        log_likelihood = self._log_likelihood(log_p, codes)
        return -torch.where(nowhere, log_p.mean(dim=1), log_likelihood)

    def _log_likelihood(
        self, log_p: torch.Tensor, observed: torch.Tensor
    ) -> torch.Tensor:
        """Log likelihood of labels that are given or true."""
        if not self.learn:
            rows = self.log_table.to(log_p.dtype)[observed]
            return _LogSumExp.apply(rows + log_p)
        given = observed % self.n_classes
        of_given = _LogMixture.apply(self.matrix.to(log_p.dtype), log_p, given)
        of_true = log_p.gather(1, given[:, None])[:, 0]
        return torch.where(observed < self.n_classes, of_given, of_true)

    @torch.no_grad()
    def posterior(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Probability of each true class given the row and its label.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
        targets : int64 tensor of shape (n_samples,)

        Returns
        -------
        tensor of shape (n_samples, n_classes)
            Uniform for a row that belongs to no class.
        """
        nowhere = targets == 2 * self.n_classes
        codes = torch.where(nowhere, self.n_classes, targets)
        rows = self.log_table.to(logits.dtype)[codes]
        result = torch.softmax(rows + log_softmax(logits), dim=1)
        return torch.where(nowhere[:, None], 1 / self.n_classes, result)

    def penalty(self) -> torch.Tensor | float:
        """The regularizer: a term of the loss while the matrix is learned."""
        if not self.decay:
            return 0.0
        if self.regularizer == "trace":
            return self.decay * self.matrix.trace()
        if self.regularizer == "weight_decay":
            return self.decay / 2 * self.matrix.square().sum()
        return self.decay * torch.linalg.slogdet(self.matrix).logabsdet

    def after_step(self) -> None:
        """Project the columns onto the probability simplex after an update."""
        project_columns_(self.matrix)


class ConvertedLabels(_CodedCriterion):
    r"""Top-down model: every label is converted into a distribution.

    The loss is :math:`-\sum_k B_{jk} \log p_k`, with a row of B for each given
    label j. Labels that are known to be true are not converted. A row that belongs
    to no class has :math:`B_{jk} = 1/K`.

    Parameters
    ----------
    matrix : tensor of shape (n_classes, n_classes)
        Column j is the soft target that replaces the given label j. The matrix is S in
        the top-down model, and the inverse of Q in the backward correction.
    """

    def __init__(self, matrix: torch.Tensor):
        super().__init__()
        _check_matrix(matrix)
        self.n_classes = n_classes = matrix.shape[0]
        eye = torch.eye(n_classes, dtype=matrix.dtype)
        uniform = torch.full((1, n_classes), 1 / n_classes, dtype=matrix.dtype)
        table = torch.cat([matrix.T, eye, uniform])
        self.register_buffer("table", table)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each sample; soft targets are distributions of the true class.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
        targets : int64 tensor of shape (n_samples,) or float tensor of shape \
                (n_samples, n_classes)

        Returns
        -------
        tensor of shape (n_samples,)
        """
        log_p = log_softmax(logits)
        if targets.ndim == 1:
            targets = self.table.to(log_p.dtype)[targets]
        return -(targets * log_p).sum(dim=1)
