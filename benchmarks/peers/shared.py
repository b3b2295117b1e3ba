"""What both peers have in common: the body, the token check, the answer."""

import time
from typing import Annotated, Any, Literal
from uuid import uuid4

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from rig.principals import AUDIENCE, ISSUER, SECRET

bearer = HTTPBearer()


class PaymentMethod(BaseModel):
    """How the customer pays."""

    type: Literal["card", "mobile_money"]
    token: str = Field(min_length=1, max_length=128)


class PaymentIn(BaseModel):
    """A payment to take."""

    amount: int = Field(gt=0, le=10**15)
    currency: str = Field(pattern="^[A-Z]{3}$")
    capture: Literal["automatic", "manual"] = "automatic"
    payment_method: PaymentMethod
    reference: str | None = Field(default=None, max_length=64)
    metadata: dict[str, str] = Field(default_factory=dict)


class PaymentOut(BaseModel):
    """A payment as it is shown."""

    payment_id: str
    merchant_id: str
    status: str
    amount: int
    currency: str
    reference: str | None
    metadata: dict[str, str]
    created_at: int


async def current_merchant(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
) -> str:
    """Check the token and return whose it is."""
    try:
        claims: dict[str, Any] = jwt.decode(
            credentials.credentials, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER
        )
        return str(claims["merchant_id"])
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(status_code=401, detail="Invalid token") from error


def new_payment(body: PaymentIn, merchant_id: str) -> PaymentOut:
    """Return the payment that is about to be written."""
    return PaymentOut(
        payment_id=f"pay_{uuid4().hex}",
        merchant_id=merchant_id,
        status="captured",
        amount=body.amount,
        currency=body.currency,
        reference=body.reference,
        metadata=body.metadata,
        created_at=int(time.time() * 1_000),
    )
