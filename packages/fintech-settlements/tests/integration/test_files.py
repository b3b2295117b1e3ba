"""Payout orders that people answer, and the files that banks take."""

import asyncio
import csv
import io
import re
from xml.etree import ElementTree as ET

import pytest
from fintech_kernel.contracts.merchants import BankAccount, BankAccountKind, OpenedAccount
from fintech_settlements.domain.payout_files import FileUnwritable, PayoutFiles

pytestmark = pytest.mark.anyio

IBANS = ("DE89370400440532013000", "FR1420041010050500013M02606")
PAIN = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.03}"
DAY = 86_400


def has_account(world, kind=BankAccountKind.IBAN, **details):
    """Give the world's merchant a bank account."""
    account_id = f"ba_{world.merchant_id}"
    account = BankAccount(
        account_id=account_id, kind=kind, country="DE", bank_code="1", masked="****"
    )
    world.change_merchant(bank_account=account)
    world.accounts.opened[world.merchant_id, account_id] = OpenedAccount(
        account_id=account_id, kind=kind, details={"holder": "Café Überall", **details}
    )


async def ordered(world, *amounts):
    """Return a settlement whose payout is ordered."""
    settlement = await world.approved(*amounts)
    answer = await world.post(f"/{settlement['settlement_id']}/pay", {})
    assert (answer.status_code, answer.json()["status"]) == (202, "paying"), answer.text
    return settlement


def files(world) -> PayoutFiles:
    return world.app.context.services.get(PayoutFiles)


async def written(world, rail="csv_file"):
    number = await files(world).gather(rail)
    return None if number is None else await files(world).write(number)


def rows(content: bytes) -> dict[str, dict[str, str]]:
    return {row["batch_number"]: row for row in csv.DictReader(io.StringIO(content.decode()))}


@pytest.fixture
async def by_file(anyio_backend, sqlite_service, run_world):
    """A world whose payouts go into CSV files."""
    async with run_world(sqlite_service, settlements_rail="csv_file") as world:
        while await written(world):  # what other tests left
            pass
        yield world


async def test_a_manual_payout_waits_for_somebody_and_is_paid_once_confirmed(
    sqlite_service, run_world
):
    async with run_world(sqlite_service, settlements_rail="manual") as world:
        settlement = await ordered(world, 2_500)
        path = f"/{settlement['settlement_id']}"
        await world.run_job("resolve")
        assert (await world.get(path)).json()["payout_outcome"] == "open"
        paid = await world.post(f"{path}/confirm", {"bank_reference": "FT1"})
        assert (paid.json()["status"], paid.json()["rail"]) == ("paid", "manual")


async def test_a_merchant_without_an_account_is_not_paid_by_file(by_file):
    settlement = await by_file.approved(2_500)
    refused = await by_file.post(f"/{settlement['settlement_id']}/pay", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "bank_account_unsuitable")


async def test_sepa_pays_euros_to_ibans_only(sqlite_service, run_world):
    async with run_world(sqlite_service, settlements_rail="sepa_file") as world:
        has_account(world, iban=IBANS[0])
        settlement = await world.approved(2_500)  # in shillings
        refused = await world.post(f"/{settlement['settlement_id']}/pay", {})
        assert (refused.status_code, refused.json()["code"]) == (409, "payout_rail_unsuitable")


async def test_an_order_stands_in_one_file_and_the_file_can_be_written_again(by_file):
    has_account(
        by_file, kind=BankAccountKind.MOBILE_WALLET, provider="mpesa", msisdn="+254712345678"
    )
    settlement = await ordered(by_file, 2_513)
    number = await files(by_file).gather("csv_file")
    assert await files(by_file).gather("csv_file") is None
    first, again = await files(by_file).write(number), await files(by_file).write(number)
    assert first.content == again.content
    row = rows(first.content)[settlement["batch_number"]]
    assert (row["file"], row["amount_minor"], row["currency"]) == (number, "2513", "KES")
    assert (row["holder"], row["msisdn"]) == ("Café Überall", "+254712345678")
    assert (first.count, first.totals) == (1, {"KES": 2_513})


async def test_two_operators_at_once_never_put_an_order_into_two_files(by_file):
    has_account(by_file, iban=IBANS[0])
    settlements = [await ordered(by_file, amount) for amount in (100, 200, 300)]
    made = await asyncio.gather(*(written(by_file) for _ in range(4)))
    found = [batch for one in made if one for batch in rows(one.content)]
    assert sorted(found) == sorted(one["batch_number"] for one in settlements)


