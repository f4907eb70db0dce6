"""Sphinx configuration; the name and the version come from pyproject.toml."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = _project["name"]
author = _project["authors"][0]["name"]
release = _project["version"]

extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
