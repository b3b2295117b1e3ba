"""Settlements, simulated: claim what is due, approve, pay, cancel, carry over."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.simulation.client import Client, staff
from fintech_kernel.simulation.rail import NAME
from fintech_kernel.simulation.workload import (
    Action,
    Script,
    Workflow,
    Workload,
    prepared_by,
)
from fintech_kernel.simulation.world import World

from fintech_settlements.domain.service import Settlements

CURRENCY: Final = "KES"
CHUNK_SIZE: Final = 2
"""Lines of one claiming statement: few, so that a set has several chunks."""

CLOCKS_APART_SECONDS_MAX: Final = 1_300.0
"""How far apart two processes' clocks can be: what one calls due, the other may call early."""

FAILING_AMOUNT: Final = 1_074
"""A sale whose net amount the rail refuses to pay: it ends in 13."""

AFTER: Final[dict[str, tuple[frozenset[str], str]]] = {
    "settlement.opened": (frozenset({""}), "open"),
    "settlement.closed": (frozenset({"open"}), "closed"),
    "settlement.approved": (frozenset({"open"}), "approved"),
    "settlement.paying": (frozenset({"approved"}), "paying"),
    "settlement.paid": (frozenset({"paying"}), "paid"),
    "settlement.failed": (frozenset({"paying"}), "failed"),
    "settlement.canceled": (frozenset({"open", "approved"}), "canceled"),
}
"""From which states each event may come, and where it leads."""


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
        act = {"approve": service.approve, "pay": service.pay, "cancel": service.cancel}[what]
        return await act(settlement_id, merchant_id=merchant_id, actor=actor, call=call)

    return await client.ask(f"settlements.{what}", actor, send)


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
    for merchant_id in sorted({row["merchant_id"] for row in _unclaimed(world)}):
        if merchant_id in held:
            await client.script("merchants.change")(client, merchant_id, "activate")
        await create(client, merchant_id)


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
            found[settlement_id] = {**data, "status": "", "faults": [], "carried": None}
        one = found[settlement_id]
        allowed, after = AFTER[row["type"]]
        if one["status"] not in allowed:
            one["faults"].append(f"{row['entry_id']}: {row['type']} after {one['status']!r}")
        one["status"] = after
        one.setdefault("operations", {})[row["type"]] = row["step_key"].partition(":")[0]
        if row["type"] == "settlement.closed":
            one["carried"] = data["carried"]
    return found


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


def moves_follow_the_journal(world: World) -> Iterator[str]:
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
    standing = {
        key: (row["debit_account"], row["credit_account"], row["amount"])
        for key, row in _transfers(world).items()
        if row["kind"] in {"Settlement", "Carryover", "Payout", "PayoutFailed"}
    }
    for key in sorted(expected.keys() | standing.keys()):
        if expected.get(key) != standing.get(key):
            yield f"{key}: journal means {expected.get(key)}, ledger has {standing.get(key)}"


def rail_agrees(world: World) -> Iterator[str]:
    """I12: the rail paid what our journal says was paid, each settlement once at most."""
    ours = {
        one["batch_number"]: (f"{one['operations']['settlement.paid']}:pay", one["total"])
        for one in _settlements(world).values()
        if one["status"] == "paid"
    }
    theirs: dict[str, tuple[str, int]] = {}
    for payout in world.rail.payouts:
        if payout.batch_number in theirs:
            yield f"{payout.batch_number} was paid twice"
        theirs[payout.batch_number] = (payout.key, payout.amount)
    for batch in sorted(ours.keys() | theirs.keys()):
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
    },
    prepare=_prepare,
    closing=_close_all,
    platform_statements=frozenset({"settlements.owners.by_id", "settlements.of_platform"}),
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
    ),
    actions=(
        Action(name="settlements.create", weight=5, run=_create_any),
        Action(name="settlements.step", weight=7, run=_step_any),
    ),
    invariants={
        "I1s": moves_follow_the_journal,
        "I7": lines_are_claimed_once,
        "I12s": rail_agrees,
        "S1": lists_are_true,
    },
)
