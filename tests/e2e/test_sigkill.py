"""The server is killed after and during every call of the demo; money still moves exactly once."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fintech_server.demo import ADMIN, PAYOUT, Demo, Step, steps
from fintech_server.tokens import SignedTokens, signed_tokens

CALLS = [step.name for step in steps("any")]
MOVING_CALLS = [step.name for step in steps("any") if step.moves]
ANSWER_SECONDS_MAX = 60.0

LOOKS_MAX = 5_000
"""How often a test looks for a claimed operation, one look taking a millisecond or so."""


@pytest.fixture(scope="module")
def tokens(restartable: Any) -> SignedTokens:
    settings: dict[str, object] = {
        name.lower(): value for name, value in restartable.command.environment.items()
    }
    return signed_tokens(settings)


@pytest.fixture
def demo(restartable: Any, tokens: SignedTokens) -> Iterator[Demo]:
    run = Demo(restartable.url, credentials=tokens, patience_seconds=ANSWER_SECONDS_MAX)
    yield run
    run.close()


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_lost_when_the_server_is_killed_after(
    call: str, restartable: Any, demo: Demo
) -> None:
    acknowledged: list[tuple[Step, Any]] = []
    for step in demo.steps():
        acknowledged.append((step, demo.perform(step)))
        if step.name == call:
            restartable.kill()
            restartable.start_again()
            assert_remembered(demo, acknowledged)

    assert_books_are_right(demo, restartable)


@pytest.mark.parametrize("call", MOVING_CALLS)
def test_nothing_happens_twice_when_the_server_is_killed_during(
    call: str, restartable: Any, demo: Demo
) -> None:
    with ThreadPoolExecutor(max_workers=1) as client:
        for step in demo.steps():
            answer = client.submit(demo.perform, step)
            if step.name == call:
                wait_until_claimed(restartable, answer)
                restartable.kill()
                restartable.start_again()
            answer.result(ANSWER_SECONDS_MAX)

    assert_books_are_right(demo, restartable)


def wait_until_claimed(restartable: Any, answer: "Future[Any]") -> None:
    """Wait until an operation is recorded and not finished: then its server is in the middle of it."""
    for _ in range(LOOKS_MAX):
        if restartable.running_operations() or answer.done():
            return
    pytest.fail("the call is neither claimed nor answered")


def assert_remembered(demo: Demo, acknowledged: list[tuple[Step, Any]]) -> None:
    """Every call that was answered is answered the same again, as a replay."""
    for step, answer in acknowledged:
        again = demo.send(step)
        if step.moves:
            assert again.headers["Idempotent-Replayed"] == "true"
        if step.name != "see-trial-balance":
            assert again.json() == answer


def assert_books_are_right(demo: Demo, restartable: Any) -> None:
    answers, facts = demo.answers, demo.facts()
    assert facts.faults() == []

    payments = read(demo, f"/v1/payments?limit=200&reference=order-{demo.run_id}-1")["data"]
    assert [payment["payment_id"] for payment in payments] == [answers.payment_id]
    settlements = read(demo, f"/v1/settlements?merchant_id={answers.merchant_id}")["data"]
    assert [one["settlement_id"] for one in settlements] == [answers.settlement_id]
    assert settlements[0]["total"] == PAYOUT

    assert kinds_of(demo, answers.payment_id) == ["Fee", "Refunded", "Settled"]
    assert kinds_of(demo, answers.manual_payment_id) == ["Fee", "Settled"]
    assert kinds_of(demo, answers.settlement_id) == ["Payout", "Settlement"]

    assert restartable.books_of_processor(answers.payment_id) == ["refund", "sale"]
    assert restartable.books_of_processor(answers.manual_payment_id) == ["authorize", "capture"]


def kinds_of(demo: Demo, subject_id: str) -> list[str]:
    merchant_id = demo.answers.merchant_id
    found = read(demo, f"/v1/ledger/transfers?subject_id={subject_id}&merchant_id={merchant_id}")
    return sorted(transfer["kind"] for transfer in found["data"])


def read(demo: Demo, path: str) -> Any:
    token = demo.token(ADMIN)
    return demo.client.call("GET", path, token=token).json()
