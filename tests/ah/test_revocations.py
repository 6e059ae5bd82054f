from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_core.errors import EventRejectedError
from crossapp_core.outcomes import Outcome
from tests.ah.answers import granted, revoked
from tests.ah.school import ADA, BUYER, COURSE, ID, SHOP, School, link, refund, said, sale
from tests.hosts import NOW

LATER = NOW + timedelta(hours=1)


class TestRevoke:
    def test_active(self, school: School) -> None:
        """
        What was refunded is locked, and the row stays.
        """
        school.add(link())
        school.grant(sale(1))
        outcome = school.revoke(refund(2), now=LATER)

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), True, revoked(2))
        row = school.row
        assert (row.status, row.source_version, row.source_user_id) == ("revoked", 2, BUYER)
        assert not school.opens()

    def test_pending(self, school: School) -> None:
        """
        What was refunded before its buyer came is locked too, and a link doesn't open it any more.
        """
        school.grant(sale(1))
        assert said(school.revoke(refund(2))) == revoked(2)
        school.add(link())
        outcome = school.look_again(sale(1))

        assert (outcome.changed, said(outcome)) == (False, revoked(2))
        assert school.row.status == "revoked"

    def test_never_seen(self, school: School) -> None:
        """
        A refund of what was never seen leaves a revoked row.
        """
        outcome = school.revoke(refund(2))

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), True, revoked(2))
        row = school.row
        assert (row.status, row.source_version, row.user_id, row.pending_for_email) == ("revoked", 2, None, None)
        assert (row.source_app, row.source_purchase_id, row.product_id) == (SHOP, "pur_1", COURSE)

    def test_equal(self, school: School) -> None:
        """
        An equal refund changes nothing and is answered again.
        """
        first = school.revoke(refund(2))
        before = school.row.model_dump()
        outcome = school.revoke(refund(2, reason="disputed"), now=LATER)

        assert (outcome.ids, outcome.changed, outcome.messages) == (first.ids, False, first.messages)
        assert school.row.model_dump() == before

    def test_newer(self, school: School) -> None:
        """
        A newer refund of what is revoked raises the version.
        """
        school.revoke(refund(2))
        outcome = school.revoke(refund(3))

        assert (outcome.changed, said(outcome), school.row.source_version) == (True, revoked(3), 3)

    @pytest.mark.parametrize("version", [2, 3])
    def test_older(self, school: School, version: int) -> None:
        """
        A refund that is older than the grant, or as old, takes nothing back and hears what is stored.
        """
        school.add(link())
        school.grant(sale(3))
        before = school.row.model_dump()
        outcome = school.revoke(refund(version), now=LATER)

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), False, granted("active", 3, user_id=ADA))
        assert school.row.model_dump() == before

    def test_another_source(self, school: School) -> None:
        """
        A refund takes back what its own purchase granted, nothing else.
        """
        school.add(link())
        school.grant(sale(1))
        for request in (
            refund(2, purchase_id="pur_2"),
            refund(2, source_app="epic-web"),
            refund(2, product_id="prod_10"),
            refund(2, purchase_id="PUR_1"),
        ):
            school.revoke(request)

        assert [row.status for row in school.rows if row.id == ID] == ["active"]
        assert school.opens()

    def test_without_source(self, school: School) -> None:
        """
        A refund that names no app is refused.
        """
        with pytest.raises(EventRejectedError, match="names no sourceApp"):
            school.revoke(refund(source_app=None))
        assert school.rows == []


class TestLookAgain:
    def test_link_that_came_meanwhile(self, school: School) -> None:
        """
        What was left waiting opens if there is a link by now.
        """
        school.grant(sale(1))
        school.add(link())
        outcome = school.look_again(sale(1), now=LATER)

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), True, granted("active", user_id=ADA))
        row = school.row
        assert (row.status, row.user_id, row.claimed_at, row.source_version) == ("active", ADA, LATER, 1)
        assert school.opens()

    def test_repeated(self, school: School) -> None:
        """
        Looking a third time, as after a lost answer, says the same as the time that opened it.
        """
        school.grant(sale(1))
        school.add(link())
        first = school.look_again(sale(1))
        outcome = school.look_again(sale(1), now=LATER)

        assert (outcome.ids, outcome.changed, outcome.messages) == (first.ids, False, first.messages)
        assert school.row.claimed_at == NOW

    def test_no_link(self, school: School) -> None:
        """
        Without a link it stays as it is, and that is said again.
        """
        school.grant(sale(1))
        before = school.row.model_dump()
        outcome = school.look_again(sale(1))

        assert (outcome.ids, outcome.changed, said(outcome)) == ((ID,), False, granted("pending"))
        assert school.row.model_dump() == before

    def test_link_that_was_removed(self, school: School) -> None:
        """
        A link that came and went opens nothing.
        """
        school.grant(sale(1))
        school.add(link())
        school.unlink()

        assert said(school.look_again(sale(1))) == granted("pending")

    @pytest.mark.parametrize("version", [1, 3])
    def test_another_version(self, school: School, version: int) -> None:
        """
        A sale that isn't the one stored opens nothing, since it may be of another buyer.
        """
        school.grant(sale(2, buyer_user_id="shop-bob"))
        school.add(link())
        outcome = school.look_again(sale(version))

        assert (outcome.changed, said(outcome)) == (False, granted("pending", 2))
        assert school.row.status == "pending"

    def test_active(self, school: School) -> None:
        """
        What is open stays with its holder, whatever link there is now.
        """
        school.add(link())
        school.grant(sale(1))
        school.unlink()
        school.add(link("school-new"))
        outcome = school.look_again(sale(1), now=LATER)

        assert (outcome.changed, said(outcome)) == (False, granted("active", user_id=ADA))
        assert (school.row.user_id, school.row.claimed_at) == (ADA, NOW)

    def test_revoked(self, school: School) -> None:
        """
        What is revoked stays revoked at its version.
        """
        school.revoke(refund(2))
        school.add(link())
        outcome = school.look_again(sale(2))

        assert (outcome.changed, said(outcome), school.row.status) == (False, revoked(2), "revoked")

    def test_never_seen(self, school: School) -> None:
        """
        It makes no row: what isn't there isn't answered either.
        """
        school.add(link())

        assert school.look_again(sale(1)) == Outcome()
        assert school.rows == []

    def test_guest(self, school: School) -> None:
        """
        What a guest bought is nobody's link's.
        """
        school.grant(sale(1, buyer_user_id=None))
        school.add(link())

        assert said(school.look_again(sale(1, buyer_user_id=None))) == granted("pending")
