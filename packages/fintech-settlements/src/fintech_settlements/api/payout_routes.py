"""Routes of payouts: start one, say what became of it, take rails' callbacks."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_settlements.api.payout_schemas import (
    ConfirmationRequest,
    FailureRequest,
    PayoutCallbackTaken,
    ReturnRequest,
)
from fintech_settlements.api.schemas import SettlementBody, SettlementId
from fintech_settlements.domain.callbacks import PayoutCallbacks
from fintech_settlements.domain.payouts import Payouts
from fintech_settlements.domain.service import Settlements

PAY: Final = "settlements:pay"
CONFIRM: Final = "settlements:confirm"

PUBLIC: Final = ("receive_payout_callback",)

Idempotency = Annotated[IdempotentCall, Depends(idempotency)]
RailName = Annotated[
    str,
    Path(pattern=f"^{OBJECT_ID.pattern}$", description="name of the rail", examples=["sandbox"]),
]

_OPEN: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": SettlementBody, "description": "The outcome of the payout is open."}
}

_CALLBACK: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "what the rail sends, in its own form; taken as bytes",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"event_id": "evt_1017", "type": "payout.answered"},
            }
        },
    }
}


def build_payout_router(settlements: Settlements, payouts: Payouts) -> APIRouter:
    """Return the routes over the use cases of payouts."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post(
        "/{settlement_id}/pay",
        response_model=SettlementBody,
        responses=_OPEN,
        summary="Pay a settlement out",
    )
    async def pay_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(PAY))],
        call: Idempotency,
        settlement_id: SettlementId,
    ) -> Response:
        """Pay an approved settlement out, once; above a limit not by who approved it.

        A payout that the rail refuses makes the settlement `failed` and gives the money back as a line
        of the next. While the rail has not answered, the answer is 202, the settlement stays `paying`,
        and its `payout_outcome` is `open` until the rail, or people, say what became of it.
        """
        merchant_id = await settlements.merchant_of(actor, settlement_id)
        answer = await payouts.pay(settlement_id, merchant_id=merchant_id, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{settlement_id}/confirm",
        response_model=SettlementBody,
        summary="Confirm that a payout was done",
    )
    async def confirm_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(CONFIRM))],
        call: Idempotency,
        settlement_id: SettlementId,
        body: ConfirmationRequest,
    ) -> Response:
        """Take the bank's word for a payout whose outcome is open: manual ones, those of files."""
        merchant_id = await settlements.merchant_of(actor, settlement_id)
        answer = await payouts.confirm(
            settlement_id,
            bank_reference=body.bank_reference,
            merchant_id=merchant_id,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    @router.post(
        "/{settlement_id}/fail",
        response_model=SettlementBody,
        responses=_OPEN,
        summary="Give a payout up whose outcome is open",
    )
    async def fail_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(CONFIRM))],
        call: Idempotency,
        settlement_id: SettlementId,
        body: FailureRequest,
    ) -> Response:
        """Give a payout up: the rail is asked first, and its definite answer counts, whatever it is.

        Without one it takes two people. The first asks for it (202): nothing is sent to the rail from
        then on. From `failure_approvable_at` on somebody else may agree by the same call; then the
        settlement is `failed`, and its money a line of the next.
        """
        merchant_id = await settlements.merchant_of(actor, settlement_id)
        answer = await payouts.fail(
            settlement_id, reason=body.reason, merchant_id=merchant_id, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.post(
        "/{settlement_id}/return",
        response_model=SettlementBody,
        summary="Record that a payout came back",
    )
    async def return_settlement(
        request: Request,
        actor: Annotated[Actor, Depends(requires(CONFIRM))],
        call: Idempotency,
        settlement_id: SettlementId,
        body: ReturnRequest,
    ) -> Response:
        """Record that what was paid came back to our bank account: it is a line of the next settlement."""
        merchant_id = await settlements.merchant_of(actor, settlement_id)
        answer = await payouts.record_return(
            settlement_id,
            return_code=body.return_code,
            reference=body.bank_reference,
            merchant_id=merchant_id,
            actor=actor,
            call=call,
        )
        return answer_response(request, answer)

    return router


def build_callback_router(callbacks: PayoutCallbacks) -> APIRouter:
    """Return the route that rails call. It needs no token: their signature is the credential."""
    router = APIRouter()

    @router.post(
        "/{rail}",
        summary="Take a payout rail's callback",
        response_model=PayoutCallbackTaken,
        openapi_extra=_CALLBACK,
    )
    async def receive_payout_callback(request: Request, rail: RailName) -> Response:
        """Learn a final answer, or that a payout came back; 503 asks the rail to send it again."""
        body = await request.body()
        await callbacks.receive(rail, headers=request.headers, body=body)
        return json_response({"received": True})

    return router
