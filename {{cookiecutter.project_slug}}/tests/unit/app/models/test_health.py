import pytest

from {{ cookiecutter.package_name }}.app.exceptions import DependencyError
from {{ cookiecutter.package_name }}.app.models.health import Health


def test_live_is_ok() -> None:
    assert Health.live().status == "ok"


@pytest.mark.anyio
async def test_ready_runs_every_check() -> None:
    called: list[str] = []

    async def one() -> None:
        called.append("one")

    async def other() -> None:
        called.append("other")

    assert (await Health.ready([one, other])).status == "ok"
    assert called == ["one", "other"]


@pytest.mark.anyio
async def test_ready_names_the_failed_dependency() -> None:
    async def fail() -> None:
        raise DependencyError("Payments")

    with pytest.raises(DependencyError, match="Could not connect to Payments"):
        await Health.ready([fail])
