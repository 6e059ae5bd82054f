"""
Time that stands still until somebody moves it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """
    A clock to inject: calling it gives the time, in UTC.
    """

    def __init__(self, now: datetime = _START) -> None:
        self._now = _aware(now)

    def __call__(self) -> datetime:
        """
        The time.
        """
        return self._now

    def __repr__(self) -> str:
        return f"Clock({self._now.isoformat()})"

    def advance(self, by: timedelta) -> None:
        """
        Move the clock forward; going back takes `set`.

        Raises:
            ValueError: *by* is negative.
        """
        if by < timedelta(0):
            msg = f"a clock advances forward, got {by}: use set() to go back"
            raise ValueError(msg)
        self._now += by

    def set(self, now: datetime) -> None:
        """
        Put the clock at *now*, also into the past.

        Raises:
            ValueError: *now* has no time zone.
        """
        self._now = _aware(now)


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        msg = f"a clock needs a time with a time zone, got {moment!r}"
        raise ValueError(msg)
    return moment.astimezone(UTC)
