"""A plugin of somebody else's is simulated with its own workflows and invariants, as the docs show."""

import re
import types
from pathlib import Path

import pytest
from fintech_kernel.simulation.campaign import single_tasks

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulation.md"


@pytest.fixture(scope="module")
def example() -> types.SimpleNamespace:
    first, second = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(first + second, str(DOCUMENT), "exec"), names)  # noqa: S102 - our own document
    return types.SimpleNamespace(**names)


def test_the_documented_example_holds(example, simulate):
    example.test_a_voucher_is_redeemed_once(simulate)


def test_the_documented_invariant_bites(example, simulate, monkeypatch):
    drafts = [example.Draft(type="voucher.redeemed", data={})]
    monkeypatch.setitem(example.redeem.__globals__, "decide", lambda _stream: drafts)
    plugins = simulate([example.VouchersPlugin()], [example.WORKLOAD])
    tally = plugins.run(single_tasks(["vouchers.redeem"])[0])
    assert {one.invariant for one in tally.failures[0].violations} == {"V1"}
    assert tally.failures[0].shrunk == {}, "no fault is needed"
