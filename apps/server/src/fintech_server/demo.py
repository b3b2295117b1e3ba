"""The demo: the whole path over HTTP, from onboarding to a paid settlement, as a list of named calls.

Every call has an idempotency key made of the run's id and its name, so that any of them can be sent
again, by the client or by somebody who restarted the server in between, and happens once. ``story``
shows the outcome to people.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import httpx

from fintech_server.client import PATIENCE_SECONDS, ApiClient
from fintech_server.tokens import Credentials

CURRENCY: Final = "KES"
AMOUNT: Final = 10_000
REFUND: Final = 3_000
MANUAL_AMOUNT: Final = 5_000
MANUAL_CAPTURE: Final = 2_000
BASIS_POINTS: Final = 290
FIXED_FEE: Final = 60
FEE: Final = 350
"""2.9 % of 100.00, and 0.60."""

MANUAL_FEE: Final = 118
"""2.9 % of 20.00, and 0.60."""

PAYOUT: Final = AMOUNT - FEE - REFUND + MANUAL_CAPTURE - MANUAL_FEE

LINES_MAX: Final = 200
"""Rows of one page; the demo makes fewer."""

LOOK_AGAIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a call."""

    role: str
    subject: str
    is_merchant: bool = False


ADMIN: Final = Principal(role="platform_admin", subject="demo_admin")
OPERATOR: Final = Principal(role="merchant_operator", subject="demo_shop", is_merchant=True)
APPROVER: Final = Principal(role="platform_finance", subject="demo_finance_1")
PAYER: Final = Principal(role="platform_finance", subject="demo_finance_2")
AUDITOR: Final = Principal(role="auditor", subject="demo_auditor")


@dataclass(slots=True)
class Answers:
    """What the calls of one run answered, by name of the call."""

    by_step: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __getitem__(self, step: str) -> dict[str, Any]:
        return self.by_step[step]

    @property
    def merchant_id(self) -> str:
        """The merchant of this run, once it is onboarded."""
        return str(self.by_step.get("create-merchant", {}).get("merchant_id", ""))

    @property
    def payment_id(self) -> str:
        """The payment that is captured at once and refunded in part."""
        return str(self["create-payment"]["payment_id"])

    @property
    def manual_payment_id(self) -> str:
        """The payment that is authorized first."""
        return str(self["authorize-payment"]["payment_id"])

    @property
    def settlement_id(self) -> str:
        """The settlement."""
        return str(self["create-settlement"]["settlement_id"])


def _no_body(_answers: Answers) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call: its name, what it does in a few words, and how to make it from earlier answers."""

    name: str
    title: str
    method: Literal["GET", "POST"]
    principal: Principal
    path: Callable[[Answers], str]
    body: Callable[[Answers], Mapping[str, Any] | None] = _no_body

    @property
    def moves(self) -> bool:
        """Whether it changes something, and so has an idempotency key."""
        return self.method == "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a run came to; amounts are minor units of KES."""

    run_id: str
    merchant_id: str
    merchant_status: str
    payment_id: str
    amount_captured: int
    amount_refunded: int
    fee: int
    manual_amount_captured: int
    manual_fee: int
    settlement_id: str
    settlement_status: str
    settlement_total: int
    settlement_lines: int
    settlement_lines_total: int
    merchant_balance: int
    trial_balance: dict[str, int]

    def faults(self) -> list[str]:
        """Return what is not as it must be; a demo that went well has none."""
        expected: dict[str, Any] = {
            "merchant_status": "active",
            "amount_captured": AMOUNT,
            "amount_refunded": REFUND,
            "fee": FEE,
            "manual_amount_captured": MANUAL_CAPTURE,
            "manual_fee": MANUAL_FEE,
            "settlement_status": "paid",
            "settlement_total": PAYOUT,
            "settlement_lines_total": PAYOUT,
            "merchant_balance": 0,
            "trial_balance": dict.fromkeys(self.trial_balance, 0),
        }
        found = asdict(self)
        return [
            f"{name} is {found[name]!r}, not {value!r}"
            for name, value in expected.items()
            if found[name] != value
        ]


