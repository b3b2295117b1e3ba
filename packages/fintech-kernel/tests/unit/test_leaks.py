import pytest
from fintech_kernel.security.card_numbers import holds_card_number
from fintech_kernel.testing.leaks import leaks

CARDS = (
    "4111111111111111",
    "378282246310005",
    "5555-5555-5555-4444",
    "4222222222222",
    "4111 1111 1111 1111",
)


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_found_wherever_it_stands(card: str) -> None:
    assert holds_card_number(card)
    for text in (card, f'"{card}"', f"amount={card},", f'{{"count":{card}}}', f"at {card}."):
        assert [leak for leak in leaks(text) if leak.startswith("a card number")], text


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        '{"time":"2026-10-09T08:53:20.000+00:00"}',
        '{"time":4222222222222,"level":"info"}',
        "pay_4111111111111111",
        "4111111111111111a",
        "a4111111111111111",
        "id_4111111111111111_2",
        "41111111111111114111111111111111",
        "0.04111111111111111 0.4111111111111111 sum 3.4222222222222",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "fintech_kernel.web.app:227",
    ],
)
def test_digits_of_an_identifier_and_times_are_no_card_numbers(text: str) -> None:
    assert list(leaks(text)) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the canary sang", "a canary"),
        ("Canary-4f1c", "a canary"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.x", "a token"),
        ("Authorization: Bearer abcdefgh.ijkl", "an authorization"),
        ("fk_live_2a9f0c1b7d3e", "an API key"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a webhook's secret"),
        ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
        ("postgresql://user:hunter2@db/fintech", "a password in an address"),
        ("SELECT data FROM journal", "SQL"),
        ("UPDATE journal SET dispatched = 1", "SQL"),
        ("INSERT INTO journal (seq) VALUES (?)", "SQL"),
    ],
)
def test_a_secret_is_found_and_named(text: str, name: str) -> None:
    assert any(leak.startswith(name) for leak in leaks(text))


@pytest.mark.parametrize(
    "text",
    [
        "migrations checked",
        "select the payments from the list",
        "http://127.0.0.1:8000/health/live",
        "bearer token refused",
        '{"library":"uvicorn.error","message":"Started server process [%d]"}',
    ],
)
def test_an_honest_line_tells_nothing(text: str) -> None:
    assert list(leaks(text)) == []
