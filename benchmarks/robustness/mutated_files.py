"""Mutated files: each is loaded, asked and trained on in a process of its own.

Three kinds of mutations: of the bytes; of the document and the tensors of a model, with
a right checksum; of those of a checkpoint, with a right checksum. The right outcomes
are an error of this package, or a model that works. With changed bytes, the model must
be the same one. A crash, a hang, another error and much memory are failures, which are
printed. Ten cases share a process; the case that ends it is known by its number.

    python benchmarks/robustness/mutated_files.py --cases 21000

The seed of a case is its number, so `--case 1234` repeats one.
"""

import argparse
import collections
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

sys.path.insert(0, str(Path(__file__).parents[1]))

from _common import Results, markdown_table

from sklearn_noisy import (
    NoiseAdaptedClassifier,
    NoiseMatrixEstimator,
    RobustLossClassifier,
    load,
    save,
)
from sklearn_noisy._serialization.file import CHECKPOINT, MODEL, pack, unpack
from sklearn_noisy.exceptions import InvalidFileError

KINDS = ("bytes", "model", "checkpoint")
CHUNK, BATCH = 100, 10
TIMEOUT = 60  # seconds until a process counts as hanging
MORE_MEMORY = 2**26  # bytes beyond those of an unchanged file, and 10 × the file

# Memory of a process before its first case.
BASE = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

X = np.random.RandomState(0).randn(90, 4)
Y = np.array(["a", "b", "c"])[np.arange(90) % 3]
X[Y == "b"] += 2
X[Y == "c"] -= 2
Q = np.full((3, 3), 0.1) + 0.7 * np.eye(3)
SMALL = {"module__hidden_layer_sizes": (5,), "max_epochs": 3, "random_state": 0}


def models():
    """Fitted estimators, by name."""
    is_clean = np.arange(90) % 4 == 0
    robust = RobustLossClassifier(loss="focal", **SMALL)
    estimators = {
        "adam": robust,
        "schedule": RobustLossClassifier(loss="blurry", delay=2, **SMALL),
        "momentum": NoiseAdaptedClassifier(
            noise_matrix=Q,
            n_rounds=0,
            optimizer=torch.optim.SGD,
            optimizer__momentum=0.9,
            early_stopping=True,
            **SMALL,
        ),
        "lbfgs": RobustLossClassifier(
            loss="focal", optimizer=torch.optim.LBFGS, batch_size=-1, **SMALL
        ),
        "pipeline": make_pipeline(
            StandardScaler(), NoiseAdaptedClassifier(noise_matrix=Q, **SMALL)
        ),
    }
    for estimator in estimators.values():
        estimator.fit(X, Y)
    matrix = NoiseMatrixEstimator(robust, cv=2, random_state=0)
    return {**estimators, "matrix": matrix.fit(X, Y, is_clean=is_clean)}


