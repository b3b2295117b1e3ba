"""Health: ``/health/live`` says that the process runs, ``/health/ready`` that it can serve.

Liveness does no I/O: a slow database must not get healthy processes killed. Readiness runs all checks
at once, each within its own time, and names the failing ones and nothing else.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from fastapi import APIRouter
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fintech_kernel.hooks import HealthCheck
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.problems import NOT_READY, fixed_problem, problem_response
from fintech_kernel.web.strict_json import StrictJsonRoute

PATH_PREFIX: Final = "/health"
PUBLIC: Final = ("health_live", "health_ready")
"""Operations that need no permission."""


class Liveness(BaseModel):
    """The process runs."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class Readiness(BaseModel):
    """The process can serve; ``failing`` names checks without which it still can."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"status": "ok", "failing": []}]}
    )

    status: Literal["ok", "degraded"]
    failing: list[str] = Field(description="names of failing checks that are not critical")


def health_router(checks: Sequence[HealthCheck]) -> APIRouter:
    """Return the routes of health over these checks."""
    router = APIRouter(prefix=PATH_PREFIX, tags=["health"], route_class=StrictJsonRoute)

    @router.get("/live", summary="Is the process running", response_model=Liveness)
    async def health_live() -> Response:
        """Answer without any I/O."""
        return json_response({"status": "ok"})

    @router.get("/ready", summary="Can the process serve", response_model=Readiness)
    async def health_ready() -> Response:
        """Run all checks at once and name the failing ones."""
        failing = await failing_checks(checks)
        if any(check.critical for check in failing):
            body = fixed_problem(NOT_READY.status, NOT_READY.code, NOT_READY.title)
            body["facts"] = {"failing": [check.name for check in failing]}
            return problem_response(503, body, headers={"Retry-After": "1"})
        status = "degraded" if failing else "ok"
        return json_response({"status": status, "failing": [check.name for check in failing]})

    return router


async def failing_checks(checks: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return the checks that fail or do not end in their time, in the given order."""
    passed = await asyncio.gather(*(_passes(check) for check in checks))
    return [check for check, passes in zip(checks, passed, strict=True) if not passes]


async def _passes(check: HealthCheck) -> bool:
    try:
        async with asyncio.timeout(check.timeout_seconds):
            await check.check()
    except Exception as error:  # noqa: BLE001 - whatever a plugin's check raises, it is unhealthy
        logger.opt(exception=error).warning("health check failed", check=check.name)
        return False
    return True
