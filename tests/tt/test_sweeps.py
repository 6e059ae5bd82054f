from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import delete

from crossapp_core.flavours import run_sync
from crossapp_tt.functions import sweeping
from crossapp_tt.operations import screens, sweeps
from crossapp_tt.operations.findings import FindingKind
from tests.databases import Database
from tests.hosts import NOW
from tests.tt.market import DAY, Market, MarketSale, MarketUser, kept
from tests.tt.shop import BUNDLE, COURSE, OTHER, PURCHASE, entry

GUEST: dict[str, Any] = {"user_id": None, "email": "Ada@Example.com"}


@pytest.fixture
def market(database: Database) -> Market:
    """
    A market that has been swept before, on each of the databases in turn.
    """
    market = Market(database)
    market.sweep()
    market.now += timedelta(hours=1)
    return market


class TestMissedSale:
    def test_recorded(self, market: Market) -> None:
        """
        A sale that nobody told of is recorded, and due at once.
        """
        market.buy()
        assert market.plan() == {FindingKind.MISSED_SALE: 1}
        market.sweep()
        row = market.row()
        assert (row.purchase_id, row.desired, row.status, row.quiet) == (PURCHASE, "granted", "pending", False)
        assert (row.buyer_user_id, row.next_attempt_at, row.retry_count) == ("ada", market.now, 0)

    @pytest.mark.parametrize("made_at", [NOW - 2 * DAY, None])
    def test_from_before(self, market: Market, made_at: Any) -> None:
        """
        A sale from before there was a sweep wasn't missed, nor one of which nobody knows when it was.
        """
        market.buy(made_at=made_at)
        assert market.plan() == {}
        market.sweep()
        assert market.rows() == []

    def test_just_before(self, market: Market) -> None:
        """
        One from the day before may have been.
        """
        market.buy(made_at=NOW - timedelta(hours=23))
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/{COURSE}": "granted"}

    def test_first_sweep(self, database: Database) -> None:
        """
        The first sweep of all finds what was sold that day, and nothing older: whoever installs the bridge wouldn't
        want a mail to everybody.
        """
        market = Market(database)
        market.buy("old", made_at=NOW - 40 * DAY)
        market.buy("new")
        market.sweep()
        assert market.wanted() == {f"new/{COURSE}": "granted"}

    @pytest.mark.parametrize("values", [{"product_id": "prod_alone"}, {"status": "Refunded"}, {"kept": "[]"}])
    def test_nothing_owed(self, market: Market, values: dict[str, Any]) -> None:
        """
        What is no bundle, or isn't owned, makes no row.
        """
        market.buy(**values)
        assert market.plan() == {}
        market.sweep()
        assert market.rows() == []

    def test_owned_again(self, market: Market) -> None:
        """
        A purchase that somebody has made valid again is unlocked again, however old it is.
        """
        market.sell(made_at=NOW - 400 * DAY)
        market.change(status="Refunded")
        market.record()
        market.change(status="Valid")
        assert market.plan() == {FindingKind.MISSED_SALE: 1}
        market.sweep()
        assert market.row().desired == "granted"

    def test_part_of_the_rows(self, market: Market) -> None:
        """
        A row that was lost is written again.
        """
        market.bundles = {BUNDLE: [entry("a"), entry("b")]}
        market.sell(kept=kept("a", "b"))
        with market.database.session() as session:
            session.delete(market.rows()[0])
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"{PURCHASE}/b": "granted"}


class TestMissedRefund:
    @pytest.mark.parametrize(("status", "reason"), [("Refunded", "refunded"), ("Disputed", "disputed")])
    def test_revoked(self, market: Market, status: str, reason: str) -> None:
        """
        A refund that support made by SQL is recorded, with its reason, and due at once.
        """
        market.sell()
        market.change(status=status)
        assert market.plan() == {FindingKind.MISSED_REFUND: 1}
        market.sweep()
        row = market.row()
        assert (row.desired, row.reason, row.next_attempt_at) == ("revoked", reason, market.now)

    def test_of_an_old_sale(self, market: Market) -> None:
        """
        It is found however old the sale is.
        """
        market.sell(made_at=None)
        market.change(status="Refunded")
        market.sweep()
        assert market.row().desired == "revoked"


