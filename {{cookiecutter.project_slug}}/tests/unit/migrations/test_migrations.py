from pathlib import Path

from pydantic import SecretStr

from {{ cookiecutter.package_name }}.config import Settings
from {{ cookiecutter.package_name }}.migrations import commands


def test_migrations_can_be_applied_and_reverted(tmp_path: Path) -> None:
    settings = Settings(database_url=SecretStr(f"sqlite:///{tmp_path}/there.db"))

    applied = commands.upgrade(settings)

    assert commands.downgrade(settings, "base") == applied[::-1]
    assert commands.upgrade(settings) == applied