class Demo:
    """One run of the demo against one server."""

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials,
        run_id: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.run_id: Final = run_id or f"r{secrets.token_hex(5)}"
        self.answers: Final = Answers()
        self.client: Final = ApiClient(base_url, patience_seconds=patience_seconds)
        self._credentials = credentials

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def steps(self) -> tuple[Step, ...]:
        """Return the calls in their order."""
        return steps(self.run_id)

    def perform(self, step: Step) -> dict[str, Any]:
        """Make a call, note its answer for the calls behind it, and return it.

        Raises:
            CommandFailed: the server refused it or did not answer.
        """
        answer: dict[str, Any] = self.send(step).json()
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while _is_open(answer) and time.monotonic() < give_up_at:
            time.sleep(LOOK_AGAIN_SECONDS)
            answer = self._look_again(step, answer)
        self.answers.by_step[step.name] = answer
        return answer

    def send(self, step: Step) -> httpx.Response:
        """Make a call under its own key and return the raw answer; sent again, it is a replay.

        Raises:
            CommandFailed: see ``perform``.
        """
        return self.client.call(
            step.method,
            step.path(self.answers),
            token=self.token(step.principal),
            key=self.key(step) if step.moves else None,
            body=step.body(self.answers),
        )

    def key(self, step: Step) -> str:
        """Return the idempotency key of a call."""
        return f"demo-{self.run_id}-{step.name}"

    def facts(self) -> Facts:
        """Return what the run came to, from the answers of its last calls."""
        answers = self.answers
        payment, manual = answers["see-payment"], answers["see-manual-payment"]
        statement = answers["see-statement"]
        return Facts(
            run_id=self.run_id,
            merchant_id=answers.merchant_id,
            merchant_status=answers["see-merchant"]["status"],
            payment_id=answers.payment_id,
            amount_captured=payment["amount_captured"],
            amount_refunded=payment["amount_refunded"],
            fee=payment["fee"]["amount"],
            manual_amount_captured=manual["amount_captured"],
            manual_fee=manual["fee"]["amount"],
            settlement_id=answers.settlement_id,
            settlement_status=statement["settlement"]["status"],
            settlement_total=statement["settlement"]["total"],
            settlement_lines=len(statement["lines"]),
            settlement_lines_total=sum(
                line["net_credit"] - line["net_debit"] for line in statement["lines"]
            ),
            merchant_balance=answers["see-balance"]["balance"],
            trial_balance={
                one["currency"]: one["difference"] for one in answers["see-trial-balance"]["data"]
            },
        )

    def token(self, principal: Principal) -> str:
        """Return a fresh token of a principal of this run."""
        return self._credentials.bearer(
            role=principal.role,
            subject=principal.subject,
            merchant_id=self.answers.merchant_id if principal.is_merchant else "",
        )

    def _look_again(self, step: Step, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Read a payment or refund whose call was answered 202: the processor had not answered yet."""
        path = f"/v1/payments/{answer['payment_id']}"
        if "refund_id" in answer:
            path += f"/refunds/{answer['refund_id']}"
        found: dict[str, Any] = self.client.call(
            "GET", path, token=self.token(step.principal)
        ).json()
        return found


def steps(run_id: str) -> tuple[Step, ...]:
    """Return the calls of a run in their order."""
    return (*_onboarding(run_id), *_payments(run_id), *_settlement(), *_looking_back())


def _onboarding(run_id: str) -> tuple[Step, ...]:
    return (
        Step(
            name="create-merchant",
            title="onboard a merchant",
            method="POST",
            principal=ADMIN,
            path=lambda _: "/v1/merchants",
            body=lambda _: {
                "name": f"Demo Shop {run_id}",
                "currencies": [CURRENCY],
                "settlement": {"delay_days": 0},
            },
        ),
        Step(
            name="set-pricing",
            title="set its pricing: 2.9 % + 0.60",
            method="POST",
            principal=ADMIN,
            path=lambda seen: f"/v1/merchants/{seen.merchant_id}/pricing",
            body=lambda _: {
                "rules": [{"currency": CURRENCY, "basis_points": BASIS_POINTS, "fixed": FIXED_FEE}]
            },
        ),
        Step(
            name="verify-merchant",
            title="verify it: somebody checked its documents",
            method="POST",
            principal=ADMIN,
            path=lambda seen: f"/v1/merchants/{seen.merchant_id}/verification",
            body=lambda _: {"outcome": "verified", "reference": f"kyb-{run_id}"},
        ),
        Step(
            name="activate-merchant",
            title="activate it",
            method="POST",
            principal=ADMIN,
            path=lambda seen: f"/v1/merchants/{seen.merchant_id}/activate",
            body=lambda _: {"reason": "contract signed"},
        ),
    )


def _payments(run_id: str) -> tuple[Step, ...]:
    return (
        Step(
            name="create-payment",
            title="take 100.00, captured at once",
            method="POST",
            principal=OPERATOR,
            path=lambda _: "/v1/payments",
            body=lambda seen: _new_payment(seen, AMOUNT, "automatic", f"order-{run_id}-1"),
        ),
        Step(
            name="refund-payment",
            title="refund 30.00 of it",
            method="POST",
            principal=OPERATOR,
            path=lambda seen: f"/v1/payments/{seen.payment_id}/refunds",
            body=lambda _: {
                "amount": {"amount": REFUND, "currency": CURRENCY},
                "reason": "one item damaged",
            },
        ),
        Step(
            name="authorize-payment",
            title="authorize 50.00",
            method="POST",
            principal=OPERATOR,
            path=lambda _: "/v1/payments",
            body=lambda seen: _new_payment(seen, MANUAL_AMOUNT, "manual", f"order-{run_id}-2"),
        ),
        Step(
            name="capture-payment",
            title="capture 20.00 of it",
            method="POST",
            principal=OPERATOR,
            path=lambda seen: f"/v1/payments/{seen.manual_payment_id}/capture",
            body=lambda _: {"amount": {"amount": MANUAL_CAPTURE, "currency": CURRENCY}},
        ),
    )


def _settlement() -> tuple[Step, ...]:
    return (
        Step(
            name="create-settlement",
            title="settle what is due",
            method="POST",
            principal=APPROVER,
            path=lambda _: "/v1/settlements",
            body=lambda seen: {"merchant_id": seen.merchant_id, "currency": CURRENCY},
        ),
        Step(
            name="approve-settlement",
            title="approve it",
            method="POST",
            principal=APPROVER,
            path=lambda seen: f"/v1/settlements/{seen.settlement_id}/approve",
        ),
        Step(
            name="pay-settlement",
            title="pay it out, as another person",
            method="POST",
            principal=PAYER,
            path=lambda seen: f"/v1/settlements/{seen.settlement_id}/pay",
        ),
    )


def _looking_back() -> tuple[Step, ...]:
    return (
        _look("see-merchant", "the merchant", lambda seen: f"/v1/merchants/{seen.merchant_id}"),
        _look("see-payment", "the payment", lambda seen: f"/v1/payments/{seen.payment_id}"),
        _look(
            "see-manual-payment",
            "the other payment",
            lambda seen: f"/v1/payments/{seen.manual_payment_id}",
        ),
        _look(
            "see-transfers",
            "what it moved in the ledger",
            lambda seen: (
                f"/v1/ledger/transfers?subject_id={seen.payment_id}"
                f"&merchant_id={seen.merchant_id}&limit={LINES_MAX}"
            ),
        ),
        _look(
            "see-statement",
            "the settlement's statement",
            lambda seen: f"/v1/settlements/{seen.settlement_id}/statement",
        ),
        _look(
            "see-balance",
            "the merchant's balance",
            lambda seen: f"/v1/ledger/accounts/liabilities:merchant:{seen.merchant_id}:{CURRENCY}",
        ),
        _look("see-trial-balance", "the trial balance", lambda _: "/v1/ledger/trial-balance"),
    )


def _look(name: str, title: str, path: Callable[[Answers], str]) -> Step:
    return Step(name=name, title=title, method="GET", principal=AUDITOR, path=path)


def _new_payment(seen: Answers, amount: int, capture: str, reference: str) -> dict[str, Any]:
    return {
        "merchant_id": seen.merchant_id,
        "amount": amount,
        "currency": CURRENCY,
        "capture": capture,
        "payment_method": {"type": "card", "token": "sandbox_approve"},
        "reference": reference,
    }


def _is_open(answer: Mapping[str, Any]) -> bool:
    return answer.get("processor_outcome", "known") == "open"
