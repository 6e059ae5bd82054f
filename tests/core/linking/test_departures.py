from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import pytest
from sqlmodel import Session, select

from crossapp_core.models import CrossAppCursor
from crossapp_core.operations import departures
from crossapp_core.operations.departures import Page
from tests.core.linking.side import ADA, BUYER, EVE, NOW, PEER, STRANGER, THIRD, US, Member, Side, events


def check(side: Side) -> Page:
    """
    Look at the next page of linked users.
    """
    linker = side.linker
    with side.database.session() as session:
        return departures.check(session, linker, "links", departures.linked_users(linker), now=NOW)


def leave(side: Side, *user_ids: str) -> None:
    """
    Delete users, and tell nobody.
    """
    with side.database.session() as session:
        for user_id in user_ids:
            session.delete(session.get_one(Member, user_id))


class TestDepart:
    def test_all_links(self, side: Side) -> None:
        """
        All links of somebody who is gone end, in every peer, and are announced; their rows stay.
        """
        side.link()
        side.link(app=THIRD)
        side.link(EVE, STRANGER)
        outcome = side.do(departures.depart, [ADA])

        assert side.standing == {(EVE, STRANGER, 3)}
        assert [event.name for event in events(outcome, US)] == ["account/unlinked"] * 2
        assert sorted((row.linked_app, row.version) for row in side.rows) == [(THIRD, 4), (PEER, 3), (PEER, 4)]
        assert side.do(departures.depart, [ADA]).messages == ()

    def test_farewell(self, side: Side) -> None:
        """
        What else their leaving ends, ends in the same transaction, also for somebody without links.
        """
        told: list[object] = []

        def farewell(session: Session, user_ids: Collection[str], *, now: datetime) -> None:
            told.append((session.in_transaction(), list(user_ids), now))

        side.with_(farewells=(farewell,)).do(departures.depart, [EVE])

        assert told == [(True, [EVE], NOW)]

    def test_nobody(self, side: Side) -> None:
        """
        An id that no user can have ends nothing.
        """
        side.link()

        assert side.do(departures.depart, ["", "x" * 300]).ids == ()
        assert side.standing == {(ADA, BUYER, 3)}


class TestCheck:
    def test_finds_them(self, side: Side) -> None:
        """
        Users whom nobody reported are found by a pass over all that links name.
        """
        side = side.with_(cursors=CrossAppCursor)
        side.link()
        side.link(EVE, STRANGER)
        leave(side, ADA)
        page = check(side)

        assert (page.is_last, page.gone, len(page.messages)) == (True, (ADA,), 1)
        assert side.standing == {(EVE, STRANGER, 3)}
        assert check(side).gone == ()

    def test_page_by_page(self, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A pass goes on where the one before it stopped, whichever worker that was, and then begins anew.
        """
        monkeypatch.setattr(departures, "BATCH", 2)
        side = side.with_(cursors=CrossAppCursor)
        members = [f"member-{number}" for number in range(5)]
        side.add(*(Member(id=id_) for id_ in members))
        for id_ in members:
            side.link(id_, f"buyer-{id_}")
        leave(side, "member-1", "member-4")
        pages = [check(side) for _ in range(4)]

        assert [(page.is_last, page.gone) for page in pages] == [
            (False, ("member-1",)),
            (False, ()),
            (True, ("member-4",)),
            (False, ()),
        ]
        with side.database.session() as session:
            assert session.exec(select(CrossAppCursor)).one().position == "member-2"

    def test_no_users(self, side: Side) -> None:
        """
        An app that says nothing of its users has none who are gone.
        """
        side.link()

        assert check(side.with_(users=None, cursors=CrossAppCursor)) == Page(True, (), ())
        assert side.standing == {(ADA, BUYER, 3)}
