from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

import crossapp_ah as ah
from crossapp_ah.operations import claims, hooks, notices, owed_entitlements
from crossapp_ah.operations.claims import Claim
from crossapp_ah.operations.notices import Notice
from crossapp_core import database as core
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import EntitlementFailed, EntitlementGranted, Event
from crossapp_core.outcomes import Due, Sent
from tests.ah.own_tables import SchoolCourse, SchoolGrant
from tests.ah.roles import BrokenHookError, Roles, SchoolOfRoles, SchoolRole, school_of_roles
from tests.ah.school import ADA, BUYER, CLIENT, COURSE, ID, SHOP, link, refund, sale
from tests.ah.test_claims import Pupil
from tests.databases import Database
from tests.hosts import NOW, school_settings

BOB = "school-bob"
SOON = NOW + timedelta(minutes=1)


@pytest.fixture(name="school")
def a_school(database: Database) -> SchoolOfRoles:
    """
    A school with roles on each of the databases in turn, and two linked users.
    """
    made = school_of_roles(database)
    made.add(link(), link(BOB, "shop-bob"))
    return made


def claim(made: SchoolOfRoles) -> None:
    """
    Claim what waits for the buyer.
    """
    made.do(claims.claim, Claim({"linked_app": SHOP, "linked_user_id": BUYER}, NOW), now=NOW)  # type: ignore[arg-type]


def untold(made: SchoolOfRoles) -> Sequence[Notice]:
    """
    What users are to be told because of the one entitlement.
    """
    with made.database.session() as session:
        return notices.untold(session, made.granter, [ID], now=NOW)


