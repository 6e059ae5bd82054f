from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel

import crossapp_ah as ah
from crossapp_ah.models import Entitlement
from crossapp_core.apps import Peer, Settings
from crossapp_core.errors import UnconfirmedEventError, UnknownProductError
from crossapp_core.events import BundlePurchased, EntitlementGranted, EntitlementRevoke, EntitlementRevoked
from crossapp_core.outcomes import Outcome
from tests.ah.school import ADA, COURSE, SHOP, School, link, refund, said, sale, school
from tests.databases import Database
from tests.hosts import SchoolProduct
from tests.rivals import at_once


class SketchUser(SQLModel, table=True):
    """
    Somebody at the school.
    """

    __tablename__ = "sketch_user"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)


class ReferringEntitlement(ah.EntitlementBase, table=True):
    """
    Entitlements that must be of a product that there is.
    """

    __tablename__ = "referring_entitlement"

    product_id: str | None = Field(
        default=None, foreign_key="school_product.id", max_length=64, sa_column_kwargs={"name": "productId"}
    )


SETTINGS = Settings("ai-hero", [Peer(app_id=SHOP, event_key="shop-key", sketch=True)])


def sketch_school(database: Database, **options: Any) -> School:
    """
    A school whose only seller is a sketch peer.
    """
    return school(database, settings=SETTINGS, users=ah.TableUsers(SketchUser), **options)


@pytest.fixture
def taught(database: Database) -> School:
    """
    That school, with its ready tables.
    """
    return sketch_school(database)


def sold(**changes: Any) -> BundlePurchased:
    """
    A sale as the sketch peer's is read: it names nobody at the shop.
    """
    return sale(1, buyer_user_id=None, **changes)


def held(made: School) -> Entitlement:
    """
    The one entitlement to a product; the row that stands for the whole purchase is none.
    """
    [row] = [row for row in made.rows if row.product_id]
    return row


def everything(outcome: Outcome) -> dict[str | None, str]:
    """
    What is answered about each product.
    """
    return {
        event.product_id: event.name
        for event in (message.event for message in outcome.messages)
        if isinstance(event, EntitlementGranted | EntitlementRevoked)
    }


class TestLinkedUser:
    def test_opens(self, taught: School) -> None:
        """
        The user whom a sketch peer names is believed, if it names no buyer of its own and the user exists.
        """
        taught.add(SketchUser(id=ADA))

        outcome = taught.grant(sold(linked_user_id=ADA))

        assert (held(taught).status, held(taught).user_id, taught.opens()) == ("active", ADA, True)
        assert isinstance(said(outcome), EntitlementGranted)

    def test_nobody(self, taught: School) -> None:
        """
        A user who doesn't exist gets nothing: the sale waits.
        """
        taught.grant(sold(linked_user_id="school-eve"))

        assert (held(taught).status, held(taught).user_id) == ("pending", None)

    def test_buyer_decides(self, taught: School) -> None:
        """
        Where the buyer is named, only the granter's own link counts.
        """
        taught.add(SketchUser(id="school-eve"), SketchUser(id=ADA))
        taught.grant(sale(1, linked_user_id="school-eve"))
        assert held(taught).status == "pending"

        taught.add(link())
        taught.look_again(sale(1, linked_user_id="school-eve"))
        assert held(taught).user_id == ADA

    def test_other_peers(self, database: Database) -> None:
        """
        What a library's peer says of a user here is never believed.
        """
        made = school(database, users=ah.TableUsers(SketchUser))
        made.add(SketchUser(id=ADA))
        made.grant(sold(linked_user_id=ADA))

        assert held(made).status == "pending"

    def test_without_users(self, database: Database) -> None:
        """
        A school that doesn't say who its users are believes nobody.
        """
        made = school(database, settings=SETTINGS)
        made.add(SketchUser(id=ADA))
        made.grant(sold(linked_user_id=ADA))

        assert held(made).status == "pending"


