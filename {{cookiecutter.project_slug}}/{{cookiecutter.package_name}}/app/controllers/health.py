"""Health of the service, for those who start, stop and balance it."""

from fastapi import APIRouter

from ..lifespan import READINESS_CHECKS
from ..models.health import Health
from ..views.error import BAD_GATEWAY_RESPONSE
from ..views.health import HealthResponse

router = APIRouter(tags=["health"])


# Monitors ask by HEAD; the schema says nothing of it, as of every other HEAD.
@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses=BAD_GATEWAY_RESPONSE)
async def ready() -> HealthResponse:
    """Answer 200 when all that the service depends on answers, 502 otherwise."""
    health = await Health.ready(READINESS_CHECKS)
    return HealthResponse(status=health.status)


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> HealthResponse:
    """Answer as long as the process can answer at all; no dependency is asked."""
    return HealthResponse(status=Health.live().status)
