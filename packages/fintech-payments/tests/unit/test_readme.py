"""The pictures in the documents are the model's table, and the README's tokens are the sandboxes'."""

import re
from pathlib import Path

import pytest
from fintech_payments.domain.diagram import state_diagram
from fintech_payments.infrastructure.processors import mobile_money, sandbox

README = Path(__file__).parents[2] / "README.md"
GUIDE = Path(__file__).parents[4] / "docs" / "payments.md"


@pytest.mark.parametrize("page", [README, GUIDE], ids=["README", "docs/payments.md"])
def test_the_picture_of_states_is_drawn_from_the_table_of_transitions(page: Path) -> None:
    drawn = re.findall(r"```mermaid\n(stateDiagram-v2\n.*?)\n```", page.read_text(), re.DOTALL)
    assert drawn == [state_diagram()]


def test_every_magic_token_is_documented_with_what_it_does() -> None:
    rows = dict(
        re.findall(r"^\| `((?:sandbox|mobile)_\w+)` \| (.+) \|$", README.read_text(), re.MULTILINE)
    )
    behaviours = {**sandbox.TOKENS, **mobile_money.TOKENS}
    assert rows == {token: behaviour.summary for token, behaviour in behaviours.items()}
