"""SEPA credit transfers as ISO 20022 pain.001.001.03, by the library ``sepaxml``; checked by its schema.

The library makes up a message id for each file; a bank refuses one that it has seen, so ours is the file's
number: writing a file again never pays it again.
"""

from collections.abc import Sequence
from typing import Any, Final

from sepaxml import SepaTransfer  # pyright: ignore[reportMissingTypeStubs] - it ships none

from fintech_settlements.infrastructure.files.payouts import FileHead, FilePayout

SCHEMA: Final = "pain.001.001.03"
CURRENCY: Final = "EUR"


def sepa_file(head: FileHead, payouts: Sequence[FilePayout]) -> bytes:
    """Return the file: one batch, each payout with its batch number as end-to-end id and remittance."""
    debtor: dict[str, Any] = {
        "name": head.debtor_name,
        "IBAN": head.debtor_iban,
        "batch": True,
        "currency": CURRENCY,
    }
    if head.debtor_bic:
        debtor["BIC"] = head.debtor_bic
    transfer: Any = _Numbered(debtor, number=head.number)
    for one in payouts:
        transfer.add_payment(
            {
                "name": one.details["holder"],
                "IBAN": one.details["iban"],
                "amount": one.amount.amount,
                "execution_date": head.created.date(),
                "description": one.batch_number,
                "endtoend_id": one.batch_number,
            }
        )
    return bytes(transfer.export(validate=True))


class _Numbered(SepaTransfer):
    """A transfer file whose message id is given."""

    def __init__(self, config: dict[str, Any], *, number: str) -> None:
        self._number = number
        super().__init__(config, schema=SCHEMA, clean=True)

    def _create_header(self) -> None:
        self.msg_id = self._number
        super()._create_header()
