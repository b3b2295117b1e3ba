"""The README's picture is the model's table."""

import re
from pathlib import Path

from fintech_payments.domain.model import TRANSITIONS

README = Path(__file__).parents[2] / "README.md"


def test_the_picture_of_states_shows_exactly_the_table_of_transitions() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", README.read_text(), re.MULTILINE))
    table = {(str(state), str(after)) for state, many in TRANSITIONS.items() for after in many}
    assert drawn == table
