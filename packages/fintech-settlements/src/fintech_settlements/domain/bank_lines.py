"""The bank's lines as they are imported: a CSV file by a declared mapping, each line under its own key.

A line's key comes from the bank's id for it, or, where the bank gives none, from what the line says and
how many like it stand before it. So a file that is imported again, or overlaps another, names the same
lines; where the bank gives no ids, files hold whole days.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from fintech_kernel.canonical import canonical_json, sha256_hex
from fintech_kernel.errors import FintechError
from fintech_kernel.identifiers import derived_id
from fintech_kernel.money import AMOUNT_MAX, CURRENCY_CODES
from fintech_kernel.money import exponent as digits_of
from fintech_kernel.security.card_numbers import holds_card_number

REFERENCE_CHARACTERS_MAX: Final = 140
"""Of a bank's free text: ISO 20022's unstructured remittance information has as many."""

LINES_MAX: Final = 100_000
"""Lines of one file."""

DATE_FORMAT: Final = "%Y-%m-%d"

_DECIMAL: Final = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]{0,18}))?")
_ALL_BUT_FOUR: Final = re.compile(r"[0-9](?=(?:[ -]?[0-9]){4})")


class BankFileRejected(FintechError):
    """A file, or its mapping, is not what it should be. Nothing of it was imported.

    Attributes:
        row: the row of the file, from 1 on; 0 where the mapping is at fault.
    """

    code = "bank_file_rejected"
    title = "The bank's file cannot be read by this mapping."

    def __init__(self, fault: str, *, row: int = 0) -> None:
        super().__init__(f"row {row}: {fault}" if row else fault)
        self.row = row


@dataclass(frozen=True, slots=True, kw_only=True)
class BankLine:
    """One movement as the bank tells it. ``amount`` is signed minor units: negative left our account.

    ``occurrence`` counts lines of one content, from 0 on, where the bank gives no ``bank_id``.
    """

    bank_account: str
    bank_id: str
    booked_on: str
    amount: int
    currency: str
    reference: str
    occurrence: int = 0

    @property
    def content_hash(self) -> str:
        """What the line says, as one hash: a line under a known key that says something else is another."""
        said = {**asdict(self), "occurrence": 0}
        return sha256_hex(canonical_json(said))

    @property
    def key(self) -> str:
        """What the line is known by, for ever."""
        if self.bank_id:
            return sha256_hex(canonical_json([self.bank_account, self.bank_id]))
        return sha256_hex(canonical_json([self.content_hash, self.occurrence]))

    @property
    def stray_id(self) -> str:
        """The reconciliation of a line that names no payout of ours."""
        return derived_id("rec", self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMapping:
    """How a bank's file is read: the name of the column for each thing, and how it is written.

    ``amount`` is one signed column, or ``debit`` and ``credit`` are two. Amounts are decimal numbers of the
    currency with ``decimal_mark``; ``thousands_mark`` is dropped.
    """

    booked_on: str
    reference: str
    amount: str = ""
    debit: str = ""
    credit: str = ""
    bank_id: str = ""
    currency_column: str = ""
    currency: str = ""
    date_format: str = DATE_FORMAT
    delimiter: str = ","
    decimal_mark: str = "."
    thousands_mark: str = ""
    is_outgoing_positive: bool = False

    def check(self) -> None:
        """Let pass a mapping that says everything once.

        Raises:
            BankFileRejected: it does not.
        """
        if bool(self.amount) == bool(self.debit and self.credit):
            raise BankFileRejected("the mapping names `amount`, or both `debit` and `credit`")
        if bool(self.currency) == bool(self.currency_column):
            raise BankFileRejected("the mapping names `currency`, or `currency_column`")
        if self.currency and self.currency not in CURRENCY_CODES:
            raise BankFileRejected(f"the mapping's currency {self.currency!r} is none")
        if len(self.delimiter) != 1 or len(self.decimal_mark) != 1:
            raise BankFileRejected("`delimiter` and `decimal_mark` are one character each")


def mapping_of(given: Mapping[str, Any]) -> FileMapping:
    """Return a mapping as somebody wrote it (JSON).

    Raises:
        BankFileRejected: it has a member that a mapping does not have, or lacks one, or contradicts itself.
    """
    for name, value in given.items():
        wanted = bool if name == "is_outgoing_positive" else str
        if not isinstance(value, wanted):
            raise BankFileRejected(f"the mapping's {name!r} is no {wanted.__name__}")
    try:
        mapping = FileMapping(**given)
    except TypeError as error:
        raise BankFileRejected(f"the mapping: {error}") from None
    mapping.check()
    return mapping


@dataclass(slots=True)
class Occurrences:
    """Numbers lines that say the same, where the bank gives them no id."""

    _seen: dict[str, int] = field(default_factory=dict[str, int])

    def numbered(self, line: BankLine) -> BankLine:
        """Return a line with its occurrence."""
        if line.bank_id:
            return line
        said = line.content_hash
        occurrence = self._seen.get(said, 0)
        self._seen[said] = occurrence + 1
        return replace(line, occurrence=occurrence)


def read_lines(
    text: Iterable[str], mapping: FileMapping, *, bank_account: str
) -> Iterator[BankLine]:
    """Yield the lines of a file, in its order.

    Raises:
        BankFileRejected: at the first row that cannot be read.
    """
    reader = csv.DictReader(text, delimiter=mapping.delimiter, strict=True)
    occurrences = Occurrences()
    try:
        named = [mapping.booked_on, mapping.reference, mapping.amount, mapping.debit]
        named += [mapping.credit, mapping.bank_id, mapping.currency_column]
        lacking = sorted({one for one in named if one} - set(reader.fieldnames or ()))
        if lacking:
            raise BankFileRejected(f"it has no column {', '.join(lacking)}", row=1)
        for count, row in enumerate(reader, start=1):
            if count > LINES_MAX:
                raise BankFileRejected(
                    f"more than {LINES_MAX} lines: split it", row=reader.line_num
                )
            yield occurrences.numbered(_line(row, mapping, bank_account, reader.line_num))
    except csv.Error as error:
        raise BankFileRejected(f"it is no CSV: {error}", row=reader.line_num) from None


def without_card_number(text: str) -> str:
    """Return a bank's text; where it may hold a card number, with all but the last four digits hidden."""
    return _ALL_BUT_FOUR.sub("*", text) if holds_card_number(text) else text


