from __future__ import annotations

import unicodedata

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core import addresses
from crossapp_core.testing import strategies


class TestNormalise:
    @pytest.mark.parametrize(
        ("address", "normal"),
        [
            ("Ada@Example.COM", "ada@example.com"),
            ("  ada@example.com\t\n", "ada@example.com"),
            ("a.d.a+books@gmail.com", "a.d.a+books@gmail.com"),
            ("jose\u0301@example.com", "jos\u00e9@example.com"),
            ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
            ("ada@bücher。example", "ada@xn--bcher-kva.example"),
            ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
            ("ada@localhost", "ada@localhost"),
            ("';--<b>{{x}}@example.com", "';--<b>{{x}}@example.com"),
        ],
    )
    def test_is_one_form(self, address: str, normal: str) -> None:
        """
        Case, spaces around, composition and the script of the domain make no difference; dots and plus tags do.
        """
        assert addresses.normalise(address) == normal

    @pytest.mark.parametrize(
        "lookalike",
        ["\u0430da@example.com", "ada@ex\u0430mple.com", "adá@example.com", "a.da@example.com", "ada+1@example.com"],
    )
    def test_lookalike_is_another(self, lookalike: str) -> None:
        """
        A Cyrillic letter, an accent, a dot or a tag is another address.
        """
        assert addresses.normalise(lookalike) != addresses.normalise("ada@example.com")

    @pytest.mark.parametrize(
        "address",
        [
            *("", " ", "@", "ada", "ada@", "@example.com", "a\uff20example.com"),
            *("a b@example.com", "a\r\nBcc: b@example.com", "a\0@example.com", "a\ud800@example.com"),
            *("a\u200b@example.com", "\u202eada@example.com", "a\u3000b@example.com"),
            *("eve@evil.com@example.com", '"a@b"@example.com', "ada@example.com,eve@example.com"),
            *("ada@-a.com", "ada@a..com", "ada@.com", "ada@example.com.", "ada@a。", "ada@ex ample.com", "ada@a_b.com"),
            *("ada@a／b.com", "ada@b＠c.com", "ada@[127.0.0.1]", "ada@xn--", "ada@\ud800.com", "ada@ab--cd.com"),
            *("a" * 65 + "@example.com", f"ada@{'a' * 64}.com", f"ada@{'a.' * 125}com", "ada@" + "ü" * 1_000_000),
        ],
    )
    def test_refuses_what_is_none(self, address: str) -> None:
        """
        What is no address is refused, without being repeated in the message.
        """
        with pytest.raises(ValueError, match="is no e-mail address") as caught:
            addresses.normalise(address)

        assert address.strip(" @") == "" or address not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_longest(self) -> None:
        """
        64 characters before the @ and 254 in all are taken, one more is not.
        """
        address = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 61}"

        assert addresses.normalise(address) == address
        with pytest.raises(ValueError, match="has 255 characters, at most 254 are allowed"):
            addresses.normalise(f"{address}d")
        with pytest.raises(ValueError, match="has 1001 characters, at most 254 are allowed"):
            addresses.normalise(" " * 1001)

    @given(strategies.emails)
    def test_is_idempotent(self, address: str) -> None:
        """
        A normalised address is its own normal form, composed and in lower case.
        """
        normal = addresses.normalise(address)

        assert addresses.normalise(normal) == normal
        assert normal == unicodedata.normalize("NFC", normal).lower()

    @given(st.from_regex(r"[a-z0-9-]{1,64}(\.[a-z0-9-]{1,5}){0,2}", fullmatch=True))
    def test_plain_domain_is_as_idna_says(self, domain: str) -> None:
        """
        The short cut for plain domains comes to what the library says.
        """
        try:
            expected = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            assert addresses.normalise_or_none(f"a@{domain}") is None
        else:
            assert addresses.normalise(f"a@{domain}") == f"a@{expected}"


class TestNormaliseOrNone:
    @pytest.mark.parametrize(("address", "normal"), [(None, None), ("ada", None), ("ADA@x.com", "ada@x.com")])
    def test_is_none_for_no_address(self, address: str | None, normal: str | None) -> None:
        """
        What is no address is None, what is one is normalised.
        """
        assert addresses.normalise_or_none(address) == normal


class TestMasked:
    @pytest.mark.parametrize(
        ("address", "shown"),
        [("ada@example.com", "a…@example.com"), ("a@x.com", "a…@x.com"), ("ada", "…"), ("", "…")],
    )
    def test_shows_one_letter(self, address: str, shown: str) -> None:
        """
        Of the part before the @ only the first letter is shown, of what is no address nothing.
        """
        assert addresses.masked(address) == shown
