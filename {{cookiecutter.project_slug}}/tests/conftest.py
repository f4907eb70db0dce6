"""Fixtures of all tests."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from {{ cookiecutter.package_name }}.config import (
    ENV_PREFIX,
    Settings,
    get_settings,
)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Give each test the default settings; ``settings.setenv`` changes one."""
    with patch.dict(os.environ):
        for name in Settings.model_fields:
            os.environ.pop(f"{ENV_PREFIX}{name.upper()}", None)
        get_settings.cache_clear()
        yield monkeypatch
    get_settings.cache_clear()


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as uvicorn does."""
    return "asyncio"
