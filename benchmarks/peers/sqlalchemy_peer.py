"""FastAPI, SQLAlchemy async and asyncpg: the stack that most people would pick.

    PEER_DATABASE=postgresql+asyncpg://... uvicorn peers.sqlalchemy_peer:app

One transaction per payment: idempotency key, payment, two ledger rows; a repeat of a key gets the stored
answer. The ORM as its documentation has it: a pool sized for the load, no echo, ``expire_on_commit`` off,
rows of one class inserted together. With ``sqlite+aiosqlite://`` it runs on SQLite as durably as we do.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from peers.shared import PaymentIn, PaymentOut, current_merchant, new_payment

URL = os.environ["PEER_DATABASE"]
POOL = {"pool_size": 20, "max_overflow": 10, "pool_timeout": 30}
engine = create_async_engine(URL, **POOL)
new_session = async_sessionmaker(engine, expire_on_commit=False)

if engine.dialect.name == "sqlite":

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's own
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {pragma}")


class Base(DeclarativeBase):
    """All tables."""


class IdempotencyKey(Base):
    """What was answered to a key."""

    __tablename__ = "idempotency_keys"

    merchant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    response: Mapped[dict[str, Any]] = mapped_column(JSON)


class Payment(Base):
    """A payment."""

    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("merchant_id", "reference"),)

    payment_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    merchant_id: Mapped[str] = mapped_column(String(64), index=True)
    status: Mapped[str] = mapped_column(String(20))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    reference: Mapped[str | None] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)


class LedgerEntry(Base):
    """One side of a movement."""

    __tablename__ = "ledger_entries"

    entry_id: Mapped[str] = mapped_column(String(44), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    account: Mapped[str] = mapped_column(String(100), index=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    """Create the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncGenerator[AsyncSession]:
    """Return a session for one request."""
    async with new_session() as opened:
        yield opened


@app.post("/v1/payments", status_code=201)
async def create_payment(
    body: PaymentIn,
    idempotency_key: Annotated[str, Header(max_length=255)],
    merchant_id: Annotated[str, Depends(current_merchant)],
    db: Annotated[AsyncSession, Depends(session)],
) -> PaymentOut:
    """Take a payment."""
    answer = new_payment(body, merchant_id)
    sides = (f"merchant:{merchant_id}", body.amount), ("processor", -body.amount)
    try:
        async with db.begin():
            db.add(
                IdempotencyKey(
                    merchant_id=merchant_id, key=idempotency_key, response=answer.model_dump()
                )
            )
            db.add(
                Payment(
                    payment_id=answer.payment_id,
                    merchant_id=merchant_id,
                    status=answer.status,
                    amount=body.amount,
                    currency=body.currency,
                    reference=body.reference,
                    details={
                        "method": body.payment_method.model_dump(),
                        "metadata": body.metadata,
                    },
                    created_at=answer.created_at,
                )
            )
            await db.flush()
            db.add_all(
                LedgerEntry(
                    entry_id=f"{answer.payment_id}:{number}",
                    payment_id=answer.payment_id,
                    account=account,
                    amount=amount,
                    currency=body.currency,
                )
                for number, (account, amount) in enumerate(sides)
            )
    except IntegrityError as error:
        stored = await db.scalar(
            select(IdempotencyKey.response).where(
                IdempotencyKey.merchant_id == merchant_id, IdempotencyKey.key == idempotency_key
            )
        )
        if stored is None:
            raise HTTPException(status_code=409, detail="Reference exists") from error
        return PaymentOut.model_validate(stored)
    return answer
