"""Running the checks against a live service, and the report of it."""

import contextlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString

import httpx

from fintech_dbclient.conformance import core, ddl, query, wire
from fintech_dbclient.conformance.checks import Check, Profile
from fintech_dbclient.conformance.world import (
    HTTP_OK,
    TABLES,
    CheckFailed,
    CheckSkipped,
    Endpoint,
    FormNotSupported,
    World,
    raw_client,
)
from fintech_dbclient.database import Health
from fintech_dbclient.errors import (
    ContractBroken,
    DatabaseError,
    Refused,
    SyntaxRefused,
    UnknownTable,
    Unsupported,
)
from fintech_dbclient.replies import MalformedReply, parse_health

ALL_PROFILES = (Profile.CORE, Profile.QUERY, Profile.DDL)


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_SUPPORTED = "not supported"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """How one check ended, with the last statement it sent and the reply to it."""

    check: Check
    verdict: Verdict
    detail: str = ""
    statement: str = ""
    reply: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run found.

    Attributes:
        url: of the service.
        engine: what it calls itself.
        capabilities: what it announces.
        asked: the profiles asked for.
        results: in the order run.
        note: what was left behind, or why nothing could be run.
    """

    url: str
    engine: str
    capabilities: tuple[str, ...]
    asked: tuple[Profile, ...]
    results: tuple[CheckResult, ...]
    note: str = ""

    def unmet(self, profile: Profile) -> tuple[CheckResult, ...]:
        """The checks of a profile that are not met."""
        return tuple(
            result
            for result in self.results
            if result.check.profile is profile
            and result.verdict in {Verdict.FAIL, Verdict.NOT_SUPPORTED}
        )

    @property
    def is_met(self) -> bool:
        """Whether every profile asked for is met, and what is announced is true."""
        lies = [one for one in self.unmet(Profile.CAPABILITIES) if one.verdict is Verdict.FAIL]
        return bool(self.results) and not lies and not any(map(self.unmet, self.asked))


def all_checks(profiles: Collection[Profile] = ALL_PROFILES) -> tuple[Check, ...]:
    """Every check of some profiles, capabilities always among them, in the order they run."""
    found = [
        *(one for module in (core, wire) for one in vars(module).values()),
        *query.SELECT_CHECKS,
        *vars(query).values(),
        *vars(ddl).values(),
    ]
    wanted = {*profiles, Profile.CAPABILITIES}
    checks = [one for one in found if isinstance(one, Check) and one.profile in wanted]
    # A kill comes last: it interrupts what others hold.
    return tuple(sorted(checks, key=lambda one: one is wire.acknowledged_rows_survive_a_kill))


async def run_conformance(
    url: str,
    *,
    token: str | None = None,
    profiles: Collection[Profile] = ALL_PROFILES,
    only: Collection[str] | None = None,
    restart_command: str | None = None,
    table_prefix: str | None = None,
    rounds: int = 20,
    clients: int = 64,
) -> Report:
    """Run the checks of some profiles against a live service, in tables of the kit's own.

    Args:
        url: base URL of the service.
        token: its bearer token.
        profiles: what to ask of it.
        only: names of checks, of those that the profiles have.
        restart_command: kills the service and starts it again; without it nothing is killed.
        table_prefix: for an engine that makes no tables itself: ``<prefix>_rows`` and
            ``<prefix>_lines`` are there already (``TABLES`` says how); rows are added to them.
        rounds: how often each race is run.
        clients: how many clients take part in a race.
    """
    endpoint = Endpoint(
        url=url, token=token, restart_command=restart_command, rounds=rounds, clients=clients
    )
    asked = tuple(profile for profile in ALL_PROFILES if profile in profiles)
    try:
        health = await _ask_health(endpoint)
    except (httpx.HTTPError, MalformedReply, DatabaseError) as error:
        return Report(
            url=url, engine="", capabilities=(), asked=asked, results=(), note=f"/health: {error}"
        )
    prefix = table_prefix or f"conformance_{secrets.token_hex(4)}"
    note = await make_tables(endpoint, health, prefix)
    checks = [one for one in all_checks(profiles) if only is None or one.name in only]
    results = [await run_check(one, endpoint, health, prefix) for one in checks]
    if table_prefix is None:
        note = note or await drop_tables(endpoint, health, prefix)
    return Report(
        url=url,
        engine=health.engine,
        capabilities=tuple(sorted(health.capabilities)),
        asked=asked,
        results=tuple(results),
        note=note,
    )


async def run_check(one: Check, endpoint: Endpoint, health: Health, prefix: str) -> CheckResult:
    """Run one check in a world of its own."""
    world = World(endpoint, health=health, prefix=prefix)
    verdict, detail = Verdict.PASS, ""
    try:
        await one.run(world)
    except FormNotSupported as error:
        verdict, detail = Verdict.NOT_SUPPORTED, str(error)
    except CheckSkipped as error:
        verdict, detail = Verdict.SKIPPED, str(error)
    except (CheckFailed, IndexError, KeyError, OSError) as error:
        # A missing row or column is the engine's, and so is a connection that breaks.
        verdict, detail = Verdict.FAIL, str(error) if type(error) is CheckFailed else repr(error)
    finally:
        await world.close()
    statement, reply = world.seen[-1] if world.seen else ("", "")
    return CheckResult(check=one, verdict=verdict, detail=detail, statement=statement, reply=reply)


async def make_tables(endpoint: Endpoint, health: Health, prefix: str) -> str:
    """Make the kit's tables; return what to say where the engine cannot."""
    world = World(endpoint, health=health, prefix=prefix)
    try:
        for create in TABLES.values():
            result = await world.do(create)
            if isinstance(result.error, Unsupported | SyntaxRefused | Refused):
                if (await world.do("SELECT k FROM $rows WHERE k = ?", "")).error is None:
                    return ""
                return (
                    "the engine makes no tables: create them with its own tools and name their "
                    f"prefix: {'; '.join(map(world.sql, TABLES.values()))}"
                )
    except CheckFailed as error:
        return f"making tables: {error}"
    finally:
        await world.close()
    return ""


async def drop_tables(endpoint: Endpoint, health: Health, prefix: str) -> str:
    """Drop the kit's tables; return what to say where they stay."""
    world = World(endpoint, health=health, prefix=prefix)
    left: list[str] = []
    try:
        for table in (*TABLES, *ddl.EXTRA_TABLES):
            dropped = False
            with contextlib.suppress(CheckFailed):
                # The word is one of our own tables: nothing of it comes from outside.
                result = await world.do(_DROPS[table])
                dropped = result.error is None or isinstance(result.error, UnknownTable)
            if not dropped:
                left.append(f"{prefix}_{table}")
    finally:
        await world.close()
    return f"tables left behind: {', '.join(left)}" if left else ""


_DROPS: dict[str, LiteralString] = {
    "rows": "DROP TABLE $rows",
    "lines": "DROP TABLE $lines",
    "extra_constraints": "DROP TABLE $extra_constraints",
    "extra_rival": "DROP TABLE $extra_rival",
    "extra_altered": "DROP TABLE $extra_altered",
}


async def _ask_health(endpoint: Endpoint) -> Health:
    async with raw_client(endpoint) as client:
        response = await client.get("health")
    if response.status_code != HTTP_OK:
        raise ContractBroken(f"HTTP {response.status_code}")
    return parse_health(response.content)
