from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import SQLModel

from crossapp_core.errors import EventRejectedError, LinkConflictError, LinkTokenError, UnknownPeerError
from crossapp_core.events import AccountLinked, AccountUnlinked
from crossapp_core.models import AccountLink
from crossapp_core.operations import links
from crossapp_core.table_ports import TableUsers
from crossapp_core.tables import AccountLinkBase
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
    Member,
    NumberedLink,
    NumberedMember,
    Side,
    confirmed,
    events,
    holds,
    pair,
    said,
)
from tests.databases import Database

TOKEN: dict[str, Any] = {"token_id": "5f0c2a8e9b7d4c61", "token_expires_at": NOW + timedelta(minutes=10)}
LATER = NOW + timedelta(days=2)


def at_version(side: Side, version: int, *who: str) -> None:
    """
    Bring a pair to a number, as the peer would; the peer knows it.
    """
    if version:
        side.hear(said(version, *who))


class TestLink:
    @pytest.mark.parametrize(("before", "after"), [(0, 3), (1, 3), (2, 3), (4, 5), (6, 7)])
    def test_number(self, side: Side, before: int, after: int) -> None:
        """
        A person's word gets the smallest odd number from 3 that is larger; the app's own functions are told of it.
        """
        at_version(side, before)
        outcome = side.link(linked_email="Ada@Shop.Example", now=LATER)

        row = side.row
        assert (row.version, row.acknowledged_version, row.link_method) == (after, before, "explicit")
        assert (row.user_id, row.linked_app, row.linked_user_id) == (ADA, PEER, BUYER)
        assert (row.linked_at, row.unlinked_at, row.active) == (LATER, None, 1)
        assert (row.next_attempt_at, row.linked_email) == (LATER + MINUTE, "ada@shop.example")
        assert (outcome.ids, outcome.changed) == ((row.id,), True)
        assert events(outcome, US) == [
            AccountLinked(
                source_app=US,
                user_id=ADA,
                email="ada@example.com",
                linked_app=PEER,
                linked_user_id=BUYER,
                linked_email="ada@shop.example",
                link_method="explicit",
                linked_at=LATER,
                version=after,
            )
        ]

    def test_again(self, side: Side) -> None:
        """
        Linking the same accounts again, with another token, changes nothing, and its own functions are told again.
        """
        first = side.link(**TOKEN)
        before = side.row.model_dump()
        again = side.link(now=LATER, token_id="another-token-id", token_expires_at=LATER)

        assert side.row.model_dump() == before
        assert (again.ids, again.changed, again.messages) == (first.ids, False, first.messages)
        assert len(side.tokens) == 2

    def test_unverified_address_stays(self, side: Side) -> None:
        """
        An address that isn't known to be the user's own isn't told to anybody.
        """
        outcome = side.link(EVE)

        [event] = events(outcome, US)
        assert isinstance(event, AccountLinked)
        assert (event.user_id, event.email) == (EVE, None)

    def test_token_is_noted(self, side: Side) -> None:
        """
        A token is used up in the transaction that makes the link.
        """
        side.link(**TOKEN)

        [token] = side.tokens
        assert (token.jti, token.used_at, token.expires_at) == (TOKEN["token_id"], NOW, NOW + timedelta(minutes=10))

    def test_one_transaction(self, side: Side) -> None:
        """
        If the link isn't committed, the token isn't used up either.
        """
        with side.database.session() as session:
            links.link(session, side.linker, confirmed(**TOKEN), now=NOW)
            session.rollback()

        assert (side.rows, side.tokens) == ([], [])

    @pytest.mark.parametrize("unlinked", [False, True], ids=["linked", "unlinked"])
    @pytest.mark.parametrize("who", [(ADA, BUYER), (ADA, STRANGER), (EVE, BUYER)], ids=str)
    def test_replay(self, side: Side, who: tuple[str, str], *, unlinked: bool) -> None:
        """
        A token that was used is refused and changes nothing, also after the link was removed, and for other accounts.
        """
        side.link(**TOKEN)
        if unlinked:
            side.unlink()
        before = [row.model_dump() for row in side.rows]
        with pytest.raises(LinkTokenError, match=r"^replayed: ") as caught:
            side.link(*who, **TOKEN)

        assert caught.value.reason == "replayed"
        assert [row.model_dump() for row in side.rows] == before
        assert len(side.tokens) == 1
        assert TOKEN["token_id"] not in str(caught.value)

    @pytest.mark.parametrize(
        ("who", "ours", "words"),
        [
            ((ADA, STRANGER), True, "the account here is linked with another one of total-typescript"),
            ((EVE, BUYER), False, "the account of total-typescript is linked with another one here"),
        ],
    )
    def test_conflict(self, side: Side, who: tuple[str, str], words: str, *, ours: bool) -> None:
        """
        An account that is linked with another one is refused, with whose it is; the link stands, the token isn't used.
        """
        side.link()
        before = [row.model_dump() for row in side.rows]
        with pytest.raises(LinkConflictError, match=words) as caught:
            side.link(*who, **TOKEN)

        assert (caught.value.ours, caught.value.app_id) == (ours, PEER)
        assert ([row.model_dump() for row in side.rows], side.tokens) == (before, [])

    def test_conflict_on_both_sides(self, side: Side) -> None:
        """
        Where both accounts are linked with others, both links stand.
        """
        side.link()
        side.link(EVE, STRANGER)
        with pytest.raises(LinkConflictError):
            side.link(ADA, STRANGER, **TOKEN)

        assert side.standing == {(ADA, BUYER, 3), (EVE, STRANGER, 3)}
        assert side.tokens == []

    def test_after_unlinking(self, side: Side) -> None:
        """
        Once a link is removed, each account may be linked with another one; its row stays.
        """
        side.link()
        side.unlink()
        side.link(ADA, STRANGER)
        side.link(EVE, BUYER)

        assert side.standing == {(ADA, STRANGER, 3), (EVE, BUYER, 3)}
        assert len(side.rows) == 3

    def test_each_peer(self, side: Side) -> None:
        """
        A user may be linked with one account in each peer, also if those have the same id.
        """
        side.link()
        side.link(app=THIRD)

        assert [row.linked_app for row in side.rows if row.active] == [THIRD, PEER]

    @pytest.mark.parametrize("user_id", ["school-nobody", "", "SCHOOL-ADA", "school-ada ", "school-\udfff", "x" * 500])
    def test_unknown_user(self, side: Side, user_id: str) -> None:
        """
        A user who doesn't exist (any more) links nothing, and the token isn't used.
        """
        with pytest.raises(LinkTokenError, match=r"^subject: "):
            side.link(user_id, **TOKEN)

        assert (side.rows, side.tokens) == ([], [])

    def test_unknown_peer(self, side: Side) -> None:
        """
        An app that is no peer links nothing.
        """
        with pytest.raises(UnknownPeerError, match="no peer 'fourth'"):
            side.link(app="fourth", **TOKEN)

        assert (side.rows, side.tokens) == ([], [])

    def test_effects(self, side: Side) -> None:
        """
        What else the app does for a link happens in the same transaction, once it stands, and only then.
        """
        seen: list[tuple[str, int]] = []

        def note(_session: object, link: AccountLinkBase, *, now: object) -> None:
            seen.append((link.linked_user_id, link.version))
            assert (link.active, now) == (None, NOW) or now == NOW

        watched = side.with_(effects=(note,))
        watched.link()
        watched.link()
        watched.unlink()
        watched.hear(said(5))
        watched.hear(said(6))

        assert seen == [(BUYER, 3), (BUYER, 5)]

    def test_capitals_are_others(self, side: Side) -> None:
        """
        Ids that differ in capitals, or in a letter's accent, are those of other accounts, also to MariaDB.
        """
        side.add(Member(id="u1"), Member(id="u2"))
        side.link("u1", "B1")
        with pytest.raises(LinkConflictError):
            side.link("u2", "B1")
        side.link("u2", "b1")

        assert side.standing == {("u1", "B1", 3), ("u2", "b1", 3)}

    def test_capitals_of_ours_are_others(self, database: Database) -> None:
        """
        An app's `U1` and `u1` are two users, each of whom may be linked.
        """
        side = Side(database).with_(users=None)
        side.link("U1", "buyer-1")
        side.link("u1", "buyer-2")
        side.link("é", "buyer-3")
        side.link("e", "buyer-4")

        assert len(side.standing) == 4

    def test_peers_address_is_only_shown(self, side: Side) -> None:
        """
        An address that can't be one isn't kept, and one that is known isn't forgotten.
        """
        side.link(linked_email="ada@shop.example")
        side.link(linked_email=None)
        side.link(linked_email="no address")

        assert side.row.linked_email == "ada@shop.example"


