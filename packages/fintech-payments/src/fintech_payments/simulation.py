"""Payments, simulated: create, capture, cancel, refund, dispute, and outcomes that are learned later."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.processors import DisputeStatus
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.jobs import run_once
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.errors import NotFound
from fintech_kernel.money import Money
from fintech_kernel.simulation.client import Client, merchant_actor, staff
from fintech_kernel.simulation.faults import NO_FAULTS, Fault
from fintech_kernel.simulation.processor import KEY_RETENTION_SECONDS, NAME
from fintech_kernel.simulation.workload import (
    Action,
    Script,
    Workflow,
    Workload,
    prepared_by,
)
from fintech_kernel.simulation.world import World

from fintech_payments.domain.dispute_service import Disputes
from fintech_payments.domain.events import CaptureMode
from fintech_payments.domain.service import NewPayment, Payments

SOON_SECONDS: Final = 7_200
"""Questions up to the hourly one are waited for after each schedule; days pass at its very end."""

DAYS_MAX: Final = 5
"""Days within which every outcome must be known or given up, once faults are over."""

SKEW_MILLISECONDS_MAX: Final = 600_000
SECONDS_PER_DAY: Final = 86_400
FORGOTTEN_SECONDS: Final = KEY_RETENTION_SECONDS + 1_000
"""When a lost call may be given up: the keys' retention and how far clocks may be apart are over."""

JOBS: Final = frozenset({"payments.resolve", "payments.expire"})
"""What these workflows wait for; other plugins' jobs are struck in workflows of their own."""

CURRENCY: Final = "KES"
DISPUTE_FEE: Final = 150
AUTHORIZATION_DAYS: Final = 2
"""Longer than outages last: authorizations expire under the faults of workflows of their own."""

PAYMENT_KINDS: Final = frozenset(
    {
        "Settled",
        "Fee",
        "Refunded",
        "FeeRefund",
        "RefundFailed",
        "Chargeback",
        "ChargebackReversed",
        "ChargebackSettled",
    }
)
"""Kinds of transfers that payments post."""

AMOUNT: Final = 10_000


async def create(
    client: Client,
    merchant_id: str,
    *,
    amount: int = AMOUNT,
    capture: str = "automatic",
    token: str = "approve",  # noqa: S107 - a magic token of the model
    reference: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Answer | None:
    """Take a payment."""
    new = NewPayment(
        amount=Money(amount=amount, currency=CURRENCY),
        capture=CaptureMode(capture),
        method="card",
        token=token,
        reference=reference,
        metadata=metadata or {},
    )
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Payments).create(
            new, merchant_id=merchant_id, actor=actor, call=call
        )

    answer = await client.ask(
        f"payments.create {capture} {amount} {token} {reference}", actor, send
    )
    if answer is not None and answer.state is OperationState.SUCCEEDED:
        client.note("payments", (merchant_id, str(answer.result["payment_id"])))
    return answer


async def step(
    client: Client, payment: tuple[str, str], what: str, amount: int | None = None
) -> Answer | None:
    """Capture, cancel or refund a payment."""
    merchant_id, payment_id = payment
    money = None if amount is None else Money(amount=amount, currency=CURRENCY)
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        service = context.services.get(Payments)
        if what == "capture":
            return await service.capture(
                payment_id, money, merchant_id=merchant_id, actor=actor, call=call
            )
        if what == "cancel":
            return await service.cancel(payment_id, merchant_id=merchant_id, actor=actor, call=call)
        return await service.refund(
            payment_id, money, "returned", merchant_id=merchant_id, actor=actor, call=call
        )

    return await client.ask(f"payments.{what} {amount or 'all'}", actor, send)


async def open_dispute(
    client: Client, payment: tuple[str, str], amount: int | None = None
) -> Answer | None:
    """Dispute a payment, as an operator does."""
    merchant_id, payment_id = payment
    money = None if amount is None else Money(amount=amount, currency=CURRENCY)
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Disputes).open(
            payment_id, money, "fraudulent", merchant_id=merchant_id, actor=actor, call=call
        )

    answer = await client.ask(f"payments.open_dispute {amount or 'all'}", actor, send)
    if answer is not None and answer.state is OperationState.SUCCEEDED:
        client.note("disputes", (merchant_id, payment_id, str(answer.result["dispute_id"])))
    return answer


