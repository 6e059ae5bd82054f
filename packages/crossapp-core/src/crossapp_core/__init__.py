"""
What both adapters share: events, settings, proofs and the sending client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossapp_core.apps import Peer, Settings
    from crossapp_core.client import CrossAppClient, SendResult
    from crossapp_core.errors import (
        CatalogError,
        CrossAppConfigError,
        CrossAppError,
        EventRefusedError,
        EventRejectedError,
        HostEventError,
        LinkConflictError,
        LinkTokenError,
        PeerKeyRefusedError,
        PeerUnavailableError,
        SendError,
        StorageError,
        UnconfirmedEventError,
        UnknownPeerError,
    )
    from crossapp_core.outcomes import Message

__all__ = [
    "CatalogError",
    "CrossAppClient",
    "CrossAppConfigError",
    "CrossAppError",
    "EventRefusedError",
    "EventRejectedError",
    "HostEventError",
    "LinkConflictError",
    "LinkTokenError",
    "Message",
    "Peer",
    "PeerKeyRefusedError",
    "PeerUnavailableError",
    "SendError",
    "SendResult",
    "Settings",
    "StorageError",
    "UnconfirmedEventError",
    "UnknownPeerError",
]

_MODULES = {
    "CrossAppClient": "client",
    "Message": "outcomes",
    "Peer": "apps",
    "SendResult": "client",
    "Settings": "apps",
}


def __getattr__(name: str) -> object:
    # what builds an event must not load the client, nor httpx with it
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
