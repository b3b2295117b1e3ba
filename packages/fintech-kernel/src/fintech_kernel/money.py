"""Money: an integer of minor units and a currency. Floats do not enter the building.

Currencies and their exponents come from the ISO 4217 list (package ``iso4217``): JPY has 0 digits,
KES 2, KWD 3.
"""

from dataclasses import dataclass
from typing import Final

from iso4217 import Currency as Iso4217Currency

AMOUNT_MAX: Final = 1_000_000_000_000_000
"""Largest amount of one movement, minor units. Sums of it stay far inside BIGINT and JSON integers."""

BASIS_POINTS_PER_UNIT: Final = 10_000

CURRENCY_CODES: Final = frozenset(
    currency.code for currency in Iso4217Currency if currency.exponent is not None
)
"""Codes that have a minor unit: precious metals and test codes have none and are not money here."""


class InvalidMoney(ValueError):
    """An amount or currency that cannot be money."""


def exponent(currency: str) -> int:
    """Return the number of minor-unit digits of an ISO 4217 code (JPY 0, KES 2, KWD 3).

    Raises:
        InvalidMoney: the code is not a currency with a minor unit.
    """
    if currency not in CURRENCY_CODES:
        raise InvalidMoney("currency is not an ISO 4217 code with a minor unit")
    digits = Iso4217Currency(currency).exponent
    assert digits is not None  # noqa: S101 - CURRENCY_CODES holds only those that have one
    return digits


def divide_half_even(dividend: int, divisor: int) -> int:
    """Return ``dividend / divisor`` rounded half to even, in integers (IEEE 754 roundTiesToEven)."""
    quotient, remainder = divmod(dividend, divisor)
    doubled = 2 * remainder
    if doubled > divisor or (doubled == divisor and quotient % 2 == 1):
        return quotient + 1
    return quotient


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """A non-negative amount in minor units of one currency."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is not money.

        Raises:
            InvalidMoney: not an integer, negative, above ``AMOUNT_MAX``, or no such currency.
        """
        if type(self.amount) is not int:
            raise InvalidMoney("amount must be an integer of minor units")
        if not 0 <= self.amount <= AMOUNT_MAX:
            raise InvalidMoney(f"amount must lie between 0 and {AMOUNT_MAX}")
        if self.currency not in CURRENCY_CODES:
            raise InvalidMoney("currency is not an ISO 4217 code with a minor unit")

    def plus(self, other: "Money") -> "Money":
        """Return the sum.

        Raises:
            InvalidMoney: other currency, or the sum exceeds ``AMOUNT_MAX``.
        """
        self._same_currency(other)
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def minus(self, other: "Money") -> "Money":
        """Return the difference.

        Raises:
            InvalidMoney: other currency, or ``other`` is larger.
        """
        self._same_currency(other)
        return Money(amount=self.amount - other.amount, currency=self.currency)

    def basis_points(self, points: int) -> "Money":
        """Return ``points``/10,000 of this amount, rounded half to even."""
        return Money(
            amount=divide_half_even(self.amount * points, BASIS_POINTS_PER_UNIT),
            currency=self.currency,
        )

    def formatted(self) -> str:
        """Return the amount for people, for instance ``KES 100.00``."""
        digits = exponent(self.currency)
        if digits == 0:
            return f"{self.currency} {self.amount}"
        whole, fraction = divmod(self.amount, 10**digits)
        return f"{self.currency} {whole}.{fraction:0{digits}d}"

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise InvalidMoney(f"{self.currency} and {other.currency} do not mix")
