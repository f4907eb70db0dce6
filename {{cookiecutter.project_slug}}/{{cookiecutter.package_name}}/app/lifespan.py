"""What opens and closes with the application, and the checks of its readiness."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from . import clients

#: Entered when the application starts, exited in reverse order when it stops: the
#: clients, and below them your own background tasks.
LIFESPANS: list[clients.Lifespan] = [
    *clients.LIFESPANS,
]

#: ``/api/ready`` awaits each; a check that fails raises ``DependencyError``.
READINESS_CHECKS: list[clients.ReadinessCheck] = [
    *clients.READINESS_CHECKS,
]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Keep everything in ``LIFESPANS`` open while the application serves."""
    async with AsyncExitStack() as stack:
        for enter in LIFESPANS:
            await stack.enter_async_context(enter())
        yield
