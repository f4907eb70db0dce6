"""Adding a setting takes one field, which is then listed and documented without its secrets."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from charts import helm_path
from support import Project, Service, free_port, run, wait_until

pytestmark = pytest.mark.slow

FIELDS = """
    atlas_url: str = Field(
        default="http://atlas.example.com", description="Where the atlas of planets is."
    )
    atlas_token: SecretStr = Field(
        default=SecretStr("correct horse battery"), min_length=20, description="Given by the atlas."
    )
    atlas_api_key: SecretStr | None = Field(
        default=SecretStr("correct horse battery"), min_length=20, description="Given, or not."
    )
    atlas_password: SecretStr = Field(
        default=SecretStr("correct horse battery"),
        min_length=20,
        validation_alias="ATLAS_PASSWORD",
        description="Read by others, too.",
    )
"""
SECRETS = ("FASTAPI_ATLAS_TOKEN", "FASTAPI_ATLAS_API_KEY", "ATLAS_PASSWORD")
MISSPELT = {"FASTAPI_ATLAS_ULR": "http://x.example"}
WARNING = "FASTAPI_ATLAS_ULR is not a setting. Did you mean FASTAPI_ATLAS_URL?"


@pytest.fixture
def own(full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Copy the project, and add its own settings."""
    copy = Project(tmp_path / full.path.name, full.answers)
    shutil.copytree(full.path, copy.path, ignore=shutil.ignore_patterns(".venv"))
    (copy.path / ".venv").symlink_to(full.path / ".venv")
    # Import it instead of the project for which the shared environment was made.
    monkeypatch.setenv("PYTHONPATH", str(copy.path))
    module = copy.package / "config/application.py"
    text = module.read_text("utf-8").replace("NonNegativeInt\n", "NonNegativeInt, SecretStr\n", 1)
    module.write_text(text + FIELDS, "utf-8")
    return copy


def start(project: Project, log: Path, *command: str | Path, port: int) -> Service:
    """Start a service whose standard error is kept in ``log``."""
    logged = ("sh", "-c", 'log=$1; shift; exec "$@" 2> "$log"', "sh", log)
    return Service([*logged, *command], port, MISSPELT, cwd=project.path)


def test_own_settings_are_listed_and_secrets_are_not_shown(own: Project) -> None:
    listed = run(own.python, "-m", own.package.name, "settings", cwd=own.path)

    assert "  FASTAPI_ATLAS_URL (`http://atlas.example.com`)\n" in listed
    assert "      Where the atlas of planets is.\n" in listed
    for name in SECRETS:
        assert f"  {name} (secret)\n" in listed
    assert "battery" not in listed


def test_own_settings_are_documented_and_secrets_are_not_shown(own: Project) -> None:
    own.make("docs")

    page = re.sub("<[^>]+>", "", (own.path / "site/settings.html").read_text("utf-8"))
    assert re.search(
        r"FASTAPI_ATLAS_URL\s+http://atlas.example.com\s+Where the atlas of planets is\.", page
    )
    for name in SECRETS:
        assert re.search(rf"\b{name}\s+secret\b", page), name
    assert "battery" not in page


