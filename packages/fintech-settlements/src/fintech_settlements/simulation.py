"""Settlements, simulated: claim what is due, approve, pay, cancel, carry over, and what rails say late."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

from fintech_dbclient import DatabaseError
from fintech_kernel.context import AppContext
from fintech_kernel.domain.jobs import run_once
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.errors import TryAgainLater
from fintech_kernel.simulation.client import Client, staff
from fintech_kernel.simulation.processes import Process, ProcessKilled
from fintech_kernel.simulation.rail import IN_FLIGHT_LIMIT_SECONDS, NAME
from fintech_kernel.simulation.workload import (
    Action,
    Script,
    Workflow,
    Workload,
    prepared_by,
)
from fintech_kernel.simulation.world import World

from fintech_settlements import reconciliation_simulation as reconciliation
from fintech_settlements.domain.callbacks import PayoutCallbacks
from fintech_settlements.domain.decisions import CLOCKS_APART_SECONDS
from fintech_settlements.domain.payouts import Payouts
from fintech_settlements.domain.runs import Runs
from fintech_settlements.domain.service import Settlements
from fintech_settlements.domain.statements import LineHashes

CURRENCY: Final = "KES"
CHUNK_SIZE: Final = 2
"""Lines of one claiming statement: few, so that a set has several chunks."""

CLOCKS_APART_SECONDS_MAX: Final = 1_300.0
"""How far apart two processes' clocks can be: what one calls due, the other may call early."""

FAILING_AMOUNT: Final = 1_074
"""A sale whose net amount the rail refuses to pay: it ends in 13."""

LATE_AMOUNT: Final = 1_080
VERY_LATE_AMOUNT: Final = 1_082
LOST_AMOUNT: Final = 1_089
"""Sales whose net amounts end in 19, 21 and 27: told later, much later, never seen by the rail."""

SECONDS_PER_DAY: Final = 86_400
SOON_SECONDS: Final = 7_200
"""Questions up to the hourly one are waited for after each schedule; days pass at its very end."""

DAYS_MAX: Final = 3
"""Days that pass at the end before people end what no rail answers."""

GIVE_UP_SECONDS: Final = IN_FLIGHT_LIMIT_SECONDS + CLOCKS_APART_SECONDS + 1_300
"""How long the second person waits, by whatever clock."""

TELLINGS_MAX: Final = 12
"""How often a rail sends one callback before it waits for better times."""

JOBS: Final = frozenset({"settlements.resolve", "settlements.run"})
"""What these workflows wait for; other plugins' jobs are struck in workflows of their own."""

AFTER: Final[dict[str, tuple[frozenset[str], str]]] = {
    "settlement.opened": (frozenset({""}), "open"),
    "settlement.closed": (frozenset({"open"}), "closed"),
    "settlement.approved": (frozenset({"open"}), "approved"),
    "settlement.paying": (frozenset({"approved"}), "paying"),
    "settlement.payout_opened": (frozenset({"paying"}), ""),
    "settlement.failure_requested": (frozenset({"paying"}), ""),
    "settlement.payout_answered": (frozenset({"paid", "failed", "returned"}), ""),
    "settlement.payout_contradicted": (frozenset({"paid"}), ""),
    "settlement.paid_after_failure": (frozenset({"failed"}), ""),
    "settlement.returned": (frozenset({"paid"}), "returned"),
    "settlement.paid": (frozenset({"paying"}), "paid"),
    "settlement.failed": (frozenset({"paying"}), "failed"),
    "settlement.canceled": (frozenset({"open", "approved"}), "canceled"),
}
"""From which states each event may come, and where it leads; empty: nowhere else."""