class TestApply:
    def test_sale(self, school: SchoolOfRoles) -> None:
        """
        A sale opens by the hook, once, in the transaction that writes it down.
        """
        school.grant(sale())
        assert school.apply(ID).changed
        assert not school.apply(ID).changed

        assert school.roles.accesses == [ah.Access(ADA, COURSE, SHOP, "pur_1", ID)]
        assert (school.row.applied_version, school.row.applied_user_id) == (1, ADA)
        assert school.given == {(ADA, COURSE)}

    def test_refund(self, school: SchoolOfRoles) -> None:
        """
        A refund closes by the hook.
        """
        school.grant(sale())
        school.apply(ID)
        school.revoke(refund())
        school.apply(ID)

        assert school.roles.calls == [("active", ADA), ("revoked", ADA)]
        assert (school.row.applied_version, school.row.applied_user_id, school.given) == (2, None, set())

    def test_late_after_refund(self, school: SchoolOfRoles) -> None:
        """
        A hook that runs only when the sale is refunded opens nothing: it goes by what the row says then.
        """
        school.grant(sale())
        school.revoke(refund())
        school.apply(ID)

        assert (school.roles.calls, school.given) == ([], set())

    def test_pending(self, school: SchoolOfRoles) -> None:
        """
        For what waits there is no hook, and nothing is due; its claim opens.
        """
        school.unlink()
        school.grant(sale())
        school.apply(ID)
        assert (school.roles.calls, school.row.next_attempt_at) == ([], None)

        school.add(link("school-new"))
        claim(school)
        assert school.row.next_attempt_at == SOON
        school.apply(ID)
        assert school.given == {("school-new", COURSE)}

    def test_second_look(self, school: SchoolOfRoles) -> None:
        """
        What the second look opens is opened by the hook.
        """
        school.unlink()
        school.grant(sale())
        school.add(link("school-new"))
        school.look_again(sale())
        assert school.row.next_attempt_at == SOON
        school.apply(ID)

        assert school.given == {("school-new", COURSE)}

    def test_transfer(self, school: SchoolOfRoles) -> None:
        """
        A transfer closes for the old user, then opens for the new one.
        """
        school.grant(sale())
        school.apply(ID)
        school.grant(sale(2, buyer_user_id="shop-bob"))
        school.apply(ID)

        assert school.roles.calls[1:] == [("revoked", ADA), ("active", BOB)]
        assert school.given == {(BOB, COURSE)}

    def test_swap(self, school: SchoolOfRoles) -> None:
        """
        Two users who exchange their purchases of one course keep their roles.
        """
        school.grant(sale())
        school.grant(sale(1, purchase_id="pur_2", buyer_user_id="shop-bob"))
        school.apply_all()
        school.grant(sale(2, buyer_user_id="shop-bob"))
        school.grant(sale(2, purchase_id="pur_2"))
        school.apply_all()

        assert ("revoked", ADA) not in school.roles.calls
        assert ("revoked", BOB) not in school.roles.calls
        assert school.given == {(ADA, COURSE), (BOB, COURSE)}

    def test_newer_grant(self, school: SchoolOfRoles) -> None:
        """
        A newer grant to the same user runs the hook again, and closes nothing.
        """
        school.grant(sale())
        school.apply(ID)
        school.grant(sale(2))
        school.apply(ID)

        assert school.roles.calls == [("active", ADA)] * 2
        assert school.row.applied_version == 2

    def test_failure(self, school: SchoolOfRoles) -> None:
        """
        Of a hook that fails nothing is left, and it stays owed.
        """
        school.roles.broken = True
        school.grant(sale())
        with pytest.raises(BrokenHookError):
            school.apply(ID)
        assert (school.given, school.row.applied_version, school.row.next_attempt_at) == (set(), 0, SOON)

        school.roles.broken = False
        school.apply(ID)
        assert school.given == {(ADA, COURSE)}

    def test_crash(self, school: SchoolOfRoles) -> None:
        """
        If the process dies between a hook and its commit, nothing of it is left, and the hook runs again.
        """
        school.grant(sale())
        with Session(school.database.engine) as session:
            assert hooks.apply(session, school.granter, ID, now=NOW).changed
        assert (school.given, school.row.applied_version, school.row.next_attempt_at) == (set(), 0, SOON)

        school.apply(ID)
        assert (school.given, school.roles.calls) == ({(ADA, COURSE)}, [("active", ADA)] * 2)

    def test_nobody(self, school: SchoolOfRoles) -> None:
        """
        What isn't there has no hooks.
        """
        assert not school.apply("ent_404").changed

    def test_without_hooks(self, database: Database) -> None:
        """
        Without hooks nothing is ever owed to them.
        """
        made = school_of_roles(database)
        made.granter = plain = replace(made.granter, on_active=None, on_revoked=None)
        made.add(link())
        made.grant(sale())

        assert (plain.has_hooks, made.row.next_attempt_at) == (False, None)
        assert not made.apply(ID).changed

    def test_one_hook(self, database: Database) -> None:
        """
        An app that only opens has nothing called when something is closed, and that is written down all the same.
        """
        roles = Roles()
        made = school_of_roles(database)
        made.granter = replace(made.granter, on_active=roles.enroll, on_revoked=None)
        made.add(link())
        made.grant(sale())
        made.apply(ID)
        made.revoke(refund())
        made.apply(ID)

        assert (roles.calls, made.row.applied_version) == ([("active", ADA)], 2)


