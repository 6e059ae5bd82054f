from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import Field, SQLModel

from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_core.operations import links
from crossapp_core.operations.link_rows import Pair
from crossapp_core.ports import Linker
from crossapp_core.table_ports import TableUsers
from crossapp_tt.operations import buyers
from crossapp_tt.ports import Seller
from tests.databases import Database
from tests.hosts import NOW
from tests.tt.shop import COURSE, FIRST, MILLISECOND, OTHER, SCHOOL, SHOP, Shop, entry, granted, revoked, sale_in

LATER = NOW + timedelta(days=1)
MINUTE = timedelta(minutes=1)
GUEST: dict[str, Any] = {"user_id": None, "email": "Ada@Example.com "}


class Customer(SQLModel, table=True):
    """
    Somebody with an account in the shop.
    """

    __tablename__ = "buying_customer"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = True


class PeopledShop(Shop):
    """
    A shop that says who its users are.
    """

    @property
    def seller(self) -> Seller:
        """
        The shop, as the operations know it.
        """
        return replace(super().seller, users=TableUsers(Customer))

    def move(self, customer: str, **values: Any) -> None:
        """
        Change a customer.
        """
        with self.database.session() as session:
            row = session.get_one(Customer, customer)
            for name, value in values.items():
                setattr(row, name, value)

    def link(self, user_id: str = "ada", app: str = SCHOOL) -> None:
        """
        Link a customer, as a person's confirmation does.
        """
        linker = Linker(
            app_id=SHOP,
            links=AccountLink,
            tokens=AccountLinkToken,
            apps=frozenset({SCHOOL, OTHER}),
            sketches=self.sketches,
            effects=(partial(buyers.ask_again, self.seller),),
        )
        with self.database.session() as session:
            pair = Pair(user_id, app, f"school-{user_id}")
            links.link(session, linker, links.Confirmation(pair), now=LATER)


@pytest.fixture
def peopled(database: Database) -> PeopledShop:
    """
    Such a shop on each of the databases in turn.
    """
    return PeopledShop(database)


class TestNamed:
    def test_holder(self, peopled: PeopledShop) -> None:
        """
        A guest's address becomes the user who holds it, verified, when the sale is recorded.
        """
        peopled.add(Customer(id="ada", email="ada@example.com"))
        outcome = peopled.sell(**GUEST)

        assert (peopled.row().buyer_user_id, peopled.row().buyer_email) == ("ada", "ada@example.com")
        [message] = outcome.messages
        assert (sale_in(message).buyer_user_id, sale_in(message).version) == ("ada", FIRST)

    @pytest.mark.parametrize(
        "customers",
        [
            [],
            [Customer(id="ada", email="ada@example.com", email_verified=False)],
            [Customer(id="ada", email="ada+x@example.com")],
            [Customer(id="ada", email="ada@example.com"), Customer(id="eve", email="ADA@example.com")],
            [Customer(id="ada", email=None)],
        ],
        ids=["nobody", "unverified", "another", "ambiguous", "none"],
    )
    def test_nobody(self, peopled: PeopledShop, customers: list[Customer]) -> None:
        """
        An address that nobody has verified, or that several have, names nobody.
        """
        peopled.add(*(Customer(**customer.model_dump()) for customer in customers))
        peopled.sell(**GUEST)

        assert (peopled.row().buyer_user_id, peopled.row().buyer_email) == (None, "ada@example.com")

    def test_without_users(self, shop: Shop) -> None:
        """
        A shop that doesn't say who its users are names nobody.
        """
        shop.add(Customer(id="ada", email="ada@example.com"))
        shop.sell(**GUEST)

        assert shop.row().buyer_user_id is None

    def test_later(self, peopled: PeopledShop) -> None:
        """
        If the user is there only later, the sale recorded again names them, as a new version, once.
        """
        peopled.sell(**GUEST)
        peopled.answer(granted(user_id=None))
        assert peopled.record(now=LATER).messages == ()
        peopled.add(Customer(id="ada", email="ada@example.com"))
        outcome = peopled.record(now=LATER)

        row = peopled.row()
        assert (row.buyer_user_id, row.version, row.status) == ("ada", FIRST + 86_400_000, "pending")
        assert [sale_in(message).buyer_user_id for message in outcome.messages] == ["ada"]
        peopled.answer(granted(row.version, user_id=None))
        assert peopled.record(now=LATER + MILLISECOND).messages == ()
        assert peopled.row().version == row.version

    @pytest.mark.parametrize(
        "change",
        [{"email": "other@example.com"}, {"email": None}, {"email_verified": False}],
        ids=str,
    )
    def test_once_named(self, peopled: PeopledShop, change: dict[str, object]) -> None:
        """
        Once a user is named, it changes nothing whose the address is now.
        """
        peopled.add(Customer(id="ada", email="ada@example.com"), Customer(id="eve", email="eve@example.com"))
        peopled.sell(**GUEST)
        peopled.answer(granted())
        peopled.move("ada", **change)
        peopled.move("eve", email="ada@example.com")
        outcome = peopled.record(now=LATER)

        assert (peopled.row().buyer_user_id, peopled.row().version, outcome.messages) == ("ada", FIRST, ())

    def test_named_for_all(self, peopled: PeopledShop) -> None:
        """
        A component that is added later has the same buyer as the others, whose the address is now or not.
        """
        peopled.add(Customer(id="ada", email="ada@example.com"))
        peopled.sell(**GUEST)
        peopled.move("ada", email="moved@example.com")
        with peopled.database.session() as session:
            known = [peopled.row()]
            purchase = peopled.seller.purchases.get(session, "pur_1")
            assert purchase is not None
            named = buyers.named(session, peopled.seller, purchase, known)

        assert named.user_id == "ada"
        assert named.email == purchase.email

    def test_own_user_decides(self, peopled: PeopledShop) -> None:
        """
        A purchase of a user isn't another's, whatever address it was paid with.
        """
        peopled.add(Customer(id="eve", email="ada@example.com"))
        peopled.sell(user_id="ada")

        assert peopled.row().buyer_user_id == "ada"

    def test_lost_ledger(self, peopled: PeopledShop) -> None:
        """
        A ledger that is written anew because a granter answers names the user as well.
        """
        peopled.sell(**GUEST)
        peopled.forget()
        peopled.add(Customer(id="ada", email="ada@example.com"))
        peopled.answer(granted(user_id=None))

        assert (peopled.row().buyer_user_id, peopled.row().version > FIRST) == ("ada", True)


