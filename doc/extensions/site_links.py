"""Links that work in the repository, and on the site; references elsewhere.

Pages link to files of the repository. Those that are pages here lead there, other files
are offered for download. What scikit-learn's own docstrings, which are inherited, refer
to is on scikit-learn's site.
"""

import posixpath
import re
from pathlib import Path

from docutils import nodes

DOC = Path(__file__).resolve().parents[1]
ROOT = DOC.parent

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "examples": "auto_examples/index.rst",
}

# [text](target#heading), but for addresses and for headings of the same page.
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")

SCIKIT_LEARN = "https://scikit-learn.org/stable"
ELSEWHERE = {
    "metadata_routing": f"{SCIKIT_LEARN}/metadata_routing.html#metadata-routing",
    "accuracy_score": f"{SCIKIT_LEARN}/modules/model_evaluation.html#accuracy-score",
    "meta-estimator": f"{SCIKIT_LEARN}/glossary.html#term-meta-estimator",
}
REFERENCES = {
    "sklearn.": f"{SCIKIT_LEARN}/modules/generated/",
    "numpy.": "https://numpy.org/doc/stable/reference/generated/",
}


def target_here(target, folder):
    """Where a link in a text of `folder` leads, relative to ``doc/``."""
    path = posixpath.normpath(posixpath.join(folder, target))
    if path in PAGES:
        return PAGES[path]
    if path.startswith("examples/") and path.endswith(".py"):
        return f"auto_examples/{Path(path).stem}.rst"
    return posixpath.relpath(path, "doc")


def resolve_links(text, folder):
    """The text with the links that it has on the site."""
    return LINK.sub(lambda m: f"]({target_here(m[1], folder)}{m[2] or ''})", text)


def read_page(app, docname, source):
    """Links of the pages in ``doc/``."""
    if Path(app.env.doc2path(docname)).suffix == ".md":
        source[0] = resolve_links(source[0], "doc")


def read_included(app, relative_path, parent_docname, content):
    """Links of the texts at the top of the repository."""
    path = (DOC / relative_path).resolve()
    if path.suffix == ".md":
        content[0] = resolve_links(content[0], path.parent.relative_to(ROOT).as_posix())


def find_elsewhere(app, env, node, contnode):
    """Address of what another project documents."""
    target = node["reftarget"]
    address = ELSEWHERE.get(target)
    for package, folder in REFERENCES.items():
        if target.startswith(package):
            address = f"{folder}{target}.html"
    if address is None:
        return None
    return nodes.reference("", "", contnode, internal=False, refuri=address)


def setup(app):
    """Sphinx calls it."""
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    app.connect("missing-reference", find_elsewhere)
    return {"parallel_read_safe": True}
