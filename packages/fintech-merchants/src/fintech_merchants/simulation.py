"""Merchants, simulated: onboard, verify, activate, suspend, close, change, price; and their API keys."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.credentials import CredentialDirectory
from fintech_kernel.contracts.merchants import BankAccountKind, PricingRule, RefundPolicy
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.simulation.client import Client, merchant_actor, staff
from fintech_kernel.simulation.workload import Action, Script, Workflow, Workload
from fintech_kernel.simulation.world import World

from fintech_merchants.domain.bank_accounts import BankAccountDetails
from fintech_merchants.domain.commands import Action as StatusAction
from fintech_merchants.domain.commands import VerificationOutcome
from fintech_merchants.domain.key_directory import KeyUses
from fintech_merchants.domain.key_secrets import PEPPER_PURPOSE
from fintech_merchants.domain.key_service import ApiKeys, Issued, NewKey
from fintech_merchants.domain.service import MerchantPatch, Merchants, NewMerchant

CURRENCY: Final = "KES"
MINIMUM: Final = 500
STATUS_AFTER: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "merchant.created": (frozenset({""}), "pending"),
    "merchant.activated": (frozenset({"pending", "suspended"}), "active"),
    "merchant.suspended": (frozenset({"active"}), "suspended"),
    "merchant.closed": (frozenset({"pending", "suspended"}), "closed"),
}
"""From which states each event may come, and where it leads."""


def rules(basis_points: int = 290) -> tuple[PricingRule, ...]:
    """Return a pricing whose fees go back with refunds."""
    return (
        PricingRule(
            rule_id="",
            currency=CURRENCY,
            basis_points=basis_points,
            fixed=30,
            refund_policy=RefundPolicy.RETURN,
        ),
    )


async def create(client: Client, *, delay_days: int = 0) -> str | None:
    """Onboard a merchant and return its id."""
    new = NewMerchant(
        name="Shop",
        currencies=(CURRENCY,),
        settlement_delay_days=delay_days,
        settlement_minimum=MINIMUM,
        rules=rules(),
    )
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).create(new, actor=actor, call=call)

    answer = await client.ask("merchants.create", actor, send)
    if answer is None:
        return None
    merchant_id = str(answer.result["merchant_id"])
    client.note("merchants", merchant_id)
    return merchant_id


async def change(client: Client, merchant_id: str, action: str) -> Answer | None:
    """Activate, suspend or close a merchant."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).change_status(
            merchant_id, StatusAction(action), "because", actor=actor, call=call
        )

    return await client.ask(f"merchants.{action}", actor, send)


async def verify(
    client: Client,
    merchant_id: str,
    outcome: VerificationOutcome = VerificationOutcome.VERIFIED,
) -> Answer | None:
    """Record what came of a check of a merchant."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).verify(
            merchant_id, outcome, reference="check", reason="seen", actor=actor, call=call
        )

    return await client.ask(f"merchants.verify {outcome}", actor, send)


async def update(client: Client, merchant_id: str, till: str) -> Answer | None:
    """Change a merchant's metadata and the account that it is paid out to."""
    actor = staff()
    patch = MerchantPatch(
        metadata={"till": till},
        bank_account=BankAccountDetails(
            kind=BankAccountKind.MOBILE_WALLET,
            country="KE",
            bank_code="mpesa",
            number="+254712345678",
            details={"msisdn": "+254712345678"},
        ),
    )

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).update(
            merchant_id, patch, actor=actor, call=call
        )

    return await client.ask(f"merchants.update {till}", actor, send)


