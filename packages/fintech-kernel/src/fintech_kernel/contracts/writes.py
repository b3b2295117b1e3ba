"""Opaque writes: what one plugin hands to another's roll-forward instead of executing it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fintech_dbclient import Row, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A repeatable insert, and how to see that an earlier attempt already did it.

    When ``statement`` fails as a duplicate, ``confirm`` is read: every row of ``expected`` must stand
    there, column for column. Then the write is done; anything else breaks an invariant.
    """

    statement: Statement
    confirm: Statement
    expected: Sequence[Row]