async def close_dispute(
    client: Client, dispute: tuple[str, str, str], status: str
) -> Answer | None:
    """Say how a dispute ended, as an operator does."""
    merchant_id, payment_id, dispute_id = dispute
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Disputes).close(
            payment_id,
            dispute_id,
            DisputeStatus(status),
            "decided",
            merchant_id=merchant_id,
            actor=actor,
            call=call,
        )

    return await client.ask(f"payments.close_dispute {status}", actor, send)


def _disputes(amount: int | None, *ends: str) -> Script:
    async def run(client: Client) -> None:
        await open_dispute(client, client.notes["payments"][0], amount)
        for end in ends:
            if client.notes.get("disputes"):
                await close_dispute(client, client.notes["disputes"][0], end)

    return run


def _creates(*arguments: dict[str, Any]) -> Script:
    async def run(client: Client) -> None:
        for one in arguments:
            await create(client, client.notes["merchants"][0], **one)

    return run


def _steps(*steps: tuple[str, int | None]) -> Script:
    async def run(client: Client) -> None:
        for what, amount in steps:
            await step(client, client.notes["payments"][0], what, amount)

    return run


def _after(setup: Script) -> Script:
    async def run(client: Client) -> None:
        await client.prepare("merchants")
        await setup(client)

    return run


async def _suspended(client: Client) -> None:
    await client.script("merchants.change")(client, client.notes["merchants"][0], "suspend")


async def _foreign(client: Client) -> None:
    """Act on another merchant's payment: it must look absent."""
    _, payment_id = client.notes["payments"][0]
    stranger = client.notes["merchants"][1]
    for what in ("capture", "cancel", "refund"):
        try:
            answer = await step(client, (stranger, payment_id), what)
        except NotFound:
            continue
        if answer is not None:
            client.world.seen_wrong.append(("I10", f"{what} of a foreign payment: {answer.state}"))


class _FirstCallPending:
    """A plan under which the processor decides later: what the resolver is for."""

    @staticmethod
    def fault(number: int, possible: Sequence[Fault]) -> Fault | None:
        """Let every call to the processor be answered 'pending'."""
        del number
        return Fault.PENDING if Fault.PENDING in possible else None


def _resolved(run: Script) -> Script:
    """Run something whose outcome stays open, then let the resolver's job conclude it."""

    async def resolve(client: Client) -> None:
        world = client.world
        plan = world.network.plan
        world.network.plan = _FirstCallPending()
        await run(client)
        world.network.plan = plan
        await _wait_and_run_jobs(world)

    return resolve


def _expires(*steps: tuple[str, int | None]) -> Script:
    """Let an authorization run out, whatever is done with it at the last moment."""

    async def run(client: Client) -> None:
        await asyncio.sleep(AUTHORIZATION_DAYS * SECONDS_PER_DAY)
        jobs = asyncio.ensure_future(_wait_and_run_jobs(client.world, seconds=1))
        await _steps(*steps)(client)
        await asyncio.wait([jobs])

    return run


class _NoCallArrives:
    """A plan under which nothing that is sent to the processor reaches it."""

    @staticmethod
    def fault(number: int, possible: Sequence[Fault]) -> Fault | None:
        """Lose every call to the processor before it is applied."""
        del number
        return Fault.LOST_BEFORE if Fault.PENDING in possible else None


def _lost(run: Script) -> Script:
    """Run something of which nothing reaches the processor, and let its keys be forgotten."""

    async def lose(client: Client) -> None:
        world = client.world
        plan = world.network.plan
        world.network.plan = _NoCallArrives()
        await run(client)
        world.network.plan = plan
        await asyncio.sleep(FORGOTTEN_SECONDS)

    return lose


def _abandoned(run: Script) -> Script:
    """Run something whose call is lost, then let the resolver's job give it up."""

    async def abandon(client: Client) -> None:
        await _lost(run)(client)
        await _wait_and_run_jobs(client.world)

    return abandon


def _come_to_light(run: Script) -> Script:
    """Run something whose call is given up and reaches the processor all the same, days later."""

    async def reverse(client: Client) -> None:
        world = client.world
        plan = world.network.plan
        await _lost(run)(client)
        world.network.plan = NO_FAULTS
        await _wait_and_run_jobs(world)
        _deliver_what_was_given_up(world)
        world.network.plan = plan
        await _wait_and_run_jobs(world, seconds=SECONDS_PER_DAY)

    return reverse


