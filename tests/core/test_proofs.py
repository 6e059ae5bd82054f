from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import inngest
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core import proofs
from crossapp_core.apps import Settings
from crossapp_core.errors import UnknownPeerError
from crossapp_core.events import EntitlementFailed, EntitlementRevoke, Event
from crossapp_core.testing import strategies
from tests.core import json_texts
from tests.core.samples import every_kind, full, purchased
from tests.core.signing import (
    CHANGED,
    GRANTER,
    KEY,
    NOW,
    PREVIOUS,
    SECRET,
    SELLER,
    SOLD,
    THIRD,
    UNKNOWN_KEY,
    UNSOUND,
    base64url,
    changed,
    forged,
    peer,
    read,
    refusal,
    sealed,
)

COUNTED = SOLD.model_copy(update={"version": 1})
"""What a sketch peer has sold."""


class TestCanonical:
    @given(json_texts.data)
    def test_is_rfc_8785(self, data: dict[str, Any]) -> None:
        """
        The canonical JSON is that of the RFC's own implementation, to the byte.
        """
        assert proofs.canonical(data) == rfc8785.dumps(data)

    def test_of_other_spellings(self) -> None:
        """
        Whole floats are integers, minus zero is zero, tuples are lists.
        """
        assert proofs.canonical({"b": 5.0, "a": -0.0, "c": (1, 1e15)}) == b'{"a":0,"b":5,"c":[1,1000000000000000]}'

    @pytest.mark.parametrize(
        "value",
        [
            *(float("nan"), float("inf"), float("-inf"), 1.5, 1e300, 2**53, -(2**53), 10**400, 2.0**53),
            *({"a": 1}, {}, [[1]], [[]], [{}], [1, 0.5], [2**53], "\ud800", ["\udfff"], b"x", 1j),
        ],
        ids=ascii,
    )
    def test_refuses_what_has_no_such_form(self, value: object) -> None:
        """
        What isn't flat, or can't be written by every JSON implementation, is refused.
        """
        with pytest.raises(ValueError, match="an event holds"):
            proofs.canonical({"a": value})

    @pytest.mark.parametrize("key", ["é", "\n", "\x7f", "\ud800", "🎁"], ids=ascii)
    def test_refuses_keys(self, key: str) -> None:
        """
        Only printable ASCII sorts the same everywhere.
        """
        with pytest.raises(ValueError, match="keys are ASCII"):
            proofs.canonical({key: 1})


