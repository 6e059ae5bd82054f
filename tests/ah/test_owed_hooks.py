from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import delete, select

import crossapp_ah as ah
from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked, Event
from crossapp_core.ports import Problem
from crossapp_core.testing import LocalInngest
from tests.ah.roles import Roles, SchoolRole
from tests.ah.school import ADA, COURSE, ID, SHOP, link, refund, sale
from tests.ah.served import ServedSchool
from tests.ah.test_claim_function import cron, linked
from tests.ah.test_claims import Pupil, states
from tests.databases import Database, open_database
from tests.hosts import SchoolProduct

FUNCTION = "handle-bundle-purchase"
MINUTE = timedelta(minutes=1)


class ServedRoles(ServedSchool):
    """
    A school with roles, as it is deployed, and what was told of its problems.
    """

    def __init__(self, local: LocalInngest, database: Database, **options: Any) -> None:
        self.roles = Roles()
        self.problems: list[Problem] = []
        self.heard: list[ah.Claimed] = []
        """What users were told."""
        self.deaf = 0
        """How many times more nobody can be told."""
        defaults: dict[str, Any] = {
            "users": ah.TableUsers(Pupil),
            "on_active": self.roles.enroll,
            "on_revoked": self.roles.expel,
            "on_claimed": self.tell,
            "on_problem": self.problems.append,
        }
        super().__init__(local, database, **(defaults | options))

    def tell(self, claimed: ah.Claimed) -> None:
        """
        Tell a user.
        """
        if self.deaf:
            self.deaf -= 1
            raise ConnectionError("no mail to ada@example.com today")
        self.heard.append(claimed)

    @property
    def given(self) -> set[tuple[str, str]]:
        """
        Who has which role.
        """
        with self.database.session() as session:
            return {(role.user_id, role.product_id) for role in session.exec(select(SchoolRole))}

    def is_due(self) -> bool:
        """
        Whether anything is owed for an entitlement.
        """
        return any(row.next_attempt_at is not None for row in self.rows)

    async def minutes(self, count: int = 1) -> None:
        """
        Let minutes pass, with what is done in each.
        """
        for _ in range(count):
            self.local.clock.advance(MINUTE)
            await cron(self)

    def rehook(self, **hooks: Any) -> None:
        """
        Have other hooks from now on, as after a deployment.
        """
        self.bridge.host = self.granter = replace(self.bridge.host, **hooks)

    def leave(self, user_id: str) -> None:
        """
        Delete a user, as support does by SQL.
        """
        with self.database.session() as session:
            session.exec(delete(Pupil).where(Pupil.id == user_id))  # type: ignore[arg-type]


@asynccontextmanager
async def served_roles(local: LocalInngest, database: Database, **options: Any) -> AsyncIterator[ServedRoles]:
    """
    That school with two pupils, of whom one is linked.
    """
    made = ServedRoles(local, database, **options)
    made.add(SchoolProduct(id=COURSE), Pupil(id=ADA), Pupil(id="school-new"), link(acknowledged_version=3))
    await made.open()
    yield made
    await made.close()


@pytest.fixture(name="school")
async def a_school(local: LocalInngest, database: Database) -> AsyncIterator[ServedRoles]:
    """
    That school on each of the databases in turn.
    """
    async with served_roles(local, database) as made:
        yield made


@pytest.fixture
async def light(local: LocalInngest, tmp_path: Path) -> AsyncIterator[ServedRoles]:
    """
    That school on SQLite.
    """
    with open_database("sqlite", tmp_path) as database:
        async with served_roles(local, database) as made:
            yield made


def said(made: ServedSchool) -> list[Event]:
    """
    What the shop was told, of entitlements.
    """
    kinds = EntitlementGranted | EntitlementRevoked | EntitlementFailed
    return [event for _, event in made.answers if isinstance(event, kinds)]


