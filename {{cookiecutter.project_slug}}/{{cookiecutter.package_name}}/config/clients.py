{%- set clients = [
    ("aiohttp_client", "AiohttpSettings", cookiecutter.aiohttp),
    ("database", "DatabaseSettings", cookiecutter.database),
    ("redis", "RedisSettings", cookiecutter.redis),
] -%}
"""Settings of the clients; features that are added or removed change this file."""
{% for module, name, wanted in clients if wanted %}
from .{{ module }} import {{ name }}
{%- endfor %}
from .variables import EnvironmentSettings


class ClientSettings(
{%- for _, name, wanted in clients if wanted %}
    {{ name }},
{%- endfor %}
    EnvironmentSettings,
):
    """Every setting of the clients."""
