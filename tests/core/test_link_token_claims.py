from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from crossapp_core import LinkTokenError, Settings, proofs
from tests.core.link_tokens import ID, ISSUED, READ, forged, issued, refusal, verified
from tests.core.signing import GRANTER, NOW, SELLER, THIRD, peer

WRONG: dict[str, list[Any]] = {
    "sub": [
        *("", None, 7, True, [], {}, ["user_5Tn1"], "u" * 192, "u" * 10_240, " u", "u "),
        *("\0", "u\0", "u\n", "\x1b[2J", "u\x7f", "u\x85", "\u2028", "\ud800"),
    ],
    "jti": [
        *("", None, 7, 10**20, [], "x" * 15, "x" * 192, " " * 16, "x" * 16 + "\n", "x" * 16 + " "),
        *("\0" * 16, "ü" * 16, "x" * 8 + "\u3000" + "x" * 8, "\ud800" * 16),
    ],
    "email": [
        *("", "ada", "@", "a@", "a@b@example.com", "a b@example.com", 7, [], True),
        *("ada@example.com\0", "x" * 65 + "@example.com", "a\ud800@example.com", "a@" + "x" * 9999),
    ],
    "return_to": [7, True, [], {}, "x" * 2001, "/\0", "/\r\nSet-Cookie: a=b", "/\x85", "/\u2029", "/\ud800"],
}


class TestTimes:
    @pytest.mark.parametrize(
        ("after", "taken"),
        [(-30, True), (-31, False), (0, True), (629, True), (629.9, True), (630, False), (631, False), (10**8, False)],
    )
    def test_leeway(self, after: float, taken: bool) -> None:  # noqa: FBT001, RUF100
        """
        A token holds from 30 s before its issue until 30 s after its expiry, by the clock that is given.
        """
        now = NOW + timedelta(seconds=after)

        if taken:
            assert verified(issued(), now=now) == READ
        else:
            assert refusal(issued(), now=now) == ("not_yet_valid" if after < 0 else "expired")

    def test_time_zone(self) -> None:
        """
        The clock's time zone says nothing.
        """
        far = NOW.astimezone(timezone(timedelta(hours=13)))

        assert verified(issued(now=far), now=far) == READ

    @pytest.mark.parametrize("year", [1, 9999])
    def test_ends_of_time(self, year: int) -> None:
        """
        A clock that is very wrong refuses all, and that is all that it does.
        """
        now = datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, tzinfo=UTC)

        assert refusal(issued(), now=now) == ("not_yet_valid" if year == 1 else "expired")

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"exp": ISSUED + 601}, "lifetime"),
            ({"exp": ISSUED + 100 * 365 * 86_400}, "lifetime"),
            ({"iat": 0}, "lifetime"),
            ({"exp": ISSUED}, "lifetime"),
            ({"exp": ISSUED - 1}, "lifetime"),
            ({"iat": 0, "exp": 600}, "expired"),
            ({"iat": ISSUED + 31, "exp": ISSUED + 60}, "not_yet_valid"),
            ({"nbf": ISSUED + 31}, "not_yet_valid"),
            ({"iat": ISSUED - 600, "exp": ISSUED - 30}, "expired"),
        ],
        ids=ascii,
    )
    def test_refused(self, claims: dict[str, Any], reason: str) -> None:
        """
        A token holds ten minutes at most, and only now.
        """
        assert refusal(forged(**claims)) == reason

    @pytest.mark.parametrize(
        "claims", [{"iat": ISSUED + 30}, {"iat": ISSUED - 629, "exp": ISSUED - 29}, {"exp": ISSUED + 1}]
    )
    def test_taken(self, claims: dict[str, Any]) -> None:
        """
        Just inside its limits a token holds.
        """
        assert verified(forged(**claims)).id == ID


class TestIssuer:
    @pytest.mark.parametrize(
        "iss",
        [
            *("t", "total-typescriptx", "total-typescrip", "TOTAL-TYPESCRIPT", " total-typescript", "ai-hero", "third"),
            *("", None, ..., 7, True, ["total-typescript"], {"total-typescript": 1}),
        ],
        ids=ascii,
    )
    def test_other(self, iss: object) -> None:
        """
        The issuer is exactly the peer whose secret signed.
        """
        assert refusal(forged(iss=iss)) == "iss"

    def test_in_another_name(self) -> None:
        """
        A peer can't ask in another peer's name with the secret that it has.
        """
        third = proofs.Key(peer("x", THIRD).secret)

        assert verified(forged({"kid": third.id}, key=THIRD, iss="third")).issuer == "third"
        assert refusal(forged({"kid": third.id}, key=THIRD)) == "iss"

    def test_own_token(self) -> None:
        """
        The token that we issued ourselves is nothing that we take, though its secret is ours.
        """
        assert refusal(issued(), settings=SELLER) == "iss"
        assert refusal(issued(GRANTER, "total-typescript")) == "iss"


class TestAudience:
    @pytest.mark.parametrize(
        "aud",
        [
            *(["ai-hero"], ["ai-hero", "third"], ["third"], [], {"ai-hero": 1}),
            *(..., None, "", "third", "AI-HERO", "ai-her", "ai-heroo", "total-typescript", "*", 7, True),
        ],
        ids=ascii,
    )
    def test_other(self, aud: object) -> None:
        """
        A token is for this app alone, which stands there by itself and in no list.
        """
        assert refusal(forged(aud=aud)) == "aud"

    def test_signed_for_another_app(self) -> None:
        """
        What was signed for another app isn't for us, though its secret be the same.
        """
        assert refusal(issued(), settings=Settings("third", [peer("total-typescript")])) == "aud"


class TestClaims:
    @pytest.mark.parametrize("claim", ["sub", "email", "jti", "iat", "exp", "return_to"])
    def test_missing(self, claim: str) -> None:
        """
        No claim may be left out.
        """
        left_out: dict[str, Any] = {claim: ...}

        assert refusal(forged(**left_out)) == "claim"

    @pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
    @pytest.mark.parametrize(
        "value",
        [
            *(
                None,
                True,
                False,
                str(ISSUED + 60),
                "",
                "soon",
                [],
                {},
                [ISSUED + 60],
                ISSUED + 60.5,
                float(ISSUED + 60),
            ),
            *(float("inf"), float("-inf"), float("nan"), 10**30, -(10**30), 10**4000, -1, 253_402_300_800, 1e300),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_times(self, claim: str, value: Any) -> None:
        """
        Times are whole seconds that a calendar has.
        """
        assert refusal(forged(**{claim: value})) == "claim"

    @pytest.mark.parametrize(
        ("claim", "value"),
        [(claim, value) for claim, values in WRONG.items() for value in values],
        ids=lambda value: ascii(value)[:30],
    )
    def test_wrong(self, claim: str, value: Any) -> None:
        """
        What is no id, no address or no text for people is refused.
        """
        assert refusal(forged(**{claim: value})) == "claim"

    def test_is_named(self) -> None:
        """
        The log says which claim is wrong, not what it holds.
        """
        with pytest.raises(LinkTokenError) as caught:
            verified(forged(email="eve at example.com"))

        assert str(caught.value) == "claim: email must be an e-mail address or null"

    def test_address_is_normalised(self) -> None:
        """
        An address is read in the form in which addresses are compared.
        """
        assert verified(forged(email=" Ada@EXAMPLE.com")).email == "ada@example.com"
