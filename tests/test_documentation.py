"""The site names everything; whether it builds, `make doc` says."""

import importlib
import posixpath
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOC = ROOT / "doc"
MODULES = (
    *("sklearn_noisy", "sklearn_noisy.callbacks", "sklearn_noisy.datasets"),
    *("sklearn_noisy.exceptions", "sklearn_noisy.inspection"),
    *("sklearn_noisy.label_issues", "sklearn_noisy.losses", "sklearn_noisy.metrics"),
    *("sklearn_noisy.model_selection", "sklearn_noisy.nn", "sklearn_noisy.noise"),
    "sklearn_noisy.persistence",
)
PAGES = sorted(
    path.relative_to(DOC).with_suffix("").as_posix()
    for path in [*DOC.glob("*.md"), *DOC.glob("api/*.rst")]
)


def reference():
    """``{full name: object}`` of the entries in the API reference."""
    entries = {}
    for page in (DOC / "api").glob("*.rst"):
        module = None
        for line in page.read_text().splitlines():
            if found := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = found[1]
            # What is indented before that is the toctree of the index.
            elif module is not None and (
                found := re.match(r"(?:   |\.\. py:data:: )(\w+)$", line)
            ):
                value = getattr(importlib.import_module(module), found[1])
                entries[f"{module}.{found[1]}"] = value
    return entries


def linked_pages():
    """Pages that a toctree names."""
    block = r"(?:```\{toctree\}\n(.*?)```|\.\. toctree::\n(.*?)(?:\n\S|\Z))"
    pages = set()
    for name in PAGES:
        source = next(path for path in DOC.glob(f"{name}.*") if path.is_file())
        for parts in re.findall(block, source.read_text(), flags=re.DOTALL):
            # A line with a single word; the others are options.
            for entry in re.findall(r"^ *([\w/]+)$", "".join(parts), re.MULTILINE):
                folder = posixpath.dirname(name)
                pages.add(posixpath.normpath(posixpath.join(folder, entry)))
    return pages


REFERENCE = reference()
LINKED = linked_pages()


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module):
    exported = importlib.import_module(module)
    described = {id(value) for value in REFERENCE.values()}
    missing = [
        name
        for name in exported.__all__
        if name != "__version__" and id(getattr(exported, name)) not in described
    ]
    assert missing == []


def test_every_public_module_is_looked_at():
    found = {
        "sklearn_noisy." + path.relative_to(ROOT / "sklearn_noisy").parts[0]
        for path in (ROOT / "sklearn_noisy").rglob("*.py")
        if not path.relative_to(ROOT / "sklearn_noisy").parts[0].startswith("_")
    }
    assert {name.removesuffix(".py") for name in found} | {"sklearn_noisy"} == {
        *MODULES
    }


def test_the_reference_names_nothing_twice():
    values = [id(value) for value in REFERENCE.values()]
    assert len(values) == len(set(values)) > 50


@pytest.mark.parametrize("page", [name for name in PAGES if name != "index"])
def test_every_page_is_in_a_toctree(page):
    assert page in LINKED


def test_toctrees_name_pages_that_exist():
    generated = {"auto_examples/index"}
    assert LINKED - generated <= {*PAGES}


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.name) for p in sorted(ROOT.glob("examples/*.py"))]
)
def test_every_example_is_one_of_the_gallery(path):
    text = path.read_text()
    assert path.name.startswith("plot_")
    # A title and blocks of text; without a command line of its own it would read
    # that of the builder.
    assert re.match(r'"""\n.+\n=+\n\n', text)
    assert text.count("\n# %%\n") >= 2
    assert f"python examples/{path.name}" in text or "make demo" in text
    assert "parse_known_args" in text


def test_the_lists_of_what_the_site_needs_agree():
    extra = re.search(
        r"^doc = \[(.*?)^\]",
        (ROOT / "pyproject.toml").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    wanted = {name.lower() for name in re.findall(r'"([\w-]+)>=', extra[1])}
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert wanted
    assert wanted - pinned == set()
