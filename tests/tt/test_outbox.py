from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlmodel import select

from crossapp_core.errors import EventRefusedError, PeerUnavailableError, SendError
from crossapp_core.outcomes import Due, Outcome, Sent
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import mends, outbox
from tests.hosts import NOW
from tests.tt.shop import BUNDLE, COURSE, FIRST, OTHER, SCHOOL, Shop, entry, failed, granted, revoked

MINUTE = timedelta(minutes=1)
DOWN = PeerUnavailableError(SCHOOL, "it answered 503")


def take(shop: Shop, after: timedelta = MINUTE, *, app: str = SCHOOL, limit: int = 100) -> Outcome:
    """
    Take what is due then.
    """
    return shop.do(outbox.take, Due(app, limit), now=NOW + after)


def note(shop: Shop, taken: Outcome, error: SendError | None = None, after: timedelta = MINUTE) -> None:
    """
    Note that all that was taken was accepted, or why not.
    """
    sent = [Sent(message, None if error else "stored", error) for message in taken.messages]
    shop.do(outbox.note, list(zip(taken.ids, sent, strict=True)), now=NOW + after)


def purchases(taken: Outcome) -> Sequence[str]:
    """
    Which purchases are told of, in that order.
    """
    return [str(getattr(message.event, "purchase_id", "")) for message in taken.messages]


class TestTake:
    def test_backoff(self, shop: Shop) -> None:
        """
        What isn't acknowledged is sent again after 1 minute, doubling to 6 hours, without end, as another attempt each
        time.
        """
        shop.sell()
        when, waits = MINUTE, []
        assert take(shop, when - timedelta(milliseconds=1)).messages == ()
        for attempt in range(1, 13):
            [message] = take(shop, when).messages
            assert (message.target, message.event.name, message.attempt) == (SCHOOL, "bundle/purchased", attempt)
            due = shop.row().next_attempt_at
            assert due is not None
            waits.append((due - NOW - when) / MINUTE)
            when = due - NOW

        whole = [2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360, 360]
        assert all(0.8 * most <= wait <= most for wait, most in zip(waits, whole, strict=True))

    def test_refunds_first(self, shop: Shop) -> None:
        """
        The oldest refund goes first, then the oldest sale; so many at once as are asked for.
        """
        for number in (1, 2, 3, 4):
            shop.sell(f"pur_{number}", now=NOW + number * timedelta(seconds=1))
        shop.refund("pur_4", now=NOW + timedelta(seconds=5))
        shop.refund("pur_2", now=NOW + timedelta(seconds=6))
        taken = [purchases(take(shop, 2 * MINUTE, limit=3)) for _ in range(3)]

        assert taken == [["pur_4", "pur_2", "pur_1"], ["pur_3"], []]

    def test_other_peer(self, shop: Shop) -> None:
        """
        What is owed to another peer is another matter.
        """
        shop.bundles[BUNDLE] = [entry(), entry(app=OTHER)]
        shop.sell()

        assert [message.target for message in take(shop, app=OTHER).messages] == [OTHER]
        assert [message.target for message in take(shop).messages] == [SCHOOL]

    def test_failed_rows_too(self, shop: Shop) -> None:
        """
        What the granter couldn't do it is asked for again: somebody may have made the product meanwhile.
        """
        shop.sell()
        shop.answer(failed())

        assert purchases(take(shop)) == ["pur_1"]
        shop.answer(granted())
        assert (shop.row().status, shop.row().error_code, shop.row().next_attempt_at) == ("synced", None, None)
        assert take(shop, timedelta(days=9)).messages == ()

    def test_clock_that_was_ahead(self, shop: Shop) -> None:
        """
        What a clock that was ahead has put off for a year doesn't wait so long.
        """
        shop.sell(now=NOW + timedelta(days=365))

        assert purchases(take(shop)) == ["pur_1"]

    def test_unreadable_row(self, shop: Shop) -> None:
        """
        A row into which somebody wrote what no event can hold says so, and keeps no other one back.
        """
        shop.sell("pur_1")
        shop.sell("pur_2")
        with shop.database.session() as session:
            [broken] = [row for row in session.exec(select(CrossAppSync)) if row.purchase_id == "pur_1"]
            broken.buyer_user_id = ""

        assert purchases(take(shop)) == ["pur_2"]
        [row] = [row for row in shop.rows() if row.purchase_id == "pur_1"]
        assert (row.status, row.error_code) == ("failed", "not-sent")


