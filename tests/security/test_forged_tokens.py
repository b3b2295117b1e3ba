"""Forged tokens over HTTP: every one gets the answer that no token at all gets."""

from collections.abc import Iterator

import httpx
import pytest
from forgeries import Forger
from test_matrix import difference
from world import World

pytestmark = pytest.mark.anyio

FORGERIES_MIN = 60
PATH = "/v1/payments"


async def asked(world: World, *authorization: bytes) -> httpx.Response:
    """Return the answer of a real route to these ``Authorization`` headers, sent as raw bytes."""
    headers = [(b"authorization", value) for value in authorization]
    return await world.app.client.get(PATH, headers=httpx.Headers(headers))


@pytest.fixture
def forger(world: World) -> Forger:
    return Forger(world.own["merchant_id"])


async def test_the_forgeries_start_from_a_token_that_is_accepted(world: World, forger: Forger):
    answer = await asked(world, b"Bearer " + forger.token().encode())
    assert answer.status_code == 200, answer.text


async def test_every_forged_token_is_answered_like_no_token(world: World, forger: Forger):
    before = world.counts()
    nothing = await asked(world)
    assert nothing.status_code == 401
    assert nothing.headers["www-authenticate"] == "Bearer"
    forgeries = forger.forgeries()
    assert len(forgeries) >= FORGERIES_MIN
    found = [
        f"{name}: {told}"
        for name, token in forgeries.items()
        if (told := difference(await asked(world, b"Bearer " + token.encode()), nothing))
    ]
    assert found == []
    assert world.counts() == before


def spoiled_headers(good: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield headers that hold a good token in a wrong way."""
    yield "no scheme", [good]
    yield "another scheme", [b"Token " + good]
    yield "basic", [b"Basic " + good]
    yield "scheme alone", [b"Bearer"]
    yield "scheme and nothing", [b"Bearer "]
    yield "a tab between", [b"Bearer\t" + good]
    yield "two spaces between", [b"Bearer  " + good]
    yield "two headers", [b"Bearer " + good, b"Bearer " + good]
    yield "two headers, one empty", [b"Bearer " + good, b""]
    yield "two schemes", [b"Basic x, Bearer " + good]
    yield "not UTF-8", [b"Bearer \xff\xfe" + good]


async def test_a_good_token_in_a_wrong_header_is_answered_like_no_token(
    world: World, forger: Forger
):
    nothing = await asked(world)
    found = [
        f"{name}: {told}"
        for name, headers in spoiled_headers(forger.token().encode())
        if (told := difference(await asked(world, *headers), nothing))
    ]
    assert found == []


async def test_a_token_anywhere_else_than_in_its_header_is_not_looked_at(
    world: World, forger: Forger
):
    nothing = await asked(world)
    token = forger.token()
    for name, request in {
        "query": {"params": {"access_token": token}},
        "cookie": {"headers": {"Cookie": f"access_token={token}; Authorization=Bearer {token}"}},
        "another header": {"headers": {"X-Access-Token": token, "Proxy-Authorization": token}},
    }.items():
        answer = await world.app.client.get(PATH, **request)
        assert difference(answer, nothing) == "", name


async def test_a_token_longer_than_headers_may_be_is_refused_before_it_is_read(
    world: World, forger: Forger
):
    answer = await asked(world, b"Bearer " + b"a" * 1_000_000)
    assert answer.status_code == 431
    assert answer.json()["code"] == "headers_too_large"
