"""Noise matrices and their estimation, in NumPy and SciPy."""

from sklearn_noisy.noise._bayes import (
    inverse_from_noise,
    noise_from_inverse,
    probability_right,
)
from sklearn_noisy.noise._checks import check_noise_matrix
from sklearn_noisy.noise._estimate import NoiseEstimate
from sklearn_noisy.noise._likelihood import (
    certain_noise_matrix,
    confident_noise_matrix,
    count_noise_matrix,
    likely_noise_matrix,
)
from sklearn_noisy.noise._predictions import estimate_noise_matrix
from sklearn_noisy.noise.solvers import (
    Solution,
    project_columns,
    solve_cvxpy,
    solve_fista,
    solve_inverse,
)

__all__ = [
    "NoiseEstimate",
    "Solution",
    "check_noise_matrix",
    "certain_noise_matrix",
    "confident_noise_matrix",
    "count_noise_matrix",
    "estimate_noise_matrix",
    "inverse_from_noise",
    "likely_noise_matrix",
    "noise_from_inverse",
    "probability_right",
    "project_columns",
    "solve_cvxpy",
    "solve_fista",
    "solve_inverse",
]
