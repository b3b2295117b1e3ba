"""Merchants, simulated: onboard, activate, suspend, close, price."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.merchants import PricingRule, RefundPolicy
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.simulation.client import Client, staff
from fintech_kernel.simulation.workload import Action, Script, Workflow, Workload
from fintech_kernel.simulation.world import World

from fintech_merchants.domain.model import Action as StatusAction
from fintech_merchants.domain.service import Merchants, NewMerchant

CURRENCY: Final = "KES"
MINIMUM: Final = 500
STATUS_AFTER: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "merchant.created": (frozenset({""}), "pending"),
    "merchant.activated": (frozenset({"pending", "suspended"}), "active"),
    "merchant.suspended": (frozenset({"active"}), "suspended"),
    "merchant.closed": (frozenset({"pending", "suspended"}), "closed"),
}
"""From which states each event may come, and where it leads."""


def rules(basis_points: int = 290) -> tuple[PricingRule, ...]:
    """Return a pricing whose fees go back with refunds."""
    return (
        PricingRule(
            rule_id="",
            currency=CURRENCY,
            basis_points=basis_points,
            fixed=30,
            refund_policy=RefundPolicy.RETURN,
        ),
    )


async def create(client: Client, *, delay_days: int = 0) -> str | None:
    """Onboard a merchant and return its id."""
    new = NewMerchant(
        name="Shop",
        currencies=(CURRENCY,),
        settlement_delay_days=delay_days,
        settlement_minimum=MINIMUM,
        rules=rules(),
    )
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).create(new, actor=actor, call=call)

    answer = await client.ask("merchants.create", actor, send)
    if answer is None:
        return None
    merchant_id = str(answer.result["merchant_id"])
    client.note("merchants", merchant_id)
    return merchant_id


async def change(client: Client, merchant_id: str, action: str) -> Answer | None:
    """Activate, suspend or close a merchant."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).change_status(
            merchant_id, StatusAction(action), "because", actor=actor, call=call
        )

    return await client.ask(f"merchants.{action}", actor, send)


async def price(client: Client, merchant_id: str, basis_points: int) -> Answer | None:
    """Replace a merchant's pricing."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).set_pricing(
            merchant_id, rules(basis_points), actor=actor, call=call
        )

    return await client.ask("merchants.set_pricing", actor, send)


async def _one(client: Client) -> None:
    await create(client)


async def _one_active(client: Client) -> None:
    merchant_id = await create(client)
    if merchant_id is not None:
        await change(client, merchant_id, "activate")


async def _two_active(client: Client) -> None:
    await _one_active(client)
    merchant_id = await create(client, delay_days=1)
    if merchant_id is not None:
        await change(client, merchant_id, "activate")


def _changes(*actions: str) -> Script:
    async def run(client: Client) -> None:
        for action in actions:
            await change(client, client.notes["merchants"][0], action)

    return run


async def _price_first(client: Client) -> None:
    await price(client, client.notes["merchants"][0], 100)


async def _change_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    action = client.world.draw.choice(("activate", "suspend", "suspend", "activate", "close"))
    if merchant_id is not None:
        await change(client, merchant_id, action)


async def _price_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await price(client, merchant_id, client.world.draw.choice((0, 100, 350)))


# --- invariants


def status_follows_the_table(world: World) -> Iterator[str]:
    """M1: a merchant's states follow the table, its pricing versions are 1, 2, 3, ..."""
    standing: dict[str, str] = {}
    versions: dict[str, int] = {}
    for row in world.entries():
        stream = row["stream_id"]
        if row["type"] in STATUS_AFTER:
            allowed, after = STATUS_AFTER[row["type"]]
            if standing.get(stream, "") not in allowed:
                yield f"{row['entry_id']}: {row['type']} after {standing.get(stream)!r}"
            standing[stream] = after
        if row["type"] == "merchant.pricing_set":
            version = row["content"]["version"]
            if version != versions.get(stream, 0) + 1:
                yield f"{row['entry_id']}: pricing version {version}"
            versions[stream] = version
    shown: dict[str, Any] = {
        row["merchant_id"]: row["status"] for row in world.model.rows("merchants_merchants")
    }
    for stream, status in standing.items():
        if shown.get(stream.partition("/")[0]) != status:
            yield f"the list shows {stream} as {shown.get(stream.partition('/')[0])}, it is {status}"


WORKLOAD: Final = Workload(
    name="merchants",
    prepare=_two_active,
    scripts={"change": change},
    workflows=(
        Workflow(name="merchants.onboard", kinds=("merchants.create",), run=_one),
        Workflow(
            name="merchants.activate",
            kinds=("merchants.activate",),
            setup=_one,
            run=_changes("activate"),
        ),
        Workflow(
            name="merchants.activate_twice",
            kinds=("merchants.activate",),
            setup=_one,
            run=_changes("activate", "activate"),
        ),
        Workflow(
            name="merchants.suspend",
            kinds=("merchants.suspend",),
            setup=_one_active,
            run=_changes("suspend"),
        ),
        Workflow(
            name="merchants.close",
            kinds=("merchants.suspend", "merchants.close"),
            setup=_one_active,
            run=_changes("suspend", "close"),
        ),
        Workflow(
            name="merchants.price",
            kinds=("merchants.set_pricing",),
            setup=_one_active,
            run=_price_first,
        ),
    ),
    actions=(
        Action(name="merchants.onboard", weight=1, run=_one),
        Action(name="merchants.change", weight=3, run=_change_any),
        Action(name="merchants.price", weight=2, run=_price_any),
    ),
    invariants={"M1": status_follows_the_table},
)