class TestNumberedUsers:
    @pytest.fixture
    def numbered(self, database: Database) -> Side:
        """
        An app whose users have numbers, to which its links refer.
        """
        side = Side(database).with_(links=NumberedLink, users=TableUsers(NumberedMember))
        side.add(NumberedMember(id=7), NumberedMember(id=8))
        return side

    def test_history(self, numbered: Side) -> None:
        """
        Linking, unlinking and what the peer says work on numbers, which stand in events as text.
        """
        outcome = numbered.link("7")
        [event] = events(outcome, US)
        assert isinstance(event, AccountLinked)
        numbered_id: Any = 7
        assert (event.user_id, numbered.row.user_id) == ("7", numbered_id)

        numbered.unlink("7")
        numbered.hear(said(5, "7"))
        assert numbered.standing == {("7", BUYER, 5)}
        with pytest.raises(LinkConflictError):
            numbered.link("8")
        found = numbered.see(links.find, PEER, "7")
        assert found is not None
        assert found.version == 5

    @pytest.mark.parametrize("user_id", ["9", "07", "7abc", "+7", " 7", "7.0", "", str(2**70), "seven"])
    def test_nobody(self, numbered: Side, user_id: str) -> None:
        """
        What is no number as it is written is nobody, whoever says it, and no foreign key breaks.
        """
        with pytest.raises(LinkTokenError, match=r"^subject: "):
            numbered.link(user_id, **TOKEN)
        assert not numbered.unlink(user_id).changed
        assert numbered.see(links.find, PEER, user_id) is None
        if user_id.strip() == user_id != "":
            [state] = events(numbered.hear(said(3, user_id)))
            assert state == holds(4, BUYER, user_id, source_app=US, linked_app=PEER)
        assert (numbered.rows, numbered.tokens) == ([], [])


