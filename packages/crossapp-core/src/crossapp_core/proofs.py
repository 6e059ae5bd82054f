"""
Signing an event, and checking the signature of one that came in.

The proof is a compact JWS (RFC 7515) with HMAC-SHA-256 over who sends what to whom. The content stands in it as a
digest of its canonical JSON (RFC 8785), so that any JSON implementation may write it anew on the way.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from crossapp_core import sketch
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import Envelope, Event, parse_as
from crossapp_core.pickling import NotPicklable
from crossapp_core.wire import plain

if TYPE_CHECKING:
    from crossapp_core.apps import Peer, Settings

E = TypeVar("E", bound=Event)

TYPE = "crossapp-event+jwt"
"""The JWS's `typ`: a token made for something else is no proof."""

SHORTEST_SECRET = 32
"""Bytes; what is shorter than the digest can be found by trying."""

_ALGORITHM = "HS256"
_LONGEST_PROOF = 4096
_HEADER = {"alg", "typ", "kid"}
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ASCII = re.compile(r"[\x20-\x7e]*")
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Key(NotPicklable):
    """
    A secret as it signs and verifies; it shows itself to nobody.

    Raises:
        ValueError: The secret is shorter than 32 bytes, or there is none.
    """

    def __init__(self, secret: SecretStr) -> None:
        self.secret = secret
        if len(self.octets) < SHORTEST_SECRET:
            msg = f"the secret has {len(self.octets)} bytes, needs {SHORTEST_SECRET}"
            raise ValueError(msg)

    def __repr__(self) -> str:
        return "Key(**********)"

    @cached_property
    def id(self) -> str:
        """
        The `kid`: tells which secret signed, and nothing about it.
        """
        return _base64url(hmac.digest(self.octets, b"crossapp key id", "sha256")[:12])

    @cached_property
    def header(self) -> str:
        """
        The first part of each proof that it signs.
        """
        import jwt

        token = jwt.encode({}, self.octets, algorithm=_ALGORITHM, headers={"typ": TYPE, "kid": self.id})
        return token.partition(".")[0]

    def mac(self, message: bytes) -> bytes:
        """
        The HMAC-SHA-256 of a message.
        """
        mac = self._mac.copy()
        mac.update(message)
        return mac.digest()

    @cached_property
    def _mac(self) -> hmac.HMAC:
        return hmac.new(self.octets, digestmod="sha256")

    @property
    def octets(self) -> bytes:
        """
        The secret itself.
        """
        return self.secret.get_secret_value().encode()


def canonical(data: Mapping[str, object]) -> bytes:
    """
    The canonical JSON of the data of an event, as RFC 8785 defines it.

    Raises:
        ValueError: It has none, or isn't flat: only ASCII keys, text, whole numbers below 2**53, booleans, null and
            lists of those have a place in an event.
    """
    import orjson

    if not _ASCII.fullmatch("".join(data)):
        msg = "an event's keys are ASCII"
        raise ValueError(msg)
    # Sorted by bytes, as orjson does, is sorted by UTF-16 code units, as the RFC wants, where keys are ASCII.
    return orjson.dumps(_plain(data), option=orjson.OPT_SORT_KEYS)


def _plain(data: Mapping[str, object]) -> dict[str, object]:
    # nearly all values are ASCII, which needs no second look
    return {key: value if isinstance(value, str) and value.isascii() else plain(value) for key, value in data.items()}


def sign(event_data: Mapping[str, object], *, name: str, id: str, source: str, target: str, key: Key, iat: int) -> str:  # noqa: A002
    """
    Make the proof of an event.

    Args:
        event_data: Its data, without a proof.
        name: Its name.
        id: Its id.
        source: The app that sends it.
        target: The app that it is sent to.
        key: The secret of the two.
        iat: When it is sent, Unix time in s; information only.

    Raises:
        ValueError: The data has no canonical form.
    """
    import orjson

    claims = {"iss": source, "aud": target, "name": name, "id": id, "iat": iat, "digest": _digest(event_data)}
    # what jwt.encode makes too, in five times the time
    signed = f"{key.header}.{_base64url(orjson.dumps(claims))}"
    return f"{signed}.{_base64url(key.mac(signed.encode()))}"


def seal(event: Event, *, settings: Settings, target: str, id: str, now: datetime) -> dict[str, object]:  # noqa: A002
    """
    The data of *event* as it is sent to *target*, with its proof.

    Raises:
        UnknownPeerError: There is no such peer.
        ValueError: The event isn't of this app.
    """
    peer = settings.peer(target)
    if event.source_app != settings.app_id:
        msg = f"{settings.app_id} sends no event of {event.source_app}"
        raise ValueError(msg)
    data: dict[str, object] = dict(event.to_wire())
    if peer.is_signing:
        data["proof"] = sign(
            data,
            name=event.name,
            id=id,
            source=settings.app_id,
            target=target,
            key=peer.signing_key,
            iat=int(now.timestamp()),
        )
    return data


