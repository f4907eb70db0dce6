#!/usr/bin/env python3
"""Builds the container image with docker, podman or buildah.

The first one that is running is used. Options are passed on to its build command.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("docker", "podman", "buildah")


def main(options: list[str]) -> int:
    """Build the image; return the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    answering = (engine for engine in ENGINES if output(engine, "info") is not None)
    engine = next(answering, None)
    if engine is None:
        tried = ", ".join(ENGINES)
        print(f"No container engine is running. Tried: {tried}.", file=sys.stderr)
        return 1
    command = [engine, "build", "--tag", f"{project['name']}:{project['version']}"]
    for name, text in labels(project).items():
        command += ["--label", f"org.opencontainers.image.{name}={text}"]
    # Without it, buildah would not cache layers for the next build.
    variables = {**os.environ, "BUILDAH_LAYERS": "true"}
    return subprocess.run([*command, *options, "."], cwd=ROOT, env=variables).returncode


def output(*command: str) -> str | None:
    """Return the output of a command, or None if it fails or does not exist."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()


def labels(project: dict[str, Any]) -> dict[str, str]:
    """Return the OCI annotations for the project and its commit."""
    found = {
        "title": project["name"],
        "description": project["description"],
        "version": project["version"],
        "licenses": project.get("license"),
        "source": project["urls"]["Repository"],
        "revision": output("git", "rev-parse", "HEAD"),
    }
    return {name: text for name, text in found.items() if text}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
