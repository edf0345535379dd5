"""The noise matrix from predictions on clean and on noisy rows."""

import warnings
from dataclasses import dataclass
from numbers import Real

import numpy as np

from sklearn_noisy.noise._bayes import inverse_from_noise, noise_from_inverse
from sklearn_noisy.noise._confusions import (
    Confusion,
    draw_columns,
    shrink_columns,
)
from sklearn_noisy.noise._program import solve_cvxpy
from sklearn_noisy.noise._simplex import project_columns
from sklearn_noisy.noise._solvers import (
    PENALTIES,
    Solution,
    solve_fista,
    solve_inverse,
)

__all__ = ["NoiseEstimate", "Settings", "estimate_from_statistics", "FoldStatistics"]

# Condition number from which on C* counts as singular.
SINGULAR = 1e4

# Draws that tell the variance of the estimate when it is combined with counts.
DRAWS_FOR_COUNTS = 30

# From nothing to R = I, since the confusions are of order one.
L1_PENALTIES = np.r_[np.logspace(0, -5, 21), 0.0]


METHODS = ("l1", "inverse")
SOLVERS = ("auto", "fista", "cvxpy")


def _check_allowed(allowed, n_classes):
    allowed = np.asarray(allowed)
    if allowed.shape != (n_classes, n_classes) or allowed.dtype != bool:
        raise ValueError(
            f"allowed must be a boolean matrix of shape {(n_classes, n_classes)}, "
            f"oriented like Q; got shape {allowed.shape}, dtype {allowed.dtype}."
        )
    forbidden = np.flatnonzero(~np.diag(allowed))
    if len(forbidden):
        raise ValueError(
            f"allowed forbids class {int(forbidden[0])} (by index) to keep its label: "
            "its diagonal must be True."
        )


@dataclass(frozen=True)
class FoldStatistics:
    """What one model's predictions say; it trained on none of these rows.

    Attributes
    ----------
    clean : Confusion
        With the true labels of the clean rows that the fold holds out.
    noisy : Confusion
        With the given labels of the noisy rows.
    expected : ndarray of shape (n_classes, n_classes) or None
        What calibrated predictions expect of themselves; None if they are labels.
    """

    clean: Confusion
    noisy: Confusion
    expected: np.ndarray | None


@dataclass(frozen=True)
class Settings:
    """How Eq. 5 is put and solved; see :func:`estimate_noise_matrix`."""

    method: str = "l1"
    l1_penalty: float | str = "cv"
    l1_penalties: np.ndarray | None = None
    penalty: str = "off_diagonal"
    solver: str = "auto"
    shrinkage: float | str = "auto"
    allowed: np.ndarray | None = None
    constraints: object = None

    def check(self, n_classes):
        """Raise if a setting is none of those that exist."""
        for name, value, known in (
            ("method", self.method, METHODS),
            ("penalty", self.penalty, PENALTIES),
            ("solver", self.solver, SOLVERS),
        ):
            if value not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, known))}; got "
                    f"{value!r}."
                )
        for name, value, word, high in (
            ("l1_penalty", self.l1_penalty, "cv", np.inf),
            ("shrinkage", self.shrinkage, "auto", 1.0),
        ):
            if isinstance(value, str):
                valid = value == word
            else:
                valid = isinstance(value, Real) and 0 <= value <= high
            if not valid:
                raise ValueError(
                    f"{name} must be {word!r} or a number from 0 to {high}; got "
                    f"{value!r}."
                )
        if self.constraints is not None and not callable(self.constraints):
            raise TypeError(
                "constraints must be a callable that takes the cvxpy variable R; got "
                f"{self.constraints!r}."
            )
        if self.constraints is not None and self.solver == "fista":
            raise ValueError(
                "constraints need solver='cvxpy' or 'auto'; got solver='fista'."
            )
        if self.allowed is not None:
            _check_allowed(self.allowed, n_classes)

    def solve(self, C_clean, C_noisy, l1_penalty, start=None):
        """Eq. 3 or Eq. 5, by the method and solver that were chosen."""
        allowed = None if self.allowed is None else self.allowed.T
        if self.method == "inverse":
            R = solve_inverse(C_clean, C_noisy)
            if allowed is not None:
                R = project_columns(R, allowed)
            residual = float(((C_clean @ R - C_noisy) ** 2).sum())
            return Solution(R, residual, np.nan, 0)
        common = {"penalty": self.penalty, "allowed": allowed}
        if self.solver == "cvxpy" or self.constraints is not None:
            return solve_cvxpy(
                C_clean, C_noisy, l1_penalty, constraints=self.constraints, **common
            )
        return solve_fista(C_clean, C_noisy, l1_penalty, start=start, **common)


