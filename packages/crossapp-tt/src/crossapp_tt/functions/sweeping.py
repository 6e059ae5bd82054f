"""
A sweep, step by step: each look and each group of purchases is a transaction of its own.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from crossapp_core.errors import StorageError
from crossapp_core.ports import Problem
from crossapp_core.runtime import Runtime
from crossapp_tt.operations import guards, mends, sweeps
from crossapp_tt.operations.findings import Finding
from crossapp_tt.operations.mends import Mended, Mending, Unreadable
from crossapp_tt.operations.standing import MOST_TAKINGS, Phase, Standing
from crossapp_tt.ports import Seller

T = TypeVar("T")

log = logging.getLogger(__name__)

GROUP = 50
"""How many purchases are recorded in one transaction."""
MOST_TAKEN = 200
"""From how many purchases access is taken in one step."""
MOST_NAMED = 20
"""How many purchases a problem names."""


@dataclass(frozen=True)
class SweepPlan:
    """
    What a sweep would do.
    """

    findings: tuple[Finding, ...]
    """Each purchase of which the ledger says something else; at most 10,000 of them."""
    counts: dict[str, int]
    """How many there are of each kind, all of them."""
    unreadable: tuple[Unreadable, ...] = ()
    """Purchases whose bundle can't be read, so that nothing would be done about them; at most 20."""


async def begin(seller: Runtime[Seller]) -> None:
    """
    Begin a pass, or go on with the one that is under way.
    """
    await _do(seller, sweeps.begin, None)


async def current(seller: Runtime[Seller]) -> Standing:
    """
    Where the sweep stands.
    """
    return await _do(seller, sweeps.current, None)


async def go_on(seller: Runtime[Seller]) -> bool:
    """
    Do a part of a pass; True if the pass is over.
    """
    standing = await current(seller)
    match standing.phase:
        case Phase.PURCHASES | Phase.LEDGER:
            await _look(seller, standing)
            return False
        case Phase.JUDGING:
            return await _judge(seller, standing)
        case Phase.TAKING:
            return await _take(seller, standing)
        case Phase.DONE:
            return True


async def found(seller: Runtime[Seller]) -> dict[str, int]:
    """
    How many purchases of each kind the last pass has found, which is logged too.
    """
    counts = dict((await current(seller)).counts)
    if counts:
        log.info("the sweep has found %s", ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    return counts


async def plan(seller: Runtime[Seller]) -> SweepPlan:
    """
    Go through a whole pass without writing anything.
    """
    known = await current(seller)
    standing = Standing(since=known.since, phase=Phase.PURCHASES)
    findings: list[Finding] = []
    while standing.phase in (Phase.PURCHASES, Phase.LEDGER):
        seen = await _do(seller, sweeps.look, standing)
        findings += standing.without_known(seen.findings)[: MOST_TAKINGS - len(findings)]
        standing = sweeps.moved(standing, seen)
    return SweepPlan(tuple(findings), dict(standing.counts), standing.unreadable)


async def release(seller: Runtime[Seller]) -> int:
    """
    Do what is held back, and only that; how many purchases that were.
    """
    held, done = await _do(seller, guards.held_back, None), 0
    while held.findings:
        ids = [finding.purchase_id for finding in held.findings[:GROUP]]
        await record(seller, ids)
        held, done = await _do(seller, guards.let_go, frozenset(ids)), done + len(ids)
    return done


async def record(seller: Runtime[Seller], purchase_ids: Sequence[str], *, quiet: bool = False) -> Mended:
    """
    Write down what purchases now are. One that can't be written down keeps no other from it.
    """
    changed: list[str] = []
    unreadable: list[Unreadable] = []
    for start in range(0, len(purchase_ids), GROUP):
        group = tuple(purchase_ids[start : start + GROUP])
        for mended in await _record_group(seller, group, quiet=quiet):
            changed += mended.changed
            unreadable += mended.unreadable
    return Mended(tuple(changed), tuple(unreadable))


async def _record_group(seller: Runtime[Seller], group: tuple[str, ...], *, quiet: bool) -> list[Mended]:
    try:
        return [await _do(seller, mends.mend, Mending(group, quiet))]
    except StorageError as error:
        if len(group) == 1:
            return [Mended(unreadable=(Unreadable(group[0], str(error)),))]
    return [each for id_ in group for each in await _record_group(seller, (id_,), quiet=quiet)]


async def _look(seller: Runtime[Seller], standing: Standing) -> None:
    seen = await _do(seller, sweeps.look, standing)
    # recorded before it is written down that the pass has come by: after a crash in between they are found again
    mended = await record(seller, [finding.purchase_id for finding in seen.findings if not finding.rows])
    seen = replace(seen, unreadable=[*seen.unreadable, *mended.unreadable])
    await _do(seller, sweeps.advance, sweeps.Step(standing, seen))


async def _judge(seller: Runtime[Seller], standing: Standing) -> bool:
    verdict = await _do(seller, guards.judge, standing)
    for problem in _problems(standing.unreadable):
        await seller.report(problem)
    if verdict.held is not None:
        await seller.report(_problem_of(verdict.held))
    return verdict.is_over


async def _take(seller: Runtime[Seller], standing: Standing) -> bool:
    some = standing.takings[:MOST_TAKEN]
    mended = await record(seller, [finding.purchase_id for finding in some])
    for problem in _problems(mended.unreadable):
        await seller.report(problem)
    now = seller.clock()

    def without_them(stored: Standing) -> Standing:
        rest = stored.takings[len(some) :]
        taken = [*stored.taken, (now, sum(finding.rows for finding in some))]
        lately = tuple(each for each in taken if replace(stored, taken=(each,)).taken_lately(now))
        return replace(stored, takings=rest, taken=lately, phase=Phase.TAKING if rest else Phase.DONE)

    after = await _do(seller, partial(sweeps.change, to=without_them), standing)
    return after is not None and after.phase == Phase.DONE


async def _do(seller: Runtime[Seller], operation: Callable[..., T], fact: object) -> T:
    return await seller.database.transact(operation, seller.host, fact, now=seller.clock())


def _problems(unreadable: Iterable[Unreadable]) -> list[Problem]:
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for each in unreadable:
        ids[each.message].append(each.purchase_id)
    return [Problem("not-swept", message, tuple(those[:MOST_NAMED])) for message, those in ids.items()]


def _problem_of(held: guards.Held) -> Problem:
    message = (
        f"a sweep would take away {held.rows} of {held.active} granted rows: it has taken none."
        " Look at bridge.plan_sweep(), then correct the purchases or call bridge.release()"
    )
    ids = tuple(finding.purchase_id for finding in held.findings[:MOST_NAMED])
    return Problem("mass-revocation", message, ids, since=held.since)