def _deliver_what_was_given_up(world: World) -> None:
    """Let abandoned authorizations reach the processor, against what it declares."""
    for payment_id, payment in {one: told for one, told, _ in told_payments(world)}.items():
        effect = "sale" if payment.capture == "automatic" else "authorize"
        for key in sorted(payment.abandoned):
            request = (effect, payment_id, payment.amount, CURRENCY)
            world.processor.handle(key, request, "approve", now=world.now(), wait=0)


async def _wait_and_run_jobs(world: World, *, seconds: float = 700) -> None:
    await asyncio.sleep(seconds)
    for process in world.living()[:1]:
        for job in process.jobs:
            if job.name in JOBS:
                await asyncio.wait([process.spawn(run_once(job))])


# --- random actions


async def _create_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is None:
        return
    draw = client.world.draw
    await create(
        client,
        merchant_id,
        amount=draw.choice((700, 5_000, AMOUNT, 12_013)),
        capture=draw.choice(("automatic", "manual")),
        token=draw.choices(
            ("approve", "decline", "capture_fails", "refund_fails", "cancel_fails"),
            weights=(10, 2, 1, 2, 1),
        )[0],
        reference=draw.choice(("", "", "order-1", f"order-{draw.randrange(4)}")),
    )


async def _step_any(client: Client) -> None:
    payment = client.pick("payments")
    draw = client.world.draw
    if payment is not None:
        what = draw.choice(("capture", "capture", "cancel", "refund", "refund", "refund"))
        await step(client, payment, what, draw.choice((None, 300, 4_000, 9_000)))


async def _dispute_any(client: Client) -> None:
    draw = client.world.draw
    dispute = client.pick("disputes")
    if dispute is not None and draw.random() < 0.5:  # noqa: PLR2004 - open as many as are closed
        await close_dispute(client, dispute, draw.choice(("won", "lost")))
        return
    payment = client.pick("payments")
    if payment is not None:
        await open_dispute(client, payment, draw.choice((None, 500, 6_000)))


async def _foreign_any(client: Client) -> None:
    payment = client.pick("payments")
    stranger = client.pick("merchants")
    if payment is None or stranger is None or payment[0] == stranger:
        return
    try:
        answer = await step(client, (stranger, payment[1]), "refund", 100)
    except NotFound:
        return
    if answer is not None:
        client.world.seen_wrong.append(("I10", f"refund of a foreign payment: {answer.state}"))


# --- invariants


@dataclass(slots=True, kw_only=True)
class Told:
    """A payment as its journal tells it, read by other code than the one that wrote it."""

    merchant_id: str
    amount: int
    processor: str
    authorized: int = 0
    captured: int = 0
    capture: str = "automatic"
    expires_at: int = 0
    ended: str = ""
    is_expiring: bool = False
    is_released: bool = False
    captured_late: bool = False
    refunds: dict[str, tuple[int, int, str]] = field(
        default_factory=dict[str, tuple[int, int, str]]
    )
    effects: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    open: dict[str, int] = field(default_factory=dict[str, int])
    abandoned: set[str] = field(default_factory=set[str])
    undone: tuple[str, int] = ("", 0)
    disputes: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    @property
    def refunded(self) -> int:
        """Refunded, refunds under way included."""
        return sum(amount for amount, _, state in self.refunds.values() if state != "failed")

    @property
    def disputed(self) -> int:
        """Held by open disputes, or lost by them."""
        return sum(amount for amount, state in self.disputes.values() if state != "won")


def told_payments(world: World) -> Iterator[tuple[str, Told, dict[str, Any]]]:
    """Yield (payment id, the payment so far, the row) for every event of every payment."""
    payments: dict[str, Told] = {}
    for row in world.entries():
        if not row["type"].startswith("payment."):
            continue
        merchant_id, _, payment_id = row["stream_id"].partition("/")
        data: dict[str, Any] = row["content"]
        event = row["type"].partition(".")[2]
        if event == "created":
            payments[payment_id] = Told(
                merchant_id=merchant_id,
                amount=data["amount"]["amount"],
                processor=data["processor"],
                capture=data["capture"],
                expires_at=data["expires_at"],
            )
        payment = payments.get(payment_id)
        if payment is None:
            continue
        _tell(payment, event, data, row["step_key"].partition(":")[0])
        yield payment_id, payment, row


