"""
Inngest inside one test process: real handlers and real HTTP, on a clock that the test moves; and, on top of it, the kit
behind the pytest fixture `crossapp`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossapp_core.testing.clock import Clock
    from crossapp_core.testing.environment import Environment
    from crossapp_core.testing.errors import (
        EventRefusedError,
        LocalInngestError,
        NeverSettlesError,
        NobodyListensError,
        NotRegisteredError,
        NotServedError,
        PeerRejectedError,
        UnsupportedError,
    )
    from crossapp_core.testing.kit import Kit, TestedApp
    from crossapp_core.testing.local_inngest import LocalInngest
    from crossapp_core.testing.log import Crash, Log, LostAnswer, ReceivedEvent, RefusedRequest, Run, RunError
    from crossapp_core.testing.peers.base import Rejection
    from crossapp_core.testing.peers.counterpart import Counterpart
    from crossapp_core.testing.peers.granting import Entitlement
    from crossapp_core.testing.peers.linking import LinkRow
    from crossapp_core.testing.peers.selling import LedgerRow
    from crossapp_core.testing.peers.sketch_counterpart import SketchCounterpart
    from crossapp_core.testing.peers.sketching import SketchEntitlement, SketchSale

__all__ = [
    "Clock",
    "Counterpart",
    "Crash",
    "Entitlement",
    "Environment",
    "EventRefusedError",
    "Kit",
    "LedgerRow",
    "LinkRow",
    "LocalInngest",
    "LocalInngestError",
    "Log",
    "LostAnswer",
    "NeverSettlesError",
    "NobodyListensError",
    "NotRegisteredError",
    "NotServedError",
    "PeerRejectedError",
    "ReceivedEvent",
    "RefusedRequest",
    "Rejection",
    "Run",
    "RunError",
    "SketchCounterpart",
    "SketchEntitlement",
    "SketchSale",
    "TestedApp",
    "UnsupportedError",
]

_MODULES = {
    "Clock": "clock",
    "Counterpart": "peers.counterpart",
    "Crash": "log",
    "Entitlement": "peers.granting",
    "Environment": "environment",
    "Kit": "kit",
    "LedgerRow": "peers.selling",
    "LinkRow": "peers.linking",
    "LocalInngest": "local_inngest",
    "Log": "log",
    "LostAnswer": "log",
    "ReceivedEvent": "log",
    "RefusedRequest": "log",
    "Rejection": "peers.base",
    "Run": "log",
    "RunError": "log",
    "SketchCounterpart": "peers.sketch_counterpart",
    "SketchEntitlement": "peers.sketching",
    "SketchSale": "peers.sketching",
    "TestedApp": "kit",
}


def __getattr__(name: str) -> object:
    # pytest loads the plugin beside this in every project: it must not load a database, Inngest or an HTTP client
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
