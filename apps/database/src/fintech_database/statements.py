"""What travels through the service: a statement on its way in, an outcome on its way out.

What does not live here: JSON (``wire``) and the reading of SQL text (``forms``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fintech_database.forms import Form

Value: TypeAlias = str | int | None
"""TEXT, BIGINT or NULL. A ``bool`` never gets this far."""

Row: TypeAlias = dict[str, Value]

Code: TypeAlias = Literal[
    "unique_violation",
    "not_null_violation",
    "check_violation",
    "unknown_table",
    "syntax_error",
    "unsupported",
    "too_large",
    "overloaded",
    "timeout",
    "internal",
    "not_executed",
]
"""Error words of the contract. ``overloaded``: not run; ``timeout``, ``internal``: unknown."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a statement was not applied, or that nobody knows whether it was."""

    code: Code
    message: str
    constraint: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with its parameters and what its text was found to be.

    ``form`` is a ``Failure`` where text or parameters are refused: the statement then fails in its
    turn, without reaching the engine, and its neighbours are not touched.
    """

    sql: str
    params: tuple[Value, ...]
    form: "Form | Failure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one statement."""

    rows: list[Row] | None = None
    rows_affected: int = 0
    error: Failure | None = None


Steps: TypeAlias = Sequence[Statement]
"""A sequence of the contract: run in order, stopped by its first failure."""

NOT_EXECUTED: Final = Outcome(
    error=Failure("not_executed", "an earlier statement of this sequence failed")
)


def failed(code: Code, message: str, constraint: str | None = None) -> Outcome:
    """An outcome that carries an error."""
    return Outcome(error=Failure(code, message, constraint))