@pytest.mark.parametrize("name", SECRETS)
def test_error_names_a_secret_and_does_not_show_it(own: Project, name: str) -> None:
    done = subprocess.run(
        [own.python, "-m", own.package.name, "serve"],
        env={"PYTHONPATH": str(own.path), name: "swordfish"},
        cwd=own.path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {name}: ")
    assert done.stderr.count("\n") == 1
    assert "swordfish" not in done.stdout + done.stderr


def test_own_settings_can_be_set_through_the_chart(own: Project) -> None:
    helm = helm_path("helm4")
    chart = own.path / "charts" / own.path.name

    rendered = run(
        *(helm, "template", "prod", chart, "--set", "config.FASTAPI_ATLAS_URL=http://x.example"),
        *("--set", "secrets.FASTAPI_ATLAS_TOKEN=swordfish"),
        cwd=own.path,
    )

    assert re.search(r'^  FASTAPI_ATLAS_URL: "?http://x\.example"?$', rendered, re.M)
    assert re.search(r"^  FASTAPI_ATLAS_TOKEN: ", rendered, re.M)
    assert "swordfish" not in rendered


def test_serve_warns_once_of_a_misspelt_setting(own: Project, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    command = (own.python, "-m", own.package.name, "serve", "--bind", f"127.0.0.1:{port}")
    service = start(own, log, *command, "--workers", "2", port=port)
    try:
        wait_until(service.answers)
        wait_until(lambda: len(service.workers()) == 2)
        assert service.stop() == 0
    finally:
        service.kill()

    [line] = [line for line in log.read_text("utf-8").splitlines() if "is not a setting" in line]
    assert f"[{service.process.pid}] [WARNING]" in line
    assert line.endswith(WARNING)


def test_run_warns_of_misspelt_and_ignored_settings(
    own: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTAPI_LOG_FORMAT", "json")
    monkeypatch.setenv("FASTAPI_GUNICORN_LOG_FORMAT", "%(message)s")
    port, log = free_port(), tmp_path / "log"
    service = start(own, log, "make", "run", f"PORT={port}", port=port)
    try:
        wait_until(service.answers)
    finally:
        service.kill()

    for warning in (WARNING, "FASTAPI_GUNICORN_LOG_FORMAT is ignored"):
        assert log.read_text("utf-8").count(warning) == 1


@pytest.mark.parametrize("verb", ["run", "serve"])
def test_commands_that_start_the_service_read_the_env_file(own: Project, verb: str) -> None:
    text = "FASTAPI_PROJECT_NAME='The (own) $name'\nFASTAPI_VERSION=1\nFASTAPI_BIND=127.0.0.1:1\n"
    (own.path / ".env").write_text(text)
    port = free_port()
    shell = {"FASTAPI_VERSION": "2", "FASTAPI_BIND": f"127.0.0.1:{port}"}
    service = Service(["make", verb, f"PORT={port}"], port, shell, cwd=own.path)
    try:
        wait_until(service.answers)
        status, body, _ = service.request("GET", "/openapi.json")
    finally:
        service.kill()

    assert status == 200
    # Variables of the shell take precedence.
    assert json.loads(body)["info"] == {"title": "The (own) $name", "version": "2"}
    asking = "from galactic_empire.config import get_settings; print(get_settings().project_name)"
    assert run(own.python, "-c", asking, cwd=own.path) == "galactic-empire\n"


MISUSED = """
import pytest
from fastapi.testclient import TestClient

from galactic_empire.app.utils import AiohttpClient, RedisClient
from galactic_empire.config import get_settings


def test_late_with_client_first(client: TestClient, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DOCS_URL", "")


def test_late_with_client_last(settings: pytest.MonkeyPatch, client: TestClient) -> None:
    settings.setenv("FASTAPI_DOCS_URL", "")


def test_late_by_another_fixture(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_DOCS_URL", "")


def test_in_time(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DOCS_URL", "/other")
    assert get_settings().docs_url == "/other"


def test_opens_a_client_and_leaves_it() -> None:
    RedisClient.open_redis_client()


@pytest.mark.anyio
async def test_opens_another_client_and_leaves_it() -> None:
    assert RedisClient.redis_client is None
    AiohttpClient.get_aiohttp_client()


def test_finds_no_client() -> None:
    assert RedisClient.redis_client is AiohttpClient.aiohttp_client is None
"""


def test_misuse_of_the_fixtures_of_a_project_is_reported(own: Project) -> None:
    tests = own.path / "tests/unit/test_misused.py"
    tests.write_text(MISUSED, "utf-8")

    done = subprocess.run(
        [own.python, "-m", "pytest", "-W", "error", tests],
        cwd=own.path,
        capture_output=True,
        text=True,
    )

    errors = re.findall(r"^ERROR .*::(\w+)", done.stdout, re.M)
    assert errors == [
        "test_late_with_client_first",
        "test_late_with_client_last",
        "test_late_by_another_fixture",
    ]
    assert len(re.findall("^E +Failed: A setting was changed", done.stdout, re.M)) == 3
    assert "7 passed, 3 errors" in done.stdout
