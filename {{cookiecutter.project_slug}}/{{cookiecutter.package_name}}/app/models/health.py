"""What it means for the service to be live and to be ready."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True)
class Health:
    """The state of the service; there are no objects for unhealthy states."""

    status: Literal["ok"] = "ok"

    @classmethod
    def live(cls) -> Self:
        """Return the state of a running process, whatever its dependencies do."""
        return cls()

    @classmethod
    async def ready(cls, checks: Iterable[Callable[[], Awaitable[None]]]) -> Self:
        """Return the state if everything that the process depends on answers.

        Raises:
            DependencyError: from the first check that fails.
        """
        for check in checks:
            await check()
        return cls()