def check_line(line: BankLine, *, row: int) -> BankLine:
    """Let pass a line that can stand in our books.

    Raises:
        BankFileRejected: it cannot.
    """
    if line.currency not in CURRENCY_CODES:
        raise BankFileRejected(f"{line.currency!r} is no currency", row=row)
    if not 0 < abs(line.amount) <= AMOUNT_MAX:
        raise BankFileRejected("an amount is between 1 and 10^15 minor units, either sign", row=row)
    if any(ord(one) < ord(" ") for one in line.reference + line.bank_id):
        raise BankFileRejected("a text holds control characters", row=row)
    return line


def _line(
    row: Mapping[str, str | None], mapping: FileMapping, bank_account: str, number: int
) -> BankLine:
    def cell(column: str) -> str:
        return (row.get(column) or "").strip() if column else ""

    currency = mapping.currency or cell(mapping.currency_column)
    if currency not in CURRENCY_CODES:
        raise BankFileRejected(f"{currency!r} is no currency", row=number)
    try:
        booked_on = _day(cell(mapping.booked_on), mapping.date_format)
        if mapping.amount:
            amount = _minor_units(cell(mapping.amount), mapping, currency)
            amount = -amount if mapping.is_outgoing_positive else amount
        else:
            credit = _minor_units(cell(mapping.credit) or "0", mapping, currency)
            amount = credit - abs(_minor_units(cell(mapping.debit) or "0", mapping, currency))
    except ValueError as fault:
        raise BankFileRejected(str(fault), row=number) from None
    line = BankLine(
        bank_account=bank_account,
        bank_id=cell(mapping.bank_id)[:REFERENCE_CHARACTERS_MAX],
        booked_on=booked_on,
        amount=amount,
        currency=currency,
        reference=without_card_number(cell(mapping.reference))[:REFERENCE_CHARACTERS_MAX],
    )
    return check_line(line, row=number)


def _day(text: str, date_format: str) -> str:
    try:
        day: date = datetime.strptime(text, date_format).date()  # noqa: DTZ007 - a bank's day has no zone
    except ValueError:
        raise ValueError(f"the day is not written as {date_format}") from None
    return day.isoformat()


def _minor_units(text: str, mapping: FileMapping, currency: str) -> int:
    """Return a decimal number as minor units, without a float.

    Raises:
        ValueError: it is none, or has more decimals than the currency.
    """
    plain = text.replace(mapping.thousands_mark, "") if mapping.thousands_mark else text
    found = _DECIMAL.fullmatch(plain.replace(mapping.decimal_mark, "."))
    if found is None:
        raise ValueError("an amount is no decimal number")
    sign, whole, decimals = found[1], found[2], found[3] or ""
    exponent = digits_of(currency)
    if len(decimals.rstrip("0")) > exponent:
        raise ValueError(f"an amount has more than {exponent} decimals")
    return int(f"{sign}{whole}{decimals[:exponent].ljust(exponent, '0')}")


@dataclass(frozen=True, slots=True)
class ContentFingerprint:
    """The fingerprint of a request whose key is made of its content: there is one."""

    value: str

    def matches(self, stored: str) -> bool:
        """Whether a stored fingerprint is of the same content."""
        return stored == self.value
