from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

from {{ cookiecutter.package_name }}.app.asgi import get_application
from {{ cookiecutter.package_name }}.app.openapi import write_integers


class Limited(BaseModel):
    low: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    ratio: Annotated[float, Field(gt=0.5, le=1)]


def test_limits_of_integers_are_exact() -> None:
    app = FastAPI()

    @app.post("/")
    async def create(limited: Limited) -> None: ...

    described = app.openapi()
    write_integers(described)
    low, ratio = described["components"]["schemas"]["Limited"]["properties"].values()
    assert repr(low["minimum"]) == "-9223372036854775808"
    assert repr(low["exclusiveMaximum"]) == "9223372036854775808"
    assert ratio["exclusiveMinimum"] == 0.5


def test_limits_are_exact_after_a_route_is_added() -> None:
    app = get_application()
    app.openapi()

    @app.post("/limited")
    async def create(limited: Limited) -> None: ...

    limits = app.openapi()["components"]["schemas"]["Limited"]["properties"]["low"]
    assert isinstance(limits["minimum"], int)


def test_schema_is_built_once() -> None:
    app = get_application()

    assert app.openapi() is app.openapi()