class TestTransferred:
    def test_other_user(self, market: Market) -> None:
        """
        A purchase that was given to another user is one higher version, for that user.
        """
        market.sell()
        before = market.row().version
        market.change(user_id="grace", email="grace@example.com")
        assert market.plan() == {FindingKind.TRANSFERRED: 1}
        market.sweep()
        row = market.row()
        assert (row.desired, row.buyer_user_id, row.buyer_email) == ("granted", "grace", "grace@example.com")
        assert row.version > before

    def test_other_address_of_a_guest(self, market: Market) -> None:
        """
        So is a guest's purchase with another address.
        """
        market.sell(**GUEST)
        market.change(email="grace@example.com")
        assert market.plan() == {FindingKind.TRANSFERRED: 1}
        market.sweep()
        assert market.row().buyer_email == "grace@example.com"

    @pytest.mark.parametrize("values", [{"user_id": None}, {"email": "ada@new.example"}])
    def test_no_transfer(self, market: Market, values: dict[str, Any]) -> None:
        """
        An account that was erased is no transfer, and a new address of the same user neither.
        """
        market.sell()
        market.change(**values)
        assert market.plan() == {}


class TestBuyerNamed:
    def test_guest(self, market: Market) -> None:
        """
        A guest's purchase goes to the user who holds its address by now.
        """
        market.sell(**GUEST)
        market.add(MarketUser(id="ada", email="ada@example.com"))
        assert market.plan() == {FindingKind.BUYER_NAMED: 1}
        market.sweep()
        assert market.row().buyer_user_id == "ada"

    def test_unverified(self, market: Market) -> None:
        """
        But not to somebody who has only written that address down.
        """
        market.sell(**GUEST)
        market.add(MarketUser(id="eve", email="ada@example.com", email_verified=False))
        assert market.plan() == {}

    def test_named_by_the_app(self, market: Market) -> None:
        """
        The app itself may name the user, too.
        """
        market.sell(**GUEST)
        market.change(user_id="ada")
        assert market.plan() == {FindingKind.BUYER_NAMED: 1}
        market.sweep()
        assert market.row().buyer_user_id == "ada"


class TestDeleted:
    def test_revoked(self, market: Market) -> None:
        """
        What a purchase granted that is gone is taken back.
        """
        market.sell()
        market.sell("pur_2")
        market.delete()
        assert market.plan() == {FindingKind.DELETED: 1}
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/{COURSE}": "revoked", f"pur_2/{COURSE}": "granted"}

    def test_all(self, market: Market) -> None:
        """
        So it is where no purchase is left, and where the last ones are gone.
        """
        for number in range(3):
            market.sell(f"pur_{number}")
        market.delete("pur_2")
        market.sweep()
        assert list(market.wanted().values()) == ["granted", "granted", "revoked"]
        with market.database.session() as session:
            session.execute(delete(MarketSale))
        market.sweep()
        assert list(market.wanted().values()) == ["revoked"] * 3


class TestSnapshotChanged:
    def test_grown(self, market: Market) -> None:
        """
        What the app adds to its copy of a sale is unlocked.
        """
        market.sell(kept=kept("a"))
        market.change(kept=kept("a", "b"))
        assert market.plan() == {FindingKind.SNAPSHOT_CHANGED: 1}
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"{PURCHASE}/b": "granted"}

    def test_shrunk(self, market: Market) -> None:
        """
        What it takes out is locked, and comes back with the copy: nobody holds it.
        """
        market.sell(kept=kept("a", "b"))
        market.change(kept=kept("a"))
        assert market.plan() == {FindingKind.SNAPSHOT_CHANGED: 1}
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"{PURCHASE}/b": "revoked"}
        dropped = market.rows()[1]
        assert (dropped.reason, dropped.bundle_product_id) == ("manual", None)

        market.change(kept=kept("a", "b"))
        assert market.plan() == {FindingKind.SNAPSHOT_CHANGED: 1}
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"{PURCHASE}/b": "granted"}
        assert market.rows()[1].bundle_product_id == BUNDLE

    def test_product_changed(self, market: Market) -> None:
        """
        A bundle that is sold differently now changes nothing about what was sold.
        """
        market.sell()
        market.bundles = {BUNDLE: [entry("new")]}
        assert market.plan() == {}

    def test_copy_gone(self, market: Market) -> None:
        """
        Where the app has lost its copy, the ledger's rows are what was sold.
        """
        market.sell(kept=kept("a"))
        market.change(kept=None)
        assert market.plan() == {}


