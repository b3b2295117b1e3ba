"""Who calls, with which tokens and bodies: the same for every contender."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt

SECRET = "5d1e9a7c3b8f4062a1c5e7d9b3f1082645d1e9a7c3b8f406"  # noqa: S105 - signs the bench's own tokens
ISSUER = "fintech"
AUDIENCE = "fintech-api"
KEY_ID = "k1"
LIFETIME_SECONDS = 900

AMOUNT = 12_500
CURRENCY = "KES"
MERCHANTS = 16
"""Merchants that take payments, in turn."""

Post = Callable[[str, dict[str, Any], str, str], dict[str, Any]]
"""Sends a body to a path with a token under a key; returns the answer."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant and a token of its operator."""

    merchant_id: str
    token: str


def token_of(subject: str, role: str, merchant_id: str = "") -> str:
    """Return an access token (HS256) as our issuer makes it; peers check the same."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "jti": f"{subject}-{now}",
        "roles": [role],
    }
    if merchant_id:
        claims["merchant_id"] = merchant_id
    headers = {"typ": "at+jwt", "kid": KEY_ID}
    return jwt.encode(claims, SECRET, algorithm="HS256", headers=headers)


def onboarding(run: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and body of the calls that make one merchant; ``{}`` is its id."""
    yield "/v1/merchants", {"name": f"Shop {run}", "currencies": [CURRENCY]}
    yield (
        "/v1/merchants/{}/pricing",
        {"rules": [{"currency": CURRENCY, "basis_points": 290, "fixed": 60}]},
    )
    yield "/v1/merchants/{}/verification", {"outcome": "verified", "reference": f"kyb-{run}"}
    yield "/v1/merchants/{}/activate", {"reason": "contract signed"}


def onboard(post: Post, run: str, count: int = MERCHANTS) -> list[Merchant]:
    """Onboard merchants through the public API."""
    staff = token_of("bench-admin", "platform_admin")
    merchants: list[Merchant] = []
    for number in range(count):
        merchant_id = ""
        for step, (path, body) in enumerate(onboarding(f"{run}-{number}")):
            answer = post(path.format(merchant_id), body, staff, f"{run}-{number}-{step}")
            merchant_id = merchant_id or str(answer["merchant_id"])
        token = token_of("operator", "merchant_operator", merchant_id)
        merchants.append(Merchant(merchant_id, token))
    return merchants


def payment_body(reference: str) -> bytes:
    """Return what a client sends to take a payment."""
    body = {
        "amount": AMOUNT,
        "currency": CURRENCY,
        "capture": "automatic",
        "payment_method": {"type": "card", "token": "sandbox_approve"},
        "reference": reference,
        "metadata": {"order": "A-1017"},
    }
    return json.dumps(body).encode()
