"""What is left after the service is killed, and after the power is cut."""

# ruff: noqa: N802 - repeatable chance is the point; the names of methods are SQLite's

import asyncio
import random
import ssl
import threading
from pathlib import Path

import apsw
import httpx
import pytest
from fintech_database.engines.sqlite import SqliteEngine
from fintech_database.forms import read_form
from fintech_database.limits import Limits
from fintech_database.statements import Statement
from fintech_database.testing import RunningService

# Plain HTTP only: without this, every client would load all certificates of the system.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


CREATE = "CREATE TABLE IF NOT EXISTS t (id TEXT NOT NULL PRIMARY KEY, pair TEXT NOT NULL)"
PAIR = "INSERT INTO t (id, pair) VALUES (?, ?), (?, ?)"


def torn(rows):
    """Pairs of which one half is missing."""
    halves = [pair for _, pair in rows]
    return {pair for pair in halves if halves.count(pair) != 2}


# ---------------------------------------------------------------------------- kill -9


def kill_under_load(url, rounds):
    acknowledged = set()
    randomness = random.Random(7)

    def write(base_url, name, stop):
        with httpx.Client(verify=PLAIN, base_url=base_url, timeout=10) as http:
            number = 0
            while not stop.is_set():
                key = f"{name}-{number}"
                number += 1
                body = {"sql": PAIR, "params": [f"{key}a", key, f"{key}b", key]}
                try:
                    answer = http.post("/execute", json=body)
                except httpx.HTTPError:
                    return
                if answer.status_code == 200 and answer.json()["success"]:
                    acknowledged.add(key)

    for turn in range(rounds):
        service = RunningService(url, None, ())
        httpx.post(service.base_url + "/execute", json={"sql": CREATE}, verify=PLAIN)
        stop = threading.Event()
        writers = [
            threading.Thread(target=write, args=(service.base_url, f"{turn}-{n}", stop))
            for n in range(8)
        ]
        for writer in writers:
            writer.start()
        enough = len(acknowledged) + 30
        while len(acknowledged) < enough and any(writer.is_alive() for writer in writers):
            stop.wait(0.01)
        stop.wait(randomness.uniform(0, 0.2))
        service.kill()
        stop.set()
        for writer in writers:
            writer.join()

        service = RunningService(url, None, ("--result-rows-max", "10000000"))
        found = httpx.post(
            service.base_url + "/execute",
            json={"sql": "SELECT id, pair FROM t"},
            timeout=60,
            verify=PLAIN,
        ).json()["data"]
        assert service.stop() == 0
        pairs = {row["pair"] for row in found}
        assert acknowledged <= pairs
        assert 2 * len(pairs) == len(found)
    assert len(acknowledged) >= 30 * rounds


