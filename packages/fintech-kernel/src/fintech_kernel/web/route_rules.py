"""Rules that every route of an application keeps, checked before it starts."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from fintech_kernel.web.authentication import permissions_required
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.strict_json import StrictJsonRoute

_DOCUMENTATION: Final = frozenset(
    {"openapi", "swagger_ui_html", "swagger_ui_redirect", "redoc_html"}
)
"""Names of the framework's own routes."""


def operations_of(app: FastAPI) -> Iterator[RouteContext]:
    """Walk the routes that are operations of the API, with their whole paths."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            yield route


def is_idempotent(dependant: Dependant) -> bool:
    """Whether a route takes an ``Idempotency-Key``, found by walking its dependencies."""
    return dependant.call is idempotency or any(map(is_idempotent, dependant.dependencies))


def route_faults(
    app: FastAPI,
    *,
    permissions: Collection[str],
    public: Collection[str],
    owners: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Return what is wrong with an application's routes, one line each.

    Args:
        app: the whole application.
        permissions: names of the declared permissions.
        public: names of operations (their functions) that need no permission.
        owners: who serves the routes below a prefix.
    """
    faults: list[str] = []
    names: dict[str, str] = {}
    shapes: dict[str, str] = {}
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, APIRoute):
            if route.name not in _DOCUMENTATION:
                faults.append(f"{route.path}: only operations of the API are served, no mounts")
            continue
        name, label = str(route.name), _label(route, owners)
        if name in names:
            faults.append(f"{label}: operation {name!r} is also {names[name]}; rename one function")
        names[name] = label
        for shape in _shapes(route):
            if shape in shapes:
                faults.append(f"{label}: takes the requests of operation {shapes[shape]!r}")
            shapes[shape] = name
        faults += [f"{label}: {fault}" for fault in _own_faults(route, permissions, public)]
    faults += [
        f"{name!r} is listed public and is no operation" for name in sorted({*public} - {*names})
    ]
    return faults


def _own_faults(
    route: RouteContext, permissions: Collection[str], public: Collection[str]
) -> Iterator[str]:
    required = permissions_required(route.dependant)
    is_public = route.name in public
    if not required and not is_public:
        yield "requires no permission and is not listed public"
    if required and is_public:
        yield "is listed public and requires a permission"
    for permission in required:
        if permission not in permissions:
            yield f"requires {permission!r}, which no plugin declares"
    if is_idempotent(route.dependant) and not isinstance(route.original_route, StrictJsonRoute):
        yield "takes an Idempotency-Key and must be a StrictJsonRoute"


def _label(route: RouteContext, owners: Mapping[str, str]) -> str:
    """Return method, path and, where it is known, who serves it."""
    path, methods = str(route.path_format), ",".join(sorted(route.methods or ()))
    of = [owner for prefix, owner in owners.items() if f"{path}/".startswith(f"{prefix}/")]
    return " of ".join([f"{methods} {path}", *of[:1]])


def _shapes(route: RouteContext) -> Iterator[str]:
    parts = str(route.path_format).split("/")
    path = "/".join("{}" if part.startswith("{") else part for part in parts)
    for method in sorted(route.methods or ()):
        yield f"{method} {path}"
