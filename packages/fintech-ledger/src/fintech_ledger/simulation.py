"""The ledger, simulated: days are closed and transfers folded while money moves; two people adjust."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.accounts import bank_account, merchant_account
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.jobs import run_once
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.domain.sealing import Sealer
from fintech_kernel.money import Money
from fintech_kernel.simulation.client import Client, staff
from fintech_kernel.simulation.workload import Action, Script, Workflow, Workload, prepared_by
from fintech_kernel.simulation.world import World

from fintech_ledger.domain.adjustments import Adjustments
from fintech_ledger.domain.check import BooksCheck
from fintech_ledger.domain.closes import JOB, Closes
from fintech_ledger.domain.folds import period_ending
from fintech_ledger.domain.period_closes import Periods

CURRENCY: Final = "KES"
FOLD_SIZE: Final = 2
"""Transfers of one fold: few, so that there are many."""

AMOUNT: Final = 1_200
DAY_SECONDS: Final = 86_400
MONTH_SECONDS: Final = 23 * DAY_SECONDS
"""From the first second of a simulated world to behind its month's end."""

TRIES_MAX: Final = 5
PATIENCE_SECONDS: Final = 30.0
"""How often a close is asked for, and how long an answer is waited for."""


# --- scripts


async def close_yesterday(client: Client) -> None:
    """Close the day before in some process, again until somebody answered: as jobs and operators do."""
    world = client.world
    period = period_ending(int(world.now() * 1_000))
    for _ in range(TRIES_MAX):
        living = world.living()
        if living:
            process = world.draw.choice(living)
            closes = process.context.services.get(Closes)
            closing = process.spawn(closes.close(period, actor=job_actor(JOB)))
            await asyncio.wait([closing], timeout=PATIENCE_SECONDS)
            if closing.done() and not closing.cancelled() and closing.exception() is None:
                return
        await asyncio.sleep(world.draw.choice((0.0, 1.0, 25.0)))


async def close_month(client: Client) -> None:
    """Close the month before: an operator, who comes back until there is an answer."""
    actor = staff("closer")
    now = datetime.fromtimestamp(client.world.now(), UTC)
    name = (now.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Periods).close(
            name, actor=actor, key=call.key, fingerprint=call.fingerprint
        )

    await client.ask("ledger.close_period", actor, send)


async def month_over(client: Client) -> None:
    """Let the month end, deliver what happened in it, and seal it: nothing is in the way of its close."""
    await asyncio.sleep(MONTH_SECONDS)
    process = client.world.processes[0]
    for job in process.context.events.jobs():
        await process.spawn(run_once(job))
    context = process.context
    sealer = Sealer(database=context.database, clock=context.clock, signer=context.signer)
    await process.spawn(sealer.seal())


async def propose(client: Client, *, debit: str = "") -> str | None:
    """Propose an adjustment of a merchant's account; return its id where there is one."""
    actor = staff("ann")
    merchants = client.notes.get("merchants", ["mer_simulated"])
    account = debit or merchant_account(merchants[0], CURRENCY)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Adjustments).propose(
            debit_account=account,
            credit_account=bank_account(CURRENCY),
            amount=Money(amount=AMOUNT, currency=CURRENCY),
            reason="simulated",
            reference="",
            actor=actor,
            call=call,
        )

    answer = await client.ask("ledger.propose_adjustment", actor, send)
    if answer is None or "adjustment_id" not in answer.result:
        return None
    adjustment_id = str(answer.result["adjustment_id"])
    client.note("adjustments", adjustment_id)
    return adjustment_id


async def decide(client: Client, adjustment_id: str, what: str, by: str) -> None:
    """Approve or reject an adjustment."""
    actor = staff(by)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        service = context.services.get(Adjustments)
        act = {"approve": service.approve, "reject": service.reject}[what]
        return await act(adjustment_id, actor=actor, call=call)

    await client.ask(f"ledger.{what}_adjustment", actor, send)


async def fold_everywhere(client: Client) -> None:
    """Run the job that folds in every process at once."""
    jobs = [
        process.spawn(run_once(job))
        for process in client.world.living()
        for job in process.jobs
        if job.name == JOB
    ]
    if jobs:
        await asyncio.wait(jobs)


