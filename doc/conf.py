"""How the site is built: ``make doc``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What is described is this checkout, whatever else is installed.
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

import sklearn_noisy  # noqa: E402

project = "sklearn_noisy"
author = "The sklearn_noisy developers"
project_copyright = author
version = release = sklearn_noisy.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "site_docstrings",
    "site_links",
    "site_math",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
nitpicky = True

# Pages.

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_noisy {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_math_renderer = "mathml"
html_sidebars = {"index": [], "changes": [], "contributing": []}
html_theme_options = {
    "logo": {"text": "sklearn_noisy"},
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_exclude = ".linenos, .gp, .go"
myst_heading_anchors = 3

# Reference.

# The docstrings tell the types.
autodoc_typehints = "none"
autosummary_generate = True
autodoc_member_order = "groupwise"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template does it

# Gallery.

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "site_gallery.arguments",
    "reset_modules": ("matplotlib", "site_gallery.reset_sklearn"),
    "capture_repr": (),
    "download_all_examples": False,
    "show_signature": False,
    "doc_module": ("sklearn_noisy",),
    "backreferences_dir": "api/generated/backreferences",
}