def test_no_acknowledged_row_is_lost_when_the_service_is_killed(tmp_path):
    kill_under_load(f"sqlite:///{tmp_path}/a.db", rounds=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_acknowledged_row_is_lost_in_50_kills(tmp_path):
    kill_under_load(f"sqlite:///{tmp_path}/a.db", rounds=50)


# ---------------------------------------------------------------------------- power cuts


class Disk(apsw.VFS):
    """A disk with a write cache: what was not synced may be gone after the power is cut.

    Every write goes to the real file (the machine's memory, so to speak) and is noted as pending;
    a sync of the file moves what is pending for it to the platter.
    """

    def __init__(self, name):
        self.name = name
        self.platter = {}
        self.pending = {}
        self.lock = threading.Lock()
        super().__init__(name, "")

    def xOpen(self, name, flags):
        return DiskFile(self, name, flags)

    def xDelete(self, filename, syncdir):
        super().xDelete(filename, syncdir)
        with self.lock:
            self.platter.pop(filename, None)
            self.pending.pop(filename, None)

    def cut(self, folder, randomness=None):
        """What a restart would find: the platter, and of the pending writes none or some.

        With ``randomness`` each 512-byte sector of each pending write survives or not.
        """
        with self.lock:
            images = {name: bytearray(content) for name, content in self.platter.items()}
            for name, writes in self.pending.items():
                for offset, data in writes if randomness else ():
                    if data is None:
                        if randomness.random() < 0.5:
                            del images[name][offset:]
                        continue
                    for start in range(0, len(data), 512):
                        if randomness.random() < 0.5:
                            store(images[name], offset + start, data[start : start + 512])
        folder.mkdir()
        for name, content in images.items():
            (folder / Path(name).name).write_bytes(content)


def store(image, offset, data):
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


class DiskFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if self.path is not None:
            with disk.lock:
                disk.platter.setdefault(self.path, bytearray())
                disk.pending.setdefault(self.path, [])
        super().__init__("", name, flags)

    def note(self, offset, data):
        if self.path is not None:
            with self.disk.lock:
                self.disk.pending[self.path].append((offset, data))

    def xWrite(self, data, offset):
        super().xWrite(data, offset)
        self.note(offset, bytes(data))

    def xTruncate(self, newsize):
        super().xTruncate(newsize)
        self.note(newsize, None)

    def xSync(self, flags):
        super().xSync(flags)
        if self.path is None:
            return
        with self.disk.lock:
            image = self.disk.platter[self.path]
            for offset, data in self.disk.pending[self.path]:
                if data is None:
                    del image[offset:]
                else:
                    store(image, offset, data)
            self.disk.pending[self.path] = []


def statement(sql, *params):
    return Statement(sql, params, read_form(sql))


def cut_power_under_load(folder, synchronous, cuts, randomness):
    """Pairs that were acknowledged before each cut and are missing after it."""
    disk = Disk(f"disk-{folder.name}-{synchronous}")
    acknowledged = set()
    seen = []

    async def write(engine, name):
        for number in range(10_000):
            key = f"{name}-{number}"
            insert = statement(PAIR, f"{key}a", key, f"{key}b", key)
            ((outcome,),) = await engine.run([[insert]])
            assert outcome.error is None
            acknowledged.add(key)

    async def main():
        path = str(folder / "a.db")
        engine = await SqliteEngine.open(path, Limits(), vfs=disk.name, synchronous=synchronous)
        await engine.run([[statement(CREATE)]])
        writers = [asyncio.create_task(write(engine, f"w{n}")) for n in range(8)]
        for number in range(cuts):
            await asyncio.sleep(random.Random(number).uniform(0.01, 0.06))
            before = set(acknowledged)
            disk.cut(folder / f"cut{number}", randomness)
            seen.append(before)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await engine.close()

    asyncio.run(main())
    disk.unregister()
    assert len(seen[-1]) > 100
    missing = []
    for number, before in enumerate(seen):
        try:
            db = apsw.Connection(str(folder / f"cut{number}" / "a.db"))
            rows = db.execute("SELECT id, pair FROM t").fetchall()
            sound = db.execute("PRAGMA integrity_check").get == "ok" and not torn(rows)
            db.close()
        except apsw.Error:
            rows, sound = [], False
        lost = before - {pair for _, pair in rows}
        missing.append((lost, sound))
    return missing


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch):
    monkeypatch.setattr("fintech_database.engines.sqlite._CHECKPOINT_PAGES", 40)


@pytest.mark.parametrize("seed", [None, 1, 2], ids=["nothing", "some", "other"])
def test_no_acknowledged_row_is_lost_when_the_power_is_cut(tmp_path, seed):
    randomness = None if seed is None else random.Random(seed)

    for lost, sound in cut_power_under_load(tmp_path, "FULL", 12, randomness):
        assert lost == set()
        assert sound


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_same_power_cuts_lose_rows_with_anything_less(tmp_path, synchronous):
    outcomes = cut_power_under_load(tmp_path, synchronous, 12, None)

    assert any(lost for lost, _ in outcomes)
