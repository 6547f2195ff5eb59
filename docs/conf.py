"""Settings of the documentation site: ``python -m sphinx -W -b html docs OUT``."""

import json
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # mathml.py

project = "hwlearn"
author = "the hwlearn developers"
version = release = version_of("hwlearn")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "mathml",
]
exclude_patterns = ["jupyter_execute", "**.ipynb_checkpoints"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
default_role = "py:obj"  # single backticks link to what they name, where it has a page

nb_execution_mode = "force"  # notebooks are stored without outputs
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_in_temp = True

copybutton_prompt_text = r">>> |\.\.\. |\$ "  # what is copied can be pasted: commands without prompts and outputs
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

templates_path = ["_templates"]
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "hwlearn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": True, "header_links_before_dropdown": 6}
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"


def _pages_outside(app: object, name: str, source: list[str]) -> None:
    """Let links to pages outside this folder point to the pages that include them here."""
    source[0] = source[0].replace("../firmware/README.md", "firmware.md")


def _schema(app: Any, error: Exception | None) -> None:
    """Publish the JSON schema of bench files, which editors read."""
    if error is None and app.builder.format == "html":
        from hwlearn.lab.bench.json_schema import bench_schema

        text = json.dumps(bench_schema(), indent=1) + "\n"
        (Path(app.outdir) / "bench.schema.json").write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Connect the events of Sphinx."""
    app.connect("source-read", _pages_outside)
    app.connect("build-finished", _schema)
