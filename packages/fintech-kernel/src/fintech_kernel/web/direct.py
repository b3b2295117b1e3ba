"""Strict JSON routes, reached and solved as was decided at start.

FastAPI finds a route by asking those before it, opens three exit stacks, and walks the route's
dependencies anew for every request: 900 calls of Python, a third of a payment's. What they come to never
changes. So routes are looked up by their paths here, and what their functions take is a plan. FastAPI
stays what declares, validates and documents them, and serves whatever has no plan: other classes of
routes, dependencies that are not ``async`` or that ``yield``, answers that are no ``Response``.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import FastAPI, params
from fastapi._compat import Undefined
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fintech_kernel.web.problems import ProblemHandlers
from fintech_kernel.web.strict_json import Handle, StrictJsonRequest, StrictJsonRoute, strictly

_PREFIX_SEGMENTS: Final = 3
"""``/v1/payments``: routes are grouped by so much of their paths."""


class DirectRoutes:
    """ASGI middleware, innermost: serves routes that have a plan, and passes everything else on."""

    def __init__(self, app: ASGIApp, *, routes: FastAPI, problems: ProblemHandlers) -> None:
        self._app = app
        self._overrides = routes.dependency_overrides
        self._problems = problems
        self._routes: dict[tuple[str, str], list[_Route]] = {}
        for context in iter_route_contexts(routes.routes):
            for method in context.methods or ():
                group = self._routes.setdefault((method, _prefix(str(context.path))), [])
                group.append(_Route.of(context))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        handle = self._handle_of(scope) if scope["type"] == "http" else None
        if handle is None:
            await self._app(scope, receive, send)
            return
        request = StrictJsonRequest(scope, receive)
        try:
            response = await handle(request)
        except Exception as error:  # noqa: BLE001 - what is no problem of ours is raised again
            response = await self._problems.of(request, error)
        await response(scope, receive, send)

    def _handle_of(self, scope: Scope) -> Handle | None:
        """Return what serves a request, with the route's traces in its scope; None where FastAPI does."""
        if scope.get("root_path") or self._overrides:
            return None
        path: str = scope["path"]
        for route in self._routes.get((scope["method"], _prefix(path)), ()):
            parameters = route.parameters(path)
            if parameters is None:
                continue
            if route.handle is not None:
                scope["endpoint"] = route.endpoint
                scope["path_params"] = parameters
            return route.handle
        return None


@dataclass(frozen=True, slots=True)
class _Route:
    """A route; without a plan it has nothing to handle requests with."""

    endpoint: Callable[..., Any]
    path: str
    pattern: re.Pattern[str]
    convertors: Mapping[str, Any]
    handle: Handle | None

    @classmethod
    def of(cls, context: RouteContext) -> "_Route":
        """Return a route of an application, with its whole path."""
        return cls(
            endpoint=cast("Callable[..., Any]", context.endpoint),
            path=str(context.path),
            pattern=context.path_regex,
            convertors=context.param_convertors,
            handle=_handle(context),
        )

    def parameters(self, path: str) -> dict[str, Any] | None:
        """Return what a path says; None where it is not this route's."""
        if path == self.path:
            return {}
        if not self.convertors:
            return None
        found = self.pattern.match(path)
        if found is None:
            return None
        convertors = self.convertors
        return {name: convertors[name].convert(text) for name, text in found.groupdict().items()}


def _prefix(path: str) -> str:
    return "/".join(path.split("/", _PREFIX_SEGMENTS)[:_PREFIX_SEGMENTS])


# ---- what a route's function takes, in FastAPI's order


@dataclass(frozen=True, slots=True)
class _Step:
    """A function to call, and what it takes: results of steps before it, parts of the request.

    ``parameters`` are FastAPI's fields and the part of the request that they are read from.
    """

    call: Callable[..., Awaitable[Any]]
    results: tuple[tuple[str, int], ...]
    needs: tuple[int, ...]
    parameters: tuple[tuple[Sequence[Any], str], ...]
    requests: tuple[str, ...]


_PARAMETERS: Final = (
    ("path_params", "path_params"),
    ("query_params", "query_params"),
    ("header_params", "headers"),
    ("cookie_params", "cookies"),
)
"""FastAPI's lists of fields, and what a request calls the part that they are in."""

_MORE: Final = (
    "websocket_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
    "own_oauth_scopes",
    "concurrency",
)
"""What a function may ask FastAPI for besides."""


class _Unplanned(Exception):
    """A route needs more than a plan says."""