async def price(client: Client, merchant_id: str, basis_points: int) -> Answer | None:
    """Replace a merchant's pricing."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.services.get(Merchants).set_pricing(
            merchant_id, rules(basis_points), actor=actor, call=call
        )

    return await client.ask("merchants.set_pricing", actor, send)


async def _one(client: Client) -> None:
    await create(client)


async def _one_verified(client: Client) -> None:
    merchant_id = await create(client)
    if merchant_id is not None:
        await verify(client, merchant_id)


async def _one_active(client: Client, *, delay_days: int = 0) -> None:
    merchant_id = await create(client, delay_days=delay_days)
    if merchant_id is not None:
        await verify(client, merchant_id)
        await change(client, merchant_id, "activate")


async def _two_active(client: Client) -> None:
    await _one_active(client)
    await _one_active(client, delay_days=1)


async def _verify_first(client: Client) -> None:
    await verify(client, client.notes["merchants"][0])


async def _reject_and_activate(client: Client) -> None:
    merchant_id = client.notes["merchants"][0]
    await verify(client, merchant_id, VerificationOutcome.REJECTED)
    await change(client, merchant_id, "activate")


async def _update_twice(client: Client) -> None:
    merchant_id = client.notes["merchants"][0]
    for till in ("1", "2"):
        await update(client, merchant_id, till)


async def _update_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await update(client, merchant_id, client.world.draw.choice("12345"))


async def _verify_any(client: Client) -> None:
    """Verify and never reject: whoever waits for a payout must be able to be active again."""
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await verify(client, merchant_id)


def _changes(*actions: str) -> Script:
    async def run(client: Client) -> None:
        for action in actions:
            await change(client, client.notes["merchants"][0], action)

    return run


async def _price_first(client: Client) -> None:
    await price(client, client.notes["merchants"][0], 100)


async def _change_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    action = client.world.draw.choice(("activate", "suspend", "suspend", "activate", "close"))
    if merchant_id is not None:
        await change(client, merchant_id, action)


async def _issue_first(client: Client) -> None:
    await issue_key(client, client.notes["merchants"][0])


async def _one_with_key(client: Client) -> None:
    await _one_active(client)
    await _issue_first(client)


def _on_first_key(*changes: Callable[[Client, str, str], Awaitable[None]]) -> Script:
    async def run(client: Client) -> None:
        for merchant_id, key_id in client.notes.get("keys", ())[:1]:
            for change in changes:
                await change(client, merchant_id, key_id)
        await use_keys(client)

    return run


async def _rotate(client: Client, merchant_id: str, key_id: str) -> None:
    await rotate_key(client, merchant_id, key_id, 3_600)


async def _narrow(client: Client, merchant_id: str, key_id: str) -> None:
    await rescope_key(client, merchant_id, key_id, "pricing:read")


async def _issue_and_narrow(client: Client) -> None:
    await _issue_first(client)
    await _on_first_key(_narrow)(client)


async def _issue_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await issue_key(client, merchant_id)


async def _change_any_key(client: Client) -> None:
    picked = client.pick("keys")
    if picked is not None:
        change = client.world.draw.choice((_rotate, _narrow, revoke_key))
        await change(client, *picked)


async def _price_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        await price(client, merchant_id, client.world.draw.choice((0, 100, 350)))


# --- API keys


async def issue_key(client: Client, merchant_id: str) -> None:
    """Issue a key and note what was told."""
    actor = merchant_actor(merchant_id)
    new = NewKey(name="shop", scopes=("merchants:read", "pricing:read"))

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return _told(
            client,
            await context.services.get(ApiKeys).create(merchant_id, new, actor=actor, call=call),
        )

    _note_key(client, await client.ask("api_keys.create", actor, send))


async def rotate_key(client: Client, merchant_id: str, key_id: str, overlap_seconds: int) -> None:
    """Replace a key and note what was told."""
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        keys = context.services.get(ApiKeys)
        return _told(
            client,
            await keys.rotate(
                merchant_id, key_id, overlap_seconds=overlap_seconds, actor=actor, call=call
            ),
        )

    _note_key(client, await client.ask(f"api_keys.rotate {key_id}", actor, send))


async def rescope_key(client: Client, merchant_id: str, key_id: str, scope: str) -> None:
    """Give a key one scope."""
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        keys = context.services.get(ApiKeys)
        return await keys.rescope(merchant_id, key_id, [scope], actor=actor, call=call)

    await client.ask(f"api_keys.rescope {key_id} {scope}", actor, send)


async def revoke_key(client: Client, merchant_id: str, key_id: str) -> None:
    """End a key. Whoever was told so and asks then, in whatever process, finds it ended."""
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        keys = context.services.get(ApiKeys)
        answer = await keys.revoke(merchant_id, key_id, "because", actor=actor, call=call)
        if answer.result.get("status") == "revoked":
            client.note("keys_revoked", key_id)
        return answer

    await client.ask(f"api_keys.revoke {key_id}", actor, send)


def _told(client: Client, issued: Issued) -> Answer:
    if issued.secret is not None:
        client.note("secrets_told", (issued.answer.operation_id, issued.secret))
    return issued.answer


def _note_key(client: Client, answer: Answer | None) -> None:
    if answer is not None and "key_id" in answer.result:
        client.note("keys", (answer.result["merchant_id"], answer.result["key_id"]))


async def use_keys(client: Client) -> None:
    """Ask some process about every key: who was told of an end must not be let in after it."""
    revoked = set(client.notes.get("keys_revoked", ()))
    living = client.world.living()
    for merchant_id, key_id in client.notes.get("keys", ()):
        if not living:
            return
        process = client.world.draw.choice(living)
        directory = process.context.services.get(CredentialDirectory)
        asked = process.spawn(directory.current(merchant_id, key_id))
        await asyncio.wait([asked])
        if asked.cancelled() or asked.exception() is not None or asked.result() is None:
            continue
        if key_id in revoked:
            client.world.seen_wrong.append(("K4", f"{key_id} was let in after its end was told"))


# --- invariants


def status_follows_the_table(world: World) -> Iterator[str]:
    """M1: a merchant's states follow the table, its pricing versions are 1, 2, 3, ..."""
    standing: dict[str, str] = {}
    versions: dict[str, int] = {}
    for row in world.entries():
        stream = row["stream_id"]
        if row["type"] in STATUS_AFTER:
            allowed, after = STATUS_AFTER[row["type"]]
            if standing.get(stream, "") not in allowed:
                yield f"{row['entry_id']}: {row['type']} after {standing.get(stream)!r}"
            standing[stream] = after
        if row["type"] == "merchant.pricing_set":
            version = row["content"]["version"]
            if version != versions.get(stream, 0) + 1:
                yield f"{row['entry_id']}: pricing version {version}"
            versions[stream] = version
    shown: dict[str, Any] = {
        row["merchant_id"]: row["status"] for row in world.model.rows("merchants_merchants")
    }
    for stream, status in standing.items():
        if shown.get(stream.partition("/")[0]) != status:
            yield f"the list shows {stream} as {shown.get(stream.partition('/')[0])}, it is {status}"