async def _close_twice(client: Client) -> None:
    """Two closers at once, while the jobs fold, too."""
    await asyncio.gather(close_yesterday(client), close_yesterday(client), fold_everywhere(client))


async def _month_adjusted(client: Client) -> None:
    """Three transfers, and the month is over."""
    await client.prepare("merchants")
    for _ in range(3):
        adjustment_id = await propose(client)
        if adjustment_id is not None:
            await decide(client, adjustment_id, "approve", "ben")
    await propose(client)
    await month_over(client)


async def _close_month_racing(client: Client) -> None:
    """Two close the month while jobs fold and a transfer is posted: nobody waits for anybody."""
    last = client.notes["adjustments"][-1]
    await asyncio.gather(
        close_month(client),
        close_month(client),
        decide(client, last, "approve", "ben"),
        fold_everywhere(client),
    )


async def _proposed(client: Client) -> None:
    await client.prepare("merchants")
    await propose(client)


def _decided(*decisions: tuple[str, str]) -> Script:
    async def run(client: Client) -> None:
        for what, by in decisions:
            await decide(client, client.notes["adjustments"][0], what, by)

    return run


async def _adjusted(client: Client) -> None:
    """Six transfers, then a night: the day is due to be closed."""
    await client.prepare("merchants")
    for _ in range(6):
        adjustment_id = await propose(client)
        if adjustment_id is not None:
            await decide(client, adjustment_id, "approve", "ben")
    await asyncio.sleep(DAY_SECONDS)


async def _propose_any(client: Client) -> None:
    await propose(client)


async def _propose(client: Client) -> None:
    await propose(client, debit="assets:cash:KES")
    await propose(client)


async def _decide_any(client: Client) -> None:
    adjustment_id = client.pick("adjustments")
    if adjustment_id is not None:
        draw = client.world.draw
        what, by = (
            draw.choice(("approve", "approve", "reject")),
            draw.choice(("ann", "ben", "cleo")),
        )
        await decide(client, adjustment_id, what, by)


TABLES: Final = (
    "ledger_transfers",
    "ledger_folds",
    "ledger_fold_lines",
    "ledger_fold_records",
    "ledger_balances",
    "ledger_settlement_lines",
)
"""What the books are: rows of these are added and never taken away."""


async def _close_all(client: Client) -> None:
    """Fold once more, when every clock is right, and let the shipped check replay the books.

    Books that nothing was added to were replayed where the schedule's start was made.
    """
    for process in client.world.processes:
        process.skew_milliseconds = 0
    world = client.world
    process = world.processes[0]
    for job in process.jobs:
        if job.name == JOB:
            await process.spawn(run_once(job))
    if not any(world.model.count(table, "") != world.rows_at_start(table) for table in TABLES):
        return
    context = process.context
    checking = BooksCheck(database=context.database, clock=context.clock, on_progress=_unseen)
    await process.spawn(checking.run())


def _unseen(_part: str, _done: int, _total: int) -> None:
    """Show nobody how far the check is."""


# --- invariants: what transfers make, computed here, against what folds say


def balances_are_their_transfers(world: World) -> Iterator[str]:
    """L1: for every account, recorded fold plus open transfers is the sum of all its transfers."""
    transfers = world.model.rows("ledger_transfers")
    recorded = _recorded(world)
    lines = {
        row["entry_key"]: row["fold"]
        for row in world.model.rows("ledger_fold_lines")
        if not row["marker"]
    }
    replayed: dict[str, list[int]] = {}
    told: dict[str, list[int]] = {}
    for row in world.model.rows("ledger_balances", "ORDER BY fold"):
        if row["fold"] in recorded:
            told[row["account"]] = [row["debits"], row["credits"]]
    for row in transfers:
        is_folded = lines.get(row["transfer_id"]) in recorded
        if not row["is_unfolded"] and not is_folded:
            yield f"{row['transfer_id']} is hidden from balances"
        for side, account in enumerate((row["debit_account"], row["credit_account"])):
            replayed.setdefault(account, [0, 0])[side] += row["amount"]
            if not is_folded:
                told.setdefault(account, [0, 0])[side] += row["amount"]
    for account in sorted(replayed.keys() | told.keys()):
        if replayed.get(account) != told.get(account):
            yield f"{account} says {told.get(account)}, its transfers make {replayed.get(account)}"