class Stop(Callback):
    """Ends a fit in its second epoch, as long as the environment says so."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2 and "STOP" in os.environ:
            raise InterruptedError


def unfinished(folder):
    """An estimator whose fit resumes from checkpoints in a folder."""
    return NoiseAdaptedClassifier(
        noise_matrix=Q,
        checkpoint=folder,
        callbacks=[Stop()],
        early_stopping=True,
        **SMALL,
    )


# Mutations.


def nodes(tree, path=()):
    """Paths of all nodes of a JSON tree."""
    yield path
    if isinstance(tree, dict):
        for key, entry in tree.items():
            yield from nodes(entry, (*path, key))
    elif isinstance(tree, list):
        for i, entry in enumerate(tree):
            yield from nodes(entry, (*path, i))


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def strange_values(rng, tensors):
    name = str(rng.choice(sorted(tensors))) if tensors else ""
    return [
        *(None, True, False, 0, 1, -1, 7, 10**9, -(10**9), 2**63, 10**400, 0.5, -1e300),
        *("", "x", "x" * 1000, "cuda", "auto", "learn", "../..", "os.system"),
        *([], [1], [[]] * 50, {}, {"tuple": []}, {"tuple": [10**9]}, {"dict": []}),
        *({"float": "nan"}, {"float": "inf"}, {"float": 3}, {"float": "x"}),
        *({"class": ["torch.nn", "Linear"]}, {"class": ["os", "system"]}),
        *({"tensor": name}, {"tensor": "nowhere"}, {"dtype": "float64"}),
        {"class": ["torch.optim", "Adam"]},
        {"array": {"dtype": "<f8", "tensor": name, "order": "F"}},
        {"array": {"dtype": "<U500000000", "shape": [1], "items": ["a"]}},
        {"array": {"dtype": "f8,(", "shape": [1], "items": ["a"]}},
        {"random_state": {"dict": []}},
        {"loss": ["focal", {"dict": [["gamma", -1.0]]}]},
        {"left_out": "module"},
    ]


def mutate_document(document, tensors, rng):
    paths = [path for path in nodes(document) if path]
    if not paths:  # the first mutation has removed everything
        return
    path = paths[rng.randint(len(paths))]
    parent, last = at(document, path[:-1]), path[-1]
    what = rng.randint(6)
    if what == 0 and isinstance(parent, list):
        parent.insert(last, parent[last])
    elif what == 1:
        del parent[last]
    elif what == 2:
        other = paths[rng.randint(len(paths))]
        parent[last] = json.loads(json.dumps(at(document, other)))
    elif what == 3 and isinstance(parent[last], (int, float)):
        parent[last] = parent[last] * rng.choice([-1, 0, 2, 1000])
        parent[last] = json.loads(json.dumps(float(parent[last])))
    elif what == 4 and isinstance(parent, dict):
        parent[str(rng.choice(["dict", "tuple", "array", "x"]))] = parent.pop(last)
    else:
        values = strange_values(rng, tensors)
        parent[last] = values[rng.randint(len(values))]


def mutate_tensors(tensors, rng):
    name = str(rng.choice(sorted(tensors)))
    tensor = tensors[name]
    what = rng.randint(9)
    if what == 0:
        tensors[name] = tensor.flatten()
    elif what == 1:
        tensors[name] = tensor.flatten()[: rng.randint(1 + tensor.numel())]
    elif what == 2:
        tensors[name] = torch.zeros(int(rng.randint(1000)), dtype=tensor.dtype)
    elif what == 3:
        kinds = [torch.int8, torch.float16, torch.float32, torch.float64, torch.bool]
        tensors[name] = tensor.to(kinds[rng.randint(len(kinds))])
    elif what == 4 and tensor.is_floating_point():
        value = float(rng.choice([np.nan, np.inf, -np.inf, 1e30, -1, 0]))
        tensors[name] = torch.full_like(tensor, value)
    elif what == 5:
        del tensors[name]
    elif what == 6:
        tensors[name + "x"] = tensors.pop(name)
    elif what == 7:
        other = str(rng.choice(sorted(tensors)))
        tensors[name], tensors[other] = tensors[other], tensors[name]
    else:
        tensors[name] = tensor[None].clone()


def mutate_bytes(content, rng):
    content = bytearray(content)
    what = rng.randint(5)
    place = rng.randint(len(content))
    if what == 0:
        return bytes(content[:place])
    if what == 1:
        for _ in range(rng.randint(1, 9)):
            content[rng.randint(len(content))] ^= 1 << rng.randint(8)
    elif what == 2:
        content[place:place] = rng.bytes(rng.randint(1, 40))
    elif what == 3:
        del content[place : place + rng.randint(1, 40)]
    else:  # the length of the header
        content[rng.randint(8)] = rng.randint(256)
    return bytes(content)


def mutate(content, kind, rng):
    """Other bytes; for a kind other than "bytes" with a right checksum."""
    if kind == "bytes":
        return mutate_bytes(content, rng)
    of_file = CHECKPOINT if kind == "checkpoint" else MODEL
    document, tensors = unpack(content, "", of_file)
    for _ in range(1 + (rng.rand() < 0.3)):
        if tensors and rng.rand() < 0.4:
            mutate_tensors(tensors, rng)
        else:
            mutate_document(document, tensors, rng)
    try:
        return pack(document, tensors, of_file)
    except ValueError:  # NaN in the document, which JSON cannot hold
        return content


# One case.


def is_own(error):
    """Whether an error is one that a caller of this package expects."""
    frames = traceback.extract_tb(error.__traceback__)
    where = frames[-1].filename
    # Checks of parameters, our own or those of scikit-learn that we call.
    if isinstance(error, AttributeError):
        return "has no attribute 'partial_fit'" in str(error)  # its matrix is unknown
    return isinstance(error, (ValueError, TypeError, FloatingPointError)) and (
        "sklearn_noisy" in where or f"{os.sep}sklearn{os.sep}" in where
    )


def case(number, kind, contents, folder, expected):
    """Outcome of a case; runs in the child."""
    rng = np.random.RandomState(number)
    if kind == "checkpoint":
        name = sorted(contents)[rng.randint(len(contents))]
    else:
        name = sorted(contents)[number % len(contents)]
    changed = mutate(contents[name], kind, rng)
    if changed == contents[name]:
        return name, "unchanged", ""
    path = folder / name
    path.write_bytes(changed)
    step = "load"
    try:
        if kind == "checkpoint":
            step = "resume"
            model = unfinished(folder).fit(X, Y)
            return name, "resumed", str(model.score(X, Y))
        model = load(path)
        if hasattr(model, "predict_proba"):
            step = "predict"
            found = model.predict_proba(X)
            if kind == "bytes":
                same = np.array_equal(found, expected[name])
                return name, "the same model" if same else "ANOTHER MODEL", ""
            step = "train"
            last = model.steps[-1][1] if hasattr(model, "steps") else model
            last.partial_fit(X, Y)
    except InvalidFileError:
        return name, "InvalidFileError", ""
    except Exception as error:
        is_asked = step == "load" and "was saved without" in str(error)
        if is_asked or (step != "load" and is_own(error)):
            return name, f"an error of ours in {step}", repr(error)[:200]
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return name, f"ANOTHER ERROR in {step}", f"{error!r:.200} {where}"
    return name, "loaded, asked, trained", ""


def in_child(numbers, kind, contents, expected):
    """Outcomes and details of cases, by number, in one process or more."""
    found, numbers = {}, list(numbers)
    size = max(map(len, contents.values()))
    while numbers:
        with tempfile.TemporaryDirectory() as folder:
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reader)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                run_cases(numbers, kind, contents, Path(folder), expected, writer)
                os._exit(0)
            os.close(writer)
            with os.fdopen(reader, "rb") as pipe:
                lines = pipe.read().splitlines()
            _, status, usage = os.wait4(child, 0)
        for line in lines:
            number, *outcome = json.loads(line)
            found[number] = outcome
            numbers.remove(number)
        if status != 0:  # the first case without an outcome ended the process
            outcome, detail = "CRASH", str(os.waitstatus_to_exitcode(status))
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
                outcome = "HANG"
            found[numbers.pop(0)] = ["", outcome, detail]
        more = 1024 * usage.ru_maxrss - BASE - MORE_MEMORY - 10 * size
        if more > 0:
            found[max(found)][1:] = ["MUCH MEMORY", f"{more >> 20} MiB too much"]
    return found


def with_files(number, kind, contents, folder, expected):
    """`case`, with all files of a checkpoint in the folder."""
    if kind == "checkpoint":
        for path in folder.iterdir():
            path.unlink()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return case(number, kind, contents, folder, expected)


def run_cases(numbers, kind, contents, folder, expected, writer):
    warnings.simplefilter("ignore")
    for number in numbers:
        signal.alarm(TIMEOUT)
        outcome = with_files(number, kind, contents, folder, expected)
        signal.alarm(0)
        os.write(writer, json.dumps([number, *outcome]).encode() + b"\n")


def subjects():
    """Contents of files by kind and name, and what the models in them predict."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(folder)
        fitted = models()
        contents, expected = {}, {}
        for name, model in fitted.items():
            save(model, folder / name)
            contents[name] = (folder / name).read_bytes()
            if hasattr(model, "predict_proba"):
                expected[name] = model.predict_proba(X)
        kept = folder / "kept"
        kept.mkdir()
        os.environ["STOP"] = "yes"
        with contextlib.suppress(InterruptedError):
            unfinished(kept).fit(X, Y)
        del os.environ["STOP"]
        checkpoints = {p.name: p.read_bytes() for p in kept.glob("*.safetensors")}
    return {"bytes": contents, "model": contents, "checkpoint": checkpoints}, expected


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=21_000)
    parser.add_argument("--case", type=int, default=None, help="repeat one")
    parser.add_argument("--part", default="0/1", help="of chunks: 0/2 and 1/2")
    parser.add_argument("--results", default="benchmarks/results/mutated_files.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    by_kind, expected = subjects()
    if args.case is not None:
        kind = KINDS[args.case // CHUNK % len(KINDS)]
        print(in_child([args.case], kind, by_kind[kind], expected))
        return
    run(args, by_kind, expected)


def run(args, by_kind, expected):
    results = Results(args.results)
    part, parts = map(int, args.part.split("/"))
    for chunk in range(args.cases // CHUNK):
        if chunk % parts != part:
            continue
        kind = KINDS[chunk % len(KINDS)]

        def compute(chunk=chunk, kind=kind):
            counts, failures = collections.Counter(), []
            start = time.perf_counter()
            for first in range(chunk * CHUNK, (chunk + 1) * CHUNK, BATCH):
                numbers = range(first, first + BATCH)
                found = in_child(numbers, kind, by_kind[kind], expected)
                for number, (name, outcome, detail) in found.items():
                    counts[outcome] += 1
                    if outcome.split()[0].isupper():
                        failures.append([number, name, outcome, detail])
            took = time.perf_counter() - start
            return {"counts": counts, "failures": failures, "took": round(took, 1)}

        results.get({"chunk": chunk, "kind": kind}, compute)
    report(results)


def report(results):
    totals = {kind: collections.Counter() for kind in KINDS}
    for row in results.rows:
        totals[row["settings"]["kind"]].update(row["counts"])
        for failure in row["failures"]:
            print(*failure)
    outcomes = sorted({outcome for counts in totals.values() for outcome in counts})
    rows = [[o, *(totals[kind][o] for kind in KINDS)] for o in outcomes]
    rows.append(["all", *(sum(totals[kind].values()) for kind in KINDS)])
    print(markdown_table(["outcome", *KINDS], rows))


if __name__ == "__main__":
    main()