@dataclass(frozen=True)
class NoiseEstimate:
    """An estimated noise matrix and what it was made from.

    Attributes
    ----------
    noise_matrix : ndarray of shape (n_classes, n_classes)
        ``Q[j, i] = P(given j | true i)``.
    inverse_noise_matrix : ndarray of shape (n_classes, n_classes)
        ``R[i, j] = P(true i | given j)``.
    clean_prior, noisy_prior : ndarrays of shape (n_classes,)
    confusion_clean, confusion_noisy : ndarrays of shape (n_classes, n_classes)
        ``P(predicted k | true i)``, as it went into the estimate, and
        ``P(predicted k | given j)``.
    shrinkage : ndarray of shape (n_classes,)
        Share of each column of `confusion_clean` that is not counted on clean
        rows but what the calibrated predictions expect of themselves.
    l1_penalty : float
    dual_gap : float
    n_iter : int
    condition_number : float
        Of `confusion_clean`: how much its errors are magnified, at worst.
    interval : ndarray of shape (2, n_classes, n_classes) or None
        Lower and upper bound of each entry of `noise_matrix` at the level asked
        for, from the bootstrap.
    """

    noise_matrix: np.ndarray
    inverse_noise_matrix: np.ndarray
    clean_prior: np.ndarray
    noisy_prior: np.ndarray
    confusion_clean: np.ndarray
    confusion_noisy: np.ndarray
    shrinkage: np.ndarray
    l1_penalty: float
    dual_gap: float
    n_iter: int
    condition_number: float
    interval: np.ndarray | None = None


@dataclass(frozen=True)
class Confusions:
    """Both sides of ``C̃ = C* R``, with what is uncertain about each column."""

    clean: np.ndarray
    noisy: np.ndarray
    shrinkage: np.ndarray
    clean_uncertainty: np.ndarray
    clean_variance: np.ndarray
    noisy_variance: np.ndarray

    @classmethod
    def of(cls, folds, shrinkage):
        """From what the folds measured."""
        noisy = np.mean([fold.noisy.matrix for fold in folds], axis=0)
        clean, share, uncertainty, variance = _clean_confusion(folds, shrinkage)
        # A label that is never given: R = e_j then, times P(given) = 0.
        unseen = folds[0].noisy.weight <= 0
        noisy[:, unseen] = clean[:, unseen]
        # The folds' models see the same noisy rows: averaging gains nothing.
        spread = np.where(unseen, 0.0, folds[0].noisy.variance)
        return cls(clean, noisy, share, uncertainty, variance, spread)

    def drawn(self, rng, *, cautious):
        """Both, as they might have come out.

        `cautious` gives ``C*`` the whole sampling variance of the clean rows, as
        if shrinking had gained nothing: the error of what it is shrunk to lies in
        a few entries, and intervals without it were too narrow.
        """
        variance = self.clean_variance if cautious else self.clean_uncertainty
        return (
            draw_columns(self.clean, variance, rng),
            draw_columns(self.noisy, self.noisy_variance, rng),
        )


