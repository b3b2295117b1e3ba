"""``POST /v1/auth/token``: OAuth2 client credentials with an API key (RFC 6749 sections 2.3.1 and 4.4).

The only route that takes a form: strictly parsed, no field twice. Refusals are problem documents with the
member ``error`` that OAuth clients read. Mounted where somebody keeps API keys and a key signs here.
"""

import base64
import binascii
from collections.abc import Mapping
from email.message import Message
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fintech_kernel.observability.context import note_principal
from fintech_kernel.security.grants import (
    ClientCredentials,
    GrantMalformed,
    GrantRefused,
    InvalidClient,
    InvalidScope,
    UnsupportedGrant,
)
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.problems import PROBLEM_JSON, fixed_problem, problem_response

PATH: Final = "/v1/auth/token"
PUBLIC: Final = ("issue_token",)
"""Operations that need no permission: it authenticates by itself."""

FORM: Final = "application/x-www-form-urlencoded"
FORM_BYTES_MAX: Final = 8_192
"""Longest body: every scope there is, with room to spare."""

FORM_FIELDS_MAX: Final = 16
"""Fields of a form. Unknown ones are ignored, as RFC 6749 section 3.2 wants it."""

CHALLENGE: Final = 'Basic realm="fintech", charset="UTF-8"'
"""How a client may authenticate (RFC 7617)."""

_GRANT_TYPE: Final = "client_credentials"
_BASIC: Final = "basic"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_ANSWER: Final[dict[str, Any]] = {
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6InNpZ18xIn0.e30.c2ln",
    "token_type": "Bearer",
    "expires_in": 900,
    "scope": "payments:create payments:read",
}
_FIELDS: Final[Mapping[str, Any]] = {
    "grant_type": {"type": "string", "enum": [_GRANT_TYPE]},
    "client_id": {"type": "string", "description": "the API key's id, unless sent as Basic"},
    "client_secret": {"type": "string", "description": "the API key, unless sent as Basic"},
    "scope": {"type": "string", "description": "permissions, a space between; default: all it has"},
}


class TokenAnswer(BaseModel):
    """A token, as RFC 6749 section 5.1 has it."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_ANSWER]})

    access_token: str
    token_type: str
    expires_in: int = Field(description="seconds")
    scope: str = Field(description="what it may do, a space between")


def _refusal(error: type[GrantRefused], description: str) -> dict[str, Any]:
    example = {
        **fixed_problem(error.status, error.code, error.title),
        "error": error.error,
        "instance": "/requests/req_01k9qq3v5kf7wsc0d3jz8y2m4t",
        "request_id": "req_01k9qq3v5kf7wsc0d3jz8y2m4t",
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {PROBLEM_JSON: {"schema": schema, "example": example}}
    return {"description": description, "content": content}


_DOCUMENTED: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": dict(_FIELDS),
                },
                "example": {"grant_type": _GRANT_TYPE, "scope": "payments:read"},
            }
        },
    },
    "responses": {
        "400": _refusal(
            InvalidScope, "invalid_request, unsupported_grant_type or invalid_scope: see `error`."
        ),
        "401": _refusal(InvalidClient, "There is no usable API key with this id and secret."),
    },
}


def token_router(credentials: ClientCredentials) -> APIRouter:
    """Return the route that grants tokens."""
    router = APIRouter(tags=["auth"])

    @router.post(
        PATH,
        summary="Get a token for an API key",
        response_model=TokenAnswer,
        openapi_extra=_DOCUMENTED,
    )
    async def issue_token(request: Request) -> Response:
        """Grant a short token for an API key: client credentials of OAuth2.

        Authenticate with HTTP Basic (the key's id and the key), or with the form's `client_id` and
        `client_secret`. `scope` narrows the token further.
        """
        try:
            form = await _form(request)
            client_id, secret = _client(request, form)
            grant = await credentials.grant(
                client_id=client_id, secret=secret, scopes=_scopes(form.get("scope"))
            )
        except GrantRefused as refused:
            return _refused(refused)
        note_principal(grant.actor.subject, grant.actor.merchant_id)
        body = TokenAnswer(
            access_token=grant.token,
            token_type="Bearer",  # noqa: S106 - a kind of token
            expires_in=grant.lifetime_seconds,
            scope=grant.scope,
        )
        return json_response(body.model_dump(), headers=_NO_STORE)

    return router


async def _form(request: Request) -> Mapping[str, str]:
    """Return the fields of the body that have a value; each may occur once."""
    if not _is_form(request.headers.getlist("content-type")):
        raise GrantMalformed(f"must be sent as {FORM}")
    raw = await request.body()
    if len(raw) > FORM_BYTES_MAX:
        raise GrantMalformed(f"must be at most {FORM_BYTES_MAX} bytes long")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )
    except ValueError:
        raise GrantMalformed("must be a well-formed form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise GrantMalformed("must not hold a field twice")
    grant_type = form.get("grant_type")
    if not grant_type:
        raise GrantMalformed("must have a grant_type")
    if grant_type != _GRANT_TYPE:
        raise UnsupportedGrant(UnsupportedGrant.code)
    return {name: value for name, value in form.items() if value}


def _is_form(values: list[str]) -> bool:
    message = Message()
    message["content-type"] = values[0] if len(values) == 1 else ""
    return message.get_content_type() == FORM


def _client(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Return id and secret, sent in one way and no more (RFC 6749 section 2.3)."""
    headers = request.headers.getlist("authorization")
    if not headers:
        if "client_id" not in form or "client_secret" not in form:
            raise InvalidClient(InvalidClient.code)
        return form["client_id"], form["client_secret"]
    if len(headers) > 1 or "client_secret" in form:
        raise GrantMalformed("must authenticate the client in one way")
    client_id, secret = _basic(headers[0])
    if form.get("client_id", client_id) != client_id:
        raise GrantMalformed("must name one client")
    return client_id, secret


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode("utf-8")
        client_id, separator, secret = text.partition(":")
        if scheme.lower() != _BASIC or not separator:
            raise InvalidClient(InvalidClient.code)
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError):
        raise InvalidClient(InvalidClient.code) from None


def _scopes(text: str | None) -> tuple[str, ...] | None:
    """Return the scopes that are asked for, each once; None where none is named."""
    if text is None:
        return None
    names = text.split(" ")
    if "" in names:
        raise InvalidScope(InvalidScope.code)
    return tuple(dict.fromkeys(names))


def _refused(refused: GrantRefused) -> Response:
    body = fixed_problem(refused.status, refused.code, refused.title) | {"error": refused.error}
    headers = dict(_NO_STORE)
    match refused:
        case InvalidClient():
            headers["WWW-Authenticate"] = CHALLENGE
        case GrantMalformed():
            body["errors"] = [{"pointer": "", "rule": refused.rule}]
        case _:
            pass
    return problem_response(refused.status, body, headers=headers)
