"""Sphinx's settings. ``.ci/docs`` builds the pages; nothing is fetched from the network, then or by a reader.

Hand-written pages lie in ``pages/``; ``reference/`` makes the others from what the suite finds of itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402
from reference import sphinx_parts  # noqa: E402

project = "disentangle"
author = "The disentangle authors"
copyright = author
version = release = reference.version(ROOT)

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_parser"]
# README and others are Markdown as GitHub shows it: its headings may skip a level.
suppress_warnings = ["myst.header"]
myst_heading_anchors = 3
exclude_patterns = ["made"]

# A name in single backticks is code, and a link where the name has an entry here.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature shows them as they are written, see `sphinx_parts.signature`
napoleon_use_param = False  # which takes "a, b: text" for one name with a type
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
add_module_names = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "disentangle"
html_static_path = [str(HERE / "static")]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_math_renderer = "mathml"  # drawn by the browser itself: no script from elsewhere
highlight_language = "none"  # a formula in a block is no Python; examples with >>> are told apart anyway
pygments_style = "friendly"
pygments_dark_style = "monokai"


def put_beside(app: Any, config: Any) -> None:
    """Whole HTML pages that the guide links to, such as a study's."""
    extra = Path(app.srcdir, reference.guide.EXTRA)
    config.html_extra_path = [str(extra)] if extra.is_dir() else []


def setup(app: Any) -> None:
    """Write the pages before Sphinx looks for them, and teach it what the docstrings need."""
    reference.write(Path(app.srcdir), ROOT)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(sphinx_parts.inline_math, None),
        block_renderers=(sphinx_parts.block_math, None),
    )
    app.connect("config-inited", put_beside)
    app.connect("autodoc-process-signature", sphinx_parts.signature)
    app.connect("autodoc-process-docstring", sphinx_parts.fields, priority=400)  # before napoleon
    app.connect("missing-reference", sphinx_parts.by_class_name)
