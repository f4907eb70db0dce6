"""The controller's tests, run on PostgreSQL."""

from pathlib import Path

import pytest

from tests.unit.app.controllers.test_{{ cookiecutter.__table }} import *  # noqa: F403


@pytest.fixture(autouse=True)
def database(database: Path, postgresql: str) -> str:
    """Run all tests on PostgreSQL."""
    return postgresql
