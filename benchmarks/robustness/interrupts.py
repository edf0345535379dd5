"""Ctrl-C at random moments of a fit: never without a word.

Each case runs in a process of its own, which says on stdout when its call begins and
ends, and what came out of it. A SIGINT is sent at a random moment between the two. The
outcome is to be the interrupt itself (KeyboardInterrupt), a result with a
TrainingInterruptedWarning, or the result of a call that had ended before.

    python benchmarks/robustness/interrupts.py             # 200 signals
    python benchmarks/robustness/interrupts.py --show

Moments follow from seeds, but what the process does at that moment does not. A stopped
run continues where it was: results are JSON lines in ``--output``.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _stored import stored

CALLS = (
    *("RobustLossClassifier", "RobustLossClassifier, checkpoint"),
    *("NoiseAdaptedClassifier", "NoiseAdaptedClassifier, estimate"),
    *("NoiseMatrixEstimator", "find_label_issues, n_jobs=2"),
    "find_label_issues, two threads",
)
OUTCOMES = ("interrupt", "warning", "after the end", "silent", "other error", "hangs")
SECONDS = 300  # for one process


def make_call(name, folder):
    """A call without arguments, of some seconds."""
    # Imported by the processes only.
    import joblib
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    import sklearn_noisy
    from sklearn_noisy.datasets import corrupt_labels

    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    X, y = (X[:600] / 16).astype(np.float32), y[:600]
    given = corrupt_labels(y, noise_rate=0.2, exact=True, random_state=0)
    mask = np.arange(len(y)) < 200
    shared = {"module__hidden_layer_sizes": (32,), "random_state": 0}
    robust = sklearn_noisy.RobustLossClassifier(
        max_epochs=40, early_stopping=True, **shared
    )
    # The first fit of a process imports torch's compiler for some seconds, which the
    # signals are not meant for.
    sklearn_noisy.RobustLossClassifier(max_epochs=1).fit(X[:100], y[:100])
    adapted = sklearn_noisy.NoiseAdaptedClassifier(max_epochs=8, n_folds=3, **shared)

    def issues(backend):
        with joblib.parallel_config(backend):
            return sklearn_noisy.find_label_issues(robust, X, given, n_jobs=2)

    calls = {
        "RobustLossClassifier": lambda: robust.fit(X, given),
        "RobustLossClassifier, checkpoint": lambda: robust.set_params(
            checkpoint=folder
        ).fit(X, given),
        "NoiseAdaptedClassifier": lambda: adapted.fit(X, given),
        "NoiseAdaptedClassifier, estimate": lambda: adapted.set_params(
            noise_matrix="estimate"
        ).fit(X, given, is_clean=mask),
        "NoiseMatrixEstimator": lambda: sklearn_noisy.NoiseMatrixEstimator(
            robust, cv=3, random_state=0
        ).fit(X, given, is_clean=mask),
        "find_label_issues, n_jobs=2": lambda: issues("loky"),
        "find_label_issues, two threads": lambda: issues("threading"),
    }
    return calls[name]


def run_call(name, folder):
    """What the process of a case does; the last line says what came out."""
    import warnings

    from sklearn_noisy.exceptions import TrainingInterruptedWarning

    # A program in the background is started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    call = make_call(name, folder)
    outcome = {}

    def say(word):
        print(word, flush=True)

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            say("begins")
            start = time.monotonic()
            call()
            outcome["seconds"] = time.monotonic() - start
            # The clock is that of the process that sends the signal.
            outcome["ended"] = time.monotonic()
            # From here on the signal has come too late.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            say("ends")
        told = any(issubclass(w.category, TrainingInterruptedWarning) for w in caught)
        outcome["said"] = "warning" if told else "nothing"
    except KeyboardInterrupt:
        outcome["said"] = "interrupt"
    except BaseException as error:
        outcome["said"] = "other error"
        outcome["error"] = f"{type(error).__name__}: {error}"[:500]
    say(json.dumps(outcome))


def start(name, folder):
    """The process of a call, which has just begun."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--call", name, "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # progress, tracebacks of worker processes
        text=True,
        # A terminal sends Ctrl-C to the whole group of a program.
        start_new_session=True,
    )
    line = process.stdout.readline().strip()
    if line != "begins":
        raise RuntimeError(f"The process of {name} said {line!r} instead of 'begins'.")
    return process


def outcome_of(name, folder, moment):
    """Send the signal `moment` seconds after the call begins (None: never)."""
    process = start(name, folder)
    sent = None
    try:
        if moment is not None:
            time.sleep(moment)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                sent = time.monotonic()
        lines = process.communicate(timeout=SECONDS)[0].splitlines()
    except subprocess.TimeoutExpired:
        return {"outcome": "hangs"}
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    try:
        said = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        # The signal has met the interpreter before or after the handlers of the call.
        by_signal = process.returncode == -signal.SIGINT
        what = "interrupt" if by_signal else "other error"
        return {"outcome": what, "code": process.returncode}
    result = {**said, "outcome": said["said"]}
    if said["said"] == "nothing":
        late = sent is None or sent > said["ended"]
        result["outcome"] = "after the end" if late else "silent"
    return result


def run_case(name, number, duration):
    """One signal at a moment that follows from the number of the case."""
    moment = random.Random(f"{name} {number}").uniform(0, 1.1) * duration
    with tempfile.TemporaryDirectory() as folder:
        result = outcome_of(name, folder, moment)
    result.pop("ended", None)
    return {"call": name, "number": number, "moment": round(moment, 3), **result}


def show(rows):
    print("| | signals | " + " | ".join(OUTCOMES) + " |")
    print("| --- |" + " ---: |" * (1 + len(OUTCOMES)))
    total = Counter()
    for name in CALLS:
        counts = Counter(
            row["outcome"] for (call, _), row in rows.items() if call == name
        )
        total += counts
        numbers = [counts.total(), *(counts[outcome] for outcome in OUTCOMES)]
        print(f"| {name} | " + " | ".join(map(str, numbers)) + " |")
    numbers = [total.total(), *(total[outcome] for outcome in OUTCOMES)]
    print("| **all** | " + " | ".join(map(str, numbers)) + " |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--signals", type=int, default=200)
    parser.add_argument("--only", action="append", help="calls that begin so")
    parser.add_argument("--show", action="store_true", help="run nothing")
    parser.add_argument("--call", help="used by the program itself")
    parser.add_argument("--folder", help="used by the program itself")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parents[1] / "results" / "interrupts.jsonl",
    )
    args = parser.parse_args()
    if args.call:
        run_call(args.call, args.folder)
        return
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rows = stored(args.output, "call", "number")
    durations = {}
    cases = [] if args.show else range(args.signals)
    for case in cases:
        number, of = divmod(case, len(CALLS))
        name = CALLS[of]
        if (name, number) in rows:
            continue
        if args.only and not any(name.startswith(one) for one in args.only):
            continue
        if name not in durations:
            with tempfile.TemporaryDirectory() as folder:
                durations[name] = outcome_of(name, folder, None)["seconds"]
        row = run_case(name, number, durations[name])
        rows[name, number] = row
        with args.output.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    show(rows)


if __name__ == "__main__":
    main()