async def create(client: Client, merchant_id: str) -> str | None:
    """Settle what is due to a merchant now; return the settlement's id where there is one."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Settlements).create(
            merchant_id=merchant_id, currency=CURRENCY, cutoff=None, actor=actor, call=call
        )

    answer = await client.ask("settlements.create", actor, send)
    if answer is None or "settlement_id" not in answer.result:
        return None
    settlement_id = str(answer.result["settlement_id"])
    client.note("settlements", (merchant_id, settlement_id))
    return settlement_id


async def step(client: Client, settlement: tuple[str, str], what: str) -> Answer | None:
    """Approve, pay or cancel a settlement."""
    merchant_id, settlement_id = settlement
    actor = staff("payer" if what == "pay" else "staff")

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        service = context.services.get(Settlements)
        payouts = context.services.get(Payouts)
        act = {"approve": service.approve, "pay": payouts.pay, "cancel": service.cancel}[what]
        return await act(settlement_id, merchant_id=merchant_id, actor=actor, call=call)

    return await client.ask(f"settlements.{what}", actor, send)


async def say(
    client: Client, settlement: tuple[str, str], what: str, *, by: str = "staff"
) -> Answer | None:
    """Say what became of a payout: confirm it, give it up (or agree to that), return it."""
    merchant_id, settlement_id = settlement
    actor = staff(by)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        payouts = context.services.get(Payouts)
        if what == "confirm":
            return await payouts.confirm(
                settlement_id, bank_reference="FT1", merchant_id=merchant_id, actor=actor, call=call
            )
        if what == "fail":
            return await payouts.fail(
                settlement_id, reason="lost", merchant_id=merchant_id, actor=actor, call=call
            )
        return await payouts.record_return(
            settlement_id,
            return_code="account_closed",
            reference="FT2",
            merchant_id=merchant_id,
            actor=actor,
            call=call,
        )

    return await client.ask(f"settlements.{what}", actor, send)


async def run_all(client: Client) -> None:
    """Ask for a run over all merchants, and let every process do it at once."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Runs).request(cutoff=None, actor=actor, call=call)

    await client.ask("settlements.run", actor, send)
    await run_jobs(client.world.living())


async def run_jobs(processes: list[Process]) -> None:
    """Let processes run our jobs, at once."""
    tasks = [
        process.spawn(run_once(job))
        for process in processes
        for job in process.jobs
        if job.name in JOBS
    ]
    if tasks:
        await asyncio.wait(tasks)


def _sold(*amounts: int) -> Script:
    async def run(client: Client) -> None:
        await client.prepare("merchants")
        for amount in amounts:
            await client.script("payments.create")(
                client, client.notes["merchants"][0], amount=amount
            )

    return run


async def _settle_first(client: Client) -> None:
    await create(client, client.notes["merchants"][0])


def _sold_later(amount: int) -> Script:
    """Sell something of the second merchant's, whose sales are due a day later."""

    async def run(client: Client) -> None:
        await client.script("payments.create")(client, client.notes["merchants"][1], amount=amount)

    return run


async def _settle_second(client: Client) -> None:
    await create(client, client.notes["merchants"][1])


def _opened(*amounts: int) -> Script:
    async def run(client: Client) -> None:
        await _sold(*amounts)(client)
        await _settle_first(client)

    return run


def _approved(*amounts: int) -> Script:
    async def run(client: Client) -> None:
        await _opened(*amounts)(client)
        await step(client, client.notes["settlements"][0], "approve")

    return run


def _steps(*steps: str) -> Script:
    async def run(client: Client) -> None:
        for what in steps:
            await step(client, client.notes["settlements"][0], what)

    return run


def _says(*said: str, by: str = "staff") -> Script:
    async def run(client: Client) -> None:
        for what in said:
            await say(client, client.notes["settlements"][0], what, by=by)

    return run


def _then(*scripts: Script) -> Script:
    async def run(client: Client) -> None:
        for script in scripts:
            await script(client)

    return run


def _waits(seconds: float) -> Script:
    async def run(client: Client) -> None:
        del client
        await asyncio.sleep(seconds)

    return run


def _asks_after(seconds: float) -> Script:
    """Wait, and let one process ask the rail."""

    async def run(client: Client) -> None:
        await asyncio.sleep(seconds)
        await run_jobs(client.world.living()[:1])

    return run


_give_up: Final = _then(_says("fail"), _waits(GIVE_UP_SECONDS), _says("fail", by="second"))


async def _contradict(client: Client) -> None:
    """Let the rail pay what it refused, and tell so."""
    world = client.world
    for key, known in list(world.rail.keys.items()):
        world.rail.pay_after_all(key)
        await _tell(client, key, known.payout.batch_number, "approved")


async def _send_back(client: Client) -> None:
    """Let the rail tell, twice, that what it paid came back."""
    for key, known in list(client.world.rail.keys.items()):
        for _ in range(2):
            await _tell(client, key, known.payout.batch_number, "returned")


