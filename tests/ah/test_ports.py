from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select

import crossapp_ah as ah
from crossapp_ah.models import AccountLink, AccountLinkToken, Entitlement
from crossapp_core.columns import table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked
from tests.ah.own_tables import SchoolCourse, SchoolGrant, SchoolLink, SchoolSeat
from tests.ah.school import CLIENT, COURSE, ID, School, link, refund, said, sale, school
from tests.databases import Database
from tests.hosts import SchoolProduct, school_settings

USER = UUID("6f2d8c1a-9d0b-4f7e-8a51-3c1d5e7f9b20")


class TestTableProducts:
    def test_text_ids(self, school: School) -> None:
        """
        A product exists if there is a row with exactly that id.
        """
        products = ah.TableProducts(SchoolProduct)
        near = [COURSE.upper(), "prod_", "prod_99", f"{COURSE}%", "prod__", "", "x" * 191, "\U0001f600"]

        with school.database.session() as session:
            assert [products.exists(session, id_) for id_ in (COURSE, "prod_10", "prod_404")] == [True, True, False]
            assert [id_ for id_ in near if products.exists(session, id_)] == []

    def test_numbers(self, database: Database) -> None:
        """
        Ids of numbered products are those numbers as they are written, and nothing that only looks so.
        """
        products = ah.TableProducts(SchoolCourse)
        near = ["01", "1abc", "1.0", " 1", "+1", "１", "-1", "", "prod_9", str(2**31), str(2**32 + 1), "9" * 191]

        with database.session() as session:
            session.add(SchoolCourse(id=1))
            session.flush()
            assert products.exists(session, "1")
            assert [id_ for id_ in near if products.exists(session, id_)] == []

    def test_given_column(self, database: Database) -> None:
        """
        Another column may hold the ids.
        """
        products = [
            ah.TableProducts(SchoolSeat, id=given) for given in (SchoolSeat.branch, table_of(SchoolSeat).c.branch)
        ]
        with database.session() as session:
            session.add_all([SchoolSeat(id=id_, branch="north") for id_ in ("1", "2")])
            session.flush()
            for port in products:
                assert port.exists(session, "north")
                assert not port.exists(session, "1")

    def test_missing_column(self) -> None:
        """
        A table without such a column is told at construction, with what to do.
        """
        with pytest.raises(CrossAppConfigError, match="AccountLinkToken has no column id: name"):
            ah.TableProducts(AccountLinkToken)

    @pytest.mark.parametrize("given", ["id", 7, SchoolCourse.id, table_of(SchoolCourse)])
    def test_wrong_column(self, given: object) -> None:
        """
        What isn't a column of the table is told at construction.
        """
        with pytest.raises(CrossAppConfigError, match=r"SchoolProduct has no such column: name .*id=SchoolProduct\.…"):
            ah.TableProducts(SchoolProduct, id=given)


class TestFixedProducts:
    def test_exists(self, school: School) -> None:
        """
        Exactly the products that were given exist.
        """
        products = ah.FixedProducts({"prod_1", "prod_2"})
        with school.database.session() as session:
            found = [id_ for id_ in ("prod_1", "prod_2", "prod_", "PROD_1", "") if products.exists(session, id_)]

        assert found == ["prod_1", "prod_2"]

    def test_one_text(self) -> None:
        """
        A text in place of a list is told, since each of its letters would be a product.
        """
        with pytest.raises(CrossAppConfigError, match=r"put it in a list, \['prod_9'\]"):
            ah.FixedProducts("prod_9")


