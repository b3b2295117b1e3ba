"""``GET /v1/operations/{operation_id}``: what became of a request whose answer was lost or is pending."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import OperationRecord, OperationState
from fintech_kernel.domain.outlook import AT_WORK, RECOVERY, LastStep, Outlook, last_step, outlook
from fintech_kernel.domain.permissions import MERCHANT_ROLES, PLATFORM_ROLES
from fintech_kernel.errors import NotFound
from fintech_kernel.hooks import Permission
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.context import context_of
from fintech_kernel.web.strict_json import StrictJsonRoute

READ: Final = "operations:read"
PERMISSIONS: Final = (
    Permission(
        name=READ,
        summary="See what became of an operation",
        roles=tuple(sorted(PLATFORM_ROLES | MERCHANT_ROLES)),
    ),
)

OperationId = Annotated[
    str,
    Path(
        pattern="^op_[a-z2-7]{52}$",
        examples=["op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq"],
    ),
]


class StepBody(BaseModel):
    """The last step that stands in the journal."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [{"name": "decide", "type": "payment.created", "at": 1760000000000}]
        },
    )

    name: str
    type: str = Field(description="what was recorded")
    at: int = Field(description="UTC milliseconds")


class NextBody(BaseModel):
    """What happens next."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"action": RECOVERY, "at": 1760000020000}]},
    )

    action: str
    at: int | None = Field(description="UTC milliseconds; null where nothing happens")


class OperationBody(BaseModel):
    """An operation: final once ``state`` is ``succeeded`` or ``refused``."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "operation_id": "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq",
                    "kind": "payments.create",
                    "state": "running",
                    "attempts": 1,
                    "step": {"name": "decide", "type": "payment.created", "at": 1760000000000},
                    "next": {
                        "action": AT_WORK,
                        "at": 1760000020000,
                    },
                    "created_at": 1760000000000,
                    "finished_at": None,
                    "next_run_at": 1760000020000,
                    "result": None,
                }
            ]
        },
    )

    operation_id: str
    kind: str
    state: OperationState
    attempts: int = Field(description="how often it was run")
    step: StepBody | None = Field(description="null where nothing was decided yet")
    next: NextBody
    created_at: int = Field(description="UTC milliseconds")
    finished_at: int | None = Field(description="UTC milliseconds")
    next_run_at: int | None = Field(
        description="when recovery runs it, if nobody finishes it before; UTC milliseconds"
    )
    result: dict[str, Any] | None = Field(description="the stored outcome, once it is final")


def operations_router() -> APIRouter:
    """Return the route of operations."""
    router = APIRouter(prefix="/v1/operations", tags=["operations"], route_class=StrictJsonRoute)

    @router.get(
        "/{operation_id}", summary="What became of an operation", response_model=OperationBody
    )
    async def get_operation(
        request: Request,
        operation_id: OperationId,
        actor: Annotated[Actor, Depends(requires(READ))],
    ) -> Response:
        """Return state, step, attempts, result and what comes next, and when.

        A merchant's principals see their own operations only.
        """
        context = context_of(request)
        record = await context.operations.find(operation_id)
        if record is None or not actor.may_see(record.merchant_id):
            raise NotFound
        body = _body(
            record,
            step=last_step(await context.operations.entries(operation_id)),
            next_=outlook(
                record, kinds=context.operations.kinds, now=context.clock.now_milliseconds()
            ),
        )
        return json_response(body)

    return router


def _body(record: OperationRecord, *, step: LastStep | None, next_: Outlook) -> dict[str, Any]:
    body = OperationBody(
        operation_id=record.operation_id,
        kind=record.kind,
        state=record.state,
        attempts=record.attempts,
        step=StepBody(name=step.name, type=step.type, at=step.at) if step else None,
        next=NextBody(action=next_.action, at=next_.at),
        created_at=record.created_at,
        finished_at=record.finished_at,
        next_run_at=None if record.is_finished else record.next_run_at,
        result=dict(record.result) if record.result is not None else None,
    )
    return body.model_dump(mode="json")
