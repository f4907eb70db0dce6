"""Health of the service, for orchestrators and load balancers."""

from fastapi import APIRouter

from ..lifespan import READINESS_CHECKS
from ..models.health import Health
from ..views.error import BAD_GATEWAY_RESPONSE
from ..views.health import HealthResponse

router = APIRouter(tags=["health"])


# Monitors use HEAD; the schema leaves it out, like every other HEAD.
@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses=BAD_GATEWAY_RESPONSE)
async def ready() -> HealthResponse:
    """Return 200 if everything that the service depends on answers, 502 otherwise."""
    health = await Health.ready(READINESS_CHECKS)
    return HealthResponse(status=health.status)


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> HealthResponse:
    """Return 200 as long as the process runs; dependencies are not checked."""
    return HealthResponse(status=Health.live().status)
