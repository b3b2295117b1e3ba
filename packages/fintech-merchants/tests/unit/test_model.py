"""The merchant as a decider: statuses change by the table alone, pricing is versioned and checked."""

from dataclasses import replace

import pytest
from fintech_kernel.contracts.merchants import MerchantStatus, PricingRule, RefundPolicy
from fintech_kernel.errors import InvariantBroken, Refusal
from fintech_merchants.domain import errors, events, model
from fintech_merchants.domain.model import (
    TRANSITIONS,
    Action,
    ChangeStatus,
    CreateMerchant,
    Merchant,
    SetPricing,
)
from hypothesis import given
from hypothesis import strategies as st

CREATE = CreateMerchant(
    merchant_id="mer_1",
    name="Duka Safi",
    currencies=("KES", "UGX"),
    settlement_delay_days=2,
    settlement_minimum=100,
    rules=(),
    requested_at=1,
)


def rule(**changes) -> PricingRule:
    return PricingRule(
        **{"rule_id": "", "currency": "KES", "basis_points": 290, "fixed": 60, **changes}
    )


def change(action: Action, *, at: int = 2) -> ChangeStatus:
    return ChangeStatus(merchant_id="mer_1", action=action, reason="because", requested_at=at)


def merchant(status: MerchantStatus = MerchantStatus.PENDING) -> Merchant:
    created = model.fold(model.decide(None, CREATE))
    assert created is not None
    return replace(created, status=status)


def apply(state: Merchant | None, command: model.Command) -> Merchant:
    for event in model.decide(state, command):
        state = model.evolve(state, event)
    assert state is not None
    return state


def test_a_new_merchant_is_pending_and_has_no_fee():
    found = apply(None, CREATE)

    assert found.status is MerchantStatus.PENDING
    assert (found.pricing_version, found.pricing) == (0, ())
    assert found.profile.settlement_delay_days == 2
    assert (found.created_at, found.updated_at) == (1, 1)


def test_creation_may_price_at_once():
    found = apply(None, replace(CREATE, rules=(rule(),)))

    assert found.pricing_version == 1
    assert found.pricing == (rule(rule_id="v1.1"),)
    assert found.pricing_set_at == 1


def test_a_merchant_is_not_created_twice():
    with pytest.raises(InvariantBroken):
        model.decide(merchant(), CREATE)


@pytest.mark.parametrize(
    "command", [change(Action.ACTIVATE), SetPricing(merchant_id="mer_1", rules=(), requested_at=2)]
)
def test_nothing_changes_before_it_exists(command):
    with pytest.raises(InvariantBroken):
        model.decide(None, command)


def test_an_event_before_the_creation_breaks_the_fold():
    with pytest.raises(InvariantBroken):
        model.fold([events.MerchantActivated(reason="", at=1)])


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("status", MerchantStatus)
def test_a_status_changes_exactly_as_the_table_says(status, action):
    wanted = TRANSITIONS.get((status, action))

    if wanted is None:
        with pytest.raises(errors.MerchantTransitionRefused) as refused:
            model.decide(merchant(status), change(action))
        assert refused.value.facts == {
            "merchant_id": "mer_1",
            "status": status.value,
            "action": action.value,
        }
    else:
        found = apply(merchant(status), change(action))
        assert (found.status, found.status_reason, found.updated_at) == (wanted, "because", 2)


@given(st.lists(st.sampled_from(Action), max_size=20))
def test_a_closed_merchant_stays_closed_whatever_is_asked(actions):
    state = merchant()
    was_closed = False
    for action in actions:
        try:
            state = apply(state, change(action))
        except errors.MerchantTransitionRefused:
            continue
        finally:
            assert not was_closed or state.status is MerchantStatus.CLOSED
            was_closed = state.status is MerchantStatus.CLOSED


def test_every_status_but_the_first_is_reached_and_the_last_is_left_by_nothing():
    assert set(TRANSITIONS.values()) == set(MerchantStatus) - {MerchantStatus.PENDING}
    assert MerchantStatus.CLOSED not in {status for status, _ in TRANSITIONS}


def test_pricing_is_numbered_by_version_and_position():
    first = apply(merchant(), SetPricing(merchant_id="mer_1", rules=(rule(),), requested_at=2))
    rules = (rule(method="card"), rule(currency="UGX"))
    second = apply(first, SetPricing(merchant_id="mer_1", rules=rules, requested_at=3))

    assert (second.pricing_version, second.pricing_set_at) == (2, 3)
    assert [one.rule_id for one in second.pricing] == ["v2.1", "v2.2"]


def test_an_empty_pricing_is_a_version_like_any_other():
    found = apply(merchant(), SetPricing(merchant_id="mer_1", rules=(), requested_at=2))

    assert (found.pricing_version, found.pricing) == (1, ())


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        ([rule(currency="USD")], errors.PricingCurrencyNotEnabled),
        ([rule(currency="")], errors.PricingAmountWithoutCurrency),
        ([rule(currency="", fixed=0, minimum=1)], errors.PricingAmountWithoutCurrency),
        ([rule(currency="", fixed=0, maximum=1)], errors.PricingAmountWithoutCurrency),
        ([rule(minimum=2, maximum=1)], errors.PricingBoundsReversed),
        ([rule(), rule()], errors.PricingRuleUnreachable),
        ([rule(), rule(method="card")], errors.PricingRuleUnreachable),
        ([rule(currency="", fixed=0), rule()], errors.PricingRuleUnreachable),
    ],
)
def test_pricing_that_cannot_be_meant_is_refused(rules, refusal):
    command = SetPricing(merchant_id="mer_1", rules=tuple(rules), requested_at=2)

    with pytest.raises(refusal):
        model.decide(merchant(), command)
    with pytest.raises(refusal):
        model.decide(None, replace(CREATE, rules=tuple(rules)))


@pytest.mark.parametrize(
    "rules",
    [
        [rule(method="card"), rule()],
        [rule(method="card"), rule(method="mobile_money")],
        [rule(), rule(currency="", fixed=0)],
        [rule(minimum=5, maximum=5, refund_policy=RefundPolicy.RETURN)],
    ],
)
def test_rules_from_narrow_to_broad_are_taken(rules):
    found = apply(merchant(), SetPricing(merchant_id="mer_1", rules=tuple(rules), requested_at=2))

    assert len(found.pricing) == len(rules)


def test_a_closed_merchant_is_not_priced_any_more():
    command = SetPricing(merchant_id="mer_1", rules=(), requested_at=2)

    with pytest.raises(errors.MerchantClosed):
        model.decide(merchant(MerchantStatus.CLOSED), command)


def test_every_refusal_has_a_code_of_its_own():
    codes = [
        error.code for error in Refusal.__subclasses__() if error.__module__ == errors.__name__
    ]

    assert len(codes) == len(set(codes)) == 6
