"""Formulas as MathML, which browsers draw without a script from elsewhere."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

WORD_JOINER = "\u2060"


def mathml(node, **options):
    """The formula, or as it was written, with a warning."""
    try:
        return tex2mathml(node.astext(), **options)
    except MathError as error:
        logger.warning("formula: %s", error, location=node)
        return node.astext()


def visit_math(self, node):
    """Formula in the text."""
    # No line break between a formula and the full stop after it.
    self.body.append(mathml(node) + WORD_JOINER)
    raise nodes.SkipNode


def visit_math_block(self, node):
    """Formula on a line of its own."""
    formula = mathml(node, as_block=True)
    self.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app):
    """Sphinx calls it."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True}
