"""Payments over HTTP: what a client asks and what it is told."""

import uuid
from typing import Any, cast

import pytest
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.testing.apps import RunningApp
from fintech_kernel.testing.ledger import PostingLedger

pytestmark = pytest.mark.anyio

MERCHANT = "mer_test"
PROCESSOR = "assets:processor:sandbox:KES"
MERCHANT_ACCOUNT = f"liabilities:merchant:{MERCHANT}:KES"


def key() -> str:
    return uuid.uuid4().hex


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "amount": 10_000,
        "currency": "KES",
        "payment_method": {"type": "card", "token": "sandbox_approve"},
        **changes,
    }


def merchant(app: RunningApp) -> dict[str, str]:
    return app.headers(merchant_id=MERCHANT)


async def created(app: RunningApp, **changes: Any) -> dict[str, Any]:
    answer = await app.post("/v1/payments", payment(**changes), key=key(), headers=merchant(app))
    assert answer.status_code == 201, answer.text
    return answer.json()


def ledger_of(app: RunningApp) -> PostingLedger:
    return cast("PostingLedger", app.context.services.get(Ledger))


async def test_a_payment_is_captured_at_once_unless_capture_is_manual(app: RunningApp) -> None:
    shown = await created(app)
    assert (shown["status"], shown["amount_captured"]) == ("captured", 10_000)

    shown = await created(app, capture="manual")
    assert (shown["status"], shown["amount_authorized"], shown["amount_captured"]) == (
        "authorized",
        10_000,
        0,
    )


async def test_create_and_capture_takes_two_trips_besides_authentication_and_the_sandbox(
    app: RunningApp,
) -> None:
    app.calls.clear()
    await created(app, reference=f"trips-{key()}")

    trips = [
        call.names
        for call in app.calls
        if call.endpoint != "health"
        and not call.names[0].startswith(("payments.sandbox.", "revocations."))
    ]
    assert trips == [
        ("operations.claim", "payments.references.insert"),
        (
            "journal.append",
            "test_ledger.insert",
            "operations.finish",
            "operations.outcome",
            "payments.upsert",
        ),
    ]


async def test_the_read_model_is_not_written_again_for_what_it_shows(app: RunningApp) -> None:
    headers = app.headers(merchant_id=f"mer_{key()[:10]}")
    await app.deliver_events()
    answer = await app.post(
        "/v1/payments", payment(metadata={"shop": "a"}), key=key(), headers=headers
    )
    assert answer.status_code == 201
    app.calls.clear()

    await app.deliver_events()

    sent = [name for call in app.calls for name in call.names]
    assert "deliveries.insert_settled" in sent
    assert not {"deliveries.insert", "deliveries.take", "payments.upsert"} & set(sent)
    assert await listed(app, "metadata=shop:a", headers) == [answer.json()["payment_id"]]


@pytest.mark.parametrize("text", ["%00", "order-1017%00", "", "-order", "a b", "a" * 65, "%FF"])
async def test_a_list_by_what_is_no_reference_is_refused(app: RunningApp, text: str) -> None:
    listed = await app.client.get(f"/v1/payments?reference={text}", headers=merchant(app))
    assert listed.status_code == 422
    assert [error["pointer"] for error in listed.json()["errors"]] == ["/query/reference"]


async def test_a_repeat_gets_the_first_answer_and_moves_nothing(app: RunningApp) -> None:
    same = key()
    first = await app.post("/v1/payments", payment(), key=same, headers=merchant(app))
    before = await ledger_of(app).balance(PROCESSOR)

    second = await app.post("/v1/payments", payment(), key=same, headers=merchant(app))

    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert await ledger_of(app).balance(PROCESSOR) == before


