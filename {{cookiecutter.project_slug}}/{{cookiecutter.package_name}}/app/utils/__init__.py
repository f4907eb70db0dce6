{%- set clients = [
    ("aiohttp_client", "AiohttpClient", cookiecutter.aiohttp),
    ("database", "Database", cookiecutter.database),
    ("redis", "RedisClient", cookiecutter.redis),
] -%}
"""Clients that the whole application shares, usable from anywhere in it."""
{%- for module, name, wanted in clients if wanted %}
{{ "\n" if loop.first }}from .{{ module }} import {{ name }}
{%- endfor %}
{%- for _, name, wanted in clients if wanted %}
{{- "\n\n__all__ = [" if loop.first }}"{{ name }}"{{ "]" if loop.last else ", " }}
{%- endfor %}
