"""The one way in which a command fails: lines for a person, on stderr, and exit code 1."""

import sys
from collections.abc import Sequence
from typing import Final

EXIT_FAILED: Final = 1


class CommandFailed(Exception):
    """A command cannot do what it was asked.

    Attributes:
        lines: one line each: what is wrong, with what, and what to do.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def report(lines: Sequence[str]) -> None:
    """Say on stderr why the command failed, a line each."""
    for line in lines:
        sys.stderr.write(f"fintech: {line}\n")
    sys.stderr.flush()
