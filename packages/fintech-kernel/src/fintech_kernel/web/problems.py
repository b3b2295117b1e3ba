"""Problem documents (RFC 9457): the one form of every answer that is not a success.

Texts are fixed; nothing of a request's values, of an exception's message, of SQL or of a path enters
one. ``type`` is ``/problems/<code>`` and ``instance`` ``/requests/<request id>``: identifiers, relative
to the API, explained in ``docs/errors.md`` under the code. Programs read ``code``.
"""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fintech_dbclient.errors import DatabaseError, NotApplied
from fintech_dbclient.errors import OutcomeUnknown as StatementOutcomeUnknown
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fintech_kernel.canonical import Json
from fintech_kernel.contracts.processors import CallbackRejected
from fintech_kernel.errors import (
    FintechError,
    Forbidden,
    IdempotencyKeyExpired,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidRequest,
    InvariantBroken,
    NotFound,
    OperationRunning,
    OtherVersion,
    OutcomeUnknown,
    Refusal,
    RequestRefused,
    TryAgainLater,
    Unauthenticated,
)
from fintech_kernel.hooks import ErrorMapping
from fintech_kernel.observability.context import (
    current_request_id,
    note_operation,
    note_problem,
)
from fintech_kernel.security.grants import InvalidClient, InvalidScope, UnsupportedGrant
from fintech_kernel.web.errors import (
    DeadlineExceeded,
    FormRefused,
    MalformedJson,
    Overloaded,
    RateLimited,
)
from fintech_kernel.web.templates import methods_of_path
from fintech_kernel.web.validation import Violation, violations_of

PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 1
DATABASE_UNAVAILABLE: Final = "database_unavailable"
INTERNAL_ERROR: Final = FintechError.code

REFUSAL_STATUS: Final = 409
"""A refusal whose plugin maps it to no status: the request conflicts with the state of things."""

