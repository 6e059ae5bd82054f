from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crossapp_core.models import CrossAppCursor
from crossapp_core.operations import outages
from crossapp_core.operations.outages import Failure, Outage
from tests.databases import Database
from tests.hosts import NOW

SCHOOL, OTHER = "ai-hero", "epic-web"
MINUTE = timedelta(minutes=1)
REFUSED = Failure(SCHOOL, "peer-unavailable", "it answered 503")


def do(database: Database, operation: Any, fact: object, after: timedelta = timedelta(0)) -> Any:
    """
    Do one operation in one transaction.
    """
    with database.session() as session:
        return operation(session, CrossAppCursor, fact, now=NOW + after)


class TestBegin:
    def test_first(self, database: Database) -> None:
        """
        A peer that took nothing is asked again after a minute, and others aren't concerned.
        """
        do(database, outages.begin, REFUSED)

        known = do(database, outages.known, [SCHOOL, OTHER])
        assert known == {SCHOOL: Outage(SCHOOL, NOW, 1, NOW + MINUTE, "peer-unavailable", "it answered 503")}

    def test_backoff(self, database: Database) -> None:
        """
        The pauses double, up to an hour, each up to a fifth shorter; the outage is as old as its first failure.
        """
        pauses, when = [], timedelta(0)
        for number in range(1, 11):
            outage = do(database, outages.begin, REFUSED, when)
            assert (outage.failures, outage.since) == (number, NOW)
            pauses.append((outage.ask_at - NOW - when) / MINUTE)
            when = outage.ask_at - NOW

        whole = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
        assert all(0.8 * most <= pause <= most for pause, most in zip(pauses, whole, strict=True))

    def test_asked_to_wait(self, database: Database) -> None:
        """
        Nor is it asked before the time that it has asked for.
        """
        busy = Failure(SCHOOL, "peer-unavailable", "it answered 429", timedelta(minutes=120))

        assert do(database, outages.begin, busy).ask_at == NOW + timedelta(minutes=120)


class TestAsk:
    def test_one_of_many(self, database: Database) -> None:
        """
        Once it is time one worker asks, and no other one until the next time.
        """
        do(database, outages.begin, REFUSED)

        assert do(database, outages.ask, SCHOOL, MINUTE - timedelta(seconds=1)) is None
        assert do(database, outages.ask, SCHOOL, MINUTE) is not None
        assert do(database, outages.ask, SCHOOL, MINUTE + timedelta(seconds=30)) is None
        assert do(database, outages.ask, SCHOOL, 4 * MINUTE) is not None

    def test_put_back(self, database: Database) -> None:
        """
        Whoever had nothing to ask with leaves it to the next.
        """
        do(database, outages.begin, REFUSED)
        outage = do(database, outages.ask, SCHOOL, MINUTE)
        do(database, outages.put_back, outage, MINUTE)

        assert do(database, outages.ask, SCHOOL, MINUTE) == outage

    @pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=400)])
    def test_clock_that_was_ahead(self, database: Database, back: timedelta) -> None:
        """
        A clock that was ahead puts it off for no longer than the longest pause or two.
        """
        do(database, outages.begin, REFUSED, back)
        asked = [at for at in range(180) if do(database, outages.ask, SCHOOL, at * MINUTE) is not None]

        assert asked
        assert asked[0] <= 121

    def test_nothing_known(self, database: Database) -> None:
        """
        Where there is no outage, there is nothing to find out.
        """
        assert do(database, outages.ask, SCHOOL) is None


class TestEnd:
    def test_is_back(self, database: Database) -> None:
        """
        A peer that takes events again is as any other, also when that is said again.
        """
        do(database, outages.begin, REFUSED)

        assert do(database, outages.end, SCHOOL) is True
        assert do(database, outages.end, SCHOOL) is False
        assert do(database, outages.known, [SCHOOL]) == {}
        assert do(database, outages.begin, REFUSED, MINUTE).failures == 1