def _tell(payment: Told, event: str, data: dict[str, Any], operation: str) -> None:  # noqa: C901, PLR0912 - one arm per event
    match event:
        case "authorized":
            payment.authorized += data["amount"]["amount"]
            payment.effects.append((operation, "authorize", data["amount"]["amount"]))
        case "captured":
            payment.captured += data["amount"]["amount"]
            payment.effects.append((operation, "capture", data["amount"]["amount"]))
        case "canceled":
            payment.ended = "canceled"
            payment.effects.append((operation, "cancel", 0))
        case "expiry_requested":
            payment.is_expiring = True
        case "capture_requested":
            payment.captured_late = payment.is_expiring
        case "expired":
            payment.ended = payment.ended or ("" if payment.captured else "expired")
            payment.is_released = True
            if not data["decline_code"]:
                payment.effects.append((operation, "cancel", 0))
        case "refund_requested":
            refund = (data["amount"]["amount"], data["fee_returned"]["amount"], "pending")
            payment.refunds[data["refund_id"]] = refund
        case "refund_succeeded" | "refund_failed":
            amount, fee, _ = payment.refunds[data["refund_id"]]
            state = event.removeprefix("refund_")
            payment.refunds[data["refund_id"]] = (amount, fee, state)
            if state == "succeeded":
                payment.effects.append((operation, "refund", amount))
        case "outcome_opened":
            payment.open[f"{data['operation_id']}:{data['effect']}"] = data["opened_at"]
        case "outcome_closed":
            for key in [key for key in payment.open if key.startswith(data["operation_id"])]:
                del payment.open[key]
        case "outcome_abandoned":
            given_up = {key for key in payment.open if key.startswith(data["operation_id"])}
            payment.abandoned |= given_up
            for key in given_up:
                del payment.open[key]
        case "reversal_requested":
            _tell_reversal(payment, data)
        case "reversal_succeeded":
            payment.effects.append((operation, *payment.undone))
        case "dispute_opened":
            payment.disputes[data["dispute_id"]] = (data["amount"]["amount"], "open")
        case "dispute_won" | "dispute_lost":
            amount, _ = payment.disputes[data["dispute_id"]]
            payment.disputes[data["dispute_id"]] = (amount, event.removeprefix("dispute_"))
        case "conflicted":
            payment.ended = "conflicted"
        case _:
            pass


def _tell_reversal(payment: Told, data: dict[str, Any]) -> None:
    """The processor did what we had given up; it is told to do the opposite."""
    reversed_id, amount = data["operation_id"], data["amount"]["amount"]
    is_sale = data["effect"] == "authorize" and payment.capture == "automatic"
    for effect in ("authorize", "capture") if is_sale else (data["effect"],):
        payment.effects.append((reversed_id, effect, amount))
    is_held = data["effect"] == "authorize" and not is_sale
    payment.undone = ("cancel", 0) if is_held else ("refund", amount)
    payment.abandoned = {one for one in payment.abandoned if not one.startswith(reversed_id)}


def amounts_are_in_order(world: World) -> Iterator[str]:
    """I2: refunded + disputed <= captured <= authorized <= amount at every position of every stream."""
    for _, payment, row in told_payments(world):
        gone = payment.refunded + payment.disputed
        amounts = [0, gone, payment.captured, payment.authorized, payment.amount]
        if amounts != sorted(amounts):
            yield f"{row['entry_id']}: gone, captured, authorized, amount are {amounts[1:]}"
        if payment.ended in {"canceled", "expired"} and payment.captured:
            yield f"{row['entry_id']}: {payment.ended} and captured"


