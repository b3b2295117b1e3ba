"""Hostile texts in every input of every operation: refused or kept as text, and nothing else happens.

50 of the 500 are sent in a plain run, all where slow tests run. The fixture ``judged`` then judges every
statement that they caused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import httpx
import pytest
from fintech_kernel.errors import FintechError, Refusal
from payloads import PAYLOADS, SENT_DAILY, daily, remaining
from statements import StatementBook
from surface import Operation, placed
from world import World

pytestmark = pytest.mark.anyio

REFLECTED_CHARACTERS_MIN = 8
"""Shorter payloads are part of honest texts."""

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
HEADERS = (
    "X-Request-ID",
    "traceparent",
    "User-Agent",
    "Accept",
    "Accept-Language",
    "X-Forwarded-For",
)
HEADERS_SHARE = 5
"""All operations read headers with the same code, so in a plain run each gets a fifth of the payloads, and
all together get all."""

TRAIL = "/v1/audit/"
"""Reading here leaves a trail: the one read that writes."""

READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Input:
    """A place where a request takes a text."""

    place: str
    name: str
    path: tuple[str | int, ...] = ()

    def request(self, world: World, operation: Operation, payload: str) -> httpx.Request:
        """Return a request that is valid but for the payload."""
        match self.place:
            case "path":
                return world.request(operation, path={self.name: payload})
            case "query":
                return world.request(operation, query={self.name: payload})
            case "body":
                body = placed(operation, world.body(operation), self.path, payload)
                return world.request(operation, body=body)
            case _:
                request = world.request(operation)
                names = HEADERS if self.name == "other headers" else (self.name,)
                for name in names:
                    request.headers[name] = "replaced"
                raw = [
                    (name, payload.encode() if value == b"replaced" else value)
                    for name, value in request.headers.raw
                ]
                request.headers = httpx.Headers(raw)
                return request


def inputs(operation: Operation) -> Iterator[Input]:
    """Yield every place where an operation takes a text."""
    for one in operation.parameters:
        if one.place in ("path", "query"):
            yield Input(one.place, one.name)
    for path in operation.string_inputs():
        yield Input("body", "/".join(map(str, path)), path)
    if operation.is_idempotent:
        yield Input("header", "Idempotency-Key")
    yield Input("header", "other headers")


def recorded_refusals() -> set[str]:
    """Return the codes of refusals that an operation records, the plugins' among them."""
    known: list[type[FintechError]] = [Refusal]
    for one in known:
        known += one.__subclasses__()
    return {one.code for one in known}


async def attacked(
    world: World, operation: Operation, payloads: tuple[str, ...]
) -> tuple[list[str], int]:
    """Send payloads to every input; return what went wrong, and how many requests were accepted."""
    wrong: list[str] = []
    accepted = 0
    refusals = recorded_refusals()
    for one in inputs(operation):
        for payload in _share(one, operation, payloads):
            answer = await world.app.client.send(one.request(world, operation, payload))
            accepted += answer.is_success or answer.json()["code"] in refusals
            wrong += [
                f"{operation.label}, {one.place} {one.name}, {payload[:60]!r}: {fault}"
                for fault in _faults(answer, payload)
            ]
    return wrong, accepted


def _share(one: Input, operation: Operation, payloads: tuple[str, ...]) -> tuple[str, ...]:
    if one.place != "header" or len(payloads) > SENT_DAILY:
        return payloads
    return payloads[crc32(operation.name.encode()) % HEADERS_SHARE :: HEADERS_SHARE]


def _faults(answer: httpx.Response, payload: str) -> Iterator[str]:
    if answer.status_code >= 500:
        yield f"{answer.status_code} {answer.text}"
    if answer.status_code >= 400:
        if answer.headers["content-type"] != "application/problem+json":
            yield f"{answer.status_code} is no problem document"
        elif len(payload) >= REFLECTED_CHARACTERS_MIN and _told(payload, answer):
            yield f"the answer repeats it: {answer.text}"
    for name, value in answer.headers.raw:
        if b"\r" in value or b"\n" in value or b"\x00" in value:
            yield f"the header {name!r} holds a line break"


def _told(payload: str, answer: httpx.Response) -> bool:
    """Whether a problem repeats what was sent; a well-formed request id is given back on purpose."""
    return payload in answer.text and not REQUEST_ID.fullmatch(payload)


OPERATIONS_OF_REQUEST = {
    "POST /v1/settlements/reconciliations/lines": 2  # the import, and what comes of its line
}
"""How many operations an accepted request begins, where it is not one."""


async def check(
    world: World, operation: Operation, payloads: tuple[str, ...], book: StatementBook
) -> None:
    world = await world.for_(operation)
    schema, counts = world.schema(), world.counts()
    foreign = world.rows_of(world.foreign["merchant_id"])
    wrong, accepted = await attacked(world, operation, payloads)
    if wrong:
        pytest.fail("\n".join(wrong))
    assert world.schema() == schema, f"{operation.label}: the schema was changed"
    assert world.rows_of(world.foreign["merchant_id"]) == foreign, operation.label
    grown = {name: rows - counts[name] for name, rows in world.counts().items()}
    if operation.method in READS:
        grown.pop("journal") if operation.path.startswith(TRAIL) else None
        accepted = 0
    begun = accepted * OPERATIONS_OF_REQUEST.get(operation.label, 1)
    assert 0 <= grown["operations"] <= begun, f"{operation.label}: {grown}, {accepted} accepted"
    assert accepted or not any(grown.values()), f"{operation.label}: {grown}, none accepted"
    texts = "\n".join(book.texts())
    assert [one for one in payloads if _is_telling(one) and one in texts] == []


def _is_telling(payload: str) -> bool:
    """Whether a payload cannot stand in a statement of ours by itself."""
    return len(payload) >= REFLECTED_CHARACTERS_MIN and payload.strip() != ""


def test_the_corpus_holds_500_different_payloads():
    assert len(set(PAYLOADS)) == len(PAYLOADS) == 500
    assert set(daily()) | set(remaining()) == set(PAYLOADS)


async def test_todays_payloads_do_nothing_anywhere(
    world: World, operation: Operation, book: StatementBook
):
    await check(world, operation, daily(), book)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
async def test_all_other_payloads_do_nothing_anywhere(
    world: World, operation: Operation, book: StatementBook
):
    await check(world, operation, remaining(), book)
