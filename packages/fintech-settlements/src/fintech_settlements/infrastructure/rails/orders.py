"""Rails that people answer: they note an order in durable books, and wait until people say it was paid.

``manual``: somebody pays by hand, under the batch number. ``sepa_file`` and ``csv_file``: orders go into
files for a bank (``fintech settlements file``). One key is one order, whoever sends it how often.
"""

from typing import Final

from fintech_dbclient import Database, DatabaseError, UniqueViolation
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.merchants import BankAccountKind
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money
from loguru import logger

from fintech_settlements.infrastructure import rail_queries as queries

MANUAL: Final = "manual"
SEPA_FILE: Final = "sepa_file"
CSV_FILE: Final = "csv_file"

KEY_RETENTION_SECONDS: Final = 10 * 365 * 86_400
"""Orders are never deleted."""

MANUAL_SECONDS: Final = 86_400
"""A person who read of an order has a day to pay it; afterwards two people may give it up."""

FILE_WITHIN_SECONDS: Final = 2 * 86_400
"""An order goes into a file, and to the bank, within two days of its recording, or never."""

FILE_SECONDS: Final = FILE_WITHIN_SECONDS + 5 * 86_400
"""A bank executes a file within two banking days, over the longest holidays five days; then it is known."""

_CAPABILITIES: Final = {
    MANUAL: RailCapabilities(
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=MANUAL_SECONDS,
        answered_by_people=True,
    ),
    SEPA_FILE: RailCapabilities(
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=FILE_SECONDS,
        answered_by_people=True,
        currencies=("EUR",),
        account_kinds=(BankAccountKind.IBAN,),
    ),
    CSV_FILE: RailCapabilities(
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=FILE_SECONDS,
        answered_by_people=True,
        account_kinds=tuple(BankAccountKind),
    ),
}

ORDER_RAILS: Final = tuple(_CAPABILITIES)


class OrderRail:
    """Implements ``contracts.payouts.PayoutRail`` over the table of orders."""

    def __init__(self, name: str, *, database: Database, clock: Clock) -> None:
        self._name = name
        self._database = database
        self._clock = clock

    @property
    def name(self) -> str:
        """Stable name."""
        return self._name

    @property
    def capabilities(self) -> RailCapabilities:
        """What it can do."""
        return _CAPABILITIES[self._name]

    async def pay(
        self,
        *,
        key: str,
        merchant_id: str,
        amount: Money,
        batch_number: str,
        bank_account_id: str,
    ) -> PayoutAnswer:
        """Note the order, once per key; people answer."""
        order = queries.insert_order(
            key=key,
            rail=self._name,
            merchant_id=merchant_id,
            bank_account_id=bank_account_id,
            amount=amount.amount,
            currency=amount.currency,
            batch_number=batch_number,
            recorded_at=self._clock.now_milliseconds(),
        )
        try:
            await self._database.execute(order)
        except UniqueViolation:
            logger.debug("the order stands already", step=key)
        except DatabaseError as error:
            return _unknown(key, error)
        return await self.query(key=key) or PayoutAnswer(outcome=Outcome.UNKNOWN)

    async def query(self, *, key: str) -> PayoutAnswer | None:
        """Return that people have not answered yet, or None where there is no such order."""
        try:
            found = await self._database.execute(queries.order_by_key(key))
        except DatabaseError as error:
            return _unknown(key, error)
        return PayoutAnswer(outcome=Outcome.PENDING) if found.rows else None


def _unknown(key: str, error: DatabaseError) -> PayoutAnswer:
    logger.warning("orders out of reach", step=key, reason=type(error).__name__)
    return PayoutAnswer(outcome=Outcome.UNKNOWN)
