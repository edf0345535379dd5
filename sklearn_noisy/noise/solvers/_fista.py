"""Eq. 5 by accelerated projected gradient, finished by an active set."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sklearn_noisy._threads import Turn
from sklearn_noisy._typing import BoolArray, FloatArray
from sklearn_noisy._validation import check_integer, check_real
from sklearn_noisy.noise._inputs import confusion_pair
from sklearn_noisy.noise.solvers._problem import Problem, Solution


@dataclass(frozen=True)
class _Schedule:
    """Our choices; benchmarks/noise_matrix_solvers.py measures the speed they give."""

    steps_per_check: int = 10  # between two computations of the gap
    # The active set is tried when the gap falls below this share of the objective: the
    # support is then nearly right. Each further try needs a gap smaller by the factor.
    polish_below: float = 0.1
    polish_factor: float = 100.0
    # Objectives below this part of |C̃|² count as this part.
    smallest_objective: float = 1e-6


SCHEDULE = _Schedule()

# For the number of BLAS's threads, which a process has only once.
_BLAS_LIMIT = Turn()

# Point, extrapolated point and momentum parameter of each row.
State = tuple[FloatArray, FloatArray, FloatArray]


def solve_fista(
    C_clean: FloatArray,
    C_noisy: FloatArray,
    l1_penalty: float = 0.0,
    *,
    penalty: str = "off_diagonal",
    allowed: BoolArray | None = None,
    start: FloatArray | None = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> Solution:
    """Eq. 5 by accelerated projected gradient, finished by an active set.

    FISTA, with a restart for each column, finds which entries are zero. Given these,
    each column is a small linear system, whose multipliers say which entry must become
    positive again.

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
        Maximum number of first-order steps.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError, ValueError
        If `l1_penalty`, `penalty`, `tol` or `max_iter` is out of its range, or if a
        matrix is not square, has another shape than the first, or is not finite.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` steps do not reach `tol`; the message holds the gap.
    """
    check_real(tol, "tol", min_val=0)
    check_integer(max_iter, "max_iter", min_val=1)
    C_clean, C_noisy, allowed, start = confusion_pair(C_clean, C_noisy, allowed, start)
    problem = Problem(C_clean, C_noisy, l1_penalty, penalty, allowed)
    smallest = SCHEDULE.smallest_objective * float((C_noisy**2).sum())
    X = problem.project(np.eye(len(C_clean)) if start is None else start.T)
    step = 1 / np.linalg.eigvalsh(problem.G)[-1]
    polish_below, n_iter = SCHEDULE.polish_below, 0
    state = X, X, np.ones(len(X))
    while True:
        n_steps = min(SCHEDULE.steps_per_check, max_iter - n_iter)
        state = _accelerated_steps(problem, state, step, n_steps)
        n_iter += n_steps
        X = state[0]
        objective, gaps = problem.objective(X), problem.dual_gaps(X)
        if gaps.sum() <= polish_below * max(objective, smallest):
            X, gaps = _polish(problem, X, gaps)
            state = X, X, np.ones(len(X))
            objective = problem.objective(X)
            polish_below /= SCHEDULE.polish_factor
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


def _accelerated_steps(
    problem: Problem, state: State, step: float, n_steps: int
) -> State:
    """Projected gradient steps with momentum."""
    X, ahead, t = state
    for _ in range(n_steps):
        new = ahead @ problem.G
        new -= problem.linear
        new *= -step
        new += ahead
        new = problem.project(new)
        moved = new - X
        # Restart of each column whose momentum points uphill (O'Donoghue & Candès,
        # 2015).
        uphill = np.einsum("ij,ij->i", ahead - new, moved) > 0
        t_new = np.where(uphill, 1.0, (1 + np.sqrt(1 + 4 * t**2)) / 2)
        momentum = np.where(uphill, 0.0, (t - 1) / t_new)
        moved *= momentum[:, None]
        ahead = moved
        ahead += new
        X, t = new, t_new
    return X, ahead, t


def _polish(
    problem: Problem, X: FloatArray, gaps: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rows and gaps after the active set, for each row whose gap it reduces."""
    polished = X.copy()

    def polish(j: int) -> None:
        allowed = None if problem.allowed is None else problem.allowed[j]
        # A row whose system is singular stays as it is.
        with suppress(LinAlgError):
            polished[j] = _active_set(
                problem.G, problem.linear[j], X[j], allowed, problem.on_simplex
            )

    # One thread for each of many small systems is faster than BLAS's threads for one.
    # The limit is that of the process: who ends last must restore what was first.
    with (
        _BLAS_LIMIT.held(),
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        list(pool.map(polish, range(len(X))))
    polished_gaps = problem.dual_gaps(polished)
    worse = polished_gaps > gaps
    polished[worse] = X[worse]
    return polished, np.minimum(polished_gaps, gaps)


def _active_set(
    G: FloatArray,
    linear: FloatArray,
    x: FloatArray,
    allowed: BoolArray | None,
    on_simplex: bool,
    max_changes: int = 50,
) -> FloatArray:
    """Minimise ``xᵀ G x - 2 linearᵀ x`` over x >= 0 (and the simplex), started at x."""
    support = x > 0
    for _ in range(max_changes):
        x, nu = _solve_on_support(G, linear, support, on_simplex)
        support = x > 0
        gradient = G @ x - linear - nu
        missing = (gradient < -1e-12 * max(1.0, abs(nu))) & ~support
        if allowed is not None:
            missing &= allowed
        if not missing.any():
            break
        support = support | missing
    return x


def _solve_on_support(
    G: FloatArray, linear: FloatArray, support: BoolArray, on_simplex: bool
) -> tuple[FloatArray, float]:
    """Optimum among the x that are zero outside `support`, and the multiplier.

    All entries that are negative at the optimum leave the support at once. One round
    is nearly always enough, since the support is nearly right.
    """
    index, solution, nu = np.flatnonzero(support), np.zeros_like(linear), 0.0
    while len(index):
        factor = cho_factor(G[np.ix_(index, index)], lower=True, check_finite=False)
        right = np.stack([linear[index], np.ones(len(index))], axis=1)
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
