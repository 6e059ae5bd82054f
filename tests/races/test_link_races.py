"""
Two workers at the same accounts at the same moment.
"""

from __future__ import annotations

from functools import partial

import pytest
from sqlmodel import select

from crossapp_core.errors import LinkConflictError, LinkTokenError
from crossapp_core.models import AccountLinkToken
from crossapp_core.outcomes import Outcome
from tests.databases import Database
from tests.races.link_workers import (
    ONE_EACH,
    OTHER_LEVELS,
    Answer,
    Arena,
    confirm,
    linked,
    sign_in,
    unlink,
    versions,
)
from tests.races.stacks import Stack
from tests.races.workers import Work, race

pytestmark = pytest.mark.no_cover  # tracing each line would make a race another one, and take many minutes

EACH = pytest.mark.parametrize("stack", ONE_EACH, ids=str, indirect=True)
EACH_AND_LEVELS = pytest.mark.parametrize("stack", [*ONE_EACH, *OTHER_LEVELS], ids=str, indirect=True)


class TestConfirm:
    @EACH
    def test_one_token(self, stack: Stack, database: Database) -> None:
        """
        A token that two confirm at once, be it one user twice or two users, makes one link; the other hears that it
        was used.
        """
        arena = Arena.of(stack, database)

        def works(number: int) -> tuple[Work, Work]:
            cast = arena.casts[number]
            others = cast.bob if number % 4 > 1 else cast.ada
            same = partial(confirm, account=cast.one, token=f"token-{number}")
            return partial(same, user_id=cast.ada), partial(same, user_id=others)

        answers = race(stack, database, [works(cast.number) for cast in arena.casts])

        for pair in answers:
            [outcome], [error] = split(pair)
            assert isinstance(error, LinkTokenError)
            assert error.reason == "replayed"
            assert (outcome.changed, versions(outcome)) == (True, [3])
        assert sorted(account for _, account in arena.standing()) == [cast.one for cast in arena.casts]
        assert all(row.version == 3 and row.active for row in arena.links().values())
        with database.session() as session:
            used = session.exec(select(AccountLinkToken.jti)).all()
        assert sorted(used) == sorted(f"token-{cast.number}" for cast in arena.casts)

    @EACH_AND_LEVELS
    @pytest.mark.parametrize("who", ["two users", "two accounts"])
    def test_one_link(self, stack: Stack, database: Database, who: str) -> None:
        """
        Of two users who link one account, or one user who links two, one gets their link; the other hears that there
        is one, their token stays unused and no row is left of it.
        """
        arena = Arena.of(stack, database)
        pairs = [
            [(cast.ada, cast.one), (cast.bob, cast.one) if who == "two users" else (cast.ada, cast.two)]
            for cast in arena.casts
        ]

        def work(user_id: str, account: str) -> Work:
            return partial(confirm, user_id=user_id, account=account, token=f"token-{user_id}-{account}")

        answers = race(stack, database, [(work(*one), work(*other)) for one, other in pairs])

        won = []
        for answer, both in zip(answers, pairs, strict=True):
            [outcome], [error] = split(answer)
            assert isinstance(error, LinkConflictError)
            assert error.ours == (who == "two accounts")
            assert versions(outcome) == [3]
            won.append(both[0] if answer[0] is outcome else both[1])
        assert arena.links().keys() == set(won)
        assert arena.standing() == set(won)
        with database.session() as session:
            used = session.exec(select(AccountLinkToken.jti)).all()
        assert sorted(used) == sorted(f"token-{user_id}-{account}" for user_id, account in won)


OUTCOMES = {
    # what a pair is before, and then what link and unlink say and what it is: one first, or the other
    0: [([3], [4], 4), ([3], [], 3)],
    1: [([3], [4], 4), ([3], [2], 3)],
    3: [([3], [4], 4), ([5], [4], 5)],
    4: [([5], [6], 6), ([5], [], 5)],
}


