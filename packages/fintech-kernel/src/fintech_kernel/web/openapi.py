"""The OpenAPI document: FastAPI's, completed by what the kernel knows of every operation.

Operation ids are the names of the functions, so that clients generated from the document stay stable.
Every operation lists the problems that it can answer, by what it needs; its permission stands in
``x-permission``.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext

from fintech_kernel.errors import (
    FintechError,
    Forbidden,
    IdempotencyKeyMissing,
    InvalidRequest,
    NotFound,
    OperationRunning,
    OutcomeUnknown,
    StartupFault,
    Unauthenticated,
)
from fintech_kernel.web import token_grants
from fintech_kernel.web.authentication import permissions_required
from fintech_kernel.web.errors import BodyTooLarge, RateLimited, UnsupportedMediaType
from fintech_kernel.web.idempotency import KEY_CHARACTERS_MAX, KEY_PATTERN
from fintech_kernel.web.problems import PROBLEM_JSON, Problem, fixed_problem
from fintech_kernel.web.route_rules import is_idempotent, operations_of

OPENAPI_VERSION: Final = "3.1.0"

_BEARER: Final = "bearer"
_OAUTH2: Final = "oauth2"
_SCHEMA_REF: Final = "#/components/schemas/Problem"
_RESPONSE_REF: Final = "#/components/responses/"
_REQUEST_ID: Final = "req_01k9qq3v5kf7wsc0d3jz8y2m4t"

_PROBLEMS: Final[Mapping[str, tuple[str, str, type[FintechError]]]] = {
    "400": ("BadRequest", "The header or the body is malformed.", IdempotencyKeyMissing),
    "401": ("Unauthenticated", "There is no valid token.", Unauthenticated),
    "403": ("Forbidden", "The principal lacks the permission.", Forbidden),
    "404": ("NotFound", "Absent, or not the caller's.", NotFound),
    "409": ("Conflict", "Still running, or refused by the state of things.", OperationRunning),
    "413": ("BodyTooLarge", "The body is too large.", BodyTooLarge),
    "415": ("UnsupportedMediaType", "The body is no JSON.", UnsupportedMediaType),
    "422": ("Unprocessable", "The request breaks a rule.", InvalidRequest),
    "429": ("RateLimited", "A quota is used up; Retry-After says when to come back.", RateLimited),
    "503": ("Unavailable", "Not now; repeat with the same Idempotency-Key.", OutcomeUnknown),
    "default": ("AnyProblem", "Any other problem.", FintechError),
}

_IDEMPOTENCY_PARAMETER: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "names this attempt; a repeat with the same key and body gets the same answer",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 2 * KEY_CHARACTERS_MAX + 2,
        "pattern": KEY_PATTERN,
    },
    "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
}


def install_openapi(app: FastAPI) -> None:
    """Make ``app.openapi()`` return the completed document; it is built once, when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi_document(app)
        return app.openapi_schema

    app.openapi = document


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the document.

    Raises:
        StartupFault: two operations share an id.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=OPENAPI_VERSION,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        license_info=app.license_info,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"], nested = _problem_schemas()
    schemas.update(nested)
    components["responses"] = dict(_problem_responses())
    schemes = _security_schemes(app)
    components["securitySchemes"] = schemes
    seen: dict[str, str] = {}
    for route in operations_of(app):
        if not route.include_in_schema:
            continue
        name = str(route.name)
        if name in seen:
            raise StartupFault([f"operation id {name!r} of {route.path} is also of {seen[name]}"])
        seen[name] = str(route.path)
        for method in sorted(route.methods or ()):
            operation = document["paths"][route.path_format][method.lower()]
            _complete(operation, route, name, schemes)
    return document


def openapi_faults(document: Mapping[str, Any]) -> list[str]:
    """Return what a document lacks, one line each: for tests of packages and of the whole server."""
    faults: list[str] = []
    seen: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            label = f"{method.upper()} {path}"
            faults += [f"{label}: {fault}" for fault in _operation_faults(operation, document)]
            operation_id = operation.get("operationId", "")
            if operation_id in seen:
                faults.append(f"{label}: operation id {operation_id!r} occurs twice")
            seen.add(operation_id)
    return faults


