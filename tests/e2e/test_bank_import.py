"""``fintech settlements import-bank``: as an operator runs it, with everything installed."""

import asyncio
import json

from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_kernel.testing.database import database_service
from fintech_settlements import commands
from typer.testing import CliRunner


def test_an_operator_imports_a_banks_file_twice(tmp_path):
    with database_service(f"sqlite:///{tmp_path}/test.db") as url:
        asyncio.run(migrated(url))
        file, mapping = tmp_path / "bank.csv", tmp_path / "mapping.json"
        rows = [f"FT-{one},30.11.2026,note {one},-1.0{one % 10}" for one in range(120)]
        file.write_text("\ufeffId,Date,Text,Amount\n" + "\n".join(rows) + "\n", encoding="utf-8")
        given = {"bank_id": "Id", "booked_on": "Date", "reference": "Text", "amount": "Amount"}
        mapping.write_text(json.dumps({**given, "currency": "KES", "date_format": "%d.%m.%Y"}))
        settings = {**SETTINGS, "db_base_url": url}

        def run(account: str):
            arguments = ["import-bank", str(file), "--mapping", str(mapping), "--account", account]
            return CliRunner().invoke(commands.app, arguments, obj=settings)

        first, again = run("main"), run("main")
        assert (first.exit_code, again.exit_code) == (0, 0), first.output
        assert first.output.splitlines()[-2:] == ["unknown: 120", "120 lines"]
        assert again.output.splitlines()[-2:] == first.output.splitlines()[-2:]
        file.write_text(file.read_text("utf-8-sig").replace("-1.07", "-1.08"), encoding="utf-8")
        corrected = run("main")
        assert corrected.exit_code == 1
        assert "lines 8, 18" in corrected.output
        assert run("No Name").exit_code == 1
        mapping.write_text("{}")
        assert "nothing was imported" in run("main").output


async def migrated(url: str) -> None:
    async with running_app(database_url=url, plugins=None):
        pass
