from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest

from crossapp_core import CrossAppClient, Message
from crossapp_core.database import Database as Engine
from crossapp_core.dispatch import Dispatch
from crossapp_core.models import CrossAppCursor
from crossapp_core.outcomes import Sent
from crossapp_core.ports import Problem
from crossapp_core.testing import Clock
from tests.core.sending import GRANTER, KEY, OTHER, accepted, sale, settings
from tests.databases import Database, open_database

DAYS = timedelta(days=1)


class Peers:
    """
    Both peers' event APIs: each takes everything, or answers what it was told to.
    """

    def __init__(self) -> None:
        self.broken: dict[str, int] = {}
        self.asked = {"inngest.example": 0, "other.example": 0}
        self.headers: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """
        Answer a request.
        """
        self.asked[request.url.host] += 1
        status = self.broken.get(request.url.host)
        return accepted(request) if status is None else httpx.Response(status, headers=self.headers)


class Shop:
    """
    A shop that sends, on a clock that pauses move.
    """

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.peers = Peers()
        self.problems: list[Problem] = []
        client = CrossAppClient(
            settings(),
            clock=self.clock,
            monotonic=lambda: self.clock().timestamp(),
            sleep=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
            transport=httpx.MockTransport(self.peers),
        )
        engine = Engine(database.engine)
        self.dispatch = Dispatch(client, engine, CrossAppCursor, clock=self.clock, report=self._report)

    async def send(self, *targets: str) -> list[Sent]:
        """
        Send a sale to each.
        """
        return await self.dispatch.send([Message(target, sale(place)) for place, target in enumerate(targets)])

    async def _report(self, problem: Problem) -> None:
        self.problems.append(problem)


@pytest.fixture
async def shop(tmp_path: object) -> AsyncIterator[Shop]:
    """
    A shop whose peers are well.
    """
    with open_database("sqlite", tmp_path) as database:  # type: ignore[arg-type]
        yield Shop(database)


class TestOutage:
    async def test_of_eight_days(self, shop: Shop) -> None:
        """
        A peer that is down is asked again once in each pause, however often there is something to send; the others
        get theirs meanwhile.
        """
        await shop.send(GRANTER)
        shop.peers.broken["inngest.example"] = 503
        await shop.send(GRANTER)
        shop.peers.asked.update(dict.fromkeys(shop.peers.asked, 0))
        ends = shop.clock() + 8 * DAYS
        minutes = 0
        while shop.clock() < ends:
            shop.clock.advance(timedelta(minutes=20))
            minutes += 1
            to_granter, to_other = await shop.send(GRANTER, OTHER)
            assert (to_granter.accepted_id is None, to_other.accepted_id is None) == (True, False)

        assert 8 * 24 <= shop.peers.asked["inngest.example"] <= 8 * 24 * 1.3 + 6
        assert shop.peers.asked["other.example"] == minutes

    async def test_end(self, shop: Shop) -> None:
        """
        Once it takes events again, it gets all at once.
        """
        shop.peers.broken["inngest.example"] = 503
        began = shop.clock()
        await shop.send(GRANTER)
        shop.peers.broken.clear()
        [left_alone] = await shop.send(GRANTER)
        shop.clock.advance(timedelta(minutes=1))
        [asked] = await shop.send(GRANTER)
        [again] = await shop.send(GRANTER)

        assert (left_alone.asked, left_alone.peer_is_down, asked.error, again.error) == (False, True, None, None)
        assert [(each.code, each.peer, each.since is not None) for each in shop.problems] == [
            ("peer-unavailable", GRANTER, True)
        ]
        assert shop.problems[0].since is not None
        assert began <= shop.problems[0].since <= began + timedelta(seconds=30)

    async def test_wrong_key(self, shop: Shop) -> None:
        """
        A refused key is an outage too: it is told which, without the key.
        """
        shop.peers.broken["inngest.example"] = 401
        for _ in range(5):
            await shop.send(GRANTER)

        assert shop.peers.asked["inngest.example"] == 1
        assert [problem.code for problem in shop.problems] == ["peer-key-refused"]
        assert KEY not in repr(shop.problems)

    async def test_asks_for_a_pause(self, shop: Shop) -> None:
        """
        A peer that asks for two hours gets them.
        """
        shop.peers.broken["inngest.example"] = 429
        shop.peers.headers = {"retry-after": "7200"}
        [first] = await shop.send(GRANTER)
        shop.peers.broken.clear()
        shop.clock.advance(timedelta(minutes=119))
        [early] = await shop.send(GRANTER)
        shop.clock.advance(timedelta(minutes=1))
        [late] = await shop.send(GRANTER)

        assert first.error is not None
        assert (early.asked, late.error) == (False, None)
        assert early.error is not None
        assert early.error.retry_after is not None
        assert timedelta(0) < early.error.retry_after <= timedelta(minutes=1)

    async def test_one_event_refused(self, shop: Shop) -> None:
        """
        A peer that refuses an event for what it is isn't down.
        """
        shop.peers.broken["inngest.example"] = 400
        [refused] = await shop.send(GRANTER)
        shop.peers.broken.clear()
        [taken] = await shop.send(GRANTER)

        assert refused.error is not None
        assert (refused.error.code, refused.peer_is_down, taken.error, shop.problems) == (
            "event-refused",
            False,
            None,
            [],
        )

    async def test_single_request(self, shop: Shop) -> None:
        """
        To find out whether it is back takes one request, not the many that are made of a peer that was well.
        """
        shop.peers.broken["inngest.example"] = 503
        await shop.send(GRANTER)
        many, shop.peers.asked["inngest.example"] = shop.peers.asked["inngest.example"], 0
        shop.clock.advance(timedelta(minutes=1))
        moment: datetime = shop.clock()
        await shop.send(GRANTER)

        assert (shop.peers.asked["inngest.example"], shop.clock()) == (1, moment)
        assert many > 1
