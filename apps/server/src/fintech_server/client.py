"""A client of the public API that does not lose its thread: what it may repeat, it repeats.

Every POST has a key of its own, so the same request can be sent again after a lost connection, a
restart, a 409 ``operation_running`` or a 503: it happens once. What does not live here: which requests
are made (``demo``, ``onboarding``).
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

from fintech_server.failures import CommandFailed

ANSWER_SECONDS_MAX: Final = 30.0
"""How long one request waits for its answer."""

PATIENCE_SECONDS: Final = 90.0
"""How long one call is repeated in all."""

PAUSE_SECONDS: Final = 0.2
"""Between attempts where the server names no time."""

RETRY_AFTER_SECONDS_MAX: Final = 10.0
"""Longest pause that a server may ask for."""

RUNNING_CODE: Final = "operation_running"
_ABSENT: Final = 404
_CONFLICT: Final = 409
_LATER: Final = frozenset({429, 503})


class ApiClient:
    """Calls a server until it answers; close it after use."""

    def __init__(self, base_url: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.base_url: Final = base_url.rstrip("/")
        self._patience_seconds = patience_seconds
        self._http = httpx.Client(base_url=self.base_url, timeout=ANSWER_SECONDS_MAX)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def check(self) -> None:
        """Return where a server is ready.

        Raises:
            CommandFailed: there is none, or it is not.
        """
        try:
            ready = self._http.get("/health/ready")
        except httpx.HTTPError:
            raise CommandFailed(
                f"no server answers at {self.base_url}: start one with `fintech dev`, or name it"
                " with --url"
            ) from None
        if not ready.is_success:
            raise CommandFailed(
                f"the server at {self.base_url} is not ready (status {ready.status_code}): see its log"
            )

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str,
        key: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Return the answer of success, however often it takes.

        Raises:
            CommandFailed: the server refused, or did not answer within our patience.
        """
        answer = self._answer(method, path, token=token, key=key, body=body)
        if not answer.is_success:
            raise CommandFailed(f"{method} {path} was refused: {_problem(answer)}")
        return answer

    def exists(self, path: str, *, token: str) -> bool:
        """Whether there is such a resource.

        Raises:
            CommandFailed: see ``call``.
        """
        answer = self._answer("GET", path, token=token, key=None, body=None)
        if not answer.is_success and answer.status_code != _ABSENT:
            raise CommandFailed(f"GET {path} was refused: {_problem(answer)}")
        return answer.is_success

    def _answer(
        self,
        method: str,
        path: str,
        *,
        token: str,
        key: str | None,
        body: Mapping[str, Any] | None,
    ) -> httpx.Response:
        """Return the first answer that is final.

        Raises:
            CommandFailed: there was none within our patience.
        """
        headers = {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        give_up_at = time.monotonic() + self._patience_seconds
        while True:
            answer = self._attempt(method, path, headers, body)
            if answer is not None and not _is_later(answer):
                return answer
            pause = _pause_seconds(answer)
            if time.monotonic() + pause > give_up_at:
                raise CommandFailed(
                    f"{method} {path} was not answered for {self._patience_seconds:.0f} s: see the"
                    " server's log, then run this again"
                )
            time.sleep(pause)

    def _attempt(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> httpx.Response | None:
        """Return an answer, or None where the connection broke: then it may have happened or not."""
        try:
            return self._http.request(method, path, headers=headers, json=body)
        except httpx.TransportError:
            return None


def _is_later(answer: httpx.Response) -> bool:
    if answer.status_code == _CONFLICT:
        return _code(answer) == RUNNING_CODE
    return answer.status_code in _LATER


def _pause_seconds(answer: httpx.Response | None) -> float:
    asked = "" if answer is None else answer.headers.get("Retry-After", "")
    if not asked.isdecimal():
        return PAUSE_SECONDS
    return min(max(float(asked), PAUSE_SECONDS), RETRY_AFTER_SECONDS_MAX)


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _problem(answer: httpx.Response) -> str:
    """Return a problem document as one line."""
    try:
        problem: dict[str, Any] = answer.json()
        told = f"{problem['code']} ({answer.status_code}): {problem['title']}"
        rules = [f"{one['pointer']} {one['rule']}" for one in problem.get("errors", ())]
        facts = [f"{name} {value}" for name, value in problem.get("facts", {}).items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"status {answer.status_code}"
    details = "; ".join((*rules, *facts))
    return f"{told} {details}".strip()
