"""The running application with the objects of two merchants, made by calls of its API."""

import itertools
import re
import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
from fintech_dbclient import HttpDatabase
from fintech_kernel.domain.actors import PLATFORM, Actor, job_actor
from fintech_kernel.domain.permissions import MERCHANT_ADMIN, PLATFORM_ADMIN
from fintech_kernel.observability.context import current_request_id
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.database import database_service
from fintech_kernel.web.app import Overrides
from fintech_ledger.domain.closes import Closes
from fintech_ledger.domain.period_closes import Periods
from principals import Principal
from statements import RecordingDatabase, StatementBook
from surface import Operation

CURRENCY: Final = "KES"

Objects = dict[str, str]
"""Ids of one merchant's objects by the name under which routes take them."""

ABSENT_ID: Final = "7zzzzzzzzzabsentzzzzzzzzzz"
"""A TypeID's suffix that nobody gets: its time is in the far future."""

_TYPEID_SUFFIX: Final = re.compile(r"(?<=_)[0-7][0-9a-hjkmnp-tv-z]{25}(?![0-9a-z])")
_OPERATION_ID: Final = re.compile(r"^op_[a-z2-7]{52}$")


@dataclass(slots=True, kw_only=True)
class World:
    """An application on a database of its own.

    Attributes:
        own: the merchant that principals belong to.
        foreign: another merchant, with objects of the same kinds.
    """

    app: RunningApp
    file: Path
    own: Objects
    foreign: Objects
    absent: Objects
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    stories: dict[str, Objects] = field(default_factory=dict)

    async def for_(self, operation: Operation) -> "World":
        """Return this world with a merchant of the operation's own: what it changes harms no other."""
        if operation.name not in self.stories:
            self.stories[operation.name] = await Story(self.app, operation.name).told()
        return replace(self, own=self.stories[operation.name])

    async def call(
        self,
        operation: Operation,
        *,
        as_: Principal | None = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = ...,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request that is valid but for what is given."""
        return await self.app.client.send(
            self.request(operation, as_=as_, path=path, query=query, body=body, headers=headers)
        )

    def request(
        self,
        operation: Operation,
        *,
        as_: Principal | None = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = ...,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        """Return a request that is valid but for what is given."""
        values = {name: self.own[name] for name in operation.path_names} | dict(path or {})
        needed = {
            one.name: self.own[one.name]
            for one in operation.parameters
            if one.place == "query" and one.is_required
        }
        given = self.body(operation) if body is ... else body
        return self.app.client.build_request(
            operation.method,
            operation.path.format(**{name: _in_path(value) for name, value in values.items()}),
            params={**needed, **(query or {})} or None,
            json=None if operation.is_form else given,
            data=given if operation.is_form else None,
            headers={**self.headers(operation, as_), **(headers or {})},
        )

    def headers(self, operation: Operation, principal: Principal | None) -> dict[str, str]:
        """Return what a request of a principal carries; None is the merchant's or the platform's admin."""
        headers: dict[str, str] = {}
        if operation.is_idempotent:
            headers["Idempotency-Key"] = f"security-{next(self.numbers)}"
        caller = principal or self.admin_of(operation)
        if not caller.is_anonymous:
            actor = caller.actor(self.own["merchant_id"])
            headers["Authorization"] = f"Bearer {self.token(actor)}"
        return headers

    async def api_key(self, principal: Principal, operation: Operation) -> dict[str, str]:
        """Return the authorization of a principal that has an API key, as its key is granted a token."""
        merchant_id = self.own["merchant_id"]
        scopes = principal.scopes(self.app.context, operation.permissions)
        made = await self.app.post(
            f"/v1/merchants/{merchant_id}/api-keys",
            {"name": principal.name, "scopes": scopes},
            key=f"security-{next(self.numbers)}",
            headers=self.app.headers(merchant_id=merchant_id),
        )
        assert made.status_code == 201, made.text
        key = made.json()
        granted = await self.app.client.post(
            "/v1/auth/token",
            data={"grant_type": "client_credentials"},
            auth=(key["key_id"], key["secret"]),
        )
        assert granted.status_code == 200, granted.text
        return {"Authorization": f"Bearer {granted.json()['access_token']}"}

    def admin_of(self, operation: Operation) -> Principal:
        """Return who may do it: the merchant's administrator where that suffices."""
        merchants = Principal(MERCHANT_ADMIN, MERCHANT_ADMIN)
        if operation.permissions and merchants.may(self.app.context, operation.permissions):
            return merchants
        return Principal(PLATFORM_ADMIN, PLATFORM_ADMIN)

    def token(self, actor: Actor) -> str:
        issuer = self.app.context.token_issuer
        assert issuer is not None
        return issuer.issue(actor)

    def body(self, operation: Operation) -> Any:
        """Return the sample body of an operation, about the own merchant's objects."""
        return self.named(operation.sample_body(), self.own)

    def named(self, value: Any, objects: Objects) -> Any:
        """Return a body whose ids are these objects', and whose references are new."""
        if isinstance(value, list):
            return [self.named(one, objects) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            name: f"ref-{next(self.numbers)}"
            if name == "reference"
            else objects.get(name, one)
            if isinstance(one, str)
            else self.named(one, objects)
            for name, one in value.items()
        }

    def schema(self) -> list[str]:
        """Return the texts that made the database's tables and indexes."""
        return [text for (text,) in self._read("SELECT sql FROM sqlite_master ORDER BY name")]

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        names = [
            name
            for (name,) in self._read("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        counted = " UNION ALL ".join(f"SELECT '{name}', COUNT(*) FROM {name}" for name in names)  # noqa: S608 - names that the database told
        return dict(self._read(counted))

    def rows_of(self, merchant_id: str) -> list[tuple[Any, ...]]:
        """Return every row that belongs to a merchant, of whatever table: some text in it says so."""
        columns = self._read(
            "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid"
        )
        named: dict[str, list[str]] = {}
        for table, column in columns:
            named.setdefault(table, []).append(f'instr("{column}", :id)')
        return [
            row
            for table, mentions in named.items()
            for row in self._read(
                f"SELECT * FROM {table} WHERE {' OR '.join(mentions)}",  # noqa: S608 - names that the database told
                {"id": merchant_id},
            )
        ]

    def _read(self, query: str, values: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values or {}).fetchall()


def _in_path(value: str) -> str:
    """Return a value as a client writes it into a path; slashes and colons stay, some ids hold them."""
    return quote(value, safe="/:")


def absent_of(name: str, value: str) -> str:
    """Return what nobody has and looks like ``value``."""
    if value.isdecimal():
        return str(2**53 - 1)
    if _OPERATION_ID.fullmatch(value):
        return "op_" + "a" * 52
    if name in {"processor", "rail"}:
        return "absent"
    if name in {"close_id", "first_day", "last_day"}:
        return "1970-01-01"
    if name in {"period", "period_id"}:
        return "1970-01"
    absent = _TYPEID_SUFFIX.sub(ABSENT_ID, value)
    assert absent != value, f"say in absent_of what an absent {{{name}}} looks like: {value}"
    return absent


@asynccontextmanager
async def running_world(folder: Path, book: StatementBook) -> AsyncGenerator[World]:
    """Run the assembled application on a new database, and tell both merchants' stories in it."""
    file = folder / "world.db"
    with database_service(f"sqlite:///{file}") as url:
        database = RecordingDatabase(HttpDatabase(url, request_id=current_request_id), book)
        async with running_app(
            database_url=url, plugins=None, overrides=Overrides(database=database)
        ) as app:
            own, foreign = await Story(app, "own").told(), await Story(app, "foreign").told()
            absent = {name: absent_of(name, value) for name, value in own.items()}
            yield World(app=app, file=file, own=own, foreign=foreign, absent=absent)


class Story:
    """One merchant's objects, made in the order in which they need one another.

    A new kind of object is a new step that puts its id under the name of its path parameter.
    """

    def __init__(self, app: RunningApp, name: str) -> None:
        self._app = app
        self._name = name
        self._numbers = itertools.count()
        self.objects: Objects = {}

    async def told(self) -> Objects:
        for step in (
            self.merchant,
            self.api_key,
            self.payment,
            self.refund,
            self.dispute,
            self.account,
            self.adjustment,
            self.period,
            self.close,
            self.settlement,
            self.webhook,
            self.reconciliation,
            self.trail,
            self.run,
            self.processor,
            self.rail,
        ):
            await step()
        return self.objects

    async def merchant(self) -> None:
        made = await self._post(
            "/v1/merchants",
            {
                "name": f"Security {self._name}",
                "currencies": [CURRENCY],
                "settlement": {"delay_days": 0},
                "pricing": [{"currency": CURRENCY, "basis_points": 290}],
            },
        )
        merchant_id = self.objects["merchant_id"] = made["merchant_id"]
        await self._post(
            f"/v1/merchants/{merchant_id}/verification",
            {"outcome": "verified", "reference": f"kyb-{self._name}", "reason": "for the tests"},
        )
        await self._post(f"/v1/merchants/{merchant_id}/activate", {"reason": "for the tests"})

    async def api_key(self) -> None:
        made = await self._post(
            f"/v1/merchants/{self.objects['merchant_id']}/api-keys",
            {"name": f"Security {self._name}", "scopes": ["payments:read"]},
        )
        self.objects["key_id"] = self.objects["client_id"] = made["key_id"]

    async def payment(self) -> None:
        made = await self._post(
            "/v1/payments",
            {
                "merchant_id": self.objects["merchant_id"],
                "amount": 10_000,
                "currency": CURRENCY,
                "payment_method": {"type": "card", "token": "sandbox_approve"},
            },
        )
        self.objects["payment_id"] = self.objects["subject_id"] = made["payment_id"]

    async def refund(self) -> None:
        made = await self._post(
            f"/v1/payments/{self.objects['payment_id']}/refunds",
            {"amount": {"amount": 1_000, "currency": CURRENCY}},
        )
        self.objects["refund_id"] = made["refund_id"]

    async def dispute(self) -> None:
        made = await self._post(
            f"/v1/payments/{self.objects['payment_id']}/disputes",
            {"amount": {"amount": 500, "currency": CURRENCY}, "reason": "not received"},
        )
        self.objects["dispute_id"] = made["dispute_id"]

    async def account(self) -> None:
        merchant_id = self.objects["merchant_id"]
        found = await self._get(f"/v1/ledger/accounts?merchant_id={merchant_id}")
        self.objects["account"] = found["data"][0]["account"]

    async def adjustment(self) -> None:
        made = await self._post(
            "/v1/ledger/adjustments",
            {
                "debit_account": self.objects["account"],
                "credit_account": f"assets:bank:{CURRENCY}",
                "amount": 100,
                "currency": CURRENCY,
                "reason": "for the tests",
            },
        )
        self.objects["adjustment_id"] = made["adjustment_id"]

    async def period(self) -> None:
        """The month before, closed before any later day is: it is the same for everybody."""
        today = datetime.fromtimestamp(self._app.context.clock.now_milliseconds() / 1_000, UTC)
        name = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
        answer = await self._app.context.services.get(Periods).close(
            name, actor=job_actor("security"), key=f"period:{name}", fingerprint=None
        )
        self.objects["period_id"] = self.objects["period"] = answer.result["period"]

    async def close(self) -> None:
        """Closed days are the ledger's: they are the same for everybody."""
        await self._app.context.services.get(Closes).run()
        self.objects["close_id"] = (await self._get("/v1/ledger/closes"))["data"][0]["close_id"]
        self.objects["first_day"] = self.objects["last_day"] = self.objects["close_id"]

    async def settlement(self) -> None:
        made = await self._post(
            "/v1/settlements", {"merchant_id": self.objects["merchant_id"], "currency": CURRENCY}
        )
        self.objects["settlement_id"] = made["settlement_id"]

    async def webhook(self) -> None:
        """An endpoint, and a test message to it that nobody sends: jobs do not run here."""
        endpoints = f"/v1/webhooks/{self.objects['merchant_id']}/endpoints"
        made = await self._post(
            endpoints, {"url": "https://shop.example.com/hooks", "events": ["payment.*"]}
        )
        self.objects["endpoint_id"] = made["endpoint_id"]
        sent = await self._post(f"{endpoints}/{made['endpoint_id']}/ping", {})
        self.objects["delivery_id"] = sent["delivery_id"]

    async def reconciliation(self) -> None:
        """What the bank tells of is the platform's: the same for everybody."""
        bank_id = f"ft_{self.objects['settlement_id'].partition('_')[2]}"
        self.objects["bank_id"] = bank_id
        line = {
            "bank_id": bank_id,
            "booked_on": "2026-11-30",
            "amount": -7,
            "currency": CURRENCY,
            "reference": "fees",
        }
        told = await self._post(
            "/v1/settlements/reconciliations/lines", {"bank_account": "main", "lines": [line]}
        )
        self.objects["reconciliation_id"] = told["lines"][0]["reconciliation_id"]

    async def trail(self) -> None:
        await self._app.context.sealer.seal()
        merchant_id = self.objects["merchant_id"]
        entry = (await self._get(f"/v1/audit/entries?merchant_id={merchant_id}"))["data"][0]
        for name in ("entry_id", "stream_id", "operation_id"):
            self.objects[name] = entry[name]
        heads = (await self._get("/v1/audit/tree-heads"))["data"]
        self.objects["from"] = str(heads[-1]["tree_size"])
        self.objects["to"] = str(heads[0]["tree_size"])

    async def run(self) -> None:
        """Runs are the platform's: they are the same for everybody."""
        made = await self._post("/v1/settlements/runs", {})
        self.objects["run_id"] = made["run_id"]

    async def rail(self) -> None:
        """Rails are the deployment's: there is the same for everybody."""
        self.objects["rail"] = "sandbox"

    async def processor(self) -> None:
        """Processors are the deployment's: there is the same for everybody."""
        self.objects["processor"] = "sandbox"

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        key = f"{self._name}-{next(self._numbers)}"
        headers = self._app.headers(PLATFORM_ADMIN, merchant_id=PLATFORM)
        answer = await self._app.post(path, body, key=key, headers=headers)
        assert answer.is_success, f"the story of {self._name} ends at {path}: {answer.text}"
        return answer.json()

    async def _get(self, path: str) -> Any:
        headers = self._app.headers(PLATFORM_ADMIN, merchant_id=PLATFORM)
        answer = await self._app.client.get(path, headers=headers)
        assert answer.is_success, f"the story of {self._name} ends at {path}: {answer.text}"
        return answer.json()


def ids_of(objects: Objects) -> Sequence[str]:
    """Return what names this merchant's objects and nobody else's, wherever it appears."""
    return sorted({one for value in objects.values() for one in _TYPEID_SUFFIX.findall(value)})
