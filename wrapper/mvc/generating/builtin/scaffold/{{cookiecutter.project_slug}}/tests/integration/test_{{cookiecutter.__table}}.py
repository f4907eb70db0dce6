"""The tests of the controller once more, on PostgreSQL."""

from pathlib import Path

import pytest

from tests.unit.app.controllers.test_{{ cookiecutter.__table }} import *  # noqa: F403


@pytest.fixture(autouse=True)
def database(database: Path, postgresql: str) -> str:
    """Lead all tests to a database of PostgreSQL."""
    return postgresql
