"""
What may be wrong with an app's settings, and what to do about each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from crossapp_core.proofs import SHORTEST_SECRET
from crossapp_core.wire import APP_ID

if TYPE_CHECKING:
    from crossapp_core.apps import Peer

_EXAMPLE_URL = "https://inn.gs"
_HOW_TO_MAKE_ONE = 'python -c "import secrets; print(secrets.token_urlsafe(32))", the same in both apps'
_LONGEST_NAME = 100
_A_NAME = f"at most {_LONGEST_NAME} printable characters"
_APP_ID = re.compile(APP_ID)
_EVENT_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PREFIX = re.compile(r"[A-Z]([A-Z0-9_]*[A-Z0-9])?")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")
# PEM, also in base64, SSH and JWK: public keys that a copied guide for another algorithm asks for
_OTHER_KEY = re.compile(r'-----BEGIN|LS0tLS1CRUdJ|ssh-(rsa|dss|ed25519)|ecdsa-sha2-|"kty"')


def of_settings(app_id: str, peers: Sequence[Peer], *, display_name: str = "", dev: bool) -> Iterator[str]:
    """
    All that is wrong with an app and its peers, a line for each.

    Args:
        app_id: The app itself.
        peers: The other apps.
        display_name: How people call the app.
        dev: Whether plain http is allowed.
    """
    if not _APP_ID.fullmatch(app_id):
        yield f"the app id {app_id!r} must be 1 to 64 of a-z0-9-, like total-typescript"
    if not _is_name(display_name):
        yield f"the display_name of {app_id} (CROSS_APP_NAME) must be {_A_NAME}"
    for id_, count in Counter(peer.app_id for peer in peers).items():
        if count > 1:
            yield f"the peer {id_} is given {count} times: give it once"
        if id_ == app_id:
            yield f"the peer {id_} is the app itself: name the other app"
    for peer in peers:
        yield from _of_names(peer)
        yield from _of_event_key(peer)
        yield from _of_secrets(peer, alone=len(peers) == 1)
        yield from _of_urls(peer, dev=dev)
    yield from _of_sharing(peers)


def _of_names(peer: Peer) -> Iterator[str]:
    if not _APP_ID.fullmatch(peer.app_id):
        yield f"the peer's id {peer.app_id!r} must be 1 to 64 of a-z0-9-, like ai-hero"
    if peer.env_prefix is not None and not _PREFIX.fullmatch(peer.env_prefix):
        yield f"the prefix {peer.env_prefix!r} of {peer.app_id}'s variables must be of A-Z0-9_, like AI_HERO"
    if not _is_name(peer.display_name):
        yield f"{peer.label('display_name')} must be {_A_NAME}"


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and text.isprintable()


def _of_event_key(peer: Peer) -> Iterator[str]:
    key, name = peer.event_key.get_secret_value(), peer.label("event_key")
    if not key:
        yield f"{name} is not set: the event key of {peer.app_id}'s Inngest environment (Manage > Event keys there)"
    elif not _EVENT_KEY.fullmatch(key):
        yield f"{name} must be of A-Za-z0-9_- alone: copy the event key again, without spaces or URL"


def _of_secrets(peer: Peer, *, alone: bool) -> Iterator[str]:
    name = peer.label("secret")
    if not peer.secret.get_secret_value():
        if not peer.sketch:
            yield f"{name} is not set: {_HOW_TO_MAKE_ONE}{'' if alone else '; each pair of apps has its own'}"
    else:
        yield from _of_secret(name, peer.secret)
    if peer.previous_secret is not None:
        yield from _of_secret(peer.label("previous_secret"), peer.previous_secret)
    if peer.event_key in (peer.secret, peer.previous_secret) and peer.event_key.get_secret_value():
        yield f"{name} is the event key, which more people may see: {_HOW_TO_MAKE_ONE}"


def _of_secret(name: str, secret: SecretStr) -> Iterator[str]:
    value = secret.get_secret_value()
    size = len(value.encode(errors="surrogatepass"))
    if _OTHER_KEY.search(value):
        yield f"{name} is a key of another kind, not a secret: {_HOW_TO_MAKE_ONE}"
    elif value.strip() != value or not value.isprintable():
        yield f"{name} has white space around it or control characters in it: copy it again"
    elif size < SHORTEST_SECRET:
        yield f"{name} has {size} bytes, needs {SHORTEST_SECRET}: {_HOW_TO_MAKE_ONE}"


def _of_sharing(peers: Sequence[Peer]) -> Iterator[str]:
    owners: dict[str, tuple[Peer, str]] = {}
    for peer in peers:
        for attribute, secret in (("secret", peer.secret), ("previous_secret", peer.previous_secret)):
            if not secret:
                continue
            owner, its = owners.setdefault(secret.get_secret_value(), (peer, attribute))
            if owner.app_id != peer.app_id:
                names = f"{owner.label(its)} and {peer.label(attribute)}"
                yield f"{names} are the same, so one app could sign in the other's name: give each its own"


def _of_urls(peer: Peer, *, dev: bool) -> Iterator[str]:
    yield from _of_url(peer.label("base_url"), peer.base_url, dev=dev)
    if peer.web_url:
        yield from _of_url(peer.label("web_url"), peer.web_url, dev=dev)
    for origin in peer.return_to_origins:
        yield from _of_url(peer.label("return_to_origins"), origin, dev=dev)


def _of_url(name: str, url: str, *, dev: bool) -> Iterator[str]:
    parts = _split(url)
    if parts is None:
        yield f"{name} must be a URL like {_EXAMPLE_URL}"
    elif "@" in parts.netloc or parts.path or any(mark in url for mark in "?#\\"):
        yield f"{name} must be scheme and host alone, like {_EXAMPLE_URL}, without user, path, query or fragment"
    elif not _HOST.fullmatch(parts.hostname or ""):
        yield f"{name} must name a host, like {_EXAMPLE_URL}"
    elif parts.scheme == "http" and not dev:
        yield f"{name} must be https, got http://{parts.netloc} (http only with Settings(dev=True))"


def _split(url: str) -> SplitResult | None:
    # urlsplit drops line breaks and tabs without a word
    if not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.netloc) and parts.port != 0
    except ValueError:
        return None
    return parts if is_url else None
