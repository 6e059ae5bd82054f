"""
When to send again what wasn't acknowledged.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(hours=6)


def next_attempt(retry_count: int, *, now: datetime) -> datetime:
    """
    When to send again: after 1 minute, doubling to 6 hours.
    """
    return now + min(_FIRST_RETRY * (1 << min(retry_count, 16)), _LAST_RETRY)
