"""What a close of a period asks of every plugin: is there anything of yours that it must wait for?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePeriod:
    """A period that shall be closed: from ``begins_at`` until before ``ends_at``, UTC milliseconds."""

    name: str
    begins_at: int
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A reason why a period cannot be closed yet.

    ``code`` is stable, ``subject`` what it is about (a currency, a kind, an id), ``detail`` a line for
    people that says what to do. None of them holds a secret.
    """

    code: str
    detail: str
    subject: str = ""
