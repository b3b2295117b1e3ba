"""What a database answers to one statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fintech_dbclient.errors import StatementFailed
from fintech_dbclient.statements import Value

Row: TypeAlias = Mapping[str, Value]
"""One row: column name to value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer to one statement: rows and a count, or the error that kept it from being applied.

    ``rows_affected`` is a hint: a retry after a lost reply may report 0 for an update that was
    applied. The row read back is the truth.
    """

    rows: tuple[Row, ...] = ()
    rows_affected: int = 0
    error: StatementFailed | None = None

    def unwrap(self) -> "Result":
        """Return this result, or raise the statement's error.

        Raises:
            StatementFailed: the statement was not applied.
        """
        if self.error is not None:
            raise self.error
        return self
