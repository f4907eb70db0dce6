import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from {{ cookiecutter.package_name }}.app.utils import Database


def test_service_is_ready_with_a_migrated_database(
    serve: Callable[..., Any], postgresql: str
) -> None:
    service = serve(FASTAPI_DATABASE_URL=postgresql)

    assert service.get("/api/ready") == (200, '{"status":"ok"}')


@pytest.mark.anyio
@pytest.mark.usefixtures("postgresql")
async def test_transaction_stores_all_or_nothing() -> None:
    insert = text("INSERT INTO rows_of_a_test VALUES (1)")

    async with Database.transaction() as session:
        await session.execute(text("CREATE TABLE rows_of_a_test (number integer)"))
    async with Database.transaction() as session:
        await session.execute(insert)
    with pytest.raises(LookupError):
        async with Database.transaction() as session:
            await session.execute(insert)
            raise LookupError

    async with Database.transaction() as session:
        rows = await session.execute(text("SELECT number FROM rows_of_a_test"))
    assert rows.all() == [(1,)]


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
