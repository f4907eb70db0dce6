{%- set resource = cookiecutter | resource -%}
{%- set names = resource.names -%}
"""The requests and responses for {{ names.table.replace("_", " ") }}."""

import datetime as dt
{%- if resource.has("Decimal") %}
from decimal import Decimal
{%- endif %}
{%- if resource.has("Any") %}
from typing import Any
{%- endif %}
{%- if resource.has("UUID") %}
from uuid import UUID
{%- endif %}
{% if resource.needs_field %}
from pydantic import Field
{% endif %}
{%- for line in resource.views %}
{{ line }}
{%- endfor %}
from .resource import UNCHANGED, Body, Page, PageQuery, Resource


class {{ names.model }}Create(Body):
    """The fields that a client sends to create one."""

{{ resource.created | join("\n") }}


class {{ names.model }}Update(Body):
    """The fields that a client changes; omitted fields stay unchanged."""
{% for field in resource.updated %}
    {{ field }}
{%- endfor %}


class {{ names.model }}Query(PageQuery):
    """The page that a client requests, and the values to filter by."""
{%- for field in resource.filters %}
{{- "\n" if loop.first }}
    {{ field.name }}: {{ field.kind.view }} = UNCHANGED
{%- endfor %}


class {{ names.model }}Response(Resource):
    """One of them, as a client receives it."""

    id: int
{%- for field in resource.answered %}
    {{ field }}
{%- endfor %}
    created_at: dt.datetime
    updated_at: dt.datetime


class {{ names.model }}Page(Page[{{ names.model }}Response]):
    """A page of {{ names.table.replace("_", " ") }}."""
