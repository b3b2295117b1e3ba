"""The demo merchant of ``fintech dev``: made once per data folder, through the public API."""

from typing import Any, Final

from fintech_server.client import ApiClient
from fintech_server.development import MERCHANT_FILE, DataFolder
from fintech_server.tokens import PLATFORM_ADMIN, SignedTokens

NAME: Final = "Demo Merchant"
SUBJECT: Final = "fintech_dev"
CREATES_MERCHANTS: Final = "merchants.create"
CREATES_PAYMENTS: Final = "payments.create"
"""Kinds of operations that say what is served: which plugins are installed is the person's choice."""

MERCHANT_WITHOUT_DIRECTORY: Final = "dev_merchant"
"""Stands for a merchant where no plugin knows merchants."""

FORM: Final = 1
"""Number of the form below: another body needs another key."""

MERCHANT: Final[dict[str, Any]] = {
    "name": NAME,
    "currencies": ["KES", "USD"],
    "settlement": {"delay_days": 0},
    "pricing": [
        {"currency": "KES", "basis_points": 290, "fixed": 60},
        {"currency": "USD", "basis_points": 290, "fixed": 30},
    ],
}


VERIFICATION: Final[dict[str, Any]] = {
    "outcome": "verified",
    "reference": "fintech-dev",
    "reason": "for development",
}


def demo_merchant(client: ApiClient, folder: DataFolder, tokens: SignedTokens) -> str:
    """Return the id of the folder's merchant; onboard, verify and activate it where there is none yet.

    The keys of its calls are the folder's, so a start that was cut short goes on where it stood.

    Raises:
        CommandFailed: the server refused, or did not answer.
    """
    token = tokens.bearer(role=PLATFORM_ADMIN, subject=SUBJECT, merchant_id="")
    noted = str(folder.noted(MERCHANT_FILE).get("merchant_id", ""))
    if noted and client.exists(f"/v1/merchants/{noted}", token=token):
        return noted
    key = f"{folder.secrets.folder_id}-merchant-{FORM}"
    created = client.call("POST", "/v1/merchants", token=token, key=key, body=MERCHANT).json()
    merchant_id = str(created["merchant_id"])
    client.call(
        "POST",
        f"/v1/merchants/{merchant_id}/verification",
        token=token,
        key=f"{key}-verify",
        body=VERIFICATION,
    )
    client.call(
        "POST",
        f"/v1/merchants/{merchant_id}/activate",
        token=token,
        key=f"{key}-activate",
        body={"reason": "for development"},
    )
    folder.note(MERCHANT_FILE, {"merchant_id": merchant_id})
    return merchant_id
