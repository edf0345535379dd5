r"""Eq. 5 of [1]_: the inverse noise matrix from two confusions.

A classifier that trained on none of the rows it is measured on has the confusions
:math:`C^*_{ki} = P(\text{predicted } k \mid \text{true } i)` on clean rows and
:math:`\tilde C_{kj} = P(\text{predicted } k \mid \text{given } j)` on noisy ones.
If prediction and given label are independent given the true label,
:math:`\tilde C = C^* R`. Solving for R is Eq. 3; Eq. 5 is

.. math::

    \min_R \|C^* R - \tilde C\|_F^2 + \lambda \sum_{ij} w_{ij} r_{ij}
    \quad\text{subject to}\quad R \ge 0,\ 1^\top R = 1^\top,

where the `penalty` chooses :math:`w`:

``"off_diagonal"``
    :math:`w_{ij} = [i \ne j]`: only flips cost. For
    :math:`\lambda \to \infty` R is the identity.
``"literal"``
    :math:`w_{ij} = 1`, as the paper writes it. On the simplex this adds the
    constant :math:`\lambda K` and has no effect.
``"relaxed"``
    :math:`w_{ij} = 1`, and :math:`R \ge 0` is the only constraint; the caller divides
    the columns by their sums afterwards.

The problem separates into K columns that share :math:`G = C^{*\top} C^*`. The arrays
here hold these columns as rows, which are contiguous in memory.

References
----------
.. [1] S. Sukhbaatar, R. Fergus, "Learning from noisy labels with deep neural
   networks", 2014, section 3.2.
"""

from dataclasses import dataclass

import numpy as np

from sklearn_noisy._typing import BoolArray, FloatArray
from sklearn_noisy._validation import check_choice, check_real
from sklearn_noisy.noise.solvers._simplex import project_rows

PENALTIES = ("off_diagonal", "relaxed", "literal")


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

    R: FloatArray
    objective: float
    dual_gap: float
    n_iter: int


class Problem:
    """Eq. 5 in rows: row j of X is column j of R.

    Attributes
    ----------
    G : ndarray of shape (n_classes, n_classes)
        Quadratic term.
    linear : ndarray of shape (n_classes, n_classes)
        Linear term: half the gradient is ``X @ G - linear``.
    W : ndarray of shape (n_classes, n_classes)
        Weights of the penalty.
    allowed : bool ndarray of shape (n_classes, n_classes) or None
        Entries of X that may be positive.
    on_simplex : bool
        Whether the rows of X must sum to 1.
    """

    def __init__(
        self,
        C_clean: FloatArray,
        C_noisy: FloatArray,
        l1_penalty: float,
        penalty: str,
        allowed: BoolArray | None,
    ) -> None:
        check_choice(penalty, "penalty", PENALTIES)
        check_real(l1_penalty, "l1_penalty", min_val=0)
        self.C, self.D, self.l1_penalty = C_clean, C_noisy, l1_penalty
        self.on_simplex = penalty != "relaxed"
        self.allowed = None if allowed is None else np.ascontiguousarray(allowed.T)
        self.W = np.ones(C_clean.shape)
        if penalty == "off_diagonal":
            np.fill_diagonal(self.W, 0)
        self.G = C_clean.T @ C_clean
        self.linear = C_noisy.T @ C_clean - 0.5 * l1_penalty * self.W

    def project(self, X: FloatArray) -> FloatArray:
        """Nearest point that fulfils the constraints."""
        if self.on_simplex:
            return project_rows(X, self.allowed)
        X = np.maximum(X, 0)
        return X if self.allowed is None else np.where(self.allowed, X, 0)

    def objective(self, X: FloatArray) -> float:
        """Value of Eq. 5."""
        residual = self.C @ X.T - self.D
        return float((residual**2).sum() + self.l1_penalty * (self.W * X).sum())

    def dual_gaps(self, X: FloatArray) -> FloatArray:
        """Upper bound of each row's distance to its optimum, from the gradient.

        Convexity: f(X) - f(X*) <= <g, X - X*>, and over the simplex <g, x*> is at
        least the smallest entry of g. Without the simplex, the sum of x* is that
        of C x* (the columns of C sum to 1), at most √K |C x*| <= √K |c̃|.
        """
        g = 2 * (X @ self.G - self.linear)
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
