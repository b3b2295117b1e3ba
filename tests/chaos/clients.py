"""Clients that do not lose their thread, and a memory of everything that they were told.

What lives here: one call sent to random servers until its answer is final, under one key; what that
answer was; every contradiction between two answers for one key. What deliberately does not: which
calls are made (``workload``).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx
from fintech_dbclient import KeepAliveTransport
from fintech_kernel.clock import SystemClock
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import OperationCall
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security.tokens import TokenIssuer
from fintech_kernel.settings import KernelSettings

ATTEMPT_SECONDS: Final = 5.0
"""How long a patient client waits for one answer; a server answers within two seconds or is gone."""

IMPATIENT_SECONDS: Final = (0.005, 0.4)
IMPATIENT: Final = 0.08
"""Probability that a client disconnects so early that its request is still being worked on."""

PAUSE_SECONDS_MAX: Final = 0.4
TOKEN_CALLS_MAX: Final = 500
"""A token is used so often, then the next is issued: they live fifteen minutes at most."""

LATER: Final = frozenset(
    {
        "operation_running",
        "outcome_unknown",
        "try_again_later",
        "contention",
        "deadline_exceeded",
        "body_too_slow",
    }
)
"""Codes that say: repeat with the same key."""

RECORDED: Final = frozenset(
    {
        "merchant_not_active",
        "currency_not_enabled",
        "reference_exists",
        "reference_exists_with_different_amount",
        "outcome_pending",
        "payment_not_capturable",
        "capture_exceeds_authorized",
        "payment_not_cancelable",
        "payment_not_refundable",
        "refund_exceeds_captured",
        "merchant_transition_refused",
        "merchant_held",
        "nothing_due",
        "settlement_not_open",
        "settlement_not_approved",
        "settlement_not_cancelable",
        "second_person_required",
        "too_many_changes",
    }
)
"""Refusals that are recorded: as final as a success."""

DIFFERS: Final = ("request_id", "instance")
"""What a repeated problem document may say differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls: a merchant's operator, or platform staff where ``merchant_id`` is empty."""

    subject: str
    role: str
    merchant_id: str = ""

    @property
    def actor(self) -> Actor:
        """The same, as servers see it."""
        return Actor(subject=self.subject, roles=(self.role,), merchant_id=self.merchant_id)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """A POST under a key. ``kind`` is the operation's, for checks and counts.

    Calls are compared by identity: no key is used for two of them.
    """

    key: str
    kind: str
    path: str
    principal: Principal
    body: Mapping[str, Any] | None = None

    @property
    def operation_id(self) -> str:
        """The id that the operation of this key has for ever."""
        return OperationCall(
            kind=self.kind,
            merchant_id=self.principal.merchant_id,
            actor=self.principal.actor,
            key=self.key,
            command={},
        ).operation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A final answer, without what may differ from repeat to repeat."""

    status: int
    body: Mapping[str, Any]
    replayed: bool

    @property
    def is_success(self) -> bool:
        """Whether what was asked was done (or will be: 202)."""
        return self.status < 400


@dataclass(slots=True)
class Memory:
    """What every client was told.

    Attributes:
        answers: the first final answer of every key.
        abandoned: calls whose client went away without an answer.
        contradictions: every answer that differs from the first of its key.
        lost: every acknowledged object that was later not found.
        unexpected: answers that no server should give.
        seen: how often each status and code was answered, final or not.
    """

    answers: dict[Call, Answer] = field(default_factory=dict)
    abandoned: list[Call] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def note(self, call: Call, answer: Answer) -> None:
        """Remember the first answer; compare every other with it."""
        first = self.answers.setdefault(call, answer)
        if (first.status, first.body) != (answer.status, answer.body):
            self.contradictions.append(
                f"{call.kind} {call.key}: first {first.status} {first.body},"
                f" then {answer.status} {answer.body}"
            )


class NotAnswered(Exception):
    """A call had no final answer when patience ended."""


class Clients:
    """Everybody who calls the servers."""

    def __init__(
        self, base_urls: Sequence[str], settings: Mapping[str, str], random: Random
    ) -> None:
        self.memory = Memory()
        self.attempts = 0
        self._base_urls = tuple(base_urls)
        self._random = random
        self._http = httpx.AsyncClient(transport=KeepAliveTransport(idle_connections_max=256))
        clock = SystemClock()
        kernel = KernelSettings(
            _env_file=None, **{name.lower(): value for name, value in settings.items()}
        )
        self._issuer = TokenIssuer(kernel, clock, RandomIdentifiers(clock))
        self._tokens: dict[Principal, tuple[str, int]] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self, call: Call, *, until: Callable[[], bool] = lambda: False, patient: bool = False
    ) -> Answer:
        """Send a call to one server after the other until its answer is final, and note it.

        Raises:
            NotAnswered: ``until`` said that patience is over.
        """
        while not until():
            answer = await self._attempt(call, self._seconds(patient=patient))
            if answer is not None:
                self.memory.note(call, answer)
                return answer
            await asyncio.sleep(self._random.uniform(0.0, PAUSE_SECONDS_MAX))
        raise NotAnswered(f"{call.kind} {call.key}")

    async def abandon(self, call: Call) -> None:
        """Send a call once, wait a moment, and go away: whatever becomes of it, recovery does it."""
        answer = await self._attempt(call, self._random.uniform(*IMPATIENT_SECONDS))
        if answer is None:
            self.memory.abandoned.append(call)
        else:
            self.memory.note(call, answer)

    async def get(self, path: str, principal: Principal) -> tuple[int, dict[str, Any]] | None:
        """Return status and body of a GET, or None where no server answered."""
        response = await self._send("GET", path, principal, seconds=ATTEMPT_SECONDS)
        return None if response is None else (response.status_code, _body(response))

    async def _attempt(self, call: Call, seconds: float) -> Answer | None:
        """Return a final answer, or None where the call is to be repeated."""
        response = await self._send(
            "POST", call.path, call.principal, seconds=seconds, key=call.key, body=call.body
        )
        if response is None:
            self.memory.seen["no answer"] += 1
            return None
        body = _body(response)
        code = str(body.get("code", ""))
        self.memory.seen[f"{response.status_code} {code}".strip()] += 1
        if response.is_success or code in RECORDED:
            shown = {name: value for name, value in body.items() if name not in DIFFERS}
            replayed = response.headers.get("Idempotent-Replayed") == "true"
            return Answer(status=response.status_code, body=shown, replayed=replayed)
        if response.status_code != 503 and code not in LATER:
            text = f"{call.kind} {call.key}: {response.status_code} {code}"
            # An object that was acknowledged is there, whoever is asked.
            (self.memory.lost if code == "not_found" else self.memory.unexpected).append(text)
        return None

    async def _send(
        self,
        method: str,
        path: str,
        principal: Principal,
        *,
        seconds: float,
        key: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response | None:
        self.attempts += 1
        url = self._random.choice(self._base_urls) + path
        headers = {"Authorization": f"Bearer {self._token(principal)}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        request = self._http.build_request(method, url, headers=headers, json=body, timeout=None)
        try:
            async with asyncio.timeout(seconds):
                return await self._http.send(request)
        except (httpx.TransportError, TimeoutError):
            return None

    def _seconds(self, *, patient: bool) -> float:
        if not patient and self._random.random() < IMPATIENT:
            return self._random.uniform(*IMPATIENT_SECONDS)
        return ATTEMPT_SECONDS

    def _token(self, principal: Principal) -> str:
        token, uses = self._tokens.get(principal, ("", TOKEN_CALLS_MAX))
        if uses >= TOKEN_CALLS_MAX:
            token, uses = self._issuer.issue(principal.actor), 0
        self._tokens[principal] = (token, uses + 1)
        return token


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
