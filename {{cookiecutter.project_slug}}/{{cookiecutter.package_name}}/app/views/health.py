"""The response of the health controller."""

from typing import Literal

from pydantic import BaseModel


class HealthResponse(BaseModel):
    """The service is healthy; any other state is an error."""

    status: Literal["ok"]
