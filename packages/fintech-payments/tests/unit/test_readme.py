"""The README's picture is the model's table, and its magic tokens are the sandboxes'."""

import re
from pathlib import Path

from fintech_payments.domain.model import TRANSITIONS
from fintech_payments.infrastructure.processors import mobile_money, sandbox

README = Path(__file__).parents[2] / "README.md"


def test_the_picture_of_states_shows_exactly_the_table_of_transitions() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", README.read_text(), re.MULTILINE))
    table = {(str(state), str(after)) for state, many in TRANSITIONS.items() for after in many}
    assert drawn == table


def test_every_magic_token_is_documented_with_what_it_does() -> None:
    rows = dict(
        re.findall(r"^\| `((?:sandbox|mobile)_\w+)` \| (.+) \|$", README.read_text(), re.MULTILINE)
    )
    behaviours = {**sandbox.TOKENS, **mobile_money.TOKENS}
    assert rows == {token: behaviour.summary for token, behaviour in behaviours.items()}
