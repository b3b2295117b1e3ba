"""Files of payout orders: which orders stand in which file, and what a file says.

An order stands in one file, ever: one plain insert of them all. It goes into a file within
``FILE_WITHIN_SECONDS`` of the start of its payout or never, so that a payout which people give up behind the
rail's in-flight limit cannot be paid by a file that comes later (docs/decisions/0017).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fintech_dbclient import Database, Row, UniqueViolation
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.contracts.merchants import PayoutAccounts
from fintech_kernel.domain.journal import Journal
from fintech_kernel.errors import FintechError
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.money import Money

from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.kinds import ID_PREFIX
from fintech_settlements.domain.model import batch_number_of, settlement_id_of
from fintech_settlements.infrastructure import rail_queries as queries
from fintech_settlements.infrastructure.files.csv_file import csv_file
from fintech_settlements.infrastructure.files.payouts import FileHead, FilePayout
from fintech_settlements.infrastructure.files.sepa import sepa_file
from fintech_settlements.infrastructure.rails.orders import (
    CSV_FILE,
    FILE_WITHIN_SECONDS,
    SEPA_FILE,
)

FILE_PREFIX: Final = "pof"
ORDERS_OF_FILE: Final = 500
"""Orders of one file: one insert."""

ATTEMPTS_MAX: Final = 5
"""How often orders are looked for when another operator takes them."""

WRITERS: Final = {SEPA_FILE: sepa_file, CSV_FILE: csv_file}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FileUnwritable(FintechError):
    """A file cannot be written (again); the message says why, and names no account."""

    code = "payout_file_unwritable"
    title = "The payout file cannot be written."
    remedy = (
        "Read the message: what ran out is failed by two people, what is missing is configured."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Debtor:
    """Whose account a SEPA file pays from."""

    name: str = ""
    iban: str = ""
    bic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFile:
    """A file, and what it holds. ``totals`` are minor units by currency."""

    number: str
    content: bytes
    count: int
    totals: Mapping[str, int]


class PayoutFiles:
    """Puts orders into files, and writes these."""

    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        identifiers: Identifiers,
        clock: Clock,
        accounts: PayoutAccounts | None,
        debtor: Debtor,
    ) -> None:
        self._database = database
        self._journal = journal
        self._identifiers = identifiers
        self._clock = clock
        self._accounts = accounts
        self._debtor = debtor

    def check(self, rail: str) -> None:
        """See, before any order is taken, that a file of this rail can be written.

        Raises:
            FileUnwritable: it cannot.
        """
        if rail not in WRITERS:
            raise FileUnwritable(f"{rail} writes no files: name one of {', '.join(WRITERS)}")
        if self._accounts is None:
            raise FileUnwritable(
                "no installed package opens bank accounts: install fintech-merchants"
            )
        if rail == SEPA_FILE and not (self._debtor.name and self._debtor.iban):
            raise FileUnwritable(
                "set SETTLEMENTS_SEPA_DEBTOR_NAME and SETTLEMENTS_SEPA_DEBTOR_IBAN: whose account pays"
            )

    async def gather(self, rail: str) -> str | None:
        """Put orders that stand in no file into a new one; None where there are none. Return its number.

        Raises:
            FileUnwritable: others took the orders again and again.
        """
        file_id = self._identifiers.new(FILE_PREFIX)
        for _ in range(ATTEMPTS_MAX):
            found = await self._database.execute(
                queries.orders_without_file(rail=rail, since=self._since(), limit=ORDERS_OF_FILE)
            )
            keys = [str(row["payout_key"]) for row in found.rows if await self._is_open(row)]
            if not keys:
                return None
            insert = queries.insert_file_lines(
                file_id=file_id, keys=keys, recorded_at=self._clock.now_milliseconds()
            )
            try:
                await self._database.execute(insert)
            except UniqueViolation:
                stands = await self._database.execute(queries.orders_of_file(file_id))
                if not stands.rows:
                    continue
            return batch_number_of(file_id)
        raise FileUnwritable("other files took the orders: run this again")

    async def write(self, number: str) -> PayoutFile:
        """Return a file, opened accounts and all; the same for each time that it is written.

        What was confirmed, or is being given up, since it was gathered is left out.

        Raises:
            FileUnwritable: there is no such file, it ran out, or an account cannot be opened.
        """
        file_id = settlement_id_of(number, FILE_PREFIX)
        found = await self._database.execute(queries.orders_of_file(file_id))
        if not found.rows:
            raise FileUnwritable(f"there is no file {number}")
        rows = [row for row in found.rows if await self._is_open(row)]
        if not rows:
            raise FileUnwritable(
                f"no order of {number} is to be paid any more: they ran out, were confirmed, or given up"
            )
        rail = str(found.rows[0]["rail"])
        self.check(rail)
        payouts = [await self._payout(row) for row in rows]
        head = FileHead(
            number=number,
            created=_EPOCH + timedelta(milliseconds=self._clock.now_milliseconds()),
            debtor_name=self._debtor.name,
            debtor_iban=self._debtor.iban,
            debtor_bic=self._debtor.bic,
        )
        content = WRITERS[rail](head, payouts)
        return PayoutFile(
            number=number, content=content, count=len(payouts), totals=_totals(payouts)
        )

    async def _is_open(self, row: Row) -> bool:
        """Whether an order is to be paid: nobody answered it, or wants to give it up, and it is young."""
        settlement_id = settlement_id_of(str(row["batch_number"]), ID_PREFIX)
        stream = await self._journal.existing(str(row["merchant_id"]), settlement_id)
        settlement = fold_settlement(stream)
        return (
            settlement.is_outcome_open
            and not settlement.failure_requested_by
            and settlement.payout_started_at >= self._since()
        )

    async def _payout(self, row: Row) -> FilePayout:
        order: dict[str, Any] = dict(row)
        account = None
        if self._accounts is not None:
            account = await self._accounts.open(
                merchant_id=order["merchant_id"], account_id=order["bank_account_id"]
            )
        if account is None:
            raise FileUnwritable(f"{order['batch_number']}: its merchant has no such bank account")
        return FilePayout(
            batch_number=order["batch_number"],
            amount=Money(amount=order["amount"], currency=order["currency"]),
            kind=account.kind.value,
            details=account.details,
        )

    def _since(self) -> int:
        return self._clock.now_milliseconds() - FILE_WITHIN_SECONDS * MILLISECONDS_PER_SECOND


def _totals(payouts: Sequence[FilePayout]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in payouts:
        currency = one.amount.currency
        totals[currency] = totals.get(currency, 0) + one.amount.amount
    return totals
