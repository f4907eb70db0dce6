"""Fixtures of the unit tests."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app.asgi import get_application


@pytest.fixture
def app() -> FastAPI:
    """Build the application with the settings of the test."""
    return get_application()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Open the application; errors are answered, not raised."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
