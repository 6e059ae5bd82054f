"""
Inngest inside one test process: real handlers and real HTTP, on a clock that the test moves.
"""

from crossapp_core.testing.clock import Clock
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.errors import (
    EventRefusedError,
    LocalInngestError,
    NeverSettlesError,
    NotRegisteredError,
    UnsupportedError,
)
from crossapp_core.testing.local_inngest import LocalInngest
from crossapp_core.testing.log import Log, LostAnswer, ReceivedEvent, RefusedRequest, Run, RunError

__all__ = [
    "Clock",
    "Environment",
    "EventRefusedError",
    "LocalInngest",
    "LocalInngestError",
    "Log",
    "LostAnswer",
    "NeverSettlesError",
    "NotRegisteredError",
    "ReceivedEvent",
    "RefusedRequest",
    "Run",
    "RunError",
    "UnsupportedError",
]