KERNEL_MAPPINGS: Final = tuple(
    ErrorMapping(name=error.code, error=error, status=status)
    for error, status in (
        (Unauthenticated, 401),
        (CallbackRejected, 401),
        (Forbidden, 403),
        (NotFound, 404),
        (InvalidRequest, 422),
        (IdempotencyKeyMissing, 400),
        (IdempotencyKeyReused, 422),
        (IdempotencyKeyExpired, 422),
        (OperationRunning, 409),
        (OtherVersion, 503),
        (OutcomeUnknown, 503),
        (TryAgainLater, 503),
        (Refusal, REFUSAL_STATUS),
        (RequestRefused, 422),
        (InvariantBroken, 500),
        (FintechError, 500),
        *((form, form.status) for form in FormRefused.__subclasses__()),
        *((grant, grant.status) for grant in (InvalidClient, InvalidScope, UnsupportedGrant)),
        (RateLimited, RateLimited.status),
        (Overloaded, Overloaded.status),
    )
)
"""The kernel's own errors. Plugins add theirs through ``fintech_errors``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProblem:
    """A problem that can be answered: ``when`` it is, and what its receiver does next."""

    code: str
    status: int
    title: str
    when: str
    remedy: str

    @classmethod
    def of(cls, mapping: ErrorMapping) -> "KnownProblem":
        """Return what an error class says of itself; its docstring begins with when it happens."""
        error = mapping.error
        when = (inspect.getdoc(error) or "").partition("\n\n")[0]
        return cls(
            code=error.code,
            status=mapping.status,
            title=error.title,
            when=" ".join(when.split()),
            remedy=error.remedy,
        )


_METHOD_NOT_ALLOWED: Final = 405

_BAD_REQUEST: Final = KnownProblem(
    code="bad_request",
    status=400,
    title="The request is not understood.",
    when="The framework cannot read the request.",
    remedy="Compare the request with the API's document.",
)
_NO_SUCH_METHOD: Final = KnownProblem(
    code="method_not_allowed",
    status=_METHOD_NOT_ALLOWED,
    title="This resource does not take this method.",
    when="The path exists, for other methods.",
    remedy="Use one of the methods that the Allow header lists.",
)
_NOT_ACCEPTABLE: Final = KnownProblem(
    code="not_acceptable",
    status=406,
    title="No representation fits the Accept header.",
    when="The Accept header asks for a form that this resource does not have.",
    remedy="Ask for application/json, or for a form that the API's document lists.",
)
_OTHER_STATUS: Final = KnownProblem(
    code="http_error",
    status=400,
    title="The request was refused.",
    when="The framework refused the request with another status, which the answer bears.",
    remedy="Read the status (RFC 9110).",
)
_DATABASE_UNAVAILABLE: Final = KnownProblem(
    code=DATABASE_UNAVAILABLE,
    status=503,
    title="The database cannot be reached right now. Nothing was recorded.",
    when="The database was not reached, or a read was not answered.",
    remedy="Wait as long as Retry-After says and repeat the request with the same Idempotency-Key.",
)
NOT_READY: Final = KnownProblem(
    code="not_ready",
    status=503,
    title="The server cannot serve right now.",
    when="A critical health check fails: facts name it.",
    remedy="Send requests to another server; repair what the check names.",
)

_WITHOUT_CLASS: Final = (
    _BAD_REQUEST,
    _NO_SUCH_METHOD,
    _NOT_ACCEPTABLE,
    _OTHER_STATUS,
    _DATABASE_UNAVAILABLE,
    NOT_READY,
)
"""Problems that no error of ours stands for."""

_STATUS_CODES: Final = {
    400: (_BAD_REQUEST.code, _BAD_REQUEST.title),
    404: (NotFound.code, NotFound.title),
    _METHOD_NOT_ALLOWED: (_NO_SUCH_METHOD.code, _NO_SUCH_METHOD.title),
    406: (_NOT_ACCEPTABLE.code, _NOT_ACCEPTABLE.title),
    413: ("body_too_large", "The body is too large."),
    415: ("unsupported_media_type", "Send the body as application/json in UTF-8, not compressed."),
    422: (InvalidRequest.code, InvalidRequest.title),
}

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
"""They ask for nothing whose outcome could be unknown, and have no key to repeat."""


class ProblemError(BaseModel):
    """One rule that the request breaks, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pointer: str = Field(description="RFC 6901 pointer to the part", examples=["/amount"])
    rule: str = Field(description="the rule, fixed text", examples=["must be an integer"])


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/not_found",
                    "title": NotFound.title,
                    "status": 404,
                    "detail": NotFound.title,
                    "instance": "/requests/req_01k9qq3v5kf7wsc0d3jz8y2m4t",
                    "code": NotFound.code,
                    "request_id": "req_01k9qq3v5kf7wsc0d3jz8y2m4t",
                }
            ]
        },
    )

    type: str = Field(description="`/problems/<code>`; docs/errors.md explains each code")
    title: str = Field(description="what happened, fixed text")
    status: int = Field(description="the HTTP status", ge=400, le=599)
    detail: str = Field(description="what happened, fixed text")
    instance: str = Field(description="`/requests/<request_id>`")
    code: str = Field(description="stable, for programs")
    request_id: str = Field(description="quote it when you ask for help")
    errors: list[ProblemError] = Field(
        default_factory=list[ProblemError], description="the rules that the request breaks"
    )
    facts: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="ids and amounts that explain a refusal"
    )
    operation_id: str | None = Field(
        default=None, description="the operation, whose state can be read"
    )
    error: str | None = Field(
        default=None, description="the word of RFC 6749 for it, where a token was asked for"
    )


class ProblemCatalog:
    """Every problem that can be answered, by its code."""

    def __init__(self, mappings: Sequence[ErrorMapping]) -> None:
        """Take the plugins' mappings, beside the kernel's own."""
        known = [*_WITHOUT_CLASS, *map(KnownProblem.of, (*KERNEL_MAPPINGS, *mappings))]
        self._entries = {one.code: one for one in known}

    def present(self, code: str, facts: Mapping[str, Json]) -> tuple[int, dict[str, Json]]:
        """Return status and body of a problem, without what differs from request to request.

        A recorded refusal is shown from its code and facts alone, so that its first answer and every
        replay are the same. A code that nobody maps any more is still a refusal.
        """
        known = self._entries.get(code, self._entries[Refusal.code])
        status = known.status
        body = fixed_problem(status, code, known.title)
        if facts:
            body["facts"] = dict(facts)
        return status, body

    def code_of(self, error: FintechError) -> str:
        """Return the code that an error is answered with: its own, or its nearest mapped class's."""
        if isinstance(error, Refusal) or error.code in self._entries:
            return error.code
        bases = (base for base in type(error).__mro__ if issubclass(base, FintechError))
        return next(base.code for base in bases if base.code in self._entries)

    def entries(self) -> tuple[KnownProblem, ...]:
        """Return every problem, sorted by code."""
        return tuple(self._entries[code] for code in sorted(self._entries))


