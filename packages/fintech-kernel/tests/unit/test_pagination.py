import base64
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from fintech_kernel.domain.actors import Actor
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.strict_json import StrictJsonRoute

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(new_app: Any, client_of: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/things")
    async def things(
        _actor: Annotated[Actor, Depends(requires("things:read"))],
        asked: Annotated[Page, Depends(page)],
        status: str | None = None,
    ) -> Any:
        begin = 0 if asked.after is None else int(asked.after[0])
        rows = list(range(begin + 1, min(begin + asked.limit, 120) + 1))
        more = asked.next_cursor((rows[-1], f"id{rows[-1]}")) if rows and rows[-1] < 120 else None
        return page_body(rows, more)

    @router.get("/others/{owner}")
    async def others(owner: str, asked: Annotated[Page, Depends(page)]) -> Any:
        return page_body([], asked.next_cursor((1,)))

    async with client_of(new_app(router)) as opened:
        yield opened


async def test_following_cursors_visits_every_row_once(client, bearer) -> None:
    seen: list[int] = []
    cursor: str | None = None
    pages = 0
    while cursor is not None or not seen:
        query = {} if cursor is None else {"cursor": cursor}
        body = (await client.get("/v1/things", params=query, headers=bearer)).json()
        seen += body["data"]
        cursor = body["next_cursor"]
        pages += 1
    assert (seen, pages) == (list(range(1, 121)), 3)


async def test_the_limit_of_a_page_may_change_between_pages(client, bearer) -> None:
    first = (await client.get("/v1/things?limit=2&status=paid", headers=bearer)).json()
    query = {"cursor": first["next_cursor"], "limit": 3, "status": "paid"}
    second = (await client.get("/v1/things", params=query, headers=bearer)).json()
    assert (first["data"], second["data"]) == ([1, 2], [3, 4, 5])


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e2", "x", "", "9" * 400, "1.5", "NaN"])
async def test_a_limit_out_of_bounds_is_refused(client, bearer, limit: str) -> None:
    response = await client.get("/v1/things", params={"limit": limit}, headers=bearer)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/query/limit"


def spoilt(cursor: str) -> dict[str, str]:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    signature, _, text = raw.partition("|")

    def packed(changed: str) -> str:
        return base64.urlsafe_b64encode(changed.encode()).decode().rstrip("=")

    return {
        "empty": "",
        "words": "hello world",
        "not base64": "!!!",
        "not ascii": "caf\u00e9",
        "one character": cursor[:1],
        "cut": cursor[:-4],
        "longer": cursor + "AAAA",
        "another position": packed(f'{signature}|[100,"x"]'),
        "without signature": packed(f"|{text}"),
        "without position": packed(signature),
        "signature of nobody": packed(f"k9:{'0' * 64}|{text}"),
        "signature of zeros": packed(f"k1:{'0' * 64}|{text}"),
        "injection": packed(f"{signature}|1 OR 1=1"),
        "endless": "A" * 2_000,
        "NUL": "A\x00A",
    }


@pytest.mark.parametrize("name", spoilt("eyJ8IQ"))
async def test_a_cursor_that_was_changed_is_refused(client, bearer, name: str) -> None:
    cursor = (await client.get("/v1/things?limit=1", headers=bearer)).json()["next_cursor"]
    response = await client.get(
        "/v1/things", params={"cursor": spoilt(cursor)[name]}, headers=bearer
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/query/cursor"


async def test_a_cursor_works_for_its_list_filters_and_merchant_only(
    client, bearer, token_for
) -> None:
    cursor = (await client.get("/v1/things?limit=1&status=paid", headers=bearer)).json()[
        "next_cursor"
    ]
    colleague = {"authorization": f"Bearer {token_for('merchant_viewer', subject='bob')}"}
    stranger = {"authorization": f"Bearer {token_for(merchant='mch_2')}"}
    staff = {"authorization": f"Bearer {token_for('platform_admin', merchant='')}"}

    async def status(path: str, headers: dict[str, str], **query: str) -> int:
        return (
            await client.get(path, params=query | {"cursor": cursor}, headers=headers)
        ).status_code

    assert await status("/v1/things", bearer, status="paid") == 200
    assert await status("/v1/things", colleague, status="paid") == 200
    assert await status("/v1/things", stranger, status="paid") == 422
    assert await status("/v1/things", staff, status="paid") == 422
    assert await status("/v1/things", bearer, status="open") == 422
    assert await status("/v1/things", bearer) == 422
    assert await status("/v1/others/x", bearer, status="paid") == 422


async def test_a_cursor_is_bound_to_the_path_parameters(client) -> None:
    cursor = (await client.get("/v1/others/a")).json()["next_cursor"]
    assert (await client.get("/v1/others/a", params={"cursor": cursor})).status_code == 200
    assert (await client.get("/v1/others/b", params={"cursor": cursor})).status_code == 422
