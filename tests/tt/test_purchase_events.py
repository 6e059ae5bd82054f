from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_core.errors import UnconfirmedEventError
from crossapp_core.outcomes import Message
from crossapp_tt.operations import purchases
from crossapp_tt.ports import Reference
from tests.hosts import NOW
from tests.tt.shop import (
    BUNDLE,
    FIRST,
    OTHER,
    PURCHASE,
    Shop,
    entry,
    granted,
    refund_in,
    sale_in,
    version_at,
)

LATER = NOW + timedelta(hours=1)


class TestRecordSale:
    def test_owned(self, shop: Shop) -> None:
        """
        An event that the database confirms is recorded, by the purchase's id.
        """
        shop.buy()
        assert shop.hear_of_sale().ids == (shop.row().id,)

    def test_by_charge(self, shop: Shop) -> None:
        """
        So it is by that of the charge, to the letter.
        """
        shop.buy(charge_id="ch_Ab1")
        shop.buy("pur_2", charge_id="ch_aB1", user_id="grace")
        shop.hear_of_sale(None, "ch_Ab1")
        assert shop.row().purchase_id == PURCHASE

    def test_no_bundle(self, shop: Shop) -> None:
        """
        What is no bundle is no error.
        """
        shop.buy(product_id="prod_alone")
        assert shop.hear_of_sale().ids == ()

    @pytest.mark.parametrize("status", ["Refunded", None])
    def test_forged(self, shop: Shop, status: str | None) -> None:
        """
        An event about a purchase that isn't there, or isn't owned and never was, writes nothing.
        """
        if status:
            shop.buy(status=status)
        with pytest.raises(UnconfirmedEventError, match=f"{PURCHASE} is not owned"):
            shop.hear_of_sale()
        assert shop.rows() == []

    def test_unknown_charge(self, shop: Shop) -> None:
        """
        So does one about a charge that nobody knows.
        """
        shop.buy(charge_id="ch_1")
        with pytest.raises(UnconfirmedEventError, match="ch_404 is not there"):
            shop.hear_of_sale(None, "ch_404")
        assert shop.rows() == []

    @pytest.mark.parametrize("gone", [True, False])
    def test_late(self, shop: Shop, gone: bool) -> None:
        """
        An event of a sale that comes after its refund says what the database says: that it is refunded.
        """
        shop.sell()
        if gone:
            shop.delete()
        else:
            shop.change(status="Refunded")
        assert [refund_in(each).purchase_id for each in shop.hear_of_sale().messages] == [PURCHASE]
        assert shop.row().desired == "revoked"

    @pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000, "' OR 1=1 --"])
    def test_no_id_at_all(self, shop: Shop, name: str) -> None:
        """
        What can't be an id names no purchase and no charge.
        """
        shop.buy(charge_id="ch_1")
        with pytest.raises(UnconfirmedEventError):
            shop.hear_of_sale(None, name)
        with pytest.raises(UnconfirmedEventError):
            shop.hear_of_sale(name)
        assert shop.rows() == []


class TestRecordRefund:
    @pytest.mark.parametrize("by_charge", [True, False])
    def test_refunded(self, shop: Shop, by_charge: bool) -> None:
        """
        An event that the database confirms is recorded.
        """
        shop.sell(charge_id="ch_1")
        shop.change(status="Refunded")
        outcome = shop.hear_of_refund(None, "ch_1") if by_charge else shop.hear_of_refund()
        assert [refund_in(each).purchase_id for each in outcome.messages] == [PURCHASE]

    def test_forged(self, shop: Shop) -> None:
        """
        An event about a purchase that is still owned changes nothing.
        """
        shop.sell()
        before = shop.row().model_dump()
        with pytest.raises(UnconfirmedEventError, match=f"{PURCHASE} is not refunded"):
            shop.hear_of_refund()
        assert shop.row().model_dump() == before

    @pytest.mark.parametrize("name", ["PUR_1", "pur_1 ", "púr_1"])
    def test_id_in_other_letters(self, shop: Shop, name: str) -> None:
        """
        Nor does one whose id only a database takes for that of the purchase.
        """
        shop.sell()
        assert shop.hear_of_refund(name).ids == ()
        assert shop.row().desired == "granted"

    def test_never_sold(self, shop: Shop) -> None:
        """
        What was never told to a peer needs no revocation.
        """
        shop.buy(status="Refunded")
        for name in (PURCHASE, "pur_404"):
            outcome = shop.hear_of_refund(name)
            assert (outcome.ids, outcome.changed, outcome.messages) == ((), False, ())
        assert shop.rows() == []

    def test_deleted(self, shop: Shop) -> None:
        """
        A purchase that is gone isn't owned.
        """
        shop.sell()
        shop.delete()
        assert shop.hear_of_refund().changed is True
        assert shop.row().desired == "revoked"