def read(kind: type[E], envelope: Envelope, *, settings: Settings) -> E:
    """
    Check all of an event that came in, then read it.

    Raises:
        EventRejectedError: As of `authenticate` and `interpret`.
    """
    peer, data = authenticate(kind, envelope, settings=settings)
    return interpret(kind, data, peer=peer, target=settings.app_id)


def interpret(kind: type[E], data: Mapping[str, object], *, peer: Peer, target: str) -> E:
    """
    Read the data of an event that is known to be *peer*'s, sent to the app *target*.

    Raises:
        EventRejectedError: It is wrong (`schema`), or of a kind that a sketch peer doesn't send (`event`).
    """
    if peer.sketch:
        return parse_as(kind, sketch.completed(kind, data, source=peer.app_id, target=target))
    event = parse_as(kind, data)
    if getattr(event, "product_id", "") is None:
        raise EventRejectedError("schema", f"the data of {kind.name}: productId: only a sketch peer may leave it out")
    return event


def authenticate(kind: type[Event], envelope: Envelope, *, settings: Settings) -> tuple[Peer, dict[str, object]]:
    """
    Find out who sent an event, and that it is what they sent: the peer, and the data without its proof.

    A sketch peer may leave out the proof and, as the only peer, also who it is.

    Raises:
        EventRejectedError: It isn't of that kind (`event`), nobody's that we know (`source`), not meant for this app
            (`target`), or not signed by its source as it stands (`signature`).
    """
    if envelope.name != kind.name:
        raise EventRejectedError("event", f"{envelope.name!r:.140} came where {kind.name} is handled")
    data = dict(envelope.data)
    proof = data.pop("proof", None)
    source = data.get("sourceApp") or _only_sketch_peer(settings)
    if source == settings.app_id:
        detail = f"our own {kind.name} came back: is the peer's event key one of our own environment?"
        raise EventRejectedError("target", detail)
    if not isinstance(source, str) or source not in settings.peers:
        shown = repr(source) if isinstance(source, str) and _WORD.fullmatch(source) else "…"
        raise EventRejectedError("source", f"sourceApp {shown} is no peer of {settings.app_id}")
    peer = settings.peers[source]
    if not peer.sketch or (proof is not None and peer.verifying_keys):
        keys = peer.verifying_keys
        check(data, proof, name=kind.name, id=envelope.id, source=source, target=settings.app_id, keys=keys)
    return peer, data


def _only_sketch_peer(settings: Settings) -> str | None:
    peers = list(settings.peers.values())
    return peers[0].app_id if len(peers) == 1 and peers[0].sketch else None


def check(
    event_data: Mapping[str, object],
    proof: object,
    *,
    name: str,
    id: str,  # noqa: A002
    source: str,
    target: str,
    keys: Sequence[Key],
) -> None:
    """
    Check that *proof* is that of exactly this event.

    Raises:
        EventRejectedError: `signature`, or more precisely `target` or `event`.
    """
    claims = _claims(proof, keys)
    if claims.get("iss") != source:
        raise EventRejectedError("signature", f"signed by another app than {source}")
    if claims.get("aud") != target:
        raise EventRejectedError("target", f"signed for {claims.get('aud')!r:.140}, not for {target}")
    if claims.get("name") != name:
        raise EventRejectedError("event", f"signed as {claims.get('name')!r:.140}, not as {name}")
    if claims.get("id") != id:
        raise EventRejectedError("signature", "signed for an event with another id")
    try:
        digest = _digest(event_data)
    except ValueError as error:
        reason = str(error)
    else:
        if claims.get("digest") == digest:  # no secret, so nothing to hide in the time that it takes
            return
        reason = "the data is not what was signed"
    raise EventRejectedError("signature", reason)


def _claims(proof: object, keys: Sequence[Key]) -> Mapping[str, object]:
    import jwt

    if not isinstance(proof, str):
        raise EventRejectedError("signature", "the event has no proof: is the secret set in the app that sent it?")
    if len(proof) > _LONGEST_PROOF or not _COMPACT.fullmatch(proof):
        raise EventRejectedError("signature", "the proof is no compact JWS")
    jws = jwt.PyJWS()  # below the claims: their times say nothing here, runs are replayed for days and clocks differ
    try:
        key = _key_for(jws.get_unverified_header(proof), keys)
        claims = json.loads(jws.decode(proof, key.octets, algorithms=[_ALGORITHM]))
    except (jwt.PyJWTError, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise EventRejectedError("signature", "the proof doesn't hold: have both apps the same secret?")
    return claims


def _key_for(header: Mapping[str, object], keys: Sequence[Key]) -> Key:
    if set(header) != _HEADER or header["alg"] != _ALGORITHM or header["typ"] != TYPE:
        raise EventRejectedError("signature", f"the proof must be {_ALGORITHM}, of the type {TYPE}, and name its key")
    for key in keys:
        if key.id == header["kid"]:
            return key
    raise EventRejectedError("signature", "the proof is signed with a secret that we don't know: was it rotated there?")


def _digest(data: Mapping[str, object]) -> str:
    return _base64url(sha256(canonical(data)).digest())


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
