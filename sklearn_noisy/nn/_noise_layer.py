"""Layers between the softmax and the given labels: torch only.

A target is an observation of one row. Of K classes, the codes 0 … K − 1 say "this
label was given", K … 2K − 1 say "the true label is this one" and 2K says "none of
the classes".
"""

import torch
from torch import nn

from sklearn_noisy.losses import log_softmax
from sklearn_noisy.nn._criterion import Criterion

__all__ = ["REGULARIZERS", "ConvertedLabels", "NoiseLayer", "project_columns_"]

# What the exponent of a gradient may reach before it is cut off, in float32.
MAX_EXPONENT = 60.0

REGULARIZERS = ("trace", "weight_decay", "log_det")


@torch.no_grad()
def project_columns_(matrix):
    """Euclidean projection of every column onto the simplex, in place.

    Parameters
    ----------
    matrix : tensor of shape (n_rows, n_columns)

    Returns
    -------
    matrix
    """
    # Few passes over the memory suit a CPU; a GPU must not be asked, between two
    # passes, whether another one is needed.
    find = _threshold_by_passes if matrix.device.type == "cpu" else _threshold_by_order
    return matrix.sub_(find(matrix)).clamp_min_(0)


def _threshold_by_passes(matrix):
    """What is taken off each column: Michelot's iteration, without sorting.

    It starts with the entries above 0, which are all that remain of a probability
    matrix that has moved a little.
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


def _threshold_by_order(matrix):
    """The same from the sorted entries: the last one that stays above it tells."""
    ordered = matrix.sort(dim=0, descending=True).values
    counts = torch.arange(1, len(matrix) + 1, device=matrix.device)
    thresholds = (ordered.cumsum(dim=0) - 1) / counts.to(matrix.dtype)[:, None]
    n_above = (ordered > thresholds).sum(dim=0, keepdim=True)
    # None above: a matrix of NaN, which the loss tells of at the end of the epoch.
    return thresholds.gather(0, (n_above - 1).clamp_min(0))[0]


class _LogSumExp(torch.autograd.Function):
    """``torch.logsumexp(joint, dim=1)`` by way of the softmax, which is its gradient.

    The largest entry minus the logarithm of its softmax: as exact, and two thirds of
    the time for many classes, as nothing is computed twice.
    """

    @staticmethod
    def forward(ctx, joint):
        posterior = torch.softmax(joint, dim=1)
        ctx.save_for_backward(posterior)
        return joint.amax(dim=1) - posterior.amax(dim=1).log()

    @staticmethod
    def backward(ctx, grad):
        (posterior,) = ctx.saved_tensors
        return posterior * grad[:, None]


class _LogMixture(torch.autograd.Function):
    """``log Σ_i Q[given, i] p_i`` with a gradient for Q, its zeros included.

    The gradient that autograd finds for ``logsumexp(log Q + log p)`` is 0 / 0
    where Q is 0, and an entry that a projection has set to 0 must be able to
    return.
    """

    @staticmethod
    def forward(ctx, matrix, log_p, given):
        log_row = matrix.log()[given]
        result = torch.logsumexp(log_row + log_p, dim=1, keepdim=True)
        # All that is left of p underflows: as if the smallest number were left.
        result = result.clamp_min(torch.finfo(log_p.dtype).min / 2)
        ctx.save_for_backward(log_row, log_p, given, result)
        ctx.shape = matrix.shape
        return result[:, 0]

    @staticmethod
    def backward(ctx, grad):
        log_row, log_p, given, result = ctx.saved_tensors
        ratio = (log_p - result).clamp_max(MAX_EXPONENT).exp() * grad[:, None]
        grad_matrix = None
        if ctx.needs_input_grad[0]:
            grad_matrix = ratio.new_zeros(ctx.shape).index_add_(0, given, ratio)
        return grad_matrix, (log_row + log_p - result).exp() * grad[:, None], None


class _ObservationCriterion(Criterion):
    """What the two models share: how targets are coded."""

    def observed(self, targets):
        """Label in each target, given or true; -1 for none."""
        return torch.where(targets < 2 * self.n_classes, targets % self.n_classes, -1)


class NoiseLayer(_ObservationCriterion):
    r"""Bottom-up model: the given label is the true one, sent through a matrix.

    The loss of a given label j is :math:`-\log \sum_i Q_{ji} p_i` (Eq. 6 of [1]_),
    of a label that is known to be true :math:`-\log p_k`, of a row that belongs to
    no class :math:`-\frac1K \sum_k \log p_k`.

    Parameters
    ----------
    matrix : tensor of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.
    learn : bool, default=False
        Whether the matrix has a gradient.
    regularizer : {"trace", "weight_decay", "log_det"} or None, default=None
        What is added to the loss while the matrix is learned: its trace, half the
        sum of its squares, or the logarithm of its determinant's absolute value.
        All shrink the diagonal.
    decay : float, default=0.0
        Factor of that.
    outside : bool, default=True
        Whether there may be rows that belong to no class.

    References
    ----------
    .. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep
       neural networks", 2014.
    """

    def __init__(
        self, matrix, *, learn=False, regularizer=None, decay=0.0, outside=True
    ):
        super().__init__()
        self.learn = learn
        self.regularizer = regularizer
        self.decay = decay
        self.outside = outside
        self.matrix = nn.Parameter(matrix.clone(), requires_grad=learn)
        self.refresh()

    @property
    def n_classes(self):
        """K."""
        return self.matrix.shape[0]

    def set_matrix(self, matrix):
        """Another matrix of the same size."""
        with torch.no_grad():
            self.matrix.copy_(torch.as_tensor(matrix))
        self.refresh()

    def set_learning(self, learn):
        """Whether updates change the matrix from now on."""
        self.learn = learn
        self.matrix.requires_grad_(learn)
        self.refresh()

    def refresh(self):
        """Look up table of the logarithms: given labels, then true ones."""
        matrix = self.matrix.detach()
        table = matrix.new_full((2 * self.n_classes, self.n_classes), -torch.inf)
        torch.log(matrix, out=table[: self.n_classes])
        table[self.n_classes :].fill_diagonal_(0)
        self.register_buffer("log_table", table, persistent=False)

    def forward(self, logits, targets):
        """Loss of each sample; soft targets are those of the true class.

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
        log_likelihood = self._log_likelihood(log_p, torch.where(nowhere, 0, targets))
        return -torch.where(nowhere, log_p.mean(dim=1), log_likelihood)

    def _log_likelihood(self, log_p, observed):
        """Of labels that are given or true."""
        if not self.learn:
            rows = self.log_table.to(log_p.dtype)[observed]
            return _LogSumExp.apply(rows + log_p)
        given = observed % self.n_classes
        of_given = _LogMixture.apply(self.matrix.to(log_p.dtype), log_p, given)
        of_true = log_p.gather(1, given[:, None])[:, 0]
        return torch.where(observed < self.n_classes, of_given, of_true)

    @torch.no_grad()
    def posterior(self, logits, targets):
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
        rows = self.log_table.to(logits.dtype)[torch.where(nowhere, 0, targets)]
        result = torch.softmax(rows + log_softmax(logits), dim=1)
        return torch.where(nowhere[:, None], 1 / self.n_classes, result)

    def penalty(self):
        """The regularizer of a matrix that is learned."""
        if not self.learn or not self.decay:
            return None
        if self.regularizer == "trace":
            return self.decay * self.matrix.trace()
        if self.regularizer == "weight_decay":
            return self.decay / 2 * self.matrix.square().sum()
        return self.decay * torch.linalg.slogdet(self.matrix).logabsdet

    def after_step(self):
        """Back to the probability matrices after an update by the gradient."""
        if self.learn:
            project_columns_(self.matrix)


class ConvertedLabels(_ObservationCriterion):
    r"""Top-down model: every label is converted into a distribution.

    The loss is :math:`-\sum_k B_{jk} \log p_k`, with a row of B for each given
    label j; labels that are known to be true stay as they are, a row that belongs
    to no class has :math:`B_{jk} = 1/K`.

    Parameters
    ----------
    matrix : tensor of shape (n_classes, n_classes)
        Column j is what the given label j is converted to: S of the top-down model,
        the inverse of Q for the backward correction.
    """

    def __init__(self, matrix):
        super().__init__()
        n_classes = matrix.shape[0]
        eye = torch.eye(n_classes, dtype=matrix.dtype)
        uniform = torch.full((1, n_classes), 1 / n_classes, dtype=matrix.dtype)
        table = torch.cat([matrix.T, eye, uniform])
        self.register_buffer("table", table)

    @property
    def n_classes(self):
        """K."""
        return self.table.shape[1]

    def forward(self, logits, targets):
        """Loss of each sample; soft targets are those of the true class.

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
