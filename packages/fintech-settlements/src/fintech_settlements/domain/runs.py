"""Runs: every merchant that is due by its schedule is settled, each under a key of its own.

The key (``settle:<merchant>:<currency>:<cutoff>``) is the merchant's settlement day: a run may be started
twice, in several processes, be killed and started again, and comes to the same settlements. What is due is
judged before a key is claimed; a claimed one can only end as a settlement.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from enum import StrEnum
from typing import Final

from fintech_dbclient import Database, DatabaseError, Row
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory, MerchantProfile
from fintech_kernel.domain.actors import PLATFORM, Actor, job_actor
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound, TryAgainLater
from fintech_kernel.identifiers import Identifiers
from loguru import logger

from fintech_settlements.domain import model
from fintech_settlements.domain.business_days import last_cutoff
from fintech_settlements.domain.commands import CreateSettlement, DueLine
from fintech_settlements.domain.decisions import (
    DUE_LINES_LOOKED_AT,
    HELD_STATUSES,
    would_only_carry_again,
)
from fintech_settlements.domain.kinds import CREATE, ID_PREFIX, RUN
from fintech_settlements.domain.run_requests import RequestRun, Run, run_of_row
from fintech_settlements.infrastructure import run_queries as queries

RUN_PREFIX: Final = "run"
RUN_JOB: Final = "settlements.run"

ACCOUNTS_PAGE: Final = 200
RUN_CONCURRENCY: Final = 4
ATTEMPTS_MAX: Final = 20
"""How often a run tries one account before it leaves it to recovery: one attempt is a request long."""

REQUESTED_RUNS_OF_TURN: Final = 20


class Verdict(StrEnum):
    """What a run does with an account."""

    DUE = "due"
    OPENED = "opened"
    SETTLED_BEFORE = "settled_before"
    NOT_DUE = "not_due"
    HELD = "held"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRun:
    """What a run found, or did, about an account. ``cutoff`` is its merchant's last settlement day.

    ``line_count`` and ``total`` (signed minor units) are of what is due, or of the settlement.
    """

    merchant_id: str
    currency: str
    cutoff: int
    verdict: Verdict
    line_count: int = 0
    total: int = 0
    settlement_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How many accounts a run looked at, and what became of them."""

    accounts: int = 0
    opened: int = 0
    settled_before: int = 0
    not_due: int = 0
    held: int = 0
    unfinished: int = 0

    def with_(self, account: AccountRun) -> "RunReport":
        """Return it with one account more."""
        name = account.verdict.value
        return replace(self, accounts=self.accounts + 1, **{name: getattr(self, name) + 1})


