import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from {{ cookiecutter.package_name }}.app.utils import Database

PACKAGE = "{{ cookiecutter.package_name }}"
URL = os.environ.get("FASTAPI_DATABASE_URL", "")
# PostgreSQL refuses to run as root: this is a user without rights.
USER = 65534
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian's is in no PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next(Path("/usr/lib/postgresql").glob("*/bin"), None)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Point at the PostgreSQL of the environment, or start one for the tests."""
    if URL.startswith("postgres"):
        yield URL
        return
    folder = programs()
    if not folder:
        pytest.skip("needs PostgreSQL, or FASTAPI_DATABASE_URL")
    place = Path(tempfile.mkdtemp())
    user = []
    if os.geteuid() == 0:
        os.chown(place, USER, USER)
        user = AS_USER

    def call(program: str, *words: str) -> None:
        command = [*user, str(folder / program), "-D", f"{place}/data", *words]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)

    call("initdb", "--username=app", "--auth=trust", "--no-sync")
    # Without an address: it listens to those alone who may enter its folder.
    options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off"
    call("pg_ctl", "start", "-w", "-l", f"{place}/log", "-o", options)
    try:
        yield f"postgresql://app@/postgres?host={place}"
    finally:
        call("pg_ctl", "stop", "-w", "-m", "immediate")
        shutil.rmtree(place)


def test_service_is_ready_with_a_database_that_is_migrated(
    serve: Callable[..., Any], url: str
) -> None:
    command = [sys.executable, "-m", PACKAGE, "db", "upgrade"]
    subprocess.run(command, env={**os.environ, "FASTAPI_DATABASE_URL": url}, check=True)

    service = serve(FASTAPI_DATABASE_URL=url)

    assert service.get("/api/ready") == (200, '{"status":"ok"}')


@pytest.mark.anyio
async def test_transaction_stores_all_or_nothing(
    settings: pytest.MonkeyPatch, url: str
) -> None:
    settings.setenv("FASTAPI_DATABASE_URL", url)
    insert = text("INSERT INTO rows_of_a_test VALUES (1)")

    async with Database.transaction() as session:
        await session.execute(text("CREATE TABLE rows_of_a_test (number integer)"))
    try:
        async with Database.transaction() as session:
            await session.execute(insert)
        with pytest.raises(LookupError):
            async with Database.transaction() as session:
                await session.execute(insert)
                raise LookupError
        async with Database.transaction() as session:
            rows = await session.execute(text("SELECT number FROM rows_of_a_test"))
            assert rows.all() == [(1,)]
    finally:
        async with Database.transaction() as session:
            await session.execute(text("DROP TABLE rows_of_a_test"))


def test_not_ready_without_a_database(serve: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    service = serve(FASTAPI_DATABASE_URL=f"postgresql://app@127.0.0.1:{port}/app")

    status, body = service.get("/api/ready")

    assert status == 502
    assert json.loads(body) == {
        "error": {
            "code": 502,
            "message": "Could not connect to the database at FASTAPI_DATABASE_URL",
            "status": "BAD_GATEWAY",
        }
    }
    assert service.get("/api/live") == (200, '{"status":"ok"}')
