"""Eq. 5 by our solver and by cvxpy: time, memory, objective, gap.

Each cell runs in a process of its own, so that its peak memory is its own; the time
is that of one call after a small one, the best of three (cvxpy at K = 200: of one).
The confusions of the clean rows have the condition number that the table tells;
those of the noisy rows are counted on 20,000 rows of each given label, so that they
do not fit exactly.

    python benchmarks/noise_matrix_solvers.py
"""

import argparse
import multiprocessing
import resource
import time
import warnings

import numpy as np
from _common import markdown_table

from sklearn_noisy.noise import solve_cvxpy, solve_fista

CELLS = [
    *[(50, 10, name) for name in ("fista", "CLARABEL", "OSQP", "SCS")],
    *[(200, 10, name) for name in ("fista", "CLARABEL", "OSQP", "SCS")],
    (200, 100, "fista"),
    (1000, 10, "fista"),
    (1000, 100, "fista"),
]


def make_problem(n_classes, condition, seed=0):
    """Confusions ``C*`` of that condition number, and ``C̃`` of counted rows."""
    rng = np.random.RandomState(seed)
    eye = np.eye(n_classes)
    mistakes = rng.dirichlet(np.full(n_classes, 0.1), size=n_classes).T
    low, high = 0.0, 1.0
    for _ in range(16):  # how much of the predictions are mistakes
        share = (low + high) / 2
        C_clean = (1 - share) * eye + share * mistakes
        low, high = (
            (share, high) if np.linalg.cond(C_clean) < condition else (low, share)
        )
    R = 0.5 * eye + 0.5 * rng.dirichlet(np.ones(n_classes), size=n_classes).T
    columns = C_clean @ R
    counted = [rng.multinomial(20_000, c / c.sum()) / 20_000 for c in columns.T]
    return C_clean, np.stack(counted, axis=1)


def measure(n_classes, condition, solver, l1_penalty, queue):
    C_clean, C_noisy = make_problem(n_classes, condition)
    warm_up = make_problem(5, 3)
    solve_fista(*warm_up) if solver == "fista" else solve_cvxpy(*warm_up)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if solver == "fista":
        solution = solve_fista(C_clean, C_noisy, l1_penalty)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = solve_cvxpy(C_clean, C_noisy, l1_penalty, cvxpy_solver=solver)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put(
        {
            "seconds": seconds,
            "GB": (after - before) / 2**20,
            "GB in all": after / 2**20,
            "objective": solution.objective,
            "gap": solution.dual_gap / solution.objective,
            "steps": solution.n_iter,
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--l1-penalty", type=float, default=1e-5)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    table = []
    for n_classes, condition, solver in CELLS:
        runs = []
        for _ in range(1 if n_classes >= 200 and solver != "fista" else args.repeats):
            queue = context.Queue()
            process = context.Process(
                target=measure,
                args=(n_classes, condition, solver, args.l1_penalty, queue),
            )
            process.start()
            runs.append(queue.get())
            process.join()
        best = min(runs, key=lambda run: run["seconds"])
        table.append(
            [
                f"K = {n_classes}, condition {condition}, {solver}",
                f"{best['seconds']:.3f}",
                f"{best['GB']:.2f}",
                f"{best['GB in all']:.2f}",
                f"{best['objective']:.9g}",
                f"{best['gap']:.1e}",
                best["steps"],
            ]
        )
        print(*table[-1], sep="  ", flush=True)
    header = ["problem and solver", "seconds", "GB more", "GB in all", "objective"]
    print(markdown_table([*header, "gap / objective", "steps"], table))


if __name__ == "__main__":
    main()
