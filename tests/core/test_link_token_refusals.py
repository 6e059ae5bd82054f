from __future__ import annotations

import json
import logging
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crossapp_core import Settings, proofs, tokens
from tests.core import signing
from tests.core.link_tokens import CLAIMS, HEADER, ID, forged, issued, reason_or_none, refusal, verified
from tests.core.signing import FOREIGN, KEY, THIRD, base64url, by_hand, peer

ROOT = Path(__file__).parents[2]
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0ü"
OTHER_ALGORITHMS: list[object] = [..., None, ["HS256"], 256, {}, ""]
STRANGE_KEYS = (
    *("../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "../../../../dev/null", "\0"),
    *("' OR 1=1 --", "http://127.0.0.1:9/key", "k" * 10_000),
)
WATCHED = """
import sys
from tests.core.link_tokens import forged, reason_or_none
from tests.core.test_link_token_refusals import STRANGE_KEYS
headers = [*({"kid": key} for key in STRANGE_KEYS), *({name: STRANGE_KEYS[5]} for name in ("jku", "x5u", "jwk"))]
strange = [forged(header) for header in headers]
events = []
sys.addaudithook(lambda name, _: events.append(name))
reasons = [reason_or_none(token) for token in strange]
looked = [name for name in events if name.startswith(("open", "os.", "socket.", "urllib.", "subprocess.", "sqlite3."))]
open(sys.executable).close()
print(*reasons, looked, events[-1])
"""


def _objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text() | st.sampled_from([*HEADER, *CLAIMS, "crit", "b64", "nbf"]), values, max_size=4)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | _objects(inner),
    max_leaves=8,
)


