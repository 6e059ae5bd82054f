"""
What a test did that LocalInngest can't go along with.

    LocalInngestError
    ├── EventRefusedError (ValueError)
    ├── NeverSettlesError
    ├── NotRegisteredError
    └── UnsupportedError (NotImplementedError)
"""

from __future__ import annotations

from collections import Counter


class LocalInngestError(Exception):
    """
    A mistake in how a test uses LocalInngest.
    """


class EventRefusedError(LocalInngestError, ValueError):
    """
    The event is none that an Inngest server accepts.
    """


class NotRegisteredError(LocalInngestError):
    """
    An app was asked to register its functions and didn't.
    """

    def __init__(self, environment: str, url: str, reason: str) -> None:
        super().__init__(f"PUT {url} registered no function at the environment {environment!r}: {reason}")


class UnsupportedError(LocalInngestError, NotImplementedError):
    """
    A function uses a feature of Inngest that LocalInngest doesn't stand in for.
    """

    def __init__(self, function: str, feature: str) -> None:
        super().__init__(f"LocalInngest can't run {function}: {feature} is not supported")


class NeverSettlesError(LocalInngestError):
    """
    The functions keep each other busy without end.
    """

    def __init__(self, calls: Counter[str]) -> None:
        busiest = ", ".join(f"{function} ({count} calls)" for function, count in calls.most_common(5))
        super().__init__(f"still not settled after {calls.total() - 1} calls: {busiest}")
