"""What happened in a schedule, line by line: readable, and hashable to compare two runs."""

import hashlib
from dataclasses import dataclass, field
from typing import TypeAlias

Line: TypeAlias = tuple[float, str, str, str, str]


@dataclass(slots=True)
class Trace:
    """Lines of (virtual seconds, who, what, fault, outcome), where they are kept."""

    is_kept: bool = True
    lines: list[Line] = field(default_factory=list[Line])

    def add(self, at: float, who: str, what: str, fault: str = "", outcome: str = "") -> None:
        """Note what happened."""
        if self.is_kept:
            self.lines.append((at, who, what, fault, outcome))

    def digest(self) -> str:
        """Return the SHA-256 of all lines, hex."""
        return hashlib.sha256(repr(self.lines).encode()).hexdigest()

    def text(self) -> str:
        """Return the lines as a table."""
        return "\n".join(
            f"{at:>10.3f}s  {who:<14} {what:<58} {outcome:<26}{'!! ' + fault if fault else ''}".rstrip()
            for at, who, what, fault, outcome in self.lines
        )
