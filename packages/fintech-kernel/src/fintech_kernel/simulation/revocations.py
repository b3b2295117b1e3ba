"""The kernel's own operations, simulated: revoke, again and at once, and see that it is in force."""

from collections.abc import Iterator
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.domain.revocations import REVOKE, REVOKED, RevocationKind, revocation_key
from fintech_kernel.simulation.client import Client, staff
from fintech_kernel.simulation.workload import Action, Workflow, Workload
from fintech_kernel.simulation.world import World

PEOPLE: Final = ("ann", "bob")
"""Few, so that two revocations of one meet."""

CLOCK_STEP_MILLISECONDS: Final = 600_000
"""How far clocks step back between two revocations."""


async def revoke(client: Client, kind: RevocationKind, value: str) -> Answer | None:
    """Revoke something; once that is answered it must be in force."""
    actor = staff()

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        return await context.revocations.revoke(kind, value, "because", actor=actor, call=call)

    answer = await client.ask(f"revoke {kind.value} {value}", actor, send)
    if answer is not None:
        standing = _revoked_at(client.world, revocation_key(kind, value))
        if standing is None or standing < answer.result["revoked_at"]:
            client.world.seen_wrong.append(("K1", f"{value} was answered and is not revoked"))
    return answer


async def _once(client: Client) -> None:
    await revoke(client, RevocationKind.SIGNING_KEY, "k1")


async def _again(client: Client) -> None:
    """Revoke a principal twice, the second time by clocks that stepped back: time moves forward only."""
    await revoke(client, RevocationKind.PRINCIPAL, PEOPLE[0])
    for process in client.world.processes:
        client.world.jump_clock(process.incarnation, -CLOCK_STEP_MILLISECONDS)
    await revoke(client, RevocationKind.PRINCIPAL, PEOPLE[0])


async def _any(client: Client) -> None:
    kind = client.world.draw.choice(tuple(RevocationKind))
    await revoke(client, kind, client.world.draw.choice(PEOPLE))


def decisions_are_in_force(world: World) -> Iterator[str]:
    """K1: what the journal says is revoked is, since then or later."""
    for row in world.entries():
        if row["type"] == REVOKED:
            decided = row["content"]
            key = revocation_key(RevocationKind(decided["kind"]), decided["value"])
            standing = _revoked_at(world, key)
            if standing is None or standing < decided["revoked_at"]:
                yield f"{row['entry_id']}: {key} stands at {standing}"


def _revoked_at(world: World, key: str) -> int | None:
    rows = world.model.rows("revocations", "WHERE revocation_key = ?", key)
    return rows[0]["revoked_at"] if rows else None


WORKLOAD: Final = Workload(
    name="kernel",
    workflows=(
        Workflow(name="kernel.revoke", kinds=(REVOKE,), run=_once),
        Workflow(name="kernel.revoke_again", kinds=(REVOKE,), run=_again),
    ),
    actions=(Action(name="kernel.revoke", weight=1, run=_any),),
    invariants={"K1": decisions_are_in_force},
)
