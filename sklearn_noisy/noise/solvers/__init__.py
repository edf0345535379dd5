"""Solvers of Eqs. 3 and 5 for the inverse noise matrix."""

from sklearn_noisy.noise.solvers._cvxpy import solve_cvxpy
from sklearn_noisy.noise.solvers._fista import solve_fista
from sklearn_noisy.noise.solvers._inverse import solve_inverse
from sklearn_noisy.noise.solvers._problem import PENALTIES, Solution
from sklearn_noisy.noise.solvers._simplex import project_columns

__all__ = [
    "PENALTIES",
    "Solution",
    "project_columns",
    "solve_cvxpy",
    "solve_fista",
    "solve_inverse",
]