class TestUnreadable:
    @pytest.mark.parametrize("wrong", ["{", '[{"app": "nobody", "productId": "a"}]', "7"])
    def test_snapshot(self, market: Market, wrong: str) -> None:
        """
        A copy that can't be read takes nothing away; somebody is told, and the others are swept.
        """
        market.sell(kept=kept("a"))
        market.change(kept=wrong)
        market.buy("pur_2")
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/a": "granted", f"pur_2/{COURSE}": "granted"}
        [problem] = market.problems
        assert (problem.code, problem.ids) == ("not-swept", (PURCHASE,))
        assert BUNDLE in problem.message

    def test_product(self, market: Market) -> None:
        """
        So does a product: its sale is recorded by the sweep after the correction.
        """
        right, market.bundles = market.bundles, {BUNDLE: "{", "other": [entry("a", OTHER)]}
        market.buy()
        market.buy("pur_2", product_id="other")
        market.sweep()
        assert market.wanted() == {"pur_2/a": "granted"}
        assert [problem.ids for problem in market.problems] == [(PURCHASE,)]
        market.bundles |= right
        market.sweep()
        assert market.wanted() == {f"{PURCHASE}/{COURSE}": "granted", "pur_2/a": "granted"}

    def test_refund(self, market: Market) -> None:
        """
        A refund needs no copy, so it is recorded all the same.
        """
        market.sell(kept=kept("a"))
        market.change(kept="{", status="Refunded")
        market.sweep()
        assert (market.wanted(), market.problems) == ({f"{PURCHASE}/a": "revoked"}, [])


