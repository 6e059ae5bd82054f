"""
Events that somebody has forged, with or without a secret.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, TypeAlias

from pydantic import SecretStr

from crossapp_core import proofs
from crossapp_core.events import Event
from crossapp_core.proofs import Key
from tests.hosts import SECRET
from tests.together.apps import BUNDLE_SOLD, GRANTER, OTHER, OTHER_SECRET, REVOKE, SELLER
from tests.together.world import World

Data: TypeAlias = dict[str, Any]
HUGE = "x" * 100_000


def revoke(world: World, **fields: object) -> Data:
    """
    What would take back the sale.
    """
    version = world.shop.row().version + 1
    known = {"sourceApp": SELLER, "purchaseId": "p1", "productId": "course", "reason": "refunded", "version": version}
    return {**known, **fields}


def signed(data: Data, *, key: str = SECRET, **claims: str) -> Data:
    """
    That data with the proof of an `entitlement/revoke` from the shop to the school, if the claims don't say otherwise.
    """
    usual: dict[str, Any] = {"name": REVOKE, "id": "e1", "source": SELLER, "target": GRANTER}
    return {**data, "proof": proofs.sign(data, **{**usual, **claims}, key=Key(SecretStr(key)), iat=0)}


def handmade(data: Data, *, key: str = SECRET, digest: str = "sha256", **header: object) -> Data:
    """
    That data with a proof whose header is somebody's own.
    """
    hashed = urlsafe_b64encode(sha256(proofs.canonical(data)).digest()).rstrip(b"=").decode()
    claims = {"iss": SELLER, "aud": GRANTER, "name": REVOKE, "id": "e1", "iat": 0, "digest": hashed}
    known = {"alg": "HS256", "typ": proofs.TYPE, "kid": Key(SecretStr(SECRET)).id}
    parts = [_segment(json.dumps(part).encode()) for part in ({**known, **header}, claims)]
    signature = _segment(hmac.digest(key.encode(), ".".join(parts).encode(), digest))
    return {**data, "proof": ".".join([*parts, signature])}


def _segment(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def unsigned(data: Data) -> Data:
    """
    That data with a proof without signature.
    """
    signed_part, _, _ = str(handmade(data, alg="none")["proof"]).rpartition(".")
    return {**data, "proof": f"{signed_part}."}


FORGED: Mapping[str, tuple[Callable[[World], Data], str]] = {
    "unsigned": (revoke, "signature: the event has no proof: is the secret set in the app that sent it?"),
    "proof is null": (lambda w: revoke(w, proof=None), "signature: the event has no proof"),
    "proof is no text": (lambda w: revoke(w, proof=[1]), "signature: the event has no proof"),
    "proof is something": (lambda w: revoke(w, proof="a.b.c"), "signature: the proof doesn't hold"),
    "proof is huge": (lambda w: revoke(w, proof=HUGE), "signature: the proof is no compact JWS"),
    "unknown key": (
        lambda w: signed(revoke(w), key=OTHER_SECRET),
        "signature: the proof is signed with a secret that we don't know",
    ),
    "wrong secret under our key's name": (
        lambda w: handmade(revoke(w), key=OTHER_SECRET),
        "signature: the proof doesn't hold",
    ),
    "key named like a file": (
        lambda w: handmade(revoke(w), kid="../../../etc/passwd"),
        "signature: the proof is signed with a secret that we don't know",
    ),
    "handmade by the secret's holder": (
        lambda w: handmade(revoke(w, productId=None)),
        "schema: the data of entitlement/revoke: productId: ",
    ),
    "no signature": (lambda w: unsigned(revoke(w)), "signature: the proof is no compact JWS"),
    "no algorithm": (
        lambda w: handmade(revoke(w), alg="none"),
        "signature: the proof must be HS256, of the type crossapp-event+jwt, and name its key",
    ),
    "another algorithm": (
        lambda w: handmade(revoke(w), alg="HS512", digest="sha512"),
        "signature: the proof must be HS256",
    ),
    "another header": (
        lambda w: handmade(revoke(w), jku="https://evil.example/keys"),
        "signature: the proof must be HS256",
    ),
    "link token": (lambda w: handmade(revoke(w), typ="crossapp-link+jwt"), "signature: the proof must be HS256"),
    "source and target swapped": (
        lambda w: signed(revoke(w), source=GRANTER, target=SELLER),
        "signature: signed by another app than total-typescript",
    ),
    "for another app": (
        lambda w: signed(revoke(w), target=OTHER),
        "target: signed for 'epic-web', not for ai-hero",
    ),
    "under another name": (
        lambda w: signed(revoke(w), name=BUNDLE_SOLD),
        "event: signed as 'bundle/purchased', not as entitlement/revoke",
    ),
    "proof of another event": (
        lambda w: signed(revoke(w), id="e0"),
        "signature: signed for an event with another id",
    ),
    "proof of other data": (
        lambda w: {**signed(revoke(w)), "purchaseId": "p2"},
        "signature: the data is not what was signed",
    ),
    "something added": (lambda w: {**signed(revoke(w)), "quiet": True}, "signature: the data is not what was signed"),
    "nested": (lambda w: {**signed(revoke(w)), "quiet": {"a": {"b": 1}}}, "signature: an event holds text, whole"),
    "number too large": (lambda w: {**signed(revoke(w)), "version": 2**53}, "signature: an event holds text, whole"),
    "key not in ASCII": (lambda w: {**signed(revoke(w)), "é": 1}, "signature: an event's keys are ASCII"),
    "no source": (lambda w: signed(revoke(w, sourceApp=None)), "source: sourceApp … is no peer of ai-hero"),
    "unknown source": (lambda w: signed(revoke(w, sourceApp=OTHER)), "source: sourceApp 'epic-web' is no peer of"),
    "source is a list": (lambda w: signed(revoke(w, sourceApp=[SELLER])), "source: sourceApp … is no peer of ai-hero"),
    "source in capitals": (lambda w: signed(revoke(w, sourceApp="Total-TypeScript")), "source: sourceApp 'Total-"),
    "our own": (
        lambda w: signed(revoke(w, sourceApp=GRANTER), source=GRANTER),
        "target: our own entitlement/revoke came back: is the peer's event key one of our own environment?",
    ),
    "version 0": (lambda w: signed(revoke(w, version=0)), "schema: the data of entitlement/revoke: version: "),
    "version below 0": (lambda w: signed(revoke(w, version=-5)), "schema: the data of entitlement/revoke: version: "),
    "version is text": (lambda w: signed(revoke(w, version="9")), "schema: the data of entitlement/revoke: version: "),
    "version is true": (lambda w: signed(revoke(w, version=True)), "schema: the data of entitlement/revoke: version: "),
    "no product": (lambda w: signed(revoke(w, productId=None)), "schema: the data of entitlement/revoke: productId: "),
    "product in capitals": (
        lambda w: signed(_without(revoke(w), "productId") | {"ProductId": "course"}),
        "productId: ",
    ),
    "empty product": (lambda w: signed(revoke(w, productId="")), "schema: the data of entitlement/revoke: productId: "),
    "huge product": (
        lambda w: signed(revoke(w, productId=HUGE)),
        "schema: the data of entitlement/revoke: productId: ",
    ),
    "line break in an id": (lambda w: signed(revoke(w, purchaseId="p1\r\np2")), "purchaseId: must not hold control"),
}


def _without(data: Data, key: str) -> Data:
    return {name: value for name, value in data.items() if name != key}


def answer(world: World, kind: type[Any], **fields: Any) -> Event:
    """
    An answer of the school for the sale, at the ledger's version if no other is given.
    """
    known = {"source_purchase_id": "p1", "product_id": "course", "version": world.shop.row().version}
    event: Event = kind(source_app=GRANTER, **{**known, **fields})
    return event