class TestUnlink:
    def test_stays(self, side: Side) -> None:
        """
        Unlinking adds 1 and keeps the row; the app's own functions are told, and the peer is owed it.
        """
        side.link()
        outcome = side.unlink(now=LATER)

        row = side.row
        assert (row.version, row.active, row.unlinked_at, row.linked_at) == (4, None, LATER, NOW)
        assert (row.next_attempt_at, row.retry_count) == (LATER + MINUTE, 0)
        assert (outcome.ids, outcome.changed) == ((row.id,), True)
        assert events(outcome, US) == [
            AccountUnlinked(
                source_app=US, user_id=ADA, linked_app=PEER, linked_user_id=BUYER, unlinked_at=LATER, version=4
            )
        ]

    def test_of_oauth(self, side: Side) -> None:
        """
        A link by OAuth becomes 2, so that no sign-in links the pair again.
        """
        side.hear(said(1))
        side.unlink()

        assert side.row.version == 2

    def test_again(self, side: Side) -> None:
        """
        Unlinking again changes nothing and tells nobody.
        """
        side.link()
        side.unlink()
        before = side.row.model_dump()
        outcome = side.unlink(now=LATER)

        assert (outcome.ids, outcome.changed, outcome.messages) == ((side.row.id,), False, ())
        assert side.row.model_dump() == before

    @pytest.mark.parametrize("who", [(ADA, STRANGER), (EVE, BUYER), ("x" * 500, BUYER), ("\udfff", BUYER)])
    def test_never_linked(self, side: Side, who: tuple[str, str]) -> None:
        """
        Accounts that aren't linked with each other stay as they are, and no row is written.
        """
        side.link()
        outcome = side.unlink(*who)

        assert (outcome.ids, outcome.changed, outcome.messages) == ((), False, ())
        assert side.standing == {(ADA, BUYER, 3)}
        assert len(side.rows) == 1


