"""What a reader relies on: the texts run, and say what the code does."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from dataclasses import is_dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

import sklearn_noisy
from sklearn_noisy.inspection import (
    LabelIssuesDisplay,
    LossDisplay,
    NoiseMatrixDisplay,
    TrainingDisplay,
)

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").glob("*.md"))]

CODE_BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL), start=1
    )
]

MODULES = [
    info.name
    for info in pkgutil.walk_packages(sklearn_noisy.__path__, "sklearn_noisy.")
]
PUBLIC = [
    name for name in ["sklearn_noisy", *MODULES] if "._" not in name
]  # packages and modules that users import from


def public_objects():
    """Every class and function that a public module exports, once."""
    found = {}
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


OBJECTS = public_objects()


@pytest.mark.parametrize("block", CODE_BLOCKS)
def test_code_in_the_texts_runs(block, capsys):
    exec(compile(block, "<code block>", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out or "print" not in block


def test_links_between_the_texts_lead_somewhere():
    links = [
        (page, target)
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if "://" not in target
    ]
    assert len(links) > 5
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []


@pytest.mark.parametrize("name", OBJECTS)
def test_examples_in_docstrings(name):
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(OBJECTS[name], name):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def documented_parameters(docstring):
    """``{name: rest of its line}`` of numpydoc's section "Parameters"."""
    lines = inspect.cleandoc(docstring).replace("\\\n", " ").splitlines()
    if "Parameters" not in lines:
        return {}
    start = lines.index("Parameters") + 2
    documented = {}
    for number, line in enumerate(lines[start:], start):
        if number + 1 < len(lines) and set(lines[number + 1]) == {"-"}:
            break  # the title of the next section
        head = re.match(r"(\*{0,2}\w+(?:, \w+)*)(?: : (.*))?$", line)
        if head:
            for name in head[1].split(", "):
                documented[name.lstrip("*")] = head[2] or ""
    return documented


METHODS = (
    *("fit", "partial_fit", "predict_proba", "set_params"),
    *("plot", "from_estimator", "from_issues", "from_losses", "from_matrix"),
)


def with_parameters():
    """Functions, classes with an ``__init__`` of ours, and their methods."""
    for name, value in OBJECTS.items():
        if inspect.isfunction(value):
            yield name, value
        elif is_dataclass(value):
            continue  # made by the package, documented by its attributes
        elif getattr(value.__init__, "__module__", "").startswith("sklearn_noisy"):
            yield name, value
            for method in METHODS:
                function = getattr(value, method, None)
                # Not what a callback inherits from skorch.
                if getattr(function, "__module__", "").startswith("sklearn"):
                    yield f"{name}.{method}", function


WITH_PARAMETERS = dict(with_parameters())


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_documented_parameters_are_those_of_the_signature(name):
    value = WITH_PARAMETERS[name]
    parameters = dict(inspect.signature(value).parameters)
    parameters.pop("self", None)
    documented = documented_parameters(value.__doc__)
    assert list(documented) == list(parameters)
    for parameter in parameters.values():
        stated = re.search(r"default=(.+?)$", documented[parameter.name])
        if parameter.default is parameter.empty:
            assert stated is None, parameter.name
            continue
        assert stated, f"{parameter.name} is documented without its default"
        if inspect.isclass(parameter.default):
            assert stated[1].endswith(parameter.default.__name__)
        else:
            assert eval(stated[1]) == parameter.default, parameter.name


def test_the_package_imports_without_matplotlib_and_pillow():
    code = f"""
import sys
for name in ("matplotlib", "PIL"):
    sys.modules[name] = None  # importing it is an ImportError
for name in {MODULES!r}:
    __import__(name)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_importing_leaves_the_global_generators_alone():
    code = """
import numpy, torch
before = numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
import sklearn_noisy
assert before == (numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_version_is_that_of_the_metadata():
    assert sklearn_noisy.__version__ == version("sklearn-noisy")


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Where a distribution is not called as what it is imported by.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}


