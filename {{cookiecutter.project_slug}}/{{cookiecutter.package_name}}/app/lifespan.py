{%- set clients = [
    ("aiohttp_client", "AiohttpClient", cookiecutter.aiohttp, false),
    ("database", "Database", cookiecutter.database, true),
    ("redis", "RedisClient", cookiecutter.redis, true),
] -%}
"""What opens and closes with the application, and the checks of its readiness."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
{%- for module, name, wanted, _ in clients if wanted %}
{{ "\n" if loop.first }}from .utils.{{ module }} import {{ name }}
{%- endfor %}

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
ReadinessCheck = Callable[[], Awaitable[None]]

#: Entered when the application starts, exited in reverse order when it stops: the
#: clients, and below them your own background tasks.
LIFESPANS: list[Lifespan] = [
{%- for _, name, wanted, _ in clients if wanted %}
    {{ name }}.lifespan,{{ "\n" if loop.last }}
{%- endfor %}]

#: ``/api/ready`` awaits each; a check that fails raises ``DependencyError``.
READINESS_CHECKS: list[ReadinessCheck] = [
{%- for _, name, wanted, is_asked in clients if wanted and is_asked %}
    {{ name }}.check_readiness,{{ "\n" if loop.last }}
{%- endfor %}]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Keep everything in ``LIFESPANS`` open while the application serves."""
    async with AsyncExitStack() as stack:
        for enter in LIFESPANS:
            await stack.enter_async_context(enter())
        yield
