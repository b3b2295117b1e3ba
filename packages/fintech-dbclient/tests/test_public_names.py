"""What others may rely on is pinned: a change here is a change for them."""

import fintech_dbclient
import fintech_dbclient.conformance

PUBLIC = [
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

KIT = [
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


def test_the_public_names_are_these_sorted_and_there():
    for module, names in ((fintech_dbclient, PUBLIC), (fintech_dbclient.conformance, KIT)):
        assert module.__all__ == names
        assert all(hasattr(module, name) for name in names)


def test_importing_the_package_does_not_import_the_kit():
    import subprocess
    import sys

    code = (
        "import sys, fintech_dbclient; "
        "print([m for m in sys.modules if 'conformance' in m or m == 'pytest'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_error_of_a_statement_has_a_code_of_its_own():
    leaves = fintech_dbclient.StatementFailed.__subclasses__()
    assert len({leaf.code for leaf in leaves}) == len(leaves)
    for leaf in leaves:
        error = leaf("notes.insert", constraint="notes.k")
        assert str(error) == f"notes.insert: {leaf.code} (notes.k)"
