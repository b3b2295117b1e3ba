"""The conformance kit: which engines can take the database's place, shown against a live service.

::

    python -m fintech_dbclient.conformance http://127.0.0.1:5433 --profile core

``pytest_kit`` is the same as pytest tests. The promises are numbered in
``docs/database-contract.md``. What deliberately does not live here: retries. The kit sees an
engine as it is.
"""

from fintech_dbclient.conformance.checks import Check, Profile
from fintech_dbclient.conformance.command import main
from fintech_dbclient.conformance.kit import (
    ALL_PROFILES,
    CheckResult,
    Report,
    Verdict,
    all_checks,
    run_conformance,
)
from fintech_dbclient.conformance.report import lines_of
from fintech_dbclient.conformance.world import TABLES

__all__ = [
    "ALL_PROFILES",
    "TABLES",
    "Check",
    "CheckResult",
    "Profile",
    "Report",
    "Verdict",
    "all_checks",
    "lines_of",
    "main",
    "run_conformance",
]