async def _tell(client: Client, key: str, batch_number: str, outcome: str) -> None:
    """Send a callback until it is acknowledged."""
    event = {
        "event_id": f"{key}:{outcome}",
        "key": key,
        "batch_number": batch_number,
        "outcome": outcome,
    }
    body = json.dumps(event).encode()
    for _ in range(TELLINGS_MAX):
        living = client.world.living()
        if living:
            process = client.world.draw.choice(living)
            callbacks = process.context.services.get(PayoutCallbacks)
            task = process.spawn(callbacks.receive(NAME, headers={}, body=body))
            await asyncio.wait([task])
            error = ProcessKilled() if task.cancelled() else task.exception()
            if error is None:
                return
            if not isinstance(error, TryAgainLater | DatabaseError | ProcessKilled):
                raise error
        await asyncio.sleep(30)


async def _settle_twice(client: Client) -> None:
    await _settle_first(client)
    await client.script("payments.create")(client, client.notes["merchants"][0], amount=3_000)
    await _settle_first(client)


async def _cancel_and_settle(client: Client) -> None:
    await _steps("cancel")(client)
    await _settle_first(client)


async def _refunded_below_zero(client: Client) -> None:
    """A paid-out merchant whose payment is then refunded: the next set is negative."""
    await _approved(8_000)(client)
    await _steps("pay")(client)
    await client.script("payments.step")(client, client.notes["payments"][0], "refund")


async def _create_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await create(client, merchant_id)


async def _step_any(client: Client) -> None:
    settlement = client.pick("settlements")
    if settlement is not None:
        what = client.world.draw.choice(("approve", "approve", "pay", "pay", "cancel"))
        await step(client, settlement, what)


async def _say_any(client: Client) -> None:
    """Say something of a payout; only what the rail paid is confirmed or comes back."""
    settlement = client.pick("settlements")
    if settlement is None:
        return
    batch = settlement[1].replace("_", "").upper()
    is_paid = any(payout.batch_number == batch for payout in client.world.rail.payouts)
    draw = client.world.draw
    what = draw.choice(("confirm", "return", "fail") if is_paid else ("fail",))
    await say(client, settlement, what, by=draw.choice(("staff", "second")))


async def _prepare(client: Client) -> None:
    merchant_id = client.notes["merchants"][0]
    if await create(client, merchant_id):
        await step(client, client.notes["settlements"][0], "approve")
    for amount in (1_000, 1_500, 2_000):
        await client.script("payments.create")(client, merchant_id, amount=amount)


def _unclaimed(world: World, *, within_seconds: float = 0) -> list[dict[str, Any]]:
    """Return transfers of merchants' accounts that are (soon) due and that no line or marker names."""
    claimed = {row["line_key"] for row in world.model.rows("ledger_settlement_lines")}
    until = (world.now() + within_seconds) * 1_000
    return [
        row
        for row in world.model.rows("ledger_transfers")
        if row["transfer_id"] not in claimed
        and row["available_on"] <= until
        and row["kind"] != "Carryover"
        and f"liabilities:merchant:{row['merchant_id']}:{CURRENCY}"
        in {row["debit_account"], row["credit_account"]}
    ]


async def _close_all(client: Client) -> None:
    """Settle whatever is due: afterwards nothing may be left that no settlement has."""
    world = client.world
    for process in world.processes:
        process.skew_milliseconds = 0
    if _unclaimed(world, within_seconds=CLOCKS_APART_SECONDS_MAX):
        await asyncio.sleep(CLOCKS_APART_SECONDS_MAX)
    held = {
        row["merchant_id"]
        for row in world.model.rows("merchants_merchants", "WHERE status = 'suspended'")
    }
    await _end_payouts(client)
    for merchant_id in sorted({row["merchant_id"] for row in _unclaimed(world)}):
        if merchant_id in held:
            await client.script("merchants.change")(client, merchant_id, "activate")
        await create(client, merchant_id)


async def _end_payouts(client: Client) -> None:
    """Let days pass until rails have answered what they ever will; people end what is left."""
    world = client.world
    for _ in range(DAYS_MAX):
        if not world.model.count("settlements_settlements", "WHERE next_ask_at > 0"):
            break
        await asyncio.sleep(SECONDS_PER_DAY)
        await run_jobs(world.living()[:1])
    for row in world.model.rows("settlements_settlements", "WHERE status = 'paying'"):
        settlement = (row["merchant_id"], row["settlement_id"])
        for by in ("staff", "second", "third"):
            await say(client, settlement, "fail", by=by)
            await asyncio.sleep(GIVE_UP_SECONDS)