async def test_a_key_with_another_body_is_refused(app: RunningApp) -> None:
    same = key()
    await app.post("/v1/payments", payment(), key=same, headers=merchant(app))
    answer = await app.post("/v1/payments", payment(amount=1), key=same, headers=merchant(app))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_of_another_merchant_is_another_key(app: RunningApp) -> None:
    same = key()
    mine = await app.post("/v1/payments", payment(), key=same, headers=merchant(app))
    other = app.headers(merchant_id="mer_other")
    theirs = await app.post("/v1/payments", payment(amount=1), key=same, headers=other)
    assert theirs.status_code == 201
    assert theirs.json()["payment_id"] != mine.json()["payment_id"]


async def test_without_a_key_nothing_moves(app: RunningApp) -> None:
    answer = await app.client.post("/v1/payments", json=payment(), headers=merchant(app))
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


async def test_a_declined_payment_has_failed_with_the_code(app: RunningApp) -> None:
    method = {"type": "card", "token": "sandbox_decline_insufficient_funds"}
    shown = await created(app, payment_method=method)
    assert (shown["status"], shown["decline_code"]) == ("failed", "insufficient_funds")


async def test_an_answer_that_was_lost_is_learned_by_sending_the_same_call_again(
    app: RunningApp,
) -> None:
    before = await ledger_of(app).balance(PROCESSOR)
    shown = await created(app, payment_method={"type": "card", "token": "sandbox_timeout"})
    assert shown["status"] == "captured"
    assert before - await ledger_of(app).balance(PROCESSOR) == 10_000


async def test_a_reference_names_one_payment_of_a_merchant(app: RunningApp) -> None:
    reference = f"order-{key()}"
    first = await created(app, reference=reference)

    again = await app.post(
        "/v1/payments", payment(reference=reference), key=key(), headers=merchant(app)
    )
    other = await app.post(
        "/v1/payments", payment(reference=reference, amount=1), key=key(), headers=merchant(app)
    )

    assert (again.status_code, again.json()["code"]) == (409, "reference_exists")
    assert again.json()["facts"]["payment_id"] == first["payment_id"]
    assert other.json()["code"] == "reference_exists_with_different_amount"
    theirs = await app.post(
        "/v1/payments",
        payment(reference=reference),
        key=key(),
        headers=app.headers(merchant_id="mer_other"),
    )
    assert theirs.status_code == 201


async def test_a_refusal_is_replayed_like_a_success(app: RunningApp) -> None:
    reference = f"order-{key()}"
    await created(app, reference=reference)
    same = key()
    answers = [
        await app.post(
            "/v1/payments", payment(reference=reference), key=same, headers=merchant(app)
        )
        for _ in range(2)
    ]
    documents = [answer.json() for answer in answers]
    for document in documents:
        del document["request_id"], document["instance"]
    assert documents[0] == documents[1]
    assert answers[1].headers["Idempotent-Replayed"] == "true"


async def test_captures_may_be_partial_and_several_but_never_exceed_the_authorization(
    app: RunningApp,
) -> None:
    shown = await created(app, capture="manual")
    path = f"/v1/payments/{shown['payment_id']}/capture"

    part = {"amount": {"amount": 4_000, "currency": "KES"}}
    first = await app.post(path, part, key=key(), headers=merchant(app))
    too_much = await app.post(
        path, {"amount": {"amount": 6_001, "currency": "KES"}}, key=key(), headers=merchant(app)
    )
    rest = await app.post(path, {}, key=key(), headers=merchant(app))
    nothing_left = await app.post(path, {}, key=key(), headers=merchant(app))

    assert first.json()["amount_captured"] == 4_000
    assert (too_much.status_code, too_much.json()["code"]) == (422, "capture_exceeds_authorized")
    assert rest.json()["amount_captured"] == 10_000
    assert nothing_left.json()["code"] == "payment_not_capturable"


async def test_a_failed_capture_leaves_the_authorization_free(app: RunningApp) -> None:
    shown = await created(
        app,
        capture="manual",
        payment_method={"type": "card", "token": "sandbox_capture_fails"},
    )
    path = f"/v1/payments/{shown['payment_id']}/capture"
    answer = await app.post(path, {}, key=key(), headers=merchant(app))
    assert answer.status_code == 200
    assert answer.json()["status"] == "authorized"
    assert answer.json()["decline_code"] == "capture_declined"


