"""Eq. 5 by cvxpy: the reference solver, and the one that takes constraints."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_noisy._typing import BoolArray, FloatArray
from sklearn_noisy.noise._inputs import confusion_pair
from sklearn_noisy.noise.solvers._problem import Problem, Solution


def solve_cvxpy(
    C_clean: FloatArray,
    C_noisy: FloatArray,
    l1_penalty: float = 0.0,
    *,
    penalty: str = "off_diagonal",
    allowed: BoolArray | None = None,
    constraints: Callable[[Any], Any] | None = None,
    cvxpy_solver: str = "CLARABEL",
) -> Solution:
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
        `dual_gap` is NaN with `constraints`: the bound holds without them only.

    Raises
    ------
    ValueError
        If no R fulfils the constraints, `l1_penalty` or `penalty` is out of its
        range, or the solver fails; if a matrix is not square, has another shape than
        the first, or is not finite.
    TypeError
        If `constraints` returns something else than cvxpy constraints.
    """
    import cvxpy as cp  # slow to import, and needed here only

    C_clean, C_noisy, allowed, _ = confusion_pair(C_clean, C_noisy, allowed)
    problem = Problem(C_clean, C_noisy, l1_penalty, penalty, allowed)
    R = cp.Variable(C_clean.shape, nonneg=True)
    rules = [cp.sum(R, axis=0) == 1] if problem.on_simplex else []
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
    # R >= 0, so that |R| is R; this is how the paper writes it.
    fit = cp.sum_squares(C_clean @ R - C_noisy)
    program = cp.Problem(
        cp.Minimize(fit + l1_penalty * cp.sum(cp.multiply(problem.W, cp.abs(R)))), rules
    )
    try:
        program.solve(solver=cvxpy_solver)
    except cp.SolverError as error:
        raise ValueError(
            f"cvxpy_solver={cvxpy_solver!r} found no solution for "
            f"l1_penalty={l1_penalty:.3g} and these C_clean and C_noisy: {error}"
        ) from error
    if R.value is None:
        raise ValueError(
            f"constraints and allowed leave no noise matrix: cvxpy says "
            f"{program.status!r}."
        )
    # Interior-point solutions violate the constraints by about 1e-9.
    X = problem.project(R.value.T) if constraints is None else np.maximum(R.value.T, 0)
    gap = float(problem.dual_gaps(X).sum()) if constraints is None else np.nan
    n_iter = program.solver_stats.num_iters or 0
    return Solution(np.ascontiguousarray(X.T), problem.objective(X), gap, n_iter)