def _is_quiet(world: World) -> bool:
    """Whether no rail is to be asked soon, and no run is to be done."""
    soon = int(world.now() * 1_000) + SOON_SECONDS * 1_000
    count = world.model.count
    return not count("settlements_settlements", "WHERE next_ask_at <= ?", soon) and not count(
        "settlements_runs", "WHERE status = 'requested'"
    )


# --- invariants


def _transfers(world: World) -> dict[str, dict[str, Any]]:
    return {row["transfer_id"]: row for row in world.model.rows("ledger_transfers")}


def _settlements(world: World) -> dict[str, dict[str, Any]]:
    """Return settlements as their journal tells them."""
    found: dict[str, dict[str, Any]] = {}
    for row in world.entries():
        if not row["type"].startswith("settlement."):
            continue
        data: dict[str, Any] = row["content"]
        settlement_id = row["stream_id"].partition("/")[2]
        if row["type"] == "settlement.opened":
            found[settlement_id] = {
                **data,
                "status": "",
                "faults": [],
                "carried": None,
                "is_confirmed": False,
            }
        one = found[settlement_id]
        allowed, after = AFTER[row["type"]]
        is_back = row["type"] == "settlement.returned" and _is_owed(one)
        if one["status"] not in allowed and not is_back:
            one["faults"].append(f"{row['entry_id']}: {row['type']} after {one['status']!r}")
        one["status"] = one["status"] if is_back else after or one["status"]
        if row["type"] in one.get("operations", {}):
            one["faults"].append(f"{row['entry_id']}: {row['type']} twice")
        one["is_confirmed"] |= bool(data.get("confirmed_by"))
        one.setdefault("operations", {})[row["type"]] = row["step_key"].partition(":")[0]
        if row["type"] == "settlement.closed":
            one["carried"] = data["carried"]
    return found


def _is_owed(settlement: dict[str, Any]) -> bool:
    """Whether the rail paid what stands as failed."""
    return "settlement.paid_after_failure" in settlement["operations"]


def lines_are_claimed_once(  # noqa: C901, PLR0912 - one look at lines answers all of it
    world: World,
) -> Iterator[str]:
    """I7: a line in one settlement at most; total and count are its lines'; lines are of the account."""
    transfers = _transfers(world)
    settlements = _settlements(world)
    sums: dict[str, list[int]] = {}
    claimed: set[str] = set()
    for line in world.model.rows("ledger_settlement_lines"):
        if line["marker"]:
            continue
        settlement_id, key = line["settlement_id"], line["line_key"]
        if key in claimed:
            yield f"{key} is claimed twice"
        claimed.add(key)
        transfer = transfers.get(key)
        if transfer is None:
            yield f"{key} is a line and no transfer"
            continue
        account = f"liabilities:merchant:{line['merchant_id']}:{CURRENCY}"
        sign = (transfer["credit_account"] == account) - (transfer["debit_account"] == account)
        if line["amount"] != sign * transfer["amount"] or not sign:
            yield f"{key}: line of {line['amount']}, transfer of {sign * transfer['amount']}"
        one = settlements.get(settlement_id)
        if one is not None and transfer["available_on"] > one["cutoff"]:
            yield f"{key} was claimed before it was due"
        sums.setdefault(settlement_id, []).append(line["amount"])
    for settlement_id, one in settlements.items():
        yield from one["faults"]
        lines = sums.get(settlement_id, [])
        if (one["line_count"], one["total"]) != (len(lines), sum(lines)):
            says, has = (one["line_count"], one["total"]), (len(lines), sum(lines))
            yield f"{settlement_id} says {says} (lines, total), its lines are {has}"
    for settlement_id in sums.keys() - settlements.keys():
        yield f"{settlement_id} has lines and is no settlement"
    if not any(row["state"] == "running" for row in world.model.rows("operations")):
        for row in _unclaimed(world):
            yield f"{row['transfer_id']} is due and in no settlement"
    for one in settlements.values():
        own = f"{one['operations']['settlement.opened']}:settle"
        if own in claimed:
            yield f"{own} is a settlement's own transfer and another's line"


