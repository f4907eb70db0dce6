"""Adds the repository itself to the distributions, as one git bundle.

The command creates projects from the bundle unless it was installed from a checkout. It
is a single archive because pip compiles every Python file of a wheel, and cookiecutter
would copy the results into projects.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "template.bundle"


class BundleHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the bundle to wheels and source distributions."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Create the bundle, or use the one in a source distribution."""
        self._folder = tempfile.TemporaryDirectory()
        if version == "editable":
            return
        folder = "mvc/" if self.target_name == "wheel" else ""
        build_data["force_include"][str(self._bundle())] = folder + NAME

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder of :meth:`initialize`."""
        self._folder.cleanup()

    def _bundle(self) -> Path:
        carried = Path(self.root, NAME)
        if carried.exists():
            return carried
        if not Path(self.root, ".git").exists():
            raise RuntimeError("Build from a git clone or from a source distribution.")
        if self._git("rev-parse", "--is-shallow-repository") == "true":
            raise RuntimeError("The clone is shallow. Run `git fetch --unshallow` first.")
        bundle = Path(self._folder.name, NAME)
        tags = self._git("tag", "--merged", "HEAD", "--format=%(refname)").split()
        self._git("bundle", "create", "--quiet", str(bundle), "HEAD", *tags)
        return bundle

    def _git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()
