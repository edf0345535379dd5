"""What a noise matrix is, and how it is estimated: NumPy only."""

from sklearn_noisy.noise._bayes import (
    inverse_from_noise,
    noise_from_inverse,
    probability_right,
)
from sklearn_noisy.noise._checks import (
    check_noise_matrix,
    check_possible,
    check_probabilities,
    in_class_order,
    is_singular,
)
from sklearn_noisy.noise._estimate import NoiseEstimate
from sklearn_noisy.noise._likelihood import (
    certain_noise_matrix,
    confident_noise_matrix,
    count_noise_matrix,
    likely_noise_matrix,
)
from sklearn_noisy.noise._predictions import estimate_noise_matrix
from sklearn_noisy.noise._program import solve_cvxpy
from sklearn_noisy.noise._simplex import project_columns
from sklearn_noisy.noise._solvers import Solution, solve_fista, solve_inverse

__all__ = [
    "NoiseEstimate",
    "Solution",
    "check_noise_matrix",
    "check_possible",
    "check_probabilities",
    "certain_noise_matrix",
    "confident_noise_matrix",
    "count_noise_matrix",
    "estimate_noise_matrix",
    "in_class_order",
    "inverse_from_noise",
    "is_singular",
    "likely_noise_matrix",
    "noise_from_inverse",
    "probability_right",
    "project_columns",
    "solve_cvxpy",
    "solve_fista",
    "solve_inverse",
]
