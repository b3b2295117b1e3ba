"""Operations on merchants against the real database service: once, whoever repeats and races."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from fintech_kernel.contracts.merchants import MerchantDirectory, MerchantStatus, PricingRule
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.errors import IdempotencyKeyReused, NotFound
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_merchants import plugin
from fintech_merchants.domain.commands import Action, VerificationOutcome
from fintech_merchants.domain.history import fold_merchant
from fintech_merchants.domain.projection import MerchantProjection, merchant_write
from fintech_merchants.domain.service import Merchants, NewMerchant
from fintech_merchants.infrastructure.queries import MerchantFilter

pytestmark = pytest.mark.anyio

STAFF = Actor(subject="ada", roles=("platform_admin",))
NEW = NewMerchant(
    name="Duka Safi",
    currencies=("KES",),
    settlement_delay_days=1,
    settlement_minimum=0,
    rules=(PricingRule(rule_id="", currency="KES", basis_points=290, fixed=60),),
)


@dataclass(frozen=True)
class Sent:
    value: str

    def matches(self, stored: str) -> bool:
        return self.value == stored


def call(key: str, fingerprint: str = "same") -> IdempotentCall:
    return IdempotentCall(key=key, fingerprint=Sent(fingerprint))


@pytest.fixture
async def app(anyio_backend, database_url: str) -> AsyncIterator[RunningApp]:
    async with running_app(database_url=database_url, plugins=[plugin]) as running:
        yield running


@pytest.fixture
def merchants(app: RunningApp) -> Merchants:
    return app.context.services.get(Merchants)


async def _created(merchants: Merchants, key: str) -> str:
    answer = await merchants.create(NEW, actor=STAFF, call=call(key))
    return answer.result["merchant_id"]


async def _verified(merchants: Merchants, key: str) -> str:
    merchant_id = await _created(merchants, key)
    await merchants.verify(
        merchant_id,
        VerificationOutcome.VERIFIED,
        reference="kyb-1",
        reason="",
        actor=STAFF,
        call=call(f"{key}-verify"),
    )
    return merchant_id


async def test_a_merchant_is_created_once_however_often_it_is_asked_for(merchants):
    first = await merchants.create(NEW, actor=STAFF, call=call("create-1"))
    again = await merchants.create(NEW, actor=STAFF, call=call("create-1"))

    assert first.result == again.result
    assert (first.replayed, again.replayed) == (False, True)
    assert first.result["pricing"]["version"] == 1


async def test_concurrent_repeats_create_one_merchant(merchants):
    answers = await asyncio.gather(
        *(merchants.create(NEW, actor=STAFF, call=call("create-2")) for _ in range(8))
    )

    assert len({answer.result["merchant_id"] for answer in answers}) == 1


async def test_a_key_names_one_request_only(merchants):
    await merchants.create(NEW, actor=STAFF, call=call("create-3"))

    with pytest.raises(IdempotencyKeyReused):
        await merchants.create(NEW, actor=STAFF, call=call("create-3", "another body"))


async def test_a_refused_creation_leaves_no_merchant_and_stays_refused(app, merchants):
    wrong = NewMerchant(
        name="Duka",
        currencies=("UGX",),
        settlement_delay_days=1,
        settlement_minimum=0,
        rules=NEW.rules,
    )

    first = await merchants.create(wrong, actor=STAFF, call=call("create-4"))
    again = await merchants.create(wrong, actor=STAFF, call=call("create-4"))

    assert first.state is again.state is OperationState.REFUSED
    assert first.result == again.result
    assert first.result["code"] == "pricing_currency_not_enabled"
    record = await app.context.operations.find(first.operation_id)
    assert record is not None
    with pytest.raises(NotFound):
        await merchants.get(record.merchant_id, actor=STAFF)


async def test_a_change_is_seen_by_the_directory_at_once(app, merchants):
    merchant_id = await _verified(merchants, "create-5")
    directory = app.context.services.get(MerchantDirectory)

    await merchants.change_status(
        merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call("activate-5")
    )

    profile = await directory.profile(merchant_id)
    assert profile is not None
    assert profile.status is MerchantStatus.ACTIVE
    assert [rule.rule_id for rule in profile.pricing] == ["v1.1"]
    assert await directory.profile("mer_nobody") is None


async def test_of_competing_changes_one_wins_and_every_answer_stands(app, merchants):
    merchant_id = await _verified(merchants, "create-6")

    answers = await asyncio.gather(
        *(
            merchants.change_status(
                merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call(f"activate-6-{number}")
            )
            for number in range(6)
        )
    )

    states = [answer.state for answer in answers]
    assert states.count(OperationState.SUCCEEDED) == 1
    assert states.count(OperationState.REFUSED) == 5
    stream = (await app.context.journal.stream(merchant_id, merchant_id)).verified()
    assert [entry.type for entry in stream.entries].count("merchant.activated") == 1


async def test_a_refusal_stays_a_refusal_when_the_status_changes_later(merchants):
    merchant_id = await _verified(merchants, "create-7")
    early = await merchants.change_status(
        merchant_id, Action.SUSPEND, "x", actor=STAFF, call=call("suspend-7")
    )
    await merchants.change_status(
        merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call("activate-7")
    )

    late = await merchants.change_status(
        merchant_id, Action.SUSPEND, "x", actor=STAFF, call=call("suspend-7")
    )

    assert early.state is late.state is OperationState.REFUSED
    assert late.replayed
    assert (await merchants.get(merchant_id, actor=STAFF)).status is MerchantStatus.ACTIVE


async def test_changes_of_absent_and_foreign_merchants_claim_nothing(app, merchants):
    merchant_id = await _created(merchants, "create-8")
    foreign = Actor(subject="eve", roles=("merchant_admin",), merchant_id="mer_eve")

    for actor, target in ((STAFF, "mer_nobody"), (foreign, merchant_id)):
        with pytest.raises(NotFound):
            await merchants.change_status(
                target, Action.ACTIVATE, "", actor=actor, call=call("activate-8")
            )
        with pytest.raises(NotFound):
            await merchants.set_pricing(target, (), actor=actor, call=call("pricing-8"))

    answer = await merchants.change_status(
        merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call("activate-8")
    )
    assert not answer.replayed


async def test_the_read_model_is_written_again_when_its_write_was_lost(app, merchants):
    merchant_id = await _verified(merchants, "create-9")
    stream = await app.context.journal.stream(merchant_id, merchant_id)
    lost = f"{merchant_id}x"
    merchant = fold_merchant(stream)
    assert merchant is not None
    page = await merchants.page(actor=STAFF, where=MerchantFilter(), before=lost, limit=1)
    assert page[0]["merchant_id"] == merchant_id
    projection = MerchantProjection(journal=app.context.journal, database=app.context.database)

    await merchants.change_status(
        merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call("activate-9")
    )
    for entry in stream.entries:
        await projection.handle(entry)
    late = merchant_write(merchant, stream.entries[-1].seq).statement
    await app.context.database.execute(late)
    await app.deliver_events()

    page = await merchants.page(actor=STAFF, where=MerchantFilter(), before=lost, limit=1)
    assert page[0]["status"] == "active"


async def test_the_status_that_api_keys_are_judged_by_is_written_before_the_operation_ends(
    app, merchants
):
    merchant_id = await _verified(merchants, "create-12")
    app.calls.clear()
    await merchants.change_status(
        merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call("activate-12")
    )

    statements = [name for one in app.calls for name in one.names]
    assert statements.index("merchants.upsert") < statements.index("operations.finish")


async def test_creation_costs_two_trips_and_a_change_three(app, merchants):
    app.calls.clear()
    await _created(merchants, "create-11")
    creation = len(app.calls)
    merchant_id = await _verified(merchants, "create-10")
    app.calls.clear()
    await merchants.change_status(
        merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call("activate-10")
    )

    assert (creation, len(app.calls)) == (2, 3)
