from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_ah.models import Entitlement
from crossapp_core.columns import table_of
from crossapp_core.events import EntitlementFailed, EntitlementGranted
from tests.ah.answers import granted, revoked
from tests.ah.school import ADA, ID, link, refund, sale
from tests.ah.served import SCHOOL, ServedSchool

GRANTED = granted("active", user_id=ADA, source_app=SCHOOL)
PENDING = granted("pending", source_app=SCHOOL)
REVOKED = revoked(source_app=SCHOOL)


class TestHandleBundlePurchase:
    async def test_linked_buyer(self, anywhere: ServedSchool) -> None:
        """
        A signed sale opens what was bought and is acknowledged, signed, under an id that depends on the sale's.
        """
        anywhere.add(link())
        id_ = await anywhere.hear(sale())

        assert anywhere.answers == [(GRANTED.event_id(answers=id_), GRANTED)]
        row = anywhere.row
        assert (row.id, row.status, row.user_id, row.claimed_at) == (ID, "active", ADA, anywhere.local.clock())
        [run] = anywhere.inngest.log.runs
        assert (run.function_id, run.status, run.steps) == (
            "handle-bundle-purchase",
            "completed",
            ["grant", "acknowledge"],
        )
        assert run.output == [anywhere.shop.log.received[0].internal_id]

    async def test_unlinked_buyer(self, anywhere: ServedSchool) -> None:
        """
        A sale to nobody that is known waits, after a second look, and says so.
        """
        id_ = await anywhere.hear(sale())

        assert anywhere.answers == [(PENDING.event_id(answers=id_), PENDING)]
        assert (anywhere.row.status, anywhere.row.pending_for_email) == ("pending", "ada@example.com")
        assert anywhere.inngest.log.runs[0].steps == ["grant", "look again", "acknowledge"]

    async def test_unknown_product(self, served: ServedSchool) -> None:
        """
        A product that isn't there is answered by a failure, once for each time that it is asked for.
        """
        ids = [await served.hear(sale(product_id="prod_404"), attempt=attempt) for attempt in (0, 1)]

        [(first, failed), (second, again)] = served.answers
        assert isinstance(failed, EntitlementFailed)
        assert (failed.code, failed.product_id, failed.version, again) == ("unknown-product", "prod_404", 1, failed)
        assert [first, second] == [failed.event_id(answers=id_) for id_ in ids]
        assert served.rows == []
        assert [run.status for run in served.inngest.log.runs] == ["completed"] * 2

    async def test_hostile_text(self, anywhere: ServedSchool) -> None:
        """
        What looks like SQL or HTML goes through all layers as it is.
        """
        hostile = '\'; DROP TABLE x; -- <script>alert("1")</script> %s %(a)s {{7*7}} \\ \U0001f600'
        address = 'o\'brien+<b>"%s"{{x}}@example.com'
        anywhere.add(link(f"user {hostile}", f"buyer {hostile}"))
        await anywhere.hear(sale(purchase_id=hostile, buyer_user_id=f"buyer {hostile}", buyer_email=address))

        row = anywhere.row
        assert (row.source_purchase_id, row.pending_for_email, row.user_id) == (hostile, address, f"user {hostile}")
        [(_, ack)] = anywhere.answers
        assert isinstance(ack, EntitlementGranted)
        assert (ack.source_purchase_id, ack.user_id) == (hostile, f"user {hostile}")


class TestHandleRevocation:
    async def test_sale_and_refund(self, anywhere: ServedSchool) -> None:
        """
        A signed refund locks what was bought and is acknowledged, signed, under an id that depends on the refund's.
        """
        anywhere.add(link())
        await anywhere.hear(sale())
        id_ = await anywhere.hear(refund())

        assert anywhere.answers[1:] == [(REVOKED.event_id(answers=id_), REVOKED)]
        assert (anywhere.row.status, anywhere.row.source_version) == ("revoked", 2)
        run = anywhere.inngest.log.runs[1]
        assert (run.function_id, run.status, run.steps) == ("handle-revocation", "completed", ["revoke", "acknowledge"])

    async def test_refund_first(self, anywhere: ServedSchool) -> None:
        """
        A sale that comes after its own refund is answered with the refund's acknowledgement.
        """
        anywhere.add(link())
        ids = [await anywhere.hear(refund()), await anywhere.hear(sale())]

        assert anywhere.answers == [(REVOKED.event_id(answers=id_), REVOKED) for id_ in ids]
        assert anywhere.row.status == "revoked"


