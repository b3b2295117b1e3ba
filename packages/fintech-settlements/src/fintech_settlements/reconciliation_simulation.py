"""Reconciliation, simulated: lines are imported twice and racing, differences explained, a month closed."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.jobs import run_once
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.simulation.client import Client, staff
from fintech_kernel.simulation.workload import Action, Script, Workflow
from fintech_kernel.simulation.world import World

from fintech_settlements.domain.bank_lines import BankLine
from fintech_settlements.domain.model import batch_number_of
from fintech_settlements.domain.reconciliation import reconciliation_id_of
from fintech_settlements.domain.reconciling import APPROVE, REJECT, Reconciling

CURRENCY: Final = "KES"
DAY: Final = "2025-10-10"
FEES: Final = f"income:fees:{CURRENCY}"
SUSPENSE: Final = f"suspense:reconciliation:{CURRENCY}"
OVER: Final = 77
"""What the simulated bank takes beyond a payout."""


async def deliver(client: Client) -> None:
    """Deliver what waits, in a process that lives: payouts become expectations."""
    for process in client.world.living()[:1]:
        for job in process.context.events.jobs():
            await asyncio.wait([process.spawn(run_once(job))])


def _line(bank_id: str, amount: int, reference: str) -> BankLine:
    return BankLine(
        bank_account="main",
        bank_id=bank_id,
        booked_on=DAY,
        amount=amount,
        currency=CURRENCY,
        reference=reference,
    )


def _lines(client: Client, *, beyond: int) -> list[BankLine]:
    """Return what a bank tells of every payout that the rail made, and of something else."""
    payouts = client.world.rail.payouts
    told = [_line(one.batch_number, -one.amount - beyond, one.batch_number) for one in payouts]
    return [*told, _line("stray", -13, "card fees")]


async def import_lines(client: Client, lines: list[BankLine], by: str) -> None:
    """Import lines as somebody of the staff."""
    actor = staff(by)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Reconciling).import_lines(lines, actor=actor, call=call)

    await client.ask("settlements.import_bank_lines", actor, send)


async def _import_racing(client: Client) -> None:
    lines = _lines(client, beyond=0)
    await asyncio.gather(
        import_lines(client, lines, "ann"), import_lines(client, list(reversed(lines)), "ben")
    )
    await import_lines(client, lines, "ann")


async def resolve(client: Client, reconciliation_id: str, what: str, by: str) -> None:
    """Explain, approve or reject."""
    actor = staff(by)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        reconciling = context.services.get(Reconciling)
        if what == "resolve":
            return await reconciling.resolve(
                reconciliation_id, account=FEES, reason="simulated", actor=actor, call=call
            )
        kind = APPROVE if what == "approve" else REJECT
        return await reconciling.decide(kind, reconciliation_id, actor=actor, call=call)

    label = {
        "resolve": "settlements.resolve_difference",
        "approve": APPROVE,
        "reject": REJECT,
    }[what]
    await client.ask(label, actor, send)


def _first(client: Client) -> str:
    return reconciliation_id_of(client.notes["settlements"][0][1])


async def _explain(client: Client) -> None:
    """Two propose, one approves what it proposed, another approves while one more line comes in."""
    name = _first(client)
    await resolve(client, name, "resolve", "ann")
    await resolve(client, name, "approve", "ann")
    batch = batch_number_of(client.notes["settlements"][0][1])
    await asyncio.gather(
        resolve(client, name, "approve", "ben"),
        resolve(client, name, "approve", "cleo"),
        import_lines(client, [_line("late", -5, batch)], "ann"),
    )


async def _reject(client: Client) -> None:
    name = _first(client)
    await resolve(client, name, "resolve", "ann")
    await asyncio.gather(
        resolve(client, name, "reject", "ben"), resolve(client, name, "approve", "cleo")
    )


async def import_any(client: Client) -> None:
    """Tell of whatever was paid, sometimes of more than that."""
    beyond = client.world.draw.choice((0, 0, OVER))
    await import_lines(
        client, _lines(client, beyond=beyond), client.world.draw.choice(("ann", "ben"))
    )


async def _close_racing(client: Client) -> None:
    """A month is closed while a payment is captured and another refunded."""
    merchant_id = client.notes["merchants"][0]
    await asyncio.gather(
        client.script("ledger.close_month")(client),
        client.script("payments.create")(client, merchant_id, amount=2_000),
        client.script("payments.step")(client, client.notes["payments"][0], "refund"),
    )


def workflows(*, approved: Script, pay: Script) -> tuple[Workflow, ...]:
    """Return the workflows, on a settlement that ``approved`` makes and ``pay`` pays."""

    async def paid(client: Client) -> None:
        await approved(client)
        await pay(client)
        await deliver(client)

    async def over(client: Client) -> None:
        await paid(client)
        await import_lines(client, _lines(client, beyond=OVER), "ann")

    async def month_over(client: Client) -> None:
        """A paid settlement that the bank told of, a payment, and the month is over."""
        await paid(client)
        told = [one for one in _lines(client, beyond=0) if one.bank_id != "stray"]
        await import_lines(client, told, "ann")
        await client.script("ledger.month_over")(client)

    async def pay_and_tell(client: Client) -> None:
        """The bank tells of a payout while we hear of it."""
        settlement_id = client.notes["settlements"][0][1]
        batch = batch_number_of(settlement_id)
        await asyncio.gather(
            pay(client), import_lines(client, [_line(batch, -4_000, f"PAYOUT {batch}")], "ann")
        )
        await deliver(client)

    imports = ("settlements.import_bank_lines", "settlements.record_bank_line")
    return (
        Workflow(name="settlements.import_racing", kinds=imports, setup=paid, run=_import_racing),
        Workflow(
            name="settlements.expect",
            kinds=("settlements.pay", "settlements.expect_payout", *imports),
            setup=approved,
            run=pay_and_tell,
        ),
        Workflow(
            name="settlements.explain",
            kinds=("settlements.resolve_difference", "settlements.approve_resolution"),
            setup=over,
            run=_explain,
        ),
        Workflow(
            name="settlements.reject_resolution",
            kinds=("settlements.resolve_difference", "settlements.reject_resolution"),
            setup=over,
            run=_reject,
        ),
        Workflow(
            name="settlements.close_racing",
            kinds=("ledger.close_period", "payments.create", "payments.refund"),
            setup=month_over,
            run=_close_racing,
        ),
    )


ACTIONS: Final = (Action(name="settlements.import", weight=1, run=import_any),)


# --- invariants


def suspense_is_open_differences(  # noqa: C901 - one look at streams answers all of it
    world: World,
) -> Iterator[str]:
    """R1: suspense holds what reconciliations leave unexplained; no line counts twice."""
    if any(row["state"] == "running" for row in world.model.rows("operations")):
        return
    held, keys = 0, set[str]()
    for stream in _streams(world).values():
        expected, seq, received, resolved, lines = 0, 0, 0, 0, 0
        proposed: dict[str, Any] | None = None
        for entry in stream:
            told = entry["content"]
            match entry["type"]:
                case "reconciliation.expected" if told["seq"] >= seq:
                    expected, seq = told["amount"], told["seq"]
                case "reconciliation.line_recorded":
                    if told["line_key"] in keys:
                        yield f"{told['line_key']} was recorded twice"
                    keys.add(told["line_key"])
                    received, lines = received - told["amount"], lines + 1
                case "reconciliation.resolution_proposed":
                    proposed = told
                case "reconciliation.resolution_approved":
                    if proposed is None or proposed["proposed_by"] == told["approved_by"]:
                        yield f"{entry['entry_id']}: approved by who proposed, or by nobody"
                    resolved += proposed["amount"] if proposed else 0
                case _:
                    continue
        held += (received - expected if lines else 0) - resolved
    standing = sum(
        row["amount"] * ((row["debit_account"] == SUSPENSE) - (row["credit_account"] == SUSPENSE))
        for row in world.model.rows("ledger_transfers", "WHERE kind = 'Reconciliation'")
    )
    if held != standing:
        yield f"suspense holds {standing}, reconciliations leave {held} unexplained"


def expectations_follow_payouts(world: World) -> Iterator[str]:
    """R2: once all is quiet, every paid settlement is expected at the bank with its total."""
    if any(row["state"] == "running" for row in world.model.rows("operations")):
        return
    if world.model.rows("journal", "WHERE dispatched = 0") or world.model.rows(
        "deliveries", "WHERE state <> 'done'"
    ):
        return
    totals = {
        entry["stream_id"]: entry["content"]["total"]
        for entry in world.entries()
        if entry["type"] == "settlement.opened"
    }
    expected = {
        entry["content"]["settlement_id"]: entry["content"]["amount"]
        for entry in world.entries()
        if entry["type"] == "reconciliation.expected"
    }
    for entry in world.entries():
        settlement_id = entry["stream_id"].partition("/")[2]
        if entry["type"] == "settlement.paid" and settlement_id not in expected:
            yield f"{settlement_id} was paid and is not expected at the bank"
        if entry["type"] == "settlement.paid" and expected.get(settlement_id) not in {
            0,
            totals[entry["stream_id"]],
        }:
            yield f"{settlement_id} is expected with {expected[settlement_id]}"


def _streams(world: World) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in world.entries():
        if entry["type"].startswith("reconciliation."):
            found.setdefault(entry["stream_id"], []).append(entry)
    return found


INVARIANTS: Final = {"R1": suspense_is_open_differences, "R2": expectations_follow_payouts}

PLATFORM_STATEMENTS: Final = frozenset({"settlements.unended"})
