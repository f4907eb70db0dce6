"""Sphinx configuration; the name and the version come from pyproject.toml."""

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
_project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = _project["name"]
author = project_copyright = _project["authors"][0]["name"]
release = _project["version"]
html_title = f"{project} {release}"

# The extensions of these docs, and those of a generated project.
_extensions = [
    DOCS / "_extensions",
    ROOT / "{{cookiecutter.project_slug}}" / "docs" / "_extensions",
]
sys.path += map(str, _extensions)
# Otherwise `__pycache__` folders in the template would be rendered into every project.
sys.dont_write_bytecode = True
extensions = [
    "myst_parser",
    *(file.stem for folder in _extensions for file in folder.glob("*.py")),
]
html_theme = "furo"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
smartquotes = False
settings_package = "galactic_empire"
