"""The answer of the health controller."""

from typing import Literal

from pydantic import BaseModel


class HealthResponse(BaseModel):
    """``{"status": "ok"}``; every other state is told as an error."""

    status: Literal["ok"]
