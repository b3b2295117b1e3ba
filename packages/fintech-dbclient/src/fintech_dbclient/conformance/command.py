"""The command: ``python -m fintech_dbclient.conformance URL``."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from fintech_dbclient.conformance.checks import Profile
from fintech_dbclient.conformance.kit import ALL_PROFILES, run_conformance
from fintech_dbclient.conformance.report import lines_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the kit and print its report; 0 if the profiles asked for are met, else 1."""
    options = _parser().parse_args(argv, namespace=_Options())
    profiles = [Profile(word) for word in options.profile] or list(ALL_PROFILES)
    report = asyncio.run(
        run_conformance(
            options.url,
            token=os.environ.get("DB_API_TOKEN"),
            profiles=profiles,
            restart_command=options.restart_command,
            table_prefix=options.table_prefix,
            rounds=options.rounds,
            clients=options.clients,
        )
    )
    for line in lines_of(report):
        sys.stdout.write(line + "\n")
    return 0 if report.is_met else 1


class _Options(argparse.Namespace):
    url: str
    profile: list[str]
    restart_command: str | None
    table_prefix: str | None
    rounds: int
    clients: int


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fintech_dbclient.conformance",
        description="Check a database service against the contract, in tables of its own. "
        "The bearer token is read from DB_API_TOKEN.",
    )
    parser.add_argument("url", help="base URL of the service")
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        choices=[str(profile) for profile in ALL_PROFILES],
        help="ask for this profile only; may be given more than once (default: all)",
    )
    parser.add_argument(
        "--restart-command",
        help="shell command that kills (-9) the service and starts it again at the same URL",
    )
    parser.add_argument(
        "--table-prefix",
        help="prefix of tables made by hand, for an engine that makes none itself",
    )
    parser.add_argument("--rounds", type=int, default=20, help="how often each race is run")
    parser.add_argument("--clients", type=int, default=64, help="how many clients race")
    return parser