def moves_follow_the_journal(  # noqa: C901 - one arm per event that moves money
    world: World,
) -> Iterator[str]:
    """I1: what settlements moved in the ledger is what their journal means."""
    expected: dict[str, tuple[str, str, int]] = {}
    for settlement_id, one in _settlements(world).items():
        merchant = f"liabilities:merchant:{one['merchant_id']}:{CURRENCY}"
        own = f"liabilities:settlement:{settlement_id}:{CURRENCY}"
        total, operations = one["total"], one["operations"]
        if not total:
            continue
        takes = (merchant, own) if total > 0 else (own, merchant)
        opened = operations["settlement.opened"]
        expected[f"{opened}:settle"] = (takes[0], takes[1], abs(total))
        if "settlement.closed" in operations:
            expected[f"{opened}:carry"] = (takes[1], takes[0], abs(total))
        if "settlement.paid" in operations:
            operation = operations["settlement.paid"]
            expected[f"{operation}:payout"] = (own, f"assets:bank:{CURRENCY}", total)
        for event in ("settlement.failed", "settlement.canceled"):
            if event in operations:
                expected[f"{operations[event]}:return"] = (own, merchant, total)
        bank = f"assets:bank:{CURRENCY}"
        if "settlement.returned" in operations:
            expected[f"{operations['settlement.returned']}:returned"] = (bank, merchant, total)
        if _is_owed(one):
            operation = operations["settlement.paid_after_failure"]
            expected[f"{operation}:receivable"] = (merchant, bank, total)
    standing = {
        key: (row["debit_account"], row["credit_account"], row["amount"])
        for key, row in _transfers(world).items()
        if row["kind"] in {"Settlement", "Carryover", "Payout", "PayoutFailed", "Receivable"}
    }
    for key in sorted(expected.keys() | standing.keys()):
        if expected.get(key) != standing.get(key):
            yield f"{key}: journal means {expected.get(key)}, ledger has {standing.get(key)}"


def rail_agrees(world: World) -> Iterator[str]:
    """I12: the rail paid each settlement once at most: what stands as paid, or as owed since it failed.

    What people confirmed need not be the rail's; they know it from the bank.
    """
    ours: dict[str, tuple[str, int]] = {}
    confirmed: set[str] = set()
    for settlement_id, one in _settlements(world).items():
        if one["status"] == "paying":
            yield f"{settlement_id}: its payout has no end"
        if one["status"] in {"paid", "returned"} or _is_owed(one):
            operation = one["operations"]["settlement.paying"]
            ours[one["batch_number"]] = (f"{operation}:pay", one["total"])
        if one["is_confirmed"]:
            confirmed.add(one["batch_number"])
    theirs: dict[str, tuple[str, int]] = {}
    for payout in world.rail.payouts:
        if payout.batch_number in theirs:
            yield f"{payout.batch_number} was paid twice"
        theirs[payout.batch_number] = (payout.key, payout.amount)
    for batch in sorted(ours.keys() | theirs.keys()):
        if batch not in theirs and batch in confirmed:
            continue
        if ours.get(batch) != theirs.get(batch):
            yield f"{batch}: ours {ours.get(batch)}, the rail's {theirs.get(batch)}"
    yield from world.rail.faults


def lists_are_true(world: World) -> Iterator[str]:
    """S1: the list shows every settlement as its journal ends, and its owner is known."""
    shown = {row["settlement_id"]: row for row in world.model.rows("settlements_settlements")}
    owners = {
        row["settlement_id"]: row["merchant_id"] for row in world.model.rows("settlements_owners")
    }
    for settlement_id, one in _settlements(world).items():
        row = shown.get(settlement_id)
        if row is None or row["status"] != one["status"]:
            yield f"{settlement_id} is {one['status']}, listed as {row['status'] if row else None}"
        if owners.get(settlement_id) != one["merchant_id"]:
            yield f"{settlement_id} is owned by {owners.get(settlement_id)}"


