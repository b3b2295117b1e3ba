"""What a payment's movements are worth in points. Pure.

One point for each whole unit of the currency that a payment keeps: KES 99.90 are 99 points. What a
movement is worth is a *difference of totals*: so the points of captures and refunds, however they are
cut, add up to those of what is kept, and a payment that is refunded whole leaves nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fintech_kernel.money import exponent


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Money that came (positive) or went back (negative), in minor units, at a position of a stream."""

    seq: int
    amount: int


def points_of(movements: Iterable[Movement], *, seq: int, currency: str) -> int:
    """Return the points that the movement at position ``seq`` adds, or takes away.

    It depends on what stands up to this position alone: whenever it is computed, it is the same.
    """
    unit = 10 ** exponent(currency)
    until = [movement for movement in movements if movement.seq <= seq]
    after = sum(movement.amount for movement in until)
    before = sum(movement.amount for movement in until if movement.seq < seq)
    return after // unit - before // unit