def folds_are_a_chain(world: World) -> Iterator[str]:
    """L2: each fold follows from the one before it; marks, counts, balances and totals are its sets'."""
    transfers = {row["transfer_id"]: row for row in world.model.rows("ledger_transfers")}
    records = _recorded(world)
    balances = _balances(world)
    sums: dict[str, list[int]] = {}
    cutoff, until = 0, 0
    for fold in world.model.rows("ledger_folds", "ORDER BY fold"):
        record = records.get(fold["fold"])
        if record is None:
            continue
        if fold["cutoff"] < cutoff or fold["closed_until"] != until:
            yield f"fold {fold['fold']} does not follow from the one before it"
        lines = world.model.rows("ledger_fold_lines", "WHERE marker = 0 AND fold = ?", fold["fold"])
        if len(lines) != record["line_count"] or len(lines) > fold["size"]:
            yield f"fold {fold['fold']} says {record['line_count']} lines and has {len(lines)}"
        moved = [transfers[line["entry_key"]] for line in lines]
        for line, transfer in zip(lines, moved, strict=True):
            if line["prior_period"] != int(transfer["recorded_at"] < until):
                yield f"{line['entry_key']} is marked wrongly"
        for account in _add(sums, moved):
            if balances.get((account, fold["fold"])) != sums[account]:
                yield f"fold {fold['fold']}: {account} is not what its lines make"
        yield from _totals_are(record, sums)
        cutoff = fold["cutoff"]
        until = cutoff if fold["period"] and len(lines) < fold["size"] else until


def _add(sums: dict[str, list[int]], transfers: list[dict[str, Any]]) -> set[str]:
    """Add both sides of transfers; return the accounts that they touch."""
    touched: set[str] = set()
    for transfer in transfers:
        for side, account in enumerate((transfer["debit_account"], transfer["credit_account"])):
            sums.setdefault(account, [0, 0])[side] += transfer["amount"]
            touched.add(account)
    return touched


def _totals_are(record: dict[str, Any], sums: dict[str, list[int]]) -> Iterator[str]:
    totals: list[tuple[str, str, int, int]] = json.loads(record["totals"])
    debits, credited = sum(row[2] for row in totals), sum(row[3] for row in totals)
    if debits != credited:
        yield f"fold {record['fold']}: its trial balance is not zero"
    if debits != sum(pair[0] for pair in sums.values()):
        yield f"fold {record['fold']}: its totals are not what its lines make"


def closes_are_told_once(world: World) -> Iterator[str]:
    """L3: what the journal says was closed is a fold of that period, with the trial balance it hashes."""
    folds = {row["fold"]: row for row in world.model.rows("ledger_folds")}
    periods: set[str] = set()
    for entry in world.entries():
        if entry["type"] != "ledger.closed":
            continue
        told = entry["content"]
        if told["period"] in periods:
            yield f"{told['period']} was closed twice"
        periods.add(told["period"])
        fold = folds.get(told["fold"])
        if fold is None or (fold["period"], fold["cutoff"]) != (told["period"], told["until"]):
            yield f"{told['period']} was closed by fold {told['fold']}, which is another's"


def periods_tell_each_transfer_once(world: World) -> Iterator[str]:
    """L5: months are closed in order, each once, behind the folds of the one before; reasons stop a close."""
    folds = {row["fold"]: row for row in world.model.rows("ledger_folds")}
    records = _recorded(world)
    behind, until = 0, 0
    for entry in world.entries():
        if entry["type"] != "ledger.period_closed":
            continue
        told = entry["content"]
        fold = folds.get(told["fold"])
        if (told["behind_fold"], told["until"] > until) != (behind, True):
            yield f"{told['period']} does not begin where the period before it ends"
        if fold is None or not fold["period"].startswith(told["period"]):
            yield f"{told['period']} was closed by fold {told['fold']}, which is of no day of it"
        elif fold["cutoff"] != told["until"] or records[told["fold"]]["line_count"] >= fold["size"]:
            yield f"{told['period']} was closed by a fold that does not close its last day"
        command = _commands(world)[entry["step_key"].partition(":")[0]]
        if command["reasons"]:
            yield f"{told['period']} was closed over {command['reasons']}"
        behind, until = told["fold"], told["until"]


