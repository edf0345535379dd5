r"""The inverse noise matrix from two confusions: Eqs. 3 and 5 of [1]_.

A classifier that trained on none of the rows it is measured on has the confusions
:math:`C^*_{ki} = P(\text{predicted } k \mid \text{true } i)` on clean rows and
:math:`\tilde C_{kj} = P(\text{predicted } k \mid \text{given } j)` on noisy ones.
If the given label tells nothing more about the prediction once the true one is
known, :math:`\tilde C = C^* R`. Solving for R is Eq. 3; Eq. 5 is

.. math::

    \min_R \|C^* R - \tilde C\|_F^2 + \lambda \sum_{ij} w_{ij} r_{ij}
    \quad\text{subject to}\quad R \ge 0,\ 1^\top R = 1^\top,

with :math:`w` by the `penalty`:

``"off_diagonal"``
    :math:`w_{ij} = [i \ne j]`: flips cost, staying does not. For
    :math:`\lambda \to \infty` R is the identity.
``"literal"``
    :math:`w_{ij} = 1`, as the paper writes it. On the simplex that adds the
    constant :math:`\lambda K`: no effect.
``"relaxed"``
    :math:`w_{ij} = 1` and :math:`R \ge 0` alone; the caller divides the columns
    by their sums afterwards.

The problem separates into K columns that share :math:`G = C^{*\top} C^*`. Rows
of the arrays here are those columns, which is how memory likes it.

References
----------
.. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep neural
   networks", 2014, section 3.2.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sklearn_noisy.noise._simplex import project_columns, project_rows

__all__ = ["PENALTIES", "Solution", "solve_fista", "solve_inverse", "weights"]

PENALTIES = ("off_diagonal", "relaxed", "literal")

# First-order steps between two looks at the gap.
STEPS_PER_CHECK = 10

# Share of the objective below which the support is nearly right and finishing on
# it exactly costs less than going on.
POLISH_BELOW = 0.1


@dataclass(frozen=True)
class Solution:
    """What a solver of Eq. 5 returns.

    Attributes
    ----------
    R : ndarray of shape (n_classes, n_classes)
        Columns sum to 1, except for ``penalty="relaxed"``.
    objective : float
    dual_gap : float
        The objective is at most this above the optimum.
    n_iter : int
        First-order steps; for cvxpy its solver's iterations.
    """

    R: np.ndarray
    objective: float
    dual_gap: float
    n_iter: int


def solve_inverse(C_clean, C_noisy):
    """Eq. 3: ``R = C*⁻¹ C̃``, its columns projected onto the simplex.

    Least squares of minimal norm where `C_clean` is singular.

    Parameters
    ----------
    C_clean : ndarray of shape (n_classes, n_classes)
    C_noisy : ndarray of shape (n_classes, n_classes)

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
    """
    R, *_ = np.linalg.lstsq(C_clean, C_noisy, rcond=None)
    return project_columns(R)


def weights(n_classes, penalty):
    """The weights :math:`w_{ij}` of the penalty."""
    ones = np.ones((n_classes, n_classes))
    return ones - np.eye(n_classes) if penalty == "off_diagonal" else ones


class _Problem:
    """Eq. 5 in rows: row j of X is column j of R."""

    def __init__(self, C_clean, C_noisy, l1_penalty, penalty, allowed):
        self.C, self.D, self.l1_penalty = C_clean, C_noisy, l1_penalty
        self.on_simplex = penalty != "relaxed"
        self.allowed = None if allowed is None else np.ascontiguousarray(allowed.T)
        self.W = weights(len(C_clean), penalty)
        self.G = C_clean.T @ C_clean
        # Half the gradient is X G - Q.
        self.Q = C_noisy.T @ C_clean - 0.5 * l1_penalty * self.W

    def project(self, X):
        if self.on_simplex:
            return project_rows(X, self.allowed)
        X = np.maximum(X, 0)
        return X if self.allowed is None else np.where(self.allowed, X, 0)

    def objective(self, X):
        residual = self.C @ X.T - self.D
        return float((residual**2).sum() + self.l1_penalty * (self.W * X).sum())

    def dual_gaps(self, X):
        """Upper bound of each row's distance to its optimum, from the gradient.

        Convexity: f(X) - f(X*) <= <g, X - X*>, and over the simplex <g, x*> is at
        least the smallest entry of g. Without the simplex, the sum of x* is that
        of C x* (the columns of C sum to 1), at most √K |C x*| <= √K |c̃|.
        """
        g = 2 * (X @ self.G - self.Q)
        inner = (g * X).sum(axis=1)
        if self.allowed is not None:
            g = np.where(self.allowed, g, np.inf)
        lowest = g.min(axis=1)
        if self.on_simplex:
            gaps = inner - lowest
        else:
            mass = np.sqrt(len(self.D)) * np.linalg.norm(self.D, axis=0)
            gaps = inner + mass * np.maximum(-lowest, 0)
        # Rounding can make a gap of zero slightly negative.
        return np.maximum(gaps, 0)


def solve_fista(
    C_clean,
    C_noisy,
    l1_penalty=0.0,
    *,
    penalty="off_diagonal",
    allowed=None,
    start=None,
    tol=1e-8,
    max_iter=10_000,
):
    """Eq. 5 by accelerated projected gradient, finished by an active set.

    FISTA with a restart for each column finds which entries are zero; given that,
    each column is a small linear system, whose multipliers say which entry has
    to come back.

    Parameters
    ----------
    C_clean, C_noisy : ndarrays of shape (n_classes, n_classes)
        Columns sum to 1.
    l1_penalty : float >= 0, default=0.0
        λ.
    penalty : {"off_diagonal", "relaxed", "literal"}, default="off_diagonal"
    allowed : bool ndarray of shape (n_classes, n_classes), default=None
        Entries of R that may be positive; None is all.
    start : ndarray of shape (n_classes, n_classes), default=None
        A matrix near the solution; None is the identity.
    tol : float, default=1e-8
        Stop when the dual gap is at most `tol` times the objective (or times
        1e-6 of ``|C̃|²``, if the objective is smaller than that).
    max_iter : int, default=10000
        First-order steps at most.

    Returns
    -------
    Solution

    Warns
    -----
    ConvergenceWarning
        If `max_iter` ends first; it tells the gap.
    """
    problem = _Problem(C_clean, C_noisy, l1_penalty, penalty, allowed)
    smallest = 1e-6 * float((C_noisy**2).sum())
    X = problem.project(np.eye(len(C_clean)) if start is None else start.T)
    step = 1 / np.linalg.eigvalsh(problem.G)[-1]
    polish_below, n_iter = POLISH_BELOW, 0
    state = X, X, np.ones(len(X))
    while True:
        n_steps = min(STEPS_PER_CHECK, max_iter - n_iter)
        state = _accelerated_steps(problem, state, step, n_steps)
        n_iter += n_steps
        X = state[0]
        objective, gaps = problem.objective(X), problem.dual_gaps(X)
        if gaps.sum() <= polish_below * max(objective, smallest):
            X, gaps = _polish(problem, X, gaps)
            state = X, X, np.ones(len(X))
            objective = problem.objective(X)
            polish_below /= 100
        gap = float(gaps.sum())
        converged = gap <= tol * max(objective, smallest)
        if converged or n_iter >= max_iter:
            break
    if not converged:
        warnings.warn(
            f"Eq. 5 did not converge in max_iter={max_iter} steps: the objective is "
            f"{objective:.6g}, at most {gap:.3g} above the optimum.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Solution(np.ascontiguousarray(X.T), objective, gap, n_iter)


def _accelerated_steps(problem, state, step, n_steps):
    """Projected gradient steps with momentum, from and to (point, ahead, t)."""
    X, ahead, t = state
    for _ in range(n_steps):
        new = ahead @ problem.G
        new -= problem.Q
        new *= -step
        new += ahead
        new = problem.project(new)
        moved = new - X
        # Momentum that points uphill is thrown away, column by column
        # (O'Donoghue & Candès, 2015).
        uphill = np.einsum("ij,ij->i", ahead - new, moved) > 0
        t_new = np.where(uphill, 1.0, (1 + np.sqrt(1 + 4 * t**2)) / 2)
        momentum = np.where(uphill, 0.0, (t - 1) / t_new)
        moved *= momentum[:, None]
        ahead = moved
        ahead += new
        X, t = new, t_new
    return X, ahead, t


def _polish(problem, X, gaps):
    """Rows solved exactly where that works, starting from their positive entries."""
    polished = X.copy()

    def polish(j):
        allowed = None if problem.allowed is None else problem.allowed[j]
        # Singular on this support: first order goes on.
        with suppress(LinAlgError):
            polished[j] = _active_set(
                problem.G, problem.Q[j], X[j], allowed, problem.on_simplex
            )

    # Small systems, one after another: threads of our own, not BLAS's.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(polish, range(len(X))))
    polished_gaps = problem.dual_gaps(polished)
    worse = polished_gaps > gaps
    polished[worse] = X[worse]
    return polished, np.minimum(polished_gaps, gaps)


def _active_set(G, q, x, allowed, on_simplex, max_changes=50):
    """Minimise ``xᵀGx - 2qᵀx`` over x >= 0, and on the simplex, from x on."""
    support = x > 0
    for _ in range(max_changes):
        x, nu = _solve_on_support(G, q, x, support, on_simplex)
        support = x > 0
        gradient = G @ x - q - nu
        missing = (gradient < -1e-12 * max(1.0, abs(nu))) & ~support
        if allowed is not None:
            missing &= allowed
        if not missing.any():
            break
        support = support | missing
    return x


def _solve_on_support(G, q, x, support, on_simplex):
    """Optimum among the x that are zero outside `support`, and the multiplier.

    Entries that the optimum of a support makes negative leave it: all of them at
    once, which nearly always does, since the support is nearly right.
    """
    index, solution, nu = np.flatnonzero(support), np.zeros_like(x), 0.0
    while len(index):
        factor = cho_factor(G[np.ix_(index, index)], lower=True, check_finite=False)
        right = np.stack([q[index], np.ones(len(index))], axis=1)
        free, shift = cho_solve(factor, right).T
        with np.errstate(invalid="ignore", divide="ignore"):
            nu = (1 - free.sum()) / shift.sum() if on_simplex else 0.0
            value = free + nu * shift
        if not np.isfinite(value).all():
            raise LinAlgError("singular on this support")
        negative = value <= 0
        if not negative.any():
            solution[index] = value
            break
        index = index[~negative]
    return solution, nu
