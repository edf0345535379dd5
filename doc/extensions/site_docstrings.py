"""Docstrings whose lines go on after a backslash."""


def join_lines(app, what, name, obj, options, lines):
    """One line of what a backslash continues, before numpydoc reads it.

    In a raw docstring, which formulas need, Python leaves the backslash.
    """
    joined = []
    for line in lines:
        if joined and joined[-1].endswith("\\"):
            joined[-1] = joined[-1].removesuffix("\\") + line.lstrip()
        else:
            joined.append(line)
    lines[:] = joined


def setup(app):
    """Sphinx calls it."""
    app.connect("autodoc-process-docstring", join_lines, priority=400)
    return {"parallel_read_safe": True}
