"""Eq. 5 as a convex program: the reference, and what takes further constraints."""

import cvxpy as cp
import numpy as np

from sklearn_noisy.noise._solvers import Solution, _Problem, weights

__all__ = ["solve_cvxpy"]


def solve_cvxpy(
    C_clean,
    C_noisy,
    l1_penalty=0.0,
    *,
    penalty="off_diagonal",
    allowed=None,
    constraints=None,
    cvxpy_solver="CLARABEL",
):
    """Eq. 5 by cvxpy, as the paper writes it.

    Parameters
    ----------
    C_clean, C_noisy : ndarrays of shape (n_classes, n_classes)
        Columns sum to 1.
    l1_penalty : float >= 0, default=0.0
        λ.
    penalty : {"off_diagonal", "relaxed", "literal"}, default="off_diagonal"
    allowed : bool ndarray of shape (n_classes, n_classes), default=None
        Entries of R that may be positive; None is all.
    constraints : callable, default=None
        Called with the cvxpy variable R, returns a list of further constraints.
    cvxpy_solver : str, default="CLARABEL"
        An interior-point solver by default, whose answers are exact to about
        1e-9.

    Returns
    -------
    Solution
        `dual_gap` is NaN with `constraints`, which the bound does not know.

    Raises
    ------
    ValueError
        If there is no such R, or `constraints` does not return constraints.
    """
    n_classes = len(C_clean)
    R = cp.Variable((n_classes, n_classes), nonneg=True)
    rules = [] if penalty == "relaxed" else [cp.sum(R, axis=0) == 1]
    if allowed is not None and not allowed.all():
        rules.append(R[~allowed] == 0)
    if constraints is not None:
        further = constraints(R)
        further = [further] if isinstance(further, cp.Constraint) else list(further)
        for rule in further:
            if not isinstance(rule, cp.Constraint):
                raise TypeError(
                    "constraints must be a callable that returns cvxpy constraints; "
                    f"it returned {rule!r}."
                )
        rules += further
    W = weights(n_classes, penalty)
    # |R| is R here, but cvxpy should see what the paper writes.
    fit = cp.sum_squares(C_clean @ R - C_noisy)
    program = cp.Problem(
        cp.Minimize(fit + l1_penalty * cp.sum(cp.multiply(W, cp.abs(R)))), rules
    )
    program.solve(solver=cvxpy_solver)
    if R.value is None:
        raise ValueError(
            f"constraints and allowed leave no noise matrix: cvxpy says "
            f"{program.status!r}."
        )
    problem = _Problem(C_clean, C_noisy, l1_penalty, penalty, allowed)
    # Interior-point answers are off the boundary by about 1e-9.
    X = problem.project(R.value.T) if constraints is None else np.maximum(R.value.T, 0)
    gap = float(problem.dual_gaps(X).sum()) if constraints is None else np.nan
    n_iter = program.solver_stats.num_iters or 0
    return Solution(np.ascontiguousarray(X.T), problem.objective(X), gap, n_iter)
