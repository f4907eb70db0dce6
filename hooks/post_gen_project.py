"""Removes what the answers leave out.

Runs at every creation and every update, in the finished project: offline, with the
standard library only.
"""

import json
import shutil
import sys
from pathlib import Path

# The paths that exist only with an answer of this value; a path under two answers needs
# both. `{package}` stands for the package. Folders go with their last file.
FEATURES = {
    ("redis", True): [
        "docs/redis.md",
        "tests/integration/test_redis.py",
        "tests/unit/app/utils/test_redis.py",
        "tests/unit/config/test_redis.py",
        "{package}/app/utils/redis.py",
        "{package}/config/redis.py",
    ],
    ("aiohttp", True): [
        "docs/aiohttp.md",
        "tests/unit/app/utils/test_aiohttp_client.py",
        "{package}/app/utils/aiohttp_client.py",
        "{package}/config/aiohttp_client.py",
    ],
    ("package_manager", "poetry"): ["scripts/poetry.sh"],
    ("package_manager", "uv"): ["scripts/uv.sh"],
}


def main() -> None:
    """Prune the project in the current directory."""
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    features = {
        condition: [Path(path.format(package=answers["package_name"])) for path in paths]
        for condition, paths in FEATURES.items()
    }
    stale = [str(p) for paths in features.values() for p in paths if not p.exists()]
    if stale:
        sys.exit(f"FEATURES names what the template does not have: {', '.join(stale)}.")
    for (answer, value), paths in features.items():
        if answers[answer] != value:
            for path in paths:
                prune(path)


def prune(path):
    """Remove a file or folder, and the folders that it leaves empty."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    for folder in path.parents:
        if not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()


if __name__ == "__main__":
    main()