class TestNote:
    def test_accepted(self, shop: Shop) -> None:
        """
        That it was accepted is noted, and it stays owed until the granter's own answer.
        """
        shop.sell()
        note(shop, take(shop))

        row = shop.row()
        assert (row.status, row.accepted_version, row.accepted_at, row.sent_at) == (
            "pending",
            FIRST,
            NOW + MINUTE,
            NOW + MINUTE,
        )
        assert row.next_attempt_at is not None

    def test_changed_meanwhile(self, shop: Shop) -> None:
        """
        What was sent of an older version says nothing of the newer one.
        """
        shop.sell()
        taken = take(shop)
        shop.refund(now=NOW + MINUTE)
        due = shop.row().next_attempt_at
        note(shop, taken)
        assert (shop.row().accepted_version, shop.row().next_attempt_at) == (0, due)
        note(shop, taken, DOWN)
        assert (shop.row().status, shop.row().next_attempt_at) == ("pending", due)

    def test_taken_anew_meanwhile(self, shop: Shop) -> None:
        """
        Nor does it if another worker has taken the newer one already.
        """
        shop.sell()
        taken = take(shop)
        shop.refund(now=NOW + MINUTE)
        again = take(shop, 2 * MINUTE)
        assert [message.attempt for message in (*taken.messages, *again.messages)] == [1, 1]
        note(shop, taken, after=2 * MINUTE)

        assert shop.row().accepted_version == 0

    def test_changed_by_a_clock_behind(self, shop: Shop) -> None:
        """
        Nor does it if the newer one has a lower number than something else that was sent.
        """
        shop.sell("pur_1")
        shop.sell("pur_2", now=NOW + MINUTE)
        taken = take(shop, 2 * MINUTE)
        shop.refund("pur_1")
        note(shop, taken)

        assert {row.purchase_id: row.accepted_version > 0 for row in shop.rows()} == {"pur_1": False, "pur_2": True}

    def test_peer_is_down(self, shop: Shop) -> None:
        """
        What reached nobody is due as soon as the peer is back, and says why it waits.
        """
        shop.sell()
        note(shop, take(shop), DOWN)

        row = shop.row()
        assert (row.status, row.error_code, row.accepted_version) == ("failed", "not-sent", 0)
        assert "503" in (row.error_message or "")
        assert purchases(take(shop)) == ["pur_1"]

    def test_event_refused(self, shop: Shop) -> None:
        """
        One event that the peer doesn't take waits for its own time.
        """
        shop.sell()
        note(shop, take(shop), EventRefusedError(SCHOOL, "an id", "it has 300000 bytes"))

        assert (shop.row().status, shop.row().error_code) == ("failed", "not-sent")
        assert take(shop).messages == ()

    def test_answered_meanwhile(self, shop: Shop) -> None:
        """
        An answer that came first stands: nothing is owed any more.
        """
        shop.sell()
        taken = take(shop)
        shop.answer(granted())
        note(shop, taken, DOWN)

        assert (shop.row().status, shop.row().error_code, shop.row().next_attempt_at) == ("synced", None, None)


class TestOweAll:
    @pytest.mark.parametrize("refunded", [False, True])
    def test_once(self, shop: Shop, refunded: bool) -> None:
        """
        After a backup was restored everything is said once more, and an answer to that ends it.
        """
        shop.sell()
        if refunded:
            shop.refund()
        version = shop.row().version
        answer = revoked(version) if refunded else granted(version)
        shop.answer(answer)
        assert take(shop, timedelta(days=9)).messages == ()

        shop.do(outbox.owe_all, None)
        [message] = take(shop).messages
        assert (message.event.name, message.attempt) == ("entitlement/revoke" if refunded else "bundle/purchased", 1)
        shop.answer(answer)
        assert take(shop, timedelta(days=9)).messages == ()

    def test_nothing_of_a_new_row(self, shop: Shop) -> None:
        """
        Nothing is made up: there is nothing to say where there are no rows.
        """
        shop.do(outbox.owe_all, None)

        assert (take(shop).messages, COURSE) == ((), "prod_9")


class TestSketchPeer:
    def test_never_told(self, shop: Shop) -> None:
        """
        What a sketch granter was never told of it isn't asked to lock: no name for it would be known there.
        """
        shop.sketches = frozenset({SCHOOL})
        shop.buy()
        shop.do(mends.mend, mends.Mending(("pur_1",)))
        shop.change(status="Refunded")
        shop.do(mends.mend, mends.Mending(("pur_1",)), now=NOW + MINUTE)

        assert take(shop, 2 * MINUTE).messages == ()
        row = shop.row()
        assert (row.desired, row.status, row.next_attempt_at) == ("revoked", "revoked", None)

    def test_told_before(self, shop: Shop) -> None:
        """
        What it was told of it is asked to lock, as soon as it has answered.
        """
        shop.sketches = frozenset({SCHOOL})
        shop.sell()
        [sold] = take(shop).messages
        shop.refund(now=NOW + 2 * MINUTE)

        assert [message.event.name for message in take(shop, 5 * MINUTE).messages] == ["bundle/purchased"]
        assert (sold.event.name, shop.row().status) == ("bundle/purchased", "pending")
