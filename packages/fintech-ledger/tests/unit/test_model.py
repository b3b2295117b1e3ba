"""The chart of accounts, and what may be posted together."""

import pytest
from fintech_kernel.contracts.accounts import (
    bank_account,
    fees_account,
    merchant_account,
    processor_account,
    settlement_account,
)
from fintech_kernel.contracts.ledger import Posting
from fintech_kernel.money import Money
from fintech_ledger.domain import model
from fintech_ledger.domain.errors import MalformedPosting
from hypothesis import given
from hypothesis import strategies as st

NAMES = {
    processor_account("sandbox", "KES"): (model.PROCESSOR, "sandbox"),
    merchant_account("mer_1", "KES"): (model.MERCHANT, "mer_1"),
    settlement_account("set_1", "KES"): (model.SETTLEMENT, "set_1"),
    bank_account("KES"): (model.BANK, ""),
    fees_account("KES"): (model.FEES, ""),
    "liabilities:disputes:mer_1:KES": (model.DISPUTES, "mer_1"),
    "suspense:reconciliation:KES": (model.RECONCILIATION, ""),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_contract_is_in_the_chart(name):
    account = model.find_account(name)

    assert account is not None
    assert (account.group, account.owner) == NAMES[name]
    assert account.currency == "KES"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "assets",
        "assets:bank",
        "assets:bank:",
        "assets:bank:XYZ",
        "assets:bank:kes",
        "assets:bank:mine:KES",
        "assets:processor:KES",
        "assets:processor::KES",
        "assets:other:KES",
        "liabilities:merchant:mer_1",
        "liabilities:merchant:mer_1:extra:KES",
        "liabilities:merchant:MER_1:KES",
        "liabilities:merchant:a/b:KES",
        "liabilities:merchant:" + "a" * 65 + ":KES",
    ],
)
def test_other_names_are_in_no_chart(name):
    assert model.find_account(name) is None


@given(st.text(max_size=80))
def test_no_text_makes_the_chart_stumble(text):
    account = model.find_account(text)

    assert account is None or account.name == text


def test_an_accounts_name_lies_in_its_groups_range_and_in_no_other():
    for name, (group, _) in NAMES.items():
        inside = [one for one in model.CHART if one.names[0] <= name < one.names[1]]
        assert inside == [group]


def test_a_merchants_range_holds_its_accounts_and_nobody_elses():
    first, end = model.names_of_merchant("mer_1")

    assert first <= merchant_account("mer_1", "KES") < end
    for other in ("mer_", "mer_0", "mer_10", "mer_1_", "mer_1a"):
        assert not first <= merchant_account(other, "KES") < end


def test_every_type_has_a_normal_side():
    assert set(model.NORMAL_SIDE) == set(model.AccountType)


@pytest.mark.parametrize(
    ("name", "balance"), [(bank_account("KES"), 70), (merchant_account("mer_1", "KES"), -70)]
)
def test_a_balance_is_positive_on_the_side_on_which_its_account_grows(name, balance):
    account = model.find_account(name)
    sums = model.Sums(debits=100, credits=30, pending_debits=20, pending_credits=5)

    found = model.balance_of(account, sums)

    assert found.balance == balance
    assert found.pending == (15 if balance > 0 else -15)
    assert found.pending + found.available == balance


def _leg(**changes) -> Posting:
    fields = {
        "leg": "capture",
        "debit_account": processor_account("sandbox", "KES"),
        "credit_account": merchant_account("mer_1", "KES"),
        "amount": Money(amount=100, currency="KES"),
        "kind": "Settled",
        "available_on": 0,
        "subject_id": "pay_1",
    }
    return Posting(**{**fields, **changes})


def test_legs_of_one_merchant_and_currency_may_be_posted():
    fee = _leg(
        leg="fee",
        debit_account=merchant_account("mer_1", "KES"),
        credit_account=fees_account("KES"),
    )

    model.check_legs("mer_1", [_leg(), fee])


@pytest.mark.parametrize(
    "legs",
    [
        [_leg(), _leg()],
        [_leg(leg="a:b")],
        [_leg(leg="a#1")],
        [_leg(leg="")],
        [_leg(credit_account=processor_account("sandbox", "KES"))],
        [_leg(credit_account="liabilities:nobody:KES")],
        [_leg(amount=Money(amount=100, currency="USD"))],
        [_leg(credit_account=merchant_account("mer_1", "USD"))],
        [_leg(credit_account=merchant_account("mer_2", "KES"))],
        [_leg(debit_account=merchant_account("mer_2", "KES"))],
        [_leg(leg=f"leg{number}") for number in range(model.LEGS_MAX + 1)],
    ],
    ids=lambda legs: f"{len(legs)}-{legs[0].leg}",
)
def test_legs_that_do_not_fit_are_refused(legs):
    with pytest.raises(MalformedPosting):
        model.check_legs("mer_1", legs)