class TestLive:
    async def test_sale_and_refund(self, school: ServedRoles) -> None:
        """
        The hooks run after the seller has its answer, and nothing is owed then.
        """
        await school.hear(sale())
        assert (school.given, school.row.next_attempt_at) == ({(ADA, COURSE)}, None)
        await school.hear(refund())

        assert (school.given, school.row.next_attempt_at) == (set(), None)
        assert [run.steps for run in school.inngest.log.runs] == [
            ["grant", "acknowledge", "apply"],
            ["revoke", "acknowledge", "apply"],
        ]
        assert (len(said(school)), school.problems) == (2, [])

    async def test_claim(self, light: ServedRoles) -> None:
        """
        What is claimed is opened by the hook in the claim's own run.
        """
        light.unlink()
        await light.hear(sale())
        await light.hear(linked(5))

        assert light.given == {(ADA, COURSE)}
        assert light.inngest.log.runs[-1].steps[-4:] == ["claim", "acknowledge", "apply", "tell"]
        assert light.row.next_attempt_at is None

    async def test_missed_claim(self, light: ServedRoles) -> None:
        """
        So is what the cron claims.
        """
        await light.hear(sale(buyer_user_id="shop-new"))
        light.add(link("school-new", "shop-new", acknowledged_version=3))
        run = await cron(light)

        assert run.steps == [
            *("find claims", "begin claim", "claim", "acknowledge", "apply", "tell", "run hooks"),
            *("drain total-typescript", "forget tokens"),
        ]
        assert light.given == {("school-new", COURSE)}

    async def test_repeated(self, light: ServedRoles) -> None:
        """
        The same sale once more runs no hook again.
        """
        await light.hear(sale())
        await light.hear(sale(), attempt=1)

        assert light.roles.calls == [("active", ADA)]

    @pytest.mark.parametrize("step", ["acknowledge", "apply"])
    async def test_answer_lost(self, school: ServedRoles, step: str) -> None:
        """
        If the process dies after a hook was committed and before Inngest heard of it, it isn't run again.
        """
        school.inngest.lose(function=FUNCTION, step=step, times=2)
        await school.hear(sale())

        assert (school.given, school.roles.calls) == ({(ADA, COURSE)}, [("active", ADA)])


class TestFailing:
    async def test_for_a_day(self, school: ServedRoles) -> None:
        """
        A hook that fails for a day fails no run and delays no answer; the app hears of it, and it runs in the end.
        """
        school.roles.broken = True
        await school.hear(sale())
        assert [run.status for run in school.inngest.log.runs] == ["completed"]
        assert (len(said(school)), school.given, school.opens()) == (1, set(), True)

        for _ in range(12):
            school.local.clock.advance(timedelta(hours=2))
            assert (await cron(school)).status == "completed"
        tries = len(school.roles.calls)
        assert 6 <= tries <= 13
        assert (school.given, school.row.retry_count) == (set(), tries - 1)

        school.roles.broken = False
        school.local.clock.advance(timedelta(hours=6))
        await school.minutes(2)
        assert (school.given, school.row.next_attempt_at, school.row.retry_count) == ({(ADA, COURSE)}, None, 0)
        assert {(problem.code, problem.ids) for problem in school.problems} == {("hook-failed", (ID,))}
        assert len(school.problems) == tries

    async def test_refunded_meanwhile(self, light: ServedRoles) -> None:
        """
        What was refunded while its hook failed is never given.
        """
        light.roles.broken = True
        await light.hear(sale())
        await light.hear(refund())
        light.roles.broken = False
        await light.minutes(10)

        assert (light.given, light.roles.calls) == (set(), [("active", ADA)])

    async def test_others(self, light: ServedRoles) -> None:
        """
        One that fails keeps no other from being run.
        """
        broken = iter([True, True, False, False, False])

        def fail() -> None:
            if next(broken):
                raise ZeroDivisionError

        light.roles.before = fail
        for number in range(3):
            light.grant(sale(purchase_id=f"pur_{number}", product_id=COURSE, buyer_user_id="shop-new"))
        light.add(link("school-new", "shop-new", acknowledged_version=3))
        await cron(light)
        assert light.given == {("school-new", COURSE)}
        assert [problem.ids for problem in light.problems] == [tuple(row.id for row in light.rows[:2])]

    async def test_private(self, light: ServedRoles, caplog: pytest.LogCaptureFixture) -> None:
        """
        What a hook raises is named by its class alone.
        """
        light.roles.broken = True
        await light.hear(sale())

        assert [problem.message for problem in light.problems] == [
            "on_active or on_revoked raised BrokenHookError; it is called again later"
        ]
        light.unlink()
        light.deaf = 1
        await light.hear(sale(purchase_id="pur_2"))
        await light.hear(linked(5))
        assert len(light.problems) == 3
        assert "ada@example.com" not in caplog.text
        assert "ada@example.com" not in "".join(light.told)

    async def test_hook_breaks_the_transaction(self, light: ServedRoles) -> None:
        """
        A hook that commits by itself is a hook that failed.
        """
        light.rehook(on_active=lambda session, _: session.commit())
        await light.hear(sale())
        assert [problem.code for problem in light.problems] == ["hook-failed"]
        assert light.row.next_attempt_at is not None


