"""Webhooks, simulated: endpoints that are made, rotated, switched; and receivers that forget nothing."""

import asyncio
import base64
import hmac
import json
from collections.abc import Generator, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.simulation.client import Client, merchant_actor
from fintech_kernel.simulation.faults import Fault, Port
from fintech_kernel.simulation.network import Lost, Refused
from fintech_kernel.simulation.runtime import Runtime
from fintech_kernel.simulation.workload import Action, Script, Workflow, Workload, prepared_by
from fintech_kernel.simulation.world import World

from fintech_webhooks.domain.courier import MessageSender
from fintech_webhooks.domain.service import Issued, Webhooks
from fintech_webhooks.infrastructure.http_sender import TIMEOUT, Destination, Reply

MERCHANT: Final = "mer_hooks"
"""Whose endpoints they are where no merchant is simulated; merchants' own are used where they are."""

RETRY_SECONDS: Final = (1, 5, 60, 300, 900)
FAILURES_MAX: Final = 4
TIMEOUT_SECONDS: Final = 4.0

STATUS_AFTER: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "webhook_endpoint.created": (frozenset({""}), "enabled"),
    "webhook_endpoint.enabled": (frozenset({"disabled"}), "enabled"),
    "webhook_endpoint.disabled": (frozenset({"enabled"}), "disabled"),
    "webhook_endpoint.removed": (frozenset({"enabled", "disabled"}), "removed"),
}
"""From which states each event may come, and where it leads."""


