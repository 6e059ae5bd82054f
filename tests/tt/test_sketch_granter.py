from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest
from sqlmodel import Session

import crossapp_tt as tt
from crossapp_core.errors import CatalogError, EventRejectedError
from crossapp_core.models import AccountLink
from crossapp_core.outcomes import Message, Outcome
from crossapp_tt.operations import sketches
from crossapp_tt.operations.sketches import Answer
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase
from tests.tt.shop import BUNDLE, COURSE, FIRST, OTHER, PURCHASE, SCHOOL, Shop, entry, refund_in, sale_in, version_at

LATER = NOW + timedelta(hours=1)
SECOND = version_at(LATER)


def sketch_shop(database: Database) -> Shop:
    """
    A shop whose school is a sketch peer.
    """
    return Shop(database, sketches=frozenset({SCHOOL}))


@pytest.fixture
def shop(database: Database) -> Shop:
    """
    That shop, on each database.
    """
    return sketch_shop(database)


def granted(version: int = FIRST, entitlement_id: str = "ent_1", **changes: str | None) -> Answer:
    """
    What the school answers to a grant.
    """
    fields: dict[str, str | None] = {"source_purchase_id": f"{PURCHASE}~{version}", "entitlement_id": entitlement_id}
    return answer(granted=True, **(fields | changes))


def revoked(version: int = FIRST, **changes: str | None) -> Answer:
    """
    What the school answers to a revoke.
    """
    return answer(granted=False, **({"source_purchase_id": f"{PURCHASE}~{version}"} | changes))


def answer(*, granted: bool, source_purchase_id: str | None, **fields: str | None) -> Answer:
    """
    An answer of the school.
    """
    return Answer(SCHOOL, source_purchase_id or "", granted, **fields)


def one(outcome: Outcome) -> Message:
    """
    The one message.
    """
    [message] = outcome.messages
    return message


class TestSale:
    def test_purchase_of_its_own(self, shop: Shop) -> None:
        """
        Each grant reaches a sketch peer as a purchase of its own.
        """
        sale = sale_in(one(shop.sell()))

        assert (sale.purchase_id, sale.version, shop.row().grant_version) == (f"{PURCHASE}~{FIRST}", FIRST, FIRST)

    @pytest.mark.parametrize("linked", [True, False])
    def test_linked_buyer(self, shop: Shop, *, linked: bool) -> None:
        """
        It is told whose account there belongs to the buyer, as long as the link stands: it looks at none of its own.
        """
        link = AccountLink(
            id="l1",
            user_id="shop-ada",
            linked_app=SCHOOL,
            linked_user_id="school-ada",
            link_method="explicit",
            linked_at=NOW,
            unlinked_at=None if linked else NOW,
            version=3,
        )
        shop.add(link, ShopPurchase(id=PURCHASE, user_id="shop-ada", email="ada@example.com", product_id=BUNDLE))

        sale = sale_in(one(shop.record()))

        assert sale.linked_user_id == ("school-ada" if linked else None)

    def test_answer(self, shop: Shop) -> None:
        """
        An answer with the entitlement's id alone settles the row.
        """
        shop.sell()
        outcome = shop.do(sketches.apply, granted(), now=LATER)

        row = shop.row()
        assert (outcome.changed, outcome.messages) == (True, ())
        assert (row.status, row.target_entitlement_id, row.synced_at) == ("synced", "ent_1", LATER)
        assert not shop.do(sketches.apply, granted()).changed

    def test_accepted(self, shop: Shop) -> None:
        """
        That the peer's Inngest accepted it is noted in the row of the purchase.
        """
        shop.note_accepted(shop.sell().messages, now=LATER)

        assert (shop.row().accepted_version, shop.row().accepted_at) == (FIRST, LATER)

    def test_two_products(self, shop: Shop) -> None:
        """
        Two products of one purchase get different versions, since an answer may name nothing else.
        """
        shop.bundles[BUNDLE] = [entry("prod_1"), entry("prod_2")]
        ids = [sale_in(message).purchase_id for message in shop.sell().messages]
        assert ids == [f"{PURCHASE}~{FIRST}", f"{PURCHASE}~{FIRST + 1}"]

        shop.do(sketches.apply, granted(FIRST + 1))
        assert [row.status for row in shop.rows()] == ["pending", "synced"]

    def test_two_kinds_of_peers(self, shop: Shop) -> None:
        """
        A granter with this library hears of the same purchase by its own id.
        """
        shop.bundles[BUNDLE] = [entry(), entry(app=OTHER)]
        ids = {message.target: sale_in(message).purchase_id for message in shop.sell().messages}

        assert ids == {SCHOOL: f"{PURCHASE}~{FIRST}", OTHER: PURCHASE}

    def test_long_id(self, shop: Shop) -> None:
        """
        A purchase whose id leaves no room for a version is refused, and says so.
        """
        shop.purchases = cast("tt.Purchases", LongIds())
        with pytest.raises(CatalogError, match="a purchase's id may have 176 characters there"):
            shop.record("p" * 177)
        assert shop.record("p" * 176).messages


