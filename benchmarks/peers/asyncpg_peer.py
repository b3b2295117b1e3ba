"""FastAPI and bare asyncpg: one statement per payment, as quick as Python on PostgreSQL gets.

    PEER_DATABASE=postgresql://... uvicorn peers.asyncpg_peer:app

One data-modifying CTE writes idempotency key, payment and two ledger rows, or finds the key taken.
"""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Request

from peers.shared import PaymentIn, PaymentOut, current_merchant, new_payment

TABLES = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
  merchant_id TEXT NOT NULL, key TEXT NOT NULL, response JSONB NOT NULL, PRIMARY KEY (merchant_id, key));
CREATE TABLE IF NOT EXISTS payments (
  payment_id TEXT PRIMARY KEY, merchant_id TEXT NOT NULL, status TEXT NOT NULL, amount BIGINT NOT NULL,
  currency TEXT NOT NULL, reference TEXT, details JSONB NOT NULL, created_at BIGINT NOT NULL,
  UNIQUE (merchant_id, reference));
CREATE INDEX IF NOT EXISTS payments_by_merchant ON payments (merchant_id);
CREATE TABLE IF NOT EXISTS ledger_entries (
  entry_id TEXT PRIMARY KEY, payment_id TEXT NOT NULL REFERENCES payments DEFERRABLE INITIALLY DEFERRED,
  account TEXT NOT NULL, amount BIGINT NOT NULL, currency TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_payment ON ledger_entries (payment_id);
CREATE INDEX IF NOT EXISTS ledger_by_account ON ledger_entries (account);
"""

CREATE = """
WITH claimed AS (
  INSERT INTO idempotency_keys (merchant_id, key, response) VALUES ($1, $2, $3)
  ON CONFLICT DO NOTHING RETURNING merchant_id
), paid AS (
  INSERT INTO payments (payment_id, merchant_id, status, amount, currency, reference, details, created_at)
  SELECT $4, merchant_id, 'captured', $5, $6, $7, $8, $9 FROM claimed RETURNING payment_id
), posted AS (
  INSERT INTO ledger_entries (entry_id, payment_id, account, amount, currency)
  SELECT payment_id || side.n, payment_id, side.account, side.amount, $6 FROM paid,
    (VALUES (':0', 'merchant:' || $1::text, $5::bigint), (':1', 'processor', -$5::bigint))
    AS side (n, account, amount)
)
SELECT count(*) FROM claimed
"""
STORED = "SELECT response FROM idempotency_keys WHERE merchant_id = $1 AND key = $2"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the pool, create the tables."""
    async with asyncpg.create_pool(
        os.environ["PEER_DATABASE"], min_size=5, max_size=20, init=_use_json
    ) as pool:
        await pool.execute(TABLES)
        app.state.pool = pool
        yield


async def _use_json(connection: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )


app = FastAPI(lifespan=lifespan)


@app.post("/v1/payments", status_code=201)
async def create_payment(
    request: Request,
    body: PaymentIn,
    idempotency_key: Annotated[str, Header(max_length=255)],
    merchant_id: Annotated[str, Depends(current_merchant)],
) -> PaymentOut:
    """Take a payment."""
    answer = new_payment(body, merchant_id)
    details = {"method": body.payment_method.model_dump(), "metadata": body.metadata}
    pool = request.app.state.pool
    try:
        claimed = await pool.fetchval(
            CREATE,
            merchant_id,
            idempotency_key,
            answer.model_dump(),
            answer.payment_id,
            body.amount,
            body.currency,
            body.reference,
            details,
            answer.created_at,
        )
    except asyncpg.UniqueViolationError as error:
        raise HTTPException(status_code=409, detail="Reference exists") from error
    if not claimed:
        return PaymentOut.model_validate(await pool.fetchval(STORED, merchant_id, idempotency_key))
    return answer
