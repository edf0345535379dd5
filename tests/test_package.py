"""What a reader relies on: the texts run, and say what the code does."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from dataclasses import is_dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

import sklearn_noisy

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
