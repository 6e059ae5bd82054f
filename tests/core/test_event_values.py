from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from crossapp_core.events import (
    LARGEST_INTEGER,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    Event,
    UserOAuthLogin,
)
from tests.core.samples import every_kind, full, linked, purchased


class TestConstruction:
    @every_kind
    @pytest.mark.parametrize("key", ["_inngest", "__proto__", "Data", "EMAIL", "purchaseId", "sourceApp", "name", "ts"])
    def test_refuses_unknown_fields(self, kind: type[Event], key: str) -> None:
        """
        A field that the event doesn't have is refused, in camelCase too, and the error names it.
        """
        with pytest.raises(ValidationError, match=rf"\n{key}\n  Extra inputs are not permitted"):
            kind(**{key: "x"})

    @pytest.mark.parametrize("field", ["purchase_id", "product_id", "buyer_user_id", "bundle_product_id"])
    @pytest.mark.parametrize(
        "value",
        [
            *("", " ", " p1", "p1\n", "p1\u00a0", "p\u00001", "p\n1", "p\x7f1", "p\x9f1", "p\u20281", "p\ud8001"),
            *("x" * 192, "x" * 3000, "x" * 300_000, 7, True, b"pur_1", ["p1"], {"p1": 1}),
        ],
        ids=ascii,
    )
    def test_refuses_ids(self, field: str, value: object) -> None:
        """
        An id is 1 to 191 visible characters, and text; the error names the field and doesn't repeat the value.
        """
        with pytest.raises(ValidationError) as caught:
            purchased(**{field: value})

        assert [entry["loc"] for entry in caught.value.errors()] == [(field,)]
        assert f"\n{field}\n" in str(caught.value)
        assert len(str(caught.value)) < 300

    def test_takes_ids(self) -> None:
        """
        191 characters are taken as they are, whatever script or mark-up they are in.
        """
        for id_ in ("x" * 191, "é" * 191, "'; DROP TABLE users; --", "<script>{{7*7}}", "a b", "../../etc", "0"):
            assert purchased(purchase_id=id_).to_wire()["purchaseId"] == id_

    @pytest.mark.parametrize(
        "value",
        [
            *(0, -1, LARGEST_INTEGER + 1, 2**63, 2**64, 10**30, True, False, 1.0, 1.5, "1", None),
            *(float("nan"), float("inf"), float("-inf"), [1]),
        ],
    )
    def test_refuses_versions(self, value: object) -> None:
        """
        A version is an integer from 1 to 2**53 - 1: no boolean, no float, no text.
        """
        with pytest.raises(ValidationError) as caught:
            purchased(version=value)

        assert [entry["loc"] for entry in caught.value.errors()] == [("version",)]

    def test_takes_the_largest_version(self) -> None:
        """
        What every JSON implementation can count to is taken.
        """
        assert purchased(version=2**53 - 1).version == 9_007_199_254_740_991

    @pytest.mark.parametrize("value", ["ada", "ada@", "ada@example.com\r\nBcc: eve@evil.com", "x" * 300_000, "", 1])
    def test_refuses_addresses(self, value: object) -> None:
        """
        What is no e-mail address is refused; the error names the field and doesn't repeat it.
        """
        for make, field in [(purchased, "buyer_email"), (linked, "email"), (linked, "linked_email")]:
            with pytest.raises(ValidationError, match=rf"\n{field}\n") as caught:
                make(**{field: value})
            assert not re.search("ada|eve|xxx", str(caught.value))

    def test_normalises_addresses(self) -> None:
        """
        An address is kept in the form in which addresses are compared.
        """
        assert purchased(buyer_email=" Ada+Books@Example.COM ").buyer_email == "ada+books@example.com"

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (datetime(2026, 1, 31, 12), "needs a time zone"),  # noqa: DTZ001
            ("2026-01-31T12:00:00", "needs a time zone"),
            ("2026-01-31", "needs a time zone"),
            ("yesterday", "must be a time in ISO 8601"),
            ("\ud800", "must be a time in ISO 8601"),
            ("9" * 300_000, "must be a time in ISO 8601"),
            (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "out of range"),
            (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "out of range"),
            (1_789_000_000, "valid datetime"),
            (True, "valid datetime"),
            (None, "valid datetime"),
        ],
        ids=lambda value: str(value)[:30].encode("ascii", "replace").decode(),
    )
    def test_refuses_times(self, value: object, problem: str) -> None:
        """
        A time knows its zone; a number is none.
        """
        with pytest.raises(ValidationError, match=rf"\nlinked_at\n .*{problem}") as caught:
            linked(linked_at=value)

        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("source_app", ["", "Total", "-a", "a b", "a/b", "a\n", "ä", "a" * 65, 1]),
            ("linked_app", ["", "AI-Hero", "ai_hero", "ai-hero\n", None]),
            ("link_method", ["", "oauth", "oauth-", "oauth-GitHub", "OAUTH-github", "explicit ", f"oauth-{'a' * 41}"]),
        ],
    )
    def test_refuses_words(self, field: str, values: list[object]) -> None:
        """
        App ids, providers and link methods are of their own small alphabets.
        """
        for value in values:
            with pytest.raises(ValidationError, match=rf"\n{field}\n"):
                linked(**{field: value})

    @pytest.mark.parametrize(
        ("kind", "field", "value"),
        [
            (EntitlementGranted, "status", "revoked"),
            (EntitlementGranted, "status", "ACTIVE"),
            (EntitlementRevoke, "reason", "refund"),
            (EntitlementRevoke, "reason", None),
            (EntitlementFailed, "code", "Unknown Product"),
            (EntitlementFailed, "code", "x" * 65),
            (EntitlementFailed, "message", ""),
            (EntitlementFailed, "message", "x" * 501),
            (EntitlementFailed, "message", "a\nb"),
            (BundlePurchased, "quiet", 1),
            (BundlePurchased, "quiet", "true"),
            (UserOAuthLogin, "provider", "Git Hub"),
            (UserOAuthLogin, "provider", "x" * 41),
            (UserOAuthLogin, "provider_account_id", 1234),
        ],
    )
    def test_refuses_other_words(self, kind: type[Event], field: str, value: object) -> None:
        """
        Statuses, reasons, codes, sentences and flags are what the contract says and nothing near it.
        """
        fields = {name: getattr(kind.from_wire(full(kind)), name) for name in kind.model_fields}

        with pytest.raises(ValidationError, match=rf"\n{field}\n"):
            kind(**{**fields, field: value})

    def test_names_every_problem(self) -> None:
        """
        All wrong fields are told at once.
        """
        with pytest.raises(ValidationError) as caught:
            purchased(purchase_id="", version=0, buyer_email="ada")

        assert {entry["loc"] for entry in caught.value.errors()} == {("purchase_id",), ("version",), ("buyer_email",)}


class TestValue:
    @every_kind
    def test_is_frozen_and_hashable(self, kind: type[Event]) -> None:
        """
        An event never changes, and equal ones are one in a set.
        """
        event = kind.from_wire(full(kind))

        with pytest.raises(ValidationError, match="Instance is frozen"):
            event.source_app = "ai-hero"
        assert {event, kind.from_wire(full(kind))} == {event}
        assert event != kind.from_wire({**full(kind), "sourceApp": "ai-hero"})

    def test_hides_addresses(self) -> None:
        """
        Of an address no more is shown than its owner needs to know it.
        """
        event = linked(email="ada@example.com", linked_email="ada@example.org")

        for shown in (repr(event), str(event), f"{event}", repr([event])):
            assert "email='a…@example.com'" in shown
            assert "linked_email='a…@example.org'" in shown
            assert "ada@" not in shown