class LongIds:
    """
    Purchases of any id.
    """

    def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> tt.Purchase:
        """
        A purchase with that id.
        """
        return tt.Purchase(id=purchase_id, product_id=BUNDLE, owned=True)


class TestRefund:
    def test_acknowledged(self, shop: Shop) -> None:
        """
        What the peer holds is revoked as the purchase that it knows, and its answer settles that.
        """
        shop.sell()
        shop.do(sketches.apply, granted())
        revoke = refund_in(one(shop.refund(now=LATER)))
        assert (revoke.purchase_id, revoke.product_id, revoke.version) == (f"{PURCHASE}~{FIRST}", COURSE, SECOND)

        shop.do(sketches.apply, revoked(), now=LATER)
        row = shop.row()
        assert (row.status, row.revoked_at, row.next_attempt_at, row.grant_version) == ("revoked", LATER, None, 0)
        assert not shop.do(sketches.apply, revoked()).changed

    def test_in_flight(self, shop: Shop) -> None:
        """
        A revoke could overtake a grant that isn't acknowledged: that is sent again, as another event, and revoked when
        its answer comes.
        """
        first = one(shop.sell())
        again = one(shop.refund(now=LATER))
        assert sale_in(again).purchase_id == sale_in(first).purchase_id
        assert sale_in(again).version != sale_in(first).version

        revoke = refund_in(one(shop.do(sketches.apply, granted(), now=LATER)))
        assert (revoke.purchase_id, revoke.reason) == (f"{PURCHASE}~{FIRST}", "refunded")
        assert shop.row().status == "pending"

    def test_late_grant(self, shop: Shop) -> None:
        """
        An answer that says that what was revoked is open makes the revoke due again.
        """
        shop.sell()
        shop.do(sketches.apply, granted())
        shop.refund(now=LATER)
        shop.do(sketches.apply, revoked(), now=LATER)

        revoke = refund_in(one(shop.do(sketches.apply, granted(), now=LATER)))
        assert (revoke.purchase_id, revoke.version) == (f"{PURCHASE}~{FIRST}", SECOND + 1)
        shop.do(sketches.apply, revoked(), now=LATER)
        assert shop.row().status == "revoked"


class TestTransfer:
    def test_revoke_then_grant(self, shop: Shop) -> None:
        """
        Another buyer gets it when the first one has lost it.
        """
        shop.sell()
        shop.do(sketches.apply, granted())
        shop.change(user_id="grace", email="grace@example.com")

        revoke = refund_in(one(shop.record(now=LATER)))
        assert (revoke.purchase_id, revoke.reason) == (f"{PURCHASE}~{FIRST}", "transferred")
        sale = sale_in(one(shop.do(sketches.apply, revoked(), now=LATER)))
        assert (sale.purchase_id, sale.buyer_user_id) == (f"{PURCHASE}~{SECOND}", "grace")
        shop.do(sketches.apply, granted(SECOND, "ent_2"), now=LATER)
        assert (shop.row().status, shop.row().target_entitlement_id) == ("synced", "ent_2")

    def test_older_grant(self, shop: Shop) -> None:
        """
        An answer of the first buyer's grant, after the second's was sent, has that revoked once more.
        """
        self.test_revoke_then_grant(shop)

        revoke = refund_in(one(shop.do(sketches.apply, granted(), now=LATER)))
        assert (revoke.purchase_id, shop.row().status) == (f"{PURCHASE}~{FIRST}", "synced")
        assert not shop.do(sketches.apply, revoked()).changed


class TestContradiction:
    def test_revoked_there(self, shop: Shop) -> None:
        """
        What is wanted and was locked there is granted anew, as another purchase.
        """
        shop.sell()
        shop.do(sketches.apply, granted())
        sale = sale_in(one(shop.do(sketches.apply, revoked(), now=LATER)))

        assert (sale.purchase_id, shop.row().status) == (f"{PURCHASE}~{SECOND}", "pending")


class TestNeverAsked:
    @pytest.mark.parametrize("id_", ["pur_2~1", f"{PURCHASE}~{2**50}", "", "~", f"{PURCHASE}~x"])
    def test_refused(self, shop: Shop, id_: str) -> None:
        """
        An answer about nothing that was asked for is refused, and changes nothing.
        """
        shop.bundles[BUNDLE] = [entry("prod_1"), entry("prod_2")]
        shop.sell()
        before = [row.model_dump() for row in shop.rows()]
        with pytest.raises(EventRejectedError, match="which it was never asked for"):
            shop.do(sketches.apply, granted(source_purchase_id=id_))

        assert [row.model_dump() for row in shop.rows()] == before

    def test_other_product(self, shop: Shop) -> None:
        """
        An answer about a product that wasn't sold is refused.
        """
        shop.sell()
        with pytest.raises(EventRejectedError, match="which it was never asked for"):
            shop.do(sketches.apply, granted(product_id="prod_11"))
