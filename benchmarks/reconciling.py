"""
What is owed: finding it in a large ledger against a small one, and sending it against sending alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import inngest
import pytest
from sqlalchemy import update
from sqlmodel import col

from benchmarks import server
from benchmarks.apps import signing_settings
from benchmarks.hosts import LATER, Hosts
from benchmarks.measuring import OURS, Effort, Line, Note, Work, race, repeat, shown
from benchmarks.rows import analyse, fill
from benchmarks.storing import SEED, SERVERS, SMALL
from crossapp_core import outboxes
from crossapp_core.columns import derived_id
from crossapp_core.flavours import run_sync
from crossapp_core.models import CrossAppCursor
from crossapp_core.outboxes import BATCH, Outbox
from crossapp_core.outcomes import Due, Message, Outcome, Sent
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import outbox
from crossapp_tt.upkeep import Upkeep
from tests.databases import Database, open_database
from tests.tt.shop import COURSE, SCHOOL, Shop

SEND_MANY = "the same events, by send_many alone"
EVENTS = 20_000
DUE = 10
_TIMES, _ROUNDS, _DRAINS = 10, 15, 5
_LONGER_THAN_ANY_BACKOFF = timedelta(hours=7)


class Owing:
    """
    A shop whose ledger owes the school some of its rows. Nothing is acknowledged, so that each time the same are due.
    """

    def __init__(self, database: Database, rows: int, due: int, url: str = "http://127.0.0.1:1") -> None:
        hosts = Hosts(database)
        hosts.prepare([SEED])
        hosts.record(SEED)
        _change(database, {"next_attempt_at": None})
        fill(database.engine, rows, [CrossAppSync])
        seed, step = derived_id("sync", SEED, SCHOOL, COURSE), rows // due
        ids = [f"{seed}_{number}" for number in range(step, rows + 1, step)]
        # what `fill` has made of the address is none
        _change(database, {"next_attempt_at": LATER, "buyer_email": "ada@example.com"}, *ids)
        analyse(database.engine, CrossAppSync)
        self.now = LATER
        client = inngest.Inngest(app_id="shop", is_production=False)
        self._app = Upkeep(client, database.engine, settings=signing_settings(url), clock=self._clock)
        self._app.host, self._app.cursors = replace(Shop(database).seller, cursors=CrossAppCursor), CrossAppCursor
        self._outboxes = [Outbox(self._app.host, outbox.take, outbox.note)]

    def take(self, limit: int = BATCH) -> Outcome:
        """
        Take what is due, later than the last time.
        """
        self.now += _LONGER_THAN_ANY_BACKOFF
        return self._take(limit)

    def drain(self, rows: int) -> None:
        """
        Send so many rows.
        """
        self.now += _LONGER_THAN_ANY_BACKOFF
        sent = run_sync(outboxes.drain(self._app, self._outboxes, SCHOOL, most=rows))
        assert sent == rows  # something else was measured otherwise

    def send(self, messages: list[Message]) -> None:
        """
        Send messages that nobody has to look for or to write down.
        """
        results = self._app.client.send_many_sync(SCHOOL, messages)
        assert all(result.error is None for result in results)

    def parts(self, rows: int) -> dict[str, float]:
        """
        How long each part of draining so many rows takes, in s.
        """
        spent: dict[str, float] = {"find and put off": 0.0, "send": 0.0, "write down": 0.0}
        self.now += _LONGER_THAN_ANY_BACKOFF
        for _ in range(0, rows, BATCH):
            begun = time.perf_counter()
            taken = self._take(BATCH)
            found = time.perf_counter()
            results = self._app.client.send_many_sync(SCHOOL, taken.messages)
            sent = time.perf_counter()
            told = [Sent(each, result.accepted_id, None) for each, result in zip(taken.messages, results, strict=True)]
            noted = list(zip(taken.ids, told, strict=True))
            run_sync(self._app.database.transact(outbox.note, self._app.host, noted, now=self.now))
            for part, seconds in zip(spent, (found - begun, sent - found, time.perf_counter() - sent), strict=True):
                spent[part] += seconds
        return spent

    def close(self) -> None:
        """
        Close the connections to the school.
        """
        self._app.client.close()

    def _take(self, limit: int) -> Outcome:
        due = Due(SCHOOL, limit)
        return run_sync(self._app.database.transact(outbox.take, self._app.host, due, now=self.now))

    def _clock(self) -> datetime:
        return self.now


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    On each server that is up.
    """
    for name, server_name in SERVERS.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                owing, small, large = (
                    stack.enter_context(open_database(name, folder, size)) for size in ("owing", "small", "large")
                )
            except pytest.skip.Exception as missing:
                yield Note(str(missing))
                continue
            yield from _drained(effort, server_name, owing)
            if effort.rows:
                yield _taken(effort, server_name, small, large)


def _taken(effort: Effort, server_name: str, *databases: Database) -> Line:
    sizes = [SMALL, effort.rows]
    ledgers = [Owing(database, size, DUE) for database, size in zip(databases, sizes, strict=True)]
    for each in ledgers:
        assert len(each.take().ids) == DUE
    works: dict[str, Work] = {f"{size:,} rows": repeat(each.take) for size, each in zip(sizes, ledgers, strict=True)}
    few, many = race(works, effort, times=_TIMES, rounds=_ROUNDS).values()
    what = f"take {DUE} rows that are due and commit, {server_name}, of {effort.rows:,}"
    return Line(what, f"of {SMALL:,}", few, many, "≤ 1.2")


def _drained(effort: Effort, server_name: str, database: Database) -> Iterator[Line | Note]:
    count = effort.times(EVENTS)
    with server.running() as url, ExitStack() as stack:
        owing = Owing(database, count, count, url)
        stack.callback(owing.close)
        messages = list(owing.take(count).messages)
        works: dict[str, Work] = {OURS: owing.drain, SEND_MANY: lambda times: owing.send(messages[:times])}
        measured = race(works, effort, times=EVENTS, rounds=_DRAINS)
        spent = owing.parts(count)
    what = f"drain {count:,} rows that are owed, {server_name} (time for each)"
    yield Line(what, SEND_MANY, measured[SEND_MANY], measured[OURS], "≥ 0.7", is_throughput=True)
    parts = ", ".join(f"{part} {shown(seconds / count)}" for part, seconds in spent.items())
    yield Note(f"Where the time of one of {count:,} rows goes that are drained, {server_name}: {parts}.")


def _change(database: Database, values: dict[str, object], *ids: str) -> None:
    statement = update(CrossAppSync).values(values)
    with database.engine.begin() as connection:
        connection.execute(statement.where(col(CrossAppSync.id).in_(ids)) if ids else statement)
