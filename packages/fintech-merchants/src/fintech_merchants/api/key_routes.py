"""The routes of API keys. They translate; what a key may become is the model's business."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.web.answers import answer_response, json_response, presented_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.schemas import ObjectIdPath
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import Response

from fintech_merchants.api.key_schemas import (
    ApiKeyScopesBody,
    ApiKeyShown,
    ApiKeysShown,
    CreateApiKeyBody,
    IssuedApiKeyShown,
    RevokeApiKeyBody,
    RotateApiKeyBody,
    UsedApiKeyShown,
    present_issued,
    with_secret,
)
from fintech_merchants.domain.key_service import ApiKeys, Issued
from fintech_merchants.domain.keys import KeyStatus

MANAGE: Final = "api_keys:manage"
READ: Final = "api_keys:read"

Call = Annotated[IdempotentCall, Depends(idempotency)]


def build_router(keys: ApiKeys) -> APIRouter:
    """Return the routes over the use cases of API keys."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("", summary="Issue an API key", status_code=201, response_model=IssuedApiKeyShown)
    async def create_api_key(
        request: Request,
        merchant_id: ObjectIdPath,
        body: CreateApiKeyBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Issue a key with some scopes. Its secret is in this answer and in no other.

        Scopes are permissions of `merchant_admin`; a caller with scopes of its own gives no others.
        """
        issued = await keys.create(merchant_id, body.to_new_key(), actor=actor, call=call)
        return _issued_response(request, issued)

    @router.get("", summary="List API keys", response_model=ApiKeysShown)
    async def list_api_keys(
        merchant_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
        page: Annotated[Page, Depends(page)],
        status: KeyStatus | None = None,
    ) -> Response:
        """Return a merchant's keys newest first, without their secrets."""
        before = str(page.after[0]) if page.after else None
        found = await keys.page(
            merchant_id, actor=actor, status=status, before=before, limit=page.limit
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1]["key_id"],)) if is_full else None
        return json_response(page_body(found, cursor))

    @router.get("/{key_id}", summary="Get an API key", response_model=UsedApiKeyShown)
    async def get_api_key(
        merchant_id: ObjectIdPath,
        key_id: ObjectIdPath,
        actor: Annotated[Actor, Depends(requires(READ))],
    ) -> Response:
        """Return a key as it is in force now, without its secret."""
        return json_response(await keys.get(merchant_id, key_id, actor=actor))

    @router.post(
        "/{key_id}/rotate",
        summary="Rotate an API key",
        status_code=201,
        response_model=IssuedApiKeyShown,
    )
    async def rotate_api_key(
        request: Request,
        merchant_id: ObjectIdPath,
        key_id: ObjectIdPath,
        *,
        body: RotateApiKeyBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Issue a key that replaces this one, with its name, scopes and end; this one works on for a while.

        The new secret is in this answer and in no other.
        """
        issued = await keys.rotate(
            merchant_id, key_id, overlap_seconds=body.overlap_seconds, actor=actor, call=call
        )
        return _issued_response(request, issued)

    @router.post("/{key_id}/revoke", summary="Revoke an API key", response_model=ApiKeyShown)
    async def revoke_api_key(
        request: Request,
        merchant_id: ObjectIdPath,
        key_id: ObjectIdPath,
        *,
        body: RevokeApiKeyBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """End a key, for ever: no request that starts after this answer is let in with it."""
        answer = await keys.revoke(merchant_id, key_id, body.reason, actor=actor, call=call)
        return answer_response(request, answer)

    @router.post(
        "/{key_id}/scopes", summary="Replace an API key's scopes", response_model=ApiKeyShown
    )
    async def set_api_key_scopes(
        request: Request,
        merchant_id: ObjectIdPath,
        key_id: ObjectIdPath,
        *,
        body: ApiKeyScopesBody,
        actor: Annotated[Actor, Depends(requires(MANAGE))],
        call: Call,
    ) -> Response:
        """Replace what a key may do, for every request that starts after this answer."""
        answer = await keys.rescope(merchant_id, key_id, body.scopes, actor=actor, call=call)
        return answer_response(request, answer)

    return router


def _issued_response(request: Request, issued: Issued) -> Response:
    """Return the answer, with the secret where this very request made the key."""
    if issued.secret is None:
        return answer_response(request, issued.answer)
    presented = with_secret(present_issued(issued.answer.result), issued.secret)
    return presented_response(presented, replayed=issued.answer.replayed)
