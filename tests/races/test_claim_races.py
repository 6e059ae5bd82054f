"""
Two workers at the same entitlement, or the link that it goes by, at the same moment.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter

import pytest
from sqlalchemy import update
from sqlmodel import col

from benchmarks.rows import analyse
from crossapp_ah.models import Entitlement
from crossapp_ah.operations import claims, entitlements
from crossapp_ah.operations.claims import Claim
from crossapp_core.events import EntitlementGranted
from crossapp_core.operations import links
from crossapp_core.outcomes import Outcome
from tests.ah.school import SHOP, sale
from tests.databases import Database
from tests.hosts import NOW
from tests.races.link_workers import (
    LINKER,
    ONE_EACH,
    OTHER_LEVELS,
    Arena,
    Cast,
    claim,
    confirm,
    grant,
    linked,
    merge,
    merged,
    opened,
    revoke,
    unlink,
)
from tests.races.stacks import Stack
from tests.races.workers import Worker, race
from tests.rivals import at_once, impatient_session

pytestmark = pytest.mark.no_cover  # tracing each line would make a race another one, and take many minutes

EACH = pytest.mark.parametrize("stack", ONE_EACH, ids=str, indirect=True)
EACH_AND_LEVELS = pytest.mark.parametrize("stack", [*ONE_EACH, *OTHER_LEVELS], ids=str, indirect=True)

POSTGRESQL = pytest.mark.parametrize(
    "stack",
    [each for each in (*ONE_EACH, *OTHER_LEVELS) if each.driver.database == "postgresql"],
    ids=str,
    indirect=True,
)


class TestClaimAndRevoke:
    @EACH_AND_LEVELS
    def test_revoke_stays(self, stack: Stack, database: Database) -> None:
        """
        What is claimed while it is refunded is revoked in the end, whoever comes first; what else waits for the buyer
        is theirs.
        """
        arena = Arena.of(stack, database)
        arena.school.add(*(linked(cast) for cast in arena.casts))
        arena.wait_for((f"{cast.purchase}{part}", cast) for cast in arena.casts for part in ("", "-kept"))
        rounds = [
            (
                partial(claim, granter=arena.granter, account=cast.one),
                partial(revoke, granter=arena.granter, purchase_id=cast.purchase),
            )
            for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        held = arena.held()
        for cast, ((_, claimed), revoked) in zip(arena.casts, answers, strict=True):
            gone, kept = held[cast.purchase], held[f"{cast.purchase}-kept"]
            assert revoked.changed
            assert (gone.status, gone.source_version) == ("revoked", 2)
            assert (kept.status, kept.user_id, kept.source_version) == ("active", cast.ada, 1)
            first = {cast.purchase: cast.ada} if gone.claimed_at else {}
            assert opened(claimed) == {**first, f"{cast.purchase}-kept": cast.ada}


class TestClaimAndGrant:
    @EACH_AND_LEVELS
    def test_link_just_made(self, stack: Stack, database: Database) -> None:
        """
        A purchase that arrives while its buyer is linked is theirs in the end: either its grant finds the link, at the
        latest when it looks again, or the claim that follows the link finds the purchase.
        """
        arena = Arena.of(stack, database)
        rounds = [
            (partial(link_and_claim, arena=arena, cast=cast), partial(grant_late, arena=arena, cast=cast))
            for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        held = arena.held()
        for cast, (claimed, granted) in zip(arena.casts, answers, strict=True):
            row = held[cast.purchase]
            assert (row.status, row.user_id) == ("active", cast.ada)
            assert opened(claimed) | opened(granted) == {cast.purchase: cast.ada}

    @POSTGRESQL
    def test_neither_sees_the_other(self, stack: Stack, database: Database) -> None:
        """
        A link that is made and claimed before the grant that didn't see it is committed finds nothing; the second look
        finds the link. Elsewhere the claim waits for the grant.
        """
        arena = Arena.of(stack, database, rounds=1, elsewhere=1)
        [cast] = arena.casts
        request = sale(purchase_id=cast.purchase, buyer_user_id=cast.one)

        def link_meanwhile() -> Outcome:
            with Worker(stack, database) as other:
                return link_and_claim(other, arena=arena, cast=cast)

        with database.session() as session:
            granted = entitlements.grant(session, arena.granter, request, now=NOW)
            session.flush()
            [claimed] = at_once(link_meanwhile)
        with Worker(stack, database) as worker:
            looked = worker.do(entitlements.look_again, arena.granter, request, now=NOW)

        assert (opened(granted), opened(claimed)) == ({}, {})
        assert opened(looked) == {cast.purchase: cast.ada}


class TestGrantAndUnlink:
    @EACH
    def test_user_of_that_moment(self, stack: Stack, database: Database) -> None:
        """
        A purchase that arrives while its buyer is unlinked, and in some rounds linked with somebody else, is unlocked
        for whom the buyer is linked with when that is committed, and never waits while a link stands.
        """
        arena = Arena.of(stack, database)
        arena.school.add(*(linked(cast) for cast in arena.casts))
        rounds = [
            (partial(grant, granter=arena.granter, cast=cast), partial(leave, arena=arena, cast=cast))
            for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        held, standing = arena.held(), arena.standing()
        for cast, ((decided_at, granted), (left_at, claimed)) in zip(arena.casts, answers, strict=True):
            row = held[cast.purchase]
            holder = None if row.user_id is None else str(row.user_id)
            assert (holder is None) == (row.status == "pending")
            assert opened(granted) | opened(claimed) == ({cast.purchase: holder} if holder else {})
            if holder == cast.ada:
                assert decided_at < left_at  # the link stood until that was committed
            else:
                assert holder == (cast.bob if (cast.bob, cast.one) in standing else None)


class TestClaimAndUnlink:
    @EACH
    def test_user_of_that_moment(self, stack: Stack, database: Database) -> None:
        """
        What is claimed while its buyer is unlinked is claimed for whom the buyer is linked with when that is
        committed, or waits.
        """
        arena = Arena.of(stack, database, rounds=100)
        arena.school.add(*(linked(cast) for cast in arena.casts))
        arena.wait_for((cast.purchase, cast) for cast in arena.casts)
        rounds = [
            (
                partial(claim, granter=arena.granter, account=cast.one),
                partial(leave, arena=arena, cast=cast),
            )
            for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        held, standing = arena.held(), arena.standing()
        for cast, ((decided_at, mine), (left_at, its)) in zip(arena.casts, answers, strict=True):
            holder = held[cast.purchase].user_id
            assert opened(mine) | opened(its) == ({cast.purchase: holder} if holder else {})
            if holder == cast.ada:
                assert decided_at < left_at  # the link stood until that was committed
            else:
                assert holder == (cast.bob if (cast.bob, cast.one) in standing else None)


class TestClaim:
    @pytest.mark.parametrize("stack", ONE_EACH[1:], ids=str, indirect=True)
    def test_locks_nobody_elses(self, stack: Stack, database: Database) -> None:
        """
        Much that is claimed for one user, on a table that is full of what others have bought, leaves theirs unlocked.
        """
        arena = Arena.of(stack, database, rounds=2)
        ada, other = arena.casts
        arena.school.add(*map(linked, arena.casts))
        arena.wait_for((f"pur-{number:05}", ada if number % 20 == 0 else other) for number in range(6000))
        analyse(database.engine, Entitlement)
        theirs = [f"ent_pur-{number:05}" for number in range(1, 6000, 500)]
        change = update(Entitlement).where(col(Entitlement.id).in_(theirs)).values(retry_count=1)
        after = None

        for batch in range(3):
            request = Claim({"linked_app": SHOP, "linked_user_id": ada.one}, NOW, after)
            with database.session() as session, impatient_session(database) as another:
                outcome = claims.claim(session, arena.granter, request, now=NOW)
                assert another.connection().execute(change).rowcount == len(theirs)
            last = outcome.messages[-1].event
            assert isinstance(last, EntitlementGranted)
            assert last.source_purchase_id == f"pur-{(batch + 1) * 2000 - 20:05}"
            after = last.source_purchase_id, last.product_id
        assert [row.status for row in arena.school.rows].count("active") == 300


def link_and_claim(worker: Worker, *, arena: Arena, cast: Cast) -> Outcome:
    """
    Link the buyer, by turns as a person does it here and as the peer tells of it, and claim as the function does.
    """
    if cast.number % 4 > 1:
        merge(worker, fact=merged(cast.ada, cast.one))
    else:
        confirm(worker, user_id=cast.ada, account=cast.one)
    return claim(worker, granter=arena.granter, account=cast.one)[1]


def grant_late(worker: Worker, *, arena: Arena, cast: Cast) -> Outcome:
    """
    Hear of a purchase, by turns somewhat later than the other begins: the link takes longer than the purchase.
    """
    for _ in range(cast.number % 5):
        worker.do(links.find, LINKER, SHOP, cast.bob)
    return grant(worker, granter=arena.granter, cast=cast)[1]


def leave(worker: Worker, *, arena: Arena, cast: Cast) -> tuple[float, Outcome]:
    """
    Unlink the buyer; the time after that. In half of the rounds somebody else links them, and claims.
    """
    unlink(worker, user_id=cast.ada, account=cast.one)
    left_at = perf_counter()
    if cast.number % 4 < 2:
        return left_at, Outcome()
    confirm(worker, user_id=cast.bob, account=cast.one)
    return left_at, claim(worker, granter=arena.granter, account=cast.one)[1]
