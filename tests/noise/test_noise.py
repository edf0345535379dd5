"""The noise matrix in NumPy: identities, solvers against each other, confusions."""

import subprocess
import sys
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import sklearn_noisy
from sklearn_noisy.datasets import corrupt_labels, make_noise_matrix
from sklearn_noisy.noise import (
    certain_noise_matrix,
    check_noise_matrix,
    confident_noise_matrix,
    count_noise_matrix,
    estimate_noise_matrix,
    inverse_from_noise,
    likely_noise_matrix,
    noise_from_inverse,
    probability_right,
    project_columns,
    solve_cvxpy,
    solve_fista,
    solve_inverse,
)
from sklearn_noisy.noise._confusions import (
    draw_columns,
    expected_confusion,
    measure_confusion,
    shrink_columns,
)
from sklearn_noisy.noise._likelihood import fit_temperature, sharpen

PENALTIES = ("off_diagonal", "relaxed", "literal")


def random_columns(rng, shape, concentration=1.0):
    return rng.dirichlet(np.full(shape[0], concentration), size=shape[1]).T


def problem(n_classes, seed=0, n_rows=500):
    """Confusions whose noisy side is counted on a finite number of rows."""
    rng = np.random.RandomState(seed)
    C = 0.6 * np.eye(n_classes) + 0.4 * random_columns(rng, (n_classes, n_classes), 0.3)
    R = 0.5 * np.eye(n_classes) + 0.5 * random_columns(rng, (n_classes, n_classes))
    counted = [rng.multinomial(n_rows, c / c.sum()) / n_rows for c in (C @ R).T]
    return C, np.stack(counted, axis=1), R


def objective(C, D, R, l1_penalty, penalty):
    flips = R.sum() - (np.trace(R) if penalty == "off_diagonal" else 0)
    return ((C @ R - D) ** 2).sum() + l1_penalty * flips


# What a noise matrix is.


