"""What waits is told with its age, and what has ended is not."""

import pytest

pytestmark = pytest.mark.anyio


async def test_settlements_are_counted_by_status_with_the_age_of_the_oldest(world):
    await world.opened(1_000)
    approved = await world.approved(2_000, by="ann")
    paid = await world.approved(3_000, by="ann")
    assert (await world.post(f"/{paid['settlement_id']}/pay", {}, by="ben")).status_code == 200
    world.clock.advance(seconds=90)
    await world.app.context.gauges.read()
    shown = (await world.app.client.get("/metrics")).text.splitlines()
    told = [line for line in shown if line.startswith("fintech_settlements_")]
    counts = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in told}
    assert counts['fintech_settlements_waiting{status="open"}'] >= 1
    assert counts['fintech_settlements_waiting{status="approved"}'] >= 1
    assert counts['fintech_settlements_waiting{status="paying"}'] >= 0
    assert counts['fintech_settlements_oldest_seconds{status="open"}'] >= 90
    assert not any('status="paid"' in name for name in counts)
    assert approved["settlement_id"] not in "\n".join(shown)
