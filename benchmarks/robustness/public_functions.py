"""Every public function and estimator, called with strange arguments.

Each example is a small valid call of which up to two arguments take a strange form:
another dtype or container, a shape that does not fit, NaN, numbers that are too large,
text. A call is to answer, and then the result keeps what the documentation promises, or
to refuse by an error that names an argument. It is to leave its arguments and the
global random generators as they were.

    python benchmarks/robustness/public_functions.py             # 10,000 examples
    python benchmarks/robustness/public_functions.py --only corrupt_labels
    python benchmarks/robustness/public_functions.py --show

Examples follow from seeds alone. A stopped run continues where it was: results are JSON
lines in ``--output``, one for each block of examples of one name.
"""

import argparse
import importlib
import inspect
import json
import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import torch
from _cases import CASES, DRAWS, EXCLUDED, REFUSED, Data
from _stored import stored
from _strange import FOLDER, forms_of, observe, strange
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import sklearn_noisy

BLOCK = 50
MODULES = (
    *("", ".callbacks", ".datasets", ".inspection", ".label_issues", ".losses"),
    *(".metrics", ".model_selection", ".nn", ".noise", ".persistence"),
)


def left_out():
    """Public classes and functions that no case calls."""
    text = " ".join(CASES) + " save load"
    missing = []
    for module in MODULES:
        public = importlib.import_module(f"sklearn_noisy{module}")
        for name in public.__all__:
            value = getattr(public, name)
            is_loss = inspect.isclass(value) and name.endswith("Loss")
            if callable(value) and not is_loss and name not in EXCLUDED:
                missing += [] if name in text else [name]
    return sorted(set(missing))


def argument_names(name, valid):
    """Words of which an error is to contain one."""
    names = {*valid, *(part for argument in valid for part in argument.split("__"))}
    names |= {"sample", "samples", "labels", "label", "classes", "rows"}
    for estimator in ("RobustLossClassifier", "NoiseAdaptedClassifier"):
        if name.startswith(estimator):
            names |= {*getattr(sklearn_noisy, estimator)().get_params()}
    return names


def run_block(name, block, n_examples=BLOCK):
    """Counts and failures of one block of examples."""
    make, call, check, _ = CASES[name]
    counts, failures = Counter(), {}
    if name not in REFUSED:
        call(**make(Data(block)))  # an error here is one of the case

    @seed(block)
    @settings(
        max_examples=n_examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def examples(draw):
        valid = make(Data(draw.draw(st.integers(0, 20))))
        # The seed says which problem; it is no argument.
        of_users = [argument for argument in valid if argument != "seed"]
        chosen = draw.draw(st.lists(st.sampled_from(of_users), max_size=2, unique=True))
        arguments, forms = dict(valid), {}
        for argument in chosen:
            forms[argument] = draw.draw(
                st.sampled_from(forms_of(argument, valid[argument]))
            )
            arguments[argument] = strange(valid[argument], forms[argument])
        torch.manual_seed(0)
        outcome, failure = observe(
            call, check, arguments, argument_names(name, valid), draws=name in DRAWS
        )
        counts[outcome] += 1
        if failure is not None:
            key = tuple(
                failure.get(part) for part in ("what", "error", "place", "message")
            )
            known = failures.setdefault(key, {**failure, "n": 0, "forms": forms})
            known["n"] += 1
            # The example that changes the fewest arguments.
            if len(forms) < len(known["forms"]):
                known["forms"] = forms

    examples()
    return {"name": name, "block": block, **counts, "failures": [*failures.values()]}


def plan(n_examples):
    """Blocks in turns, so that a stopped run has seen every name."""
    weights = {name: case[3] for name, case in CASES.items()}
    scale = n_examples / BLOCK / sum(weights.values())
    n_blocks = {name: max(1, round(weight * scale)) for name, weight in weights.items()}
    for block in range(max(n_blocks.values())):
        yield from ((name, block) for name, n in n_blocks.items() if block < n)


def show(rows):
    outcomes = ("answered", "refused", "failed")
    print("| | examples | answered | refused | failed | kinds of failure |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    total = Counter()
    for name in CASES:
        own = [row for (of, _), row in rows.items() if of == name]
        counts = Counter({o: sum(row.get(o, 0) for row in own) for o in outcomes})
        kinds = {
            (failure["what"], failure.get("error"), failure.get("place"))
            for row in own
            for failure in row["failures"]
        }
        total += counts
        numbers = [counts.total(), *(counts[o] for o in outcomes), len(kinds)]
        print(f"| {name} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    print(
        f"| **all** | {total.total():,} | "
        + " | ".join(f"{total[o]:,}" for o in outcomes)
        + " | |"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--only", action="append", help="names that begin so")
    parser.add_argument("--show", action="store_true", help="run nothing")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parents[1] / "results" / "public_functions.jsonl",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    if missing := left_out():
        raise SystemExit(f"No case calls {', '.join(missing)}.")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rows = stored(args.output, "name", "block")
    blocks = [] if args.show else plan(args.examples)
    for name, block in blocks:
        if (name, block) in rows:
            continue
        if args.only and not any(name.startswith(one) for one in args.only):
            continue
        row = run_block(name, block)
        rows[name, block] = row
        # The folder of this run is in no result.
        line = json.dumps(row).replace(str(FOLDER), "FOLDER")
        with args.output.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)
    show(rows)


if __name__ == "__main__":
    main()
