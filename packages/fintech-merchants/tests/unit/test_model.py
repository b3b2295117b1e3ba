"""The merchant as a decider: statuses change by the table alone, pricing is versioned and checked."""

from dataclasses import replace

import pytest
from fintech_kernel.contracts.merchants import (
    BankAccount,
    BankAccountKind,
    MerchantStatus,
    PricingRule,
    RefundPolicy,
    SettlementInterval,
    SettlementSchedule,
    VerificationStatus,
    Weekday,
)
from fintech_kernel.errors import InvariantBroken, Refusal
from fintech_merchants.domain import decisions, errors, events, model
from fintech_merchants.domain.commands import (
    Action,
    ChangeStatus,
    Command,
    CreateMerchant,
    SealedAccount,
    SetPricing,
    UpdateMerchant,
    VerificationOutcome,
    VerifyMerchant,
)
from fintech_merchants.domain.events import Contact, SettlementTerms
from fintech_merchants.domain.model import TRANSITIONS, Merchant, Verification
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


def verification(outcome: VerificationOutcome, *, at: int = 2) -> VerifyMerchant:
    return VerifyMerchant(
        merchant_id="mer_1", outcome=outcome, reference="kyb-2", reason="seen", requested_at=at
    )


def priced(*, at: int, basis_points: int = 290, effective_from: int | None = None) -> SetPricing:
    return SetPricing(
        merchant_id="mer_1",
        rules=(rule(basis_points=basis_points),),
        requested_at=at,
        effective_from=effective_from,
    )


def merchant(status: MerchantStatus = MerchantStatus.PENDING) -> Merchant:
    created = model.fold(decisions.decide(None, CREATE))
    assert created is not None
    verified = Verification(status=VerificationStatus.VERIFIED, reference="kyb-1", at=1)
    return replace(created, status=status, verification=verified)


def apply(state: Merchant | None, command: Command) -> Merchant:
    for event in decisions.decide(state, command):
        state = model.evolve(state, event)
    assert state is not None
    return state


def test_a_new_merchant_is_pending_and_has_no_fee():
    found = apply(None, CREATE)

    assert found.status is MerchantStatus.PENDING
    assert (found.pricing, found.pricing_at(1)) == ((), model.NO_PRICING)
    assert found.verification.status is VerificationStatus.UNVERIFIED
    assert found.profile(1).settlement_delay_days == 2
    assert (found.created_at, found.updated_at) == (1, 1)


def test_creation_may_price_at_once():
    found = apply(None, replace(CREATE, rules=(rule(),)))

    (version,) = found.pricing
    assert (version.version, version.rules) == (1, (rule(rule_id="v1.1"),))
    assert (version.set_at, version.effective_from) == (1, 1)


def test_a_merchant_is_not_created_twice():
    with pytest.raises(InvariantBroken):
        decisions.decide(merchant(), CREATE)


@pytest.mark.parametrize(
    "command", [change(Action.ACTIVATE), SetPricing(merchant_id="mer_1", rules=(), requested_at=2)]
)
def test_nothing_changes_before_it_exists(command):
    with pytest.raises(InvariantBroken):
        decisions.decide(None, command)


def test_an_event_before_the_creation_breaks_the_fold():
    with pytest.raises(InvariantBroken):
        model.fold([events.MerchantActivated(reason="", at=1)])


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("status", MerchantStatus)
def test_a_status_changes_exactly_as_the_table_says(status, action):
    wanted = TRANSITIONS.get((status, action))

    if wanted is None:
        with pytest.raises(errors.MerchantTransitionRefused) as refused:
            decisions.decide(merchant(status), change(action))
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

    latest = second.pricing_at(3)
    assert (latest.version, latest.set_at) == (2, 3)
    assert [one.rule_id for one in latest.rules] == ["v2.1", "v2.2"]


def test_an_empty_pricing_is_a_version_like_any_other():
    found = apply(merchant(), SetPricing(merchant_id="mer_1", rules=(), requested_at=2))

    assert (found.pricing_at(2).version, found.pricing_at(2).rules) == (1, ())


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
        decisions.decide(merchant(), command)
    with pytest.raises(refusal):
        decisions.decide(None, replace(CREATE, rules=tuple(rules)))


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

    assert len(found.pricing_at(2).rules) == len(rules)


