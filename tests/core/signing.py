"""
What the tests of proofs share: a seller, a granter, and proofs that no library would make.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import inngest
import pytest
from pydantic import SecretStr

from crossapp_core import proofs
from crossapp_core.apps import Peer, Settings
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import BundlePurchased, Event
from tests.core.samples import purchased

SECRET = "the secret of the seller and the granter"
PREVIOUS = "the secret that these two had until now"
THIRD = "the secret of the third app and the granter"
FOREIGN = "a secret of nobody whom anybody knows here"
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
ADDRESS = "ada@example.com"
KEY = proofs.Key(SecretStr(SECRET))


def peer(app_id: str, secret: str = SECRET, **fields: Any) -> Peer:
    """
    A peer with that secret.
    """
    return Peer(app_id=app_id, event_key="key", secret=secret, **fields)


SELLER = Settings("total-typescript", [peer("ai-hero")])
GRANTER = Settings("ai-hero", [peer("total-typescript"), peer("third", THIRD)])
SOLD = purchased(source_app="total-typescript", buyer_email=ADDRESS)

UNSOUND = "signature: the proof doesn't hold: have both apps the same secret?"
NO_JWS = "signature: the proof is no compact JWS"
OTHER_KIND = "signature: the proof must be HS256, of the type crossapp-event+jwt, and name its key"
UNKNOWN_KEY = "signature: the proof is signed with a secret that we don't know: was it rotated there?"
CHANGED = "signature: the data is not what was signed"


def sealed(event: Event = SOLD, *, settings: Settings = SELLER, target: str = "ai-hero") -> inngest.Event:
    """
    The event as the target's functions get it.
    """
    id_ = event.event_id()
    data: Any = proofs.seal(event, settings=settings, target=target, id=id_, now=NOW)
    return inngest.Event(name=event.name, id=id_, data=data)


def changed(envelope: inngest.Event, **data: Any) -> inngest.Event:
    """
    The same event with some of its data changed; what becomes `...` is left out.
    """
    content = {key: value for key, value in {**envelope.data, **data}.items() if value is not ...}
    return envelope.model_copy(update={"data": content})


def forged(header: Mapping[str, Any] | None = None, *, key: str = SECRET, hash: str = "sha256", **claims: Any) -> str:  # noqa: A002
    """
    A proof of SOLD with some of its header and claims changed; what becomes `...` is left out.
    """
    data = json.dumps(SOLD.to_wire(), sort_keys=True, separators=(",", ":"))
    sound = {"iss": "total-typescript", "aud": "ai-hero", "name": SOLD.name, "id": SOLD.event_id(), "iat": 1}
    content = {**sound, "digest": base64url(sha256(data.encode()).digest()), **claims}
    parts = [{"alg": "HS256", "typ": "crossapp-event+jwt", "kid": KEY.id, **(header or {})}, content]
    dumped = [json.dumps({name: value for name, value in part.items() if value is not ...}) for part in parts]
    return by_hand(*dumped, key=key, hash=hash)


def by_hand(header: str, payload: str, *, key: str = SECRET, hash: str = "sha256") -> str:  # noqa: A002
    """
    A compact JWS of whatever text.
    """
    signed = f"{base64url(header.encode())}.{base64url(payload.encode())}"
    return f"{signed}.{base64url(hmac.digest(key.encode(), signed.encode(), hash))}"


def base64url(octets: bytes) -> str:
    """
    Base64 for URLs, without padding.
    """
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def read(envelope: inngest.Event, kind: type[Event] = BundlePurchased, *, settings: Settings = GRANTER) -> Event:
    """
    What the granter makes of an event.
    """
    return proofs.read(kind, envelope, settings=settings)


def refusal(envelope: inngest.Event, kind: type[Event] = BundlePurchased, *, settings: Settings = GRANTER) -> str:
    """
    Why the granter refuses an event: for good, hiding no other error, and without a secret in the message.
    """
    with pytest.raises(EventRejectedError) as caught:
        read(envelope, kind, settings=settings)
    shown = str(caught.value)
    assert not caught.value.retryable
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert shown.startswith(f"{caught.value.reason}: ")
    assert len(shown) < 400
    assert not any(hidden in shown for hidden in (SECRET, THIRD, ADDRESS, KEY.id))
    return shown
