"""``GET /metrics``: what Prometheus reads. Served where ``APP_METRICS`` says so, without authentication.

It tells numbers, kinds and names of statements, no merchant and no id. Where it is served beyond one
machine, the network decides who reaches it.
"""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from fintech_kernel.observability.metrics import CONTENT_TYPE, Metrics

PUBLIC: Final = ("metrics",)
"""Operations that need no permission."""


def metrics_router(metrics: Metrics) -> APIRouter:
    """Return the route over these metrics. It is no part of the API's document."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics", name=PUBLIC[0])
    async def get_metrics() -> Response:
        """Answer without any I/O."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
