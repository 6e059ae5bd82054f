from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from typing import Any, TypeVar

import pytest
from sqlmodel import Session

from crossapp_ah.operations import entitlements
from crossapp_ah.ports import Granter
from crossapp_core import database as core
from crossapp_core.events import BundlePurchased, EntitlementGranted
from crossapp_core.flavours import run_sync
from crossapp_core.outcomes import Outcome
from crossapp_core.runtime import Operation
from tests.ah.school import ADA, ID, School, link, refund, said, sale
from tests.hosts import NOW

T = TypeVar("T")

ROUNDS = 30


class Workers:
    """
    Threads that do operations as the functions do: each a transaction of its own, tried again when one is in the way.
    """

    def __init__(self, school: School, pool: ThreadPoolExecutor) -> None:
        self._school = school
        self._pool = pool
        self._database = core.Database(school.database.engine)

    def do(self, operation: Operation[Granter, Any], request: Any) -> Outcome:
        """
        Do an operation here and now.
        """
        return run_sync(self._database.transact(operation, self._school.granter, request, now=NOW))

    def write(self, row: object) -> None:
        """
        Write a row here and now.
        """

        def add(session: Session) -> None:
            session.add(row)

        run_sync(self._database.transact(add))

    def start(self, work: Callable[[], T]) -> Future[T]:
        """
        Do *work* in another thread; it has begun when this returns.
        """
        begun = Event()

        def run() -> T:
            begun.set()
            return work()

        future = self._pool.submit(run)
        assert begun.wait(10)
        return future

    def race(self, *works: Callable[[], T]) -> list[T]:
        """
        Do all *works* at once.
        """
        barrier = Barrier(len(works))

        def run(work: Callable[[], T]) -> T:
            barrier.wait(10)
            return work()

        return [future.result(20) for future in [self._pool.submit(run, work) for work in works]]


@pytest.fixture
def workers(school: School) -> Iterator[Workers]:
    """
    Workers on the school's database.
    """
    with ThreadPoolExecutor(4) as pool:
        yield Workers(school, pool)


class TestSameGrant:
    def test_second_waits_for_first(self, school: School, workers: Workers) -> None:
        """
        A worker that comes while another's grant isn't committed waits, then finds it and answers the same.
        """
        school.add(link())
        with school.database.session() as session:
            first = entitlements.grant(session, school.granter, sale(), now=NOW)
            second = workers.start(lambda: workers.do(entitlements.grant, sale()))
        outcome = second.result(10)

        assert (first.changed, outcome.changed) == (True, False)
        assert (outcome.ids, outcome.messages) == (first.ids, first.messages)
        assert school.row.user_id == ADA

    def test_first_gives_up(self, school: School, workers: Workers) -> None:
        """
        If the other's grant is rolled back, the one that waited does it.
        """
        with school.database.session() as session:
            entitlements.grant(session, school.granter, sale(), now=NOW)
            second = workers.start(lambda: workers.do(entitlements.grant, sale()))
            session.rollback()

        assert second.result(10).changed
        assert school.row.id == ID

    def test_rounds(self, school: School, workers: Workers) -> None:
        """
        Four workers that grant the same source at once leave one row; one of them made it, all answer the same.
        """
        school.add(link())
        for number in range(ROUNDS):
            request = sale(purchase_id=f"pur_{number}")
            outcomes = workers.race(*[partial(workers.do, entitlements.grant, request)] * 4)

            assert sorted(outcome.changed for outcome in outcomes) == [False, False, False, True]
            assert len({(outcome.ids, outcome.messages) for outcome in outcomes}) == 1
        assert [(row.status, row.user_id) for row in school.rows] == [("active", ADA)] * ROUNDS

    def test_many_sources(self, school: School, workers: Workers) -> None:
        """
        Workers with different sources don't lose each other's rows, nor give up.
        """
        requests = [sale(purchase_id=f"pur_{number}") for number in range(4 * ROUNDS)]
        for number in range(0, len(requests), 4):
            works = [partial(workers.do, entitlements.grant, request) for request in requests[number : number + 4]]
            assert all(outcome.changed for outcome in workers.race(*works))

        assert len(school.rows) == 4 * ROUNDS


