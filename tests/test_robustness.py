"""A small part of the programs in `benchmarks/robustness`, with fixed seeds."""

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

DISPLAYS = ("NoiseMatrixDisplay", "TrainingDisplay", "LossDisplay", "LabelIssues")
FOLDER = Path(__file__).parents[1] / "benchmarks" / "robustness"

sys.path.insert(0, str(FOLDER))
try:
    mutated_files = import_module("mutated_files")
    public_functions = import_module("public_functions")
finally:
    sys.path.remove(str(FOLDER))

# Each example is a fit or a drawing.
SLOW = ("NoiseAdapted", "RobustLoss", "NoiseMatrixE", "find_", *DISPLAYS)


def test_every_public_name_is_called():
    assert public_functions.left_out() == []


@pytest.mark.parametrize("name", public_functions.CASES)
@pytest.mark.filterwarnings("ignore")
def test_strange_arguments_are_answered_or_refused(name):
    n_examples = 4 if name.startswith(SLOW) else 10
    row = public_functions.run_block(name, 0, n_examples)
    assert row["failures"] == []
    assert row.get("answered", 0) + row.get("refused", 0) == n_examples


@pytest.fixture(scope="module")
def subjects():
    return mutated_files.subjects()


@pytest.mark.parametrize("kind", mutated_files.KINDS)
@pytest.mark.filterwarnings("ignore")
def test_a_changed_file_is_refused_or_gives_a_model(subjects, kind, tmp_path):
    by_kind, expected = subjects
    outcomes, failures = Counter(), []
    for number in range(30):
        name, outcome, detail = mutated_files.with_files(
            number, kind, by_kind[kind], tmp_path, expected
        )
        outcomes[outcome] += 1
        if outcome.split()[0].isupper():
            failures.append((number, name, outcome, detail))
    assert failures == []
    assert outcomes["InvalidFileError"] > 5