class TestLinkAndUnlink:
    @EACH
    def test_one_after_the_other(self, stack: Stack, database: Database) -> None:
        """
        A link and an unlink of one pair at once end as if one had come after the other: no number is given twice, none
        is left out, and the larger one stands.
        """
        arena = Arena.of(stack, database)
        before = [list(OUTCOMES)[cast.number % len(OUTCOMES)] for cast in arena.casts]
        arena.school.add(*(linked(cast, version) for cast, version in zip(arena.casts, before, strict=True) if version))
        rounds = [
            (
                partial(confirm, user_id=cast.ada, account=cast.one),
                partial(unlink, user_id=cast.ada, account=cast.one),
            )
            for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        rows = arena.links()
        for cast, version, (of_link, of_unlink) in zip(arena.casts, before, answers, strict=True):
            row = rows[cast.ada, cast.one]
            assert (versions(of_link), versions(of_unlink), row.version) in OUTCOMES[version]
            stands = row.version % 2 == 1
            assert (row.active, row.unlinked_at is None) == (1 if stands else None, stands)
            assert row.next_attempt_at is not None


class TestSignIn:
    @EACH
    def test_twice(self, stack: Stack, database: Database) -> None:
        """
        The same sign-in heard of twice at once makes one link, which is told once.
        """
        arena = Arena.of(stack, database)
        rounds = [(partial(sign_in, cast=cast), partial(sign_in, cast=cast)) for cast in arena.casts]
        answers = race(stack, database, rounds)

        for pair in answers:
            assert sorted((outcome.changed, versions(outcome)) for outcome in pair) == [(False, []), (True, [1])]
        rows = arena.links()
        assert rows.keys() == {(cast.ada, cast.one) for cast in arena.casts}
        assert {(row.version, row.link_method, row.active) for row in rows.values()} == {(1, "oauth-github", 1)}

    @EACH
    def test_while_confirmed(self, stack: Stack, database: Database) -> None:
        """
        A pair that a person confirms while it is linked by a sign-in is linked as the person said.
        """
        arena = Arena.of(stack, database, rounds=100)
        rounds = [
            (partial(sign_in, cast=cast), partial(confirm, user_id=cast.ada, account=cast.one)) for cast in arena.casts
        ]
        answers = race(stack, database, rounds)

        assert all(versions(confirmed) == [3] for _, confirmed in answers)
        assert all(versions(signed_in) in ([], [1]) for signed_in, _ in answers)
        rows = arena.links()
        assert rows.keys() == {(cast.ada, cast.one) for cast in arena.casts}
        assert {(row.version, row.link_method, row.active) for row in rows.values()} == {(3, "explicit", 1)}
        assert all(row.lost_to_id is None for row in rows.values())

    @EACH
    def test_while_another_is_confirmed(self, stack: Stack, database: Database) -> None:
        """
        A sign-in and a person's confirmation of a pair that excludes it make one link: the first. A sign-in that comes
        late leaves a row that says which link stands; a confirmation that does is refused.
        """
        arena = Arena.of(stack, database, rounds=100)
        excluding = [(cast.ada, cast.two) if cast.number % 4 > 1 else (cast.bob, cast.one) for cast in arena.casts]
        rounds = [
            (partial(sign_in, cast=cast), partial(confirm, user_id=pair[0], account=pair[1]))
            for cast, pair in zip(arena.casts, excluding, strict=True)
        ]
        answers = race(stack, database, rounds)

        rows = arena.links()
        for cast, other, (signed_in, confirmed) in zip(arena.casts, excluding, answers, strict=True):
            mine = rows[cast.ada, cast.one]
            if signed_in.changed:
                assert isinstance(confirmed, LinkConflictError)
                assert other not in rows
                assert (mine.version, mine.active, mine.lost_to_id) == (1, 1, None)
            else:
                assert (versions(signed_in), versions(confirmed)) == ([], [3])
                assert (rows[other].version, rows[other].active) == (3, 1)
                assert (mine.version, mine.active, mine.lost_to_id) == (0, None, rows[other].id)


def split(answers: tuple[Answer, Answer]) -> tuple[list[Outcome], list[Exception]]:
    """
    What was done, and what was refused.
    """
    outcomes = [answer for answer in answers if isinstance(answer, Outcome)]
    return outcomes, [answer for answer in answers if not isinstance(answer, Outcome)]