def ledger_follows_the_journal(world: World) -> Iterator[str]:  # noqa: C901 - one arm per event
    """I1: the transfers of payments are exactly those that their journal means, amount for amount."""
    expected: dict[tuple[str, str, str], int] = {}

    def move(debit: str, credit: str, row: dict[str, Any], amount: int) -> None:
        if amount:
            operation = row["step_key"].partition(":")[0]
            key = (operation, debit, credit)
            expected[key] = expected.get(key, 0) + amount

    for payment_id, payment, row in told_payments(world):
        del payment_id
        data: dict[str, Any] = row["content"]
        merchant = f"liabilities:merchant:{payment.merchant_id}:{CURRENCY}"
        processor = f"assets:processor:{payment.processor}:{CURRENCY}"
        fees = f"income:fees:{CURRENCY}"
        held = f"liabilities:disputes:{payment.merchant_id}:{CURRENCY}"
        match row["type"]:
            case "payment.captured":
                move(processor, merchant, row, data["amount"]["amount"])
                move(merchant, fees, row, data["fee"]["amount"])
            case "payment.refund_requested":
                move(merchant, processor, row, data["amount"]["amount"])
                move(fees, merchant, row, data["fee_returned"]["amount"])
            case "payment.refund_failed":
                amount, fee, _ = payment.refunds[data["refund_id"]]
                move(processor, merchant, row, amount)
                move(merchant, fees, row, fee)
            case "payment.dispute_opened":
                move(merchant, held, row, data["amount"]["amount"])
                move(merchant, fees, row, data["fee"]["amount"])
            case "payment.dispute_won":
                move(held, merchant, row, payment.disputes[data["dispute_id"]][0])
            case "payment.dispute_lost":
                move(held, processor, row, payment.disputes[data["dispute_id"]][0])
            case _:
                pass
    standing: dict[tuple[str, str, str], int] = {}
    for row in world.model.rows("ledger_transfers"):
        if row["kind"] in PAYMENT_KINDS:
            key = (row["operation_id"], row["debit_account"], row["credit_account"])
            standing[key] = standing.get(key, 0) + row["amount"]
    for key in sorted(expected.keys() | standing.keys()):
        if expected.get(key, 0) != standing.get(key, 0):
            yield f"{key}: journal means {expected.get(key, 0)}, ledger has {standing.get(key, 0)}"


def processor_agrees(world: World) -> Iterator[str]:
    """I12: the processor did what our journal says and nothing else, nothing twice."""
    ours: dict[tuple[str, str, str], int] = {}
    for payment_id, payment in {one: told for one, told, _ in told_payments(world)}.items():
        for operation, effect, amount in payment.effects:
            key = (payment_id, operation, effect)
            if key in ours:
                yield f"{key} stands twice in the journal"
            ours[key] = amount
        if payment.open:
            yield f"{payment_id}: outcomes are still open"
    theirs: dict[tuple[str, str, str], int] = {}
    for one in world.processor.effects:
        operation, _, step_name = one.key.partition(":")
        for effect in ("authorize", "capture") if one.effect == "sale" else (one.effect,):
            key = (one.payment_id, operation, effect)
            if key in theirs:
                yield f"the processor did {one.effect} ({step_name}) twice for {one.key}"
            theirs[key] = one.amount
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield f"{key}: ours {ours.get(key)}, the processor's {theirs.get(key)}"
    yield from world.processor.faults


def references_are_unique(world: World) -> Iterator[str]:
    """P1: a merchant's reference names one payment."""
    seen: dict[tuple[str, str], str] = {}
    for row in world.entries():
        if row["type"] == "payment.created":
            reference = row["content"]["reference"]
            key = (row["stream_id"].partition("/")[0], reference)
            if reference and key in seen:
                yield f"reference {reference} names {seen[key]} and {row['stream_id']}"
            seen[key] = row["stream_id"]


def lists_are_true(world: World) -> Iterator[str]:
    """P2: the list shows every payment as its journal ends."""
    shown = {row["payment_id"]: row for row in world.model.rows("payments_payments")}
    last: dict[str, tuple[int, Told]] = {
        payment_id: (row["seq"], payment) for payment_id, payment, row in told_payments(world)
    }
    for payment_id, (seq, payment) in last.items():
        row = shown.get(payment_id)
        if row is None or row["seq"] < seq:
            yield f"{payment_id} is listed at {row['seq'] if row else None}, its stream is at {seq}"
        elif row["outcomes_open"] != (1 if payment.open else 0):
            yield f"{payment_id} is listed with another outcome than it has"
        elif row["merchant_id"] != payment.merchant_id:
            yield f"{payment_id} is listed as another merchant's"


def expired_authorizations_are_released(world: World) -> Iterator[str]:
    """P3: nothing that is authorized stays held at the processor behind its time."""
    for payment_id, payment in {one: told for one, told, _ in told_payments(world)}.items():
        if _holds_what_expired(world, payment):
            yield f"{payment_id}: {payment.authorized - payment.captured} is held behind its time"


def nothing_is_captured_late(world: World) -> Iterator[str]:
    """P4: whose time is over is closed to captures, whatever the processor would still allow."""
    for _, payment, row in told_payments(world):
        if row["type"] == "payment.capture_requested" and payment.captured_late:
            yield f"{row['entry_id']}: captured behind its expiry"


