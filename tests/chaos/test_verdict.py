"""The verdict has teeth: books that are right pass every check, and each kind of wrong is named."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import verdict
from books import Books, read_books
from clients import Answer, Call, Memory, Principal
from fintech_database.testing import start_service
from fintech_kernel.testing.apps import RunningApp, running_app


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Memory, Books]]:
    """What clients of a small world were told, and its books."""
    path: Path = tmp_path_factory.mktemp("verdict") / "small.db"
    with start_service(f"sqlite:///{path}", None, "--log-level", "warning") as url:
        yield asyncio.run(_small_world(url))


async def _small_world(url: str) -> tuple[Memory, Books]:
    async with running_app(database_url=url, plugins=None) as app:
        world = SmallWorld(app)
        await world.happen()
        return world.memory, await read_books(app.context.database)


class SmallWorld:
    """A merchant, two payments, refunds of which some are refused, and a paid settlement."""

    def __init__(self, app: RunningApp) -> None:
        self.memory = Memory()
        self._app = app

    async def happen(self) -> None:
        admin = Principal(subject="admin", role="platform_admin")
        new = {
            "name": "Small",
            "currencies": ["KES"],
            "settlement": {"delay_days": 0},
            "pricing": [{"currency": "KES", "basis_points": 300}],
        }
        created = await self._post(admin, "merchants.create", "/v1/merchants", new)
        merchant_id = created["merchant_id"]
        path = f"/v1/merchants/{merchant_id}"
        check = {"outcome": "verified", "reference": "small"}
        await self._post(admin, "merchants.verify", f"{path}/verification", check)
        await self._post(admin, "merchants.activate", f"{path}/activate", {})
        shop = Principal(subject="shop", role="merchant_operator", merchant_id=merchant_id)
        for number in range(2):
            await self._pay_and_refund(shop, f"order-{number}")
        due = {"merchant_id": merchant_id, "currency": "KES"}
        opened = await self._post(admin, "settlements.create", "/v1/settlements", due)
        path = f"/v1/settlements/{opened['settlement_id']}"
        await self._post(admin, "settlements.approve", f"{path}/approve")
        await self._post(admin, "settlements.pay", f"{path}/pay")

    async def _pay_and_refund(self, shop: Principal, reference: str) -> None:
        body = {
            "amount": 10_000,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
            "reference": reference,
        }
        paid = await self._post(shop, "payments.create", "/v1/payments", body)
        refund = {"amount": {"amount": 4_000, "currency": "KES"}}
        for _ in range(3):  # the third is more than there is left: refused
            await self._post(
                shop, "payments.refund", f"/v1/payments/{paid['payment_id']}/refunds", refund
            )

    async def _post(
        self, principal: Principal, kind: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        key = f"key-{len(self.memory.answers)}"
        call = Call(key=key, kind=kind, path=path, principal=principal, body=body)
        headers = self._app.headers(
            principal.role, merchant_id=principal.merchant_id, subject=principal.subject
        )
        headers["Idempotency-Key"] = key
        answered = await self._app.client.post(path, json=body, headers=headers)
        shown: dict[str, Any] = answered.json()
        self.memory.note(call, Answer(status=answered.status_code, body=shown, replayed=False))
        return shown


def test_right_books_pass_every_check(told: tuple[Memory, Books]):
    for check in (*verdict.CHECKS, verdict.lost_answers):
        assert list(check(*told)) == []


# --- one wrong at a time: which check must name it, and how to make it


def any_row(row: Any) -> bool:
    return bool(row)


def without(table: str, chosen: Callable[[Any], bool]) -> Callable[[Books], Books]:
    """Lose the first row that is chosen."""

    def wrong(books: Books) -> Books:
        rows = dict(getattr(books, table))
        del rows[next(key for key, row in rows.items() if chosen(row))]
        return replace(books, **{table: rows})

    return wrong


def altered(table: str, chosen: Callable[[Any], bool], **columns: Any) -> Callable[[Books], Books]:
    """Change columns of the first row that is chosen."""

    def wrong(books: Books) -> Books:
        rows = dict(getattr(books, table))
        key = next(key for key, row in rows.items() if chosen(row))
        rows[key] = {**rows[key], **columns}
        return replace(books, **{table: rows})

    return wrong


def doubled(table: str, chosen: Callable[[Any], bool]) -> Callable[[Books], Books]:
    """Do the first that is chosen once more, under another key."""

    def wrong(books: Books) -> Books:
        rows = dict(getattr(books, table))
        key = next(key for key, row in rows.items() if chosen(row))
        return replace(books, **{table: {**rows, f"{key}#2": rows[key]}})

    return wrong


def line_claimed_twice(books: Books) -> Books:
    line = next(line for line in books.lines if not line["marker"])
    return replace(books, lines=[*books.lines, {**line, "settlement_id": "stl_other"}])


def line_lost(books: Books) -> Books:
    line = next(line for line in books.lines if not line["marker"])
    return replace(books, lines=[one for one in books.lines if one is not line])


def entry_changed(books: Books) -> Books:
    return _with_stream(books, lambda entries: [replace(entries[0], request_id="x"), *entries[1:]])


def entry_lost(books: Books) -> Books:
    return _with_stream(books, lambda entries: [entries[0], *entries[2:]])


def refund_granted_beyond_what_was_captured(books: Books) -> Books:
    def more(entries: list[Any]) -> list[Any]:
        asked = next(one for one in entries if one.type == "payment.refund_requested")
        amount = {"amount": 9_000, "currency": "KES"}
        return [replace(one, data={**one.data, "amount": amount}) if one is asked else one
                for one in entries]  # fmt: skip

    return _with_stream(books, more)


def step_repeated(books: Books) -> Books:
    operation_id, entries = next(iter(books.by_operation.items()))
    doubled_entries = {**books.by_operation, operation_id: [*entries, entries[0]]}
    return replace(books, by_operation=doubled_entries)


def reference_on_two_payments(books: Books) -> Books:
    streams = dict(books.streams)
    for stream_id, entries in books.streams.items():
        if entries[0].type == "payment.created":
            data = {**entries[0].data, "reference": "order-0"}
            streams[stream_id] = [replace(entries[0], data=data), *entries[1:]]
    return replace(books, streams=streams)


def _with_stream(books: Books, change: Callable[[list[Any]], list[Any]]) -> Books:
    stream_id = next(
        name for name, entries in books.streams.items() if entries[0].type == "payment.created"
    )
    changed = change(list(books.streams[stream_id]))
    return replace(books, streams={**books.streams, stream_id: changed})


WRONGS: dict[str, tuple[verdict.Check, Callable[[Books], Books]]] = {
    "an operation is lost": (
        verdict.lost_answers,
        without("operations", lambda row: row["kind"] == "payments.create"),
    ),
    "an outcome was changed": (
        verdict.lost_answers,
        altered(
            "operations",
            lambda row: row["kind"] == "payments.create",
            result=json.dumps({"status": "failed"}),
        ),
    ),
    "a refusal took effect": (
        verdict.lost_answers,
        altered("operations", lambda row: row["state"] == "refused", state="succeeded"),
    ),
    "an operation still runs": (
        verdict.unfinished_operations,
        altered("operations", any_row, state="running"),
    ),
    "an entry was changed": (verdict.broken_streams, entry_changed),
    "an entry is lost": (verdict.broken_streams, entry_lost),
    "a step stands twice": (verdict.repeated_steps, step_repeated),
    "more was refunded than captured": (
        verdict.broken_payments,
        refund_granted_beyond_what_was_captured,
    ),
    "a reference stands twice": (verdict.repeated_references, reference_on_two_payments),
    "a list lags for ever": (verdict.broken_payments, without("payments", any_row)),
    "a fee is lost": (
        verdict.wrong_transfers,
        without("transfers", lambda row: row["kind"] == "Fee"),
    ),
    "a capture is posted twice": (
        verdict.wrong_transfers,
        doubled("transfers", lambda row: row["kind"] == "Settled"),
    ),
    "the processor took twice": (
        verdict.wrong_processor_books,
        doubled("processor_calls", lambda row: row["effect"] == "sale"),
    ),
    "the processor never refunded": (
        verdict.wrong_processor_books,
        without("processor_calls", lambda row: row["effect"] == "refund"),
    ),
    "a payout was made twice": (verdict.wrong_payouts, doubled("payouts", any_row)),
    "a payout was never made": (verdict.wrong_payouts, without("payouts", any_row)),
    "a line is in two settlements": (verdict.wrong_settlements, line_claimed_twice),
    "a line is lost": (verdict.wrong_settlements, line_lost),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_wrong_books_are_named(told: tuple[Memory, Books], wrong: str):
    memory, books = told
    check, make = WRONGS[wrong]

    assert list(check(memory, make(books)))


def test_two_answers_for_one_key_are_named(told: tuple[Memory, Books]):
    memory = Memory()
    call = next(iter(told[0].answers))
    memory.note(call, Answer(status=201, body={"status": "captured"}, replayed=False))
    memory.note(call, Answer(status=201, body={"status": "pending"}, replayed=True))

    assert list(verdict.contradictory_answers(memory, told[1]))
