"""
The seller and the granter of the benchmarks.
"""

from __future__ import annotations

from crossapp_core import Peer, Settings

SELLER, GRANTER = "total-typescript", "ai-hero"
EVENT_KEY = "an-event-key"
SECRET = "a secret of the two apps, for benchmarks alone"


def signing_settings(url: str) -> Settings:
    """
    The seller's, whose granter's Inngest is at *url*.
    """
    return Settings(SELLER, [Peer(app_id=GRANTER, event_key=EVENT_KEY, secret=SECRET, base_url=url)], dev=True)


def unsigned_settings(url: str) -> Settings:
    """
    Those with a granter that knows no proofs.
    """
    return Settings(SELLER, [Peer(app_id=GRANTER, event_key=EVENT_KEY, base_url=url, sketch=True)], dev=True)