class TestUnion:
    """
    One course through two purchases.
    """

    @pytest.fixture(name="school")
    def with_two(self, school: SchoolOfRoles) -> SchoolOfRoles:
        """
        A school where Ada has bought the course twice.
        """
        for number in (1, 2):
            school.grant(sale(purchase_id=f"pur_{number}"))
        school.apply_all()
        school.roles.calls.clear()
        return school

    def test_one_refunded(self, school: SchoolOfRoles) -> None:
        """
        One refund leaves the access, and the role.
        """
        school.revoke(refund())
        school.apply_all()

        assert (school.opens(), school.roles.calls, school.given) == (True, [], {(ADA, COURSE)})

    def test_both_refunded(self, school: SchoolOfRoles) -> None:
        """
        The role is taken once, when the last one goes.
        """
        school.revoke(refund())
        school.apply_all()
        school.revoke(refund(purchase_id="pur_2"))
        school.apply_all()

        assert (school.roles.calls, school.given) == ([("revoked", ADA)], set())

    def test_both_before_hooks(self, school: SchoolOfRoles) -> None:
        """
        The same if both are refunded before a hook runs.
        """
        for number in (1, 2):
            school.revoke(refund(purchase_id=f"pur_{number}"))
        school.apply_all()

        assert (school.roles.calls, school.given) == ([("revoked", ADA)], set())

    def test_other_course(self, school: SchoolOfRoles) -> None:
        """
        Another course keeps nothing open.
        """
        school.grant(sale(purchase_id="pur_3", product_id="prod_10"))
        school.apply_all()
        for number in (1, 2):
            school.revoke(refund(purchase_id=f"pur_{number}"))
        school.apply_all()

        assert school.given == {(ADA, "prod_10")}

    def test_kept_by_one_that_never_ran(self, school: SchoolOfRoles) -> None:
        """
        What keeps a role without its own hook having run takes the role with it when it goes.
        """
        school.revoke(refund(purchase_id="pur_2"))
        school.apply_all()
        school.grant(sale(purchase_id="pur_3"))
        school.revoke(refund())
        school.apply(ID)
        assert school.given == {(ADA, COURSE)}

        school.revoke(refund(purchase_id="pur_3"))
        school.apply_all()
        assert (school.opens(), school.given) == (False, set())


class TestGone:
    """
    Hooks of a user who is gone.
    """

    @pytest.fixture(name="school")
    def with_users(self, database: Database) -> SchoolOfRoles:
        """
        A school that knows its users, where Ada has bought the course and left before a hook ran.
        """
        made = school_of_roles(database, users=ah.TableUsers(Pupil))
        made.add(Pupil(id=ADA), link())
        made.grant(sale())
        with made.database.session() as session:
            session.delete(session.get_one(Pupil, ADA))
        return made

    def answer(self, made: SchoolOfRoles) -> Event:
        """
        Tell the shop once more what is held, which it accepts.
        """
        made.do(owed_entitlements.owe_answers, [ID], now=SOON)  # type: ignore[arg-type]
        told = made.do(owed_entitlements.answer_again, Due(SHOP, 1), now=SOON)  # type: ignore[arg-type]
        noted = [(ID, Sent(told.messages[0], "1", None))]
        made.do(owed_entitlements.note_answered, noted, now=SOON)  # type: ignore[arg-type]
        return told.messages[0].event

    def test_never_opened(self, school: SchoolOfRoles) -> None:
        """
        Nothing is opened for them, and that keeps the shop from hearing nothing.
        """
        school.apply(ID)
        assert isinstance(self.answer(school), EntitlementFailed)

        assert (school.roles.calls, school.row.next_attempt_at is None) == ([], False)

    def test_back(self, school: SchoolOfRoles) -> None:
        """
        If their deletion is undone, it is opened for them.
        """
        school.apply(ID)
        school.add(Pupil(id=ADA))
        assert isinstance(self.answer(school), EntitlementGranted)
        assert school.do(owed_entitlements.take, 1, now=SOON) == [ID]  # type: ignore[arg-type, comparison-overlap]
        school.apply(ID)

        assert school.given == {(ADA, COURSE)}


class TestNotices:
    def test_transferred_while_told(self, school: SchoolOfRoles) -> None:
        """
        What goes to somebody else while its user is told is still to be told to the other one.
        """
        made = school
        made.granter = replace(made.granter, on_claimed=lambda _: None)
        made.unlink()
        made.grant(sale())
        made.add(link("school-new"))
        claim(made)
        [first] = untold(made)
        made.unlink("school-new")
        made.grant(sale(2, buyer_user_id="shop-cleo"))
        made.add(link("school-cleo", "shop-cleo"))
        made.do(claims.claim, Claim({"linked_app": SHOP, "linked_user_id": "shop-cleo"}, NOW))  # type: ignore[arg-type]
        made.do(notices.note_told, first)  # type: ignore[arg-type]

        [second] = untold(made)
        assert second.claimed == ah.Claimed("school-cleo", SHOP, (COURSE,))