def test_a_closed_merchant_is_not_priced_any_more():
    command = SetPricing(merchant_id="mer_1", rules=(), requested_at=2)

    with pytest.raises(errors.MerchantClosed):
        decisions.decide(merchant(MerchantStatus.CLOSED), command)


# --- verification


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (VerificationOutcome.VERIFIED, VerificationStatus.VERIFIED),
        (VerificationOutcome.REJECTED, VerificationStatus.REJECTED),
    ],
)
def test_the_outcome_of_a_check_is_kept(outcome, status):
    found = apply(merchant(), verification(outcome))

    assert found.verification == Verification(status=status, reference="kyb-2", reason="seen", at=2)
    assert found.profile(2).verification is status


@pytest.mark.parametrize("status", VerificationStatus)
@pytest.mark.parametrize("before", [MerchantStatus.PENDING, MerchantStatus.SUSPENDED])
def test_only_a_verified_merchant_is_activated(before, status):
    state = replace(merchant(before), verification=Verification(status=status))

    if status is VerificationStatus.VERIFIED:
        assert apply(state, change(Action.ACTIVATE)).status is MerchantStatus.ACTIVE
    else:
        with pytest.raises(errors.MerchantNotVerified) as refused:
            decisions.decide(state, change(Action.ACTIVATE))
        assert refused.value.facts == {"merchant_id": "mer_1", "verification": status.value}


def test_the_latest_check_counts_and_suspends_nobody():
    state = apply(merchant(MerchantStatus.ACTIVE), verification(VerificationOutcome.REJECTED))
    assert state.status is MerchantStatus.ACTIVE

    suspended = apply(state, change(Action.SUSPEND))
    with pytest.raises(errors.MerchantNotVerified):
        decisions.decide(suspended, change(Action.ACTIVATE))
    again = apply(suspended, verification(VerificationOutcome.VERIFIED))
    assert apply(again, change(Action.ACTIVATE)).status is MerchantStatus.ACTIVE


@pytest.mark.parametrize(
    "command",
    [
        VerifyMerchant(
            merchant_id="mer_1",
            outcome=VerificationOutcome.VERIFIED,
            reference="kyb-2",
            reason="",
            requested_at=2,
        ),
        UpdateMerchant(merchant_id="mer_1", requested_at=2, name="New"),
        SetPricing(merchant_id="mer_1", rules=(), requested_at=2),
    ],
)
def test_nothing_about_a_closed_merchant_changes(command):
    with pytest.raises(errors.MerchantClosed):
        decisions.decide(merchant(MerchantStatus.CLOSED), command)


# --- what is known of a merchant


def test_what_is_not_asked_for_stays():
    before = merchant()

    after = apply(before, UpdateMerchant(merchant_id="mer_1", requested_at=2, name="Duka Mpya"))

    assert after == replace(before, name="Duka Mpya", updated_at=2)


def test_currencies_are_added_and_never_taken_away():
    more = UpdateMerchant(merchant_id="mer_1", requested_at=2, currencies=("KES", "UGX", "USD"))
    fewer = replace(more, currencies=("KES", "USD"))

    assert apply(merchant(), more).currencies == ("KES", "UGX", "USD")
    with pytest.raises(errors.CurrencyNotRemovable) as refused:
        decisions.decide(merchant(), fewer)
    assert refused.value.facts == {"currency": "UGX"}


def test_contact_data_changes_by_name_and_null_clears():
    known = replace(merchant(), contact=Contact(email="a@b.example", city="Nairobi"))

    after = apply(
        known,
        UpdateMerchant(
            merchant_id="mer_1", requested_at=2, contact={"email": None, "phone": "+254712345678"}
        ),
    )

    assert after.contact == Contact(phone="+254712345678", city="Nairobi")


pairs = st.dictionaries(st.sampled_from("abcdef"), st.text("xyz", max_size=2))
changes = st.dictionaries(st.sampled_from("abcdef"), st.none() | st.text("xyz", max_size=2))