async def test_an_authorization_is_canceled_once_and_a_captured_payment_never(
    app: RunningApp,
) -> None:
    held = await created(app, capture="manual")
    taken = await created(app)

    canceled = await app.post(
        f"/v1/payments/{held['payment_id']}/cancel", {}, key=key(), headers=merchant(app)
    )
    again = await app.post(
        f"/v1/payments/{held['payment_id']}/cancel", {}, key=key(), headers=merchant(app)
    )
    captured = await app.post(
        f"/v1/payments/{taken['payment_id']}/cancel", {}, key=key(), headers=merchant(app)
    )

    assert canceled.json()["status"] == "canceled"
    assert again.json()["code"] == "payment_not_cancelable"
    assert captured.json()["code"] == "payment_not_cancelable"


async def test_refunds_never_exceed_what_was_captured(app: RunningApp) -> None:
    shown = await created(app)
    path = f"/v1/payments/{shown['payment_id']}/refunds"

    first = await app.post(
        path, {"amount": {"amount": 3_000, "currency": "KES"}}, key=key(), headers=merchant(app)
    )
    too_much = await app.post(
        path, {"amount": {"amount": 7_001, "currency": "KES"}}, key=key(), headers=merchant(app)
    )
    rest = await app.post(path, {}, key=key(), headers=merchant(app))
    found = await app.client.get(path, headers=merchant(app))
    after = await app.client.get(f"/v1/payments/{shown['payment_id']}", headers=merchant(app))

    assert (first.status_code, first.json()["status"]) == (201, "succeeded")
    assert (too_much.status_code, too_much.json()["code"]) == (422, "refund_exceeds_captured")
    assert rest.json()["amount"] == 7_000
    assert [one["amount"] for one in found.json()["data"]] == [3_000, 7_000]
    assert (after.json()["status"], after.json()["amount_refunded"]) == ("refunded", 10_000)


async def test_a_declined_refund_gives_its_amount_back_to_the_merchant(app: RunningApp) -> None:
    shown = await created(app, payment_method={"type": "card", "token": "sandbox_refund_fails"})
    before = await ledger_of(app).balance(MERCHANT_ACCOUNT)
    path = f"/v1/payments/{shown['payment_id']}/refunds"

    answer = await app.post(path, {}, key=key(), headers=merchant(app))

    assert (answer.json()["status"], answer.json()["decline_code"]) == ("failed", "refund_declined")
    assert await ledger_of(app).balance(MERCHANT_ACCOUNT) == before
    after = await app.client.get(f"/v1/payments/{shown['payment_id']}", headers=merchant(app))
    assert after.json()["amount_refunded"] == 0


