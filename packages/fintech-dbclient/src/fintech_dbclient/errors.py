"""What can go wrong on the way to a database and back, sorted by what the caller now knows.

::

    DatabaseError
    ├── StatementFailed        the engine's own word: the statement was not applied
    │   ├── UniqueViolation
    │   ├── NotNullViolation
    │   ├── CheckViolation
    │   ├── UnknownTable
    │   ├── SyntaxRefused
    │   ├── Unsupported
    │   ├── TooLarge
    │   ├── Refused            in a word that the contract does not have
    │   ├── ValueRefused       a parameter that is never sent to any engine
    │   └── NotExecuted        an earlier statement of its sequence failed
    ├── NotApplied             it never reached the engine, or was refused unread: safe to give up
    │   ├── Unreachable
    │   ├── Overloaded
    │   ├── CircuitOpen
    │   └── Unauthorized
    ├── OutcomeUnknown         it may or may not have been applied: send it again, then read back
    └── ContractBroken         the reply was understood and is impossible (a wrong engine)

A statement's outcome is *known* for the first two branches and open for the last two.
"""

from typing import ClassVar


class DatabaseError(Exception):
    """Root of this package's errors."""


class StatementFailed(DatabaseError):
    """The engine answered that it did not apply the statement.

    Attributes:
        statement: name of the statement, never its text or parameters.
        code: error code of the contract.
        constraint: what the engine says was violated; for logs only, no decision rests on it.
    """

    code: ClassVar[str] = "statement_failed"

    def __init__(self, statement: str, *, constraint: str | None = None) -> None:
        super().__init__(f"{statement}: {self.code}" + (f" ({constraint})" if constraint else ""))
        self.statement = statement
        self.constraint = constraint


class UniqueViolation(StatementFailed):
    """A primary key or unique column already holds the value."""

    code = "unique_violation"


class NotNullViolation(StatementFailed):
    """A NOT NULL column was given NULL."""

    code = "not_null_violation"


class CheckViolation(StatementFailed):
    """A CHECK constraint refused the row."""

    code = "check_violation"


class UnknownTable(StatementFailed):
    """The table does not exist: run the migrations."""

    code = "unknown_table"


class SyntaxRefused(StatementFailed):
    """The engine could not parse the statement."""

    code = "syntax_error"


class Unsupported(StatementFailed):
    """The engine does not know this form of statement: see the conformance kit."""

    code = "unsupported"


class TooLarge(StatementFailed):
    """The statement, a parameter or its result exceeds a limit of the engine."""

    code = "too_large"


class Refused(StatementFailed):
    """The engine said that it did not apply the statement, in a word that is not the contract's.

    ``constraint`` carries that word. A word that speaks of a timeout or of a process that died is
    not this error but ``OutcomeUnknown``.
    """

    code = "refused"


class ValueRefused(StatementFailed):
    """A parameter that is sent to no engine: NUL, a lone surrogate, beyond 64 bits, another type.

    Raised by the client before anything of the call is sent.
    """

    code = "value_refused"


class NotExecuted(StatementFailed):
    """An earlier statement of the same sequence failed, so this one was not run."""

    code = "not_executed"


class NotApplied(DatabaseError):
    """No statement of the call was run."""


class Unreachable(NotApplied):
    """The connection was refused before a byte was sent."""


class Overloaded(NotApplied):
    """The service refused the call unread because too much waits."""


class CircuitOpen(NotApplied):
    """Too many calls failed lately; this one was not sent."""


class Unauthorized(NotApplied):
    """The service refused the bearer token."""


class OutcomeUnknown(DatabaseError):
    """Timeout, reset, bare 5xx, truncated or malformed reply: it may have been applied."""


class ContractBroken(DatabaseError):
    """The engine answered something that the contract forbids."""
