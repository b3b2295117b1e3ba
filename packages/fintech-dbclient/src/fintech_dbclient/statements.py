"""One SQL statement, written by us and bound to values: the only thing that reaches a database.

What does not live here: SQL text (each package keeps its own in ``infrastructure/``) and how a
statement travels (``client``).
"""

from dataclasses import dataclass
from typing import LiteralString, TypeAlias

Value: TypeAlias = str | int | None
"""What a column holds: TEXT as ``str``, BIGINT as ``int``, NULL as ``None``. Never a float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A named SQL statement with its parameters.

    ``sql`` is a ``LiteralString``: a type checker refuses text assembled from data (PEP 675).
    ``name`` ("payments.by_merchant") is what logs, metrics and traces show; parameters are never
    shown. Statements are repeatable by design: sending one twice must do no more than sending it
    once, because a lost reply is answered by sending it again.
    """

    name: str
    sql: LiteralString
    params: tuple[Value, ...] = ()


def repeated(part: LiteralString, count: int) -> LiteralString:
    """Return ``part`` ``count`` times, separated by commas: the rows of VALUES, the marks of IN."""
    return part + (", " + part) * (count - 1)
