from __future__ import annotations

import copy
import json
import pickle
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core import CrossAppConfigError, LinkTokenError, Settings, UnknownPeerError, addresses, tokens
from crossapp_core.testing import strategies
from tests.core.link_tokens import (
    ASKED,
    BACK,
    CLAIMS,
    HEADER,
    ISSUED,
    READ,
    USER,
    forged,
    issued,
    refusal,
    verified,
)
from tests.core.signing import ADDRESS, GRANTER, NOW, PREVIOUS, SECRET, SELLER, THIRD, by_hand, peer

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=2000)
TOKEN_IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16, max_size=191)


class TestIssue:
    def test_content(self) -> None:
        """
        A token holds the header and the claims of the contract, no more and no less.
        """
        header, payload, _ = (urlsafe_b64decode(f"{part}==") for part in issued().split("."))

        assert json.loads(header) == HEADER
        assert json.loads(payload) == CLAIMS

    def test_any_library_reads_it(self) -> None:
        """
        A token is a JWT like any other.
        """
        token = tokens.issue(SELLER, "ai-hero", **ASKED, now=datetime.now(UTC))

        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="ai-hero", issuer="total-typescript")

        assert claims["sub"] == USER

    def test_address_is_normalised(self) -> None:
        """
        The address goes in the form in which addresses are compared, so that the peer needn't know how.
        """
        assert issued(email=" Ada@EXAMPLE.com") == issued(email="ada@example.com")

    def test_without_address_and_way_back(self) -> None:
        """
        What isn't known stands there as null.
        """
        token = issued(email=None, return_to=None)
        claims = json.loads(urlsafe_b64decode(f"{token.split('.')[1]}=="))

        assert (claims["email"], claims["return_to"]) == (None, None)
        assert (verified(token).email, verified(token).return_to) == (None, None)

    @pytest.mark.parametrize(
        ("changed", "problem"),
        [
            *[({"user_id": wrong}, "user_id must be 1 to 191 printable") for wrong in ("", "x" * 192, " u", "u\0", 7)],
            *[({"user_id": wrong}, "user_id must be") for wrong in (None, b"user", "u\ud800", "u\n", "\u2028")],
            *[({"email": wrong}, "email must be an e-mail address or null") for wrong in ("", "ada", "a@b@c.de", 7)],
            *[({"return_to": wrong}, "return_to must be a text of at most 2000") for wrong in ("x" * 2001, "/\r\n", 7)],
            *[({"id": wrong}, "id must be 16 to 191 visible ASCII") for wrong in ("", "x" * 15, "x" * 192, None)],
            *[({"id": wrong}, "id must be") for wrong in (" " * 16, "x" * 16 + " ", "ü" * 16, "x" * 16 + "\n", 10**20)],
            *[({"life": timedelta(seconds=s)}, "life must be 1 to 600 s") for s in (601, 600.1, 0.9, 0, -1)],
            ({"now": datetime(2026, 9, 1)}, "now needs a time zone"),  # noqa: DTZ001
            ({"now": datetime(1969, 9, 1, tzinfo=UTC)}, "now must be a time in whole seconds since 1970"),
            ({"now": datetime.max.replace(tzinfo=UTC)}, "now must be"),
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_wrong_argument(self, changed: dict[str, Any], problem: str) -> None:
        """
        A wrong argument is named, with what it must be, and not repeated.
        """
        with pytest.raises(ValueError, match=f"^{re.escape(problem)}") as caught:
            issued(**changed)

        assert not isinstance(caught.value, LinkTokenError)
        assert caught.value.__context__ is None
        assert not any(str(value) in str(caught.value) for value in changed.values() if len(str(value)) > 14)
        assert ADDRESS not in str(caught.value)

    @pytest.mark.parametrize("target", ["third", "total-typescript", "", "AI-HERO"])
    def test_unknown_peer(self, target: str) -> None:
        """
        For an app that we don't know, ourselves included, there is no token.
        """
        with pytest.raises(UnknownPeerError, match="in the settings, only ai-hero"):
            issued(target=target)

    def test_peer_without_secret(self) -> None:
        """
        A peer that may be without a secret needs one to be linked with, and the message says which setting it is.
        """
        sketch = Settings("total-typescript", [peer("ai-hero", "", sketch=True, env_prefix="AI_HERO")])

        with pytest.raises(CrossAppConfigError) as caught:
            issued(sketch)

        assert caught.value.problems == (
            "AI_HERO_CROSS_APP_SECRET is not set: a link with ai-hero needs one, the same in both apps",
        )


class TestVerify:
    def test_issued(self) -> None:
        """
        The peer reads what was issued.
        """
        assert verified(issued()) == READ

    def test_made_by_hand(self) -> None:
        """
        A token made without the library is read the same, whatever the order of its parts.
        """
        header = dict(reversed(HEADER.items()))
        claims = dict(reversed(CLAIMS.items()))

        assert verified(forged()) == READ
        assert verified(by_hand(json.dumps(header, indent=1), json.dumps(claims, indent=1))) == READ

    def test_both_ways(self) -> None:
        """
        Either app may ask.
        """
        token = issued(GRANTER, "total-typescript", user_id="school-ada")
        read = verified(token, settings=SELLER)

        assert (read.issuer, read.user_id) == ("ai-hero", "school-ada")

    def test_one_of_several_peers(self) -> None:
        """
        The key says which of the peers it is.
        """
        third = Settings("third", [peer("ai-hero", THIRD)])

        assert verified(issued(third)).issuer == "third"

    @given(
        strategies.ids,
        strategies.optional(strategies.emails),
        strategies.optional(TEXTS),
        TOKEN_IDS,
        strategies.times,
        st.integers(1, 600),
    )
    def test_any_claims(  # noqa: PLR0913, RUF100
        self, user_id: str, email: str | None, return_to: str | None, id_: str, now: datetime, life: int
    ) -> None:
        """
        Whatever may be asked comes whole out of the token: the address normalised, the time in whole seconds.
        """
        claims: dict[str, Any] = {"user_id": user_id, "email": email, "return_to": return_to, "id": id_}
        token = issued(**claims, now=now, life=timedelta(seconds=life))
        issued_at = now.astimezone(UTC).replace(microsecond=0)

        assert verified(token, now=now) == tokens.LinkToken(
            issuer="total-typescript",
            user_id=user_id,
            email=addresses.normalise_or_none(email),
            return_to=return_to,
            id=id_,
            issued_at=issued_at,
            expires_at=issued_at + timedelta(seconds=life),
        )

    @pytest.mark.parametrize("character", ["x", "ü", "😀"])
    def test_longest(self, character: str) -> None:
        """
        The longest claims still make a token that is read.
        """
        longest: dict[str, Any] = {
            "user_id": character * 191,
            "email": f"{character * 64}@{'a.' * 90}de",
            "id": "x" * 191,
        }
        read = verified(issued(**longest, return_to=character * 2000))

        assert (read.user_id, read.return_to) == (character * 191, character * 2000)

    def test_other_claims(self) -> None:
        """
        Claims that we don't know change nothing.
        """
        assert verified(forged(name="Ada", admin=True, nested={"a": [1.5, None]}, nbf=ISSUED)) == READ

    def test_repr(self) -> None:
        """
        What is read shows neither address nor way back, which may hold anything.
        """
        assert ADDRESS not in repr(READ)
        assert BACK not in repr(READ)
        assert USER in repr(READ)

    def test_is_a_value(self) -> None:
        """
        What is read goes through pickle and copy unchanged, and never changes.
        """
        assert pickle.loads(pickle.dumps(READ)) == copy.deepcopy(READ) == READ
        with pytest.raises(AttributeError):
            READ.user_id = "other"  # type: ignore[misc]

    def test_time_without_zone(self) -> None:
        """
        A clock without a time zone is a mistake of ours, not of the token.
        """
        with pytest.raises(ValueError, match="now needs a time zone"):
            verified(issued(), now=NOW.replace(tzinfo=None))


class TestRotation:
    def test_previous_secret_holds(self) -> None:
        """
        During a rotation a token under the previous secret is read, once that is removed it no longer is.
        """
        rotating = Settings("ai-hero", [peer("total-typescript", SECRET, previous_secret=PREVIOUS)])
        late = Settings("total-typescript", [peer("ai-hero", PREVIOUS)])

        assert verified(issued(), settings=rotating) == READ
        assert verified(issued(late), settings=rotating) == READ
        assert refusal(issued(late)) == "key"

    def test_new_secret_signs(self) -> None:
        """
        During a rotation new tokens are signed with the new secret.
        """
        rotating = Settings("total-typescript", [peer("ai-hero", previous_secret=PREVIOUS)])

        assert issued(rotating) == issued()


class TestError:
    @pytest.mark.parametrize(
        "copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"]
    )
    def test_crosses_processes(self, copied: Callable[[LinkTokenError], LinkTokenError]) -> None:
        """
        The reason is still known elsewhere.
        """
        with pytest.raises(LinkTokenError) as caught:
            verified(issued(), now=NOW + timedelta(hours=1))
        other = copied(caught.value)

        assert (other.reason, str(other)) == ("expired", "expired: the token has expired")
        assert other.status == 400

    @pytest.mark.parametrize("reason", ["malformed", "signature", "aud", "expired", "not_yet_valid", "replayed"])
    def test_sentence(self, reason: str) -> None:
        """
        A person is told that the link doesn't work and where to begin anew, in words that name no check.
        """
        sentence = LinkTokenError(reason, "x").sentence("Total TypeScript")

        assert re.fullmatch(r"This link .+\. Start again from Total TypeScript\.", sentence)
        assert not re.search("malformed|signature|aud|_", sentence)
