"""
What the client does when a peer asks for a pause.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from crossapp_core import Message, PeerUnavailableError
from tests.core.sending import (
    GRANTER,
    NOW,
    OTHER,
    Caller,
    EventAPI,
    Time,
    client_of,
    sale,
    sale_id,
)


def busy(seconds: object, **headers: str) -> httpx.Response:
    """
    An answer that asks for a pause.
    """
    return httpx.Response(429, headers=httpx.Headers({"retry-after": str(seconds), **headers}, encoding="utf-8"))


class TestRetryAfter:
    async def test_within_the_deadline(self, caller: Caller) -> None:
        """
        A pause that the peer asks for is made in full, and then somewhat more.
        """
        time = Time()
        api = EventAPI(busy(7), httpx.Response(503, headers={"retry-after": "3"}))

        await caller.send(client_of(api, time), sale())

        assert time.pauses == [7.25, 3.5]

    async def test_beyond_the_deadline(self, caller: Caller) -> None:
        """
        A longer one is left to whoever can wait so long: the error says how long.
        """
        time = Time()
        api = EventAPI(busy(120))

        with pytest.raises(PeerUnavailableError, match="it answered 429") as caught:
            await caller.send(client_of(api, time), sale())

        assert (caught.value.retry_after, time.pauses, len(api.requests)) == (timedelta(seconds=120), [], 1)

    async def test_holds_for_all_calls(self, caller: Caller) -> None:
        """
        Until then nothing else is sent to that peer either, but to the others.
        """
        time = Time()
        api = EventAPI(busy(120))
        client = client_of(api, time)
        with pytest.raises(PeerUnavailableError):
            await caller.send(client, sale(1))

        time.now += 70
        with pytest.raises(PeerUnavailableError, match="left alone") as caught:
            await caller.send(client, sale(2))
        await caller.deliver(client, [Message(OTHER, sale(3))])
        time.now += 40
        await caller.send(client, sale(4))

        assert caught.value.retry_after == timedelta(seconds=50)
        assert api.ids == [[sale_id(1)], [sale_id(3)], [sale_id(4)]]
        assert time.now >= 1000 + 120

    @pytest.mark.parametrize("date", [None, NOW + timedelta(hours=5)], ids=["by our clock", "by its clock"])
    async def test_date(self, date: datetime | None, caller: Caller) -> None:
        """
        It may be a date, which counts by the peer's own clock if it tells it.
        """
        headers = {} if date is None else {"date": format_datetime(date, usegmt=True)}
        until = format_datetime((date or NOW) + timedelta(seconds=90), usegmt=True)

        with pytest.raises(PeerUnavailableError) as caught:
            await caller.send(client_of(EventAPI(busy(until, **headers))), sale())

        assert caught.value.retry_after == timedelta(seconds=90)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("0", 0), ("99999999999999999999999999", 86_400), (format_datetime(NOW - timedelta(days=1), usegmt=True), 0)],
        ids=["none", "endless", "past"],
    )
    async def test_odd_but_clear(self, value: str, seconds: int, caller: Caller) -> None:
        """
        A wait in the past is none, and one of more than a day is taken for a mistake.
        """
        api = EventAPI(*[busy(value)] * 50)

        with pytest.raises(PeerUnavailableError) as caught:
            await caller.send(client_of(api), sale())

        assert caught.value.retry_after == timedelta(seconds=seconds)

    async def test_date_without_zone(self, caller: Caller) -> None:
        """
        A date without a zone is one in UTC.
        """
        with pytest.raises(PeerUnavailableError) as caught:
            await caller.send(client_of(EventAPI(busy("Wed, 04 Mar 2026 05:07:37"))), sale())

        assert caught.value.retry_after == timedelta(seconds=90)

    @limits(max_examples=60, deadline=None)
    @example("Mon, 1 Jan 99999999999999999999 00:00:00 GMT")
    @example("Mon, 1 Jan 2020 00:00:00 +9999")
    @example("١٢")
    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40) | st.text("0123456789 :GMT,-Jan"))
    def test_garbage(self, value: str) -> None:
        """
        Whatever stands there, the event is sent in the end.
        """
        time = Time()
        api = EventAPI(busy(value))

        assert client_of(api, time, deadline=100_000).send_cross_app_event_sync(GRANTER, sale()) is not None

        assert len(api.requests) == 2
        assert time.pauses[0] <= timedelta(days=1).total_seconds() + 0.25
