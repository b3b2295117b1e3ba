"""The chain over a settlement's lines: each line's hash covers the line and all before it.

Pure. The lines of a settlement are fixed when its set closes, and so is the last hash, which is recorded
then (``lines_hash`` of ``settlement.opened``). Whoever changes a line has to change every hash behind it,
and the last one stands in the journal and under a signature.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fintech_kernel.canonical import sha256_hex

from fintech_settlements.domain.lines import StatementLine

FORMAT: Final = "fintech settlement statement v1"
"""What a chain begins with, and the first line of what is signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedLine:
    """A row with its number, from 1 on, and the hash of the chain up to it: 64 hex digits."""

    number: int
    line: StatementLine
    line_hash: str


class LineChain:
    """Grows line by line; its memory is one hash."""

    def __init__(self, *, merchant_id: str, currency: str, batch_number: str) -> None:
        self.head = sha256_hex(_text([FORMAT, merchant_id, currency, batch_number]))
        self.count = 0

    def extend(self, lines: Iterable[StatementLine]) -> tuple[ChainedLine, ...]:
        """Append lines, in the order of their transfer ids, and return them with number and hash."""
        return tuple(self._append(line) for line in lines)

    def follow(self, line: StatementLine, line_hash: str) -> bool:
        """Append a line as somebody shows it; return whether its hash is the one that it has here.

        The chain goes on with the hash that was shown, so that each line is judged by itself.
        """
        is_right = self._append(line).line_hash == line_hash
        self.head = line_hash
        return is_right

    def _append(self, line: StatementLine) -> ChainedLine:
        self.count += 1
        self.head = sha256_hex(f"{self.head}\n{_text(line.values())}")
        return ChainedLine(number=self.count, line=line, line_hash=self.head)


def _text(values: list[str | int]) -> str:
    """Return values as RFC 8785 writes an array of texts and integers, by the fast encoder."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