class TestOwnTable:
    """
    The school's own table, with numbers and UUIDs for ids, a column it requires, and foreign keys.
    """

    @pytest.fixture
    def school(self, database: Database) -> School:
        """
        A school with that table, and course 1.
        """
        made = school(
            database,
            products=ah.TableProducts(SchoolCourse),
            entitlements=SchoolGrant,
            new_row=lambda request: {"branch": f"branch of {request.purchase_id}"},
        )
        made.add(SchoolCourse(id=1), link(str(USER)))
        return made

    def test_new_row(self, school: School) -> None:
        """
        A new row has what the bridge was told to fill in, and the database's and the class's own defaults.
        """
        outcomes = [school.grant(sale(purchase_id=purchase_id, product_id="1")) for purchase_id in ("pur_1", "pur_2")]

        rows = grants(school)
        assert [(row.branch, row.lessons) for row in rows] == [("branch of pur_1", 3), ("branch of pur_2", 3)]
        assert all(row.made_at is not None for row in rows)
        assert [outcome.ids for outcome in outcomes] == [(str(row.id),) for row in rows]
        assert len({row.id for row in rows}) == 2

    def test_ids(self, school: School) -> None:
        """
        The row has ids as the app has them, the answer has them as text.
        """
        event = said(school.grant(sale(product_id="1")))
        [row] = grants(school)

        assert (row.user_id, row.product_id, row.status) == (USER, 1, "active")
        assert isinstance(event, EntitlementGranted)
        assert (event.user_id, event.product_id, event.entitlement_id) == (str(USER), "1", str(row.id))
        with school.database.session() as session:
            assert ah.has_access(session, USER, 1, entitlements=SchoolGrant)

    def test_same_row(self, school: School) -> None:
        """
        All that is heard of a source is about one row, which keeps its number and what the app wrote into it.
        """
        school.revoke(refund(1, product_id="1"))
        with school.database.session() as session:
            session.exec(select(SchoolGrant)).one().branch = "south"
        ids = {school.grant(sale(version, product_id="1")).ids for version in (2, 2, 1)}
        ids.add(school.look_again(sale(2, product_id="1")).ids)
        [row] = grants(school)

        assert ids == {(str(row.id),)}
        assert (row.status, row.source_version, row.branch) == ("active", 2, "south")

    def test_own_rows(self, school: School) -> None:
        """
        The app's own rows are never touched, whatever comes in.
        """
        school.add(SchoolGrant(user_id=USER, product_id=1, status="active", branch="own"))
        before = [row.model_dump() for row in grants(school)]
        school.grant(sale(1, product_id="1"))
        school.revoke(refund(2, product_id="1"))

        assert [row.model_dump() for row in grants(school) if row.source_app is None] == before
        assert len(grants(school)) == 2

    def test_user_that_it_cannot_hold(self, school: School) -> None:
        """
        A link to a user whose id is none of the app's is no link.
        """
        school.add(link("no-uuid", "shop-bob"))
        event = said(school.grant(sale(product_id="1", buyer_user_id="shop-bob")))

        assert isinstance(event, EntitlementGranted)
        assert (event.status, event.user_id) == ("pending", None)

    @pytest.mark.parametrize("product_id", ["2", "01", "1abc", "prod_9", str(2**31), str(2**63), "9" * 191])
    def test_product_that_it_cannot_hold(self, school: School, product_id: str) -> None:
        """
        A product that isn't there, or couldn't be, is unknown, also where the column is a foreign key.
        """
        event = said(school.grant(sale(3, product_id=product_id)))

        assert isinstance(event, EntitlementFailed)
        assert (event.code, event.product_id, event.version) == ("unknown-product", product_id, 3)
        assert grants(school) == []

    @pytest.mark.parametrize("product_id", ["01", "1abc", "prod_9", str(2**63), "9" * 191])
    def test_revoke_of_product_that_it_cannot_hold(self, school: School, product_id: str) -> None:
        """
        What couldn't have been granted counts as revoked, without a row, and stays ungranted.
        """
        outcome = school.revoke(refund(3, product_id=product_id))

        assert (outcome.ids, outcome.changed) == ((), False)
        assert said(outcome) == EntitlementRevoked(source_purchase_id="pur_1", product_id=product_id, version=3)
        assert isinstance(said(school.grant(sale(2, product_id=product_id))), EntitlementFailed)
        assert school.look_again(sale(2, product_id=product_id)).messages == ()
        assert grants(school) == []

    def test_filled_in_vain(self, database: Database) -> None:
        """
        What fills a new row can't decide what is ours to decide.
        """
        mischief = {"branch": "north", "status": "active", "source_version": 9}
        made = school(
            database,
            products=ah.TableProducts(SchoolCourse),
            entitlements=SchoolGrant,
            new_row=lambda request: mischief,
        )
        made.add(SchoolCourse(id=1))
        event = said(made.grant(sale(1, product_id="1")))

        assert isinstance(event, EntitlementGranted)
        assert (event.status, event.version) == ("pending", 1)


class TestOwnName:
    """
    Our columns under the school's own name, and one more that it requires.
    """

    def test_id_is_ours(self, database: Database) -> None:
        """
        Only what isn't ours need be filled in: the id is made as ever.
        """
        own = school(database, entitlements=SchoolSeat, new_row=lambda request: {"branch": "north"})

        assert own.grant(sale()).ids == (ID,)
        with database.session() as session:
            assert session.get_one(SchoolSeat, ID).branch == "north"

    def test_id_that_is_given(self, database: Database) -> None:
        """
        The app may have ids of its own making.
        """
        own = school(
            database, entitlements=SchoolSeat, new_row=lambda request: {"branch": "north", "id": request.purchase_id}
        )

        assert own.grant(sale()).ids == ("pur_1",)


class TestBridge:
    def test_required_column(self, database: Database) -> None:
        """
        A column that is required and that nothing fills is told at construction, and no other.
        """
        for table in (SchoolGrant, SchoolSeat):
            with pytest.raises(CrossAppConfigError) as caught:
                bridge(database, entitlements=table)
            assert str(caught.value) == (
                f"1 problem with Bridge(entitlements={table.__name__})\n"
                "  branch is required and has no default: fill it by new_row"
            )

    def test_ready_tables(self, database: Database) -> None:
        """
        Without tables of its own an app uses the ready ones.
        """
        host = bridge(database).host

        assert (host.entitlements, host.links) == (Entitlement, AccountLink)

    def test_own_links(self, database: Database) -> None:
        """
        Links may stand in a table of the app's own; those of the ready table don't count then.
        """
        own = school(database, links=SchoolLink)
        own.add(link())
        assert own.grant(sale(1)).messages[0].event.model_dump()["status"] == "pending"
        own.add(SchoolLink(**{**link().model_dump(), "user_id": "school-own"}))

        assert own.grant(sale(2)).messages[0].event.model_dump()["user_id"] == "school-own"


def bridge(database: Database, **options: Any) -> ah.Bridge:
    """
    A bridge for the school's products.
    """
    products = ah.TableProducts(SchoolProduct)
    return ah.Bridge(CLIENT, database.engine, settings=school_settings(), products=products, **options)


def grants(school: School) -> Sequence[SchoolGrant]:
    """
    All rows of the school's own table.
    """
    with school.database.session() as session:
        return session.exec(select(SchoolGrant).order_by(col(SchoolGrant.source_purchase_id))).all()
