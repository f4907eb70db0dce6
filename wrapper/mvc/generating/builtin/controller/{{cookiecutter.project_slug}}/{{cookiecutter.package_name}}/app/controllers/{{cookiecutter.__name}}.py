{%- set endpoints = cookiecutter.endpoints | endpoints -%}
{%- set methods = endpoints | map(attribute="method") | list -%}
"""The `{{ cookiecutter.__name }}` controller."""
{% if "uuid" in endpoints | map(attribute="convertors") | sum(start=[]) %}
from uuid import UUID
{% endif %}
from fastapi import APIRouter{{ ", Response" if "head" in methods }}
{% if methods | reject("eq", "head") | list %}
{{ [cookiecutter.__response] | fitted("from ..views." ~ cookiecutter.__name ~ " import ", "") }}
{% endif %}
{{ ['prefix="/' ~ cookiecutter.__name ~ '"', 'tags=["' ~ cookiecutter.__name ~ '"]'] | fitted("router = APIRouter(") }}
{%- for endpoint in endpoints %}
{%- set path = '"' ~ endpoint.path ~ '"' %}
{%- set function = "async def " ~ endpoint.function ~ "(" %}
{%- if endpoint.method == "head" %}


{{ [path, "response_class=Response"] | fitted("@router.head(") }}
{{ endpoint.signature | fitted(function, ") -> None:") }}
    """Answer without a body, until somebody writes this endpoint."""
{%- else %}


{{ [path] | fitted("@router." ~ endpoint.method ~ "(") }}
{{ endpoint.signature | fitted(function, ") -> " ~ cookiecutter.__response ~ ":") }}
    """Answer with the name of this endpoint, until somebody writes it."""
    {{ ['endpoint="' ~ endpoint.function ~ '"'] | fitted("return " ~ cookiecutter.__response ~ "(", indent=4) }}
{%- endif %}
{%- endfor %}