class TestGrantAndRevoke:
    def test_revoke_waits_for_grant(self, school: School, workers: Workers) -> None:
        """
        A refund that comes while its sale isn't committed waits and takes it back.
        """
        school.add(link())
        with school.database.session() as session:
            entitlements.grant(session, school.granter, sale(1), now=NOW)
            second = workers.start(lambda: workers.do(entitlements.revoke, refund(2)))

        assert second.result(10).changed
        assert (school.row.status, school.row.source_version) == ("revoked", 2)

    @pytest.mark.parametrize("known", [False, True])
    def test_grant_waits_for_revoke(self, school: School, workers: Workers, known: bool) -> None:
        """
        A sale that comes while its refund isn't committed waits and finds itself stale, be the source new or not.
        """
        school.add(link())
        if known:
            school.grant(sale(1))
        with school.database.session() as session:
            entitlements.revoke(session, school.granter, refund(3), now=NOW)
            session.flush()
            second = workers.start(partial(workers.do, entitlements.grant, sale(2)))

        assert not second.result(10).changed
        assert (school.row.status, school.row.source_version) == ("revoked", 3)

    @pytest.mark.parametrize(("sold", "refunded", "status"), [(2, 3, "revoked"), (3, 2, "active")])
    def test_rounds(self, school: School, workers: Workers, sold: int, refunded: int, status: str) -> None:
        """
        Of a sale and a refund at once the higher version decides, and the last answer says so.
        """
        school.add(link())
        for number in range(ROUNDS):
            purchase_id = f"pur_{number}"
            if number % 2:
                school.grant(sale(1, purchase_id=purchase_id))
            outcomes = workers.race(
                partial(workers.do, entitlements.grant, sale(sold, purchase_id=purchase_id)),
                partial(workers.do, entitlements.revoke, refund(refunded, purchase_id=purchase_id)),
            )
            newest = outcomes[0 if sold > refunded else 1]
            assert newest.changed
            assert said(newest).model_dump()["version"] == max(sold, refunded)
        expected = [(status, max(sold, refunded))] * ROUNDS
        assert [(row.status, row.source_version) for row in school.rows] == expected


class TestGrantAndLink:
    """
    A sale, and the link of its buyer, at once.
    """

    def test_link_while_granting(self, school: School, workers: Workers) -> None:
        """
        A grant that didn't see the link that was made meanwhile is made good by looking again.
        """
        with school.database.session() as session:
            outcome = entitlements.grant(session, school.granter, sale(), now=NOW)
            linking = workers.start(lambda: workers.write(link()))
            if school.database.name == "postgresql":  # the others make the link wait until the grant is committed
                linking.result(10)
        linking.result(10)
        assert (is_active(outcome), school.row.status) == (False, "pending")

        assert is_active(workers.do(entitlements.look_again, sale()))
        assert (school.row.status, school.row.user_id) == ("active", ADA)

    def test_grant_while_linking(self, school: School, workers: Workers) -> None:
        """
        A grant that comes while the link isn't committed waits for it, or is made good by looking again.
        """
        with school.database.session() as session:
            session.add(link())
            session.flush()
            granting = workers.start(lambda: workers.do(entitlements.grant, sale()))
            if school.database.name == "postgresql":
                assert not is_active(granting.result(10))
        granting.result(10)

        assert is_active(workers.do(entitlements.look_again, sale()))
        assert (school.row.status, school.row.user_id) == ("active", ADA)

    def test_unlink_while_granting(self, school: School, workers: Workers) -> None:
        """
        A link that a grant goes by stays until the grant is committed.
        """
        school.add(link())
        with school.database.session() as session:
            outcome = entitlements.grant(session, school.granter, sale(), now=NOW)
            unlinking = workers.start(school.unlink)
            with pytest.raises(TimeoutError):
                unlinking.result(0.2)
        unlinking.result(10)

        assert is_active(outcome)
        assert school.row.user_id == ADA

    def test_rounds(self, school: School, workers: Workers) -> None:
        """
        Whichever comes first, if both look for the other after their own commit, the sale is open in the end.
        """
        for number in range(ROUNDS):
            request = sale(purchase_id=f"pur_{number}", buyer_user_id=f"buyer-{number}")
            row = link(f"user-{number}", f"buyer-{number}")
            race_once(workers, request, row)
        assert [row.status for row in school.rows] == ["active"] * ROUNDS
        assert {row.user_id for row in school.rows} == {f"user-{number}" for number in range(ROUNDS)}


def race_once(workers: Workers, request: BundlePurchased, row: object) -> None:
    """
    Grant and link at once, both looking again afterwards as the function and a claim do.
    """

    def grant() -> None:
        workers.do(entitlements.grant, request)
        workers.do(entitlements.look_again, request)

    def make_link() -> None:
        workers.write(row)
        workers.do(entitlements.look_again, request)

    workers.race(grant, make_link)


def is_active(outcome: Outcome) -> bool:
    """
    Whether the answer is that it is open.
    """
    event = said(outcome)
    assert isinstance(event, EntitlementGranted)
    return event.status == "active"
