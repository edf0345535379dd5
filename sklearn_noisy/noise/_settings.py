"""The parameters of an estimate from clean rows, and the solver that they choose."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_noisy._typing import ArrayLike, FloatArray
from sklearn_noisy._validation import Condition, check_choice, check_real, readable
from sklearn_noisy.noise._bayes import normalise_columns
from sklearn_noisy.noise._likelihood import SMALLEST
from sklearn_noisy.noise.solvers import (
    PENALTIES,
    Solution,
    project_columns,
    solve_cvxpy,
    solve_fista,
    solve_inverse,
)

METHODS = ("l1", "inverse")
SOLVERS = ("auto", "fista", "cvxpy")


def check_penalties(l1_penalties: Any) -> FloatArray:
    """Values of λ to try, as a float64 array of shape (n_penalties,).

    Raises
    ------
    TypeError, ValueError
        If they are no list of finite, non-negative numbers, or there are none.
    """
    l1_penalties = readable(l1_penalties, "l1_penalties")
    if isinstance(l1_penalties, str) or np.ndim(l1_penalties) != 1:
        raise ValueError(
            "l1_penalties must be None or a list of numbers >= 0; got "
            f"{l1_penalties!r}."
        )
    values = list(l1_penalties)
    if not values:
        raise ValueError("l1_penalties must hold at least one number; got none.")
    return np.array(
        [
            check_real(value, f"l1_penalties[{position}]", min_val=0)
            for position, value in enumerate(values)
        ]
    )


@dataclass(frozen=True)
class Settings:
    """Parameters of :func:`estimate_noise_matrix` of the same names."""

    method: str = "l1"
    l1_penalty: float | str = "cv"
    l1_penalties: ArrayLike | None = None
    penalty: str = "off_diagonal"
    solver: str = "auto"
    shrinkage: float | str = "auto"
    allowed: ArrayLike | None = None
    constraints: Callable[[Any], Any] | None = None

    def check(self, n_classes: int) -> None:
        """Raise for a value or a combination that is not accepted."""
        for name, choices in (
            ("method", METHODS),
            ("penalty", PENALTIES),
            ("solver", SOLVERS),
        ):
            check_choice(getattr(self, name), name, choices)
        check_real(self.l1_penalty, "l1_penalty", min_val=0, words=("cv",))
        check_real(self.shrinkage, "shrinkage", min_val=0, max_val=1, words=("auto",))
        if self.l1_penalties is not None:
            check_penalties(self.l1_penalties)
        if self.constraints is not None and not callable(self.constraints):
            raise TypeError(
                "constraints must be a callable that takes the cvxpy variable R; got "
                f"{self.constraints!r}."
            )
        if self.constraints is not None and self.solver == "fista":
            raise ValueError(
                "constraints need solver='cvxpy' or 'auto'; got solver='fista'."
            )
        if self.allowed is None:
            return
        allowed = np.asarray(self.allowed)
        if allowed.shape != (n_classes, n_classes) or allowed.dtype != bool:
            raise ValueError(
                f"allowed must be a boolean matrix of shape {(n_classes, n_classes)}, "
                f"oriented like Q; got shape {allowed.shape}, dtype {allowed.dtype}."
            )
        if not np.diag(allowed).all():
            raise ValueError(
                "allowed must let every class keep its label (its diagonal must be "
                f"True); class {int(np.diag(allowed).argmin())} (by index) cannot."
            )

    def conditions(self) -> list[Condition]:
        """Which parameters have an effect, and when: see `without_effect`."""
        return [
            (
                ("l1_penalty", "l1_penalties", "penalty", "solver", "constraints"),
                self.method == "l1",
                "method='l1'",
            ),
            (
                ("l1_penalty", "l1_penalties"),
                self.penalty != "literal",
                "a penalty other than 'literal'",
            ),
            (("l1_penalties",), self.l1_penalty == "cv", "l1_penalty='cv'"),
        ]

    def solve(
        self,
        C_clean: FloatArray,
        C_noisy: FloatArray,
        l1_penalty: float,
        start: FloatArray | None = None,
    ) -> Solution:
        """Solution of Eq. 3 or Eq. 5, by the chosen method and solver."""
        allowed = None if self.allowed is None else np.asarray(self.allowed).T
        if self.method == "inverse":
            R = solve_inverse(C_clean, C_noisy)
            if allowed is not None:
                R = project_columns(R, allowed)
            residual = float(((C_clean @ R - C_noisy) ** 2).sum())
            return Solution(R, residual, np.nan, 0)
        problem = (C_clean, C_noisy, l1_penalty)
        if self.solver == "cvxpy" or self.constraints is not None:
            return solve_cvxpy(
                *problem,
                penalty=self.penalty,
                allowed=allowed,
                constraints=self.constraints,
            )
        return solve_fista(*problem, penalty=self.penalty, allowed=allowed, start=start)

    def normalised(self, R: FloatArray, *, strict: bool = False) -> FloatArray:
        """R with columns divided by their sums, if the problem is the relaxed one.

        A zero column becomes that of the identity; if `strict`, it is an error.
        """
        if self.penalty != "relaxed":
            return R
        empty = np.flatnonzero(R.sum(axis=0) <= SMALLEST)
        if strict and len(empty):
            raise ValueError(
                f"penalty='relaxed' made column {int(empty[0])} of the inverse noise "
                "matrix zero, which is no distribution: lower l1_penalty, or use "
                "penalty='off_diagonal'."
            )
        return normalise_columns(R, SMALLEST)