class TestMerge:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4), (2, 5), (1, 6), (4, 9)],
    )
    def test_larger(self, side: Side, ours: int, theirs: int) -> None:
        """
        A larger number is taken over, whatever lies between, and answered with it; nothing is owed then.
        """
        at_version(side, ours)
        outcome = side.hear(said(theirs), now=LATER)

        row = side.row
        assert (row.version, row.acknowledged_version, row.next_attempt_at) == (theirs, theirs, None)
        assert row.active == (1 if theirs % 2 else None)
        assert (row.linked_at if theirs % 2 else row.unlinked_at) == LATER
        assert outcome.changed
        method = {0: "explicit", 1: "oauth-github"}[theirs == 1] if theirs % 2 else row.link_method
        [message] = outcome.messages
        assert (message.target, message.attempt) == (PEER, 0)
        assert message.event == holds(theirs, BUYER, ADA, source_app=US, linked_app=PEER, link_method=method)

    @pytest.mark.parametrize("version", [1, 2, 3, 4])
    def test_equal(self, side: Side, version: int) -> None:
        """
        The same number changes nothing and is answered again: the first answer may be lost.
        """
        first = side.hear(said(version))
        before = side.row.model_dump()
        again = side.hear(said(version), now=LATER)

        assert side.row.model_dump() == before
        assert (again.changed, again.messages) == (False, first.messages)

    @pytest.mark.parametrize("stale", [1, 2, 3, 4])
    def test_smaller(self, side: Side, stale: int) -> None:
        """
        A smaller number changes nothing; the answer is the larger one, from which the peer learns.
        """
        side.link()
        side.unlink()
        side.link()
        before = side.row
        outcome = side.hear(said(stale))

        row = side.row
        assert (row.version, row.active, row.linked_at) == (5, 1, before.linked_at)
        assert (row.acknowledged_version, row.next_attempt_at) == (stale, NOW + MINUTE)
        assert not outcome.changed
        assert events(outcome) == [holds(5, BUYER, ADA, source_app=US, linked_app=PEER)]

    def test_acknowledges(self, side: Side) -> None:
        """
        What comes from the peer shows that it holds that number: what is ours and the same is owed no more.
        """
        side.link()
        owed = side.row.next_attempt_at
        side.hear(said(3))

        assert owed is not None
        assert (side.row.acknowledged_version, side.row.next_attempt_at) == (3, None)

    def test_known_number_is_not_forgotten(self, side: Side) -> None:
        """
        An old message doesn't make the peer hold less than it does.
        """
        side.link()
        side.hear(holds(3))
        side.hear(said(1))

        assert (side.row.acknowledged_version, side.row.next_attempt_at) == (3, None)

    def test_answer_is_not_answered(self, side: Side) -> None:
        """
        The answer of the peer acknowledges, or is taken over if it is larger, and is answered by nothing.
        """
        side.link()
        outcome = side.hear(holds(3))
        assert (outcome.changed, outcome.messages, side.row.next_attempt_at) == (False, (), None)

        outcome = side.hear(holds(4))
        assert (outcome.changed, outcome.messages) == (True, ())
        assert (side.row.version, side.row.acknowledged_version, side.row.active) == (4, 4, None)

        outcome = side.hear(holds(7))
        assert (outcome.changed, outcome.messages) == (True, ())
        assert (side.row.version, side.row.active) == (7, 1)

    def test_smaller_answer(self, side: Side) -> None:
        """
        An answer that is older than what is held leaves that owed.
        """
        side.link()
        side.unlink()
        side.hear(holds(3))

        row = side.row
        assert (row.version, row.acknowledged_version, row.next_attempt_at) == (4, 3, NOW + MINUTE)

    def test_addresses(self, side: Side) -> None:
        """
        The peer's address is the one that it says is verified there; being told none keeps the one that is known.
        """
        side.hear(said(3, email="Ada@Shop.Example", linked_email="eve@shop.example"))
        assert side.row.linked_email == "ada@shop.example"

        side.hear(said(5))
        assert side.row.linked_email == "ada@shop.example"

    @pytest.mark.parametrize(
        ("fact", "reason"),
        [
            (said(3, linked_app=THIRD), "target"),
            (said(4, linked_app=THIRD), "target"),
            (holds(3, linked_app=THIRD), "target"),
            (AccountLinked(**{**said(3).model_dump(), "version": 4}), "state"),
            (AccountUnlinked(**{**said(4).model_dump(), "version": 5}), "state"),
            (said(2**52 + 1), "state"),
            (said(2**53 - 2), "state"),
            (holds(2**53 - 1), "state"),
        ],
        ids=["linked", "unlinked", "state", "even", "odd", "absurd", "absurd unlink", "absurd state"],
    )
    def test_refused(self, side: Side, fact: links.Fact, reason: str) -> None:
        """
        What is about another app, or has a number that can't be, is refused and changes nothing.
        """
        side.link()
        before = side.row.model_dump()
        with pytest.raises(EventRejectedError, match=rf"^{reason}: ") as caught:
            side.hear(fact)

        assert caught.value.reason == reason
        assert side.row.model_dump() == before

    def test_largest_number(self, side: Side) -> None:
        """
        The largest number that is taken leaves room for unlinking and linking again.
        """
        side.hear(said(2**52 - 1))
        side.unlink()
        side.link()

        assert side.row.version == 2**52 + 1

    @pytest.mark.parametrize(("theirs", "answer"), [(1, 2), (3, 4), (4, 4), (5, 6)])
    def test_nobody_here(self, side: Side, theirs: int, answer: int) -> None:
        """
        What is said of a user who doesn't exist is answered as unlinked, and no row is written.
        """
        outcome = side.hear(said(theirs, "school-nobody"))

        [event] = events(outcome)
        method = "oauth-github" if theirs == 1 else "explicit"
        assert event == holds(answer, BUYER, "school-nobody", source_app=US, linked_app=PEER, link_method=method)
        assert (side.rows, outcome.ids, outcome.changed) == ([], (), False)

    def test_nobody_here_any_more(self, side: Side) -> None:
        """
        A user who is gone isn't linked again; the peer is told that they are unlinked.
        """
        side.link()
        side.unlink()
        side.remove(Member, ADA)
        outcome = side.hear(said(5))

        assert (side.row.version, side.row.active) == (6, None)
        state, unlinked = events(outcome)
        assert state == holds(6, BUYER, ADA, source_app=US, linked_app=PEER)
        assert isinstance(unlinked, AccountUnlinked)
        assert unlinked.version == 6

    def test_answer_for_nobody(self, side: Side) -> None:
        """
        An answer about a user who doesn't exist changes nothing and is answered by nothing.
        """
        outcome = side.hear(holds(3, "school-nobody"))

        assert (side.rows, outcome.messages) == ([], ())

    def test_unlinked_before_linked(self, side: Side) -> None:
        """
        A link that arrives after it was removed stays removed.
        """
        side.hear(said(4))
        side.hear(said(3))

        assert (side.row.version, side.row.active) == (4, None)


