"""
What is signed for a person's own browser, and comes back from it: the link that they are asked to confirm, in a cookie,
and the CSRF tokens of the forms.

The keys are derived from the secret that the app has with a peer, so several processes have the same, and nothing that
was signed for something else, or in the other app, is taken.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from crossapp_core.apps import Peer, Settings
from crossapp_core.errors import CrossAppConfigError, LinkTokenError
from crossapp_core.proofs import Key
from crossapp_core.tokens import LinkToken
from crossapp_core.web.requests import LinkRequest

COOKIE_PATH = "/account-link"
COOKIE_LIFE = timedelta(minutes=10)
FORM_LIFE = timedelta(hours=12)
"""How long a page may stay open before its buttons say that it is an old one."""

TICKET, FORM = "crossapp-link-ticket+jwt", "crossapp-link-form+jwt"
"""The `typ` of the cookie, and of the forms' tokens."""

_ALGORITHM = "HS256"
_JWS = jwt.PyJWS(algorithms=[_ALGORITHM])
_LONGEST = 8_000


@dataclass(frozen=True)
class Ticket:
    """
    The link that a browser came with: what its token says, and what makes it this browser's.
    """

    token: LinkToken
    nonce: str = field(repr=False)


class Match(StrEnum):
    """
    What a form's token is.
    """

    RIGHT = "right"
    OTHER = "other"
    """Ours, but made for another person, another browser or another link."""
    WRONG = "wrong"


class Seals:
    """
    Signs what a browser keeps, and reads it again.

    Args:
        settings: Those of the app.

    Raises:
        CrossAppConfigError: No peer has a secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        signing = sorted((peer for peer in settings.peers.values() if peer.is_signing), key=lambda peer: peer.app_id)
        if not signing:
            problem = "no peer has a secret, without which nobody can tell the forms of ours from those of others"
            raise CrossAppConfigError(f"the pages of {settings.app_id}", [problem])
        self._substitute = signing[0]
        prefix = "" if settings.dev else "__Secure-"
        self.cookie = f"{prefix}crossapp-link-{settings.app_id}"
        """The cookie's name: two apps in development share a host, and so their cookies."""

    def cookie_for(self, ticket: Ticket) -> str:
        """
        The header that has the browser keep a ticket for ten minutes; its token holds no longer anyway.
        """
        peer = self._settings.peer(ticket.token.issuer)
        return self._header(self._seal(peer, TICKET, _content_of(ticket)), COOKIE_LIFE)

    @property
    def no_cookie(self) -> str:
        """
        The header that has the browser forget it.
        """
        return self._header("", timedelta())

    def ticket_in(self, request: LinkRequest) -> Ticket:
        """
        The ticket that the browser brought; whether its token has expired meanwhile is yet to be checked.

        Raises:
            LinkTokenError: There is none of ours, or there are several (`session`).
        """
        values = dict.fromkeys(request.cookies(self.cookie))
        contents = [content for value in values if (content := self._opened(value, TICKET)) is not None]
        if len(contents) != 1:
            raise LinkTokenError("session", f"the browser has {len(contents)} links to confirm")
        return _ticket_of(contents[0])

    def form_token(self, app: str, *subjects: str, now: datetime) -> str:
        """
        What a form holds that leads to a change concerning that peer, so that no other site can send it.

        Args:
            app: The peer.
            subjects: What the form is about: the user, the browser and so on.
            now: The time.
        """
        peer = self._peer(app)
        content = {"for": _digest(self._key(peer.signing_key, FORM), subjects), "until": _seconds(now + FORM_LIFE)}
        return self._seal(peer, FORM, content)

    def match(self, form_token: str, app: str, *subjects: str, now: datetime) -> Match:
        """
        Whether a form's token was made for these subjects.
        """
        content = self._opened(form_token, FORM)
        if content is None:
            return Match.WRONG
        digests = (_digest(self._key(key, FORM), subjects) for key in self._peer(app).verifying_keys)
        right = any(hmac.compare_digest(digest, content["for"]) for digest in digests)
        return Match.RIGHT if right and content["until"] > now.timestamp() else Match.OTHER

    def _peer(self, app: str) -> Peer:
        peer = self._settings.peer(app)
        return peer if peer.is_signing else self._substitute

    def _key(self, key: Key, typ: str) -> bytes:
        return hmac.digest(key.octets, f"{typ} of {self._settings.app_id}".encode(), "sha256")

    def _seal(self, peer: Peer, typ: str, content: Mapping[str, object]) -> str:
        key = peer.signing_key
        payload = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        return _JWS.encode(payload, self._key(key, typ), algorithm=_ALGORITHM, headers={"typ": typ, "kid": key.id})

    def _opened(self, sealed: str, typ: str) -> Mapping[str, Any] | None:
        if len(sealed) > _LONGEST or not sealed.isascii():
            return None
        try:
            header = jwt.get_unverified_header(sealed)
            keys = [(peer, key) for peer in self._settings.peers.values() for key in peer.verifying_keys]
            found = next(((peer, key) for peer, key in keys if key.id == header.get("kid")), None)
            if found is None or header.get("typ") != typ:
                return None
            payload = _JWS.decode(sealed, self._key(found[1], typ), algorithms=[_ALGORITHM])
        except jwt.PyJWTError:
            return None
        content: Mapping[str, Any] = json.loads(payload)  # ours, so it is what we wrote
        return content if content.get("iss", found[0].app_id) == found[0].app_id else None

    def _header(self, value: str, life: timedelta) -> str:
        secure = "" if self._settings.dev else "; Secure"
        age = _seconds(life)
        return f"{self.cookie}={value}; Max-Age={age}; Path={COOKIE_PATH}; HttpOnly; SameSite=Lax{secure}"


def _content_of(ticket: Ticket) -> dict[str, object]:
    token = ticket.token
    return {
        "iss": token.issuer,
        "sub": token.user_id,
        "email": token.email,
        "jti": token.id,
        "iat": _seconds(token.issued_at),
        "exp": _seconds(token.expires_at),
        "return_to": token.return_to,
        "nonce": ticket.nonce,
    }


def _ticket_of(content: Mapping[str, Any]) -> Ticket:
    token = LinkToken(
        issuer=content["iss"],
        user_id=content["sub"],
        email=content["email"],
        return_to=content["return_to"],
        id=content["jti"],
        issued_at=datetime.fromtimestamp(content["iat"], UTC),
        expires_at=datetime.fromtimestamp(content["exp"], UTC),
    )
    return Ticket(token, content["nonce"])


def _digest(key: bytes, subjects: tuple[str, ...]) -> str:
    mac = hmac.digest(key, json.dumps(subjects).encode(), "sha256")
    return urlsafe_b64encode(mac).rstrip(b"=").decode()


def _seconds(moment: datetime | timedelta) -> int:
    return int(moment.total_seconds() if isinstance(moment, timedelta) else moment.timestamp())
