"""``/v1/auth``: who am I, what is revoked; and the public keys at ``/.well-known/jwks.json``.

Tokens for API keys are granted in ``token_grants``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ROLES,
    PLATFORM_ADMIN,
    PLATFORM_ROLES,
    READ_PRINCIPAL,
)
from fintech_kernel.domain.revocations import REVOKE, Revocation, RevocationKind, run_revoke
from fintech_kernel.hooks import OperationHandler, Permission, Presented
from fintech_kernel.web.answers import answer_response, json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.context import context_of
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.problems import json_bytes
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.strict_json import StrictJsonRoute

JWKS_PATH: Final = "/.well-known/jwks.json"
JWKS_MAX_AGE_SECONDS: Final = 300
"""How long others may keep our public keys. A new key signs later than this after its publication."""

REASON_CHARACTERS_MAX: Final = 200
VALUE_CHARACTERS_MAX: Final = 128

READ_REVOCATIONS: Final = "credentials:read"
REVOKE_CREDENTIALS: Final = "credentials:revoke"
PERMISSIONS: Final = (
    Permission(
        name=READ_PRINCIPAL,
        summary="See who one is",
        roles=tuple(sorted(PLATFORM_ROLES | MERCHANT_ROLES)),
    ),
    Permission(
        name=REVOKE_CREDENTIALS,
        summary="Revoke signing keys, principals and tokens",
        roles=(PLATFORM_ADMIN,),
    ),
    Permission(
        name=READ_REVOCATIONS, summary="See what is revoked", roles=(AUDITOR, PLATFORM_ADMIN)
    ),
)
PUBLIC: Final = ("get_jwks",)
"""Operations that need no permission: public keys are public."""

TAG: Final = {"name": "auth", "description": "Tokens, who one is, and what is revoked."}

_PRINCIPAL: Final[dict[str, Any]] = {
    "subject": "key:key_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "roles": ["merchant_admin"],
    "scopes": ["payments:read"],
    "permissions": ["payments:read", READ_PRINCIPAL],
}
_REVOCATION: Final[dict[str, Any]] = {
    "revocation_id": "rev_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "kind": "principal",
    "value": "ann@example.com",
    "reason": "left the company",
    "revoked_at": 1760000000000,
}
_JWKS: Final[dict[str, Any]] = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "alg": "EdDSA",
            "kid": "sig_01k9qq3v5kf7wsc0d3jz8y2m4t",
            "use": "sig",
        }
    ]
}
_JWKS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
    "required": ["keys"],
}


def _example(value: object) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [value]})  # pyright: ignore[reportArgumentType] - JSON


class PrincipalShown(BaseModel):
    """The principal of this request, as of now."""

    model_config = _example(_PRINCIPAL)

    subject: str
    merchant_id: str | None = Field(description="null for the platform's staff")
    roles: list[str]
    scopes: list[str] | None = Field(description="what the roles are narrowed to; null: to nothing")
    permissions: list[str] = Field(description="what it may do")


class RevocationBody(StrictModel):
    """What to revoke."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{name: _REVOCATION[name] for name in ("kind", "value", "reason")}]
        }
    )

    kind: Annotated[RevocationKind, Field(strict=False)]
    value: Annotated[
        str,
        StringConstraints(pattern=rf"^[\x21-\x7e]{{1,{VALUE_CHARACTERS_MAX}}}$"),
        Field(description="the `kid`, the `sub` or the `jti`"),
    ]
    reason: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=REASON_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"
        ),
    ]


class RevocationShown(BaseModel):
    """What is revoked."""

    model_config = _example(_REVOCATION)

    revocation_id: str
    kind: RevocationKind
    value: str
    reason: str
    revoked_at: int = Field(
        description="UTC milliseconds; a principal's tokens issued up to this second are refused"
    )


class RevocationsShown(BaseModel):
    """A page of what is revoked."""

    model_config = _example({"data": [_REVOCATION], "next_cursor": None})

    data: list[RevocationShown]
    next_cursor: str | None


class JwkSet(Response):
    """A JWK set (RFC 7517 section 8.5)."""

    media_type = "application/jwk-set+json"


Revoker = Annotated[Actor, Depends(requires(REVOKE_CREDENTIALS))]
Reader = Annotated[Actor, Depends(requires(READ_REVOCATIONS))]


def present_revocation(result: Mapping[str, Any]) -> Presented:
    """Show a revocation that stands."""
    return Presented(status=201, body=result)


OPERATIONS: Final = (
    OperationHandler(name=REVOKE, version=1, run=run_revoke, present=present_revocation),
)
"""The kernel's own kinds of operations."""


def auth_router() -> APIRouter:
    """Return the routes of principals and revocations."""
    router = APIRouter(prefix="/v1/auth", tags=["auth"], route_class=StrictJsonRoute)

    @router.get("/principal", summary="Who am I", response_model=PrincipalShown)
    async def get_principal(
        request: Request, actor: Annotated[Actor, Depends(requires(READ_PRINCIPAL))]
    ) -> Response:
        """Return the principal of the token, and what it may do now."""
        return json_response(
            {
                "subject": actor.subject,
                "merchant_id": None if actor.is_platform else actor.merchant_id,
                "roles": list(actor.roles),
                "scopes": None if actor.scopes is None else list(actor.scopes),
                "permissions": list(context_of(request).permissions.of_actor(actor)),
            }
        )

    @router.post(
        "/revocations",
        summary="Revoke a key, a principal or a token",
        status_code=201,
        response_model=RevocationShown,
    )
    async def create_revocation(
        request: Request,
        body: RevocationBody,
        actor: Revoker,
        call: Annotated[IdempotentCall, Depends(idempotency)],
    ) -> Response:
        """Revoke by `kid`, `sub` or `jti`; in force for every request that starts after the answer.

        A principal's tokens are refused that were issued up to this second; it may get new ones. One may
        revoke oneself.
        """
        answer = await context_of(request).revocations.revoke(
            body.kind, body.value, body.reason, actor=actor, call=call
        )
        return answer_response(request, answer)

    @router.get("/revocations", summary="List what is revoked", response_model=RevocationsShown)
    async def list_revocations(
        request: Request,
        actor: Reader,
        page: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return what is revoked, the latest first."""
        del actor  # whoever may read them sees all
        before = str(page.after[0]) if page.after else None
        found = await context_of(request).revocations.page(before=before, limit=page.limit)
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].revocation_id,)) if is_full else None
        return json_response(page_body([_shown(one) for one in found], cursor))

    return router


def jwks_router() -> APIRouter:
    """Return the route of the public keys. Its path is the one that clients look for, without a version."""
    router = APIRouter(tags=["auth"])

    @router.get(
        JWKS_PATH,
        summary="The public keys of tokens",
        response_class=JwkSet,
        responses={
            200: {"content": {JwkSet.media_type: {"schema": _JWKS_SCHEMA, "example": _JWKS}}}
        },
    )
    async def get_jwks(request: Request) -> Response:
        """Return the keys that tokens can be verified with; empty where keys are shared secrets."""
        context = context_of(request)
        now = context.clock.now_milliseconds() // MILLISECONDS_PER_SECOND
        return JwkSet(
            json_bytes({"keys": context.token_keys.published(now)}),
            headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_SECONDS}"},
        )

    return router


def _shown(revocation: Revocation) -> dict[str, str | int]:
    return revocation.to_json()