def only_the_verified_are_activated(world: World) -> Iterator[str]:
    """M4: when a merchant is activated, its latest check went well."""
    verified: set[str] = set()
    for row in world.entries():
        stream = row["stream_id"]
        match row["type"]:
            case "merchant.verified":
                verified.add(stream)
            case "merchant.rejected":
                verified.discard(stream)
            case "merchant.activated" if stream not in verified:
                yield f"{row['entry_id']}: activated and not verified"
            case _:
                pass


def accounts_are_kept(world: World) -> Iterator[str]:
    """M2: the account that a merchant is paid out to is kept, once, as the journal tells it."""
    kept = {row["account_id"]: row for row in world.model.rows("merchants_bank_accounts")}
    for row in world.entries():
        if row["type"] != "merchant.updated" or not row["content"]["settlement"]:
            continue
        told = row["content"]["settlement"]["bank_account"]
        account = kept.get(told["account_id"])
        if account is None:
            yield f"{row['entry_id']}: {told['account_id']} is told and not kept"
        elif (account["merchant_id"], account["masked"]) != (
            row["stream_id"].partition("/")[0],
            told["masked"],
        ):
            yield f"{row['entry_id']}: {told['account_id']} is kept as another"


def metadata_is_listed(world: World) -> Iterator[str]:
    """M3: the pairs that lists are narrowed by are those of the last change."""
    told = {
        row["stream_id"].partition("/")[0]: row["content"]["metadata"]
        for row in world.entries()
        if row["type"] == "merchant.updated" and row["content"]["metadata"] is not None
    }
    versions = {
        row["merchant_id"]: row["metadata_version"]
        for row in world.model.rows("merchants_merchants")
    }
    listed: dict[str, dict[str, str]] = {}
    for row in world.model.rows("merchants_metadata"):
        if row["version"] == versions.get(row["merchant_id"]):
            listed.setdefault(row["merchant_id"], {})[row["name"]] = row["value"]
    for merchant_id, pairs in told.items():
        if listed.get(merchant_id, {}) != pairs:
            yield f"{merchant_id} is found by {listed.get(merchant_id)}, it has {pairs}"


KEY_STATUS_AFTER: Final[Mapping[str, str]] = {
    "api_key.created": "active",
    "api_key.rotated": "expiring",
    "api_key.revoked": "revoked",
}


def keys_are_as_their_streams_say(world: World) -> Iterator[str]:
    """K1: the row that authentication reads is what the key's events made."""
    expected: dict[str, dict[str, Any]] = {}
    for row in world.entries():
        if not row["type"].startswith("api_key."):
            continue
        content = row["content"]
        key = expected.setdefault(row["stream_id"].partition("/")[2], {})
        key["status"] = KEY_STATUS_AFTER.get(row["type"], key.get("status"))
        key["seq"] = row["seq"]
        if "scopes" in content:
            key["scopes"] = " ".join(content["scopes"])
        if "digest" in content:
            key["digest"] = content["digest"]
        if "expires_at" in content:
            key["expires_at"] = content["expires_at"]
    standing = {row["key_id"]: row for row in world.model.rows("merchants_api_keys")}
    if standing.keys() != expected.keys():
        yield f"rows of keys {sorted(standing)} stand for streams {sorted(expected)}"
    for key_id, key in expected.items():
        row = standing.get(key_id, {})
        wrong = [name for name, value in key.items() if row.get(name) != value]
        if wrong:
            yield f"{key_id} stands with another {', '.join(wrong)}"


