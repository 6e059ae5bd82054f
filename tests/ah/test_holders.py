from __future__ import annotations

from datetime import timedelta

from sqlmodel import update

from crossapp_ah.models import Entitlement
from tests.ah.answers import granted, revoked
from tests.ah.school import ADA, BUYER, ID, School, link, refund, said, sale
from tests.hosts import NOW

LATER = NOW + timedelta(hours=1)


class TestVersionOfGrant:
    """
    A grant for what was granted, or taken back, before.
    """

    def test_newer(self, school: School) -> None:
        """
        A newer grant counts.
        """
        school.grant(sale(1))
        outcome = school.grant(sale(2, buyer_email="ada@example.org"))

        assert (outcome.changed, said(outcome)) == (True, granted("pending", 2))
        assert (school.row.source_version, school.row.pending_for_email) == (2, "ada@example.org")

    def test_equal(self, school: School) -> None:
        """
        An equal grant changes nothing, not even what differs in it, and is answered again, since the ack may be lost.
        """
        first = school.grant(sale(1))
        before = school.row.model_dump()
        school.add(link())
        outcome = school.grant(sale(1, buyer_email="eve@example.com", buyer_user_id="shop-eve"), now=LATER)

        assert (outcome.ids, outcome.changed, outcome.messages) == (first.ids, False, first.messages)
        assert school.row.model_dump() == before

    def test_older(self, school: School) -> None:
        """
        An older grant changes nothing and is answered with what is stored, in its version.
        """
        school.add(link())
        school.grant(sale(5))
        before = school.row.model_dump()
        outcome = school.grant(sale(4, buyer_user_id="shop-eve", buyer_email="eve@example.com"), now=LATER)

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), False, granted("active", 5, user_id=ADA))
        assert school.row.model_dump() == before

    def test_after_revoke(self, school: School) -> None:
        """
        A grant that arrives after its own revocation gives no access, and hears that.
        """
        school.add(link())
        school.revoke(refund(2))
        outcome = school.grant(sale(1))

        assert (outcome.changed, said(outcome)) == (False, revoked(2))
        assert (school.row.status, school.row.user_id) == ("revoked", None)
        assert not school.opens()

    def test_equal_to_revoke(self, school: School) -> None:
        """
        One version says one thing: what came first stays.
        """
        school.add(link())
        school.revoke(refund(2))

        assert said(school.grant(sale(2))) == revoked(2)
        assert not school.opens()

    def test_regrant(self, school: School) -> None:
        """
        What was taken back is granted anew by a higher version, to whom the link names now.
        """
        school.add(link())
        school.grant(sale(1))
        school.revoke(refund(2))
        school.unlink()
        assert said(school.grant(sale(3))) == granted("pending", 3)
        assert (school.row.user_id, school.row.claimed_at) == (None, None)
        school.revoke(refund(4))
        school.add(link("school-new"))
        outcome = school.grant(sale(5), now=LATER)

        assert (outcome.changed, said(outcome)) == (True, granted("active", 5, user_id="school-new"))
        assert (school.row.user_id, school.row.claimed_at) == ("school-new", LATER)
        assert school.opens("school-new")
        assert not school.opens(ADA)


