"""Proving a statement with a public key and nothing else: its lines, their chain, its sums, its signature.

Signed is everything that a statement says besides its lines; for these stands the last hash of the chain.
A verifier believes nothing that it did not compute or see signed, and names the first line that is not
what it was.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.domain.checkpoints import CheckpointRejected, VerificationKey, open_text
from fintech_kernel.errors import FintechError
from fintech_kernel.strict_json import NotStrictJson, parse_strict_json

from fintech_settlements.domain import statement_csv
from fintech_settlements.domain.chain import FORMAT, LineChain
from fintech_settlements.domain.lines import LINE_FIELDS, StatementLine
from fintech_settlements.domain.statement_csv import ShownLine
from fintech_settlements.domain.statements import StatementSums

NULLABLE: Final = frozenset({"payment_id", "reference"})
"""Fields of a line that JSON shows as null where there is nothing."""

_TEXTS: Final = frozenset(
    {"transfer_id", "merchant_id", "payment_id", "reference", "type", "currency", "batch_number"}
)


class StatementBroken(FintechError):
    """A statement is not what was signed.

    Attributes:
        line: the first line that is not what it was; None where the fault lies elsewhere.
    """

    code = "statement_broken"
    title = "The statement is not what was signed."

    def __init__(self, fault: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line}: {fault}" if line is not None else fault)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a statement proves. ``total`` is minor units, negative where the merchant owes."""

    settlement_id: str
    batch_number: str
    merchant_id: str
    currency: str
    line_count: int
    total: int
    lines_hash: str


def signed_text(summary: Mapping[str, Json]) -> str:
    """Return what is signed of a statement: one text for one summary."""
    return f"{FORMAT}\n{canonical_json(summary)}\n"


def verify_json(raw: bytes, keys: Sequence[VerificationKey]) -> Proved:
    """Prove a statement in JSON.

    Raises:
        StatementBroken: at the first thing that is not what was signed.
    """
    try:
        parsed = parse_strict_json(raw)
    except NotStrictJson as fault:
        raise StatementBroken(f"it is no statement: it {fault.rule}") from None
    if not isinstance(parsed, dict):
        raise StatementBroken("it is no statement: not a JSON object")
    summary = cast("dict[str, Any]", parsed)
    lines, note = summary.pop("lines", None), summary.pop("signed", None)
    if not isinstance(lines, list) or not isinstance(note, str):
        raise StatementBroken("it is no statement: it has no lines, or no signature")
    judge = _Judge()
    for number, one in enumerate(cast("list[Any]", lines), start=1):
        judge.take(_line_of_json(number, one))
    _check_summary(_opened(note, keys), summary)
    return judge.proved(summary)


def verify_csv(rows: Iterable[Sequence[str]], keys: Sequence[VerificationKey]) -> Proved:
    """Prove a statement in CSV, row by row: memory does not grow with it.

    Raises:
        StatementBroken: at the first thing that is not what was signed.
    """
    judge = _Judge()
    behind: list[tuple[str, ...]] = []
    for place, cells in enumerate(rows):
        if place == 0:
            if tuple(cells) != statement_csv.COLUMNS:
                raise StatementBroken("it is no statement: its first row is not the columns'")
        elif statement_csv.is_line(cells) and not behind:
            judge.take(_line_of_cells(place, cells))
        else:
            behind.append(tuple(cells))
            if len(behind) > _ROWS_BEHIND_MAX:
                raise StatementBroken(f"row {place + 1} is none of a statement", line=None)
    note = _note(behind)
    summary = cast("dict[str, Any]", json.loads(_opened(note, keys).split("\n")[1]))
    proved = judge.proved(summary)
    expected = statement_csv.closing_rows(summary, note)
    for offset, (shown, right) in enumerate(zip(behind, expected, strict=False)):
        if shown != right:
            raise StatementBroken(
                f"row {judge.count + 2 + offset} ({right[3]}) is not what was signed"
            )
    if len(behind) != len(expected):
        raise StatementBroken(
            "rows behind the lines are missing, or there are more than were signed"
        )
    return proved


_ROWS_BEHIND_MAX: Final = 100
"""Rows behind the lines: one for each type and a few more; what has more is none of ours."""


