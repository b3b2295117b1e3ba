"""The way from a request to what the application was built with."""

from typing import TYPE_CHECKING, cast

from starlette.requests import HTTPConnection

from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import InvariantBroken

if TYPE_CHECKING:
    from fintech_kernel.context import AppContext

_ACTOR = "actor"


def context_of(request: HTTPConnection) -> "AppContext":
    """Return the application's context."""
    return cast("AppContext", request.app.state.context)


def actor_of(request: HTTPConnection) -> Actor:
    """Return the principal of a request that was authenticated.

    Raises:
        InvariantBroken: the route requires no permission, so nobody was authenticated.
    """
    actor = known_actor(request)
    if actor is None:
        raise InvariantBroken("the route requires no permission, so there is no principal")
    return actor


def known_actor(request: HTTPConnection) -> Actor | None:
    """Return the principal of a request, None where none was authenticated yet."""
    return cast("Actor | None", getattr(request.state, _ACTOR, None))


def remember_actor(request: HTTPConnection, actor: Actor) -> None:
    """Keep the principal for the rest of the request."""
    setattr(request.state, _ACTOR, actor)
