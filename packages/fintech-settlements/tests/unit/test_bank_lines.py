"""A bank's file by a declared mapping: exact amounts, keys that stay, and faults that name their row."""

from dataclasses import replace

import pytest
from fintech_settlements.domain.bank_lines import (
    BankFileRejected,
    BankLine,
    mapping_of,
    read_lines,
)
from fintech_settlements.domain.reconciliation import settlement_named
from hypothesis import given
from hypothesis import strategies as st

PLAIN = {"booked_on": "Day", "reference": "Text", "amount": "Amount", "currency": "KES"}
BATCH = "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T"


def read(text: str, **mapping) -> list[BankLine]:
    given = {**PLAIN, **mapping}
    wanted = mapping_of({name: value for name, value in given.items() if value != ""})
    return list(read_lines(text.splitlines(keepends=True), wanted, bank_account="main"))


def test_a_signed_column_is_read_exactly():
    (line,) = read("Day,Text,Amount\n2026-11-30,PAYOUT x,-67.05\n")
    assert (line.booked_on, line.amount, line.currency) == ("2026-11-30", -6_705, "KES")


def test_two_columns_another_alphabet_of_numbers_and_another_order_of_days():
    text = "Buchung;Soll;Haben;Text;Whg\n30.11.2026;1.200,50;;a;EUR\n01.12.2026;;7;b;JPY\n"
    mapping = {
        "booked_on": "Buchung",
        "reference": "Text",
        "debit": "Soll",
        "credit": "Haben",
        "currency_column": "Whg",
        "date_format": "%d.%m.%Y",
        "delimiter": ";",
        "decimal_mark": ",",
        "thousands_mark": ".",
    }
    lines = list(
        read_lines(text.splitlines(keepends=True), mapping_of(mapping), bank_account="main")
    )
    assert [(one.booked_on, one.amount, one.currency) for one in lines] == [
        ("2026-11-30", -120_050, "EUR"),
        ("2026-12-01", 7, "JPY"),
    ]


def test_a_bank_that_writes_what_leaves_as_positive():
    assert read("Day,Text,Amount\n2026-11-30,a,5\n", is_outgoing_positive=True)[0].amount == -500


@given(amount=st.integers(min_value=1, max_value=10**15), sign=st.sampled_from([1, -1]))
def test_no_amount_is_rounded(amount, sign):
    shown = f"{'-' if sign < 0 else ''}{amount // 100}.{amount % 100:02}"
    assert read(f"Day,Text,Amount\n2026-11-30,a,{shown}\n")[0].amount == sign * amount


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2026-11-31,a,1", "day"),
        ("30.11.2026,a,1", "day"),
        ("2026-11-30,a,1.005", "2 decimals"),
        ("2026-11-30,a,", "decimal number"),
        ("2026-11-30,a,1e5", "decimal number"),
        ("2026-11-30,a,NaN", "decimal number"),
        ("2026-11-30,a,--1", "decimal number"),
        ("2026-11-30,a,\u0661", "decimal number"),
        ("2026-11-30,a,0", "between"),
        ("2026-11-30,a,10000000000000.01", "between"),
        ("2026-11-30,a\u0007b,1", "control"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(row, fault):
    text = f"Day,Text,Amount\n2026-11-30,fine,1\n{row}\n"
    with pytest.raises(BankFileRejected, match=f"row 3: .*{fault}"):
        read(text)


def test_a_file_without_a_column_of_the_mapping_is_refused():
    with pytest.raises(BankFileRejected, match="no column Amount, Text"):
        read("Day,Betrag\n2026-11-30,1\n")


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {**PLAIN, "debit": "D", "credit": "C"},
        {**PLAIN, "amount": ""},
        {**PLAIN, "currency": "XXX"},
        {**PLAIN, "currency_column": "C"},
        {**PLAIN, "delimiter": ""},
        {**PLAIN, "colour": "red"},
        {**PLAIN, "booked_on": 1},
    ],
    ids=str,
)
def test_a_mapping_that_does_not_say_everything_once_is_refused(mapping):
    with pytest.raises(BankFileRejected, match=r"mapping|character"):
        mapping_of(mapping)


def test_a_line_keeps_its_key_in_every_file():
    once = "2026-11-30,fee,-1\n"
    whole = read("Day,Text,Amount\n" + once + "2026-11-30,x,-2\n" + once)
    keys = [line.key for line in whole]
    assert len(set(keys)) == 3
    assert [line.key for line in read("Day,Text,Amount\n" + once)] == keys[:1]
    named = replace(whole[0], bank_id="FT1")
    assert replace(named, amount=-5).key == named.key != replace(named, bank_id="FT2").key
    assert replace(named, amount=-5).content_hash != named.content_hash
    assert replace(named, bank_account="other").key != named.key


def test_a_card_number_in_a_banks_text_is_hidden():
    (line,) = read("Day,Text,Amount\n2026-11-30,card 4111 1111 1111 1111 back,1\n")
    assert "4111 1111" not in line.reference
    assert line.reference.endswith("1111 back")


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        (BATCH, "stl_01k9qq3v5kf7wsc0d3jz8y2m4t"),
        (f"/ROC/{BATCH.lower()}//payout", "stl_01k9qq3v5kf7wsc0d3jz8y2m4t"),
        (f"{BATCH[:16]} {BATCH[16:]}", "stl_01k9qq3v5kf7wsc0d3jz8y2m4t"),
        (f"{BATCH} {BATCH}", "stl_01k9qq3v5kf7wsc0d3jz8y2m4t"),
        (f"{BATCH} {BATCH[:-1]}X", ""),
        (BATCH[:-1], ""),
        ("", ""),
    ],
)
def test_a_batch_number_is_found_in_a_banks_text(reference, named):
    assert settlement_named(reference) == named
