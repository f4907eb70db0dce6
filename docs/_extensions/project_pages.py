"""Adds the pages of a generated project, which has every feature, to these docs.

Its Makefile is copied too, for the table of verbs, and its package, for the settings.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cookiecutter.main import cookiecutter
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "project"


def bake(app: Sphinx) -> None:
    """Create a project with the template's own defaults, and copy its pages."""
    with TemporaryDirectory() as folder:
        project = cookiecutter(str(ROOT), no_input=True, default_config=True, output_dir=folder)
        shutil.rmtree(PAGES, ignore_errors=True)
        ignored = shutil.ignore_patterns("_extensions", "conf.py")
        shutil.copytree(Path(project, "docs"), PAGES, ignore=ignored)
        shutil.copy(Path(project, "Makefile"), PAGES)
        package = app.config.settings_package
        shutil.copytree(Path(project, package), PAGES / package)
    sys.path.append(str(PAGES))
    # These docs have their own index.
    (PAGES / "index.md").unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    """Create the project before Sphinx looks for pages."""
    app.connect("builder-inited", bake)
    return {"parallel_read_safe": True}
