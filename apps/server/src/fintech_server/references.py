"""Pages that the application writes about itself: every problem it answers, every permission it knows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fastapi import FastAPI
from fintech_kernel.context import AppContext
from fintech_kernel.domain.permissions import ROLES
from fintech_kernel.hooks import Permission
from fintech_kernel.host import PluginHost
from fintech_kernel.web.authentication import permissions_required
from fintech_kernel.web.problems import KnownProblem, ProblemCatalog
from fintech_kernel.web.route_rules import operations_of

KERNEL: Final = "kernel"

_ERRORS: Final = """\
# Errors

Every answer that is not a success is a problem document (RFC 9457, `application/problem+json`).
Programs read `code`; its `type` is `/problems/<code>` and stands for the section of that name below.
`title` and `detail` are fixed texts, `errors` and `facts` say which parts and which amounts, and
`request_id` finds the request in our logs.

A refusal of an operation is recorded: a repeat with the same `Idempotency-Key` gets the same answer.

<!-- Written by `fintech docs errors`; change the error classes instead. -->

| code | status | |
| --- | --- | --- |
"""

_PERMISSIONS: Final = """\
# Permissions

Every route requires a permission, or is listed public. A role is a set of permissions; the plugin that
owns a resource declares its permissions and who has them. A merchant's principals see their merchant and
nothing else.

<!-- Written by `fintech docs permissions`; change the plugins' declarations instead. -->

"""


def errors_page(app: FastAPI) -> str:
    """Return ``docs/errors.md``."""
    catalog: ProblemCatalog = app.state.problems
    known = catalog.entries()
    rows = (f"| [`{one.code}`](#{one.code}) | {one.status} | {one.title} |\n" for one in known)
    return _ERRORS + "".join(rows) + "".join(map(_section, known))


def permissions_page(app: FastAPI, host: PluginHost) -> str:
    """Return ``docs/permissions.md``."""
    context: AppContext = app.state.context
    declared = context.permissions.declarations()
    owners = {one.name: plugin for plugin, one in host.permissions_by_plugin()}
    return "".join(
        [
            _PERMISSIONS,
            *_roles(),
            "\n",
            *_matrix(declared, owners),
            "\n",
            *_routes(app, declared),
        ]
    )


def _section(known: KnownProblem) -> str:
    return (
        f"\n## {known.code}\n\n{known.status}. {known.title}\n\n"
        f"- When: {known.when}\n- What to do: {known.remedy}\n"
    )


def _roles() -> Iterator[str]:
    yield "| role | |\n| --- | --- |\n"
    for name, summary in ROLES.items():
        yield f"| `{name}` | {summary} |\n"


def _matrix(declared: Sequence[Permission], owners: Mapping[str, str]) -> Iterator[str]:
    yield f"| permission | plugin | {' | '.join(f'`{role}`' for role in ROLES)} |\n"
    yield f"| --- | --- |{' :-: |' * len(ROLES)}\n"
    for permission in declared:
        marks = " | ".join("x" if role in permission.roles else " " for role in ROLES)
        yield f"| `{permission.name}` | {owners.get(permission.name, KERNEL)} | {marks} |\n"


def _routes(app: FastAPI, declared: Sequence[Permission]) -> Iterator[str]:
    guarded: dict[str, list[str]] = {}
    for route in operations_of(app):
        for name in permissions_required(route.dependant):
            for method in sorted(route.methods or ()):
                guarded.setdefault(name, []).append(f"`{method} {route.path_format}`")
    yield "| permission | lets | routes |\n| --- | --- | --- |\n"
    for permission in declared:
        routes = "<br>".join(sorted(guarded.get(permission.name, [])))
        yield f"| `{permission.name}` | {permission.summary} | {routes} |\n"