def what_came_to_light_is_undone(world: World) -> Iterator[str]:
    """P5: an authorization that we had given up is held by nobody, where the processor lets go of any."""
    for payment_id, payment in {one: told for one, told, _ in told_payments(world)}.items():
        theirs = world.processor.payments.get(payment_id)
        if theirs is None or payment.undone[0] != "cancel" or theirs.token == "cancel_fails":  # noqa: S105 - a magic token
            continue
        if not theirs.is_canceled:
            yield f"{payment_id}: {theirs.authorized - theirs.captured} came to light and is still held"


def disputes_end_once(world: World) -> Iterator[str]:
    """P6: who won a dispute does not lose it afterwards, nor the other way round."""
    ended: set[str] = set()
    for row in world.entries():
        if row["type"] in {"payment.dispute_won", "payment.dispute_lost"}:
            dispute_id: str = row["content"]["dispute_id"]
            if dispute_id in ended:
                yield f"{row['entry_id']}: {dispute_id} had ended before"
            ended.add(dispute_id)


def _holds_what_expired(world: World, payment: Told) -> bool:
    is_over = payment.expires_at + SKEW_MILLISECONDS_MAX < world.now() * 1_000
    is_left = payment.authorized > payment.captured and not payment.is_released
    return is_over and is_left and payment.ended not in {"canceled", "conflicted"}


def _is_quiet(world: World) -> bool:
    """Whether nothing is to be asked soon, and nothing to be released."""
    now = int(world.now() * 1_000)
    soon = now + SOON_SECONDS * 1_000
    count = world.model.count
    if count("payments_payments", "WHERE outcomes_open = 1 AND next_ask_at <= ?", soon):
        return False
    if not count("payments_payments", "WHERE expires_at <= ?", now):
        return True
    payments = {payment_id: told for payment_id, told, _ in told_payments(world)}
    return not any(_holds_what_expired(world, payment) for payment in payments.values())


async def _close(client: Client) -> None:
    """Let days pass until every outcome is known or given up, and what came to light is undone."""
    world = client.world
    for _ in range(DAYS_MAX):
        payments = {payment_id: told for payment_id, told, _ in told_payments(world)}.values()
        if not any(one.open or one.abandoned & world.processor.keys.keys() for one in payments):
            return
        await _wait_and_run_jobs(world, seconds=SECONDS_PER_DAY)


_MANUAL: Final = _creates({"capture": "manual"})
_AUTOMATIC: Final = _creates({})


async def _captured_in_part(client: Client) -> None:
    await _MANUAL(client)
    await step(client, client.notes["payments"][0], "capture", 4_000)


async def _prepare(client: Client) -> None:
    first, second = client.notes["merchants"][:2]
    await create(client, first)
    await create(client, first, capture="manual", amount=9_000)
    await create(client, second, capture="manual", reference="order-1")
    await create(client, first, token="refund_fails")  # noqa: S106 - a magic token of the model


