from enum import StrEnum
from typing import Annotated, Any

import pytest
from fintech_kernel.clock import SystemClock
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.money import Money
from fintech_kernel.web.schemas import (
    Metadata,
    MetadataFilter,
    MetadataPatch,
    MoneyBody,
    MoneyShown,
    Reference,
    StrictModel,
    Timestamp,
    id_path,
    metadata_pair,
)
from pydantic import Field, TypeAdapter, ValidationError


def accepts(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def test_money_is_an_integer_and_a_currency() -> None:
    money = Money(amount=1200, currency="KES")
    assert MoneyBody(amount=1200, currency="KES").to_money() == money
    assert MoneyShown.of(money).model_dump() == {"amount": 1200, "currency": "KES"}


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1, 1.0, "1", True, None, [1], 1e3])
def test_nothing_else_is_an_amount(amount: Any) -> None:
    assert not accepts(MoneyBody, {"amount": amount, "currency": "KES"})


@pytest.mark.parametrize(
    "currency", ["kes", "KE", "KESS", "XXX", "XAU", "", " KES", "ABC", 404, None]
)
def test_nothing_else_is_a_currency(currency: Any) -> None:
    assert not accepts(MoneyBody, {"amount": 1, "currency": currency})


@pytest.mark.parametrize("currency", ["JPY", "KES", "KWD", "EUR"])
def test_currencies_with_minor_units_are_accepted(currency: str) -> None:
    assert accepts(MoneyBody, {"amount": 10**15, "currency": currency})


def test_the_schema_lists_the_currencies_it_accepts() -> None:
    listed = MoneyBody.model_json_schema()["properties"]["currency"]["enum"]
    assert all(accepts(MoneyBody, {"amount": 1, "currency": code}) for code in listed)


@pytest.mark.parametrize("server_owned", ["merchant_id", "status", "id", "fee", "created_at"])
def test_unknown_members_are_refused(server_owned: str) -> None:
    assert not accepts(MoneyBody, {"amount": 1, "currency": "KES", server_owned: "x"})


@pytest.mark.parametrize(
    ("metadata", "accepted"),
    [
        ({}, True),
        ({f"k{n}": "v" for n in range(20)}, True),
        ({f"k{n}": "v" for n in range(21)}, False),
        ({"k" * 40: "v" * 500}, True),
        ({"k" * 41: "v"}, False),
        ({"k": "v" * 501}, False),
        ({"": "v"}, False),
        ({"a b": "v"}, False),
        ({"a\n": "v"}, False),
        ({"k": "a\nb"}, False),
        ({"k": "caf\u00e9"}, True),
        ({"k": 1}, False),
        ({"k": None}, False),
        ({"k": {"deep": "v"}}, False),
    ],
)
def test_metadata_is_a_few_pairs_of_strings(metadata: Any, accepted: bool) -> None:
    assert accepts(Metadata, metadata) == accepted


@pytest.mark.parametrize(
    ("patch", "accepted"),
    [
        ({}, True),
        ({"k": "v", "gone": None}, True),
        ({f"k{n}": None for n in range(21)}, False),
        ({"a b": None}, False),
        ({"k": 1}, False),
    ],
)
def test_a_change_of_metadata_sets_and_removes_pairs(patch: Any, accepted: bool) -> None:
    assert accepts(MetadataPatch, patch) == accepted


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("order:A-1017", True),
        ("k:", True),
        ("k:a:b", True),
        ("k" * 40 + ":" + "v" * 500, True),
        ("k" * 41 + ":v", False),
        ("order", False),
        (":v", False),
        ("a b:v", False),
        ("k:a\nb", False),
    ],
)
def test_a_filter_by_metadata_names_one_pair(text: str, accepted: bool) -> None:
    assert accepts(MetadataFilter, text) == accepted


def test_a_pair_parts_at_its_first_colon() -> None:
    assert metadata_pair("order:A:1") == ("order", "A:1")


@pytest.mark.parametrize("reference", ["a", "order-1017", "A.b_c:d/e#f", "x" * 64])
def test_references_are_plain(reference: str) -> None:
    assert accepts(Reference, reference)


@pytest.mark.parametrize("reference", ["", "-a", "a b", "x" * 65, "a\n", "caf\u00e9", "a'b", 1])
def test_other_references_are_refused(reference: Any) -> None:
    assert not accepts(Reference, reference)


def test_ids_of_a_kind_have_its_prefix() -> None:
    kind = Annotated[str, id_path("pay")]
    made = RandomIdentifiers(SystemClock()).new("pay")
    assert accepts(kind, made)
    for other in (
        made.upper(),
        made + "0",
        made[:-1],
        "ref" + made[3:],
        f"{made}\n",
        "pay_",
        "pay_" + "8" * 26,
    ):
        assert not accepts(kind, other)


class Status(StrEnum):
    OPEN = "open"


class WithEnum(StrictModel):
    status: Annotated[Status, Field(strict=False)]
    at: Timestamp


def test_enums_and_times_are_read_in_strict_models_that_say_so() -> None:
    assert (
        WithEnum.model_validate({"status": "open", "at": "2026-01-31T12:00:00Z"}).status
        is Status.OPEN
    )
    assert not accepts(WithEnum, {"status": "shut", "at": "2026-01-31T12:00:00Z"})
    assert not accepts(WithEnum, {"status": "open", "at": "2026-01-31T12:00:00"})


def test_a_time_is_written_out_and_never_a_count_of_seconds() -> None:
    for count in (1_760_000_000, 1_760_000_000_000, "1760000000", "2026-01-31", 1.5, True):
        assert not accepts(WithEnum, {"status": "open", "at": count})
