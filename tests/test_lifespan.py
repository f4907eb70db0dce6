"""The lifespan of the application: background tasks run, and unneeded modules stay unloaded."""

import shutil
from pathlib import Path

import pytest
from conftest import Serve
from support import Project, run, wait_until

pytestmark = pytest.mark.slow

MODEL = '''
"""What the task works on."""

from ..utils import RedisClient


def note(journal: str, event: str) -> None:
    assert RedisClient.open_redis_client
    with open(journal, "a") as file:
        file.write(event + "\\n")
'''
TASK = '''
"""A background task of the application."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from .models.journal import note


async def _work() -> None:
    journal = os.environ["JOURNAL"]
    try:
        note(journal, "working")
        await asyncio.Event().wait()
    finally:
        note(journal, "cleaned up")


@asynccontextmanager
async def background() -> AsyncIterator[None]:
    task = asyncio.create_task(_work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
'''
# Imports each module in an interpreter that has imported nothing else of the package: a fork
# is as fresh as a new process, and faster.
EACH_FIRST = """
import importlib, os, sys
failed = []
for name in sys.argv[1:]:
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            failed.append(name)
    else:
        status = 1
        try:
            importlib.import_module(name)
            status = 0
        finally:
            if status:
                sys.excepthook(*sys.exc_info())
            os._exit(status)
sys.exit(f"Cannot be imported first: {failed}" if failed else 0)
"""
LOADED = """
import sys
from importlib import import_module
import_module(f"{sys.argv[1]}.app.asgi").get_application()
print(*sys.modules, sep="\\n")
"""


@pytest.fixture
def busy(full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Copy the package, and add a background task that imports a model."""
    copy = Project(tmp_path, full.answers)
    shutil.copytree(full.package, copy.package)
    monkeypatch.setenv("PYTHONPATH", str(copy.path))
    (copy.package / "app/models/journal.py").write_text(MODEL, "utf-8")
    (copy.package / "app/background.py").write_text(TASK, "utf-8")
    module = copy.package / "app/lifespan.py"
    text = module.read_text("utf-8")
    for old, new in (
        ("import clients\n", "import clients\nfrom .background import background\n"),
        ("    *clients.LIFESPANS,\n", "    *clients.LIFESPANS,\n    background,\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    module.write_text(text, "utf-8")
    return copy


def test_every_module_can_be_imported_first(busy: Project, full: Project) -> None:
    paths = (file.relative_to(busy.path) for file in sorted(busy.package.rglob("*.py")))
    names = (".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)
    # Only Alembic runs it.
    modules = [name for name in names if not name.endswith(".migrations.env")]
    assert "galactic_empire.app.models.journal" in modules

    run(full.python, "-c", EACH_FIRST, *modules, cwd=busy.path)


def test_background_task_is_cleaned_up_when_the_service_stops(
    busy: Project, full: Project, serve: Serve
) -> None:
    journal = busy.path / "journal"
    service = serve(full, "--workers", "1", JOURNAL=str(journal))
    wait_until(service.answers)

    assert service.stop() == 0

    assert journal.read_text().splitlines() == ["working", "cleaned up"]


def test_application_loads_neither_the_server_nor_its_clients(full: Project) -> None:
    loaded = run(full.python, "-c", LOADED, full.package.name, cwd=full.path).splitlines()

    assert "fastapi" in loaded
    packages = {name.partition(".")[0] for name in loaded}
    assert not packages & {"gunicorn", "uvicorn", "uvicorn_worker", "redis", "aiohttp"}
    assert f"{full.package.name}.server" not in loaded
