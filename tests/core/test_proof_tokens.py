from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core import proofs
from tests.core.signing import (
    CHANGED,
    FOREIGN,
    KEY,
    NO_JWS,
    NOW,
    OTHER_KIND,
    SOLD,
    UNKNOWN_KEY,
    UNSOUND,
    base64url,
    by_hand,
    changed,
    forged,
    peer,
    read,
    refusal,
    sealed,
)

ABSENT: list[object] = [None, ..., 7, True, [], {}, [forged()]]
OTHER_NAMES: list[object] = [..., None, "entitlement/revoke", "bundle/purchased ", []]
OTHER_DIGESTS: list[object] = [..., None, "", "é", 7, "A" * 43, [], {}]


class TestProof:
    def test_made_by_hand(self) -> None:
        """
        The proof is what the contract says, made here without the library.
        """
        assert read(changed(sealed(), proof=forged())) == SOLD

    @pytest.mark.parametrize(
        ("proof", "reason"),
        [
            *[(absent, "signature: the event has no proof") for absent in ABSENT],
            *[(wrong, NO_JWS) for wrong in ("", " ", ".", "..", "a.b", "a.b.c.d.e", f"{forged()}.a", f" {forged()}")],
            *[
                (wrong, NO_JWS)
                for wrong in (f"{forged()}\n", f"{forged()}=", "ä.b.c", "a.b.\0", forged().rpartition(".")[0])
            ],
            (f"a.{'b' * 2_000_000}.c", NO_JWS),
            (forged({"kid": "k" * 10_000}), NO_JWS),
            ("a.b.c", UNSOUND),
            (f"{base64url(b'[]')}.b.c", UNSOUND),
            (by_hand("[" * 2000, "{}"), UNSOUND),
            (by_hand('{"alg":"HS256","typ":"crossapp-event+jwt","kid":"%s"}' % KEY.id, "[" * 2000), UNSOUND),  # noqa: UP031
            (by_hand('{"alg":"HS256","typ":"crossapp-event+jwt","kid":"%s"}' % KEY.id, "[]"), UNSOUND),  # noqa: UP031
            (by_hand('{"alg":"HS256","typ":"crossapp-event+jwt","kid":"%s"}' % KEY.id, "x"), UNSOUND),  # noqa: UP031
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_is_no_proof(self, proof: object, reason: str) -> None:
        """
        What is missing, is no compact JWS, or is too long or too deep to be one, is refused.
        """
        assert refusal(changed(sealed(), proof=proof)).startswith(reason)

    def test_bytes(self) -> None:
        """
        A proof is text; JSON has no bytes, so they are none.
        """
        with_bytes = type("Raw", (), {"name": SOLD.name, "id": SOLD.event_id(), "data": {}})()
        with_bytes.data = {**SOLD.to_wire(), "proof": forged().encode()}

        assert refusal(with_bytes).startswith("signature: the event has no proof")

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            *[
                ({"alg": alg}, OTHER_KIND)
                for alg in ("none", "nOnE", "NONE", "HS512", "HS384", "RS256", "EdDSA", "hs256")
            ],
            *[({"alg": alg}, OTHER_KIND) for alg in (..., ["HS256"], 256)],
            *[
                ({"typ": typ}, OTHER_KIND)
                for typ in (..., "JWT", "at+jwt", "crossapp-link+jwt", "CROSSAPP-EVENT+JWT", 1)
            ],
            *[({"crit": crit}, "signature: the proof ") for crit in ([], ["exp"], ["b64"], "exp")],
            ({"cty": "JWT"}, OTHER_KIND),
            *[
                ({name: "https://evil.example/k"}, OTHER_KIND)
                for name in ("jku", "x5u", "x5c", "jwk", "b64", "zip", "KID")
            ],
            *[
                ({"kid": kid}, UNKNOWN_KEY)
                for kid in ("", "x", "../../../etc/passwd", "' OR 1=1", f"{KEY.id} ", "k" * 999)
            ],
            *[({"kid": kid}, UNSOUND) for kid in (7, None, [KEY.id], {"a": 1})],
            ({"kid": ...}, OTHER_KIND),
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_header(self, header: dict[str, Any], reason: str) -> None:
        """
        The header is exactly our algorithm, type and key: nothing that it says is followed.
        """
        assert refusal(changed(sealed(), proof=forged(header))).startswith(reason)

    def test_without_signature(self) -> None:
        """
        A proof whose algorithm is none holds nothing, with a signature or without.
        """
        for alg in ("none", "nOnE", "HS256"):
            signed, _, _ = forged({"alg": alg}).rpartition(".")
            assert refusal(changed(sealed(), proof=f"{signed}.")) == NO_JWS

    @pytest.mark.parametrize(
        ("proof", "reason"),
        [
            (forged(key=FOREIGN), UNSOUND),
            (forged(hash="sha512"), UNSOUND),
            (forged({"kid": proofs.Key(peer("x", FOREIGN).secret).id}, key=FOREIGN), UNKNOWN_KEY),
        ],
    )
    def test_foreign_key(self, proof: str, reason: str) -> None:
        """
        Only the secret of the pair signs, by our algorithm.
        """
        assert refusal(changed(sealed(), proof=proof)) == reason

    @given(st.data())
    def test_flipped_bit(self, draw: st.DataObject) -> None:
        """
        A proof with any other bit in it doesn't hold.
        """
        parts = str(sealed().data["proof"]).split(".")
        part = draw.draw(st.integers(0, 2))
        octets = bytearray(urlsafe_b64decode(parts[part] + "=="))
        bit = draw.draw(st.integers(0, len(octets) * 8 - 1))
        octets[bit // 8] ^= 1 << bit % 8
        parts[part] = base64url(bytes(octets))

        assert refusal(changed(sealed(), proof=".".join(parts))).startswith("signature: the proof ")

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            *[({"iss": iss}, "signature: signed by") for iss in (..., None, "t", "total-typescriptx", "ai-hero")],
            *[({"iss": iss}, "signature: signed by") for iss in (["total-typescript"], 7)],
            *[
                ({"aud": aud}, "target: signed for")
                for aud in (..., None, "third", "AI-HERO", ["ai-hero"], ["x", "ai-hero"])
            ],
            *[({"name": name}, "event: signed as") for name in OTHER_NAMES],
            *[({"id": id_}, "signature: signed for an event") for id_ in (..., None, "", 7, [SOLD.event_id()])],
            *[({"digest": digest}, CHANGED) for digest in OTHER_DIGESTS],
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_claims(self, claims: dict[str, Any], reason: str) -> None:
        """
        A proof says who sends what to whom, to the letter; less or anything else is none.
        """
        assert refusal(changed(sealed(), proof=forged(**claims))).startswith(reason)

    @pytest.mark.parametrize("iat", [NOW - timedelta(days=1), NOW + timedelta(days=1), NOW.replace(year=1980)])
    def test_time_is_information(self, iat: Any) -> None:
        """
        When it was signed says nothing: runs are replayed for days, and clocks differ.
        """
        proof = forged(iat=int(iat.timestamp()), exp=1, nbf=4_000_000_000, jti=7, sub=[])

        assert read(changed(sealed(), proof=proof)) == SOLD
        assert read(changed(sealed(), proof=forged(iat=...))) == SOLD
