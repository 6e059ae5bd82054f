"""
A sweep over a large table of purchases of which the ledger knows all, against a bare read of the same rows.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import inngest
import pytest
from sqlalchemy import Engine, select

from benchmarks.floor import PURCHASES
from benchmarks.hosts import Hosts
from benchmarks.measuring import OURS, Effort, Line, Note, race
from benchmarks.rows import fill
from benchmarks.storing import SERVERS
from crossapp_core.flavours import run_sync
from crossapp_core.models import CrossAppCursor
from crossapp_tt.functions import sweeping
from crossapp_tt.operations.sweeps import BATCH
from crossapp_tt.upkeep import Upkeep
from tests.databases import Database, open_database
from tests.hosts import NOW, shop_settings
from tests.tt.shop import Shop

READ = "a bare read in the order of the ids"
_ROUNDS = 5


class Sweep:
    """
    A shop that is swept as its timetable does it, without Inngest.
    """

    def __init__(self, database: Database) -> None:
        client = inngest.Inngest(app_id="shop", is_production=False)
        self._bridge = Upkeep(client, database.engine, settings=shop_settings(), clock=lambda: NOW)
        self._bridge.host = replace(Shop(database).seller, cursors=CrossAppCursor)

    def __call__(self, times: int) -> None:
        """
        Go through so many whole passes.
        """
        for _ in range(times):
            run_sync(sweeping.begin(self._bridge))
            while not run_sync(sweeping.go_on(self._bridge)):
                pass

    def found(self) -> int:
        """
        How many purchases differ from the ledger.
        """
        return sum(self._bridge.plan_sweep_sync().counts.values())


class Read:
    """
    The same purchases, in as large batches, of which nothing is made.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, times: int) -> None:
        """
        Read all so many times.
        """
        owned = PURCHASES.c.status.in_(["Valid", "Restricted"]).label("owned")
        wanted = PURCHASES.c.id, PURCHASES.c.user_id, PURCHASES.c.email, PURCHASES.c.product_id, owned
        query = select(*wanted).order_by(PURCHASES.c.id).limit(BATCH)
        for _ in range(times):
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
                while rows:
                    rows = connection.execute(query.where(PURCHASES.c.id > rows[-1].id)).all()


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    On each server that is up.
    """
    if not effort.rows:
        return
    for name, shown in SERVERS.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                database = stack.enter_context(open_database(name, folder, "swept"))
            except pytest.skip.Exception as missing:
                yield Note(str(missing))
                continue
            yield from _against_read(effort, shown, database)


def _against_read(effort: Effort, server: str, database: Database) -> Iterator[Line | Note]:
    hosts = Hosts(database)
    hosts.prepare(["a-seed"])
    hosts.record("a-seed")
    fill(database.engine, effort.rows)
    sweep, read = Sweep(database), Read(database.engine)
    if found := sweep.found():
        yield Note(f"{server}: the sweep finds {found:,} purchases that it shouldn't")
    before = _memory()
    measured = race({OURS: sweep, READ: read}, effort, times=1, rounds=_ROUNDS)
    what = f"sweep {effort.rows:,} purchases of which nothing is new, {server}"
    yield Line(what, READ, measured[READ], measured[OURS], "≥ 0.5", is_throughput=True)
    yield Note(f"{server}: the process is {_memory() - before:.0f} MB larger after {effort.rows:,} purchases")


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
