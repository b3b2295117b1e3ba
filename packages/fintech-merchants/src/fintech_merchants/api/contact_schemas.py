"""How to reach a merchant, as clients send and are shown it. One schema onboards and patches alike."""

import re
from typing import Annotated, Any, Final

import pycountry
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.validation import Rule
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fintech_merchants.domain.events import Contact

EMAIL_CHARACTERS_MAX: Final = 254
"""RFC 5321: a path has 256 octets, its brackets included."""

WEBSITE_CHARACTERS_MAX: Final = 200
LINE_CHARACTERS_MAX: Final = 100
POSTAL_CODE_CHARACTERS_MAX: Final = 16

COUNTRY_CODES: Final = frozenset(country.alpha_2 for country in pycountry.countries)

ADDRESS_EXAMPLE: Final[dict[str, Any]] = {
    "line1": "Moi Avenue 12",
    "line2": None,
    "city": "Nairobi",
    "region": None,
    "postal_code": "00100",
    "country": "KE",
}
CONTACT_EXAMPLE: Final[dict[str, Any]] = {
    "email": "accounts@dukasafi.example",
    "phone": "+254712345678",
    "website": "https://dukasafi.example",
    "address": ADDRESS_EXAMPLE,
}

_FIELD_OF: Final = {
    "line1": "address_line1",
    "line2": "address_line2",
    "city": "city",
    "region": "region",
    "postal_code": "postal_code",
    "country": "country",
}
"""Members of an address, and what the domain calls them."""

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")


def _known_country(code: str) -> str:
    if code not in COUNTRY_CODES:
        raise Rule("must be an ISO 3166-1 alpha-2 code")
    return code


def _plausible_email(text: str) -> str:
    """Refuse what cannot be an address; whether somebody reads it only a letter can tell."""
    if not _EMAIL.fullmatch(text):
        raise Rule("must be an email address")
    return text


CountryCode = Annotated[
    str,
    AfterValidator(_known_country),
    Field(
        description="ISO 3166-1 alpha-2 code",
        examples=["KE"],
        json_schema_extra={"enum": [*sorted(COUNTRY_CODES)]},
    ),
]
"""An ISO 3166-1 alpha-2 code."""

Phone = Annotated[
    str, Field(pattern=r"^\+[1-9][0-9]{6,14}$", description="E.164", examples=["+254712345678"])
]
"""A telephone number."""

Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LINE_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
]
"""A line of text."""


class AddressBody(StrictModel):
    """A postal address; null clears a part."""

    model_config = ConfigDict(json_schema_extra={"examples": [ADDRESS_EXAMPLE]})

    line1: Line | None = None
    line2: Line | None = None
    city: Line | None = None
    region: Line | None = None
    postal_code: Annotated[
        str | None,
        Field(pattern=rf"^[A-Za-z0-9][A-Za-z0-9 -]{{0,{POSTAL_CODE_CHARACTERS_MAX - 1}}}$"),
    ] = None
    country: CountryCode | None = None


class ContactBody(StrictModel):
    """How to reach a merchant; null clears a part."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTACT_EXAMPLE]})

    email: Annotated[
        Annotated[str, AfterValidator(_plausible_email)] | None,
        Field(max_length=EMAIL_CHARACTERS_MAX, examples=["accounts@dukasafi.example"]),
    ] = None
    phone: Phone | None = None
    website: Annotated[
        str | None,
        Field(
            max_length=WEBSITE_CHARACTERS_MAX,
            pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[\x21-\x7e]*)?$",
            examples=["https://dukasafi.example"],
        ),
    ] = None
    address: AddressBody | None = None

    def changes(self) -> dict[str, str | None]:
        """Return what was sent, by the domain's names; None clears."""
        sent = self.model_fields_set - {"address"}
        found: dict[str, str | None] = {name: getattr(self, name) for name in sent}
        if "address" not in self.model_fields_set:
            return found
        if self.address is None:
            return {**found, **dict.fromkeys(_FIELD_OF.values())}
        parts = {
            _FIELD_OF[name]: getattr(self.address, name) for name in self.address.model_fields_set
        }
        return {**found, **parts}

    def to_contact(self) -> Contact:
        """Return it as a new merchant's."""
        return Contact(**{name: value for name, value in self.changes().items() if value})


CLEARED_CONTACT: Final[dict[str, str | None]] = dict.fromkeys(
    ("email", "phone", "website", *_FIELD_OF.values())
)
"""The change that forgets how to reach a merchant."""


class AddressShown(BaseModel):
    """A postal address; what is not known is null."""

    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None


class ContactShown(BaseModel):
    """How to reach a merchant; what is not known is null."""

    email: str | None
    phone: str | None
    website: str | None
    address: AddressShown