class TestRead:
    @every_kind
    def test_signed_event(self, kind: type[Event]) -> None:
        """
        An event of each kind that a peer signed for us is read as it was sent.
        """
        event = kind.from_wire(full(kind))

        assert read(sealed(event), kind) == event

    @given(st.data(), strategies.events)
    def test_any_spelling_of_the_json(self, draw: st.DataObject, event: Event) -> None:
        """
        A proof holds however the JSON is written on the way, and the event is the same.
        """
        event = event.model_copy(update={"source_app": "total-typescript"})
        envelope = sealed(event)
        data = json.loads(draw.draw(json_texts.rewritten(dict(envelope.data))))

        assert read(envelope.model_copy(update={"data": data}), type(event)) == event

    @given(strategies.events)
    def test_numbers_through_float64(self, event: Event) -> None:
        """
        A proof holds where all numbers are read as float64.
        """
        event = event.model_copy(update={"source_app": "total-typescript"})
        envelope = sealed(event)
        data = json.loads(json.dumps(envelope.data), parse_int=float)

        assert read(envelope.model_copy(update={"data": data}), type(event)) == event

    @given(strategies.events, st.sampled_from(["x", 0, 1, True, None, [], ["x"], "active"]), st.data())
    def test_any_change_of_the_data(self, event: Event, value: object, draw: st.DataObject) -> None:
        """
        A field that is changed, added or taken away breaks the proof.
        """
        envelope = sealed(event.model_copy(update={"source_app": "total-typescript"}))
        fields = sorted(set(envelope.data) - {"proof", "sourceApp"})
        field = draw.draw(st.sampled_from([*fields, "extra", "PurchaseId", "user_id"]))
        other = (
            value if json.dumps(envelope.data.get(field)) != json.dumps(value) or field not in envelope.data else ...
        )

        assert refusal(changed(envelope, **{field: other}), type(event)) == CHANGED

    def test_other_name(self) -> None:
        """
        A proof holds for one kind of event, also where another has the same fields.
        """
        envelope = sealed()

        assert refusal(envelope.model_copy(update={"name": "entitlement/revoke"}), EntitlementRevoke) == (
            "event: signed as 'bundle/purchased', not as entitlement/revoke"
        )
        assert (
            refusal(envelope, EntitlementRevoke) == "event: 'bundle/purchased' came where entitlement/revoke is handled"
        )

    def test_other_id(self) -> None:
        """
        A proof holds for one id: the same event under another would run again.
        """
        assert refusal(sealed().model_copy(update={"id": f"{SOLD.event_id()}1"})) == (
            "signature: signed for an event with another id"
        )

    def test_unknown_source(self) -> None:
        """
        An event of an app that is no peer, or of none, is refused.
        """
        for source in (
            "fourth",
            "total-typescrip",
            "total-typescript ",
            "TOTAL-TYPESCRIPT",
            "",
            None,
            7,
            ["third"],
            ...,
        ):
            assert refusal(changed(sealed(), sourceApp=source)).startswith("source: sourceApp ")
        # what is no app id may be anything, an address for example
        assert "eve" not in refusal(changed(sealed(), sourceApp="eve@example.com"))

    def test_other_target(self) -> None:
        """
        What was signed for another app isn't for us, though its secret be the same.
        """
        third = Settings("third", [peer("total-typescript")])

        assert refusal(sealed(), settings=third) == "target: signed for 'ai-hero', not for third"

    def test_own_event(self) -> None:
        """
        Our own event in our own environment tells of an event key that is one of our own.
        """
        own = Settings("total-typescript", [peer("ai-hero")])

        assert refusal(sealed(), settings=own) == (
            "target: our own bundle/purchased came back: is the peer's event key one of our own environment?"
        )

    def test_turned_around(self) -> None:
        """
        What we signed for a peer isn't taken from that peer.
        """
        ours = sealed(purchased(source_app="ai-hero"), settings=GRANTER, target="total-typescript")

        assert refusal(changed(ours, sourceApp="total-typescript")) == (
            "signature: signed by another app than total-typescript"
        )

    def test_in_another_name(self) -> None:
        """
        A peer can't speak for another peer with the secret that it has.
        """
        third = Settings("third", [peer("ai-hero", THIRD)])
        envelope = sealed(purchased(source_app="third"), settings=third)

        assert read(envelope).source_app == "third"
        assert refusal(changed(envelope, sourceApp="total-typescript")) == UNKNOWN_KEY
        assert refusal(changed(sealed(), proof=forged({"kid": KEY.id}, key=THIRD))) == UNSOUND

    @pytest.mark.parametrize(
        "value",
        [float("inf"), 2**53, 1.5, {"a": 1}, {"a": {"b": [1]}}, [[1]], "\ud800", ["a", {}]],
        ids=ascii,
    )
    def test_data_without_canonical_form(self, value: object) -> None:
        """
        Data that has no canonical form is refused like a wrong proof.
        """
        assert refusal(changed(sealed(), extra=value)).startswith("signature: an event holds")

    def test_schema_after_signature(self) -> None:
        """
        What the data says is looked at only once it is known who says it.
        """
        data: dict[str, Any] = {**SOLD.to_wire(), "version": -1}
        proof = proofs.sign(
            data,
            name=SOLD.name,
            id="e1",
            source="total-typescript",
            target="ai-hero",
            key=KEY,
            iat=int(NOW.timestamp()),
        )

        assert refusal(inngest.Event(name=SOLD.name, id="e1", data={**data, "proof": proof})).startswith("schema: ")
        assert refusal(inngest.Event(name=SOLD.name, id="e1", data=data)).startswith("signature: ")


class TestSeal:
    def test_content(self) -> None:
        """
        The data goes as it is, with a proof that names who sends it to whom, when, and which secret signs.
        """
        data = dict(sealed().data)
        header, payload, _ = (urlsafe_b64decode(f"{part}==") for part in str(data.pop("proof")).split("."))

        assert data == SOLD.to_wire()
        assert json.loads(header) == {"alg": "HS256", "typ": "crossapp-event+jwt", "kid": KEY.id}
        claims = json.loads(payload)
        assert claims.pop("digest") == json.loads(urlsafe_b64decode(f"{forged().split('.')[1]}=="))["digest"]
        assert claims == {
            "iss": "total-typescript",
            "aud": "ai-hero",
            "name": "bundle/purchased",
            "id": "bundle/purchased:total-typescript:pur_1:prod_9:v1789000000000:a0",
            "iat": int(NOW.timestamp()),
        }

    def test_unknown_peer(self) -> None:
        """
        For nobody that we know nothing is signed.
        """
        with pytest.raises(UnknownPeerError, match="no peer 'third' in the settings, only ai-hero"):
            sealed(target="third")

    @pytest.mark.parametrize("source", ["ai-hero", None])
    def test_foreign_event(self, source: str | None) -> None:
        """
        An app signs in its own name alone.
        """
        event = purchased(source_app=source)

        with pytest.raises(ValueError, match=f"total-typescript sends no event of {source}"):
            proofs.seal(event, settings=SELLER, target="ai-hero", id="e1", now=NOW)

    def test_previous_secret_signs_nothing(self) -> None:
        """
        During a rotation the new secret signs.
        """
        rotating = Settings("total-typescript", [peer("ai-hero", previous_secret=PREVIOUS)])

        assert sealed(settings=rotating) == sealed()