WORKLOAD: Final = Workload(
    name="payments",
    settings={
        "payments_processor": NAME,
        "payments_dispute_fees": {CURRENCY: DISPUTE_FEE},
        "payments_authorization_days": AUTHORIZATION_DAYS,
    },
    prepare=_prepare,
    scripts={"create": create, "step": step},
    closing=_close,
    is_quiet=_is_quiet,
    platform_statements=frozenset(
        {
            "payments.metadata.standing",
            "payments.open_outcomes",
            "payments.positions",
            "payments.expired",
            "payments.owner",
            "payments.of_platform",
        }
    ),
    workflows=(
        Workflow(
            name="payments.sale",
            kinds=("payments.create",),
            setup=prepared_by("merchants"),
            run=_AUTOMATIC,
        ),
        Workflow(
            name="payments.declined",
            kinds=("payments.create",),
            setup=prepared_by("merchants"),
            run=_creates({"token": "decline"}),
        ),
        Workflow(
            name="payments.authorize",
            kinds=("payments.create",),
            setup=prepared_by("merchants"),
            run=_MANUAL,
        ),
        Workflow(
            name="payments.reference",
            kinds=("payments.create",),
            setup=prepared_by("merchants"),
            run=_creates({"reference": "a"}, {"reference": "a"}, {"reference": "a", "amount": 5}),
        ),
        Workflow(
            name="payments.suspended_merchant",
            kinds=("payments.create",),
            setup=_after(_suspended),
            run=_AUTOMATIC,
        ),
        Workflow(
            name="payments.capture_in_parts",
            kinds=("payments.capture",),
            setup=_after(_MANUAL),
            run=_steps(("capture", 4_000), ("capture", None), ("capture", 1)),
        ),
        Workflow(
            name="payments.capture_fails",
            kinds=("payments.capture",),
            setup=_after(_creates({"capture": "manual", "token": "capture_fails"})),
            run=_steps(("capture", None)),
        ),
        Workflow(
            name="payments.cancel",
            kinds=("payments.cancel",),
            setup=_after(_MANUAL),
            run=_steps(("cancel", None), ("capture", None)),
        ),
        Workflow(
            name="payments.expire",
            kinds=("payments.expire",),
            setup=_after(_MANUAL),
            run=_expires(),
        ),
        Workflow(
            name="payments.expire_the_rest",
            kinds=("payments.expire",),
            setup=_after(_captured_in_part),
            run=_expires(),
        ),
        Workflow(
            name="payments.expire_under_a_capture",
            kinds=("payments.capture", "payments.expire"),
            setup=_after(_MANUAL),
            run=_expires(("capture", 4_000)),
        ),
        Workflow(
            name="payments.refund_in_parts",
            kinds=("payments.refund",),
            setup=_after(_AUTOMATIC),
            run=_steps(("refund", 3_333), ("refund", None), ("refund", 1)),
        ),
        Workflow(
            name="payments.refund_fails",
            kinds=("payments.refund",),
            setup=_after(_creates({"token": "refund_fails"})),
            run=_steps(("refund", None)),
        ),
        Workflow(
            name="payments.sale_learned_later",
            kinds=("payments.create", "payments.resolve"),
            setup=prepared_by("merchants"),
            run=_resolved(_AUTOMATIC),
        ),
        Workflow(
            name="payments.refund_learned_later",
            kinds=("payments.refund", "payments.resolve"),
            setup=_after(_AUTOMATIC),
            run=_resolved(_steps(("refund", 4_000))),
        ),
        Workflow(
            name="payments.sale_abandoned",
            kinds=("payments.create", "payments.abandon"),
            setup=prepared_by("merchants"),
            run=_abandoned(_AUTOMATIC),
        ),
        Workflow(
            name="payments.refund_abandoned",
            kinds=("payments.refund", "payments.abandon"),
            setup=_after(_AUTOMATIC),
            run=_abandoned(_steps(("refund", 4_000))),
        ),
        Workflow(
            name="payments.sale_reversed",
            kinds=("payments.create", "payments.abandon", "payments.reverse"),
            setup=prepared_by("merchants"),
            run=_come_to_light(_AUTOMATIC),
        ),
        Workflow(
            name="payments.authorization_reversed",
            kinds=("payments.create", "payments.abandon", "payments.reverse"),
            setup=prepared_by("merchants"),
            run=_come_to_light(_MANUAL),
        ),
        Workflow(
            name="payments.dispute_won",
            kinds=("payments.open_dispute", "payments.close_dispute"),
            setup=_after(_AUTOMATIC),
            run=_disputes(6_000, "won", "lost"),
        ),
        Workflow(
            name="payments.dispute_lost",
            kinds=("payments.open_dispute", "payments.close_dispute"),
            setup=_after(_AUTOMATIC),
            run=_disputes(None, "lost"),
        ),
        Workflow(
            name="payments.foreign",
            kinds=("payments.capture", "payments.cancel", "payments.refund"),
            setup=_after(_AUTOMATIC),
            run=_foreign,
        ),
    ),
    actions=(
        Action(name="payments.create", weight=8, run=_create_any),
        Action(name="payments.step", weight=14, run=_step_any),
        Action(name="payments.dispute", weight=3, run=_dispute_any),
        Action(name="payments.foreign", weight=1, run=_foreign_any),
    ),
    invariants={
        "I1": ledger_follows_the_journal,
        "I2": amounts_are_in_order,
        "I12": processor_agrees,
        "P1": references_are_unique,
        "P2": lists_are_true,
        "P3": expired_authorizations_are_released,
        "P4": nothing_is_captured_late,
        "P5": what_came_to_light_is_undone,
        "P6": disputes_end_once,
    },
)