class ProblemHandlers:
    """Turns exceptions into problem documents. What it does not know is the last resort's."""

    def __init__(self, mappings: Sequence[ErrorMapping]) -> None:
        """Take the plugins' mappings."""
        self.catalog: Final = ProblemCatalog(mappings)

    def install(self, app: FastAPI) -> None:
        """Register with an application."""
        app.add_exception_handler(FintechError, self.of_error)
        app.add_exception_handler(DatabaseError, self.of_database)
        app.add_exception_handler(RequestValidationError, self.of_validation)
        app.add_exception_handler(HTTPException, self.of_status)

    async def of(self, request: Request, error: Exception) -> Response:
        """Answer any error that ``install`` registers for, where no application does it.

        Raises:
            Exception: the error itself, where it is another one or ours to repair.
        """
        match error:
            case FintechError():
                return await self.of_error(request, error)
            case DatabaseError():
                return await self.of_database(request, error)
            case RequestValidationError():
                return await self.of_validation(request, error)
            case HTTPException():
                return await self.of_status(request, error)
            case _:
                raise error

    async def of_error(self, _request: Request, error: Exception) -> Response:
        """Answer an error of the kernel or of a plugin.

        Raises:
            Exception: it is ours to repair (a broken invariant): the last resort logs and answers.
        """
        assert isinstance(error, FintechError)  # noqa: S101 - registered for this class
        facts = dict(error.facts) if isinstance(error, Refusal) else {}
        status, body = self.catalog.present(self.catalog.code_of(error), facts)
        if status >= 500 and not isinstance(error, TryAgainLater | DeadlineExceeded):  # noqa: PLR2004 - server errors
            raise error
        headers: dict[str, str] = {}
        match error:
            case Unauthenticated():
                headers["WWW-Authenticate"] = "Bearer"
            case InvalidRequest():
                body["errors"] = [{"pointer": error.pointer, "rule": error.rule}]
                status = 400 if error.pointer.startswith("/headers/") else status
                body["status"] = status
            case MalformedJson():
                body["errors"] = [{"pointer": "", "rule": error.rule}]
            case IdempotencyKeyExpired():
                body["operation_id"] = error.operation_id
            case TryAgainLater():
                headers["Retry-After"] = str(error.retry_after_seconds)
                if error.operation_id:
                    note_operation(error.operation_id)
                    body["operation_id"] = error.operation_id
            case _:
                pass
        return problem_response(status, body, headers=headers)

    async def of_database(self, request: Request, error: Exception) -> Response:
        """Answer a database that cannot be reached, or that did not say what happened.

        Raises:
            Exception: a statement that failed unforeseen: the last resort logs and answers.
        """
        unknown = isinstance(error, StatementOutcomeUnknown)
        if isinstance(error, NotApplied) or (unknown and request.method in _SAFE_METHODS):
            code = DATABASE_UNAVAILABLE
        elif unknown:
            code = OutcomeUnknown.code
        else:
            raise error
        status, body = self.catalog.present(code, {})
        return problem_response(status, body, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})

    async def of_validation(self, _request: Request, error: Exception) -> Response:
        """Answer a request that breaks its schema: where and which rule, never the value."""
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
        return violations_response(violations_of(error.errors()))

    async def of_status(self, request: Request, error: Exception) -> Response:
        """Answer what the framework itself refuses (404, 405, ...)."""
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
        code, title = _STATUS_CODES.get(
            error.status_code, (_OTHER_STATUS.code, _OTHER_STATUS.title)
        )
        headers: dict[str, str] = {}
        if error.status_code == _METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(methods_of_path(request))
        return problem_response(
            error.status_code, fixed_problem(error.status_code, code, title), headers=headers
        )


def fixed_problem(status: int, code: str, title: str) -> dict[str, Json]:
    """Return the body of a problem that is in no catalog, without what differs per request."""
    return {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": title,
        "code": code,
    }


def violations_response(violations: Sequence[Violation]) -> Response:
    """Return the 422 (400 where a header is at fault) that lists broken rules."""
    in_headers = all(violation.pointer.startswith("/headers/") for violation in violations)
    status = 400 if violations and in_headers else 422
    body = fixed_problem(status, InvalidRequest.code, InvalidRequest.title)
    body["errors"] = [{"pointer": found.pointer, "rule": found.rule} for found in violations]
    return problem_response(status, body)


def problem_response(
    status: int, body: Mapping[str, Json], *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a problem document as an answer, with the id of the request at hand."""
    note_problem(str(body["code"]))
    request_id = current_request_id()
    whole = {**body, "instance": f"/requests/{request_id}", "request_id": request_id}
    return Response(
        json_bytes(whole), status_code=status, media_type=PROBLEM_JSON, headers=dict(headers or {})
    )


def json_bytes(value: object) -> bytes:
    """Return a value as compact JSON in UTF-8."""
    try:
        return orjson.dumps(value)
    except TypeError:  # keys that are no text, a lone surrogate: said, or refused, as Python does
        pass
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