class TestShopDown:
    async def test_hooks_run(self, school: ServedRoles) -> None:
        """
        While the shop is down the hooks run within two minutes; it hears what is held when it is back.
        """
        school.shop.down = True
        await school.send(sale())
        await school.local.asettle(within=timedelta(0))
        await school.minutes(2)
        assert (school.given, said(school)) == ({(ADA, COURSE)}, [])
        assert school.is_due()

        school.shop.down = False
        school.local.clock.advance(timedelta(hours=2))
        await cron(school)
        assert not school.is_due()
        assert {event.name for event in said(school)} == {"entitlement/granted"}


class TestClaimed:
    async def test_kept(self, light: ServedRoles) -> None:
        """
        A claim whose user couldn't be told is told later, of all at once, though a newer version came meanwhile.
        """
        light.unlink()
        for number in (1, 2):
            await light.hear(sale(purchase_id=f"pur_{number}"))
        light.deaf = 1
        await light.hear(linked(5))
        await light.hear(sale(2))
        await light.minutes(4)

        assert light.heard == [ah.Claimed(ADA, SHOP, (COURSE, COURSE))]
        assert {row.notified_status for row in light.rows} == {"active"}
        assert {row.next_attempt_at for row in light.rows} == {None}
        assert [(problem.code, len(problem.ids)) for problem in light.problems] == [("hook-failed", 2)]

    async def test_second_look(self, light: ServedRoles) -> None:
        """
        What the second look opened is told by the cron, once.
        """
        light.unlink()
        light.grant(sale(), now=light.local.clock())
        light.add(link("school-new", acknowledged_version=3))
        light.look_again(sale(), now=light.local.clock())
        await light.minutes(4)

        assert light.heard == [ah.Claimed("school-new", SHOP, (COURSE,))]

    async def test_never_waited(self, light: ServedRoles) -> None:
        """
        Of what was open from the start nobody is told.
        """
        await light.hear(sale())
        await light.bridge.resync()
        await light.minutes(2)

        assert (light.heard, states(light)) == ([], [("active", ADA)])

    async def test_not_wanted_then(self, light: ServedRoles) -> None:
        """
        Of what was claimed when the app told nobody, nobody is told when it does.
        """
        light.rehook(on_claimed=None)
        light.unlink()
        await light.hear(sale())
        await light.hear(linked(5))
        light.rehook(on_claimed=light.tell)
        await light.bridge.resync()
        await light.minutes(2)

        assert (light.heard, states(light)) == ([], [("active", ADA)])


