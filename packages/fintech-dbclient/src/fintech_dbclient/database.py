"""The port through which everything above reaches a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fintech_dbclient.results import Result
from fintech_dbclient.statements import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a database service says of itself.

    An engine that answers a bare ``ok`` has no capabilities.
    """

    engine: str
    contract: str
    capabilities: frozenset[str]
    batch_max: int


class Database(Protocol):
    """Statements out, results back. One statement is atomic and nothing else is.

    Every call ends within the caller's deadline (``fintech_dbclient.deadlines``).
    """

    async def execute(self, statement: Statement) -> Result:
        """Run one statement.

        Raises:
            StatementFailed: it was not applied (``UniqueViolation``, ...).
            NotApplied: it was not run and the deadline is over.
            OutcomeUnknown: it may have been applied and the deadline is over.
        """
        ...

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        """Run statements in order, stopping at the first that fails; one round trip with ``batch``.

        Always returns one result per statement: the failed one carries its error, those behind it
        carry ``NotExecuted``. A lost reply makes the client send the WHOLE sequence again, so the
        first statement of a repeated sequence may fail as a duplicate of itself: callers read back
        and go on.

        Raises:
            NotApplied: nothing was run and the deadline is over.
            OutcomeUnknown: some of it may have been applied and the deadline is over.
        """
        ...

    async def health(self) -> Health:
        """Ask the service how it is.

        Raises:
            DatabaseError: it did not answer well.
        """
        ...

    async def close(self) -> None:
        """Let calls under way finish, then close connections."""
        ...