class _Judge:
    """Takes lines in their order; holds each to its hash and the summary to all of them."""

    def __init__(self) -> None:
        self._chain: LineChain | None = None
        self._sums = StatementSums()

    @property
    def count(self) -> int:
        """How many lines it took."""
        return self._sums.count

    def take(self, shown: ShownLine) -> None:
        """Take the next line.

        Raises:
            StatementBroken: it is not what its hash says, or does not stand in its place.
        """
        line, number = shown.line, self.count + 1
        if shown.number != number:
            raise StatementBroken(f"it bears the number {shown.number}", line=number)
        chain = self._chain or LineChain(
            merchant_id=line.merchant_id, currency=line.currency, batch_number=line.batch_number
        )
        self._chain = chain
        if not chain.follow(line, shown.line_hash):
            raise StatementBroken("it, or its place, is not what its hash says", line=number)
        gross = line.gross_credit - line.gross_debit + line.fee_credit - line.fee_debit
        if gross != line.net:
            raise StatementBroken("its net is not its gross less its fees", line=number)
        self._sums.add([line])

    def proved(self, summary: Mapping[str, Any]) -> Proved:
        """Hold a signed summary to the lines.

        Raises:
            StatementBroken: it is of other lines.
        """
        settlement = summary["settlement"]
        begin = LineChain(
            merchant_id=settlement["merchant_id"],
            currency=settlement["currency"],
            batch_number=settlement["batch_number"],
        )
        lines_hash = (self._chain or begin).head
        if summary["lines_hash"] != lines_hash or settlement["lines_hash"] not in {
            None,
            lines_hash,
        }:
            raise StatementBroken(
                f"not the lines that were signed: the chain over {self.count} lines ends in another"
                f" hash than that over the {summary['line_count']} signed ones",
                line=min(self.count, int(summary["line_count"])) or None,
            )
        computed: dict[str, Any] = {
            "line_count": self.count,
            "total": self._sums.total,
            "opening_balance": self._sums.opening_balance,
            "totals": [asdict(one) for one in self._sums.by_type],
        }
        for name, value in computed.items():
            if summary[name] != value:
                raise StatementBroken(f"{name}: the lines make {value}, signed is {summary[name]}")
        if (settlement["line_count"], settlement["total"]) != (self.count, self._sums.total):
            raise StatementBroken(
                "the settlement recorded another number of lines, or another total"
            )
        return Proved(
            settlement_id=settlement["settlement_id"],
            batch_number=settlement["batch_number"],
            merchant_id=settlement["merchant_id"],
            currency=settlement["currency"],
            line_count=self.count,
            total=self._sums.total,
            lines_hash=lines_hash,
        )


def _opened(note: str, keys: Sequence[VerificationKey]) -> str:
    """Return a signed text.

    Raises:
        StatementBroken: nobody whom we trust signed it, or it is no statement's.
    """
    try:
        text = open_text(note, keys)
    except CheckpointRejected as fault:
        raise StatementBroken(f"the signature: {fault}") from fault
    if not text.startswith(f"{FORMAT}\n"):
        raise StatementBroken("the signature is not one over a statement of this form")
    return text


def _check_summary(text: str, summary: Mapping[str, Any]) -> None:
    """Hold what a statement shows to what was signed, and name the first difference.

    Raises:
        StatementBroken: they differ.
    """
    if text == signed_text(summary):
        return
    signed = cast("dict[str, Any]", json.loads(text.split("\n")[1]))
    place = _difference(signed, summary) or "something"
    raise StatementBroken(f"{place} is not what was signed")


def _difference(signed: object, shown: object, place: str = "") -> str:
    """Return the name of the first member that differs; empty where none does."""
    if isinstance(signed, dict) and isinstance(shown, dict):
        left, right = cast("dict[str, object]", signed), cast("dict[str, object]", shown)
        for name in sorted(left.keys() | right.keys()):
            inner = f"{place}.{name}" if place else name
            if name not in left or name not in right:
                return inner
            if found := _difference(left[name], right[name], inner):
                return found
        return ""
    return "" if signed == shown else place


def _note(behind: Sequence[Sequence[str]]) -> str:
    try:
        return statement_csv.note_of_row(behind[-1])
    except (IndexError, ValueError):
        raise StatementBroken(
            "its last row is no signature: it is cut off, or was changed"
        ) from None


def _line_of_cells(number: int, cells: Sequence[str]) -> ShownLine:
    try:
        return statement_csv.line_of_row(cells)
    except (ValueError, OverflowError):
        raise StatementBroken("it is not written as a line is", line=number) from None


def _line_of_json(number: int, shown: object) -> ShownLine:
    """Return a line of a statement in JSON.

    Raises:
        StatementBroken: it is none.
    """
    fault = StatementBroken("it is not written as a line is", line=number)
    if not isinstance(shown, dict):
        raise fault
    members = dict(cast("dict[str, Any]", shown))
    shown_number, line_hash = members.pop("line", None), members.pop("line_hash", None)
    if set(members) != set(LINE_FIELDS) or not isinstance(line_hash, str):
        raise fault
    for name, value in members.items():
        members[name] = "" if value is None and name in NULLABLE else value
        if type(members[name]) is not (str if name in _TEXTS else int):
            raise fault
    if type(shown_number) is not int:
        raise fault
    return ShownLine(number=shown_number, line=StatementLine(**members), line_hash=line_hash)
