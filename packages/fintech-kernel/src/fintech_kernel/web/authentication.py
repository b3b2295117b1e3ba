"""``requires("payments:capture")``: who calls, and whether they may.

A route takes it as a dependency. It reads the bearer token, asks ``Access`` who stands behind it now,
checks the permission and returns the ``Actor``. The application finds it by walking its routes and
refuses to start with a route that neither requires a permission nor is listed public.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from loguru import logger

from fintech_kernel.domain.access import TokenRejected
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import Forbidden, Unauthenticated
from fintech_kernel.observability.context import note_principal
from fintech_kernel.web.admission import admit
from fintech_kernel.web.context import context_of, known_actor, remember_actor

_SCHEME: Final = "bearer"


@dataclass(frozen=True, slots=True)
class RequiresPermission:
    """A dependency: authenticates, and requires one permission."""

    permission: str

    async def __call__(self, request: Request) -> Actor:
        """Return the principal.

        Raises:
            Unauthenticated: there is no valid token.
            Forbidden: the principal lacks the permission.
            NotApplied: the database did not say whether the token still counts.
        """
        actor = known_actor(request) or await _authenticated(request)
        try:
            context_of(request).permissions.require(actor, self.permission)
        except Forbidden:
            logger.debug("permission denied", permission=self.permission)
            raise
        return actor


def requires(permission: str) -> RequiresPermission:
    """Return the dependency that requires ``permission`` (``resource:action``)."""
    return RequiresPermission(permission)


def permissions_required(dependant: Dependant) -> tuple[str, ...]:
    """Return the permissions that a route requires, found by walking its dependencies."""
    return tuple(sorted({found.permission for found in requirements(dependant)}))


def requirements(dependant: Dependant) -> Iterator[RequiresPermission]:
    """Walk a route's dependencies and yield those that require a permission."""
    if isinstance(dependant.call, RequiresPermission):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from requirements(inner)


async def _authenticated(request: Request) -> Actor:
    try:
        token = _bearer_token(request.headers.getlist("authorization"))
        actor = await context_of(request).access.authenticate(token)
    except TokenRejected as reason:
        logger.debug("token refused", reason=str(reason))
        raise Unauthenticated(Unauthenticated.code) from reason
    except Unauthenticated as error:
        logger.debug("token refused", reason=str(error.__cause__))
        raise
    remember_actor(request, actor)
    note_principal(actor.subject, actor.merchant_id)
    admit(request, actor)
    return actor


def _bearer_token(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise TokenRejected("not exactly one Authorization header")
    scheme, separator, token = values[0].partition(" ")
    if not separator or scheme.lower() != _SCHEME:
        raise TokenRejected("Authorization is not a bearer token")
    return token