class TestConflicts:
    """
    Links that exclude each other, made at once in both apps.
    """

    @pytest.mark.parametrize(
        ("standing", "incoming", "wins"),
        [
            ((1, EVE, BUYER), (3, ADA, BUYER), True),
            ((3, EVE, BUYER), (1, ADA, BUYER), False),
            ((3, EVE, BUYER), (3, ADA, BUYER), True),
            ((3, ADA, BUYER), (3, EVE, BUYER), False),
            ((1, EVE, BUYER), (1, ADA, BUYER), True),
            ((1, ADA, BUYER), (1, EVE, BUYER), False),
            ((9, EVE, BUYER), (3, ADA, BUYER), True),
            ((3, ADA, BUYER), (9, EVE, BUYER), False),
            ((3, ADA, STRANGER), (3, ADA, BUYER), True),
            ((3, ADA, BUYER), (3, ADA, STRANGER), False),
        ],
    )
    def test_settled(
        self, side: Side, standing: tuple[int, str, str], incoming: tuple[int, str, str], *, wins: bool
    ) -> None:
        """
        A person's word stands before a sign-in, then the smaller ids; the loser gets 1 more, is told, and says to whom
        it lost.
        """
        side.hear(said(*standing))
        outcome = side.hear(said(*incoming))

        winner, loser = (incoming, standing) if wins else (standing, incoming)
        rows = {(row.user_id, row.linked_user_id): row for row in side.rows}
        won, lost = rows[winner[1:]], rows[loser[1:]]
        assert (won.version, won.active, won.lost_to_id) == (winner[0], 1, None)
        assert (lost.version, lost.active, lost.lost_to_id) == (loser[0] + 1, None, won.id)
        assert (won.next_attempt_at, lost.next_attempt_at) == (None, NOW + MINUTE)
        state, announced = outcome.messages
        assert state.event.name == "account/link-state"
        assert (state.event.user_id, state.event.version) == (  # type: ignore[attr-defined]
            incoming[1],
            incoming[0] if wins else incoming[0] + 1,
        )
        assert (announced.target, announced.event) == (
            PEER,
            AccountUnlinked(
                source_app=US,
                user_id=loser[1],
                linked_app=PEER,
                linked_user_id=loser[2],
                unlinked_at=NOW,
                version=loser[0] + 1,
            ),
        )
        assert outcome.changed
        assert set(outcome.ids) == {won.id, lost.id} if wins else {lost.id}

    def test_two_lose(self, side: Side) -> None:
        """
        A link that wins over two others replaces both.
        """
        side.hear(said(1, ADA, STRANGER))
        side.hear(said(1, EVE, BUYER))
        outcome = side.hear(said(3, ADA, BUYER))

        assert side.standing == {(ADA, BUYER, 3)}
        assert [row.version for row in side.rows] == [3, 2, 2]
        assert len({row.lost_to_id for row in side.rows if not row.active}) == 1
        assert len(outcome.messages) == 3

    def test_losing_to_one_changes_only_itself(self, side: Side) -> None:
        """
        A link that wins over one and loses to another loses, and the one that it would have beaten stands.
        """
        side.hear(said(1, ADA, STRANGER))
        side.hear(said(3, EVE, BUYER))
        outcome = side.hear(said(1, ADA, BUYER))

        assert side.standing == {(ADA, STRANGER, 1), (EVE, BUYER, 3)}
        rows = {(row.user_id, row.linked_user_id): row for row in side.rows}
        assert rows[ADA, BUYER].lost_to_id == rows[EVE, BUYER].id
        assert (rows[ADA, STRANGER].version, rows[ADA, STRANGER].lost_to_id) == (1, None)
        assert outcome.ids == (rows[ADA, BUYER].id,)

    def test_loser_has_lost_for_good(self, side: Side) -> None:
        """
        The same message once more doesn't settle it anew.
        """
        side.hear(said(3, ADA, BUYER))
        side.hear(said(3, EVE, BUYER))
        before = [row.model_dump() for row in side.rows]
        outcome = side.hear(said(3, EVE, BUYER))

        assert [row.model_dump() for row in side.rows] == before
        assert not outcome.changed
        assert events(outcome) == [holds(4, BUYER, EVE, source_app=US, linked_app=PEER)]

    def test_whatever_the_order(self, side: Side) -> None:
        """
        Whichever of the two comes first, the same one stands.
        """
        side.add(*(Member(id=f"{name}-{number}") for name in ("ada", "eve") for number in (1, 2)))
        side.hear(said(3, "ada-1", "buyer-1"))
        side.hear(said(3, "eve-1", "buyer-1"))
        side.hear(said(3, "eve-2", "buyer-2"))
        side.hear(said(3, "ada-2", "buyer-2"))

        assert side.standing == {("ada-1", "buyer-1", 3), ("ada-2", "buyer-2", 3)}

    def test_relinked_after_losing(self, side: Side) -> None:
        """
        Once the winner is removed, a person may link the loser, whose row forgets that it lost.
        """
        side.hear(said(3, ADA, BUYER))
        side.hear(said(3, EVE, BUYER))
        side.unlink()
        side.link(EVE, BUYER)

        row = next(row for row in side.rows if row.user_id == EVE)
        assert (row.version, row.lost_to_id) == (5, None)


