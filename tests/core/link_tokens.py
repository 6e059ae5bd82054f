"""
What the tests of link tokens share: somebody at the seller who wants to be linked, and tokens that no library makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from crossapp_core import LinkTokenError, Settings, tokens
from tests.core.signing import ADDRESS, FOREIGN, GRANTER, KEY, NOW, PREVIOUS, SECRET, SELLER, THIRD, by_hand

ID = "5f0c2a8e9b7d4c61"
USER = "user_5Tn1"
BACK = "https://shop.example/purchases/pur_1"
ISSUED = int(NOW.timestamp())
ASKED: dict[str, Any] = {"user_id": USER, "email": ADDRESS, "return_to": BACK, "id": ID}
CLAIMS: dict[str, Any] = {
    "iss": "total-typescript",
    "aud": "ai-hero",
    "sub": USER,
    "email": ADDRESS,
    "jti": ID,
    "iat": ISSUED,
    "exp": ISSUED + 600,
    "return_to": BACK,
}
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "crossapp-link+jwt", "kid": KEY.id}
READ = tokens.LinkToken(
    issuer="total-typescript",
    user_id=USER,
    email=ADDRESS,
    return_to=BACK,
    id=ID,
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
)
_HIDDEN = (SECRET, PREVIOUS, THIRD, FOREIGN, ADDRESS, "ada", USER, ID, BACK, KEY.id, "eyJ")


def issued(settings: Settings = SELLER, target: str = "ai-hero", **changed: Any) -> str:
    """
    The token that the seller makes, save for these arguments.
    """
    return tokens.issue(settings, target, **{**ASKED, "now": NOW, **changed})


def forged(header: Mapping[str, Any] | None = None, *, key: str = SECRET, hash: str = "sha256", **claims: Any) -> str:  # noqa: A002
    """
    A signed token with some of its header and claims changed; what becomes `...` is left out.
    """
    parts = [{**HEADER, **(header or {})}, {**CLAIMS, **claims}]
    dumped = [json.dumps({name: value for name, value in part.items() if value is not ...}) for part in parts]
    return by_hand(*dumped, key=key, hash=hash)


def verified(token: object, *, settings: Settings = GRANTER, now: datetime = NOW) -> tokens.LinkToken:
    """
    What the granter reads in a token.
    """
    return tokens.verify(token, settings=settings, now=now)


def refusal(token: object, *, settings: Settings = GRANTER, now: datetime = NOW) -> str:
    """
    Why the granter refuses a token: for good, hiding no other error, and with nothing of the token in the message.
    """
    with pytest.raises(LinkTokenError) as caught:
        verified(token, settings=settings, now=now)
    shown = str(caught.value)
    assert not caught.value.retryable
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert shown.startswith(f"{caught.value.reason}: ")
    assert shown.isascii()
    assert len(shown) < 140
    assert not any(hidden in shown for hidden in _HIDDEN)
    return caught.value.reason


def reason_or_none(token: object) -> str | None:
    """
    Why the granter refuses it, and by no other error; None if it is taken.
    """
    try:
        verified(token)
    except LinkTokenError as error:
        return error.reason
    return None
