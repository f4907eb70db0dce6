"""What it means for the service to be alive and to be ready."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True)
class Health:
    """The state of the service; there is no object for a state that is not well."""

    status: Literal["ok"] = "ok"

    @classmethod
    def live(cls) -> Self:
        """The process runs; whether its dependencies do must not matter here."""
        return cls()

    @classmethod
    async def ready(cls, checks: Iterable[Callable[[], Awaitable[None]]]) -> Self:
        """The process runs, and everything that it depends on answers.

        Raises:
            DependencyError: from the first check that fails.
        """
        for check in checks:
            await check()
        return cls()
