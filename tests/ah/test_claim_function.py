from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import crossapp_ah as ah
from crossapp_core.events import AccountLinked, AccountUnlinked, EntitlementGranted
from crossapp_core.testing import LocalInngest
from crossapp_core.tokens import LinkToken
from tests.ah.school import ADA, BUYER, COURSE, SHOP, link, refund, sale
from tests.ah.served import SCHOOL, ServedSchool
from tests.ah.test_claims import Pupil, states
from tests.databases import Database, open_database
from tests.hosts import SECRET, SchoolProduct

EVE, STRANGER = "school-eve", "shop-eve"
FUNCTION = "claim-pending-entitlements"


def linked(version: int = 3, user_id: str = ADA, buyer: str = BUYER, **changes: Any) -> AccountLinked:
    """
    The shop's word that two accounts belong together.
    """
    fields: dict[str, Any] = {
        "source_app": SHOP,
        "user_id": buyer,
        "linked_app": SCHOOL,
        "linked_user_id": user_id,
        "link_method": "explicit",
        "linked_at": "2026-11-02T12:00:00.000Z",
        "version": version,
    }
    return AccountLinked(**{**fields, **changes})


def unlinked(version: int = 4) -> AccountUnlinked:
    """
    The shop's word that they don't any more.
    """
    return AccountUnlinked(
        source_app=SHOP,
        user_id=BUYER,
        linked_app=SCHOOL,
        linked_user_id=ADA,
        unlinked_at="2026-11-02T12:00:00.000Z",  # type: ignore[arg-type]
        version=version,
    )


@asynccontextmanager
async def opened(local: LocalInngest, database: Database, **options: Any) -> AsyncIterator[ServedSchool]:
    """
    A school with two pupils, deployed.
    """
    made = ServedSchool(local, database, users=ah.TableUsers(Pupil), **options)
    made.add(
        SchoolProduct(id=COURSE),
        Pupil(id=ADA, email="ada@example.com", email_verified=True),
        Pupil(id=EVE, email="eve@example.com", email_verified=True),
    )
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def told() -> list[ah.Claimed]:
    """
    What the users were told.
    """
    return []


@pytest.fixture
async def everywhere(local: LocalInngest, database: Database, told: list[ah.Claimed]) -> AsyncIterator[ServedSchool]:
    """
    That school on each of the databases in turn.
    """
    async with opened(local, database, on_claimed=told.append) as made:
        yield made


@pytest.fixture
async def taught(local: LocalInngest, tmp_path: Path, told: list[ah.Claimed]) -> AsyncIterator[ServedSchool]:
    """
    That school on SQLite.
    """

    async def tell(claimed: ah.Claimed) -> None:
        told.append(claimed)

    with open_database("sqlite", tmp_path) as database:
        async with opened(local, database, on_claimed=tell) as made:
            yield made


def said(made: ServedSchool) -> list[tuple[str, object]]:
    """
    What the shop got, and of whom.
    """
    return [(event.name, getattr(event, "user_id", None)) for _, event in made.answers]


