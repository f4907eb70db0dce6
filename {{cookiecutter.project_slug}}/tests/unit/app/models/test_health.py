import pytest

from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.models import health


def test_live_is_ok() -> None:
    assert health.Health.live().status == "ok"


@pytest.mark.anyio
async def test_ready_asks_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def one() -> None:
        asked.append("one")

    async def other() -> None:
        asked.append("other")

    monkeypatch.setattr(health, "READINESS_CHECKS", (one, other))

    assert (await health.Health.ready()).status == "ok"
    assert asked == ["one", "other"]


@pytest.mark.anyio
async def test_ready_tells_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise DependencyError("Deathstar")

    monkeypatch.setattr(health, "READINESS_CHECKS", (fail,))

    with pytest.raises(DependencyError, match="Could not connect to Deathstar"):
        await health.Health.ready()