async def test_what_was_confirmed_or_is_being_given_up_goes_into_no_file(by_file):
    has_account(by_file, iban=IBANS[0])
    confirmed, given_up, late = [await ordered(by_file, amount) for amount in (100, 200, 300)]
    await by_file.post(f"/{confirmed['settlement_id']}/confirm", {"bank_reference": "FT1"})
    asked = await by_file.post(f"/{given_up['settlement_id']}/fail", {"reason": "wrong account"})
    assert asked.status_code == 202
    made = await written(by_file)
    assert list(rows(made.content)) == [late["batch_number"]]
    await by_file.post(f"/{late['settlement_id']}/fail", {"reason": "wrong account"})
    with pytest.raises(FileUnwritable, match="any more"):
        await files(by_file).write(made.number)


async def test_an_order_that_ran_out_goes_into_no_file_and_only_then_people_give_it_up(by_file):
    has_account(by_file, iban=IBANS[0])
    settlement = await ordered(by_file, 100)
    path = f"/{settlement['settlement_id']}/fail"
    await by_file.post(path, {"reason": "forgotten"}, by="ann")
    by_file.clock.advance(seconds=2 * DAY + 1)
    assert await written(by_file) is None
    early = await by_file.post(path, {"reason": "forgotten"}, by="ben")
    assert early.json()["code"] == "failure_too_early"
    by_file.clock.advance(seconds=5 * DAY + 900)
    failed = await by_file.post(path, {"reason": "forgotten"}, by="ben")
    assert failed.json()["status"] == "failed"


async def test_a_file_that_does_not_exist_and_a_rail_without_files_are_told(by_file):
    with pytest.raises(FileUnwritable, match="no file"):
        await files(by_file).write("POF7ZZZZZZZZZABSENTZZZZZZZZZZ")
    with pytest.raises(FileUnwritable, match="manual writes no files"):
        files(by_file).check("manual")
    with pytest.raises(FileUnwritable, match="SETTLEMENTS_SEPA_DEBTOR_NAME"):
        files(by_file).check("sepa_file")


async def test_no_account_is_in_a_log_an_operation_or_the_journal(by_file):
    has_account(by_file, iban=IBANS[1])
    await ordered(by_file, 100)
    made = await written(by_file)
    assert IBANS[1].encode() in made.content
    assert not any(IBANS[1] in line for line in by_file.app.lines)
    for table in ("operations", "journal"):
        found = await by_file.books.rows(
            f"SELECT COUNT(*) AS n FROM {table} WHERE "  # noqa: S608 - two names of ours
            + ("request" if table == "operations" else "data")
            + " LIKE ?",
            f"%{IBANS[1]}%",
        )
        assert found == [{"n": 0}]
    assert IBANS[1] not in repr(by_file.accounts.opened)


def test_a_sepa_file_fits_its_schema_and_carries_our_numbers():
    from datetime import UTC, datetime

    from fintech_kernel.money import Money
    from fintech_settlements.infrastructure.files.payouts import FileHead, FilePayout
    from fintech_settlements.infrastructure.files.sepa import sepa_file

    head = FileHead(
        number="POF01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
        created=datetime(2026, 11, 30, tzinfo=UTC),
        debtor_name="Acme Payments GmbH",
        debtor_iban="DE75512108001245126199",
        debtor_bic="SOLADEST600",
    )
    payouts = [
        FilePayout(
            batch_number=f"STL{number}",
            amount=Money(amount=100_001 + number, currency="EUR"),
            kind="iban",
            details={"holder": "Café Überall", "iban": iban},
        )
        for number, iban in enumerate(IBANS)
    ]
    content = sepa_file(head, payouts)  # refuses what does not fit the schema
    tree = ET.fromstring(content)  # noqa: S314 - we wrote it
    assert [one.text for one in tree.iter(f"{PAIN}MsgId")] == [head.number]
    assert [one.text for one in tree.iter(f"{PAIN}EndToEndId")] == ["STL0", "STL1"]
    assert [one.text for one in tree.iter(f"{PAIN}InstdAmt")] == ["1000.01", "1000.02"]
    assert next(tree.iter(f"{PAIN}CtrlSum")).text == "2000.03"
    assert [one.text for one in tree.iter(f"{PAIN}IBAN")] == [head.debtor_iban, *IBANS]
    assert re.fullmatch(r"[ -~]*", content.decode("ascii"))
