"""The OpenAPI schema of the application."""

from typing import Any

LIMITS = {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"}


def write_integers(schema: Any) -> None:
    """Change limits that FastAPI writes as floating-point numbers back to integers.

    ``2**63``, the limit of 64-bit integers, would become 9.223372036854776e+18, which
    is more.
    """
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in LIMITS and isinstance(value, float) and value.is_integer():
                schema[key] = int(value)
            else:
                write_integers(value)
    elif isinstance(schema, list):
        for each in schema:
            write_integers(each)
