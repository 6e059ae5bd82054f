from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_core.flavours import run_sync
from crossapp_tt.functions import sweeping
from crossapp_tt.operations import guards, standing
from crossapp_tt.ports import Guard
from tests.databases import Database
from tests.hosts import NOW
from tests.tt.market import Market

FEW = Guard(most_revocations=2, share=0.25)


@pytest.fixture
def market(database: Database) -> Market:
    """
    A market that takes three refunds of ten sales for a mistake, on each of the databases in turn.
    """
    market = Market(database, guard=FEW)
    for number in range(10):
        market.sell(f"pur_{number}")
    return market


def refund(market: Market, *numbers: int) -> None:
    """
    Refund sales behind everybody's back.
    """
    for number in numbers:
        market.change(f"pur_{number}", status="Refunded")


def revoked(market: Market) -> list[int]:
    """
    The sales that are revoked.
    """
    return [int(row.purchase_id[-1]) for row in market.rows() if row.desired == "revoked"]


class TestJudge:
    def test_few(self, market: Market) -> None:
        """
        A few are taken away.
        """
        refund(market, 1, 2)
        market.sweep()
        assert (revoked(market), market.problems) == ([1, 2], [])

    def test_too_many(self, market: Market) -> None:
        """
        Of too many none is taken away; somebody is told which and how many.
        """
        refund(market, 1, 2)
        market.delete("pur_3")
        market.buy("pur_new")
        market.sweep()
        assert revoked(market) == []
        assert len(market.rows()) == 11
        [problem] = market.problems
        ids = ("pur_1", "pur_2", "pur_3")
        assert (problem.code, problem.ids, problem.since) == ("mass-revocation", ids, market.now)
        assert "3 of 11 granted rows" in problem.message

    def test_a_small_share(self, market: Market) -> None:
        """
        What is a small share of all may be more.
        """
        market.guard = Guard(most_revocations=2, share=0.3)
        refund(market, 1, 2, 3)
        market.sweep()
        assert revoked(market) == [1, 2, 3]

    def test_within_an_hour(self, market: Market) -> None:
        """
        What was taken within the last hour counts, what was taken before doesn't.
        """
        refund(market, 1, 2)
        market.sweep()
        refund(market, 3)
        market.now += timedelta(minutes=59)
        market.sweep()
        assert (revoked(market), len(market.problems)) == ([1, 2], 1)
        market.now += timedelta(minutes=1)
        market.sweep()
        assert (revoked(market), len(market.problems)) == ([1, 2, 3], 1)

    def test_told_again(self, market: Market) -> None:
        """
        While nobody does anything, somebody is told after each sweep, and since when.
        """
        refund(market, 1, 2, 3)
        market.sweep()
        market.now += timedelta(hours=1)
        market.sweep()
        assert [problem.since for problem in market.problems] == [NOW, NOW]
        assert revoked(market) == []

    def test_corrected(self, market: Market) -> None:
        """
        When somebody has corrected the mistake, what is left is taken away, and nothing is held any more.
        """
        refund(market, 1, 2, 3)
        market.sweep()
        market.change("pur_1", status="Valid")
        market.change("pur_2", status="Valid")
        market.sweep()
        assert revoked(market) == [3]
        refund(market, 1)
        assert (market.bridge.release_sync(), revoked(market)) == (0, [3])

    def test_single_events_pass(self, market: Market) -> None:
        """
        Refunds that events tell of always pass.
        """
        refund(market, *range(9))
        market.sweep()
        for number in range(9):
            market.hear_of_refund(f"pur_{number}")
        assert revoked(market) == list(range(9))

    def test_default(self) -> None:
        """
        More than 20, and more than one in a hundred.
        """
        assert Guard() == Guard(most_revocations=20, share=0.01)

    def test_more_than_can_be_kept(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What is too much to be remembered counts, and is found by the next sweep.
        """
        monkeypatch.setattr(standing, "MOST_TAKINGS", 2)
        refund(market, 1, 2, 3)
        market.sweep()
        assert (revoked(market), [problem.code for problem in market.problems]) == ([], ["mass-revocation"])
        assert market.bridge.release_sync() == 2
        market.sweep()
        assert revoked(market) == [1, 2, 3]

    def test_another_worker_has_judged(self, market: Market) -> None:
        """
        Of two workers only one judges.
        """
        refund(market, 1)
        bridge = market.bridge
        run_sync(sweeping.begin(bridge))
        while (at := run_sync(sweeping.current(bridge))).phase != standing.Phase.JUDGING:
            run_sync(sweeping.go_on(bridge))
        first = run_sync(bridge.database.transact(guards.judge, bridge.host, at, now=market.now))
        second = run_sync(bridge.database.transact(guards.judge, bridge.host, at, now=market.now))
        assert (first.is_over, second.is_over) == (False, False)
        while not run_sync(sweeping.go_on(bridge)):
            pass
        assert revoked(market) == [1]

    def test_decided_again(self, market: Market) -> None:
        """
        Whoever owns a purchase again when it comes to that keeps it.
        """
        refund(market, 1, 2)
        bridge = market.bridge
        run_sync(sweeping.begin(bridge))
        while run_sync(sweeping.current(bridge)).phase != standing.Phase.TAKING:
            run_sync(sweeping.go_on(bridge))
        market.change("pur_1", status="Valid")
        while not run_sync(sweeping.go_on(bridge)):
            pass
        assert revoked(market) == [2]


class TestRelease:
    def test_does_what_was_held(self, market: Market) -> None:
        """
        Released is what was held and nothing else, and once.
        """
        refund(market, 1, 2, 3)
        market.sweep()
        refund(market, 4)
        assert market.bridge.release_sync() == 3
        assert revoked(market) == [1, 2, 3]
        assert market.rows()[1].next_attempt_at == market.now
        assert market.bridge.release_sync() == 0

    def test_nothing_held(self, market: Market) -> None:
        """
        Where nothing is held, nothing is done.
        """
        assert market.bridge.release_sync() == 0

    def test_owned_again(self, market: Market) -> None:
        """
        A purchase that is owned again by now keeps its access.
        """
        refund(market, 1, 2, 3)
        market.sweep()
        market.change("pur_2", status="Valid")
        market.bridge.release_sync()
        assert revoked(market) == [1, 3]

    def test_goes_on_after_a_crash(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What a dead worker has left of it is done by calling it again.
        """
        monkeypatch.setattr(sweeping, "GROUP", 2)
        refund(market, 1, 2, 3)
        market.sweep()
        bridge = market.bridge
        run_sync(sweeping.record(bridge, ["pur_1", "pur_2"]))
        versions = market.versions()
        assert bridge.release_sync() == 3
        assert revoked(market) == [1, 2, 3]
        assert sum(version != versions[id_] for id_, version in market.versions().items()) == 1

    def test_counts_no_more(self, market: Market) -> None:
        """
        What was released on purpose doesn't count as taken by the next sweep.
        """
        refund(market, 1, 2, 3)
        market.sweep()
        market.bridge.release_sync()
        refund(market, 4)
        market.sweep()
        assert revoked(market) == [1, 2, 3, 4]
