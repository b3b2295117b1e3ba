"""Loyalty, simulated: points are earned by payments, taken back by refunds, redeemed; under every fault.

Merchants and payments come from their own workloads, asked for by name.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.jobs import run_once
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.simulation.client import Client, merchant_actor
from fintech_kernel.simulation.workload import (
    Action,
    Script,
    Workflow,
    Workload,
    prepared_by,
)
from fintech_kernel.simulation.world import World

from fintech_loyalty.domain.service import Loyalty

CUSTOMER: Final = "c_1017"
MINOR_UNITS: Final = 100
"""Of a whole unit of the simulated currency, KES."""

AMOUNT: Final = 10_050
POINTS: Final = 100

DELIVERIES: Final = (
    "events.dispatch",
    "events.deliver:loyalty.captures",
    "events.deliver:loyalty.refunds",
)
"""The jobs that bring events to loyalty."""

LEASE_SECONDS: Final = 20
"""Longer than a delivery is left alone with whoever took it."""


async def redeem(client: Client, merchant_id: str, points: int) -> Answer | None:
    """Redeem a customer's points."""
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Loyalty).redeem(
            CUSTOMER, points, merchant_id=merchant_id, actor=actor, call=call
        )

    return await client.ask(f"loyalty.redeem {points}", actor, send)


async def _pay(client: Client, merchant_id: str, amount: int = AMOUNT) -> None:
    await client.script("payments.create")(
        client, merchant_id, amount=amount, metadata={"customer": CUSTOMER}
    )


async def _paid(client: Client) -> None:
    await client.prepare("merchants")
    await _pay(client, client.notes["merchants"][0])


async def _deliver(client: Client) -> None:
    """Let two processes bring events, one after the other: the second finds what the first left."""
    for process in client.world.living()[:2]:
        for job in process.context.events.jobs():
            if job.name in DELIVERIES:
                await asyncio.wait([process.spawn(run_once(job))])
        await asyncio.sleep(LEASE_SECONDS)


async def _pay_and_refund(client: Client) -> None:
    """Earn points and lose some, delivered under faults."""
    await _pay(client, client.notes["merchants"][0])
    for payment in client.notes.get("payments", ()):
        await client.script("payments.step")(client, payment, "refund", 4_025)
    await _deliver(client)


def _redeems(*points: int) -> Script:
    async def run(client: Client) -> None:
        for one in points:
            await redeem(client, client.notes["merchants"][0], one)

    return run


async def _refund_and_redeem(client: Client) -> None:
    """Refund in two parts and redeem in between: what was spent is owed afterwards."""
    payment = client.notes["payments"][0]
    await client.script("payments.step")(client, payment, "refund", 4_025)
    await redeem(client, client.notes["merchants"][0], 50)
    await client.script("payments.step")(client, payment, "refund", None)


async def _pay_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await _pay(client, merchant_id, client.world.draw.choice((99, 700, 5_050, AMOUNT)))


async def _redeem_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await redeem(client, merchant_id, client.world.draw.choice((5, 10, 40, POINTS)))


# --- invariants, judged by other code than the one that is judged


@dataclass(slots=True)
class _Kept:
    """What a payment keeps, as its entries tell it."""

    has_customer: bool
    kept: int = 0
    requested: dict[str, int] = field(default_factory=dict[str, int])


def points_are_what_payments_keep(world: World) -> Iterator[str]:
    """Y1: every payment's rows add up to one point for each whole unit that it keeps."""
    payments: dict[str, _Kept] = {}
    for row in world.entries():
        kind, _, event = row["type"].partition(".")
        if kind != "payment":
            continue
        data: dict[str, Any] = row["content"]
        if event == "created":
            payments[row["stream_id"]] = _Kept(data["metadata"].get("customer") == CUSTOMER)
        payment = payments[row["stream_id"]]
        if event == "captured":
            payment.kept += data["amount"]["amount"]
        elif event == "refund_requested":
            payment.requested[data["refund_id"]] = data["amount"]["amount"]
        elif event == "refund_succeeded":
            payment.kept -= payment.requested[data["refund_id"]]
    found: dict[str, int] = {}
    for row in world.model.rows("loyalty_points"):
        stream_id = f"{row['merchant_id']}/{row['payment_id']}"
        found[stream_id] = found.get(stream_id, 0) + row["points"]
    for stream_id, payment in payments.items():
        expected = payment.kept // MINOR_UNITS if payment.has_customer else 0
        if found.get(stream_id, 0) != expected:
            yield f"{stream_id} has {found.get(stream_id, 0)} points instead of {expected}"


def nobody_spends_more_than_was_earned(world: World) -> Iterator[str]:
    """Y2: at every redemption, what an account spent is within what it went by."""
    spent: dict[str, int] = {}
    for row in world.entries():
        if row["type"] == "loyalty.points_redeemed":
            stream_id, data = row["stream_id"], row["content"]
            spent[stream_id] = spent.get(stream_id, 0) + data["points"]
            if spent[stream_id] > data["earned"]:
                yield f"{row['entry_id']} spends {spent[stream_id]} of {data['earned']}"


WORKLOAD: Final = Workload(
    name="loyalty",
    workflows=(
        Workflow(
            name="loyalty.award",
            kinds=("payments.create", "payments.refund"),
            setup=prepared_by("merchants"),
            run=_pay_and_refund,
        ),
        Workflow(
            name="loyalty.redeem",
            kinds=("loyalty.redeem",),
            setup=_paid,
            run=_redeems(40),
        ),
        Workflow(
            name="loyalty.redeem_too_much",
            kinds=("loyalty.redeem",),
            setup=_paid,
            run=_redeems(60, 60),
        ),
        Workflow(
            name="loyalty.refund_and_redeem",
            kinds=("loyalty.redeem", "payments.refund"),
            setup=_paid,
            run=_refund_and_redeem,
        ),
    ),
    actions=(
        Action(name="loyalty.pay", weight=3, run=_pay_any),
        Action(name="loyalty.redeem", weight=5, run=_redeem_any),
    ),
    invariants={
        "Y1": points_are_what_payments_keep,
        "Y2": nobody_spends_more_than_was_earned,
    },
)