class TestHolder:
    """
    Who holds what was granted before, when a newer grant comes.
    """

    def test_same_buyer(self, school: School) -> None:
        """
        The same buyer keeps what is active, also if the link was removed meanwhile.
        """
        school.add(link())
        school.grant(sale(1))
        school.unlink()
        outcome = school.grant(sale(2, buyer_email="ada@example.org"), now=LATER)

        assert (outcome.changed, said(outcome)) == (True, granted("active", 2, user_id=ADA))
        assert (school.row.source_version, school.row.pending_for_email) == (2, "ada@example.org")
        assert (school.row.user_id, school.row.claimed_at) == (ADA, NOW)

    def test_same_buyer_linked_anew(self, school: School) -> None:
        """
        The same buyer keeps what is active where it is, also if the buyer is linked to another account by now.
        """
        school.add(link())
        school.grant(sale(1))
        school.unlink()
        school.add(link("school-new"))

        assert said(school.grant(sale(2))) == granted("active", 2, user_id=ADA)

    def test_same_buyer_whose_account_is_gone(self, school: School) -> None:
        """
        What is active but held by nobody, as where a foreign key sets null, goes to whom the link names now.
        """
        school.add(link())
        school.grant(sale(1))
        school.unlink()
        with school.database.session() as session:
            session.exec(update(Entitlement).values(user_id=None))
        assert said(school.grant(sale(2))) == granted("pending", 2)
        school.add(link("school-new"))

        assert said(school.grant(sale(3))) == granted("active", 3, user_id="school-new")

    def test_pending(self, school: School) -> None:
        """
        What waits goes to whom the link names now, the same buyer or not.
        """
        school.grant(sale(1))
        school.add(link())

        assert said(school.grant(sale(2))) == granted("active", 2, user_id=ADA)

    def test_transfer_to_linked_buyer(self, school: School) -> None:
        """
        A purchase that has another buyer now opens for that one alone.
        """
        school.add(link(), link("school-bob", "shop-bob"))
        school.grant(sale(1))
        outcome = school.grant(sale(2, buyer_user_id="shop-bob", buyer_email="bob@example.com"), now=LATER)

        assert (outcome.changed, said(outcome)) == (True, granted("active", 2, user_id="school-bob"))
        row = school.row
        assert (row.user_id, row.source_user_id, row.claimed_at) == ("school-bob", "shop-bob", LATER)
        assert row.pending_for_email == "bob@example.com"
        assert (school.opens(ADA), school.opens("school-bob")) == (False, True)

    def test_transfer_to_unlinked_buyer(self, school: School) -> None:
        """
        A purchase that has another buyer now waits for that one, and is closed for the old one.
        """
        school.add(link())
        school.grant(sale(1))
        outcome = school.grant(sale(2, buyer_user_id="shop-bob", buyer_email="bob@example.com"))

        assert (outcome.changed, said(outcome)) == (True, granted("pending", 2))
        row = school.row
        assert (row.user_id, row.source_user_id, row.claimed_at) == (None, "shop-bob", None)
        assert row.pending_for_email == "bob@example.com"
        assert not school.opens(ADA)

    def test_transfer_of_same_address(self, school: School) -> None:
        """
        Another buyer is another buyer, whatever the address.
        """
        school.add(link())
        school.grant(sale(1))

        assert said(school.grant(sale(2, buyer_user_id="shop-bob"))) == granted("pending", 2)

    def test_transfer_to_guest(self, school: School) -> None:
        """
        A purchase that has no known buyer any more isn't that of the old one.
        """
        school.add(link())
        school.grant(sale(1))

        assert said(school.grant(sale(2, buyer_user_id=None, buyer_email="bob@example.com"))) == granted("pending", 2)

    def test_guest_who_is_named(self, school: School) -> None:
        """
        That a guest's purchase has a user now is no transfer: the holder of what is active stays.
        """
        school.grant(sale(1, buyer_user_id=None))
        self.claim_for(school, "school-guest")
        school.add(link())
        outcome = school.grant(sale(2, buyer_email="ada@example.org"))

        assert said(outcome) == granted("active", 2, user_id="school-guest")
        assert (school.row.source_user_id, school.row.claimed_at) == (BUYER, NOW)

    def test_waiting_guest_who_is_named(self, school: School) -> None:
        """
        What waits for a guest opens once the purchase has a user with a link.
        """
        school.add(link())
        school.grant(sale(1, buyer_user_id=None))

        assert said(school.grant(sale(2))) == granted("active", 2, user_id=ADA)

    def test_guest_of_same_address(self, school: School) -> None:
        """
        A guest of the same address is the same buyer.
        """
        school.grant(sale(1, buyer_user_id=None))
        self.claim_for(school, "school-guest")

        assert said(school.grant(sale(2, buyer_user_id=None))) == granted("active", 2, user_id="school-guest")

    def test_guest_of_another_address(self, school: School) -> None:
        """
        A guest of another address is another buyer.
        """
        school.grant(sale(1, buyer_user_id=None))
        self.claim_for(school, "school-guest")
        request = sale(2, buyer_user_id=None, buyer_email="bob@example.com")

        assert said(school.grant(request)) == granted("pending", 2)

    def claim_for(self, school: School, user_id: str) -> None:
        """
        Have somebody hold what a guest bought, as a claim by address does.
        """
        with school.database.session() as session:
            row = session.get_one(type(school.row), ID)
            row.status, row.user_id, row.claimed_at = "active", user_id, NOW
