"""fintech-dbclient: SQL over HTTP for a database that promises one atomic statement.

Everything public is here; ``errors`` draws the tree of what can go wrong. What deliberately is not:
the kit that shows which engines qualify, ``fintech_dbclient.conformance``, imported by name.
"""

from fintech_dbclient.client import HttpDatabase
from fintech_dbclient.database import Database, Health
from fintech_dbclient.deadlines import deadline_within, new_deadline, seconds_left
from fintech_dbclient.errors import (
    CheckViolation,
    CircuitOpen,
    ContractBroken,
    DatabaseError,
    NotApplied,
    NotExecuted,
    NotNullViolation,
    OutcomeUnknown,
    Overloaded,
    Refused,
    StatementFailed,
    SyntaxRefused,
    TooLarge,
    Unauthorized,
    UniqueViolation,
    UnknownTable,
    Unreachable,
    Unsupported,
    ValueRefused,
)
from fintech_dbclient.migrations import (
    Migration,
    MigrationRefused,
    MigrationReport,
    migrate,
    pending,
)
from fintech_dbclient.results import Result, Row
from fintech_dbclient.retries import Backoff
from fintech_dbclient.statements import Statement, Value
from fintech_dbclient.tracing import CallOutcome, CallRecord, OnCall
from fintech_dbclient.transport import KeepAliveTransport

__all__ = [
    "Backoff",
    "CallOutcome",
    "CallRecord",
    "CheckViolation",
    "CircuitOpen",
    "ContractBroken",
    "Database",
    "DatabaseError",
    "Health",
    "HttpDatabase",
    "KeepAliveTransport",
    "Migration",
    "MigrationRefused",
    "MigrationReport",
    "NotApplied",
    "NotExecuted",
    "NotNullViolation",
    "OnCall",
    "OutcomeUnknown",
    "Overloaded",
    "Refused",
    "Result",
    "Row",
    "Statement",
    "StatementFailed",
    "SyntaxRefused",
    "TooLarge",
    "Unauthorized",
    "UniqueViolation",
    "UnknownTable",
    "Unreachable",
    "Unsupported",
    "Value",
    "ValueRefused",
    "deadline_within",
    "migrate",
    "new_deadline",
    "pending",
    "seconds_left",
]