def estimate_from_statistics(
    folds, settings, counts=None, *, n_bootstrap=0, level=0.9, rng=None
):
    """Noise matrix from what the folds measured.

    Parameters
    ----------
    folds : list of FoldStatistics
    settings : Settings
    counts : ndarray of shape (n_classes, n_classes), default=None
        ``counts[j, i]``: rows that were given j and are truly i.
    n_bootstrap : int, default=0
        Draws of the confusions (and counts) for an interval.
    level : float, default=0.9
        Of the interval.
    rng : numpy.random.RandomState, default=None
        For the draws.

    Returns
    -------
    NoiseEstimate
    """
    confusions = Confusions.of(folds, settings.shrinkage)
    condition_number = float(np.linalg.cond(confusions.clean))
    _warn_of_weak_data(folds, condition_number)
    noisy_prior = sum(fold.noisy.weight for fold in folds)
    noisy_prior = noisy_prior / noisy_prior.sum()
    l1_penalty = settings.l1_penalty
    if settings.method != "l1":
        l1_penalty = 0.0
    elif l1_penalty == "cv":
        l1_penalty = _cross_validate(folds, settings, noisy_prior)
    solution = settings.solve(confusions.clean, confusions.noisy, l1_penalty)
    R = _normalised(solution.R, settings.penalty)
    Q, clean_prior = noise_from_inverse(R, noisy_prior)

    def draw(n_draws, cautious):
        """The estimate from confusions as they might have come out."""
        for _ in range(n_draws):
            drawn = settings.solve(
                *confusions.drawn(rng, cautious=cautious), l1_penalty
            )
            columns = _normalised(drawn.R, settings.penalty, quietly=True)
            with warnings.catch_warnings():
                # A draw may lose a class; only the estimate itself tells of it.
                warnings.simplefilter("ignore", RuntimeWarning)
                matrix, _ = noise_from_inverse(columns, noisy_prior)
            yield matrix

    share = 0.0
    if counts is not None:
        # How the two are weighted depends on how uncertain the estimate is.
        variance = np.var(list(draw(DRAWS_FOR_COUNTS, False)), axis=0).sum(axis=0)
        Q, share = _with_counts(Q, variance, counts)
        R, _ = inverse_from_noise(Q, clean_prior)
    interval = None
    if n_bootstrap:
        draws = list(draw(n_bootstrap, True))
        if counts is not None:
            draws = [
                (1 - share) * drawn + share * _drawn_counts(Q, counts, rng)
                for drawn in draws
            ]
        tail = (1 - level) / 2
        interval = np.quantile(draws, [tail, 1 - tail], axis=0)
    return NoiseEstimate(
        noise_matrix=Q,
        inverse_noise_matrix=R,
        clean_prior=clean_prior,
        noisy_prior=noisy_prior,
        confusion_clean=confusions.clean,
        confusion_noisy=confusions.noisy,
        shrinkage=confusions.shrinkage,
        l1_penalty=float(l1_penalty),
        dual_gap=solution.dual_gap,
        n_iter=solution.n_iter,
        condition_number=condition_number,
        interval=interval,
    )


def _warn_of_weak_data(folds, condition_number):
    never = np.flatnonzero(folds[0].noisy.weight <= 0).tolist()
    if never:
        warnings.warn(
            f"No noisy row has the labels {never} (by index): their rows of the noise "
            "matrix are taken to be zero.",
            RuntimeWarning,
            stacklevel=4,
        )
    if not condition_number < SINGULAR:
        warnings.warn(
            "The confusions of the clean rows are (nearly) singular, condition number "
            f"{condition_number:.3g}: the classifier does not tell some classes apart, "
            "and how labels flip between them is a guess. Use a better classifier or "
            "more clean rows.",
            RuntimeWarning,
            stacklevel=4,
        )


def _with_counts(Q, variance, counts):
    """Estimate and direct counts, weighted by the inverse of their variances.

    Returns the combination and the share of the counts in each column.
    """
    n_rows = counts.sum(axis=0)
    of_counts = (Q * (1 - Q)).sum(axis=0) / np.maximum(n_rows, 1)
    share = np.where(n_rows > 0, variance / np.maximum(variance + of_counts, 1e-12), 0)
    return (1 - share) * Q + share * counts / np.maximum(n_rows, 1), share


