"""The route that processors call. It needs no token: their signature is the credential."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.web.answers import json_response
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from fintech_payments.domain.callbacks import Callbacks

PUBLIC: Final = ("receive_callback",)

ProcessorName = Annotated[
    str,
    Path(
        pattern=f"^{OBJECT_ID.pattern}$",
        description="name of the processor",
        examples=["sandbox"],
    ),
]

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "what the processor sends, in its own form; taken as bytes",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"event_id": "evt_1017", "type": "payment.answered"},
            }
        },
    }
}


class CallbackTaken(BaseModel):
    """The callback need not be sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": True}]})

    received: bool


def build_callback_router(callbacks: Callbacks) -> APIRouter:
    """Return the one route of callbacks."""
    router = APIRouter()

    @router.post(
        "/{processor}",
        summary="Take a processor's callback",
        response_model=CallbackTaken,
        openapi_extra=_BODY,
    )
    async def receive_callback(request: Request, processor: ProcessorName) -> Response:
        """Learn a final answer from the processor; 503 asks it to send the callback again."""
        body = await request.body()
        await callbacks.receive(processor, headers=request.headers, body=body)
        return json_response({"received": True})

    return router