class Runs:
    """The use cases of runs.

    Args:
        zone: where midnight is.
        is_business_day: whether banks work on a day.
        chunk_size: lines that one claiming statement takes.
        is_automatic: whether merchants are settled by their schedule without being asked for.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        ledger: Ledger,
        merchants: MerchantDirectory,
        zone: tzinfo,
        is_business_day: Callable[[date], bool],
        chunk_size: int,
        is_automatic: bool,
    ) -> None:
        self._operations = operations
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._ledger = ledger
        self._merchants = merchants
        self._zone = zone
        self._is_business_day = is_business_day
        self._chunk_size = chunk_size
        self._is_automatic = is_automatic

    # --- a run that is asked for: recorded at once, done by the job

    async def request(self, *, cutoff: int | None, actor: Actor, call: IdempotentCall) -> Answer:
        """Ask for a run over all merchants that are due at ``cutoff`` (UTC milliseconds; None: now)."""
        now = self._clock.now_milliseconds()
        command = RequestRun(
            run_id=self._identifiers.new(RUN_PREFIX),
            cutoff=now if cutoff is None else cutoff,
            requested_by=actor.subject,
            requested_at=now,
        )
        return await self._operations.run(
            OperationCall(
                kind=RUN,
                merchant_id=PLATFORM,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )

    async def get(self, run_id: str) -> Run:
        """Return a run that was asked for, and how far it is.

        Raises:
            NotFound: there is none.
        """
        found = await self._database.execute(queries.run_by_id(run_id))
        if not found.rows:
            raise NotFound
        return run_of_row(found.rows[0])

    async def page(self, *, before: str | None, limit: int) -> list[Run]:
        """Return runs that were asked for, the newest first, behind the id ``before``."""
        found = await self._database.execute(queries.runs_before(before=before, limit=limit))
        return [run_of_row(row) for row in found.rows]

    async def turn(self) -> None:
        """Do the runs that were asked for, and what is due by schedule (a job)."""
        found = await self._database.execute(queries.requested_runs(limit=REQUESTED_RUNS_OF_TURN))
        for row in found.rows:
            await self._do_requested(row)
        if self._is_automatic:
            await self.run(at=self._clock.now_milliseconds(), started_by=job_actor(RUN_JOB).subject)

    async def _do_requested(self, row: Row) -> None:
        """Do a run; it is done when no account of it is unfinished."""
        run = run_of_row(row)
        report = await self.run(at=run.cutoff, started_by=run.requested_by)
        if report.unfinished:
            return
        await self._database.execute(
            queries.finish_run(
                run_id=run.run_id,
                accounts=report.accounts,
                opened=report.opened,
                skipped=report.accounts - report.opened,
                finished_at=self._clock.now_milliseconds(),
            )
        )

    # --- a run

    async def run(
        self,
        *,
        at: int,
        started_by: str,
        on_account: Callable[[AccountRun], None] = lambda _account: None,
    ) -> RunReport:
        """Settle every account that is due ``at`` (UTC milliseconds, not in the future).

        ``on_account`` is told of each account that was dealt with.
        """
        report = RunReport()
        async for page in self._pages(at):
            gate = asyncio.Semaphore(RUN_CONCURRENCY)
            settled = await asyncio.gather(
                *(self._try_account(gate, account, at, started_by) for account in page)
            )
            for account in settled:
                report = report.with_(account)
                on_account(account)
        return report

    async def look(self, *, at: int, after: tuple[str, str], limit: int) -> tuple[AccountRun, ...]:
        """Return what a run ``at`` would do with the next accounts: a dry run, nothing is written."""
        page = await self._ledger.due_accounts(cutoff=at, limit=limit, after=after)
        return tuple([await self._look_at(*account, at=at) for account in page])

    async def count(self, *, at: int) -> int:
        """Return how many accounts a run ``at`` would look at: for a progress bar."""
        return sum([len(page) async for page in self._pages(at)])

    async def _pages(self, at: int) -> AsyncIterator[tuple[tuple[str, str], ...]]:
        after = ("", "")
        while page := await self._ledger.due_accounts(cutoff=at, limit=ACCOUNTS_PAGE, after=after):
            yield page
            after = page[-1]

    async def _look_at(self, merchant_id: str, currency: str, *, at: int) -> AccountRun:
        profile = await self._merchants.profile(merchant_id)
        account = self._account(merchant_id, currency, profile, at)
        if account.verdict is not Verdict.DUE:
            return account
        if not await self._due(account):
            return replace(account, verdict=Verdict.NOT_DUE)
        total = await self._ledger.due_total(
            merchant_id=merchant_id,
            account=merchant_account(merchant_id, currency),
            cutoff=account.cutoff,
        )
        return replace(account, line_count=total.count, total=total.total)

    async def _try_account(
        self, gate: asyncio.Semaphore, account: tuple[str, str], at: int, started_by: str
    ) -> AccountRun:
        """Settle one account; what is wrong with it holds up no other."""
        async with gate:
            merchant_id, currency = account
            profile = await self._merchants.profile(merchant_id)
            found = self._account(merchant_id, currency, profile, at)
            if profile is None or found.verdict is not Verdict.DUE:
                return found
            try:
                return await self._settle(found, profile, started_by)
            except (TryAgainLater, DatabaseError) as error:
                logger.warning(
                    "account not settled yet",
                    merchant_id=merchant_id,
                    currency=currency,
                    reason=type(error).__name__,
                )
                return replace(found, verdict=Verdict.UNFINISHED)

    def _account(
        self, merchant_id: str, currency: str, profile: MerchantProfile | None, at: int
    ) -> AccountRun:
        """Return an account with its cutoff, due unless its merchant is held."""
        if profile is None:
            logger.error("lines of a merchant that nobody knows are due", merchant_id=merchant_id)
            return AccountRun(
                merchant_id=merchant_id, currency=currency, cutoff=at, verdict=Verdict.HELD
            )
        return AccountRun(
            merchant_id=merchant_id,
            currency=currency,
            cutoff=last_cutoff(
                profile.settlement_schedule,
                at=at,
                zone=self._zone,
                is_business_day=self._is_business_day,
            ),
            verdict=Verdict.HELD if profile.status in HELD_STATUSES else Verdict.DUE,
        )

    async def _settle(
        self, account: AccountRun, profile: MerchantProfile, started_by: str
    ) -> AccountRun:
        """Claim the account's settlement day where something is due; nothing else may refuse it later."""
        due = await self._due(account)
        now = self._clock.now_milliseconds()
        minimum = profile.settlement_minimum
        if not due or would_only_carry_again(due, minimum) or account.cutoff > now:
            return replace(account, verdict=Verdict.NOT_DUE)
        settlement_id = self._identifiers.new(ID_PREFIX)
        command = CreateSettlement(
            settlement_id=settlement_id,
            merchant_id=account.merchant_id,
            merchant_status=profile.status,
            currency=account.currency,
            cutoff=account.cutoff,
            minimum=minimum,
            batch_number=model.batch_number_of(settlement_id),
            chunk_size=self._chunk_size,
            due=due,
            opened_by=started_by,
            requested_at=now,
        )
        answer = await self._driven(
            OperationCall(
                kind=CREATE,
                merchant_id=account.merchant_id,
                actor=job_actor(RUN_JOB),
                key=f"settle:{account.merchant_id}:{account.currency}:{account.cutoff}",
                command=to_json(command),
            )
        )
        settlement = from_json(model.Settlement, answer.result)
        is_new = settlement.settlement_id == settlement_id
        return replace(
            account,
            verdict=Verdict.OPENED if is_new else Verdict.SETTLED_BEFORE,
            settlement_id=settlement.settlement_id,
            line_count=settlement.line_count,
            total=settlement.total,
        )

    async def _driven(self, call: OperationCall) -> Answer:
        """Run a creation to its end: many lines take more than one attempt, and each goes on behind the last.

        Raises:
            TryAgainLater: another executor is still at it, or it did not end in all of the attempts.
        """
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return await self._operations.run(call)
            except TryAgainLater as error:
                await asyncio.sleep(error.retry_after_seconds)
        return await self._operations.run(call)

    async def _due(self, account: AccountRun) -> tuple[DueLine, ...]:
        found = await self._ledger.due_lines(
            merchant_id=account.merchant_id,
            account=merchant_account(account.merchant_id, account.currency),
            cutoff=account.cutoff,
            limit=DUE_LINES_LOOKED_AT,
        )
        return tuple(DueLine(kind=line.kind, amount=line.amount) for line in found)
