from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_core.outcomes import Outcome
from crossapp_tt.operations import acknowledgements, holds
from crossapp_tt.operations.holds import Target
from tests.databases import Database
from tests.hosts import NOW
from tests.tt.market import Market, kept
from tests.tt.shop import BUNDLE, OTHER, PURCHASE, entry, granted, refund_in, sale_in, version_at

LATER = NOW + timedelta(hours=1)
LAST = NOW + timedelta(hours=2)


@pytest.fixture
def market(database: Database) -> Market:
    """
    A market that has sold a bundle of two products, on each of the databases in turn.
    """
    market = Market(database, {BUNDLE: [entry("a"), entry("b", OTHER)]})
    market.sell()
    return market


def revoke(market: Market, product_id: str | None = None, purchase_id: str = PURCHASE) -> Outcome:
    """
    Take something back by hand.
    """
    return market.do(holds.revoke, Target(purchase_id, product_id), now=LATER)


def restore(market: Market, product_id: str | None = None, purchase_id: str = PURCHASE) -> Outcome:
    """
    Give it back.
    """
    return market.do(holds.restore, Target(purchase_id, product_id), now=LAST)


class TestRevoke:
    def test_whole_purchase(self, market: Market) -> None:
        """
        All that a purchase unlocked is revoked by one higher version each, and told why.
        """
        outcome = revoke(market)
        assert [refund_in(each).reason for each in outcome.messages] == ["manual", "manual"]
        for row in market.rows():
            assert (row.desired, row.reason, row.version) == ("revoked", "manual", version_at(LATER))
            assert row.bundle_product_id == BUNDLE
        assert (outcome.changed, len(outcome.ids)) == (True, 2)

    def test_one_product(self, market: Market) -> None:
        """
        So is one product of it.
        """
        revoke(market, "b")
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"{PURCHASE}/b": "revoked"}

    def test_twice(self, market: Market) -> None:
        """
        The same again changes nothing.
        """
        revoke(market)
        rows = [row.model_dump() for row in market.rows()]
        assert not revoke(market).changed
        assert [row.model_dump() for row in market.rows()] == rows

    @pytest.mark.parametrize("values", [{"status": "Valid"}, {"user_id": "grace"}, {"kept": kept("a")}])
    def test_stands(self, market: Market, values: dict[str, str]) -> None:
        """
        Neither an event nor a sweep lifts it, whatever the purchase becomes.
        """
        revoke(market, "a")
        market.change(**values)
        market.record(now=LAST)
        market.sweep()
        assert market.plan() == {}
        assert market.rows()[0].desired == "revoked"

    def test_stands_over_a_dispute(self, market: Market) -> None:
        """
        A dispute that was won doesn't give back what was taken by hand.
        """
        market.change(status="Disputed")
        market.record()
        revoke(market, "a")
        market.change(status="Valid")
        market.record(now=LAST)
        assert market.wanted() == {f"{PURCHASE}/a": "revoked", f"{PURCHASE}/b": "granted"}
        assert market.plan() == {}

    def test_not_recorded_yet(self, market: Market) -> None:
        """
        A sale of which no granter knows yet is held before it is told.
        """
        market.buy("pur_2")
        outcome = revoke(market, purchase_id="pur_2")
        assert [refund_in(each).purchase_id for each in outcome.messages] == ["pur_2", "pur_2"]
        market.record("pur_2", now=LAST)
        assert set(market.wanted().items()) >= {("pur_2/a", "revoked"), ("pur_2/b", "revoked")}
        assert {row.buyer_user_id for row in market.rows()} == {"ada"}

    @pytest.mark.parametrize(("purchase_id", "product_id"), [("pur_404", None), (PURCHASE, "c")])
    def test_nothing_of_the_kind(self, market: Market, purchase_id: str, product_id: str | None) -> None:
        """
        What was never sold has no rows.
        """
        outcome = revoke(market, product_id, purchase_id)
        assert (outcome.ids, outcome.changed, len(market.rows())) == ((), False, 2)

    def test_deleted_purchase(self, market: Market) -> None:
        """
        The rows of a purchase that is gone can be held as well.
        """
        market.delete()
        assert len(revoke(market).ids) == 2
        assert set(market.wanted().values()) == {"revoked"}


class TestRestore:
    def test_owned(self, market: Market) -> None:
        """
        What is still owned is unlocked again, for whoever owns it now.
        """
        revoke(market)
        market.change(user_id="grace")
        outcome = restore(market)
        assert [sale_in(each).buyer_user_id for each in outcome.messages] == ["grace", "grace"]
        for row in market.rows():
            assert (row.desired, row.reason, row.version) == ("granted", None, version_at(LAST))

    def test_one_product(self, market: Market) -> None:
        """
        One product alone may be given back.
        """
        revoke(market)
        restore(market, "b")
        assert market.wanted() == {f"{PURCHASE}/a": "revoked", f"{PURCHASE}/b": "granted"}

    def test_refunded_meanwhile(self, market: Market) -> None:
        """
        What isn't owned any more stays locked, and isn't held: it comes back when it is owned again.
        """
        revoke(market)
        market.change(status="Disputed")
        market.record(now=LAST)
        versions = market.versions()
        outcome = restore(market)
        assert (outcome.changed, market.versions()) == (True, versions)
        assert {row.reason for row in market.rows()} == {"disputed"}
        market.change(status="Valid")
        market.record(now=LAST)
        assert set(market.wanted().values()) == {"granted"}

    def test_taken_out_meanwhile(self, market: Market) -> None:
        """
        What the app doesn't keep of the sale any more stays locked.
        """
        revoke(market)
        market.change(kept=kept("a"))
        restore(market)
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"{PURCHASE}/b": "revoked"}
        assert market.rows()[1].bundle_product_id is None

    def test_nothing_held(self, market: Market) -> None:
        """
        What an event has revoked isn't given back by hand.
        """
        market.refund()
        assert restore(market) == Outcome()
        assert set(market.wanted().values()) == {"revoked"}

    def test_twice(self, market: Market) -> None:
        """
        The same again changes nothing.
        """
        revoke(market)
        restore(market)
        rows = [row.model_dump() for row in market.rows()]
        assert restore(market) == Outcome()
        assert [row.model_dump() for row in market.rows()] == rows


class TestLostMemory:
    def test_larger_version(self, market: Market) -> None:
        """
        A granter that knows a higher version doesn't lift what was taken back by hand: that is wanted anew, above it.
        """
        revoke(market, "a")
        known = version_at(LAST)
        outcome = market.do(acknowledgements.apply, granted(known, product_id="a"), now=LATER)

        [message] = outcome.messages
        assert (refund_in(message).reason, refund_in(message).version) == ("manual", known + 1)
        assert market.wanted()[f"{PURCHASE}/a"] == "revoked"
        assert restore(market, "a").changed
