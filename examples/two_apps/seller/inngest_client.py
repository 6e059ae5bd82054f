"""
The shop's own Inngest, and the events that it sends there.
"""

from __future__ import annotations

import inngest

from examples.two_apps.seller.config import APP_ID, Config


def make_client(config: Config) -> inngest.Inngest:
    """
    The client. Each app object has its own, because a client can't change to another event loop.
    """
    return inngest.Inngest(
        app_id=APP_ID,
        is_production=not config.dev,
        api_base_url=config.inngest_url,
        event_api_base_url=config.inngest_url,
        event_key=config.inngest_event_key.get_secret_value() or None,
        signing_key=config.inngest_signing_key.get_secret_value() or None,
    )


def purchase_event(name: str, purchase_id: str, occasion: str = "") -> inngest.Event:
    """
    `purchase/created`, `purchase/refunded` or `purchase/disputed`, which the bridge waits for; for Inngest a repetition
    is the same.
    """
    id_ = ":".join(filter(None, (name, purchase_id, occasion)))
    return inngest.Event(name=name, id=id_, data={"purchaseId": purchase_id})