class TestRotation:
    def test_previous_secret_still_holds(self) -> None:
        """
        An event signed with the previous secret is taken until that is removed, whichever app is rotated first.
        """
        rotating = Settings("ai-hero", [peer("total-typescript", SECRET, previous_secret=PREVIOUS)])
        late = Settings("total-typescript", [peer("ai-hero", PREVIOUS)])

        assert read(sealed(), settings=rotating) == SOLD
        assert read(sealed(settings=late), settings=rotating) == SOLD
        assert refusal(sealed(settings=late)) == UNKNOWN_KEY


class TestSketchPeer:
    def test_without_secret(self) -> None:
        """
        Nothing is signed for a peer without a secret, and a proof that it sends says nothing.
        """
        sketch = Settings("ai-hero", [peer("total-typescript", "", sketch=True)])
        unsigned = sealed(purchased(source_app="ai-hero"), settings=sketch, target="total-typescript")

        assert "proof" not in unsigned.data
        assert read(changed(sealed(), proof=...), settings=sketch) == COUNTED
        assert read(changed(sealed(), proof=forged(key="")), settings=sketch) == COUNTED
        with pytest.raises(ValueError, match="the secret has 0 bytes, needs 32"):
            _ = sketch.peer("total-typescript").signing_key

    def test_with_secret(self) -> None:
        """
        The proof of a sketch peer that has a secret is checked, if there is one.
        """
        sketch = Settings("ai-hero", [replace(GRANTER.peer("total-typescript"), sketch=True)])

        assert read(sealed(), settings=sketch) == COUNTED
        assert read(changed(sealed(), proof=...), settings=sketch) == COUNTED
        assert refusal(changed(sealed(), productId="prod_10"), settings=sketch).startswith("signature")

    def test_without_source(self) -> None:
        """
        A sketch peer needn't say who it is, if it can be nobody else.
        """
        shop, other = peer("total-typescript", "", sketch=True), peer("third", THIRD)
        anonymous = changed(sealed(), proof=..., sourceApp=...)

        assert read(anonymous, settings=Settings("ai-hero", [shop])).source_app == "total-typescript"
        assert refusal(anonymous, settings=Settings("ai-hero", [shop, other])).startswith("source: sourceApp")
        assert refusal(anonymous, settings=GRANTER).startswith("source: sourceApp")

    def test_versions(self) -> None:
        """
        What a sketch peer grants counts as 1, what it revokes as 2, whatever it says.
        """
        sketch = Settings("ai-hero", [peer("total-typescript", "", sketch=True)])
        revoke = EntitlementRevoke(source_app="total-typescript", purchase_id="p", reason="refunded", version=9)
        said = changed(sealed(revoke), proof=..., reason="buyer was unhappy")

        assert read(sealed(), settings=sketch) == COUNTED
        assert read(said, EntitlementRevoke, settings=sketch) == revoke.model_copy(
            update={"version": 2, "reason": "manual"}
        )

    def test_what_it_cannot_send(self) -> None:
        """
        A sale must name a product of ours, and what only this library sends is none of a sketch peer's.
        """
        sketch = Settings("ai-hero", [peer("total-typescript", "", sketch=True)])
        failed = EntitlementFailed.from_wire(full(EntitlementFailed))

        assert "it must name the product of this app" in refusal(changed(sealed(), productId=...), settings=sketch)
        assert refusal(sealed(failed), EntitlementFailed, settings=sketch).startswith("event: entitlement/failed came")

    def test_product_of_a_revoke(self) -> None:
        """
        Only a sketch peer may revoke all of a purchase without naming a product.
        """
        revoke = EntitlementRevoke(source_app="total-typescript", purchase_id="p", reason="refunded", version=2)

        assert refusal(sealed(revoke), EntitlementRevoke).startswith("schema: the data of entitlement/revoke: product")


class TestKey:
    def test_id(self) -> None:
        """
        A secret's id is the same everywhere, another for another secret, and says nothing about it.
        """
        ids = {proofs.Key(peer("x", secret).secret).id for secret in (SECRET, SECRET, THIRD, PREVIOUS)}

        assert len(ids) == 3
        assert KEY.id in ids
        assert KEY.id == base64url(hmac.digest(SECRET.encode(), b"crossapp key id", "sha256"))[:16]

    @pytest.mark.parametrize("secret", ["", " ", "x" * 31, "ü" * 15])
    def test_short_secret(self, secret: str) -> None:
        """
        What can be guessed is no key; an empty one above all.
        """
        with pytest.raises(ValueError, match=r"the secret has \d+ bytes, needs 32"):
            proofs.Key(peer("x", secret).secret)
