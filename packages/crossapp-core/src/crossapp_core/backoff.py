"""
When to try again what wasn't acknowledged.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

FIRST = timedelta(minutes=1)
LAST = timedelta(hours=6)

_JITTER = 0.2


def next_attempt(retry_count: int, *, now: datetime, key: str = "") -> datetime:
    """
    When to try again: after 1 minute, doubling to 6 hours, each repetition up to a fifth earlier.

    Args:
        retry_count: How often it was tried again already.
        now: The time.
        key: What is tried; by it repetitions are spread, always in the same way.
    """
    return now + pause(retry_count, key=key)


def pause(retry_count: int, *, key: str = "", longest: timedelta = LAST) -> timedelta:
    """
    How long to wait before the next attempt.
    """
    whole = min(FIRST * (1 << min(retry_count, 16)), longest)
    early = crc32(f"{key}:{retry_count}".encode()) / 2**32 * _JITTER if retry_count else 0
    return whole * (1 - early)