class TestPass:
    def test_second_changes_nothing(self, market: Market) -> None:
        """
        A second sweep finds nothing, and changes nothing.
        """
        market.buy()
        market.sell("pur_2")
        market.change("pur_2", status="Refunded")
        market.sweep()
        rows = [row.model_dump() for row in market.rows()]
        market.now += DAY
        assert market.plan() == {}
        market.sweep()
        assert [row.model_dump() for row in market.rows()] == rows

    def test_plan_writes_nothing(self, market: Market) -> None:
        """
        A dry run says what there is, and leaves it.
        """
        market.buy()
        market.sell("pur_2")
        market.change("pur_2", status="Refunded")
        rows = [row.model_dump() for row in market.rows()]
        plan = market.bridge.plan_sweep_sync()
        assert [(finding.kind, finding.purchase_id, finding.rows) for finding in plan.findings] == [
            (FindingKind.MISSED_SALE, PURCHASE, 0),
            (FindingKind.MISSED_REFUND, "pur_2", 1),
        ]
        assert [row.model_dump() for row in market.rows()] == rows

    @pytest.mark.parametrize(("batch", "stretch"), [(1, 99), (3, 99), (1, 1), (2, 3)])
    def test_batches(self, market: Market, monkeypatch: pytest.MonkeyPatch, batch: int, stretch: int) -> None:
        """
        However small the batches are, all is found: at the edges, too, and also where the database compares.
        """
        monkeypatch.setattr(screens, "STRETCH", stretch)
        for name in ("BATCH", "MOST_SEEN", "MOST_FOUND"):
            monkeypatch.setattr(sweeps, name, batch)
        for number in range(7):
            market.sell(f"pur_{number}")
        market.delete("pur_0")
        market.delete("pur_3")
        market.delete("pur_6")
        market.change("pur_4", status="Refunded")
        market.buy("pur_35")
        assert market.plan() == {
            FindingKind.DELETED: 3,
            FindingKind.MISSED_REFUND: 1,
            FindingKind.MISSED_SALE: 1,
        }
        market.sweep()
        granted = {name.partition("/")[0] for name, desired in market.wanted().items() if desired == "granted"}
        assert granted == {"pur_1", "pur_2", "pur_35", "pur_5"}

    def test_other_order_of_ids(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where the ledger has ids in another order than the app's table, all is found as well.
        """
        monkeypatch.setattr(sweeps, "BATCH", 2)
        monkeypatch.setattr(sweeps, "MOST_ROWS", 2)
        market.purchases = Backwards(market.purchases)
        for number in range(9):
            market.sell(f"pur_{number}")
        for number in (0, 4, 8):
            market.delete(f"pur_{number}")
        market.change("pur_5", status="Refunded")
        assert market.plan() == {FindingKind.DELETED: 3, FindingKind.MISSED_REFUND: 1}
        market.sweep()
        assert [row.purchase_id for row in market.rows() if row.desired == "revoked"] == [
            *("pur_0", "pur_4", "pur_5", "pur_8")
        ]

    def test_goes_on_after_a_crash(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A pass whose worker died goes on where it was, and nothing is done twice.
        """
        for name in ("BATCH", "MOST_SEEN"):
            monkeypatch.setattr(sweeps, name, 2)
        for number in range(6):
            market.buy(f"pur_{number}")
        bridge = market.bridge
        run_sync(sweeping.begin(bridge))
        run_sync(sweeping.go_on(bridge))
        assert len(market.rows()) == 2
        first = market.versions()
        # recorded, and dead before that was written down
        standing = run_sync(bridge.database.transact(sweeps.current, bridge.host, None, now=market.now))
        seen = run_sync(bridge.database.transact(sweeps.look, bridge.host, standing, now=market.now))
        run_sync(sweeping.record(bridge, [finding.purchase_id for finding in seen.findings]))
        second = market.versions()
        assert len(second) == 4
        market.now += timedelta(minutes=5)
        market.sweep()
        assert len(market.rows()) == 6
        assert {id_: version for id_, version in market.versions().items() if id_ in second} == second
        assert first.items() <= second.items()

    def test_two_workers(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Of two workers at the same place only one writes down how far it has come.
        """
        for name in ("BATCH", "MOST_SEEN"):
            monkeypatch.setattr(sweeps, name, 2)
        for number in range(5):
            market.sell(f"pur_{number}")
        market.change("pur_0", status="Refunded")
        bridge = market.bridge
        run_sync(sweeping.begin(bridge))
        standing = run_sync(bridge.database.transact(sweeps.current, bridge.host, None, now=market.now))
        seen = run_sync(bridge.database.transact(sweeps.look, bridge.host, standing, now=market.now))
        step = sweeps.Step(standing, seen)
        first = run_sync(bridge.database.transact(sweeps.advance, bridge.host, step, now=market.now))
        second = run_sync(bridge.database.transact(sweeps.advance, bridge.host, step, now=market.now))
        assert (first and first.rows_to_take, second) == (1, None)

    def test_id_that_is_too_long(self, market: Market) -> None:
        """
        A purchase that can't be written down keeps no other from it.
        """
        market.purchases = WithLongId(market.purchases)
        market.buy()
        market.buy("pur_3")
        market.sweep()
        # SQLite's text has any length
        fits = market.database.name == "sqlite"
        assert len(market.rows()) == 2 + fits
        assert [problem.code for problem in market.problems] == ["not-swept"] * (not fits)


class Backwards:
    """
    Purchases in the order in which no ledger has them.
    """

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def after(self, session: Any, cursor: str | None, limit: int) -> list[Any]:
        """
        The last ones first.
        """
        all_ = list(reversed(self._real.after(session, None, 1000)))
        return [purchase for purchase in all_ if cursor is None or purchase.id < cursor][:limit]


class WithLongId:
    """
    Purchases of which the last has an id that doesn't fit into the ledger.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self._id = "x" * 300

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get(self, session: Any, purchase_id: str, *, lock: bool = False) -> Any:
        """
        The one with the long id is like the first.
        """
        if purchase_id != self._id:
            return self._real.get(session, purchase_id, lock=lock)
        return self._long(self._real.get(session, PURCHASE, lock=lock))

    def after(self, session: Any, cursor: str | None, limit: int) -> list[Any]:
        """
        It comes last.
        """
        if cursor == self._id:
            return []
        found = list(self._real.after(session, cursor, limit))
        if found:
            return found
        return [self._long(self._real.get(session, PURCHASE))]

    def _long(self, purchase: Any) -> Any:
        from dataclasses import replace

        return replace(purchase, id=self._id)
