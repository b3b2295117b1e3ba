"""What ``fintech dev`` says when it is ready: where it is, tokens, and three lines to paste.

The lines are POSIX shell with curl and grep. Nothing wraps them: a wrapped line cannot be pasted.
"""

from dataclasses import dataclass
from typing import Final

JSON: Final = "-H 'Content-Type: application/json'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What there is to say."""

    url: str
    merchant_id: str
    merchant_token: str
    platform_token: str
    lifetime_minutes: int
    folder: str
    takes_payments: bool
    program: str = "fintech"

    def lines(self) -> list[str]:
        """Return the lines."""
        fresh = f"{self.program} token issue --data-folder {self.folder}"
        return [
            "",
            f"API          {self.url}/v1",
            f"docs         {self.url}/docs",
            f"health       {self.url}/health/ready",
            *self._demo(),
            "",
            f"Tokens live {self.lifetime_minutes} minutes. Merchant {self.merchant_id}:",
            self.merchant_token,
            f"  a fresh one: {fresh} --role merchant_admin --merchant {self.merchant_id}",
            "Platform administrator:",
            self.platform_token,
            f"  a fresh one: {fresh} --role platform_admin",
            "",
            *self._to_paste(),
            "Ctrl-C stops the server, then its database.",
        ]

    def _demo(self) -> list[str]:
        if not self.takes_payments:
            return []
        return [f"demo         {self.program} demo --url {self.url} --data-folder {self.folder}"]

    def _to_paste(self) -> list[str]:
        if not self.takes_payments:
            return [f"Payments are not installed; `{self.program} plugins` shows what is.", ""]
        return [
            "Take a payment, list payments, refund 30.00 of the latest:",
            *self.curl_lines(),
            "",
        ]

    def curl_lines(self) -> tuple[str, str, str]:
        """Return the three lines to paste; each works by itself once the first was pasted."""
        bearer = f"-H 'Authorization: Bearer {self.merchant_token}'"
        payments = f"{self.url}/v1/payments"
        latest = f"$(curl -sS '{payments}?limit=1' {bearer} | grep -o 'pay_[0-9a-z]*' | head -n 1)"
        take = (
            '{"amount": 10000, "currency": "KES",'
            ' "payment_method": {"type": "card", "token": "sandbox_approve"}}'
        )
        refund = '{"amount": {"amount": 3000, "currency": "KES"}, "reason": "damaged"}'
        return (
            f"curl -sS {payments} {bearer} {JSON} {_key('payment')} -d '{take}'",
            f"curl -sS '{payments}?limit=5' {bearer}",
            f"curl -sS {payments}/{latest}/refunds {bearer} {JSON} {_key('refund')} -d '{refund}'",
        )


def _key(what: str) -> str:
    """Return the header of a key that is another one a second later."""
    return f'-H "Idempotency-Key: {what}-$(date +%s)"'
