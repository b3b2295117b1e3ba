"""Path templates: ``/v1/payments/{payment_id}``, what a request asked for without its values.

They stand in logs and fingerprints. A route of an included router knows only the end of its path, so
templates are looked up by endpoint, in a table made from the whole application at its first request.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.types import Scope

UNMATCHED: Final = "-"
"""The template of a request that no route took."""

_TABLE: Final = "path_templates"


def path_template(scope: Scope) -> str:
    """Return the template of the route that took a request, ``-`` where none did."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return UNMATCHED
    return _templates(scope["app"]).get(endpoint, UNMATCHED)


def methods_of_path(request: Request) -> list[str]:
    """Return every method that some route takes for the path of a request, sorted.

    The router names those of one route only, and a path has a route for each method.
    """
    routes = iter_route_contexts(request.app.routes)
    return sorted(
        {
            method
            for route in routes
            if route.path_regex is not None and route.path_regex.match(request.scope["path"])
            for method in route.methods or ()
        }
    )


def _templates(app: FastAPI) -> Mapping[Callable[..., Any], str]:
    table: dict[Callable[..., Any], str] | None = getattr(app.state, _TABLE, None)
    if table is None:
        table = {}
        for route in iter_route_contexts(app.routes):
            if route.endpoint is not None and route.path_format is not None:
                table[route.endpoint] = route.path_format
        setattr(app.state, _TABLE, table)
    return table