@given(before=pairs, change=changes, clears=st.booleans())
def test_metadata_changes_as_a_merge_patch_does(before, change, clears):
    state = replace(merchant(), metadata=before)
    command = UpdateMerchant(
        merchant_id="mer_1", requested_at=2, metadata=change, clears_metadata=clears
    )

    after = apply(state, command)

    expected = {} if clears else dict(before)
    for name, value in change.items():
        expected.pop(name, None)
        if value is not None:
            expected[name] = value
    assert after.metadata == expected
    assert after.metadata_version == state.metadata_version + (1 if change or clears else 0)


def test_more_pairs_than_there_may_be_are_refused():
    full = replace(merchant(), metadata={f"k{n}": "v" for n in range(20)})
    one_more = UpdateMerchant(merchant_id="mer_1", requested_at=2, metadata={"more": "v"})

    with pytest.raises(errors.MetadataFull):
        decisions.decide(full, one_more)
    swapped = apply(full, replace(one_more, metadata={"more": "v", "k0": None}))
    assert len(swapped.metadata) == 20


def test_settlement_terms_change_one_by_one():
    weekly = SettlementSchedule(interval=SettlementInterval.WEEKLY, weekday=Weekday.FRIDAY)
    shown = BankAccount(
        account_id="ba_1",
        kind=BankAccountKind.KENYAN_BANK,
        country="KE",
        bank_code="68",
        masked="****3456",
    )
    account = SealedAccount(shown=shown, key_id="k1", sealed="sealed")
    command = UpdateMerchant(merchant_id="mer_1", requested_at=2)

    after = apply(merchant(), replace(command, settlement_schedule=weekly, account=account))
    assert after.settlement == SettlementTerms(
        delay_days=2, minimum=100, schedule=weekly, bank_account=shown
    )
    assert after.profile(2).bank_account == shown

    forgotten = apply(after, replace(command, clears_account=True, settlement_delay_days=0))
    assert forgotten.settlement == SettlementTerms(delay_days=0, minimum=100, schedule=weekly)


def test_what_is_sealed_never_reaches_an_event():
    shown = BankAccount(
        account_id="ba_1", kind=BankAccountKind.IBAN, country="GB", bank_code="X", masked="****1"
    )
    account = SealedAccount(shown=shown, key_id="k1", sealed="canary")
    update = UpdateMerchant(merchant_id="mer_1", requested_at=2, account=account)

    told = [
        *decisions.decide(merchant(), update),
        *decisions.decide(None, replace(CREATE, account=account)),
    ]

    assert "ba_1" in repr(told)
    assert "canary" not in repr(told)


# --- pricing in time


def test_a_planned_version_waits_for_its_time():
    state = apply(merchant(), priced(at=10, basis_points=100))
    state = apply(state, priced(at=20, basis_points=200, effective_from=50))

    assert [state.pricing_at(moment).version for moment in (10, 49, 50, 99)] == [1, 1, 2, 2]
    assert state.profile(49).pricing[0].basis_points == 100
    assert state.profile(50).pricing[0].basis_points == 200


def test_what_is_set_meanwhile_applies_until_the_planned_version():
    state = apply(merchant(), priced(at=20, basis_points=200, effective_from=50))
    state = apply(state, priced(at=30, basis_points=300))

    assert [state.pricing_at(moment).version for moment in (25, 30, 49, 50)] == [2, 2, 2, 1]


def test_of_two_versions_for_one_time_the_later_set_applies():
    state = apply(merchant(), priced(at=20, basis_points=200, effective_from=50))
    state = apply(state, priced(at=21, basis_points=210, effective_from=50))

    assert state.pricing_at(50).version == 2


def test_a_version_does_not_begin_before_it_is_asked_for():
    with pytest.raises(errors.PricingEffectiveInPast) as refused:
        decisions.decide(merchant(), priced(at=20, effective_from=19))

    assert refused.value.facts == {"effective_from": 19, "requested_at": 20}
    assert apply(merchant(), priced(at=20, effective_from=20)).pricing_at(20).version == 1


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=8))
def test_what_applies_at_once_replaces_what_did_whatever_clocks_say(times):
    state = merchant()
    for at in times:
        state = apply(state, priced(at=at))
        assert state.pricing_at(0).version == len(state.pricing)


def test_every_refusal_has_a_code_of_its_own():
    codes = [
        error.code for error in Refusal.__subclasses__() if error.__module__ == errors.__name__
    ]

    assert len(codes) == len(set(codes)) >= 10
