"""The answer of the health controller."""

from typing import Literal

from pydantic import BaseModel


class HealthResponse(BaseModel):
    """The service is well; every other state is answered as an error."""

    status: Literal["ok"]
