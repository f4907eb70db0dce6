"""Sphinx configuration; the name and the version come from pyproject.toml."""

import sys
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
_project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = _project["name"]
author = project_copyright = _project["authors"][0]["name"]
release = _project["version"]
html_title = f"{project} {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    # The extensions of this project.
    *(file.stem for file in DOCS.glob("_extensions/*.py")),
]
sys.path.append(str(DOCS / "_extensions"))
html_theme = "furo"
html_favicon = "_static/favicon.svg"
exclude_patterns = ["api/modules.rst"]
myst_heading_anchors = 3
smartquotes = False

settings_package = "{{ cookiecutter.package_name }}"

# autodoc adds annotations to the classes that it documents, after which no model could
# be derived from its base. So all modules are imported first.
_app = import_module(f"{settings_package}.app")
for _module in walk_packages(_app.__path__, f"{_app.__name__}."):
    import_module(_module.name)

apidoc_modules = [
    {
        "path": str(ROOT / "{{ cookiecutter.package_name }}"),
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
        # A module that a tool runs by importing it.
        "exclude_patterns": [str(ROOT / "*/*/env.py")],
    }
]
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # Re-exported names are documented only where they are defined.
    "ignore-module-all": True,
}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