class TestFindAndList:
    def test_standing_alone(self, side: Side) -> None:
        """
        A user's links are those that stand, by peer.
        """
        side.link()
        side.link(app=THIRD)
        side.link(EVE, STRANGER)
        side.unlink(EVE, STRANGER)

        assert [row.linked_app for row in side.see(links.list_of, ADA)] == [THIRD, PEER]
        found = side.see(links.find, PEER, ADA)
        assert found is not None
        assert (found.linked_user_id, side.see(links.find, PEER, EVE)) == (BUYER, None)
        assert side.see(links.list_of, EVE) == []

    @pytest.mark.parametrize("user_id", ["SCHOOL-ADA", "school-ada ", "", "x" * 500, "\udfff"])
    def test_nobody(self, side: Side, user_id: str) -> None:
        """
        Another id finds nothing, and none is an error.
        """
        side.link()

        assert list(side.see(links.list_of, user_id)) == []


class TestTables:
    def test_constraints(self, side: Side) -> None:
        """
        Whatever an app itself writes, the database lets one link stand for each account and peer, and one row a pair.
        """
        side.link()
        fields: dict[str, Any] = {"linked_app": PEER, "link_method": "explicit", "linked_at": NOW}
        for user_id, buyer in ((ADA, STRANGER), (EVE, BUYER), (ADA, BUYER)):
            with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
                side.add(AccountLink(id="new", user_id=user_id, linked_user_id=buyer, **fields))
        side.add(AccountLink(id="new", user_id=ADA, linked_user_id=STRANGER, unlinked_at=NOW, **fields))

        assert len(side.rows) == 2
        assert issubclass(AccountLink, SQLModel)