class SimulatedSender:
    """Implements ``MessageSender`` for every process: the wire to the receivers.

    A host that begins with ``gone`` says 410, one with ``broken`` says 500; all others take everything.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def send(
        self, destination: Destination, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """POST a body over the simulated network."""
        world = self._runtime.world
        assert world is not None, "no schedule is on"  # noqa: S101 - set before anything runs

        def steps(fault: Fault | None) -> Generator[bool, None, Reply]:
            del fault
            yield False
            return _receive(world, destination.host, headers, body)

        try:
            return await world.network.call(
                Port.RECEIVER,
                f"post {destination.host}",
                steps,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except (Lost, Refused):
            return Reply(error=TIMEOUT)


def _receive(world: World, host: str, headers: Mapping[str, str], body: bytes) -> Reply:
    received: list[Any] = world.notes.setdefault("webhooks_received", [])
    received.append(
        (
            host,
            headers["webhook-id"],
            headers["webhook-timestamp"],
            headers["webhook-signature"],
            body.decode(),
        )
    )
    if host.startswith("gone"):
        return Reply(status=410)
    return Reply(status=500 if host.startswith("broken") else 204)


# --- what merchants do


def _merchant(client: Client) -> str:
    known = client.notes.get("merchants")
    return str(known[0]) if known else MERCHANT


async def make(client: Client, merchant_id: str, name: str, *events: str) -> str | None:
    """Make an endpoint at a host of this name and a number; return its id."""
    actor = merchant_actor(merchant_id)
    number = client.world.number("webhook_hosts")
    events = tuple(one for one in events if _is_declared(client, one))
    url = f"https://{name}{number}.example.com/"

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        issued = await context.services.get(Webhooks).create(
            merchant_id, url=url, events=events, description="", actor=actor, call=call
        )
        return _told(client, issued)

    answer = await client.ask(f"webhooks.create {url}", actor, send)
    if answer is None or "endpoint_id" not in answer.result:
        return None
    endpoint_id = str(answer.result["endpoint_id"])
    client.note("webhook_endpoints", (merchant_id, endpoint_id))
    return endpoint_id


async def change(client: Client, endpoint: tuple[str, str], what: str) -> Answer | None:
    """Rotate, update, enable, disable, remove or ping an endpoint, or ask for everything again."""
    merchant_id, endpoint_id = endpoint
    actor = merchant_actor(merchant_id)

    async def send(context: AppContext, call: IdempotentCall) -> Answer:
        webhooks = context.services.get(Webhooks)
        match what:
            case "rotate":
                return _told(
                    client,
                    await webhooks.rotate_secret(
                        merchant_id, endpoint_id, overlap_seconds=600, actor=actor, call=call
                    ),
                )
            case "update":
                return await webhooks.update(
                    merchant_id,
                    endpoint_id,
                    url=None,
                    events=None,
                    description="changed",
                    actor=actor,
                    call=call,
                )
            case "redeliver":
                return await webhooks.redeliver_since(
                    merchant_id, endpoint_id, since=0, state=None, actor=actor, call=call
                )
            case _:
                act = {
                    "enable": webhooks.enable,
                    "disable": webhooks.disable,
                    "remove": webhooks.remove,
                    "ping": webhooks.ping,
                }[what]
                return await act(merchant_id, endpoint_id, actor=actor, call=call)

    return await client.ask(f"webhooks.{what} {endpoint_id}", actor, send)


def _told(client: Client, issued: Issued) -> Answer:
    if issued.secret is not None:
        result = issued.answer.result
        client.note("webhook_secrets", (str(result["secret_id"]), issued.secret))
    return issued.answer


def _is_declared(client: Client, family: str) -> bool:
    """Whether a simulated plugin has such events; payments need not be there."""
    public = client.world.runtime.contexts[0][0].public_events
    return any(fnmatchcase(one.name, family) for one in public)


def _standing(*names: str, events: tuple[str, ...] = ("*",)) -> Script:
    """Return a setup: endpoints that stand before anything else happens."""

    async def run(client: Client) -> None:
        await client.prepare("merchants")
        for name in names:
            endpoint_id = await make(client, _merchant(client), name, *events)
            client.note("webhook_standing", (endpoint_id, len(client.world.model.rows("journal"))))

    return run


def _on_first(*changes: str) -> Script:
    async def run(client: Client) -> None:
        endpoint = client.notes["webhook_endpoints"][0]
        for what in changes:
            await change(client, endpoint, what)
        await _run_dispatch(client)

    return run


async def _two_at_once(client: Client) -> None:
    """Two requests change one endpoint: whoever is late must not bring back what was before."""
    endpoint = client.notes["webhook_endpoints"][0]
    async with asyncio.TaskGroup() as group:
        for what in ("rotate", "update"):
            group.create_task(change(client, endpoint, what))


async def _run_dispatch(client: Client) -> None:
    """Let a process turn what was decided into deliveries and send them, as its jobs do, under faults."""
    living = client.world.living()
    if not living:
        return
    process = client.world.draw.choice(living)
    events = process.context.events

    async def work() -> None:
        await events.dispatch()
        await events.deliver("webhooks.fan_out")
        for job in process.jobs:
            if job.name == "webhooks.send":
                await job.run()

    task = process.spawn(work())
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # whatever it was, recovery and the jobs go on from what stands


async def _make_first(client: Client) -> None:
    await make(client, _merchant(client), "shop", "webhook_endpoint.*")
    await _run_dispatch(client)


async def _make_any(client: Client) -> None:
    merchant_id = client.pick("merchants")
    if merchant_id is not None:
        name = client.world.draw.choice(("shop", "shop", "gone", "broken"))
        await make(client, merchant_id, name, "payment.*", "webhook_endpoint.*")


async def _change_any(client: Client) -> None:
    endpoint = client.pick("webhook_endpoints")
    if endpoint is not None:
        what = client.world.draw.choice(
            ("rotate", "update", "disable", "enable", "ping", "redeliver")
        )
        await change(client, endpoint, what)


async def _close(client: Client) -> None:
    """Enable what was disabled while receivers were out of reach, and ask for what was missed."""
    world = client.world
    standing = {str(endpoint_id) for endpoint_id, _ in world.notes.get("webhook_standing", ())}
    for row in world.model.rows("webhooks_endpoints", "ORDER BY endpoint_id"):
        endpoint = (str(row["merchant_id"]), str(row["endpoint_id"]))
        if endpoint[1] not in standing or str(row["url"]).startswith(UNREACHABLE):
            continue
        if row["status"] == "disabled":
            await change(client, endpoint, "enable")
        if row["status"] != "removed" and _undelivered(world, endpoint[1]):
            await change(client, endpoint, "redeliver")


UNREACHABLE: Final = ("https://gone", "https://broken")


def _undelivered(world: World, endpoint_id: str) -> bool:
    return any(
        row["state"] in {"failed", "skipped"}
        for row in world.model.rows("webhooks_deliveries", "WHERE endpoint_id = ?", endpoint_id)
    )


def _is_quiet(world: World) -> bool:
    return not world.model.count("webhooks_deliveries", "WHERE state = 'pending'")


# --- invariants


def _received(world: World) -> list[tuple[str, str, str, str, str]]:
    return list(world.notes.get("webhooks_received", ()))


def _endpoints(world: World) -> dict[str, dict[str, Any]]:
    return {str(row["endpoint_id"]): dict(row) for row in world.model.rows("webhooks_endpoints")}


def _host(row: Mapping[str, Any]) -> str:
    return str(row["url"]).removeprefix("https://").rstrip("/")


def every_event_reaches_every_endpoint(world: World) -> Iterator[str]:
    """W1: what happened after an endpoint stood, and it wants, its receiver got at least once."""
    public = {one.name for one in world.runtime.contexts[0][0].public_events}
    got = {
        (host, told["type"], told["data"]["object_id"], told["data"]["sequence"])
        for host, *_, body in _received(world)
        if "object_id" in (told := json.loads(body))["data"]
    }
    endpoints = _endpoints(world)
    journal = world.model.rows("journal", "ORDER BY rowid")
    for endpoint_id, before in world.notes.get("webhook_standing", ()):
        row = endpoints[endpoint_id]
        if row["status"] != "enabled" or str(row["url"]).startswith(UNREACHABLE):
            continue
        for entry in journal[before:]:
            merchant_id, _, object_id = str(entry["stream_id"]).partition("/")
            is_wanted = entry["type"] in public and any(
                fnmatchcase(entry["type"], one) for one in row["events"].split()
            )
            if merchant_id != row["merchant_id"] or not is_wanted:
                continue
            if (_host(row), entry["type"], object_id, entry["seq"]) not in got:
                yield f"{entry['entry_id']} ({entry['type']}) never reached {row['url']}"


def _folded(world: World) -> dict[str, dict[str, Any]]:
    """Return endpoints as their journal tells them."""
    found: dict[str, dict[str, Any]] = {}
    for entry in world.entries():
        if not entry["type"].startswith("webhook_endpoint."):
            continue
        one = found.setdefault(entry["stream_id"].partition("/")[2], {"status": "", "faults": []})
        one["seq"] = entry["seq"]
        one["secret_id"] = entry["content"].get("secret_id", one.get("secret_id"))
        allowed, after = STATUS_AFTER.get(
            entry["type"], (frozenset({one["status"]}), one["status"])
        )
        if one["status"] not in allowed:
            one["faults"].append(f"{entry['entry_id']}: {entry['type']} after {one['status']!r}")
        one["status"] = after
    return found


def endpoints_are_as_their_streams_say(world: World) -> Iterator[str]:
    """W2: the row that sending goes by is what the endpoint's events made; states follow the table."""
    expected, rows = _folded(world), _endpoints(world)
    kept = {row["secret_id"] for row in world.model.rows("webhooks_secrets")}
    if rows.keys() != expected.keys():
        yield f"rows of endpoints {sorted(rows)} stand for streams {sorted(expected)}"
    for endpoint_id, one in expected.items():
        yield from one["faults"]
        row = rows.get(endpoint_id, {})
        wrong = [name for name in ("status", "secret_id", "seq") if row.get(name) != one[name]]
        if wrong:
            yield f"{endpoint_id} stands with another {', '.join(wrong)} than its stream's"
        if one["secret_id"] not in kept:
            yield f"the secret of {endpoint_id} is not kept"