class TestNoteAccepted:
    def test_noted(self, shop: Shop) -> None:
        """
        What a peer accepted is noted with its version and time; it is still owed.
        """
        outcome = shop.sell()
        noted = shop.note_accepted(outcome.messages, now=LATER)
        row = shop.row()
        assert (noted.ids, noted.changed) == ((row.id,), True)
        assert (row.sent_at, row.accepted_at, row.accepted_version) == (LATER, LATER, FIRST)
        assert (row.status, row.next_attempt_at) == ("pending", NOW + timedelta(minutes=1))

    def test_older(self, shop: Shop) -> None:
        """
        What was accepted of an older version says nothing about the new one.
        """
        sale = shop.sell()
        refund = shop.refund(now=LATER)
        assert shop.note_accepted(sale.messages).changed is False
        assert shop.row().accepted_version == 0
        assert shop.note_accepted(refund.messages).changed is True
        assert shop.row().accepted_version == version_at(LATER)

    def test_each_row(self, shop: Shop) -> None:
        """
        Each component is noted for itself; what has no row any more is passed over.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b"), entry("a", OTHER)]
        outcome = shop.sell()
        gone = Message(OTHER, sale_in(outcome.messages[0]).model_copy(update={"product_id": "gone"}))
        assert len(shop.note_accepted([outcome.messages[0], outcome.messages[2], gone]).ids) == 2
        assert [row.accepted_version for row in shop.rows()] == [FIRST, 0, FIRST]


class TestNoteUndelivered:
    def fail(self, shop: Shop, message: str = "the peer is down", reference: Reference | None = None) -> bool:
        """
        Hear that a purchase's events couldn't be sent.
        """
        fact = purchases.Undelivered(reference or Reference(PURCHASE), message)
        return shop.do(purchases.note_undelivered, fact, now=LATER).changed

    def test_failed(self, shop: Shop) -> None:
        """
        The ledger shows that it wasn't sent, and why; it is still owed.
        """
        first = shop.sell(charge_id="ch_1")
        assert self.fail(shop, "x" * 600, Reference(None, "ch_1")) is True
        row = shop.row()
        assert (row.status, row.error_code, row.error_message) == ("failed", "not-sent", "x" * 500)
        assert (row.version, row.next_attempt_at) == (FIRST, LATER + timedelta(minutes=1))
        assert shop.record().messages == first.messages

    def test_accepted(self, shop: Shop) -> None:
        """
        What was accepted was sent, whatever became of the run.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b")]
        outcome = shop.sell()
        shop.note_accepted(outcome.messages[:1])
        assert self.fail(shop) is True
        assert [row.status for row in shop.rows()] == ["pending", "failed"]

    def test_acknowledged(self, shop: Shop) -> None:
        """
        So was what was acknowledged.
        """
        shop.sell()
        shop.answer(granted())
        assert self.fail(shop) is False
        assert shop.row().status == "synced"

    @pytest.mark.parametrize("reference", [Reference("pur_404"), Reference(None, "ch_404"), Reference()])
    def test_unknown(self, shop: Shop, reference: Reference) -> None:
        """
        A purchase that nobody knows has nothing to show.
        """
        assert self.fail(shop, reference=reference) is False

    def test_deleted(self, shop: Shop) -> None:
        """
        A deleted purchase has.
        """
        shop.sell()
        shop.delete()
        assert self.fail(shop) is True

    def test_sent_later(self, shop: Shop) -> None:
        """
        An answer that comes all the same puts it right.
        """
        shop.sell()
        self.fail(shop)
        shop.answer(granted(), now=LATER)
        row = shop.row()
        assert (row.status, row.error_code, row.error_message, row.synced_at) == ("synced", None, None, LATER)
