"""
An operation with its commit, against SQLAlchemy Core doing the same statements, and on large tables against small ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.floor import Floor, counted
from benchmarks.hosts import NAMES, Hosts
from benchmarks.measuring import OURS, Effort, Line, Note, Work, race
from benchmarks.rows import fill
from tests.databases import Database, open_database

CORE = "SQLAlchemy Core"
SMALL = 1_000
MODEL, OTHER_MODEL, SEED = "a-model", "another-model", "a-seed"
"""The purchases whose statements are counted, and the one that is copied."""
SERVERS = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}
_TIMES, _ROUNDS = 20, 11


@dataclass
class Turns:
    """
    Does one thing after another, each to another id.
    """

    do: Callable[[str], object]
    ids: Iterator[str]

    def __call__(self, times: int) -> None:
        """
        Go on with so many of them.
        """
        for _ in range(times):
            self.do(next(self.ids))


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    On each server that is up.
    """
    for name, shown in SERVERS.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                empty, small, large = (
                    stack.enter_context(open_database(name, folder, size)) for size in ("empty", "small", "large")
                )
            except pytest.skip.Exception as missing:
                yield Note(str(missing))
                continue
            yield from _against_core(effort, shown, empty)
            if effort.rows:
                yield from _on_large_tables(effort, shown, small, large)


def _against_core(effort: Effort, server: str, database: Database) -> Iterator[Line | Note]:
    hosts, floor, ids = Hosts(database), Floor(database.engine), _ids(effort, OURS, CORE)
    hosts.prepare([MODEL, OTHER_MODEL, *(id_ for each in ids.values() for id_ in each)])
    for name in NAMES:
        ours, core = getattr(hosts, name), getattr(floor, name)
        count, least = _statements(database, ours, MODEL), _statements(database, core, OTHER_MODEL)
        measured = race(_works({OURS: ours, CORE: core}, ids), effort, times=_TIMES, rounds=_ROUNDS)
        what = f"{name} and commit, {server}, {count} statements"
        yield Line(what, f"{CORE}, {least} statements", measured[CORE], measured[OURS], "≤ 1.5")


def _on_large_tables(effort: Effort, server: str, *databases: Database) -> Iterator[Line | Note]:
    sizes = [SMALL, effort.rows]
    ids, hosts = _ids(effort, *map(str, sizes)), [_filled(*each) for each in zip(databases, sizes, strict=True)]
    for host, each in zip(hosts, ids.values(), strict=True):
        host.prepare([MODEL, *each])
    for name in NAMES:
        acts = [getattr(host, name) for host in hosts]
        few, many = (_statements(*each, MODEL) for each in zip(databases, acts, strict=True))
        measured = race(_works(dict(zip(ids, acts, strict=True)), ids), effort, times=_TIMES, rounds=_ROUNDS)
        on_few, on_many = measured.values()
        what = f"{name} and commit, {server}, {effort.rows:,} rows in each table: {many} statements"
        yield Line(what, f"{SMALL:,} rows, {few} statements", on_few, on_many, "no more statements")


def _filled(database: Database, rows: int) -> Hosts:
    hosts = Hosts(database)
    hosts.prepare([SEED])
    for name in NAMES[:-1]:
        getattr(hosts, name)(SEED)
    fill(database.engine, rows)
    return hosts


def _ids(effort: Effort, *names: str) -> dict[str, list[str]]:
    count = effort.times(_TIMES) * (_ROUNDS + 1)
    return {name: [f"pur_{place}_{number}" for number in range(count)] for place, name in enumerate(names)}


def _works(acts: dict[str, Callable[[str], object]], ids: dict[str, list[str]]) -> dict[str, Work]:
    return {name: Turns(act, iter(ids[name])) for name, act in acts.items()}


def _statements(database: Database, act: Callable[[str], object], purchase_id: str) -> int:
    with counted(database.engine) as statements:
        act(purchase_id)
    return len(statements)
