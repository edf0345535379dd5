"""Test modules of skorch, scikit-learn and cleanlab, run on our estimators.

The modules of skorch and scikit-learn are those of the installed packages. cleanlab's
wheel has no tests; a folder of its repository is given:

    python benchmarks/robustness/peer_tests.py
    python benchmarks/robustness/peer_tests.py --cleanlab path/to/cleanlab
    python benchmarks/robustness/peer_tests.py --only test_mlp --show

`_peer_stand_ins.py` says what replaces the estimators of these packages. Tests that
fail are run again without it: what fails then, too, is the peer's. The other failures
are known, with a reason below, or unknown. The program exits with 1 if any is unknown.
Nothing is written except to a temporary folder.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from _peer_reasons import REASONS

SECONDS = 520  # for one module

# pytest 9 makes this warning an error; skorch's tests cause it.
SETTINGS = """[pytest]
filterwarnings =
    ignore::pytest.PytestRemovedIn10Warning
"""

# Module, package that it belongs to, and stand-ins.
MODULES = (
    *(
        (f"tests/callbacks/test_{name}.py", "skorch", "skorch")
        for name in (
            *(
                "all",
                "logging",
                "lr_scheduler",
                "regularization",
                "scoring",
                "training",
            ),
        )
    ),
    ("neural_network/tests/test_mlp.py", "sklearn", "mlp"),
    ("tests/test_calibration.py", "sklearn", "linear"),
    ("model_selection/tests/test_search.py", "sklearn", "linear"),
    ("ensemble/tests/test_bagging.py", "sklearn", "linear"),
    ("ensemble/tests/test_voting.py", "sklearn", "linear"),
    ("ensemble/tests/test_stacking.py", "sklearn", "linear"),
    ("inspection/tests/test_permutation_importance.py", "sklearn", "linear"),
    ("inspection/tests/test_partial_dependence.py", "sklearn", "linear"),
    ("tests/test_classification.py", "cleanlab", "linear"),
)


def run(path, stand_ins, tests=()):
    """Results of the tests of a module.

    Parameters
    ----------
    path : path
        Of the module.
    stand_ins : str
        A key of ``REPLACED``.
    tests : sequence of str
        Names of tests; empty for all.

    Returns
    -------
    dict of str to dict
    """
    here = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        results, settings = Path(folder, "results"), Path(folder, "pytest.ini")
        results.touch()
        settings.write_text(SETTINGS)
        places = [str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "_peer_stand_ins"]
        command += ["-p", "no:cacheprovider", "-c", str(settings)]
        command += [f"{path}::{test}" for test in tests] or [str(path)]
        environment = {
            **os.environ,
            "STAND_INS": stand_ins,
            "RESULTS": str(results),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(places),
        }
        stopped = False
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                timeout=SECONDS,
                capture_output=True,
                text=True,
            )
        except subprocess.TimeoutExpired:
            stopped = True
        rows = [json.loads(line) for line in results.read_text().splitlines()]
        if stopped:
            error = f"the module took longer than {SECONDS} s"
            rows.append({"test": "", "outcome": "failed", "error": error})
        elif not rows or done.returncode not in (0, 1):
            error = f"pytest ended with {done.returncode}: {done.stdout[-500:]}"
            rows.append({"test": "", "outcome": "failed", "error": error})
    return {row["test"]: row for row in rows}


def reason_of(module, row):
    """Why a test may fail, or None."""
    if row["error"].startswith("NoCounterpart: "):
        return f"no counterpart: {row['error'].splitlines()[0][15:]}"
    for where, test, error, reason in REASONS:
        if where in module and all(
            re.search(pattern, text, re.DOTALL)
            for pattern, text in ((test, row["test"]), (error, row["error"]))
        ):
            return reason
    return None


def judge(module, path, stand_ins):
    """Results of a module, each failure with its reason or None."""
    rows = run(path, stand_ins)
    failed = {name: row for name, row in rows.items() if row["outcome"] == "failed"}
    for row in failed.values():
        row["reason"] = reason_of(module, row)
    open_ones = [name for name, row in failed.items() if name and not row["reason"]]
    if open_ones:
        alone = run(path, "", open_ones)
        for name in open_ones:
            if alone.get(name, {}).get("outcome") == "failed":
                failed[name]["reason"] = "fails with the peer's own estimator, too"
    return rows


def folder_of(package, cleanlab):
    """Folder of a package's sources, or None."""
    if package == "cleanlab":
        return cleanlab
    spec = find_spec(package)
    return Path(spec.origin).parent if spec else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cleanlab", type=Path, help="folder of a checkout")
    parser.add_argument("--only", default="", help="part of a module's path")
    parser.add_argument("--show", action="store_true", help="known failures, too")
    args = parser.parse_args()
    unknown, reasons = [], Counter()
    print(f"{'module':<58}{'passed':>8}{'failed':>8}{'known':>8}{'skipped':>9}")
    for path, package, stand_ins in MODULES:
        module = f"{package}/{path}"
        folder = folder_of(package, args.cleanlab)
        if args.only not in module or folder is None:
            continue
        rows = judge(module, folder.resolve() / path, stand_ins)
        counts = Counter(row["outcome"] for row in rows.values())
        failed = [row for row in rows.values() if row["outcome"] == "failed"]
        known = [row for row in failed if row["reason"]]
        print(
            f"{module:<58}{counts['passed']:>8}{len(failed):>8}{len(known):>8}"
            f"{counts['skipped']:>9}",
            flush=True,
        )
        reasons.update(row["reason"] for row in known)
        unknown += [(module, row) for row in failed if not row["reason"]]
        if args.show:
            for row in known:
                print(f"    {row['test']}\n        {row['reason']}")
    print("\nreasons of the known failures")
    for reason, count in reasons.most_common():
        print(f"{count:>6}  {reason}")
    print(f"\nunknown failures: {len(unknown)}")
    for module, row in unknown:
        print(f"    {module}::{row['test']}\n        {row['error'][:400]}")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
