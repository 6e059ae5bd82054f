from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from crossapp_core.events import AccountLinked, AccountUnlinked
from crossapp_core.models import AccountLinkToken
from crossapp_core.operations import links, owed_links, shared_sign_ins
from crossapp_core.outcomes import Due, Outcome
from tests.core.linking.side import (
    ADA,
    BUYER,
    EVE,
    MINUTE,
    NOW,
    PEER,
    STRANGER,
    THIRD,
    US,
    Identity,
    Member,
    Side,
    events,
    holds,
    login,
    pair,
    said,
)

DUE = NOW + MINUTE


def again(side: Side, *, after: timedelta = MINUTE, limit: int = 100) -> Outcome:
    """
    Ask for all that is due.
    """
    return side.do(owed_links.announce_again, Due(PEER, limit), now=NOW + after)


def attempts(outcome: Outcome) -> list[tuple[str, str, int]]:
    """
    To whom what is sent, and how often it was before.
    """
    return [(message.target, message.event.name, message.attempt) for message in outcome.messages]


class TestAnnounce:
    def test_owed(self, side: Side) -> None:
        """
        The peer is told what the row says.
        """
        side.link(linked_email="ada@shop.example")
        outcome = side.do(owed_links.announce, pair())

        [message] = outcome.messages
        assert (message.target, message.attempt, outcome.ids, outcome.changed) == (PEER, 0, (side.row.id,), False)
        assert message.event == AccountLinked(
            source_app=US,
            user_id=ADA,
            email="ada@example.com",
            linked_app=PEER,
            linked_user_id=BUYER,
            linked_email="ada@shop.example",
            link_method="explicit",
            linked_at=NOW,
            version=3,
        )

    def test_unlinked(self, side: Side) -> None:
        """
        What was unlinked meanwhile is told as that.
        """
        side.link()
        side.unlink()
        [event] = events(side.do(owed_links.announce, pair()))

        assert isinstance(event, AccountUnlinked)
        assert event.version == 4

    def test_known(self, side: Side) -> None:
        """
        What the peer has shown to know isn't told again.
        """
        side.link()
        side.hear(holds(3))

        assert side.do(owed_links.announce, pair()).messages == ()

    @pytest.mark.parametrize("who", [(ADA, STRANGER), (EVE, BUYER), ("x" * 500, BUYER), (ADA, BUYER, THIRD)], ids=str)
    def test_no_such_pair(self, side: Side, who: tuple[str, ...]) -> None:
        """
        A pair that isn't in the table, as in a forged hint, is nothing to tell, and no row is written.
        """
        side.link()
        outcome = side.do(owed_links.announce, pair(*who))

        assert (outcome.ids, outcome.messages) == ((), ())
        assert len(side.rows) == 1

    def test_never_linked(self, side: Side) -> None:
        """
        A pair that lost to a standing link, and so was never linked, is nothing to tell.
        """
        side.link()
        side.do(links.link_by_oauth, pair(EVE), method="oauth-github", email=None)

        assert side.do(owed_links.announce, pair(EVE)).messages == ()


class TestAnnounceAgain:
    def test_backoff(self, side: Side) -> None:
        """
        What isn't acknowledged is told again after 1 minute, doubling to 6 hours, each time as another attempt and up
        to a fifth earlier.
        """
        side.link()
        assert again(side, after=MINUTE - timedelta(milliseconds=1)).messages == ()
        when, waits = MINUTE, []
        for attempt in range(1, 13):
            outcome = again(side, after=when)
            assert attempts(outcome) == [(PEER, "account/linked", attempt)]
            assert (outcome.ids, outcome.changed) == ((side.row.id,), True)
            assert side.row.next_attempt_at is not None
            wait = side.row.next_attempt_at - (NOW + when)
            assert again(side, after=when + wait - timedelta(milliseconds=1)).messages == ()
            waits.append(wait / MINUTE)
            when += wait

        whole = [2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360, 360]
        assert all(0.8 * most <= wait <= most for wait, most in zip(waits, whole, strict=True))
        assert len(set(waits[-4:])) > 1

    def test_both_kinds(self, side: Side) -> None:
        """
        What was unlinked is owed as well, from the beginning.
        """
        side.link()
        again(side)
        side.unlink()

        assert attempts(again(side)) == [(PEER, "account/unlinked", 1)]

    def test_acknowledged(self, side: Side) -> None:
        """
        What the peer has shown to know isn't told again, ever.
        """
        side.link()
        side.hear(holds(3))

        assert again(side, after=timedelta(days=99)).messages == ()

    def test_oldest_first(self, side: Side) -> None:
        """
        Only so many at once, those that are due longest.
        """
        members = [f"member-{number}" for number in range(5)]
        side.add(*(Member(id=id_) for id_ in members))
        for number, id_ in enumerate(members):
            side.link(id_, f"buyer-{id_}", now=NOW - number * MINUTE)
        users = [
            [event.user_id for event in events(again(side, limit=2)) if isinstance(event, AccountLinked)]
            for _ in range(4)
        ]

        assert users == [["member-4", "member-3"], ["member-2", "member-1"], ["member-0"], []]

    def test_unknown_peer(self, side: Side) -> None:
        """
        What is owed to an app that is no peer any more is told to nobody, and keeps nothing from the others.
        """
        side.link(app=THIRD)
        side.link()
        outcome = again(side)

        assert attempts(outcome) == [(PEER, "account/linked", 1)]
        gone = next(row for row in side.rows if row.linked_app == THIRD)
        assert gone.next_attempt_at == DUE

    @pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)  # SQLite has one writer at a time
    def test_two_workers(self, side: Side) -> None:
        """
        Two workers at the same time tell each peer once: one takes what the other hasn't locked.
        """
        for number in range(4):
            side.add(Member(id=f"member-{number}"))
            side.link(f"member-{number}", f"buyer-{number}")
        told: list[Outcome] = []
        with side.database.session() as first:
            told.append(owed_links.announce_again(first, side.linker, Due(PEER, 2), now=DUE))
            # in a thread with a limit, so that waiting for the lock would be a failure and no hang
            worker = threading.Thread(target=lambda: told.append(again(side)), daemon=True)
            worker.start()
            worker.join(20)
            assert not worker.is_alive(), "the second worker waits for the first"

        users = [{event.user_id for event in events(outcome) if isinstance(event, AccountLinked)} for outcome in told]
        assert (len(users[0]), len(users[1]), len(users[0] | users[1])) == (2, 2, 4)


