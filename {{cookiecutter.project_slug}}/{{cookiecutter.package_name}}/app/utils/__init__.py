"""Clients that are open as long as the application, usable from anywhere in it."""

from collections.abc import Awaitable, Callable
{% if cookiecutter.aiohttp %}
from .aiohttp_client import AiohttpClient
{%- endif %}
{%- if cookiecutter.redis %}
from .redis import RedisClient
{%- endif %}
{%- if cookiecutter.aiohttp or cookiecutter.redis %}
{% endif %}
OpenClient = Callable[[], object]
CloseClient = Callable[[], Awaitable[None]]
ReadinessCheck = Callable[[], Awaitable[None]]

#: Opened when the application starts, closed in the reverse order when it stops.
CLIENTS: tuple[tuple[OpenClient, CloseClient], ...] = (
{%- if cookiecutter.aiohttp %}
    (AiohttpClient.get_aiohttp_client, AiohttpClient.close_aiohttp_client),
{%- endif %}
{%- if cookiecutter.redis %}
    (RedisClient.open_redis_client, RedisClient.close_redis_client),
{%- endif %}
{%- if cookiecutter.aiohttp or cookiecutter.redis %}
{% endif -%}
)

#: Asked by ``/api/ready``; each raises ``DependencyError`` when it is not ready.
READINESS_CHECKS: tuple[ReadinessCheck, ...] = (
    {%- if cookiecutter.redis %}RedisClient.check_readiness,{% endif -%}
)

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