class TestOwnTable:
    def test_numbered(self, database: Database) -> None:
        """
        A table with ids of other kinds has hooks as well; the app's own rows are never touched.
        """
        ada = "5f0c2a8e-9b7d-4c61-8a42-3b1c9d7e6f50"
        made = school_of_roles(
            database,
            entitlements=SchoolGrant,
            products=ah.TableProducts(SchoolCourse),
            new_row=lambda _: {"branch": "main"},
        )
        made.add(SchoolCourse(id=7))
        made.add(SchoolGrant(branch="own", product_id=7, status="active", applied_user_id=ada), link(ada))
        made.grant(sale(product_id="7"))
        own, row = sorted(made.rows, key=lambda each: each.source_app or "")
        made.apply(str(row.id))
        assert made.given == {(ada, "7")}
        made.revoke(refund(product_id="7"))
        made.apply(str(row.id))

        assert made.given == set()
        assert own.model_dump() in [each.model_dump() for each in made.rows]


class TestAsync:
    async def test_async_hook(self, database: Database) -> None:
        """
        An async hook gets the async session of the same transaction.
        """
        engine = database.async_engine()

        async def enroll(session: AsyncSession, access: ah.Access) -> None:
            session.add(SchoolRole(user_id=access.user_id, product_id=access.product_id))
            await session.flush()
            assert await session.get(SchoolRole, (access.user_id, access.product_id)) is not None
            if access.purchase_id == "pur_2":
                raise BrokenHookError

        made = school_of_roles(database)
        bridge = ah.Bridge(
            CLIENT, engine, settings=school_settings(), products=ah.FixedProducts([COURSE]), on_active=enroll
        )
        made.granter = bridge.host
        made.add(link(), link(BOB, "shop-bob"))
        made.grant(sale())
        made.grant(sale(purchase_id="pur_2", buyer_user_id="shop-bob"))
        first, second = made.rows
        transactions = core.Database(engine)
        await transactions.transact(hooks.apply, made.granter, first.id, now=NOW)
        with pytest.raises(BrokenHookError):
            await transactions.transact(hooks.apply, made.granter, second.id, now=NOW)
        await engine.dispose()

        assert made.given == {(ADA, COURSE)}
        assert [row.applied_version for row in made.rows] == [1, 0]

    async def test_plain_hook(self, database: Database) -> None:
        """
        A plain hook on an async engine gets the plain session.
        """
        made = school_of_roles(database)
        made.add(link())
        made.grant(sale())
        engine = database.async_engine()
        await core.Database(engine).transact(hooks.apply, made.granter, made.row.id, now=NOW)
        await engine.dispose()

        assert made.given == {(ADA, COURSE)}

    @pytest.mark.parametrize("name", ["on_active", "on_revoked"])
    @pytest.mark.parametrize("kind", ["function", "object"])
    def test_sync_engine(self, database: Database, name: str, kind: str) -> None:
        """
        An async hook with a sync engine is refused when the bridge is made.
        """

        async def enroll(session: AsyncSession, access: ah.Access) -> None: ...

        class Enrolling:
            async def __call__(self, session: AsyncSession, access: ah.Access) -> None: ...

        options: dict[str, Any] = {name: enroll if kind == "function" else Enrolling()}
        with pytest.raises(CrossAppConfigError, match=f"{name} is async and the engine isn't"):
            ah.Bridge(
                CLIENT, database.engine, settings=school_settings(), products=ah.FixedProducts([COURSE]), **options
            )