async def test_a_foreign_payment_answers_exactly_as_an_absent_one(app: RunningApp) -> None:
    shown = await created(app)
    other = app.headers(merchant_id="mer_other")
    absent = "pay_01k9qq3v5kf7wsc0d3jz8y2m4t"
    for method, suffix in (("GET", ""), ("POST", "/capture"), ("POST", "/refunds")):
        answers = [
            await app.client.request(
                method,
                f"/v1/payments/{one}{suffix}",
                json={} if method == "POST" else None,
                headers={**other, "Idempotency-Key": key(), "X-Request-ID": "same"},
            )
            for one in (shown["payment_id"], absent)
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content


async def test_lists_are_paged_newest_first_within_the_merchant(app: RunningApp) -> None:
    headers = app.headers(merchant_id=f"mer_{key()[:8]}")
    made = [
        (await app.post("/v1/payments", payment(), key=key(), headers=headers)).json()["payment_id"]
        for _ in range(5)
    ]
    first = (await app.client.get("/v1/payments?limit=3", headers=headers)).json()
    cursor = first["next_cursor"]
    second = (await app.client.get(f"/v1/payments?limit=3&cursor={cursor}", headers=headers)).json()
    listed = [one["payment_id"] for one in (*first["data"], *second["data"])]
    assert listed == sorted(made, reverse=True)
    assert second["next_cursor"] is None
    stolen = await app.client.get(f"/v1/payments?limit=3&cursor={cursor}", headers=merchant(app))
    assert stolen.status_code == 422


async def test_a_viewer_reads_and_moves_nothing(app: RunningApp) -> None:
    viewer = app.headers("merchant_viewer", merchant_id=MERCHANT)
    assert (await app.client.get("/v1/payments", headers=viewer)).status_code == 200
    answer = await app.post("/v1/payments", payment(), key=key(), headers=viewer)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"amount": "10"},
        {"amount": True},
        {"amount": 10**15 + 1},
        {"currency": "XXX"},
        {"currency": "kes"},
        {"payment_method": {"type": "card", "token": "4111 1111 1111 1111"}},
        {"payment_method": {"type": "card", "token": "4111111111111111"}},
        {"status": "captured"},
        {"payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t"},
        {"reference": "a" * 65},
        {"metadata": {str(number): "x" for number in range(21)}},
    ],
)
async def test_bad_input_is_a_precise_problem(app: RunningApp, change: dict[str, Any]) -> None:
    answer = await app.post("/v1/payments", payment(**change), key=key(), headers=merchant(app))
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "4111" not in answer.text


async def listed(app: RunningApp, query: str, headers: dict[str, str]) -> list[str]:
    answer = await app.client.get(f"/v1/payments?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["payment_id"] for one in answer.json()["data"]]


async def test_a_list_is_narrowed_by_a_pair_of_metadata_page_by_page(app: RunningApp) -> None:
    mine, other = f"mer_{key()[:10]}", f"mer_{key()[:10]}"
    made: list[str] = []
    for owner, shop in ((mine, "a"), (mine, "b"), (mine, "a"), (other, "a")):
        body = payment(metadata={"shop": shop, "till": "1"})
        headers = app.headers(merchant_id=owner)
        made.append(
            (await app.post("/v1/payments", body, key=key(), headers=headers)).json()["payment_id"]
        )

    headers = app.headers(merchant_id=mine)
    assert await listed(app, "metadata=shop:a", headers) == [made[2], made[0]]
    assert await listed(app, "metadata=shop:a&status=authorized", headers) == []
    assert await listed(app, "metadata=shop:c", headers) == []
    first = await app.client.get("/v1/payments?metadata=shop:a&limit=1", headers=headers)
    cursor = first.json()["next_cursor"]
    assert await listed(app, f"metadata=shop:a&limit=1&cursor={cursor}", headers) == [made[0]]
    assert set(await listed(app, "metadata=shop:a", app.headers())) >= {made[0], made[2], made[3]}


async def test_a_list_is_narrowed_to_payments_whose_outcome_is_open(app: RunningApp) -> None:
    headers = app.headers(merchant_id=f"mer_{key()[:10]}")
    tokens = ("sandbox_approve", "sandbox_silent")
    known, late = [
        (
            await app.post(
                "/v1/payments",
                payment(payment_method={"type": "card", "token": token}),
                key=key(),
                headers=headers,
            )
        ).json()["payment_id"]
        for token in tokens
    ]
    assert await listed(app, "processor_outcome=open", headers) == [late]
    assert await listed(app, "processor_outcome=known", headers) == [known]


async def test_pairs_of_metadata_are_written_again_where_they_were_lost(app: RunningApp) -> None:
    from fintech_dbclient import Statement

    headers = app.headers(merchant_id=f"mer_{key()[:10]}")
    made = await app.post(
        "/v1/payments", payment(metadata={"shop": "a"}), key=key(), headers=headers
    )
    payment_id = made.json()["payment_id"]
    await app.context.database.execute(
        Statement(
            name="test.lose",
            sql="UPDATE payments_metadata SET value = 'lost' WHERE payment_id = ?",
            params=(payment_id,),
        )
    )
    await app.deliver_events()
    assert await listed(app, "metadata=shop:a", headers) == [payment_id]