def test_noise_is_numpy_and_scipy_only():
    """Its modules import no other library, apart from scikit-learn's checks.

    scikit-learn imports pandas itself where it is installed.
    """
    code = """
import importlib, pkgutil, sys, types
package = types.ModuleType("sklearn_noisy")  # without the estimators
package.__path__ = [sys.argv[1]]
sys.modules["sklearn_noisy"] = package
import sklearn_noisy.noise
for info in pkgutil.walk_packages(sklearn_noisy.noise.__path__, "sklearn_noisy.noise."):
    importlib.import_module(info.name)
heavy = {"torch", "skorch", "cvxpy", "cleanlab", "matplotlib"} & {*sys.modules}
assert not heavy, heavy
"""
    folder = Path(sklearn_noisy.__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_the_package_imports_cvxpy_and_cleanlab_when_they_are_used():
    code = """
import sys
import sklearn_noisy
heavy = {"cvxpy", "cleanlab", "matplotlib"} & {*sys.modules}
assert not heavy, heavy
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"must be square; got shape \(2, 3\)"),
        (np.ones(3), r"must be square; got shape \(3,\)"),
        ([[1.2, 0], [-0.2, 1]], "row 1, column 0 is -0.2"),
        ([[0.9, 0.3], [0.1, 0.8]], r"column 1 sums to 1.1, \+0.1 from it\.$"),
        ([[0.9, 0.1], [0.2, 0.8]], "Its rows do: give the transpose"),
        ([[np.nan, 0], [0, 1]], "contains NaN"),
    ],
)
def test_what_is_no_noise_matrix(matrix, message):
    with pytest.raises(ValueError, match=message):
        check_noise_matrix(matrix)


def test_checked_matrix_is_a_copy_for_so_many_classes():
    Q = make_noise_matrix(3, 0.2)
    checked = check_noise_matrix(Q, n_classes=3)
    checked[0, 0] = 9
    assert Q[0, 0] == 0.8
    with pytest.raises(ValueError, match=r"shape \(4, 4\) for 4 classes"):
        check_noise_matrix(Q, n_classes=4)
    with pytest.warns(RuntimeWarning, match="condition number"):
        check_noise_matrix(make_noise_matrix(10, 0.89), max_condition=50)


def test_bayes_there_and_back():
    rng = np.random.RandomState(0)
    Q, prior = random_columns(rng, (5, 5)), rng.dirichlet(np.ones(5))
    R, noisy_prior = inverse_from_noise(Q, prior)
    np.testing.assert_allclose(noisy_prior, Q @ prior)
    np.testing.assert_allclose(R.sum(axis=0), 1)
    back, clean_prior = noise_from_inverse(R, noisy_prior)
    np.testing.assert_allclose(back, Q)
    np.testing.assert_allclose(clean_prior, prior)
    np.testing.assert_allclose(R @ noisy_prior, prior)


def test_a_class_without_rows_is_taken_to_have_no_noise():
    R = np.array([[0.9, 0.4, 0], [0.1, 0.6, 0], [0, 0, 1.0]])
    with pytest.warns(RuntimeWarning, match=r"true classes \[2\]"):
        Q, prior = noise_from_inverse(R, np.array([0.5, 0.5, 0]))
    np.testing.assert_array_equal(Q[:, 2], [0, 0, 1])
    assert prior[2] == 0


@pytest.mark.parametrize("masked", [False, True])
def test_projection_is_the_nearest_distribution(masked):
    rng = np.random.RandomState(0)
    V = rng.randn(6, 4) * 2
    allowed = rng.rand(6, 4) < 0.6 if masked else None
    projected = project_columns(V, allowed)
    for j in range(4):
        x = cp.Variable(6, nonneg=True)
        rules = [cp.sum(x) == 1]
        if masked:
            rules += [x[k] == 0 for k in np.flatnonzero(~allowed[:, j])]
        cp.Problem(cp.Minimize(cp.sum_squares(x - V[:, j])), rules).solve()
        np.testing.assert_allclose(projected[:, j], x.value, atol=1e-4)
    np.testing.assert_allclose(projected.sum(axis=0), 1)
    again = project_columns(projected, allowed)
    np.testing.assert_allclose(again, projected, atol=1e-12)


# Eqs. 3 and 5.


def test_inverse_recovers_what_fits_exactly():
    C, _, R = problem(6)
    np.testing.assert_allclose(solve_inverse(C, C @ R), R, atol=1e-12)


def test_inverse_of_a_singular_confusion_is_still_a_distribution():
    C = np.array([[0.5, 0.5, 0.1], [0.4, 0.4, 0.2], [0.1, 0.1, 0.7]])
    R = solve_inverse(C, C @ np.eye(3))
    np.testing.assert_allclose(R.sum(axis=0), 1)
    np.testing.assert_allclose(C @ R, C, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("n_classes", [2, 5, 17])
def test_solvers_agree(n_classes, penalty, masked):
    C, D, _ = problem(n_classes, seed=n_classes)
    rng = np.random.RandomState(1)
    allowed = (rng.rand(*C.shape) < 0.5) | np.eye(n_classes, dtype=bool)
    allowed = allowed if masked else None
    for l1_penalty in (0.0, 0.003, 0.1):
        common = {"penalty": penalty, "allowed": allowed}
        ours = solve_fista(C, D, l1_penalty, **common)
        reference = solve_cvxpy(C, D, l1_penalty, **common)
        assert abs(ours.objective - reference.objective) < 1e-7
        assert ours.objective == pytest.approx(
            objective(C, D, ours.R, l1_penalty, penalty)
        )
        # Each is within its own gap of the optimum, so of the other.
        assert ours.objective <= reference.objective + ours.dual_gap + 1e-12
        assert ours.dual_gap <= 1e-7 * max(ours.objective, 1e-4)
        if allowed is not None:
            assert (ours.R[~allowed] == 0).all()


def test_the_literal_penalty_changes_nothing_and_ours_does():
    C, D, _ = problem(8)
    free = solve_fista(C, D, 0.0).R
    for l1_penalty in (0.01, 1.0, 100.0):
        literal = solve_fista(C, D, l1_penalty, penalty="literal")
        np.testing.assert_allclose(literal.R, free, atol=1e-7)
        assert abs(literal.R).sum() == pytest.approx(8)
    few = solve_fista(C, D, 0.02).R
    assert np.trace(few) > np.trace(free) + 0.1
    np.testing.assert_allclose(solve_fista(C, D, 10.0).R, np.eye(8), atol=1e-9)


def test_a_start_does_not_change_the_answer():
    C, D, R = problem(20)
    cold = solve_fista(C, D, 0.001)
    warm = solve_fista(C, D, 0.001, start=R)
    np.testing.assert_allclose(warm.R, cold.R, atol=1e-7)


def test_too_few_steps_warn_with_the_gap():
    C, D, _ = problem(30)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=2 steps.*at most .* above"):
        solution = solve_fista(C, D, max_iter=2, tol=0.0)
    assert solution.n_iter == 2


def test_constraints_of_ones_own():
    C, D, _ = problem(5)
    solution = solve_cvxpy(C, D, constraints=lambda R: [cp.diag(R) >= 0.8])
    assert np.diag(solution.R).min() > 0.8 - 1e-6
    with pytest.raises(ValueError, match="leave no noise matrix"):
        solve_cvxpy(C, D, constraints=lambda R: [R[0, 0] >= 2])
    with pytest.raises(TypeError, match="returns cvxpy constraints; it returned 3"):
        solve_cvxpy(C, D, constraints=lambda R: [3])


# Confusions.


def test_measured_confusions_and_their_variance():
    predictions = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    confusion = measure_confusion(predictions, np.array([0, 0, 1]))
    np.testing.assert_allclose(confusion.matrix, [[0.8, 0.2], [0.2, 0.8]])
    half = measure_confusion(predictions[:2], np.array([0, 0]))
    rest = measure_confusion(predictions[2:], np.array([1]))
    np.testing.assert_allclose((half + rest).total, confusion.total)
    # By simulation: the variance of a mean of n rows.
    rng = np.random.RandomState(0)
    draws = rng.dirichlet([3, 2, 1], size=(2000, 50))
    codes = np.zeros(50, dtype=int)
    seen = [measure_confusion(p, codes) for p in draws]
    of_means = np.var([c.matrix[:, 0] for c in seen], axis=0).sum()
    assert np.mean([c.variance[0] for c in seen]) == pytest.approx(of_means, rel=0.05)
    assert np.isinf(seen[0].variance[1])


def test_calibrated_probabilities_know_their_confusion():
    rng = np.random.RandomState(0)
    p = rng.dirichlet([0.5, 0.7, 0.3], size=20_000)
    y = (rng.rand(len(p), 1) > p.cumsum(axis=1)).sum(axis=1)
    measured = measure_confusion(p, y).matrix
    np.testing.assert_allclose(expected_confusion(p), measured, atol=0.01)


def test_temperature_is_found():
    rng = np.random.RandomState(0)
    p = rng.dirichlet(np.ones(4), size=5000)
    y = (rng.rand(len(p), 1) > p.cumsum(axis=1)).sum(axis=1)
    overconfident = sharpen(p, 3.0)
    power = fit_temperature(overconfident, y)
    assert power == pytest.approx(1 / 3, abs=0.03)
    np.testing.assert_allclose(sharpen(overconfident, 1 / 3), p, atol=1e-4)


def test_shrinking_follows_the_sampling_error():
    measured, target = np.array([[0.9, 0.3], [0.1, 0.7]]), np.full((2, 2), 0.5)
    exact, share, _ = shrink_columns(measured, np.zeros(2), target)
    np.testing.assert_allclose(exact, measured)
    assert (share == 0).all()
    blurred, share, _ = shrink_columns(measured, np.full(2, 10.0), target)
    np.testing.assert_allclose(blurred, target)
    assert (share == 1).all()
    measured[:, 1] = np.nan
    filled, _, left = shrink_columns(measured, np.array([0.01, np.inf]), target)
    np.testing.assert_allclose(filled[:, 1], target[:, 1])
    assert left[1] > left[0]


def test_drawn_columns_have_the_variance_asked_for():
    columns = np.array([[0.7, 1.0], [0.2, 0.0], [0.1, 0.0]])
    rng = np.random.RandomState(0)
    draws = np.stack(
        [draw_columns(columns, np.array([0.02, 0.01]), rng) for _ in range(3000)]
    )
    np.testing.assert_allclose(draws.sum(axis=1), 1)
    np.testing.assert_allclose(draws.mean(axis=0), columns, atol=0.01)
    assert draws[:, :, 0].var(axis=0).sum() == pytest.approx(0.02, rel=0.1)


# From predictions.


def simulated(n_clean=2000, n_noisy=40_000, kind="pair", seed=0):
    """Calibrated predictions, true and given labels of strings, and Q."""
    rng = np.random.RandomState(seed)
    n = n_clean + n_noisy
    p = rng.dirichlet(np.full(4, 0.15), size=n)
    y = (rng.rand(n, 1) > p.cumsum(axis=1)).sum(axis=1)
    Q = make_noise_matrix(4, 0.4, kind, random_state=seed)
    names = np.array(["ant", "bee", "cat", "dog"])
    given = names[corrupt_labels(y, Q, random_state=seed + 1)]
    clean = np.arange(n) < n_clean
    return p, names[y], given, clean, Q


@pytest.mark.parametrize("method", ["l1", "inverse"])
@pytest.mark.parametrize("hard", [False, True])
def test_estimate_from_predictions(method, hard):
    p, y, given, clean, Q = simulated()
    predictions = np.unique(y)[p.argmax(axis=1)] if hard else p
    estimate = estimate_noise_matrix(
        y[clean],
        predictions[clean],
        given[~clean],
        predictions[~clean],
        method=method,
        random_state=0,
    )
    assert abs(estimate.noise_matrix - Q).sum() / 4 < 0.06
    np.testing.assert_allclose(estimate.inverse_noise_matrix.sum(axis=0), 1)
    counted = np.unique(given[~clean], return_counts=True)[1] / (~clean).sum()
    np.testing.assert_allclose(estimate.noisy_prior, counted)
    np.testing.assert_allclose(
        estimate.noise_matrix @ estimate.clean_prior, counted, atol=1e-9
    )


def test_shrinkage_helps_when_clean_rows_are_few():
    errors = {0: [], "auto": []}
    for seed in range(3):
        p, y, given, clean, Q = simulated(40, 10_000, "random", seed)
        for shrinkage, found in errors.items():
            estimate = estimate_noise_matrix(
                y[clean],
                p[clean],
                given[~clean],
                p[~clean],
                shrinkage=shrinkage,
                random_state=0,
            )
            found.append(abs(estimate.noise_matrix - Q).sum() / 4)
    assert np.mean(errors["auto"]) < 0.6 * np.mean(errors[0])


def test_intervals_cover_and_direct_counts_help():
    p, y, given, clean, Q = simulated(400)
    arguments = (y[clean], p[clean], given[~clean], p[~clean])
    estimate = estimate_noise_matrix(*arguments, n_bootstrap=100, random_state=0)
    low, high = estimate.interval
    assert (low <= high).all()
    assert ((low <= Q) & (high >= Q)).mean() > 0.8
    assert estimate_noise_matrix(*arguments, random_state=0).interval is None
    both = estimate_noise_matrix(
        *arguments, y_given_clean=given[clean], n_bootstrap=100, random_state=0
    )
    assert (both.interval[1] - both.interval[0]).mean() < (high - low).mean()


def test_a_label_that_is_never_given():
    p, y, given, clean, _ = simulated()
    rows = ~clean & (given != "dog")
    with pytest.warns(RuntimeWarning, match=r"No noisy row has the labels \[3\]"):
        estimate = estimate_noise_matrix(
            y[clean], p[clean], given[rows], p[rows], random_state=0
        )
    assert (estimate.noise_matrix[3] == 0).all()
    np.testing.assert_allclose(estimate.noise_matrix.sum(axis=0), 1)


def test_a_classifier_that_tells_nothing_apart():
    _, y, given, clean, _ = simulated()
    same = np.full((len(y), 4), 0.25)
    with pytest.warns(RuntimeWarning, match=r"\(nearly\) singular"):
        estimate = estimate_noise_matrix(
            y[clean], same[clean], given[~clean], same[~clean], random_state=0
        )
    np.testing.assert_allclose(estimate.noise_matrix.sum(axis=0), 1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "em"}, ValueError, "method must be one of 'l1', 'inverse'"),
        ({"penalty": "l2"}, ValueError, "penalty must be one of"),
        ({"solver": "osqp"}, ValueError, "solver must be one of"),
        ({"l1_penalty": -1}, ValueError, "l1_penalty must be 'cv' or a number"),
        (
            {"l1_penalty": np.inf},
            ValueError,
            r"l1_penalty must be 'cv' or a number in \[0, inf\), got inf",
        ),
        ({"shrinkage": 2}, ValueError, "shrinkage must be 'auto' or a number in"),
        ({"cv": 1}, ValueError, "cv must be an integer >= 2"),
        ({"allowed": np.eye(3, dtype=bool)}, ValueError, r"shape \(4, 4\)"),
        ({"allowed": ~np.eye(4, dtype=bool)}, ValueError, "diagonal must be True"),
        ({"constraints": 3}, TypeError, "constraints must be a callable"),
        (
            {"constraints": lambda R: [], "solver": "fista"},
            ValueError,
            "constraints need solver='cvxpy'",
        ),
        (
            {"classes": ["ant", "bee", "cat"]},
            ValueError,
            r"among the classes .*: \['dog'\]",
        ),
        (
            {"pred_clean": np.ones((2000, 3)) / 3},
            ValueError,
            "must have shape \\(2000, 4\\)",
        ),
        ({"pred_clean": np.ones((2000, 4))}, ValueError, "rows that sum to 1"),
        (
            {"penalty": "relaxed", "l1_penalty": 50.0},
            ValueError,
            "made column 0 of the inverse noise matrix zero",
        ),
    ],
)
def test_bad_arguments(change, error, message):
    p, y, given, clean, _ = simulated()
    arguments = {
        "y_true_clean": y[clean],
        "pred_clean": p[clean],
        "y_noisy": given[~clean],
        "pred_noisy": p[~clean],
        **change,
    }
    with pytest.raises(error, match=message):
        estimate_noise_matrix(**arguments)


P = [[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: certain_noise_matrix(P, [0, 1, 2], None), "given must hold positions"),
        (
            lambda: confident_noise_matrix(P, [0, 1], None),
            "given must have shape",
        ),
        (lambda: probability_right(P, [0, 1, 0], np.eye(3)), "Q must have shape"),
        (lambda: probability_right([[1, 1]], [0], np.eye(2)), "rows that sum to 1"),
        (lambda: likely_noise_matrix(P, [0, 1, 0], np.zeros((2, 2))), "start must"),
        (lambda: count_noise_matrix([0, 1], [0, 1], 2, [1, -1]), "weight must not be"),
        (lambda: noise_from_inverse(np.eye(2), [0, 0]), "noisy_prior must be non-neg"),
        (lambda: inverse_from_noise(np.ones((2, 2)), [1, 1]), "Q must have columns"),
        (
            lambda: solve_inverse(np.eye(2), np.eye(3)),
            "C_noisy must have shape",
        ),
        (lambda: solve_fista(np.zeros((2, 2)), np.eye(2)), "C_clean must have columns"),
        (
            lambda: solve_cvxpy(np.eye(2), np.eye(2), allowed=np.zeros((2, 2), bool)),
            "allowed must have at least one True in each column; column 0",
        ),
        (lambda: project_columns([[np.inf], [0]]), "V contains infinity"),
    ],
)
def test_arguments_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_lists_are_arrays():
    given, weight = [0, 1, 1], [1, 2, 1]
    for function in (certain_noise_matrix, confident_noise_matrix):
        expected = function(np.array(P), np.array(given), np.array(weight, float))
        np.testing.assert_array_equal(function(P, given, weight), expected)
    expected = probability_right(np.array(P), np.array(given), np.eye(2))
    found = probability_right(P, given, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(found, expected)


def test_the_projection_of_huge_entries():
    V = np.array([[1e308, -1e308, 0.3], [1e308, 1e308, 0.7]])
    np.testing.assert_array_equal(project_columns(V), [[0.5, 0, 0.3], [0.5, 1, 0.7]])
    allowed = np.array([[True, True, False], [False, True, True]])
    found = project_columns((V / 1e308).astype(np.float32), allowed)
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 1, 1]])