def requirements(entries):
    """``{name of the distribution: lower bound}``, of the extras it names, too."""
    found = {}
    for entry in entries:
        name, extras, bound = re.fullmatch(
            r"([\w-]+)(?:\[(.+)\])?(?:>=([\d.]+))?", entry
        ).groups()
        if name == PROJECT["name"]:
            for extra in extras.split(","):
                found |= requirements(EXTRAS[extra])
        else:
            found[name] = bound
    return found


def imports(path, *, at_import):
    """Distributions that a file imports; `at_import`: not those within functions."""

    def statements(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.Lambda)) and at_import:
                continue
            yield child
            yield from statements(child)

    names = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    # A program imports from its folder and, among the benchmarks, from the one above.
    folders = (path.parent, path.parents[1])
    ours = {file.stem for folder in folders for file in folder.glob("*.py")}
    ours.add("sklearn_noisy")
    return {
        DISTRIBUTIONS.get(name, name)
        for name in names - ours - set(sys.stdlib_module_names)
    }


def imported(folder, *, at_import=False):
    """``{distribution: one of the files that import it}``"""
    return {
        name: path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imports(path, at_import=at_import)
    }


DECLARED = requirements(PROJECT["dependencies"])
OPTIONAL = {
    name: extra
    for extra in ("plot", "images", "pipelines")
    for name in requirements(EXTRAS[extra])
}


def test_what_the_package_imports_is_declared():
    everywhere = imported("sklearn_noisy")
    known = {*DECLARED, *OPTIONAL}
    assert {n: f for n, f in everywhere.items() if n not in known} == {}
    # Extras are imported when they are needed, not with the package.
    with_the_package = imported("sklearn_noisy", at_import=True)
    assert {n: f for n, f in with_the_package.items() if n not in DECLARED} == {}
    assert known - {*everywhere} == set()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: NoiseMatrixDisplay.from_matrix([[0.9, 0.2], [0.1, 0.8]]),
        lambda: LossDisplay.from_losses(["blurry"]),
        lambda: TrainingDisplay(
            [{"epoch": 1, "train_loss": 0.5}], kept_epoch=None
        ).plot(),
        lambda: LabelIssuesDisplay.from_issues(
            pd.DataFrame(
                {
                    "is_label_issue": [True],
                    "label_quality": [0.1],
                    "given_label": [0],
                    "predicted_label": [1],
                }
            ),
            [[0.0]],
        ),
    ],
)
def test_displays_name_the_extra_that_is_missing(draw, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it is an ImportError
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=re.escape("sklearn-noisy[plot]")):
        draw()


@pytest.mark.parametrize(
    ("folder", "extra"),
    [
        ("tests", "test"),
        ("examples", "plot"),
        ("benchmarks", "dev"),
        ("doc", "doc"),
    ],
)
def test_what_the_other_folders_import_is_declared(folder, extra):
    declared = {*DECLARED, *requirements(EXTRAS[extra])}
    assert {n: f for n, f in imported(folder).items() if n not in declared} == {}


def pins(name):
    """``{distribution: version}`` of a file of constraints."""
    lines = (ROOT / name).read_text().splitlines()
    return {
        distribution.lower().replace("_", "-"): version
        for line in lines
        if not line.startswith("#")
        for distribution, version in [line.split("==")]
    }


def test_the_oldest_versions_are_the_lower_bounds():
    oldest = pins("constraints-oldest.txt")
    for name, bound in {**DECLARED, **requirements(EXTRAS["test"])}.items():
        # 2.5 and 2.5.0 are the same version.
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", oldest[name]), name


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-newest.txt"])
def test_the_constraints_pin_everything_that_is_declared(name):
    wanted = {**DECLARED, **requirements(EXTRAS["test"])}
    assert set(wanted) - set(pins(name)) == set()