class TestRepetitions:
    async def test_same_id(self, anywhere: ServedSchool) -> None:
        """
        The same sale and the same refund ten times are handled once.
        """
        anywhere.add(link())
        for event in [sale()] * 10 + [refund()] * 10:
            await anywhere.send(event)
        await anywhere.local.asettle()

        assert [event for _, event in anywhere.answers] == [GRANTED, REVOKED]
        assert len(anywhere.shop.log.received) == len(anywhere.inngest.log.runs) == 2

    async def test_new_ids(self, anywhere: ServedSchool) -> None:
        """
        Ten more attempts change nothing, and each is answered the same, under an id of its own.
        """
        anywhere.add(link())
        await anywhere.hear(sale())
        before = anywhere.row.model_dump()
        anywhere.unlink()
        for attempt in range(1, 11):
            await anywhere.hear(sale(), attempt=attempt)

        assert anywhere.row.model_dump() == before
        assert [event for _, event in anywhere.answers] == [GRANTED] * 11
        assert len({id_ for id_, _ in anywhere.answers}) == 11

    async def test_same_id_after_25_hours(self, served: ServedSchool) -> None:
        """
        When Inngest has forgotten the id, the database hasn't.
        """
        served.add(link())
        await served.hear(sale())
        before = served.row.model_dump()
        served.local.clock.advance(timedelta(hours=25))
        await served.hear(sale())

        assert served.row.model_dump() == before
        assert [event for _, event in served.answers] == [GRANTED] * 2
        assert len(served.inngest.log.runs) == 2

    async def test_old_sale_after_refund(self, served: ServedSchool) -> None:
        """
        A sale that is replayed a month after its refund opens nothing.
        """
        served.add(link())
        await served.hear(sale())
        await served.hear(refund())
        served.local.clock.advance(timedelta(days=30))
        await served.hear(sale())

        assert [event for _, event in served.answers] == [GRANTED, REVOKED, REVOKED]
        assert not served.opens()


class TestCrash:
    """
    The process dies after some work, before its Inngest heard of it.
    """

    @pytest.mark.parametrize("step", ["grant", "look again", "acknowledge", None])
    async def test_sale(self, served: ServedSchool, step: str | None) -> None:
        """
        The work is done once and acknowledged as if nothing had happened.
        """
        served.inngest.lose(function="handle-bundle-purchase", step=step, times=3)
        id_ = await served.hear(sale())

        assert served.answers == [(PENDING.event_id(answers=id_), PENDING)]
        assert served.row.status == "pending"
        assert len(served.inngest.log.lost) == 3
        assert served.inngest.log.failures == []

    @pytest.mark.parametrize("step", ["revoke", "acknowledge", None])
    async def test_refund(self, served: ServedSchool, step: str | None) -> None:
        """
        The same goes for a refund.
        """
        served.add(link())
        served.grant(sale())
        served.inngest.lose(function="handle-revocation", step=step, times=3)
        id_ = await served.hear(refund())

        assert served.answers == [(REVOKED.event_id(answers=id_), REVOKED)]
        assert served.row.status == "revoked"
        assert len(served.inngest.log.lost) == 3

    async def test_second_look(self, anywhere: ServedSchool) -> None:
        """
        That the second look found a link isn't forgotten with its answer: the sale is acknowledged as open.
        """
        local, log = anywhere.local, anywhere.inngest.log
        for step in ("grant", "look again"):
            anywhere.inngest.lose(function="handle-bundle-purchase", step=step)
        await anywhere.send(sale())
        await local.asettle(within=timedelta(0))
        assert ([lost.step for lost in log.lost], anywhere.row.status) == (["grant"], "pending")
        anywhere.add(link())
        await local.asettle()

        assert [lost.step for lost in log.lost] == ["grant", "look again"]
        assert [event for _, event in anywhere.answers] == [GRANTED]
        assert anywhere.row.status == "active"

    async def test_refund_in_between(self, served: ServedSchool) -> None:
        """
        What was refunded between two steps isn't acknowledged as open.
        """
        served.inngest.lose(function="handle-bundle-purchase", step="grant")
        await served.send(sale())
        await served.local.asettle(within=timedelta(0))
        served.add(link())
        served.revoke(refund())
        await served.local.asettle()

        assert [event for _, event in served.answers] == [REVOKED]
        assert not served.opens()


class TestOutage:
    async def test_shop_is_down(self, served: ServedSchool) -> None:
        """
        While the shop's Inngest is down the sale is open already; it hears so when it is back.
        """
        served.add(link())
        served.shop.down = True
        await served.send(sale())
        await served.local.asettle(within=timedelta(hours=6))
        assert (served.answers, served.opens()) == ([], True)
        [run] = served.inngest.log.runs
        assert run.status == "running"
        assert run.attempts > 5
        served.shop.down = False
        await served.local.asettle()

        assert [event for _, event in served.answers] == [GRANTED]
        assert served.inngest.log.runs[0].status == "completed"
        assert served.inngest.log.runs[0].steps.count("grant") == 1

    async def test_tables_are_missing(self, served: ServedSchool) -> None:
        """
        A deployment that came before its migration is made good by the migration alone.
        """
        table_of(Entitlement).drop(served.database.engine)
        await served.send(sale())
        await served.local.asettle(within=timedelta(hours=1))
        assert [run.status for run in served.inngest.log.runs] == ["running"]
        table_of(Entitlement).create(served.database.engine)
        await served.local.asettle()

        assert [event for _, event in served.answers] == [PENDING]
        assert [run.status for run in served.inngest.log.runs] == ["completed"]
