from __future__ import annotations

import pytest

from crossapp_ah.operations import entitlements
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import EntitlementGranted, EntitlementRevoked
from tests.ah.answers import granted, revoked, unknown
from tests.ah.school import ADA, BUYER, COURSE, ID, SHOP, School, link, refund, said, sale
from tests.hosts import NOW, SchoolProduct


class TestGrant:
    def test_linked_buyer(self, school: School) -> None:
        """
        What a linked buyer bought opens at once, for the linked account.
        """
        school.add(link())
        outcome = school.grant(sale())

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), True, granted("active", user_id=ADA))
        row = school.row
        assert (row.id, row.status, row.user_id, row.product_id, row.claimed_at) == (ID, "active", ADA, COURSE, NOW)
        assert (row.source_app, row.source_purchase_id, row.source_user_id) == (SHOP, "pur_1", BUYER)
        assert row.source_version == 1
        assert school.opens()

    def test_unlinked_buyer(self, school: School) -> None:
        """
        What a buyer without link bought waits, under the buyer's address, and opens nothing.
        """
        outcome = school.grant(sale())

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), True, granted("pending"))
        row = school.row
        assert (row.status, row.user_id, row.claimed_at) == ("pending", None, None)
        assert (row.pending_for_email, row.source_user_id, row.source_version) == ("ada@example.com", BUYER, 1)
        assert not school.opens()

    def test_removed_link(self, school: School) -> None:
        """
        A link that was removed doesn't count any more.
        """
        school.add(link())
        school.unlink()

        assert said(school.grant(sale())) == granted("pending")

    def test_link_after_removed_one(self, school: School) -> None:
        """
        Of a buyer's links, the one that stands counts.
        """
        school.add(link("school-bob", unlinked_at=NOW), link(ADA), link("school-eve", unlinked_at=NOW))

        assert said(school.grant(sale())) == granted("active", user_id=ADA)

    def test_link_of_another_peer(self, school: School) -> None:
        """
        A user of another app who has the buyer's id is another person.
        """
        school.add(link(linked_app="epic-web"))

        assert said(school.grant(sale())) == granted("pending")

    def test_link_of_another_buyer(self, school: School) -> None:
        """
        Ids are compared to the letter: another buyer's link doesn't count, however similar the id.
        """
        school.add(link("school-bob", BUYER.upper()), link("school-eve", f"{BUYER}é"))

        assert said(school.grant(sale())) == granted("pending")

    def test_linked_user_of_the_event(self, school: School) -> None:
        """
        Which account an event says is linked is never believed, with a link or without.
        """
        assert said(school.grant(sale(linked_user_id="school-eve"))) == granted("pending")
        school.add(link())
        assert said(school.grant(sale(2, linked_user_id="school-eve"))) == granted("active", 2, user_id=ADA)

    def test_guest(self, school: School) -> None:
        """
        What a guest bought waits, also if somebody's link has no id of a buyer in common with it.
        """
        school.add(link())

        assert said(school.grant(sale(buyer_user_id=None, linked_user_id=ADA))) == granted("pending")
        assert (school.row.source_user_id, school.row.pending_for_email) == (None, "ada@example.com")

    def test_without_address(self, school: School) -> None:
        """
        A sale without address waits too.
        """
        assert said(school.grant(sale(buyer_email=None))) == granted("pending")
        assert school.row.pending_for_email is None

    def test_address_of_a_local_user(self, school: School) -> None:
        """
        That an address is the same says nothing about whose it is.
        """
        school.add(link("school-bob", "shop-bob", linked_email="ada@example.com"))

        assert said(school.grant(sale())) == granted("pending")

    def test_two_apps(self, school: School) -> None:
        """
        The same purchase id in two apps is two purchases.
        """
        school.grant(sale())
        outcome = school.grant(sale(5, source_app="epic-web"))

        assert [message.target for message in outcome.messages] == ["epic-web"]
        assert [(row.source_app, row.source_version) for row in school.rows] == [("epic-web", 5), (SHOP, 1)]

    def test_two_products(self, school: School) -> None:
        """
        Two products of one purchase are decided on their own.
        """
        school.grant(sale())
        school.grant(sale(product_id="prod_10"))
        school.revoke(refund(2))

        assert [(row.product_id, row.status) for row in school.rows] == [("prod_10", "pending"), (COURSE, "revoked")]

    def test_case_of_ids(self, school: School) -> None:
        """
        Ids that differ in case or accents only are different ids.
        """
        purchases = ["pur_Ab1", "pur_aB1", "pur_äB1"]
        for version, purchase_id in enumerate(purchases, start=1):
            school.grant(sale(version, purchase_id=purchase_id))

        assert {row.source_purchase_id: row.source_version for row in school.rows} == {
            purchase_id: version for version, purchase_id in enumerate(purchases, start=1)
        }

    def test_stored_verbatim(self, school: School) -> None:
        """
        What looks like SQL or HTML is text like any other.
        """
        hostile = '\'; DROP TABLE "Entitlement"; -- <script>alert(1)</script> %s {{7*7}} \\ \U0001f600'
        address = 'o\'brien+<b>"%s"{{x}}@example.com'
        school.add(link(f"user {hostile}", f"buyer {hostile}"), SchoolProduct(id="a'b\"c<d>%s"))
        outcome = school.grant(
            sale(purchase_id=hostile, product_id="a'b\"c<d>%s", buyer_user_id=f"buyer {hostile}", buyer_email=address)
        )

        row = school.row
        assert (row.source_purchase_id, row.product_id, row.user_id) == (hostile, "a'b\"c<d>%s", f"user {hostile}")
        assert (row.source_user_id, row.pending_for_email) == (f"buyer {hostile}", address)
        event = said(outcome)
        assert isinstance(event, EntitlementGranted)
        assert (event.source_purchase_id, event.user_id) == (hostile, f"user {hostile}")

    def test_longest_ids(self, school: School) -> None:
        """
        Ids of 191 characters, even of four bytes each, have room.
        """
        longest = "\U0001f600" * 191
        school.add(link("ü" * 191, longest, id="link-1"))
        event = said(school.grant(sale(purchase_id=longest, buyer_user_id=longest)))

        assert isinstance(event, EntitlementGranted)
        assert (event.source_purchase_id, event.user_id, event.status) == (longest, "ü" * 191, "active")

    def test_largest_version(self, school: School) -> None:
        """
        A version may be as large as JSON's numbers are exact.
        """
        largest = 2**53 - 1

        assert said(school.grant(sale(largest))) == granted("pending", largest)
        assert school.row.source_version == largest

    def test_commits_nothing(self, school: School) -> None:
        """
        The transaction is the caller's: without its commit nothing is left.
        """
        with school.database.session() as session:
            entitlements.grant(session, school.granter, sale(), now=NOW)
            session.rollback()

        assert school.rows == []

    def test_without_source(self, school: School) -> None:
        """
        A sale that names no app is refused, since the app's own rows have no app either.
        """
        with pytest.raises(EventRejectedError, match="names no sourceApp"):
            school.grant(sale(source_app=None))
        assert school.rows == []