def messages_are_signed_and_stable(world: World) -> Iterator[str]:
    """W3: one id is one body; whoever knows all secrets of an endpoint can verify all it got."""
    bodies: dict[str, str] = {}
    told = dict(world.notes.get("webhook_secrets", ()))
    known: dict[str, list[str]] = {}
    for row in world.model.rows("webhooks_secrets"):
        known.setdefault(str(row["endpoint_id"]), []).append(told.get(str(row["secret_id"]), ""))
    hosts = {_host(row): endpoint_id for endpoint_id, row in _endpoints(world).items()}
    for host, message_id, timestamp, signatures, body in _received(world):
        if bodies.setdefault(message_id, body) != body:
            yield f"{message_id} came with two bodies"
        secrets = known.get(hosts.get(host, ""), [""])
        if all(secrets) and not any(
            _signature(secret, message_id, timestamp, body) in signatures.split(" ")
            for secret in secrets
        ):
            yield f"{message_id} at {host} is signed with no secret of the endpoint"


def _signature(secret: str, message_id: str, timestamp: str, body: str) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.{body}".encode(), "sha256")
    return "v1," + base64.b64encode(digest).decode()


def secrets_stand_nowhere(world: World) -> Iterator[str]:
    """W4: no secret that was told stands in a row, sealed ones open nowhere else."""
    secrets = [
        secret.removeprefix("whsec_") for _, secret in world.notes.get("webhook_secrets", ())
    ]
    if not secrets:
        return
    for table in ("operations", "journal", "webhooks_secrets", "webhooks_endpoints"):
        text = world.model.text(table)
        if any(secret in text for secret in secrets):
            yield f"a signing secret stands in {table}"


