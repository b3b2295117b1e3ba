"""Every limit of the service, by name and with its reason.

What does not live here: checking them. ``wire`` and ``forms`` check what comes in, the engines what
goes out, ``service`` how much may wait.
"""

from dataclasses import dataclass
from typing import Final

CONTRACT_VERSION: Final = "1"
"""Version of the wire contract, as ``/health`` tells it."""

BATCH_STATEMENTS_MAX: Final = 512
"""Statements in one ``/batch``: a group of this size commits in some ten milliseconds."""

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""One request body: 512 statements of 8 kB."""

SQL_LENGTH_MAX: Final = 256 * 1024
"""Characters of one statement: a multi-row insert of 1,000 rows with literals still fits."""

PARAMETERS_MAX: Final = 32_000
"""Parameters of one statement: SQLite takes 32,766 and PostgreSQL's protocol 32,767."""

NESTING_MAX: Final = 64
"""Parentheses inside parentheses: no statement of ours needs ten, and parsers have stacks."""

INTEGER_MAX: Final = 2**63 - 1
"""The largest BIGINT of either engine; the smallest is ``-INTEGER_MAX - 1``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an operator may choose; each has an option of ``fintech-database serve``."""

    statement_seconds: float = 5.0
    """After this a statement is stopped and answered ``timeout``. Clients give up sooner."""

    waiting_statements_max: int = 4096
    """Statements accepted and not answered; beyond it ``overloaded``. Some 400 ms of work."""

    waiting_bytes_max: int = 64 * 1024 * 1024
    """Bytes of requests and answers held at once; beyond it ``overloaded``."""

    result_rows_max: int = 50_000
    """Rows of one answer; more is ``too_large``. Lists are paged long before."""

    result_bytes_max: int = 16 * 1024 * 1024
    """Text of one answer; more is ``too_large``."""

    body_seconds: float = 30.0
    """How long a client may take to send one body."""

    drain_seconds: float = 30.0
    """How long a stopping service answers what it accepted."""