class _Plan:
    """The steps of a route; the last of them is its own function."""

    def __init__(self, dependant: Dependant) -> None:
        """Work it out.

        Raises:
            _Unplanned: it needs more than a plan says.
        """
        self.body = _body(dependant)
        self.steps: list[_Step] = []
        self._position: dict[Callable[..., Any], int] = {}
        self._add(dependant)

    def _add(self, dependant: Dependant) -> int:
        """Return the position of a function's step, behind those that it needs; each occurs once."""
        call = dependant.call
        if call is None or not _is_async(call) or not dependant.use_cache:
            raise _Unplanned
        if any(getattr(dependant, name, None) for name in _MORE):
            raise _Unplanned
        known = self._position.get(call)
        if known is not None:
            return known
        inner = [(one.name, self._add(one)) for one in dependant.dependencies]
        requests = (dependant.request_param_name, dependant.http_connection_param_name)
        self.steps.append(
            _Step(
                call=call,
                results=tuple((name, position) for name, position in inner if name is not None),
                needs=tuple(position for _, position in inner),
                parameters=tuple(
                    (getattr(dependant, fields), part)
                    for fields, part in _PARAMETERS
                    if getattr(dependant, fields)
                ),
                requests=tuple(name for name in requests if name is not None),
            )
        )
        self._position[call] = len(self.steps) - 1
        return self._position[call]

    async def run(self, request: StrictJsonRequest) -> Response:
        """Take the steps; the last one's result is the answer.

        Raises:
            RequestValidationError: parts of the request break their schemas: all of them, as FastAPI says it.
        """
        *before, last = self.steps
        results: list[Any] = []
        errors: list[Any] = []
        for step in before:
            taken = _taken(step, request, results, errors)
            results.append(_FAILED if taken is None else await step.call(**taken))
        taken = _taken(last, request, results, errors)
        if self.body is not None:
            value = await _validated(self.body, request, errors)
            taken = None if taken is None else {**taken, self.body.name: value}
        if taken is None or errors:
            raise RequestValidationError(errors, body=request.sent)
        answer: Response = await last.call(**taken)
        return answer


_FAILED: Final = object()
"""Stands for the result of a step that had nothing to call its function with."""


def _taken(
    step: _Step, request: StrictJsonRequest, results: Sequence[Any], errors: list[Any]
) -> dict[str, Any] | None:
    """Return what a step's function takes; None, and faults added to ``errors``, where it cannot."""
    values = {name: results[position] for name, position in step.results}
    faults: list[Any] = []
    for fields, part in step.parameters:
        found, wrong = request_params_to_args(fields, getattr(request, part))
        values.update(found)
        faults += wrong
    for name in step.requests:
        values[name] = request
    errors += faults
    is_whole = not faults and all(results[position] is not _FAILED for position in step.needs)
    return values if is_whole else None


async def _validated(field: Any, request: StrictJsonRequest, errors: list[Any]) -> Any:  # noqa: ANN401 - FastAPI's field, and what the schema makes of a body
    if not await request.body():  # what is missing, or has a default, FastAPI knows
        found, faults = await request_body_to_args(
            body_fields=[field], received_body=Undefined, embed_body_fields=False
        )
        errors += faults
        return found.get(field.name)
    value, faults = field.validate(request.sent, {}, loc=("body",))
    errors += faults or ()
    return value


def _body(dependant: Dependant) -> Any:  # noqa: ANN401 - FastAPI's field
    """Return the field that a whole body is; None where the route takes none.

    Raises:
        _Unplanned: the body is of several parts, or no JSON.
    """
    if any(_has_body(inner) for inner in dependant.dependencies) or len(dependant.body_params) > 1:
        raise _Unplanned
    if not dependant.body_params:
        return None
    field = dependant.body_params[0]
    info = field.field_info
    if not isinstance(info, params.Body) or isinstance(info, params.Form) or info.embed:
        raise _Unplanned
    return field


def _has_body(dependant: Dependant) -> bool:
    return bool(dependant.body_params) or any(map(_has_body, dependant.dependencies))


def _is_async(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def _handle(context: RouteContext) -> Handle | None:
    """Return what serves a route by a plan; None where FastAPI has to."""
    if not isinstance(context.original_route, StrictJsonRoute):
        return None
    endpoint = cast("Callable[..., Any]", context.endpoint)
    answer = inspect.signature(endpoint).return_annotation
    if not inspect.isclass(answer) or not issubclass(answer, Response):
        return None  # FastAPI makes an answer of what it returns
    dependant = cast("Dependant", context.dependant)
    try:
        plan = _Plan(dependant)
    except _Unplanned:
        return None
    return strictly(plan.run, dependant, path=str(context.path), takes_body=plan.body is not None)
