#!/usr/bin/env python3
"""Builds the container image with docker, podman or buildah.

The first of them that answers is used. Options are passed on to its build.
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
    engine = next(filter(answers, ENGINES), None)
    if engine is None:
        print(f"Found none that answers: {', '.join(ENGINES)}.", file=sys.stderr)
        return 1
    name = f"{project['name']}:{project['version']}"
    marks = [word for pair in labels(project).items() for word in mark(*pair)]
    command = [engine, "build", "--tag", name, *marks, *options, "."]
    # buildah alone keeps no layers for the next build unless it is told to.
    variables = {**os.environ, "BUILDAH_LAYERS": "true"}
    return subprocess.run(command, cwd=ROOT, env=variables).returncode


def answers(engine: str) -> bool:
    """Return whether the engine is there and works; docker is often only a client."""
    try:
        return subprocess.run([engine, "info"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def labels(project: dict[str, Any]) -> dict[str, str]:
    """Return what the OCI's annotations say of the project and its commit."""
    git = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
    found = {
        "title": project["name"],
        "description": project["description"],
        "version": project["version"],
        "licenses": project.get("license"),
        "source": project["urls"]["Repository"],
        "revision": commit.stdout.strip(),
    }
    return {name: text for name, text in found.items() if text}


def mark(name: str, text: str) -> list[str]:
    """Return the words that put a label on the image."""
    return ["--label", f"org.opencontainers.image.{name}={text}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