class TestEntitlementId:
    def test_same_for_ever(self, school: School) -> None:
        """
        A row that was lost comes back under its old id.
        """
        school.grant(sale())
        with school.database.session() as session:
            session.delete(session.get_one(type(school.row), ID))

        assert school.rows == []
        assert school.grant(sale()).ids == (ID,)

    def test_tombstone(self, school: School) -> None:
        """
        A row that begins as a revoked one has the same id.
        """
        assert school.revoke(refund()).ids == (ID,)

    def test_its_own(self, school: School) -> None:
        """
        Each source and product has another id, also where their parts put together read the same.
        """
        school.add(SchoolProduct(id="1prod_9"))
        requests = [
            sale(),
            sale(purchase_id="pur_11"),
            sale(source_app="total-typescript1"),
            sale(purchase_id="pur_", product_id="1prod_9"),
        ]

        assert len({school.grant(request).ids for request in requests}) == len(school.rows) == 4


class TestUnknownProduct:
    def test_no_row(self, school: School) -> None:
        """
        What the school doesn't have can't be unlocked: no row, and the shop is told why.
        """
        school.add(link())
        outcome = school.grant(sale(product_id="prod_404"))

        assert (outcome.ids, outcome.changed, said(outcome)) == ((), False, unknown())
        assert school.rows == []

    def test_again(self, school: School) -> None:
        """
        It is said again each time, in the version that is asked for, until there is such a product.
        """
        assert [said(school.grant(sale(version, product_id="prod_404"))) for version in (3, 3, 2)] == [
            unknown(3),
            unknown(3),
            unknown(2),
        ]
        school.add(SchoolProduct(id="prod_404"))

        assert isinstance(said(school.grant(sale(3, product_id="prod_404"))), EntitlementGranted)

    def test_no_longer_known(self, school: School) -> None:
        """
        A newer grant of a product that is gone by now fails and changes nothing.
        """
        school.add(link())
        school.grant(sale(1))
        before = school.row.model_dump()
        self.remove_course(school)
        outcome = school.grant(sale(2, buyer_user_id="shop-bob"))

        assert (outcome.ids, outcome.changed, said(outcome)) == ((), False, unknown(2, COURSE))
        assert school.row.model_dump() == before

    def test_stale(self, school: School) -> None:
        """
        A grant of a product that is gone, that is stale as well, is answered with what is stored.
        """
        school.add(link())
        school.grant(sale(3))
        self.remove_course(school)
        outcomes = [school.grant(sale(version)) for version in (3, 2)]

        assert [(outcome.ids, outcome.changed) for outcome in outcomes] == [((ID,), False)] * 2
        assert [said(outcome) for outcome in outcomes] == [granted("active", 3, user_id=ADA)] * 2
        school.revoke(refund(4))
        assert said(school.grant(sale(3))) == revoked(4)

    def test_revoke(self, school: School) -> None:
        """
        What is refunded before there is such a product stays revoked when there is one.
        """
        request = refund(2, product_id="prod_404")
        assert isinstance(said(school.revoke(request)), EntitlementRevoked)
        school.add(SchoolProduct(id="prod_404"), link())

        assert isinstance(said(school.grant(sale(1, product_id="prod_404"))), EntitlementRevoked)
        assert not school.opens(ADA, "prod_404")

    def test_case(self, school: School) -> None:
        """
        A product whose id differs in case is another one, whatever the app's own column makes of it.
        """
        assert said(school.grant(sale(product_id=COURSE.upper()))) == unknown(product_id=COURSE.upper())
        assert school.rows == []

    def remove_course(self, school: School) -> None:
        """
        Delete the product.
        """
        with school.database.session() as session:
            session.delete(session.get_one(SchoolProduct, COURSE))