class TestNoteAccepted:
    def test_sketch_peer(self, side: Side) -> None:
        """
        A link that a sketch peer's Inngest has accepted is known to it.
        """
        sketchy = side.with_(sketches=frozenset({PEER}))
        sketchy.link()
        told = sketchy.do(owed_links.announce, pair())
        outcome = sketchy.do(owed_links.note_accepted, list(told.messages))

        assert (outcome.ids, outcome.changed) == ((side.row.id,), True)
        assert (side.row.acknowledged_version, side.row.next_attempt_at) == (3, None)
        assert sketchy.do(owed_links.announce, pair()).messages == ()
        assert not sketchy.do(owed_links.note_accepted, list(told.messages)).changed

    def test_other_peers(self, side: Side) -> None:
        """
        That a library's peer has accepted something shows nothing yet.
        """
        side.link()
        told = side.do(owed_links.announce, pair())
        outcome = side.do(owed_links.note_accepted, list(told.messages))

        assert (outcome.ids, outcome.changed, side.row.acknowledged_version) == ((), False, 0)

    def test_older(self, side: Side) -> None:
        """
        What was accepted is what was told, not what is held meanwhile.
        """
        sketchy = side.with_(sketches=frozenset({PEER}))
        sketchy.do(links.link_by_oauth, pair(), method="oauth-github", email=None)
        told = sketchy.do(owed_links.announce, pair())
        sketchy.link()
        sketchy.do(owed_links.note_accepted, list(told.messages))

        assert (side.row.version, side.row.acknowledged_version) == (3, 1)
        assert side.row.next_attempt_at is not None

    def test_unlinked(self, side: Side) -> None:
        """
        A sketch peer isn't told what was unlinked, which it doesn't understand: nothing is owed.
        """
        sketchy = side.with_(sketches=frozenset({PEER}))
        sketchy.link()
        sketchy.unlink()

        assert (side.row.version, side.row.acknowledged_version, side.row.next_attempt_at) == (4, 4, None)
        assert sketchy.do(owed_links.announce, pair()).messages == ()
        assert again(sketchy, after=timedelta(days=9)).messages == ()

    def test_never_answered(self, side: Side) -> None:
        """
        A sketch peer gets no answer, neither to a link, a lost one, nor one of nobody; a conflict tells it nothing.
        """
        sketchy = side.with_(sketches=frozenset({PEER}))
        assert sketchy.hear(said(3)).messages == ()
        assert sketchy.hear(said(3, EVE)).messages == ()
        assert sketchy.hear(said(1, EVE)).messages == ()
        assert sketchy.hear(said(3, "school-nobody")).messages == ()
        assert side.standing == {(ADA, BUYER, 3)}
        assert [row.next_attempt_at for row in side.rows] == [None, None]

    def test_linked_again_from_here(self, side: Side) -> None:
        """
        What was unlinked here is linked again from here alone: the sketch peer's number stays the same.
        """
        sketchy = side.with_(sketches=frozenset({PEER}))
        sketchy.hear(said(3))
        sketchy.unlink()
        sketchy.hear(said(3))
        assert side.standing == set()

        sketchy.link()
        assert side.standing == {(ADA, BUYER, 5)}
        [event] = events(sketchy.do(owed_links.announce, pair()))
        assert isinstance(event, AccountLinked)

    def test_sign_in_of_it(self, side: Side) -> None:
        """
        A sign-in there counts as 1, as everywhere.
        """

        sketchy = side.with_(sketches=frozenset({PEER}))
        side.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        sketchy.do(shared_sign_ins.link, login())

        assert side.standing == {(ADA, BUYER, 1)}


class TestForgetTokens:
    def test_expired(self, side: Side) -> None:
        """
        A used token is forgotten a day after it expired, the oldest first, so many at once.
        """
        ends = [NOW - timedelta(days=1), *(NOW - timedelta(days=1, seconds=seconds) for seconds in (1, 2, 3))]
        side.add(
            *(
                AccountLinkToken(jti=f"token-{number}", used_at=NOW - timedelta(days=2), expires_at=end)
                for number, end in enumerate(ends)
            )
        )
        assert side.do(owed_links.forget_tokens, 2).changed
        assert {token.jti for token in side.tokens} == {"token-0", "token-1"}
        assert side.do(owed_links.forget_tokens, 2).changed
        assert not side.do(owed_links.forget_tokens, 2).changed
        assert {token.jti for token in side.tokens} == {"token-0"}
