from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, col

import crossapp_tt as tt
from crossapp_core.errors import UnconfirmedEventError
from crossapp_core.outcomes import Outcome
from crossapp_tt.operations import purchases
from crossapp_tt.operations.ownership import reason_of
from crossapp_tt.ports import PartialRefunds, Purchase, Reference
from tests.databases import Database
from tests.hosts import NOW
from tests.tt.market import Market, MarketSale
from tests.tt.shop import BUNDLE, COURSE, PURCHASE, entry, refund_in, sale_in

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def market(database: Database) -> Market:
    """
    A market on each of the databases in turn.
    """
    return Market(database)


def hear(market: Market, purchase_id: str = PURCHASE) -> Outcome:
    """
    Hear from the market's own event that something has happened to a purchase.
    """
    return market.do(purchases.record_change, Reference(purchase_id), now=LATER)


def adas_keep(session: Session, purchase: Purchase) -> bool:
    """
    A market's own rule.
    """
    return purchase.user_id == "ada"


class TestPartialRefund:
    @pytest.mark.parametrize(
        ("policy", "user_id", "desired"),
        [
            ("keep", "ada", "granted"),
            ("revoke", "ada", "revoked"),
            (adas_keep, "ada", "granted"),
            (adas_keep, "grace", "revoked"),
        ],
    )
    def test_policy(self, market: Market, policy: PartialRefunds, user_id: str, desired: str) -> None:
        """
        Whether the buyer keeps what was partly paid back is the app's to say, to events and to the sweep alike.
        """
        market.partial_refunds = policy
        market.sell(user_id=user_id)
        market.change(status="Partial")
        assert market.plan() == ({} if desired == "granted" else {"missed-refund": 1})
        market.hear_of_refund(now=LATER)
        assert market.row().desired == desired
        assert market.plan() == {}

    def test_kept_is_confirmed(self, market: Market) -> None:
        """
        An event of a partial refund that takes nothing away is done, and needn't be tried again.
        """
        market.sell()
        market.change(status="Partial")
        outcome = market.hear_of_refund(now=LATER)
        assert (outcome.changed, market.row().desired) == (False, "granted")

    def test_rest_refunded(self, market: Market) -> None:
        """
        When the rest is paid back, it is gone.
        """
        market.sell()
        market.change(status="Partial")
        market.hear_of_refund()
        market.change(status="Refunded")
        assert [refund_in(each).reason for each in market.hear_of_refund(now=LATER).messages] == ["refunded"]


class TestDispute:
    def test_opened(self, market: Market) -> None:
        """
        While a payment is disputed, what it bought is locked, for that reason.
        """
        market.sell()
        market.change(status="Disputed")
        assert [refund_in(each).reason for each in hear(market).messages] == ["disputed"]

    def test_won(self, market: Market) -> None:
        """
        A dispute that was won gives it back, by a higher version.
        """
        market.sell()
        market.change(status="Disputed")
        version = refund_in(hear(market).messages[0]).version
        market.change(status="Valid")
        [message] = hear(market).messages
        assert sale_in(message).version > version
        assert market.row().reason is None

    def test_lost(self, market: Market) -> None:
        """
        A dispute that was lost is a refund, and changes nothing any more.
        """
        market.sell()
        market.change(status="Disputed")
        hear(market)
        market.change(status="Refunded")
        assert not hear(market).changed
        assert market.row().desired == "revoked"

    def test_before_anybody_knew(self, market: Market) -> None:
        """
        A purchase that is disputed when it is first seen makes no row.
        """
        market.buy(status="Disputed")
        assert (hear(market), market.rows()) == (Outcome(), [])

    def test_flag_of_its_own(self, database: Database) -> None:
        """
        A dispute counts whatever else the app says of the purchase.
        """
        status = col(MarketSale.status)
        ports = tt.TablePurchases(MarketSale, owned=status != "Refunded", disputed=status == "Disputed")
        market = Market(database, purchases=ports)
        market.buy(status="Disputed")
        with database.session() as session:
            purchase = ports.get(session, PURCHASE)
        assert purchase is not None
        assert (purchase.owned, purchase.reason) == (False, "disputed")


class TestTransfer:
    def test_one_higher_version(self, market: Market) -> None:
        """
        A purchase that has another buyer is told once, for the new one.
        """
        market.sell()
        market.change(user_id="grace", email="grace@example.com")
        [message] = hear(market).messages
        assert (sale_in(message).buyer_user_id, sale_in(message).buyer_email) == ("grace", "grace@example.com")

    @pytest.mark.parametrize(("user_id", "quiet"), [(None, True), ("grace", False)])
    def test_quiet(self, market: Market, user_id: str | None, quiet: bool) -> None:
        """
        Whoever gets a sale from before there was a bridge is told of it, but not whose name alone is new.
        """
        market.buy(user_id=user_id)
        market.bridge.backfill_sync()
        market.change(user_id="ada", email="ada@example.com")
        hear(market)
        assert (market.row().buyer_user_id, market.row().quiet) == ("ada", quiet)


class TestUnknown:
    def test_not_there(self, market: Market) -> None:
        """
        An event of a purchase that isn't there is tried again.
        """
        with pytest.raises(UnconfirmedEventError, match=f"{PURCHASE} is not there"):
            hear(market)

    @pytest.mark.parametrize("word", [None, "chargeback"])
    def test_reason(self, word: Any) -> None:
        """
        Without a reason, or with one that no event knows, a purchase counts as refunded.
        """
        assert reason_of(Purchase("p", "q", owned=False, reason=word)) == "refunded"
        assert reason_of(None) == "refunded"


class TestSeveralPurchases:
    def test_bought_twice(self, market: Market) -> None:
        """
        The same bundle bought twice is two rows, of which a refund takes one.
        """
        market.sell()
        market.sell("pur_2")
        market.refund("pur_2")
        assert market.wanted() == {f"{PURCHASE}/{COURSE}": "granted", f"pur_2/{COURSE}": "revoked"}

    def test_in_two_bundles(self, market: Market) -> None:
        """
        So is the same product in two bundles.
        """
        market.bundles = {BUNDLE: [entry()], "bundle_2": [entry(), entry("b")]}
        market.sell()
        market.sell("pur_2", product_id="bundle_2")
        market.refund()
        assert market.wanted() == {
            f"{PURCHASE}/{COURSE}": "revoked",
            "pur_2/b": "granted",
            f"pur_2/{COURSE}": "granted",
        }

    def test_team(self, database: Database) -> None:
        """
        A team's seats are purchases of their own; the pool that they were bought with grants nothing.
        """
        kind = col(MarketSale.status)
        market = Market(database, purchases=tt.TablePurchases(MarketSale, owned=kind.in_(["Valid", "Seat"])))
        market.buy("pool", status="Pool")
        market.sell("seat_1", status="Seat", user_id="ada")
        market.sell("seat_2", status="Seat", user_id="grace")
        assert market.record("pool") == Outcome()
        assert [(row.purchase_id, row.buyer_user_id) for row in market.rows()] == [
            ("seat_1", "ada"),
            ("seat_2", "grace"),
        ]
        market.change("seat_1", user_id="eve", email="eve@example.com")
        hear(market, "seat_1")
        assert [row.buyer_user_id for row in market.rows()] == ["eve", "grace"]
