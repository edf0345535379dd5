"""Limits on what a reader has to take in at once, and on what an import costs."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "sklearn_noisy"
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text()
    for path in sorted(PACKAGE.rglob("*.py"))
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def split_docstring(node):
    """The docstring as a list of at most one statement, and the statements after it."""
    first = 0 if ast.get_docstring(node) is None else 1
    return node.body[:first], node.body[first:]


def body_lengths(source):
    """``{"name:line": lines of the body}`` of all functions, nested ones too."""
    lengths = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FUNCTIONS):
            _, body = split_docstring(node)
            n_lines = node.end_lineno - body[0].lineno + 1 if body else 0
            lengths[f"{node.name}:{node.lineno}"] = n_lines
    return lengths


def n_code_lines(source):
    """Lines that hold code: no docstrings, comments or blank lines."""
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            for docstring in split_docstring(node)[0]:
                code -= {*range(docstring.lineno, docstring.end_lineno + 1)}
    return len(code)


def test_lengths_are_counted_without_docstrings_and_comments():
    source = '''"""Module."""

# A comment.
def outer():
    """Two
    lines."""
    x = """not a
    docstring"""

    def inner():
        # A comment counts for the body.
        return x  # code

    return inner
'''
    assert body_lengths(source) == {"outer:4": 8, "inner:10": 1}
    assert n_code_lines(source) == 6


def test_functions_stay_short():
    lengths = {
        f"{name}::{function}": n
        for name, source in SOURCES.items()
        for function, n in body_lengths(source).items()
    }
    assert {function: n for function, n in lengths.items() if n > 60} == {}


def test_modules_stay_short():
    lengths = {name: n_code_lines(source) for name, source in SOURCES.items()}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_private_modules_at_the_root_are_those_that_every_folder_needs():
    private = {path.stem for path in PACKAGE.glob("_*.py")} - {"__init__"}
    needed = {"_labels", "_splits", "_threads", "_typing", "_validation", "_version"}
    assert private <= needed


def test_importing_the_package_imports_nothing_slow():
    """What scikit-learn, skorch and torch import themselves is theirs."""
    code = """
import sys
import sklearn, skorch, torch
for name in ("cleanlab", "cvxpy", "matplotlib", "pandas"):
    sys.modules[name] = None  # importing it is an ImportError
import sklearn_noisy
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
