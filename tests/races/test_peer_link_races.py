"""
What a peer says of a link, and what it is owed, while another worker is at the same link.
"""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import text

from crossapp_core.events import AccountUnlinked
from crossapp_core.operations import owed_links
from crossapp_core.outcomes import Due, Outcome
from tests.ah.school import SHOP, link
from tests.databases import Database
from tests.hosts import NOW
from tests.races.link_workers import LINKER, ONE_EACH, Arena, later, linked, merge, merged, unlink, versions
from tests.races.stacks import Stack
from tests.races.workers import Work, Worker, race

pytestmark = pytest.mark.no_cover  # tracing each line would make a race another one, and take many minutes

EACH = pytest.mark.parametrize("stack", ONE_EACH, ids=str, indirect=True)
IMPATIENT = {"postgresql": "SET LOCAL lock_timeout = '1s'", "mariadb": "SET SESSION innodb_lock_wait_timeout = 1"}
# on SQLite nobody can write meanwhile
SERVERS = pytest.mark.parametrize("stack", ONE_EACH[1:], ids=str, indirect=True)


class TestMerge:
    @EACH
    def test_excluding_links(self, stack: Stack, database: Database) -> None:
        """
        Of two links of the peer that exclude each other the same one stands whichever is heard of first: the one that
        was confirmed, then the one with the smaller ids. The other is unlinked, once.
        """
        arena = Arena.of(stack, database, rounds=100)
        numbers = [[(3, 3), (1, 3), (3, 1), (1, 1), (5, 3)][cast.number % 5] for cast in arena.casts]
        others = [(cast.ada, cast.two) if cast.number % 4 > 1 else (cast.bob, cast.one) for cast in arena.casts]
        rounds = [
            (
                partial(merge, fact=merged(cast.ada, cast.one, version)),
                partial(merge, fact=merged(*other, other_version)),
            )
            for cast, other, (version, other_version) in zip(arena.casts, others, numbers, strict=True)
        ]
        answers = race(stack, database, rounds)

        rows = arena.links()
        for cast, other, (version, other_version), answer in zip(arena.casts, others, numbers, answers, strict=True):
            mine, its = rows[cast.ada, cast.one], rows[other]
            lost = (version, other_version) == (1, 3)
            (won, won_at), (given_up, lost_at) = (
                ((its, other_version), (mine, version)) if lost else ((mine, version), (its, other_version))
            )
            assert (won.version, won.active, won.lost_to_id) == (won_at, 1, None)
            assert (given_up.version, given_up.active, given_up.lost_to_id) == (lost_at + 1, None, won.id)
            assert (won.next_attempt_at, given_up.next_attempt_at is None) == (None, False)
            told = [message.event for outcome in answer for message in outcome.messages]
            unlinked = [event for event in told if isinstance(event, AccountUnlinked)]
            assert [(event.user_id, event.linked_user_id, event.version) for event in unlinked] == [
                (given_up.user_id, given_up.linked_user_id, lost_at + 1)
            ]

    @EACH
    def test_rival_is_unlinked(self, stack: Stack, database: Database) -> None:
        """
        A link that gives way to one of the peer while it is unlinked gets its next number once, from either.
        """
        arena = Arena.of(stack, database, rounds=100)
        arena.school.add(*(link(cast.ada, cast.two) for cast in arena.casts))
        rounds = [
            (
                partial(merge, fact=merged(cast.ada, cast.one)),
                partial(unlink, user_id=cast.ada, account=cast.two),
            )
            for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        rows = arena.links()
        for cast, (of_merge, of_unlink) in zip(arena.casts, answers, strict=True):
            mine, other = rows[cast.ada, cast.one], rows[cast.ada, cast.two]
            assert (mine.version, mine.active, other.version, other.active) == (3, 1, 4, None)
            assert other.lost_to_id == (None if of_unlink.changed else mine.id)
            # the 4 is told by whoever gave it
            assert (versions(of_merge), versions(of_unlink)) == (([3], [4]) if of_unlink.changed else ([3, 4], []))


class TestAnnounceAgain:
    @EACH
    def test_shared(self, stack: Stack, database: Database) -> None:
        """
        Two workers that look for what is owed at once never announce the same link both, and leave none out.
        """
        arena = Arena.of(stack, database, rounds=100)
        due, share = 10, 6
        rows = [linked(cast, next_attempt_at=NOW) for cast in arena.casts[:due]]
        arena.school.add(*rows)

        def work(day: int) -> Work:
            return lambda worker: announce(worker, day, share)

        answers = race(stack, database, [(work(cast.number), work(cast.number)) for cast in arena.casts])
        with Worker(stack, database) as worker:
            rest = announce(worker, len(arena.casts), due)

        attempts: dict[str, list[int]] = {row.id: [] for row in rows}
        for one, other in answers:
            assert not set(one.ids) & set(other.ids)
            assert max(len(one.ids), len(other.ids)) <= share
        for outcome in [*(each for pair in answers for each in pair), rest]:
            for id_, message in zip(outcome.ids, outcome.messages, strict=True):
                attempts[id_].append(message.attempt)
        for numbers in attempts.values():
            assert sorted(numbers) == list(range(1, len(numbers) + 1))
        assert sum(map(len, attempts.values())) > len(arena.casts) * share

    @SERVERS
    def test_waits_for_nobody(self, stack: Stack, database: Database) -> None:
        """
        What another worker is announcing is passed over, not waited for.
        """
        arena = Arena.of(stack, database, rounds=3)
        arena.school.add(*(linked(cast, next_attempt_at=NOW) for cast in arena.casts))

        with database.session() as session, database.session() as other:
            other.connection().execute(text(IMPATIENT[database.name]))
            held = owed_links.announce_again(session, LINKER, Due(SHOP, 2), now=NOW)
            session.flush()
            rest = owed_links.announce_again(other, LINKER, Due(SHOP, 3), now=NOW)

        assert (len(held.ids), len(rest.ids)) == (2, 1)
        assert not set(held.ids) & set(rest.ids)


def announce(worker: Worker, day: int, limit: int) -> Outcome:
    return worker.do(owed_links.announce_again, LINKER, Due(SHOP, limit), now=later(day))
