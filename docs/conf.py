"""Settings of the documentation site: ``python -m sphinx -W -b html docs OUT``."""

from importlib.metadata import version as version_of
from typing import Any

project = "hwlearn"
author = "the hwlearn developers"
version = release = version_of("hwlearn")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
default_role = "py:obj"  # single backticks link to what they name, where it has a page

templates_path = ["_templates"]
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "hwlearn"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": True, "header_links_before_dropdown": 7}
html_copy_source = False
html_show_sourcelink = False


def _pages_outside(app: object, name: str, source: list[str]) -> None:
    """Let links to pages outside this folder point to the pages that include them here."""
    source[0] = source[0].replace("../firmware/README.md", "firmware.md")


def setup(app: Any) -> None:
    """Connect the events of Sphinx."""
    app.connect("source-read", _pages_outside)
