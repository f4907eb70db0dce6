{%- set endpoints = cookiecutter.endpoints | endpoints -%}
{%- set methods = endpoints | map(attribute="method") | list -%}
"""The `{{ cookiecutter.__name }}` controller."""
{% if "uuid" in endpoints | map(attribute="convertors") | sum(start=[]) %}
from uuid import UUID
{% endif %}
from fastapi import APIRouter{{ ", Response" if "head" in methods }}
{% if methods | reject("eq", "head") | list %}
from ..views.{{ cookiecutter.__name }} import (
    {{ cookiecutter.__response }},
)
{% endif %}
router = APIRouter(
    prefix="/{{ cookiecutter.__name }}",
    tags=["{{ cookiecutter.__name }}"],
)
{%- for endpoint in endpoints %}
{%- set is_head = endpoint.method == "head" %}


{% if is_head -%}
@router.head(
    "{{ endpoint.path }}",
    response_class=Response,
)
{%- else -%}
@router.{{ endpoint.method }}("{{ endpoint.path }}")
{%- endif %}
async def {{ endpoint.function }}(
{%- for parameter in endpoint.signature %}
    {{ parameter }},
{%- endfor %}
{{- "\n" if endpoint.signature }}) -> {{ "None" if is_head else cookiecutter.__response }}:
{%- if is_head %}
    """Return no body, until this endpoint is implemented."""
{%- else %}
    """Return the name of this endpoint, until it is implemented."""
    return {{ cookiecutter.__response }}(
        endpoint="{{ endpoint.function }}",
    )
{%- endif %}
{%- endfor %}
