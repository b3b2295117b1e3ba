"""The kit as pytest tests: one test per check, for an engine of your own.

In a test module::

    from fintech_dbclient.conformance.pytest_kit import pytest_generate_tests, test_conformance

and in ``conftest.py`` two fixtures: ``database_url``, the base URL of a running service, and
``conformance_options``, keyword arguments of ``run_conformance`` (an empty dictionary asks for
every profile). A check that the options do not ask for, or that needs what they do not give, is
skipped.

pytest itself is not imported, so that the package does not depend on it.
"""

import asyncio
from typing import Any, Protocol
from unittest import SkipTest

from fintech_dbclient.conformance.checks import Check
from fintech_dbclient.conformance.kit import ALL_PROFILES, Verdict, all_checks, run_conformance


class Metafunc(Protocol):
    """What ``pytest_generate_tests`` uses of pytest's object of the same name."""

    fixturenames: list[str]

    def parametrize(self, argnames: str, argvalues: list[Check], *, ids: list[str]) -> None:
        """Make a test of each value."""


def pytest_generate_tests(metafunc: Metafunc) -> None:
    """Make one test of each check; pytest calls this in the module that imports it."""
    if "conformance_check" in metafunc.fixturenames:
        checks = list(all_checks())
        metafunc.parametrize("conformance_check", checks, ids=[one.name for one in checks])


def test_conformance(
    conformance_check: Check, database_url: str, conformance_options: dict[str, Any]
) -> None:
    """Run one check against the service."""
    profiles = conformance_options.get("profiles", ALL_PROFILES)
    if conformance_check not in all_checks(profiles):
        raise SkipTest(f"profile {conformance_check.profile} is not asked for")
    report = asyncio.run(
        run_conformance(database_url, only=(conformance_check.name,), **conformance_options)
    )
    if not report.results:
        raise AssertionError(report.note)
    result = report.results[0]
    if result.verdict is Verdict.SKIPPED:
        raise SkipTest(result.detail)
    if result.verdict is not Verdict.PASS:
        raise AssertionError(
            f"{conformance_check.summary} {result.verdict}: {result.detail}\n"
            f"sent  {result.statement}\nreply {result.reply}\n{report.note}"
        )
