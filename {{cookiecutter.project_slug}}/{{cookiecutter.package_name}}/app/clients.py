{%- set clients = [
    ("aiohttp_client", "AiohttpClient", cookiecutter.aiohttp, false),
    ("database", "Database", cookiecutter.database, true),
    ("redis", "RedisClient", cookiecutter.redis, true),
] -%}
"""The clients of the service; features that are added or removed change this file."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
{%- for module, name, wanted, _ in clients if wanted %}
{{ "\n" if loop.first }}from .utils.{{ module }} import {{ name }}
{%- endfor %}

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
ReadinessCheck = Callable[[], Awaitable[None]]

LIFESPANS: list[Lifespan] = [
{%- for _, name, wanted, _ in clients if wanted %}
    {{ name }}.lifespan,{{ "\n" if loop.last }}
{%- endfor %}]

READINESS_CHECKS: list[ReadinessCheck] = [
{%- for _, name, wanted, is_asked in clients if wanted and is_asked %}
    {{ name }}.check_readiness,{{ "\n" if loop.last }}
{%- endfor %}]