def _commands(world: World) -> dict[str, dict[str, Any]]:
    return {
        row["operation_id"]: json.loads(row["request"])["command"]
        for row in world.model.rows("operations", "WHERE kind = 'ledger.close_period'")
    }


def adjustments_have_two_people(world: World) -> Iterator[str]:
    """L4: an approved adjustment is one transfer, approved by somebody else; no other is there."""
    proposed: dict[str, dict[str, Any]] = {}
    expected: dict[str, tuple[str, str, int]] = {}
    for entry in world.entries():
        told, stream = entry["content"], entry["stream_id"]
        if entry["type"] == "adjustment.proposed":
            proposed[stream] = told
        elif entry["type"] in {"adjustment.approved", "adjustment.rejected"}:
            person = told.get("approved_by") or told["rejected_by"]
            if person == proposed[stream]["proposed_by"]:
                yield f"{stream} was decided by who proposed it"
        if entry["type"] == "adjustment.approved":
            operation = entry["step_key"].partition(":")[0]
            first = proposed[stream]
            expected[f"{operation}:adjust"] = (
                first["debit_account"],
                first["credit_account"],
                first["amount"]["amount"],
            )
    standing = {
        row["transfer_id"]: (row["debit_account"], row["credit_account"], row["amount"])
        for row in world.model.rows("ledger_transfers", "WHERE kind = 'Adjustment'")
    }
    for key in sorted(expected.keys() | standing.keys()):
        if expected.get(key) != standing.get(key):
            yield f"{key}: journal means {expected.get(key)}, ledger has {standing.get(key)}"


def _recorded(world: World) -> dict[int, dict[str, Any]]:
    return {row["fold"]: row for row in world.model.rows("ledger_fold_records")}


def _balances(world: World) -> dict[tuple[str, int], list[int]]:
    return {
        (row["account"], row["fold"]): [row["debits"], row["credits"]]
        for row in world.model.rows("ledger_balances")
    }


WORKLOAD: Final = Workload(
    name="ledger",
    settings={"ledger_fold_size": FOLD_SIZE, "ledger_close_after_seconds": 60},
    closing=_close_all,
    platform_statements=frozenset(
        {
            "ledger.open_transfer",
            "ledger.claim_fold",
            "ledger.fold_lines",
            "ledger.folded_hints",
            "ledger.clear_folded",
            "ledger.check_counts",
            "ledger.check_transfers",
            "ledger.check_lines",
            "ledger.check_account",
            "ledger.account_names",
            "ledger.balances",
            "ledger.trial_balance",
        }
    ),
    workflows=(
        Workflow(
            name="ledger.close",
            kinds=("ledger.close",),
            setup=_adjusted,
            run=_close_twice,
        ),
        Workflow(
            name="ledger.close_period",
            kinds=("ledger.close_period",),
            setup=_month_adjusted,
            run=_close_month_racing,
        ),
        Workflow(
            name="ledger.propose",
            kinds=("ledger.propose_adjustment",),
            setup=prepared_by("merchants"),
            run=_propose,
        ),
        Workflow(
            name="ledger.approve",
            kinds=("ledger.approve_adjustment",),
            setup=_proposed,
            run=_decided(("approve", "ann"), ("approve", "ben"), ("approve", "cleo")),
        ),
        Workflow(
            name="ledger.reject",
            kinds=("ledger.reject_adjustment",),
            setup=_proposed,
            run=_decided(("reject", "ann"), ("reject", "ben"), ("approve", "cleo")),
        ),
    ),
    actions=(
        Action(name="ledger.fold", weight=2, run=fold_everywhere),
        Action(name="ledger.close", weight=1, run=close_yesterday),
        Action(name="ledger.propose", weight=1, run=_propose_any),
        Action(name="ledger.decide", weight=1, run=_decide_any),
    ),
    invariants={
        "L1": balances_are_their_transfers,
        "L2": folds_are_a_chain,
        "L3": closes_are_told_once,
        "L4": adjustments_have_two_people,
        "L5": periods_tell_each_transfer_once,
    },
    scripts={"close_month": close_month, "month_over": month_over},
    forget=lambda context: context.close_checks.forget(),
)