class TestMalformed:
    @pytest.mark.parametrize(
        "token",
        [
            *[None, ..., 7, True, [], {}, [forged()], forged().encode(), bytearray(b"a.b.c"), b""],
            *["", " ", ".", "..", "a.b", "a..c", ".b.c", "a.b.c.d", "a.b.c.d.e", "..", "....", f"{forged()}.a"],
            *[f" {forged()}", f"{forged()} ", f"{forged()}\n", f"\t{forged()}", f"{forged()}=", f"Bearer {forged()}"],
            *[forged().replace(".", "ü.", 1), forged().replace(".", ".\0", 1), "ä.b.c", "\ud800.b.c", "a.b.c\u0660"],
            forged().replace(".", "\uff0e"),
            forged().rpartition(".")[0],
            f"a.{'b' * 2_000_000}.c",
            "." * 2_000_000,
            by_hand(json.dumps(HEADER), "[" * 100_000),
            by_hand("[" * 100_000, json.dumps(CLAIMS)),
            by_hand("[" * 10_000, json.dumps(CLAIMS)),
            *[by_hand(header, json.dumps(CLAIMS)) for header in ("", "x", "[]", "null", "7", '"HS256"', "{", "\0")],
            "a.b.c",
            f"_.{forged().partition('.')[2]}",
            f"{base64url(bytes([255, 254]))}.b.c",
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_is_no_token(self, token: object) -> None:
        """
        What is no compact JWS with a JSON object for a header, or longer than any of ours, is refused.
        """
        assert refusal(token) == "malformed"

    @pytest.mark.parametrize(
        "payload",
        ["", "x", "[]", "null", "7", json.dumps([CLAIMS]), "[" * 20_000, '{"a":' * 4000, '{"exp": ' + "9" * 9999 + "}"],
        ids=lambda value: value[:20],
    )
    def test_content_is_no_object(self, payload: str) -> None:
        """
        Claims that are no JSON object are refused even where the peer has signed them.
        """
        assert refusal(by_hand(json.dumps(HEADER), payload)) == "malformed"

    def test_limit_of_length(self) -> None:
        """
        A long token is not even looked at.
        """
        long = forged(filler="x" * 28_000)
        longer = forged(filler="x" * 31_000)

        assert len(long) < 40_000 < len(longer)
        assert verified(long).id == ID
        assert refusal(longer) == "malformed"


class TestHeader:
    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            *[({"alg": alg}, "alg") for alg in ("none", "nOnE", "NONE", "HS512", "HS384", "RS256", "EdDSA", "hs256")],
            *[({"alg": alg}, "alg") for alg in OTHER_ALGORITHMS],
            *[
                ({"typ": typ}, "typ")
                for typ in (..., None, "", "JWT", "at+jwt", "crossapp-event+jwt", 1, [tokens.TYPE])
            ],
            *[
                ({"typ": typ}, "typ")
                for typ in ("CROSSAPP-LINK+JWT", "application/crossapp-link+jwt", f"{tokens.TYPE} ")
            ],
            *[({"crit": crit}, "crit") for crit in ([], ["exp"], ["b64"], "exp", None)],
            ({"crit": ["b64"], "b64": False}, "crit"),
            *[
                ({name: "https://evil.example/key"}, "header")
                for name in ("jku", "x5u", "x5c", "x5t", "cty", "b64", "zip", "KID", "Alg", "")
            ],
            ({"jwk": {"kty": "oct", "k": base64url(FOREIGN.encode())}}, "header"),
            ({"b64": False}, "header"),
            ({"kid": ...}, "header"),
            *[({"kid": kid}, "key") for kid in ("", "x", f"{KEY.id} ", KEY.id.lower(), KEY.id[:-1])],
            *[({"kid": kid}, "key") for kid in ("../../../../dev/null", "/etc/passwd", "file:///etc/passwd", "\0")],
            *[
                ({"kid": kid}, "key")
                for kid in ("' OR 1=1 --", "http://127.0.0.1:9/", None, 7, [KEY.id], {"a": KEY.id})
            ],
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_refused(self, header: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture) -> None:
        """
        The header is exactly our algorithm, type and key; nothing that it says is followed or logged.
        """
        with caplog.at_level(logging.DEBUG):
            assert refusal(forged(header)) == reason

        assert not caplog.records

    def test_opens_nothing(self) -> None:
        """
        Whatever a header names as the key, no file is opened for it and no connection.
        """
        shown = subprocess.run([sys.executable, "-c", WATCHED], check=True, cwd=ROOT, capture_output=True, text=True)

        assert shown.stdout == f"{'key ' * len(STRANGE_KEYS)}header header header [] open\n"

    def test_unsigned(self) -> None:
        """
        Without a signature a token holds nothing, whatever its algorithm is said to be.
        """
        for alg, reason in (("none", "alg"), ("nOnE", "alg"), ("HS256", "signature")):
            signed, _, _ = forged({"alg": alg}).rpartition(".")
            assert refusal(f"{signed}.") == reason

    def test_proof_of_an_event(self) -> None:
        """
        The proof of an event is no link token, and a link token no proof, though one secret signs both.
        """
        proof = signing.sealed().data["proof"]
        with_token = signing.changed(signing.sealed(), proof=issued())

        assert refusal(proof) == "typ"
        assert refusal(signing.forged(**CLAIMS)) == "typ"
        assert signing.refusal(with_token) == signing.OTHER_KIND


class TestSignature:
    @pytest.mark.parametrize(
        "token",
        [
            forged(key=FOREIGN),
            forged(key=THIRD),
            forged(key=KEY.id),
            forged(hash="sha512"),
            forged().replace(".", ".e30", 1),
            f"{forged().rpartition('.')[0]}.{forged(sub='mallory').rpartition('.')[2]}",
            f"{forged()[:-4]}",
            f"{forged()}AAAA",
        ],
        ids=range(8),
    )
    def test_foreign(self, token: str) -> None:
        """
        Only the secret of the two apps signs, and only as it stands.
        """
        assert refusal(token) == "signature"

    def test_unknown_key(self) -> None:
        """
        A secret that we don't know may be one that was rotated.
        """
        foreign = proofs.Key(peer("x", FOREIGN).secret)

        assert refusal(forged({"kid": foreign.id}, key=FOREIGN)) == "key"
        assert refusal(issued(), settings=Settings("ai-hero")) == "key"
        assert refusal(issued(), settings=Settings("ai-hero", [peer("total-typescript", "", sketch=True)])) == "key"

    @given(st.data())
    def test_flipped_bit(self, draw: st.DataObject) -> None:
        """
        A signature with any other bit in it doesn't hold.
        """
        signed, _, signature = issued().rpartition(".")
        octets = bytearray(urlsafe_b64decode(f"{signature}=="))
        bit = draw.draw(st.integers(0, len(octets) * 8 - 1))
        octets[bit // 8] ^= 1 << bit % 8

        assert refusal(f"{signed}.{base64url(bytes(octets))}") == "signature"

    @given(st.integers(0, len(issued()) - 1), st.sampled_from(CHARACTERS))
    @example(len(issued()) - 1, "A")
    def test_any_other_character(self, position: int, character: str) -> None:
        """
        A token with any other character in it is refused, or spells the same signature with idle bits.
        """
        token = issued()
        other = f"{token[:position]}{character}{token[position + 1 :]}"

        if other != token and reason_or_none(other) is None:
            assert position == len(token) - 1
            assert urlsafe_b64decode(f"{other.split('.')[2]}==") == urlsafe_b64decode(f"{token.split('.')[2]}==")
            assert verified(other) == verified(token)

    @given(st.sampled_from(range(len(issued()))))
    def test_missing_character(self, position: int) -> None:
        """
        A token with a character less is refused.
        """
        token = issued()

        assert reason_or_none(token[:position] + token[position + 1 :]) is not None


class TestAnything:
    @given(st.text() | st.binary() | JSON)
    def test_is_refused(self, token: object) -> None:
        """
        Nothing that isn't a token gets further than its refusal.
        """
        assert reason_or_none(token) == "malformed"

    @given(st.binary(min_size=1), st.binary(min_size=1))
    def test_any_octets(self, header: bytes, payload: bytes) -> None:
        """
        Neither does anything that is only spelled like one.
        """
        assert reason_or_none(f"{base64url(header)}.{base64url(payload)}.{base64url(payload)}") is not None

    @given(_objects(JSON), JSON)
    def test_any_signed_json(self, header: dict[str, Any], content: object) -> None:
        """
        A peer that signs nonsense is refused, by no other error.
        """
        for part in ({**HEADER, **header}, HEADER):
            assert reason_or_none(by_hand(json.dumps(part), json.dumps(content))) is not None

    @given(st.sampled_from(sorted(CLAIMS)), JSON)
    def test_any_claim(self, claim: str, value: Any) -> None:
        """
        Any claim of any kind is taken as it is, or refused.
        """
        reason = reason_or_none(forged(**{claim: value}))

        assert reason in {None, "iss", "aud", "claim", "lifetime", "not_yet_valid", "expired"}
        if reason is None and claim in {"sub", "return_to", "jti"}:
            read = verified(forged(**{claim: value}))
            assert {"sub": read.user_id, "return_to": read.return_to, "jti": read.id}[claim] == value