class TestLinkByOAuth:
    def test_new_pair(self, side: Side) -> None:
        """
        A pair that was never linked gets 1, and how.
        """
        outcome = side.do(links.link_by_oauth, pair(), method="oauth-github", email="Ada@Shop.Example")

        row = side.row
        assert (row.version, row.link_method, row.linked_email) == (1, "oauth-github", "ada@shop.example")
        assert (row.active, row.next_attempt_at, row.acknowledged_version) == (1, NOW + MINUTE, 0)
        [event] = events(outcome, US)
        assert isinstance(event, AccountLinked)
        assert (event.link_method, event.version, outcome.changed) == ("oauth-github", 1, True)

    @pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
    def test_known_pair(self, side: Side, version: int) -> None:
        """
        A pair that was linked before stays as it is: above all, no sign-in undoes what a person removed.
        """
        side.hear(said(version))
        before = side.row.model_dump()
        outcome = side.do(links.link_by_oauth, pair(), method="oauth-discord", email="x@shop.example", now=LATER)

        assert side.row.model_dump() == before
        assert (outcome.changed, outcome.messages) == (False, ())

    @pytest.mark.parametrize("who", [(ADA, STRANGER), (EVE, BUYER)], ids=str)
    @pytest.mark.parametrize("version", [1, 3])
    def test_conflict(self, side: Side, who: tuple[str, str], version: int) -> None:
        """
        A link that stands keeps standing; the new pair's row says which that is, and nobody is told.
        """
        side.hear(said(version))
        [standing] = side.rows
        outcome = side.do(links.link_by_oauth, pair(*who), method="oauth-github", email=None)

        assert (outcome.changed, outcome.messages) == (False, ())
        rows = {(row.user_id, row.linked_user_id): row for row in side.rows}
        assert rows[ADA, BUYER].model_dump() == standing.model_dump()
        assert (rows[who].version, rows[who].active, rows[who].lost_to_id) == (0, None, standing.id)
        assert rows[who].next_attempt_at is None

    def test_after_the_conflict(self, side: Side) -> None:
        """
        When what stood in the way is removed, the next sign-in links.
        """
        side.link()
        side.do(links.link_by_oauth, pair(EVE, BUYER), method="oauth-github", email=None)
        side.unlink()
        side.do(links.link_by_oauth, pair(EVE, BUYER), method="oauth-github", email=None)

        row = next(row for row in side.rows if row.user_id == EVE)
        assert (row.version, row.active, row.lost_to_id) == (1, 1, None)

    def test_nobody(self, side: Side) -> None:
        """
        A user who is gone isn't linked, and no row is written.
        """
        outcome = side.do(links.link_by_oauth, pair("school-nobody"), method="oauth-github", email=None)

        assert (side.rows, outcome.ids, outcome.messages) == ([], (), ())
