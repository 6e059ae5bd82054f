from __future__ import annotations

import pytest

from crossapp_core.errors import LinkTokenError
from crossapp_core.operations import people
from crossapp_core.operations.people import Link
from crossapp_core.ports import User
from tests.core.linking.side import ADA, BUYER, EVE, PEER, STRANGER, THIRD, US, Side, events


class TestPersonOf:
    def test_known(self, side: Side) -> None:
        """
        What the app says of one of its users.
        """
        assert side.do(people.person_of, ADA) == User(ADA, "Ada@Example.com ", email_verified=True, name="Ada")

    def test_unknown(self, side: Side) -> None:
        """
        A user who doesn't exist (any more) is refused.
        """
        with pytest.raises(LinkTokenError, match=r"^subject: "):
            side.do(people.person_of, "school-nobody")

    def test_without_users(self, side: Side) -> None:
        """
        An app that says nothing of its users knows an id, and vouches for it.
        """
        assert side.with_(users=None).do(people.person_of, "anybody") == User("anybody")

    def test_hides_addresses(self, side: Side) -> None:
        """
        No address or name is shown by accident.
        """
        side.link(linked_email="ada@shop.example")
        shown = repr([side.do(people.person_of, ADA), side.do(people.links_of, ADA), side.row])

        assert "example" not in shown.lower()
        assert "'Ada'" not in shown


class TestUnlink:
    def test_whichever_account(self, side: Side) -> None:
        """
        A user is unlinked from the account in that peer, whichever it is, and from no other.
        """
        side.link(ADA, STRANGER)
        side.link(app=THIRD)
        side.link(EVE, BUYER)
        outcome = side.do(people.unlink, ADA, PEER)

        assert [event.name for event in events(outcome, US)] == ["account/unlinked"]
        assert side.standing == {(ADA, BUYER, 3), (EVE, BUYER, 3)}

    def test_not_linked(self, side: Side) -> None:
        """
        Where nothing is linked, nothing happens.
        """
        side.link(EVE, BUYER)
        for _ in range(2):
            outcome = side.do(people.unlink, ADA, PEER)
            assert (outcome.ids, outcome.changed, outcome.messages) == ((), False, ())

        assert side.standing == {(EVE, BUYER, 3)}


class TestLinksOf:
    def test_standing(self, side: Side) -> None:
        """
        A user's links, as people see them.
        """
        side.link(linked_email="ada@shop.example")
        side.link(EVE, STRANGER)

        assert side.do(people.links_of, ADA) == [Link(ADA, PEER, BUYER, "ada@shop.example", "explicit")]
        side.unlink()
        assert side.do(people.links_of, ADA) == []
