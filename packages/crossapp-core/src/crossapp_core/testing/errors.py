"""
What a test did that LocalInngest can't go along with.

    LocalInngestError
    ├── EventRefusedError (ValueError)
    ├── NeverSettlesError
    ├── NobodyListensError
    ├── NotRegisteredError
    ├── NotServedError
    ├── PeerRejectedError
    └── UnsupportedError (NotImplementedError)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossapp_core.testing.peers.base import Rejection


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


class NotServedError(LocalInngestError):
    """
    An app doesn't serve what its bridge has made.
    """

    def __init__(self, app_id: str, problems: Sequence[str]) -> None:
        super().__init__("\n  ".join([f"{app_id} doesn't serve its bridge as it should:", *problems]))


class NobodyListensError(LocalInngestError):
    """
    An app was to emit an event that starts none of its functions.
    """

    def __init__(self, app_id: str, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no function of {app_id} listens to {name!r}, only to {', '.join(known)}: "
            "is the trigger's name right in the bridge, and in the test?"
        )


class PeerRejectedError(LocalInngestError):
    """
    Counterparts have refused what the tested app sent: as a real peer would, without telling the app.
    """

    def __init__(self, rejected: Sequence[Rejection]) -> None:
        self.rejected = tuple(rejected)
        super().__init__("\n".join(map(str, rejected)))
