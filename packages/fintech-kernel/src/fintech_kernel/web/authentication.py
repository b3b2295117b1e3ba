"""``requires("payments:capture")``: who calls, and whether they may.

A route takes it as a dependency. It reads the bearer token, asks ``Access`` who stands behind it now,
checks the permission and returns the ``Actor``. The application finds it by walking its routes and
refuses to start with a route that neither requires a permission nor is listed public.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
_BESIDE: Final = "fintech.read_beside"


Reading = Callable[[str], Coroutine[Any, Any, Any]]
"""Reads something of a merchant."""


@dataclass(frozen=True, slots=True)
class RequiresPermission:
    """A dependency: authenticates, and requires one permission.

    ``beside`` reads what the route will need of the principal's own merchant in the trip that
    authentication takes anyway; the route finds it with ``read_beside``.
    """

    permission: str
    beside: Reading | None = None

    async def __call__(self, request: Request) -> Actor:
        """Return the principal.

        Raises:
            Unauthenticated: there is no valid token.
            Forbidden: the principal lacks the permission.
            NotApplied: the database did not say whether the token still counts.
        """
        actor = known_actor(request) or await _authenticated(request, self.beside)
        try:
            context_of(request).permissions.require(actor, self.permission)
        except Forbidden:
            logger.debug("permission denied", permission=self.permission)
            raise
        return actor


def requires(permission: str, *, beside: Reading | None = None) -> RequiresPermission:
    """Return the dependency that requires ``permission`` (``resource:action``)."""
    return RequiresPermission(permission, beside)


def read_beside(request: Request, merchant_id: str) -> Awaitable[Any] | None:
    """Return what was read of a merchant beside authentication; None where nothing was, or of another."""
    found: tuple[str, asyncio.Task[Any]] | None = request.scope.get(_BESIDE)
    return found[1] if found is not None and found[0] == merchant_id else None


def permissions_required(dependant: Dependant) -> tuple[str, ...]:
    """Return the permissions that a route requires, found by walking its dependencies."""
    return tuple(sorted({found.permission for found in requirements(dependant)}))


def requirements(dependant: Dependant) -> Iterator[RequiresPermission]:
    """Walk a route's dependencies and yield those that require a permission."""
    if isinstance(dependant.call, RequiresPermission):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from requirements(inner)


async def _authenticated(request: Request, beside: Reading | None) -> Actor:
    def begin(merchant_id: str) -> None:
        if beside is not None:
            task = asyncio.create_task(beside(merchant_id))
            task.add_done_callback(_retrieve)
            request.scope[_BESIDE] = (merchant_id, task)

    try:
        token = _bearer_token(request.headers.getlist("authorization"))
        actor = await context_of(request).access.authenticate(token, beside=begin)
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


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Mark what a read raised as seen: a request that is refused never asks for it."""
    if not task.cancelled():
        task.exception()


def _bearer_token(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise TokenRejected("not exactly one Authorization header")
    scheme, separator, token = values[0].partition(" ")
    if not separator or scheme.lower() != _SCHEME:
        raise TokenRejected("Authorization is not a bearer token")
    return token
