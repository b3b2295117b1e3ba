"""The demo as a list of calls, and its facts; the run against a server stands in tests/e2e."""

from dataclasses import replace

import pytest
from fintech_server.demo import PAYOUT, Facts, steps
from fintech_server.story import minor, outcome_lines
from fintech_server.welcome import Welcome

FACTS = Facts(
    run_id="r1",
    merchant_id="mer_1",
    merchant_status="active",
    payment_id="pay_1",
    amount_captured=10_000,
    amount_refunded=3_000,
    fee=350,
    manual_amount_captured=2_000,
    manual_fee=118,
    settlement_id="stl_1",
    settlement_status="paid",
    settlement_total=PAYOUT,
    settlement_lines=5,
    settlement_lines_total=PAYOUT,
    merchant_balance=0,
    trial_balance={"KES": 0},
)


def test_every_call_has_a_name_of_its_own() -> None:
    names = [step.name for step in steps("r1")]

    assert len(set(names)) == len(names)


def test_the_calls_that_move_something_are_known_by_their_method() -> None:
    assert [step.name for step in steps("r1") if not step.moves] == [
        step.name for step in steps("r1") if step.name.startswith("see-")
    ]


def test_two_people_approve_and_pay() -> None:
    principals = {step.name: step.principal for step in steps("r1")}

    assert principals["approve-settlement"] != principals["pay-settlement"]


def test_facts_that_are_as_they_must_be_have_no_faults() -> None:
    assert FACTS.faults() == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"amount_refunded": 6_000}, "amount_refunded is 6000, not 3000"),
        ({"settlement_lines_total": 1}, f"settlement_lines_total is 1, not {PAYOUT}"),
        ({"trial_balance": {"KES": 1}}, "trial_balance is {'KES': 1}, not {'KES': 0}"),
        ({"merchant_balance": -1}, "merchant_balance is -1, not 0"),
    ],
)
def test_a_fact_that_is_not_as_it_must_be_is_a_fault(
    changed: dict[str, object], fault: str
) -> None:
    assert replace(FACTS, **changed).faults() == [fault]


def test_the_outcome_is_told_in_words_and_decimals() -> None:
    assert outcome_lines(FACTS) == [
        "merchant active",
        "100.00 captured",
        "30.00 refunded",
        "3.50 fee taken by the pricing",
        "settlement paid: 85.32 in 5 lines",
        "merchant's balance 0.00",
        "trial balance KES 0.00",
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(-5, "KES", "-0.05"), (1_200, "KES", "12.00"), (1_200, "JPY", "1200"), (1, "KWD", "0.001")],
)
def test_minor_units_are_shown_by_the_currency_s_own_digits(
    amount: int, currency: str, shown: str
) -> None:
    assert minor(amount, currency) == shown


def welcome(*, takes_payments: bool) -> Welcome:
    return Welcome(
        url="http://127.0.0.1:8000",
        merchant_id="mer_1",
        merchant_token="t" * 400,
        platform_token="p" * 400,
        lifetime_minutes=15,
        folder=".fintech",
        takes_payments=takes_payments,
    )


def test_where_payments_are_not_installed_there_is_nothing_to_paste() -> None:
    assert not any("curl" in line for line in welcome(takes_payments=False).lines())


def test_lines_to_paste_are_lines() -> None:
    shown = welcome(takes_payments=True)

    assert all("\n" not in line and "t" * 400 in line for line in shown.curl_lines())
    assert set(shown.curl_lines()) <= set(shown.lines())
