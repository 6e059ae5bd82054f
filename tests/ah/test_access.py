from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

import crossapp_ah as ah
from crossapp_ah.models import Entitlement
from tests.ah.own_tables import SchoolCourse, SchoolGrant, SchoolSeat
from tests.ah.school import ADA, COURSE, SHOP, School, link, refund, sale
from tests.databases import Database

USER = UUID("6f2d8c1a-9d0b-4f7e-8a51-3c1d5e7f9b20")
SOURCE: dict[str, Any] = {"source_app": SHOP, "source_purchase_id": "pur_1", "source_version": 1}


class TestReadyTable:
    def test_nothing_bought(self, school: School) -> None:
        """
        Who bought nothing may use nothing.
        """
        assert not school.opens()

    def test_own_product_and_user_alone(self, school: School) -> None:
        """
        What was bought opens that product for that user, nothing else and nobody else.
        """
        school.add(link(), link("school-bob", "shop-bob"))
        school.grant(sale())

        assert school.opens(ADA, COURSE)
        assert not school.opens(ADA, "prod_10")
        assert not school.opens("school-bob", COURSE)
        assert not school.opens(ADA.upper(), COURSE)
        assert not school.opens(ADA, COURSE.upper())

    def test_two_bundles_one_refund(self, school: School) -> None:
        """
        A product that came with two bundles stays open after the refund of one, and is locked after that of both.
        """
        school.add(link())
        for purchase_id in ("pur_1", "pur_2"):
            school.grant(sale(1, purchase_id=purchase_id))
        seen = [school.opens()]
        for purchase_id in ("pur_1", "pur_2"):
            school.revoke(refund(2, purchase_id=purchase_id))
            seen.append(school.opens())

        assert seen == [True, True, False]

    def test_status(self, school: School) -> None:
        """
        Only what is active opens anything, even if its user is known.
        """
        statuses = [*ah.EntitlementStatus, "expired", "ACTIVE", "", None]
        for place, status in enumerate(statuses):
            source = {**SOURCE, "source_purchase_id": f"pur_{place}"}
            row = Entitlement(id=f"ent_{place}", user_id=ADA, product_id=f"prod_{place}", status=status, **source)
            school.add(row)

        opened = [status for place, status in enumerate(statuses) if school.opens(ADA, f"prod_{place}")]
        assert opened == [ah.EntitlementStatus.ACTIVE]

    def test_default_table(self, school: School) -> None:
        """
        Without a table class it is the ready one that is asked.
        """
        school.add(link())
        school.grant(sale())

        with school.database.session() as session:
            assert ah.has_access(session, ADA, COURSE)
            assert not ah.has_access(session, ADA, "prod_10")

    async def test_async_session(self, school: School) -> None:
        """
        An async session runs it as it is.
        """
        school.add(link())
        school.grant(sale())

        async with AsyncSession(school.database.async_engine()) as session:
            assert await session.run_sync(ah.has_access, ADA, COURSE)
            assert not await session.run_sync(ah.has_access, "school-bob", COURSE)

    def test_hostile_ids(self, school: School) -> None:
        """
        No id matches another one's, whatever it looks like.
        """
        school.add(link())
        school.grant(sale())

        for hostile in ("' OR '1'='1", "%", "_", "school-ad_", "", "\\", "\U0001f600", "x" * 1000):
            assert not school.opens(hostile, COURSE)
            assert not school.opens(ADA, hostile)


Opens: TypeAlias = Callable[[object, object], bool]


@pytest.fixture
def opens(database: Database) -> Opens:
    """
    Whether the school's own table, where a user has course 1 from the shop, opens something.
    """
    with database.session() as session:
        session.add_all([SchoolCourse(id=1), SchoolCourse(id=2)])
        session.flush()
        session.add(SchoolGrant(user_id=USER, product_id=1, status="active", branch="north", **SOURCE))
        session.add(SchoolGrant(user_id=USER, product_id=2, status="active", branch="north"))

    def has_access(user_id: object, product_id: object) -> bool:
        with database.session() as session:
            return ah.has_access(session, user_id, product_id, entitlements=SchoolGrant)  # type: ignore[arg-type]

    return has_access


class TestOwnTable:
    def test_ids_of_its_own_kind(self, opens: Opens) -> None:
        """
        Ids are given as the app has them, numbers and UUIDs, or as text.
        """
        assert opens(USER, 1)
        assert opens(str(USER), "1")
        assert not opens(uuid4(), 1)
        assert not opens(USER, 3)

    def test_own_rows(self, opens: Opens) -> None:
        """
        The app's own rows, which come from no other app, don't count.
        """
        assert not opens(USER, 2)

    def test_not_quite_a_number(self, opens: Opens) -> None:
        """
        What only looks like the number is none of the app's ids.
        """
        near = ["1abc", "1.0", "01", "+1", "-1", " 1", "1 ", "1e0", "0x1", "１", "1_0", "", "true"]

        assert [product_id for product_id in near if opens(USER, product_id)] == []

    def test_number_out_of_range(self, opens: Opens) -> None:
        """
        A number that the column can't hold is no error, and doesn't wrap round.
        """
        large = [2**31, 2**32 + 1, 2**63, 2**64 + 1, 10**40, -(2**63) - 1]

        assert [product_id for product_id in large if opens(USER, product_id)] == []

    def test_not_quite_a_uuid(self, opens: Opens) -> None:
        """
        What isn't a UUID as the app writes it is nobody.
        """
        near = ["", "1", str(USER)[:-1], str(USER).upper(), f"{{{USER}}}", USER.hex]

        assert [user_id for user_id in near if opens(user_id, 1)] == []

    def test_own_name(self, database: Database) -> None:
        """
        The ready columns under another name work as well.
        """
        with database.session() as session:
            session.add(SchoolSeat(id="1", user_id=ADA, product_id=COURSE, status="active", branch="north", **SOURCE))
        with database.session() as session:
            assert ah.has_access(session, ADA, COURSE, entitlements=SchoolSeat)
            assert not ah.has_access(session, ADA, COURSE)