def secrets_are_told_once(world: World) -> Iterator[str]:
    """K2: an operation told one secret at most, and it is the one whose HMAC stands."""
    keyring = world.runtime.contexts[0][0].keyring
    digests = {
        row["step_key"].partition(":")[0]: row["content"]["digest"]
        for row in world.entries()
        if row["type"] == "api_key.created"
    }
    told: dict[str, str] = {}
    for operation_id, secret in world.notes.get("secrets_told", ()):
        if told.setdefault(operation_id, secret) != secret:
            yield f"{operation_id} told two secrets"
        if not keyring.verify(PEPPER_PURPOSE, secret.encode(), digests.get(operation_id, "")):
            yield f"{operation_id} told a secret that opens nothing"


def secrets_stand_nowhere(world: World) -> Iterator[str]:
    """K3: no secret that was told stands in a row or in a stored answer."""
    secrets = [secret for _, secret in world.notes.get("secrets_told", ())]
    if not secrets:
        return
    for table in ("operations", "journal", "merchants_api_keys", "deliveries"):
        for row in world.model.rows(table):
            text = str(row)
            if any(secret in text for secret in secrets):
                yield f"a key's secret stands in {table}"


WORKLOAD: Final = Workload(
    name="merchants",
    prepare=_two_active,
    forget=lambda context: context.services.get(KeyUses).forget(),
    scripts={"change": change},
    workflows=(
        Workflow(name="merchants.onboard", kinds=("merchants.create",), run=_one),
        Workflow(
            name="merchants.verify", kinds=("merchants.verify",), setup=_one, run=_verify_first
        ),
        Workflow(
            name="merchants.reject",
            kinds=("merchants.verify", "merchants.activate"),
            setup=_one,
            run=_reject_and_activate,
        ),
        Workflow(
            name="merchants.activate",
            kinds=("merchants.activate",),
            setup=_one_verified,
            run=_changes("activate"),
        ),
        Workflow(
            name="merchants.activate_twice",
            kinds=("merchants.activate",),
            setup=_one_verified,
            run=_changes("activate", "activate"),
        ),
        Workflow(
            name="merchants.update",
            kinds=("merchants.update",),
            setup=_one_active,
            run=_update_twice,
        ),
        Workflow(
            name="merchants.suspend",
            kinds=("merchants.suspend",),
            setup=_one_active,
            run=_changes("suspend"),
        ),
        Workflow(
            name="merchants.close",
            kinds=("merchants.suspend", "merchants.close"),
            setup=_one_active,
            run=_changes("suspend", "close"),
        ),
        Workflow(
            name="merchants.price",
            kinds=("merchants.set_pricing",),
            setup=_one_active,
            run=_price_first,
        ),
        Workflow(
            name="api_keys.issue_and_narrow",
            kinds=("api_keys.create", "api_keys.rescope"),
            setup=_one_active,
            run=_issue_and_narrow,
        ),
        Workflow(
            name="api_keys.rotate",
            kinds=("api_keys.rotate",),
            setup=_one_with_key,
            run=_on_first_key(_rotate),
        ),
        Workflow(
            name="api_keys.revoke",
            kinds=("api_keys.revoke",),
            setup=_one_with_key,
            run=_on_first_key(revoke_key),
        ),
    ),
    actions=(
        Action(name="merchants.onboard", weight=1, run=_one),
        Action(name="merchants.change", weight=3, run=_change_any),
        Action(name="merchants.verify", weight=1, run=_verify_any),
        Action(name="merchants.update", weight=2, run=_update_any),
        Action(name="merchants.price", weight=2, run=_price_any),
        Action(name="api_keys.issue", weight=1, run=_issue_any),
        Action(name="api_keys.change", weight=3, run=_change_any_key),
        Action(name="api_keys.use", weight=2, run=use_keys),
    ),
    invariants={
        "M1": status_follows_the_table,
        "M2": accounts_are_kept,
        "M3": metadata_is_listed,
        "M4": only_the_verified_are_activated,
        "K1": keys_are_as_their_streams_say,
        "K2": secrets_are_told_once,
        "K3": secrets_stand_nowhere,
    },
)
