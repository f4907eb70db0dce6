"""Loads the fixtures of all tests, a module of ``fixtures/`` for each subject."""

from pathlib import Path

pytest_plugins = [
    f"tests.fixtures.{file.stem}"
    for file in sorted(Path(__file__).parent.glob("fixtures/*.py"))
]
