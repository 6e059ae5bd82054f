"""
Linking two accounts and claiming what waited, against SQLAlchemy Core doing the same statements, and with many others
waiting against few.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.floor import counted
from benchmarks.link_floor import LinkFloor
from benchmarks.link_hosts import LINK_NAMES, WAITING, LinkHosts, wait
from benchmarks.measuring import OURS, Effort, Line, Note, Work, race, repeat, shown
from benchmarks.storing import CORE, SERVERS, SMALL, Turns
from crossapp_ah.operations import claims
from tests.databases import Database, open_database

MODEL, OTHER_MODEL = "a-model", "another-model"
"""The people whose statements are counted."""
MANY = 1_000
_TIMES, _ROUNDS = 10, 15


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    On each server that is up.
    """
    for name, server in SERVERS.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                empty, small, large = (
                    stack.enter_context(open_database(name, folder, size)) for size in ("empty", "small", "large")
                )
            except pytest.skip.Exception as missing:
                yield Note(str(missing))
                continue
            hosts = LinkHosts(empty)
            yield from _against_core(effort, server, empty, hosts)
            yield _of_many(effort, server, empty, hosts)
            if effort.rows:
                yield from _among_many(effort, server, small, large)


def _against_core(effort: Effort, server: str, database: Database, hosts: LinkHosts) -> Iterator[Line]:
    floor, ids = LinkFloor(database.engine), _ids(effort, OURS, CORE)
    hosts.prepare([MODEL, OTHER_MODEL, *(id_ for each in ids.values() for id_ in each)], waiting=1)
    for name, what in LINK_NAMES.items():
        ours, core = getattr(hosts, name), getattr(floor, name)
        with counted(database.engine) as statements:
            ours(MODEL)
        with counted(database.engine) as least:
            core(OTHER_MODEL)
        works: dict[str, Work] = {OURS: Turns(ours, iter(ids[OURS])), CORE: Turns(core, iter(ids[CORE]))}
        measured = race(works, effort, times=_TIMES, rounds=_ROUNDS)
        label = f"{what} and commit, {server}, {len(statements)} statements"
        yield Line(label, f"{CORE}, {len(least)} statements", measured[CORE], measured[OURS], "≤ 1.5")


def _of_many(effort: Effort, server: str, database: Database, hosts: LinkHosts) -> Note:
    rows = max(claims.BATCH, effort.times(MANY))
    people = [f"rich-{number}" for number in range(3)]
    hosts.prepare(people, waiting=rows)
    for id_ in people:
        hosts.link(id_)
    first, *others = people
    with counted(database.engine) as statements:
        batches = hosts.claim_all(first)
    turns = Turns(hosts.claim_all, iter(others))
    measured = race({OURS: turns}, Effort(rounds=1, share=0.1), times=1)[OURS]
    return Note(
        f"Claiming {rows:,} rows of one user, {server}: {len(statements)} statements in {batches} batches, "
        f"{shown(measured.median / rows)} for each row."
    )


def _among_many(effort: Effort, server: str, *databases: Database) -> Iterator[Line | Note]:
    sizes = [SMALL, effort.rows]
    names, hosts = [f"{size:,}" for size in sizes], [LinkHosts(database) for database in databases]
    ids = _ids(effort, *names)
    for host, each, database, size in zip(hosts, ids.values(), databases, sizes, strict=True):
        host.prepare(each, waiting=WAITING)
        for id_ in each:
            host.link(id_)
        wait(database.engine, size)
    works: dict[str, Work] = {name: Turns(host.claim, iter(ids[name])) for name, host in zip(names, hosts, strict=True)}
    few, many = race(works, effort, times=_TIMES, rounds=_ROUNDS).values()
    what = f"claim {WAITING} rows of one user and commit, {server}, among {effort.rows:,} that wait"
    yield Line(what, f"among {SMALL:,}", few, many, "≤ 1.2")
    looking = {name: repeat(host.find_missed) for name, host in zip(names, hosts, strict=True)}
    few, many = race(looking, effort, times=_TIMES, rounds=_ROUNDS).values()
    links = len(ids[names[0]])
    what = f"find claims that were missed, {server}, {links} links, {effort.rows:,} rows that wait"
    yield Line(what, f"{SMALL:,} rows that wait", few, many, "≤ 1.2")


def _ids(effort: Effort, *names: str) -> dict[str, list[str]]:
    # one more round than there are, for the first one that isn't measured
    count = effort.times(_TIMES) * (_ROUNDS + 1)
    return {name: [f"{place}_{number}" for number in range(count)] for place, name in enumerate(names)}
