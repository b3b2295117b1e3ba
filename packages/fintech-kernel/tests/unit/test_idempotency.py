import re
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.errors import IdempotencyKeyMissing, InvalidRequest
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.web.errors import CardNumberRefused
from fintech_kernel.web.idempotency import KEY_PATTERN, idempotency, parse_key
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.strict_json import StrictJsonRoute

pytestmark = pytest.mark.anyio


class Thing(StrictModel):
    name: str = "unnamed"
    count: int = 1


@pytest.fixture
def calls() -> list[IdempotentCall]:
    return []


@pytest.fixture
async def client(new_app: Any, client_of: Any, calls: list[IdempotentCall]) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/things/{thing_id}/capture")
    async def capture(
        thing_id: str,
        call: Annotated[IdempotentCall, Depends(idempotency)],
        body: Thing | None = None,
    ) -> dict[str, str]:
        calls.append(call)
        return {}

    @router.post("/things/{thing_id}/cancel")
    async def cancel(
        thing_id: str, call: Annotated[IdempotentCall, Depends(idempotency)]
    ) -> dict[str, str]:
        calls.append(call)
        return {}

    async with client_of(new_app(router)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"), ('"abc"', "abc"), (" abc ", "abc"), (r'"a\"b\\c"', 'a"b\\c'), ("a:b/c=", "a:b/c="),
        ("x" * 255, "x" * 255), ('"' + "x" * 255 + '"', "x" * 255), ('"a,b;c"', "a,b;c"), ("?1", "?1"),
    ],
)  # fmt: skip
def test_quoted_and_bare_keys_are_read(header: str, key: str) -> None:
    assert parse_key([header]) == key


@pytest.mark.parametrize(
    "header",
    [
        "", " ", '""', '"', '"abc', 'abc"', 'a"b', '"a" "b"', '"a";q=1', "a,b", "a;b", "a b", '"a b"', "a\tb",
        "x" * 256, '"' + "x" * 256 + '"', "caf\u00e9", "a\x7f", '"a\\n"', "a\\b",
    ],
)  # fmt: skip
def test_anything_else_is_no_key(header: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_key([header])
    assert refused.value.pointer == "/headers/idempotency-key"


def test_a_key_is_required_once_and_is_no_card() -> None:
    with pytest.raises(IdempotencyKeyMissing):
        parse_key([])
    with pytest.raises(InvalidRequest):
        parse_key(["a", "a"])
    with pytest.raises(CardNumberRefused):
        parse_key(["4111111111111111"])


async def test_a_missing_key_is_400_before_anything_of_the_schema(client) -> None:
    response = await client.post("/v1/things/t1/capture", json={"nonsense": 1})
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_missing")
    malformed = await client.post("/v1/things/t1/capture", headers={"idempotency-key": "a b"})
    assert (malformed.status_code, malformed.json()["code"]) == (400, "invalid_request")


async def fingerprints(
    client: Any, calls: list[IdempotentCall], *requests: tuple[str, bytes]
) -> list[str]:
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    for path, content in requests:
        assert (
            await client.post(f"/v1/things/{path}", content=content, headers=headers)
        ).status_code == 200
    return [call.fingerprint.value for call in calls]


async def test_the_same_request_however_written_has_one_fingerprint(client, calls) -> None:
    found = await fingerprints(
        client,
        calls,
        ("t1/capture", b'{"name":"caf\xc3\xa9","count":2}'),
        ("t1/capture", b' { "count": 2, "name": "caf\\u00e9" } '),
        ("t1/capture", b'{"count":2,"name":"caf\xc3\xa9"}'),
    )
    assert len(set(found)) == 1
    assert all(one.fingerprint.matches(other.fingerprint.value) for one in calls for other in calls)
    assert found[0].startswith("k1:")


async def test_every_part_of_a_request_is_in_its_fingerprint(client, calls) -> None:
    found = await fingerprints(
        client,
        calls,
        ("t1/capture", b""),
        ("t1/capture", b"{}"),
        ("t1/capture", b'{"name":"unnamed"}'),
        ("t1/capture", b'{"count":1}'),
        ("t1/capture", b'{"count":2}'),
        ("t2/capture", b""),
        ("t1/cancel", b""),
    )
    assert len(set(found)) == len(found)
    assert not calls[0].fingerprint.matches(calls[1].fingerprint.value)


async def test_a_fingerprint_is_still_known_after_a_rotation(
    client, calls, context, make_settings
) -> None:
    (stored,) = await fingerprints(client, calls, ("t1/capture", b"{}"))
    context.keyring = KeyRing(
        make_settings(
            app_secret="n" * 40, app_secret_id="k2", app_secrets_previous={"k1": "a" * 40}
        )
    )
    _, renewed = await fingerprints(client, calls, ("t1/capture", b"{}"))
    assert renewed != stored
    assert calls[1].fingerprint.matches(stored)


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "8e03978e-40d5",
        "a:b/c#d",
        "!~",
        "k" * 255,
        '"a"',
        '"a,b;c"',
        '"a\\"b\\\\c"',
        f'"{"k" * 255}"',
    ],
)
def test_the_documented_pattern_has_the_keys_that_are_taken(value: str) -> None:
    assert re.search(KEY_PATTERN, value)
    assert parse_key([value])


@pytest.mark.parametrize(
    "value", ["a,b", "a;b", 'a"b', "a\\b", "a b", "é", '"', '""', '"a', '"a\\b"', "k" * 256, "a\n"]
)
def test_the_documented_pattern_leaves_out_what_is_refused(value: str) -> None:
    assert not re.search(KEY_PATTERN.replace("$", r"\Z"), value)
    with pytest.raises(InvalidRequest):
        parse_key([value])