class TestUnknownProduct:
    def test_retried(self, taught: School) -> None:
        """
        A sketch peer doesn't understand that a product is missing: the step fails, to be tried again.
        """
        with pytest.raises(UnknownProductError, match="there is no product prod_11 here") as caught:
            taught.grant(sold(product_id="prod_11"))

        assert caught.value.retryable
        assert taught.rows == []

        taught.add(SchoolProduct(id="prod_11"))
        taught.grant(sold(product_id="prod_11"))
        assert held(taught).status == "pending"


class TestFinal:
    def test_revoke(self, taught: School) -> None:
        """
        A revoke is final: the same purchase is never granted again.
        """
        taught.grant(sold())
        taught.revoke(refund(2))
        outcome = taught.grant(sold())

        assert everything(outcome) == {COURSE: "entitlement/revoked"}
        assert held(taught).status == "revoked"


class TestWholePurchase:
    def test_all_components(self, taught: School) -> None:
        """
        A revoke without product locks all that the purchase holds, and answers for each.
        """
        taught.add(SketchUser(id=ADA), link())
        for product in (COURSE, "prod_10"):
            taught.grant(sale(1, product_id=product))
        assert taught.opens(product_id="prod_10")

        outcome = taught.revoke(refund(2, product_id=None))

        assert everything(outcome) == {COURSE: "entitlement/revoked", "prod_10": "entitlement/revoked"}
        assert {row.status for row in taught.rows} == {"revoked"}
        assert not taught.opens()
        assert not taught.opens(product_id="")

    def test_again(self, taught: School) -> None:
        """
        The same revoke once more changes nothing and is answered again.
        """
        taught.grant(sold())
        first = taught.revoke(refund(2, product_id=None))
        second = taught.revoke(refund(2, product_id=None))

        assert (first.changed, second.changed) == (True, False)
        assert first.messages == second.messages

    def test_before_the_sale(self, taught: School) -> None:
        """
        It holds for what arrives later, too, and until then its answer names no product.
        """
        outcome = taught.revoke(refund(2, product_id=None))
        assert everything(outcome) == {None: "entitlement/revoked"}

        late = taught.grant(sold())

        assert everything(late) == {COURSE: "entitlement/revoked"}
        assert [(row.product_id, row.status) for row in taught.rows] == [("", "revoked")]

    def test_other_purchases(self, taught: School) -> None:
        """
        Another purchase stays as it is.
        """
        taught.add(SketchUser(id=ADA), link())
        taught.grant(sale(1, purchase_id="pur_2"))
        taught.revoke(refund(2, product_id=None))

        assert taught.opens()

    def test_race(self, taught: School) -> None:
        """
        A sale and the revoke of all at once: whoever comes first, it ends locked.
        """
        taught.add(SketchUser(id=ADA), link())
        for round_ in range(20):
            bought = sale(1, purchase_id=f"race_{round_}")
            whole = refund(2, purchase_id=bought.purchase_id, product_id=None)
            at_once(partial(again, taught.grant, bought), partial(again, taught.revoke, whole))
        assert not taught.opens()
        assert {row.status for row in taught.rows} == {"revoked"}


def again(do: Callable[[Any], object], fact: object) -> None:
    """
    Do it, once more if another worker has just written the same row, as the app's transactions do.
    """
    try:
        do(fact)
    except IntegrityError:
        do(fact)


class TestForeignKey:
    def test_sale(self, database: Database) -> None:
        """
        A table whose products refer to the app's own holds no row without one, and takes sales all the same.
        """
        made = sketch_school(database, entitlements=ReferringEntitlement)
        made.grant(sold())
        made.revoke(refund(2, product_id=None))

        assert [(row.product_id, row.status) for row in made.rows] == [(COURSE, "revoked")]

    def test_revoke_before_sale(self, database: Database) -> None:
        """
        It can't keep the revoke of what was never seen, so that is tried again.
        """
        made = sketch_school(database, entitlements=ReferringEntitlement)
        with pytest.raises(UnconfirmedEventError, match="the purchase pur_1 is not known"):
            made.revoke(EntitlementRevoke(source_app=SHOP, purchase_id="pur_1", reason="refunded", version=2))

        assert made.rows == []
