from datetime import UTC, datetime, timedelta, timezone

import pytest

from crossapp_core.testing import Clock


class TestClock:
    def test_stands_still(self) -> None:
        """
        Without being moved, the clock shows the time it was made with.
        """
        clock = Clock(datetime(2027, 3, 1, 12, tzinfo=UTC))

        assert clock() == clock() == datetime(2027, 3, 1, 12, tzinfo=UTC)

    def test_starts_with_2026(self) -> None:
        """
        A clock made without a time starts at the same moment in each test.
        """
        assert Clock()() == datetime(2026, 1, 1, tzinfo=UTC)

    def test_advances(self) -> None:
        """
        Advancing adds to the time.
        """
        clock = Clock()

        clock.advance(timedelta(hours=25))

        assert clock() == datetime(2026, 1, 2, 1, tzinfo=UTC)

    def test_goes_back_only_when_set(self) -> None:
        """
        Advancing by a negative time is refused, setting an earlier time isn't.
        """
        clock = Clock()

        with pytest.raises(ValueError, match=r"use set\(\) to go back"):
            clock.advance(timedelta(seconds=-1))
        clock.set(datetime(2025, 12, 31, tzinfo=UTC))

        assert clock() == datetime(2025, 12, 31, tzinfo=UTC)

    def test_gives_utc(self) -> None:
        """
        A time of another zone is shown in UTC.
        """
        clock = Clock(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))

        assert clock().utcoffset() == timedelta(0)
        assert clock() == datetime(2026, 1, 1, tzinfo=UTC)

    def test_refuses_naive_times(self) -> None:
        """
        A time without a zone is refused, at construction and later.
        """
        naive = datetime(2026, 1, 1)  # noqa: DTZ001

        with pytest.raises(ValueError, match="time zone"):
            Clock(naive)
        with pytest.raises(ValueError, match="time zone"):
            Clock().set(naive)
