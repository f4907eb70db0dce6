"""Loads every module in ``fixtures/`` as a plugin."""

from pathlib import Path

pytest_plugins = [
    f"tests.fixtures.{file.stem}"
    for file in sorted(Path(__file__).parent.glob("fixtures/*.py"))
]
