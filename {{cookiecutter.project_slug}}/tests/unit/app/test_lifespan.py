from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app import lifespan


def test_resources_are_open_while_the_application_serves(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    @asynccontextmanager
    async def enter(name: str) -> AsyncIterator[None]:
        calls.append(f"open {name}")
        yield
        calls.append(f"close {name}")

    lifespans = [lambda: enter("first"), lambda: enter("second")]
    monkeypatch.setattr(lifespan, "LIFESPANS", lifespans)

    with TestClient(app):
        assert calls == ["open first", "open second"]

    assert calls[2:] == ["close second", "close first"]