class TestAskAgain:
    def test_due(self, peopled: PeopledShop) -> None:
        """
        When a buyer is linked, what was acknowledged without a user becomes due again in a minute, and nothing else.
        """
        peopled.bundles = {"bundle_1": [entry(), entry("prod_10"), entry("prod_9", OTHER)]}
        peopled.sell()
        peopled.answer(granted(user_id=None))
        peopled.answer(granted(product_id="prod_10"))
        peopled.answer(granted(source_app=OTHER, user_id=None))
        peopled.sell("pur_2", user_id="eve")
        peopled.answer(granted(source_purchase_id="pur_2", user_id=None))
        peopled.sell("pur_3")
        peopled.refund("pur_3", now=NOW + MILLISECOND)
        for row in peopled.rows():
            if row.purchase_id == "pur_3":
                peopled.answer(
                    revoked(
                        row.version,
                        source_app=row.target_app,
                        product_id=row.target_product_id,
                        source_purchase_id="pur_3",
                    )
                )
        before = {row.id: row.model_dump() for row in peopled.rows()}
        peopled.link()

        changed = [row for row in peopled.rows() if row.model_dump() != before[row.id]]
        assert [(row.purchase_id, row.target_app, row.target_product_id) for row in changed] == [
            ("pur_1", SCHOOL, COURSE)
        ]
        assert changed[0].next_attempt_at == LATER + MINUTE
        assert changed[0].model_dump() == {**before[changed[0].id], "next_attempt_at": LATER + MINUTE}

    def test_other_peer(self, peopled: PeopledShop) -> None:
        """
        A link with one peer asks no other.
        """
        peopled.sell()
        peopled.answer(granted(user_id=None))
        peopled.link(app=OTHER)

        assert peopled.row().next_attempt_at is None

    def test_still_owed(self, peopled: PeopledShop) -> None:
        """
        What is owed anyway keeps its time.
        """
        peopled.sell()
        peopled.link()

        assert (peopled.row().status, peopled.row().next_attempt_at) == ("pending", NOW + MINUTE)

    def test_sketch_peer(self, database: Database) -> None:
        """
        A sketch peer is never asked.
        """
        shop = PeopledShop(database)
        shop.sell()
        shop.answer(granted(user_id=None))
        shop.sketches = frozenset({SCHOOL})
        shop.link()

        assert shop.row().next_attempt_at is None

    def test_named(self, peopled: PeopledShop) -> None:
        """
        An answer that names the user ends it; one that names none doesn't, and a named one is never forgotten.
        """
        peopled.sell()
        peopled.answer(granted(user_id=None))
        peopled.link()
        peopled.answer(granted(user_id=None))
        assert peopled.row().next_attempt_at == LATER + MINUTE

        peopled.answer(granted())
        peopled.answer(granted(user_id=None))
        row = peopled.row()
        assert (row.next_attempt_at, row.target_user_id, row.status) == (None, "school-ada", "synced")

    def test_linked_again(self, peopled: PeopledShop) -> None:
        """
        Once the user is named, another link of the buyer asks nothing.
        """
        peopled.sell()
        peopled.answer(granted())
        peopled.link()

        assert peopled.row().next_attempt_at is None

    def test_answer_from_before_the_claim(self, peopled: PeopledShop) -> None:
        """
        An answer without a user that comes when the buyer is linked already was given before the claim, whose own
        answer may be lost: the row is settled, and asked for in a minute.
        """
        peopled.sell()
        peopled.link()
        peopled.answer(granted(user_id=None), now=LATER)
        row = peopled.row()
        assert (row.status, row.target_user_id, row.next_attempt_at) == ("synced", None, LATER + MINUTE)

        peopled.answer(granted(), now=LATER)
        row = peopled.row()
        assert (row.target_user_id, row.next_attempt_at) == ("school-ada", None)