def _drawn_counts(Q, counts, rng):
    """Frequencies of the given labels as they might have been counted."""
    columns = [
        rng.multinomial(round(n), q / q.sum()) / max(round(n), 1)
        for q, n in zip(Q.T, counts.sum(axis=0), strict=True)
    ]
    return np.stack(columns, axis=1)


def _clean_confusion(folds, shrinkage):
    """``C*``, the share of the expectation in each column, and what is uncertain."""
    clean = folds[0].clean
    for fold in folds[1:]:
        clean = clean + fold.clean
    expected = [fold.expected for fold in folds]
    if shrinkage == 0 or any(matrix is None for matrix in expected):
        unseen = np.flatnonzero(clean.weight <= 0)
        if len(unseen):
            raise ValueError(
                f"No clean row has class {unseen.tolist()} (by index), so how it is "
                "predicted is unknown: add clean rows of it, or give probabilities "
                "and shrinkage='auto'."
            )
        nothing = np.zeros(len(clean.weight))
        return clean.matrix, nothing, clean.variance, clean.variance
    target = np.mean(expected, axis=0)
    columns, share, uncertainty = shrink_columns(clean.matrix, clean.variance, target)
    if shrinkage != "auto":
        share = np.where(clean.weight > 0, float(shrinkage), 1.0)
        columns = share * target + (1 - share) * np.nan_to_num(clean.matrix)
    variance = np.where(clean.weight > 0, clean.variance, uncertainty)
    return columns, share, uncertainty, variance


def _cross_validate(folds, settings, noisy_prior):
    """Penalty that predicts the confusions of the held-out clean rows best."""
    if settings.penalty == "literal":
        return 0.0  # changes nothing, whatever it is
    penalties = settings.l1_penalties
    penalties = L1_PENALTIES if penalties is None else np.sort(penalties)[::-1]
    if len(folds) < 2:
        raise ValueError(
            "l1_penalty='cv' needs clean rows in at least two folds; give a number."
        )
    scores = np.zeros((len(folds), len(penalties)))
    for f, held_out in enumerate(folds):
        others = [fold for g, fold in enumerate(folds) if g != f]
        of_others = Confusions.of(others, settings.shrinkage)
        seen = held_out.clean.weight > 0
        measured = np.where(seen, held_out.clean.matrix, of_others.clean)
        variance = np.where(seen, held_out.clean.variance, 0.0)
        start = None
        for number, l1_penalty in enumerate(penalties):
            start = settings.solve(
                of_others.clean, of_others.noisy, l1_penalty, start
            ).R
            R = _normalised(start, settings.penalty, quietly=True)
            residual = measured @ R - np.nan_to_num(held_out.noisy.matrix)
            squares = (residual**2).sum(axis=0)
            # E|(C + noise) r - c̃|² = |C r - c̃|² + Σ var_i r_i²: without the
            # correction spread-out columns would seem better than they are.
            squares -= variance @ R**2
            scores[f, number] = squares @ noisy_prior
    # Few clean rows make few and noisy scores: what a penalty gains over none
    # must exceed its standard error.
    gain = scores[:, [-1]] - scores
    lower = gain.mean(axis=0) - gain.std(axis=0, ddof=1) / np.sqrt(len(folds))
    return float(penalties[lower.argmax()])


def _normalised(R, penalty, quietly=False):
    """Columns of the relaxed problem divided by their sums."""
    if penalty != "relaxed":
        return R
    sums = R.sum(axis=0)
    empty = np.flatnonzero(sums <= 1e-12)
    if len(empty) and not quietly:
        raise ValueError(
            f"penalty='relaxed' made column {int(empty[0])} of the inverse noise "
            "matrix zero, which is no distribution: lower l1_penalty, or use "
            "penalty='off_diagonal'."
        )
    columns = R / np.where(sums > 1e-12, sums, 1.0)
    columns[:, empty] = np.eye(len(R))[:, empty]
    return columns
