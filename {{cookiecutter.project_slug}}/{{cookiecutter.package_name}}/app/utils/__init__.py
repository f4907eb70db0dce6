"""Clients that are open as long as the application, usable from anywhere in it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
{% if cookiecutter.aiohttp %}
from .aiohttp_client import AiohttpClient
{%- endif %}
{%- if cookiecutter.redis %}
from .redis import RedisClient
{%- endif %}
{%- if cookiecutter.aiohttp or cookiecutter.redis %}
{% endif %}
Client = Callable[[], AbstractAsyncContextManager[None]]
ReadinessCheck = Callable[[], Awaitable[None]]

#: Entered when the application starts, left in the reverse order when it stops.
CLIENTS: list[Client] = [
{%- if cookiecutter.aiohttp %}
    AiohttpClient.lifespan,
{%- endif %}
{%- if cookiecutter.redis %}
    RedisClient.lifespan,
{%- endif %}
{%- if cookiecutter.aiohttp or cookiecutter.redis %}
{% endif -%}
]

#: Asked by ``/api/ready``; each raises ``DependencyError`` when it is not ready.
READINESS_CHECKS: list[ReadinessCheck] = [
    {%- if cookiecutter.redis %}
    RedisClient.check_readiness,
{% endif -%}
]

__all__ = [
    "CLIENTS",
    "READINESS_CHECKS",
    {%- if cookiecutter.aiohttp %}
    "AiohttpClient",
    {%- endif %}
    {%- if cookiecutter.redis %}
    "RedisClient",
    {%- endif %}
]