class TestClaim:
    async def test_linked_by_the_shop(self, everywhere: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        What waits for a buyer unlocks when the shop says whose account is theirs; the shop hears who holds it, and the
        user is told once.
        """
        await everywhere.hear(sale())
        id_ = await everywhere.hear(linked())

        assert states(everywhere) == [("active", ADA)]
        assert said(everywhere) == [
            ("entitlement/granted", None),
            ("account/link-state", ADA),
            ("entitlement/granted", ADA),
        ]
        claimed_id, claimed = everywhere.answers[-1]
        assert isinstance(claimed, EntitlementGranted)
        assert claimed_id == claimed.event_id(answers=id_)
        assert (claimed.status, claimed.version) == ("active", 1)
        assert told == [ah.Claimed(ADA, SHOP, (COURSE,))]
        run = everywhere.inngest.log.runs[-1]
        assert (run.function_id, run.status) == (FUNCTION, "completed")
        assert run.steps == ["merge", "answer", "begin claim", "claim", "acknowledge", "tell"]

    async def test_linked_here(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        A link that was made here unlocks as well, after the shop was told of it.
        """
        await taught.hear(sale())
        now = taught.local.clock()
        token = LinkToken(SHOP, BUYER, None, None, "5f0c2a8e9b7d4c61", now, now + timedelta(minutes=10))
        await taught.bridge.linking.confirm(token, ADA)
        await taught.local.asettle()

        assert said(taught)[1:] == [("account/linked", ADA), ("entitlement/granted", ADA)]
        assert taught.inngest.log.runs[-1].steps == ["look", "announce", "begin claim", "claim", "acknowledge", "tell"]
        assert len(told) == 1

    async def test_nothing_waits(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        A link without anything that waits tells nobody of a claim.
        """
        await taught.hear(linked())

        assert (said(taught), told) == ([("account/link-state", ADA)], [])

    async def test_repeated(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        The same link, said again later, claims nothing again and tells nobody.
        """
        await taught.hear(sale())
        await taught.hear(linked())
        taught.local.clock.advance(timedelta(minutes=1))
        await taught.hear(linked(), attempt=1)

        assert len(told) == 1
        assert [name for name, _ in said(taught)].count("entitlement/granted") == 2

    async def test_many(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        250 rows are claimed in three transactions, each acknowledged, and the user is told once of all.
        """
        for number in range(250):
            taught.grant(sale(1, purchase_id=f"pur_{number:03}"))
        await taught.hear(linked())

        assert states(taught) == [("active", ADA)] * 250
        assert taught.inngest.log.runs[-1].steps == [
            *("merge", "answer", "begin claim"),
            *("claim", "acknowledge") * 3,
            "tell",
        ]
        acks = [event for _, event in taught.answers if isinstance(event, EntitlementGranted)]
        assert {ack.source_purchase_id for ack in acks} == {f"pur_{number:03}" for number in range(250)}
        assert len(acks) == 250
        assert [len(claimed.product_ids) for claimed in told] == [250]

    async def test_full_batch(self, taught: ServedSchool) -> None:
        """
        After a full batch it is looked for more, and none is fine.
        """
        for number in range(100):
            taught.grant(sale(1, purchase_id=f"pur_{number:03}"))
        await taught.hear(linked())

        assert states(taught) == [("active", ADA)] * 100
        assert taught.inngest.log.runs[-1].steps[-4:] == ["claim", "acknowledge", "claim", "tell"]

    async def test_after_unlinking(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        A claim that runs only when the link is removed again unlocks nothing.
        """
        await taught.hear(sale())
        await taught.hear(unlinked())
        await taught.hear(linked())

        assert (states(taught), told) == ([("pending", None)], [])
        assert [name for name, _ in said(taught)] == [
            "entitlement/granted",
            "account/link-state",
            "account/link-state",
        ]

    async def test_forged_hint(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        An event of our own environment about a pair that isn't linked unlocks nothing.
        """
        await taught.hear(sale())
        forged = {"sourceApp": SCHOOL, "userId": EVE, "linkedApp": SHOP, "linkedUserId": BUYER}
        await taught.receive("account/linked", {**linked().to_wire(), **forged}, "e1")

        assert (states(taught), told, taught.inngest.log.failures) == ([("pending", None)], [], [])

    async def test_unsigned(self, taught: ServedSchool) -> None:
        """
        What isn't signed by the shop links and unlocks nothing.
        """
        await taught.hear(sale())
        await taught.receive("account/linked", dict(linked(user_id=EVE).to_wire()), "e1")

        assert (states(taught), taught.inngest.log.failures[0].attempts) == ([("pending", None)], 1)

    async def test_refunded_while_waiting(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        What was refunded while it waited stays locked when its buyer links.
        """
        await taught.hear(sale())
        await taught.hear(refund())
        await taught.hear(linked())

        assert (states(taught), told) == ([("revoked", None)], [])

    async def test_strangers(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        Whoever has registered the victim's address, or changes theirs to it, gets nothing by linking their own account.
        """
        taught.add(Pupil(id="school-mallory", email="ada@example.com", email_verified=True))
        await taught.hear(sale())
        await taught.hear(sale(1, purchase_id="pur_2", buyer_user_id=None))
        await taught.hear(linked(3, "school-mallory", "shop-mallory", email="ada@example.com"))
        taught.local.clock.advance(timedelta(minutes=1))
        await cron(taught)

        assert (states(taught), told) == ([("pending", None)] * 2, [])

        await taught.hear(linked())
        assert states(taught) == [("active", ADA), ("pending", None)]

    async def test_another_identity(self, taught: ServedSchool) -> None:
        """
        A claim goes to the linked user alone, whoever else tries to link the buyer meanwhile.
        """
        await taught.hear(linked())
        await taught.hear(linked(1, EVE, link_method="oauth-github"))
        await taught.hear(sale())
        await taught.hear(linked(3, EVE))

        assert states(taught) == [("active", ADA)]
        assert not taught.opens(EVE)

    async def test_relinked(self, taught: ServedSchool) -> None:
        """
        A buyer who links another account later claims what waits then; what the first one holds stays theirs.
        """
        await taught.hear(sale())
        await taught.hear(linked())
        await taught.hear(unlinked())
        await taught.hear(sale(1, purchase_id="pur_2"))
        taught.local.clock.advance(timedelta(minutes=1))
        await taught.hear(linked(3, EVE))

        assert states(taught) == [("active", ADA), ("active", EVE)]


class TestCrashes:
    @pytest.mark.parametrize("step", ["merge", "claim", "acknowledge", "tell"])
    async def test_answer_lost(self, everywhere: ServedSchool, told: list[ah.Claimed], step: str) -> None:
        """
        If the process dies after a transaction, or after sending, all is said once more and nothing is lost.
        """
        await everywhere.hear(sale())
        everywhere.inngest.lose(function=FUNCTION, step=step)
        await everywhere.hear(linked())

        assert len(everywhere.inngest.log.lost) == 1
        assert states(everywhere) == [("active", ADA)]
        assert said(everywhere)[1:] == [("account/link-state", ADA), ("entitlement/granted", ADA)]
        assert told == [ah.Claimed(ADA, SHOP, (COURSE,))]

    async def test_between_batches(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        A process that dies after the second of three batches goes on where it was.
        """
        for number in range(250):
            taught.grant(sale(1, purchase_id=f"pur_{number:03}"))
        taught.inngest.lose(function=FUNCTION, step="claim", times=2)
        await taught.hear(linked())

        acks = [event for _, event in taught.answers if isinstance(event, EntitlementGranted)]
        assert (states(taught), len(acks)) == ([("active", ADA)] * 250, 250)
        assert [len(claimed.product_ids) for claimed in told] == [250]

    async def test_hook_fails(self, local: LocalInngest, tmp_path: Path, told: list[ah.Claimed]) -> None:
        """
        A hook that fails is called again by the cron; what was claimed stays claimed and acknowledged.
        """

        def fail_once(claimed: ah.Claimed) -> None:
            told.append(claimed)
            if len(told) == 1:
                raise ConnectionError("no mail today")

        with open_database("sqlite", tmp_path) as database:
            async with opened(local, database, on_claimed=fail_once) as made:
                await made.hear(sale())
                await made.hear(linked())
                assert (states(made), len(told)) == ([("active", ADA)], 1)
                assert made.inngest.log.runs[-1].status == "completed"

                made.local.clock.advance(timedelta(minutes=2))
                await cron(made)
                await cron(made)
                assert told == [ah.Claimed(ADA, SHOP, (COURSE,))] * 2

    async def test_shop_down(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        While the shop is down what was claimed is open already; it hears of it when it is back.
        """
        await taught.hear(sale())
        await taught.send(linked())
        taught.shop.down = True
        await taught.local.asettle(within=timedelta(minutes=10))
        assert told == []

        taught.shop.down = False
        await taught.local.asettle()
        assert (states(taught), len(told)) == ([("active", ADA)], 1)
        assert said(taught)[1:] == [("account/link-state", ADA), ("entitlement/granted", ADA)]


async def cron(made: ServedSchool) -> Any:
    """
    Do what is done each minute; its run.
    """
    made.inngest.run_cron("reconcile-cross-app")
    await made.local.asettle()
    return made.inngest.log.runs_of("reconcile-cross-app")[-1]


class TestCron:
    async def test_missed(self, everywhere: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        What a link should have claimed, had its event not been lost, is claimed within a minute, told and acknowledged.
        """
        await everywhere.hear(sale())
        everywhere.add(link(acknowledged_version=3))
        run = await cron(everywhere)

        assert (run.status, states(everywhere)) == ("completed", [("active", ADA)])
        assert run.steps == [
            *("find claims", "begin claim", "claim", "acknowledge", "tell"),
            *("run hooks", "drain total-typescript", "forget tokens"),
        ]
        assert said(everywhere)[-1] == ("entitlement/granted", ADA)
        assert told == [ah.Claimed(ADA, SHOP, (COURSE,))]
        run = await cron(everywhere)
        assert run.steps == ["find claims", "run hooks", "drain total-typescript", "forget tokens"]

    async def test_shop_down(self, taught: ServedSchool, told: list[ah.Claimed]) -> None:
        """
        A shop that takes nothing keeps no user waiting: everything is claimed and told in the same minute.
        """
        for number in range(2):
            user = f"user-{number}"
            await taught.hear(sale(1, purchase_id=f"pur_{number}", buyer_user_id=f"buyer-{number}"))
            taught.add(Pupil(id=user), link(user, f"buyer-{number}", acknowledged_version=3))
        taught.shop.down = True
        run = await cron(taught)

        assert run.status == "completed"
        assert states(taught) == [("active", "user-0"), ("active", "user-1")]
        assert {claimed.user_id for claimed in told} == {"user-0", "user-1"}

    async def test_hook_fails(self, local: LocalInngest, tmp_path: Path, told: list[ah.Claimed]) -> None:
        """
        A hook that fails is called again in the next minute, and keeps nobody else waiting.
        """

        def fail_once(claimed: ah.Claimed) -> None:
            told.append(claimed)
            if len(told) == 1:
                raise ConnectionError("no mail today")

        with open_database("sqlite", tmp_path) as database:
            async with opened(local, database, on_claimed=fail_once) as made:
                for number in range(2):
                    user = f"user-{number}"
                    await made.hear(sale(1, purchase_id=f"pur_{number}", buyer_user_id=f"buyer-{number}"))
                    made.add(Pupil(id=user), link(user, f"buyer-{number}", acknowledged_version=3))
                await cron(made)
                assert [status for status, _ in states(made)] == ["active", "active"]
                made.local.clock.advance(timedelta(minutes=2))
                await cron(made)
                assert len(told) == 3
                assert {claimed.user_id for claimed in told[1:]} == {"user-0", "user-1"}

    async def test_unlinked(self, taught: ServedSchool) -> None:
        """
        What waits for somebody who isn't linked any more goes on waiting.
        """
        await taught.hear(sale())
        taught.add(link(acknowledged_version=3))
        taught.unlink()
        run = await cron(taught)

        assert (run.status, states(taught)) == ("completed", [("pending", None)])


class TestPrivacy:
    async def test_nothing_personal(self, taught: ServedSchool, caplog: pytest.LogCaptureFixture) -> None:
        """
        No address and no secret gets into a log, or into an error, when something is claimed or refused.
        """
        caplog.set_level(logging.INFO)
        await taught.hear(sale())
        await taught.receive("account/linked", dict(linked(email="ada@example.com").to_wire()), "e1")
        await taught.hear(linked(email="ada@example.com"))
        await cron(taught)

        seen = caplog.text + "".join(str(run.error) for run in taught.inngest.log.failures)
        assert states(taught) == [("active", ADA)]
        assert "signature" in seen
        for secret in ("ada@example.com", SECRET):
            assert secret not in seen
