"""What it means for the service to be alive and to be ready."""

from dataclasses import dataclass
from typing import Literal, Self

from ..utils import READINESS_CHECKS


@dataclass(frozen=True)
class Health:
    """The state of the service; there is no object for a state that is not well."""

    status: Literal["ok"] = "ok"

    @classmethod
    def live(cls) -> Self:
        """The process runs; whether its dependencies do must not matter here."""
        return cls()

    @classmethod
    async def ready(cls) -> Self:
        """The process runs, and everything it depends on answers.

        Raises:
            DependencyError: naming the first dependency that did not answer.
        """
        for check in READINESS_CHECKS:
            await check()
        return cls()