class TestGone:
    async def test_gone(self, school: ServedRoles) -> None:
        """
        What a user holds who is gone is reported until the seller says it anew; then it waits, the role is taken, and
        the same buyer claims it through another link.
        """
        await school.hear(sale())
        school.leave(ADA)
        await school.bridge.user_deleted(ADA)
        await school.minutes(3)
        failed = [event for event in said(school) if isinstance(event, EntitlementFailed)]
        assert {(event.code, event.product_id, event.version) for event in failed} == {("user-gone", COURSE, 1)}
        assert len(failed) == 2
        assert school.is_due()

        await school.hear(sale(2))
        assert (states(school), school.given) == ([("pending", None)], set())
        assert not school.is_due()
        assert school.roles.calls == [("active", ADA), ("revoked", ADA)]
        await school.minutes(1)
        assert len(said(school)) == 4

        school.add(link("school-new", acknowledged_version=3))
        await school.minutes(1)
        assert (states(school), school.given) == ([("active", "school-new")], {("school-new", COURSE)})

    async def test_nobody_says_so(self, school: ServedRoles) -> None:
        """
        A user who was deleted by SQL is found by the daily pass.
        """
        await school.hear(sale())
        school.unlink()
        school.leave(ADA)
        await school.minutes(1)
        assert len(said(school)) == 1
        school.inngest.run_cron("check-gone-users")
        await school.local.asettle()
        await school.minutes(1)

        assert isinstance(said(school)[-1], EntitlementFailed)

    async def test_linked_anew(self, light: ServedRoles) -> None:
        """
        If the buyer has linked another account by then, that one gets it with the seller's next version.
        """
        await light.hear(sale())
        light.leave(ADA)
        await light.bridge.user_deleted(ADA)
        light.add(link("school-new", acknowledged_version=3))
        await light.hear(sale(2))

        assert (states(light), light.given) == ([("active", "school-new")], {("school-new", COURSE)})

    async def test_back_in_time(self, light: ServedRoles) -> None:
        """
        A user whose deletion was undone before the seller spoke keeps what they have.
        """
        await light.hear(sale())
        light.leave(ADA)
        await light.bridge.user_deleted(ADA)
        light.add(Pupil(id=ADA))
        await light.minutes(1)

        assert (states(light), light.row.next_attempt_at) == ([("active", ADA)], None)
        assert isinstance(said(light)[-1], EntitlementGranted)


class TestResync:
    async def test_all(self, school: ServedRoles) -> None:
        """
        Once all is said anew, whatever its status; then nothing is owed.
        """
        for number, buyer in enumerate(["shop-ada", "shop-nobody", "shop-ada"]):
            await school.hear(sale(purchase_id=f"pur_{number}", buyer_user_id=buyer))
        await school.hear(refund(purchase_id="pur_2"))
        before = len(said(school))
        await school.bridge.resync()
        await school.minutes(1)

        again = said(school)[before:]
        assert sorted((event.source_purchase_id, event.name) for event in again) == [  # type: ignore[attr-defined]
            ("pur_0", "entitlement/granted"),
            ("pur_1", "entitlement/granted"),
            ("pur_2", "entitlement/revoked"),
        ]
        assert {row.next_attempt_at for row in school.rows} == {None}
        await school.minutes(1)
        assert len(said(school)) == before + 3

    async def test_many(self, light: ServedRoles) -> None:
        """
        More than one batch is done in one minute.
        """
        for number in range(110):
            light.grant(sale(purchase_id=f"pur_{number:03}"))
        await light.bridge.resync()
        await light.minutes(1)
        assert light.inngest.log.runs_of("reconcile-cross-app")[-1].steps.count("run hooks") == 2
        await light.minutes(1)

        assert len(said(light)) == 110
        assert {row.next_attempt_at for row in light.rows} == {None}

    async def test_new_hooks(self, light: ServedRoles) -> None:
        """
        Hooks that an app has added later run for all that is open, by a resync.
        """
        light.rehook(on_active=None, on_revoked=None)
        await light.hear(sale())
        await light.hear(sale(purchase_id="pur_2", buyer_user_id="shop-nobody"))
        light.rehook(on_active=light.roles.enroll, on_revoked=light.roles.expel)
        await light.bridge.resync()
        await light.minutes(1)

        assert light.roles.calls == [("active", ADA)]
