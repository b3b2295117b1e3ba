"""What a check is: a named coroutine over a ``World`` that raises when a promise is not kept."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from fintech_dbclient.conformance.world import World


class Profile(StrEnum):
    """What an engine may be asked for; ``docs/database-contract.md`` draws them."""

    CORE = "core"
    """Wire, promises and the three core statements: enough for payments and the ledger."""
    QUERY = "query"
    """Lists, reports, settlement."""
    DDL = "ddl"
    """Makes tables itself."""
    CAPABILITIES = "capabilities"
    """What ``/health`` may announce: never required, but true where announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the kit.

    Attributes:
        name: what holds when it passes, in words joined by underscores.
        summary: the same as a sentence.
        profile: which profile needs it.
        promises: numbers of the promises it shows ("D3"), as in ``docs/database-contract.md``.
        run: raises ``CheckFailed``, ``FormNotSupported`` or ``CheckSkipped``.
    """

    name: str
    summary: str
    profile: Profile
    promises: tuple[str, ...]
    run: Callable[[World], Awaitable[None]]


def check(
    profile: Profile, *promises: str
) -> Callable[[Callable[[World], Awaitable[None]]], Check]:
    """Make a coroutine function a check; its docstring is the summary."""

    def make(function: Callable[[World], Awaitable[None]]) -> Check:
        return Check(
            name=function.__name__,
            summary=(function.__doc__ or "").strip().splitlines()[0],
            profile=profile,
            promises=promises,
            run=function,
        )

    return make
