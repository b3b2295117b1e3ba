"""Schemas that every package's API shares: money, ids, references, metadata.

Strictness is pydantic's: an integer is no string, no bool and no float, and unknown members are
refused. In strict models an enum or a time does not accept its JSON string; write
``Annotated[Status, Field(strict=False)]``, or ``Timestamp`` of this module.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from fintech_kernel.identifiers import MERCHANT_ID, OBJECT_ID
from fintech_kernel.money import AMOUNT_MAX, CURRENCY_CODES, Money
from fintech_kernel.web.validation import Rule

METADATA_PAIRS_MAX: Final = 20
METADATA_KEY_CHARACTERS_MAX: Final = 40
METADATA_VALUE_CHARACTERS_MAX: Final = 500
REFERENCE_CHARACTERS_MAX: Final = 64

TYPEID_SUFFIX_PATTERN: Final = "[0-7][0-9a-hjkmnp-tv-z]{25}"
"""128 bits in Crockford's base32, as the TypeID specification 0.3.0 writes them."""


class StrictModel(BaseModel):
    """Input of the API: unknown members are refused, types are what JSON says, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _known_currency(code: str) -> str:
    if code not in CURRENCY_CODES:
        raise Rule("must be an ISO 4217 code with a minor unit")
    return code


CurrencyCode = Annotated[
    str,
    AfterValidator(_known_currency),
    Field(
        description="ISO 4217 code",
        examples=["KES"],
        json_schema_extra={"enum": [*sorted(CURRENCY_CODES)]},
    ),
]
"""An ISO 4217 code with a minor unit."""

MinorUnits = Annotated[
    int,
    Field(strict=True, ge=1, le=AMOUNT_MAX, description="integer minor units of the currency"),
]
"""An amount that moves: at least one minor unit."""


class MoneyBody(StrictModel):
    """An amount that a client asks to move."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": 1200, "currency": "KES"}]})

    amount: MinorUnits
    currency: CurrencyCode

    def to_money(self) -> Money:
        """Return it as the domain knows it."""
        return Money(amount=self.amount, currency=self.currency)


class MoneyShown(BaseModel):
    """An amount in an answer; it may be nothing."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"amount": 1200, "currency": "KES"}]}
    )

    amount: Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="integer minor units")]
    currency: Annotated[str, Field(description="ISO 4217 code")]

    @classmethod
    def of(cls, money: Money) -> "MoneyShown":
        """Return money as it is shown."""
        return cls(amount=money.amount, currency=money.currency)


_METADATA_KEY_PATTERN: Final = rf"[A-Za-z0-9_.-]{{1,{METADATA_KEY_CHARACTERS_MAX}}}"
_METADATA_VALUE_PATTERN: Final = r"[^\x00-\x1f\x7f]*"

_MetadataKey = Annotated[str, StringConstraints(pattern=f"^{_METADATA_KEY_PATTERN}$")]
_MetadataValue = Annotated[
    str,
    StringConstraints(
        max_length=METADATA_VALUE_CHARACTERS_MAX, pattern=f"^{_METADATA_VALUE_PATTERN}$"
    ),
]

Metadata = Annotated[
    dict[_MetadataKey, _MetadataValue],
    Field(
        max_length=METADATA_PAIRS_MAX,
        description=f"up to {METADATA_PAIRS_MAX} pairs of strings",
        examples=[{"order": "A-1017"}],
        json_schema_extra={"additionalProperties": False},
    ),
]
"""What a client notes on an object of ours."""

MetadataPatch = Annotated[
    dict[_MetadataKey, _MetadataValue | None],
    Field(
        max_length=METADATA_PAIRS_MAX,
        description="pairs to set; null removes a pair (RFC 7396)",
        examples=[{"order": "A-1017", "till": None}],
        json_schema_extra={"additionalProperties": False},
    ),
]
"""What a client changes of its notes."""

MetadataFilter = Annotated[
    str | None,
    Query(
        max_length=METADATA_KEY_CHARACTERS_MAX + 1 + METADATA_VALUE_CHARACTERS_MAX,
        pattern=f"^{_METADATA_KEY_PATTERN}:{_METADATA_VALUE_PATTERN}$",
        description="only what has this pair in its metadata: `name:value`",
        examples=["order:A-1017"],
    ),
]
"""A pair of metadata that a list is narrowed by; ``metadata_pair`` takes it apart."""


def metadata_pair(text: str) -> tuple[str, str]:
    """Return name and value of a ``MetadataFilter``; names hold no colon."""
    name, _, value = text.partition(":")
    return name, value


Reference = Annotated[
    str,
    StringConstraints(
        pattern=rf"^[A-Za-z0-9][A-Za-z0-9_.:/#-]{{0,{REFERENCE_CHARACTERS_MAX - 1}}}$"
    ),
    Field(description="the client's own name, unique per merchant", examples=["order-1017"]),
]
"""The client's own name of an object."""

MerchantIdField = Annotated[
    str | None,
    Field(
        pattern=f"^{MERCHANT_ID.pattern}$",
        description="required of platform staff; a merchant's principals have only their own",
    ),
]
"""The merchant that a request is about, in a body."""

ObjectIdPath = Annotated[
    str,
    Path(pattern=f"^{OBJECT_ID.pattern}$", examples=["pay_01k9qq3v5kf7wsc0d3jz8y2m4t"]),
]
"""An id of ours in a path, of any kind."""

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})"
)


def _written_out(value: object) -> object:
    """Refuse what pydantic would read as a count of seconds or milliseconds, by its magnitude."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise Rule("must be a time (RFC 3339), with its offset from UTC")


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    Field(strict=False, description="RFC 3339, with offset", examples=["2026-01-31T12:00:00Z"]),
]
"""A time in a strict model."""


DAY_PATTERN: Final = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
"""A day as ISO 8601 writes it; how many a month has, no pattern says."""

MONTH_PATTERN: Final = "^[0-9]{4}-(0[1-9]|1[0-2])$"
"""A month as ISO 8601 writes it."""


def id_path(prefix: str, *, description: str | None = None) -> Any:  # noqa: ANN401 - FastAPI types its own Path() so
    """Describe the TypeIDs of one prefix as a path parameter.

    ::

        PaymentId = Annotated[str, id_path("pay")]
    """
    return Path(
        pattern=f"^{re.escape(prefix)}_{TYPEID_SUFFIX_PATTERN}$",
        description=description,
        examples=[f"{prefix}_01k9qq3v5kf7wsc0d3jz8y2m4t"],
    )
