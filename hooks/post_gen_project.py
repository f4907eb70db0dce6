"""Removes the files that the answers exclude.

Runs on every creation and every update, in the finished project, offline, with the
standard library only.
"""

import json
import shutil
import sys
from pathlib import Path

# The paths that exist only if an answer has this value; a path under two answers needs
# both. Braces contain the name of an answer. Empty folders are removed as well.
FEATURES = {
    ("database", True): [
        ".github/workflows/postgres.yml",
        "charts/{project_slug}/dashboards/database.json",
        "charts/{project_slug}/settings/database.env",
        "charts/{project_slug}/settings/database.files",
        "charts/{project_slug}/settings/database.yaml",
        "charts/{project_slug}/templates/database.yaml",
        "charts/{project_slug}/templates/migration.yaml",
        "compose.services.postgres.yaml",
        "docs/_static/database.svg",
        "docs/database.md",
        "docs/deployment/database.md",
        "scripts/postgres-operator.sh",
        "tests/fixtures/database.py",
        "tests/fixtures/postgresql.py",
        "tests/fixtures/rows.py",
        "tests/integration/test_database.py",
        "tests/unit/app/controllers/test_resource.py",
        "tests/unit/app/exceptions/test_database.py",
        "tests/unit/app/models/test_base.py",
        "tests/unit/app/utils/test_database.py",
        "tests/unit/app/utils/test_database_connection.py",
        "tests/unit/app/utils/test_sqlite_types.py",
        "tests/unit/app/views/test_fields.py",
        "tests/unit/app/views/test_resource.py",
        "tests/unit/cli/test_db.py",
        "tests/unit/config/test_database.py",
        "tests/unit/config/test_database_url.py",
        "tests/unit/fixtures",
        "tests/unit/migrations",
        "{package_name}/app/controllers/resource.py",
        "{package_name}/app/exceptions/database.py",
        "{package_name}/app/models/base.py",
        "{package_name}/app/utils/database.py",
        "{package_name}/app/utils/database_connection.py",
        "{package_name}/app/utils/sqlite_types.py",
        "{package_name}/app/views/fields.py",
        "{package_name}/app/views/resource.py",
        "{package_name}/cli/db.py",
        "{package_name}/config/database.py",
        "{package_name}/config/database_url.py",
        "{package_name}/migrations",
    ],
    ("redis", True): [
        ".github/workflows/redis.yml",
        "charts/{project_slug}/dashboards/redis.json",
        "charts/{project_slug}/settings/redis.env",
        "charts/{project_slug}/settings/redis.yaml",
        "charts/{project_slug}/templates/redis.yaml",
        "compose.services.redis.yaml",
        "docs/_static/redis.svg",
        "docs/deployment/redis.md",
        "docs/redis.md",
        "scripts/redis-operator.sh",
        "tests/fixtures/redis.py",
        "tests/integration/test_redis.py",
        "tests/unit/app/utils/test_redis.py",
        "tests/unit/app/utils/test_redis_connection.py",
        "tests/unit/config/test_redis.py",
        "{package_name}/app/utils/redis.py",
        "{package_name}/app/utils/redis_connection.py",
        "{package_name}/config/redis.py",
    ],
    ("aiohttp", True): [
        "charts/{project_slug}/dashboards/aiohttp.json",
        "docs/aiohttp.md",
        "tests/fixtures/aiohttp_client.py",
        "tests/unit/app/utils/test_aiohttp_client.py",
        "{package_name}/app/utils/aiohttp_client.py",
        "{package_name}/config/aiohttp_client.py",
    ],
    ("helm", True): [
        ".github/workflows/helm.yml",
        "charts",
        "docs/_static/database.svg",
        "docs/_static/redis.svg",
        "docs/deployment/database.md",
        "docs/deployment/kubernetes.md",
        "docs/deployment/redis.md",
        "scripts/chart.py",
        "scripts/dev-env.sh",
        "scripts/postgres-operator.sh",
        "scripts/redis-operator.sh",
        "tests/unit/test_chart.py",
    ],
    ("nix", True): [
        ".github/workflows/nix.yml",
        "default.nix",
        "docs/nix.md",
        "flake.lock",
        "flake.nix",
        "shell.nix",
    ],
    ("github_actions", True): [
        ".github",
        "docs/_extensions/pipeline.py",
        "docs/continuous-integration.md",
        "scripts/merge-template.sh",
        "scripts/propose-update.sh",
    ],
    ("vagrant", True): ["Vagrantfile", "docs/deployment/vagrant.md"],
    ("package_manager", "poetry"): ["scripts/poetry.sh"],
    ("package_manager", "uv"): ["scripts/uv.sh"],
}


def main() -> None:
    """Prune the project in the current directory."""
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    features = {
        condition: [Path(path.format_map(answers)) for path in paths]
        for condition, paths in FEATURES.items()
    }
    stale = [str(p) for paths in features.values() for p in paths if not p.exists()]
    if stale:
        sys.exit(f"FEATURES names paths that the template does not have: {', '.join(stale)}.")
    for (answer, value), paths in features.items():
        if answers[answer] != value:
            for path in paths:
                prune(path)


def prune(path):
    """Remove a file or folder, and the parent folders that become empty."""
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