def _security_schemes(app: FastAPI) -> dict[str, Any]:
    """Return the ways to authenticate: with a token, or by getting one where they are granted."""
    schemes: dict[str, Any] = {
        _BEARER: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "an access token, or an API key",
        }
    }
    if any(route.name in token_grants.PUBLIC for route in operations_of(app)):
        declared = app.state.context.permissions.declarations()
        scopes = {permission.name: permission.summary for permission in declared}
        flow = {"tokenUrl": token_grants.PATH, "scopes": scopes}
        schemes[_OAUTH2] = {"type": "oauth2", "flows": {"clientCredentials": flow}}
    return schemes


def _complete(
    operation: dict[str, Any], route: RouteContext, name: str, schemes: Collection[str]
) -> None:
    operation["operationId"] = name
    required = permissions_required(route.dependant)
    idempotent = is_idempotent(route.dependant)
    if required:
        operation["security"] = [
            {scheme: list(required) if scheme == _OAUTH2 else []} for scheme in schemes
        ]
        operation["x-permission"] = required[0] if len(required) == 1 else list(required)
    if idempotent:
        operation.setdefault("parameters", []).append(dict(_IDEMPOTENCY_PARAMETER))
    responses: dict[str, Any] = operation.setdefault("responses", {})
    if _is_framework_validation(responses.get("422")):
        del responses["422"]
    for status in _statuses(operation, permission=bool(required), idempotent=idempotent):
        responses.setdefault(status, {"$ref": _RESPONSE_REF + _PROBLEMS[status][0]})


def _is_framework_validation(response: Mapping[str, Any] | None) -> bool:
    return response is not None and "HTTPValidationError" in str(response)


def _statuses(operation: Mapping[str, Any], *, permission: bool, idempotent: bool) -> Iterator[str]:
    parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
    if permission:
        yield from ("401", "403", "429")
    if any(parameter["in"] == "path" for parameter in parameters):
        yield "404"
    if "requestBody" in operation:
        yield from ("400", "413", "415", "422")
    if idempotent:
        yield from ("400", "409", "422", "503")
    if parameters:
        yield "422"
    yield "default"


def _problem_schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return schema, schema.pop("$defs", {})


def _problem_responses() -> Iterator[tuple[str, dict[str, Any]]]:
    for status, (name, description, error) in _PROBLEMS.items():
        example = {
            **fixed_problem(500 if status == "default" else int(status), error.code, error.title),
            "instance": f"/requests/{_REQUEST_ID}",
            "request_id": _REQUEST_ID,
        }
        content = {PROBLEM_JSON: {"schema": {"$ref": _SCHEMA_REF}, "example": example}}
        yield name, {"description": description, "content": content}


def _operation_faults(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    for needed in ("summary", "tags", "operationId"):
        if not operation.get(needed):
            yield f"has no {needed}"
    if "requestBody" in operation:
        yield from _content_faults(operation["requestBody"], document, "request body")
    responses: Mapping[str, Any] = operation.get("responses", {})
    for status, response in responses.items():
        if status.startswith("2"):
            yield from _content_faults(response, document, f"response {status}")
        elif status != "default" and PROBLEM_JSON not in _resolved(response, document)["content"]:
            yield f"response {status} is no problem document"
    if "default" not in responses:
        yield "has no default problem response"
    if "security" in operation and not {"401", "403"} <= responses.keys():
        yield "requires a permission and has no response 401 or 403"


def _content_faults(
    holder: Mapping[str, Any], document: Mapping[str, Any], label: str
) -> Iterator[str]:
    for media_type, content in holder.get("content", {}).items():
        schema = _resolved(content.get("schema", {}), document)
        if not any(name in part for part in (content, schema) for name in ("example", "examples")):
            yield f"{label} has no example of {media_type}"


def _resolved(part: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part