WORKLOAD: Final = Workload(
    name="settlements",
    settings={
        "settlements_rail": NAME,
        "settlements_chunk_size": CHUNK_SIZE,
        "settlements_two_people_above": 20_000,
        "settlements_automatic": False,
    },
    prepare=_prepare,
    closing=_close_all,
    is_quiet=_is_quiet,
    forget=lambda context: context.services.get(LineHashes).forget(),
    platform_statements=frozenset(
        {
            "ledger.due_accounts",
            "settlements.of_platform",
            "settlements.open_payouts",
            "settlements.owners.by_id",
            "settlements.sandbox.untold",
        }
    )
    | reconciliation.PLATFORM_STATEMENTS,
    workflows=(
        Workflow(
            name="settlements.create",
            kinds=("settlements.create",),
            setup=_sold(2_000, 3_000, 1_500),
            run=_settle_first,
        ),
        Workflow(
            name="settlements.create_twice",
            kinds=("settlements.create",),
            setup=_sold(2_000, 3_000),
            run=_settle_twice,
        ),
        Workflow(
            name="settlements.not_yet_due",
            kinds=("settlements.create",),
            setup=_then(prepared_by("merchants"), _sold_later(2_000)),
            run=_then(
                _waits(SECONDS_PER_DAY + CLOCKS_APART_SECONDS_MAX),
                _sold_later(3_000),
                _settle_second,
            ),
        ),
        Workflow(
            name="settlements.nothing_due",
            kinds=("settlements.create",),
            setup=prepared_by("merchants"),
            run=_settle_first,
        ),
        Workflow(
            name="settlements.below_the_minimum",
            kinds=("settlements.create",),
            setup=_sold(300),
            run=_settle_twice,
        ),
        Workflow(
            name="settlements.negative",
            kinds=("settlements.create",),
            setup=_refunded_below_zero,
            run=_settle_twice,
        ),
        Workflow(
            name="settlements.approve",
            kinds=("settlements.approve",),
            setup=_opened(4_000),
            run=_steps("approve", "approve"),
        ),
        Workflow(
            name="settlements.pay",
            kinds=("settlements.pay",),
            setup=_approved(4_000),
            run=_steps("pay", "cancel"),
        ),
        Workflow(
            name="settlements.pay_fails",
            kinds=("settlements.pay", "settlements.create"),
            setup=_approved(FAILING_AMOUNT),
            run=_steps("pay"),
        ),
        Workflow(
            name="settlements.cancel",
            kinds=("settlements.cancel", "settlements.create"),
            setup=_approved(4_000, 2_500),
            run=_cancel_and_settle,
        ),
        Workflow(
            name="settlements.run",
            kinds=("settlements.run", "settlements.create"),
            setup=_then(_sold(2_000, 3_000, 1_500), _waits(SECONDS_PER_DAY)),
            run=run_all,
        ),
        Workflow(
            name="settlements.pay_learned_later",
            kinds=("settlements.pay", "settlements.resolve"),
            setup=_approved(LATE_AMOUNT),
            run=_then(_steps("pay"), _asks_after(700)),
        ),
        Workflow(
            name="settlements.confirm",
            kinds=("settlements.pay", "settlements.confirm"),
            setup=_approved(LOST_AMOUNT),
            run=_then(_steps("pay"), _says("confirm", "confirm")),
        ),
        Workflow(
            name="settlements.give_up",
            kinds=("settlements.pay", "settlements.fail", "settlements.create"),
            setup=_approved(LOST_AMOUNT),
            run=_then(_steps("pay"), _give_up, _settle_first),
        ),
        Workflow(
            name="settlements.paid_after_failure",
            kinds=("settlements.fail", "settlements.resolve"),
            setup=_then(_approved(VERY_LATE_AMOUNT), _steps("pay")),
            run=_then(_give_up, _asks_after(SECONDS_PER_DAY), _settle_first),
        ),
        Workflow(
            name="settlements.recover",
            kinds=("settlements.recover",),
            setup=_then(_approved(FAILING_AMOUNT), _steps("pay")),
            run=_then(_contradict, _contradict),
        ),
        Workflow(
            name="settlements.return",
            kinds=("settlements.return", "settlements.create"),
            setup=_then(_approved(4_000), _steps("pay")),
            run=_then(_says("return", "return"), _settle_first),
        ),
        Workflow(
            name="settlements.sent_back",
            kinds=("settlements.return",),
            setup=_then(_approved(4_000), _steps("pay")),
            run=_send_back,
        ),
        *reconciliation.workflows(approved=_approved(4_000), pay=_steps("pay")),
    ),
    actions=(
        Action(name="settlements.create", weight=5, run=_create_any),
        Action(name="settlements.step", weight=7, run=_step_any),
        Action(name="settlements.say", weight=3, run=_say_any),
        *reconciliation.ACTIONS,
    ),
    invariants={
        "I1s": moves_follow_the_journal,
        "I7": lines_are_claimed_once,
        "I12s": rail_agrees,
        "S1": lists_are_true,
        **reconciliation.INVARIANTS,
    },
)
