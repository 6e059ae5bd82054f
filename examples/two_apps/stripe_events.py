"""
Stripe's webhooks without Stripe: the events in fixtures/, signed and sent.

    STRIPE_WEBHOOK_SECRET=whsec_… python -m examples.two_apps.stripe_events http://127.0.0.1:8001 charge.refunded
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

FIXTURES = Path(__file__).parent / "fixtures"
PATH = "/webhooks/stripe"


def load(name: str, **changes: object) -> dict[str, Any]:
    """
    One of the fixtures, with *changes* to the object that the event is about.
    """
    event: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    event["data"]["object"] |= changes
    return event


def request(event: dict[str, Any], secret: str, *, signed_at: float | None = None) -> dict[str, Any]:
    """
    The body and the headers by which Stripe delivers an event.

    Args:
        event: The event.
        secret: The webhook's signing secret.
        signed_at: When it was signed, in s of Unix time; now if None.
    """
    body = json.dumps(event, indent=2).encode()
    timestamp = int(time.time() if signed_at is None else signed_at)
    signature = hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "stripe-signature": f"t={timestamp},v1={signature}"}
    return {"content": body, "headers": headers}


def main(origin: str, name: str) -> int:
    """
    Deliver a fixture to the shop and say what it answered.
    """
    try:
        response = httpx.post(origin + PATH, **request(load(name), os.environ["STRIPE_WEBHOOK_SECRET"]))
    except (httpx.TransportError, FileNotFoundError) as error:
        print(error)
        return 1
    print(response.status_code, response.text)
    return 0 if response.is_success else 1


if __name__ == "__main__":
    if len(sys.argv) != 3 or "STRIPE_WEBHOOK_SECRET" not in os.environ:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