def receivers_see_order_and_nothing_foreign(world: World) -> Iterator[str]:
    """W5: an object's events first come in order, unless one was given up; all are of the merchant."""
    endpoints = {_host(row): row for row in _endpoints(world).values()}
    given_up = {
        (row["endpoint_id"], str(row["stream_id"]))
        for row in world.model.rows("webhooks_deliveries")
        if row["state"] in {"failed", "skipped"} or row["repeats"]
    }
    last: dict[tuple[str, str], int] = {}
    seen: set[tuple[str, str]] = set()
    for host, message_id, _, _, body in _received(world):
        row, data = endpoints.get(host), json.loads(body)["data"]
        if row is None:
            continue  # its endpoint's row came with a later attempt
        if data["merchant_id"] != row["merchant_id"]:
            yield f"{message_id} of {data['merchant_id']} came to {host}"
        if "object_id" not in data or (host, message_id) in seen:
            continue
        seen.add((host, message_id))
        stream = (host, f"{data['merchant_id']}/{data['object_id']}")
        if (row["endpoint_id"], stream[1]) in given_up:
            continue
        if data["sequence"] < last.get(stream, 0):
            yield f"{host} first saw {data['sequence']} of {stream[1]} after {last[stream]}"
        last[stream] = data["sequence"]


def deliveries_are_single(world: World) -> Iterator[str]:
    """W6: a message has one delivery to an endpoint, beside those that somebody asked for again."""
    seen: set[tuple[str, str]] = set()
    messages = {row["message_id"] for row in world.model.rows("webhooks_messages")}
    for row in world.model.rows("webhooks_deliveries"):
        pair = (str(row["endpoint_id"]), str(row["message_id"]))
        if not row["repeats"] and pair in seen:
            yield f"{pair[1]} has two deliveries to {pair[0]}"
        seen.add(pair)
        if row["message_id"] not in messages:
            yield f"{row['delivery_id']} carries no message"


WORKLOAD: Final = Workload(
    name="webhooks",
    settings={
        "webhooks_retry_seconds": RETRY_SECONDS,
        "webhooks_failures_max": FAILURES_MAX,
        "webhooks_total_seconds": TIMEOUT_SECONDS,
    },
    services={MessageSender: SimulatedSender},
    prepare=_standing("shop", events=("webhook_endpoint.*", "payment.*")),
    closing=_close,
    is_quiet=_is_quiet,
    platform_statements=frozenset(
        {"webhooks.deliveries.due_endpoints", "webhooks.deliveries.longest_waiting"}
    ),
    workflows=(
        Workflow(
            name="webhooks.make",
            kinds=("webhooks.create",),
            setup=prepared_by("merchants"),
            run=_make_first,
        ),
        Workflow(
            name="webhooks.rotate",
            kinds=("webhooks.rotate_secret",),
            setup=_standing("shop"),
            run=_on_first("rotate"),
        ),
        Workflow(
            name="webhooks.two_at_once",
            kinds=("webhooks.rotate_secret", "webhooks.update"),
            setup=_standing("shop"),
            run=_two_at_once,
        ),
        Workflow(
            name="webhooks.switch",
            kinds=("webhooks.disable", "webhooks.enable"),
            setup=_standing("shop", "shop"),
            run=_on_first("disable", "enable"),
        ),
        Workflow(
            name="webhooks.update_and_remove",
            kinds=("webhooks.update", "webhooks.remove"),
            setup=_standing("shop", "shop"),
            run=_on_first("update", "remove"),
        ),
        Workflow(
            name="webhooks.ping",
            kinds=("webhooks.ping",),
            setup=_standing("shop"),
            run=_on_first("ping"),
        ),
        Workflow(
            name="webhooks.redeliver",
            kinds=("webhooks.redeliver",),
            setup=_standing("shop"),
            run=_on_first("redeliver"),
        ),
        Workflow(
            name="webhooks.gone",
            kinds=("webhooks.ping", "webhooks.disable"),
            setup=_standing("gone", "shop", events=("webhook_endpoint.disabled",)),
            run=_on_first("ping"),
        ),
        Workflow(
            name="webhooks.failing",
            kinds=("webhooks.update", "webhooks.disable"),
            setup=_standing("broken", "shop", events=("webhook_endpoint.*",)),
            run=_on_first("update"),
        ),
    ),
    actions=(
        Action(name="webhooks.make", weight=1, run=_make_any),
        Action(name="webhooks.change", weight=2, run=_change_any),
    ),
    invariants={
        "W1": every_event_reaches_every_endpoint,
        "W2": endpoints_are_as_their_streams_say,
        "W3": messages_are_signed_and_stable,
        "W4": secrets_stand_nowhere,
        "W5": receivers_see_order_and_nothing_foreign,
        "W6": deliveries_are_single,
    },
)
