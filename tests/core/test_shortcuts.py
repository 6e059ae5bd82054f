"""
What takes a shorter way, for speed, comes out as by the long one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from crossapp_core import proofs
from crossapp_core.addresses import normalise
from crossapp_core.events import EVENTS, Event, iso
from tests.core.samples import every_kind, full, purchased
from tests.core.signing import NOW, SECRET, SELLER, SOLD

_USUAL_ADDRESSES = r"[a-z0-9._%+'!#$&*/=?^`{|}~-]{1,64}@[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,3}"


class TestProof:
    @given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=50))
    def test_is_that_of_pyjwt(self, text: str) -> None:
        """
        A proof is to the letter what PyJWT makes of the same claims, whatever is in the ids.
        """
        key = proofs.Key(SecretStr(SECRET))
        made = proofs.sign({"a": text}, name="n", id=text, source="s", target="t", key=key, iat=7)
        claims = jwt.decode(made, SECRET, algorithms=["HS256"], options={"verify_signature": True}, audience="t")

        assert made == jwt.encode(claims, SECRET, algorithm="HS256", headers={"typ": proofs.TYPE, "kid": key.id})

    def test_key_signs_often(self) -> None:
        """
        What a key has signed before leaves no trace in what it signs next.
        """
        used = proofs.Key(SecretStr(SECRET))
        first = used.mac(b"first")

        assert used.mac(b"second") == proofs.Key(SecretStr(SECRET)).mac(b"second")
        assert used.mac(b"first") == first

    def test_of_sealed_event(self) -> None:
        """
        The digest in the proof is that of the event's data as it is sent.
        """
        data = proofs.seal(SOLD, settings=SELLER, target="ai-hero", id="e1", now=NOW)
        proof = str(data.pop("proof"))
        content: dict[str, Any] = {**SOLD.to_wire()}

        assert data == content
        claims = jwt.decode(proof, SECRET, algorithms=["HS256"], audience="ai-hero")
        assert claims["iat"] == int(NOW.timestamp())


class TestEvents:
    @every_kind
    def test_need_no_second_look(self, kind: type[Event]) -> None:
        """
        Each field of our own events refuses what no event can hold or what is too long, so the whole need not be looked
        at again.
        """
        event = kind.from_wire(full(kind))
        known = {name: getattr(event, name) for name in kind.model_fields}
        for name in known:
            for value in ("x" * 3_000, 2**53, 1.5, {"a": "b"}, [["x"]], "\ud800"):
                with pytest.raises(ValidationError) as caught:
                    kind(**{**known, name: value})
                assert [entry["loc"] for entry in caught.value.errors()] == [(name,)]

    def test_others_get_one(self) -> None:
        """
        An event of an app's own is looked at as a whole, also one that is made of ours.
        """
        for kind in EVENTS.values():
            own = type("Own", (kind,), {"__module__": __name__, "__annotations__": {"extra": object}, "extra": None})
            known = {name: getattr(kind.from_wire(full(kind)), name) for name in kind.model_fields}
            with pytest.raises(ValidationError, match="extra: an event holds"):
                own(**known, extra=1.5)

    @every_kind
    def test_written_as_by_pydantic(self, kind: type[Event]) -> None:
        """
        What goes over the wire is what pydantic makes of the event.
        """
        for event in (kind.from_wire(full(kind)), purchased()):
            assert event.to_wire() == event.model_dump(mode="json", by_alias=True, exclude_none=True)


class TestTimes:
    @given(moment=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), hours=st.integers(-12, 12))  # noqa: DTZ001
    def test_in_utc_and_elsewhere(self, moment: datetime, hours: int) -> None:
        """
        The same moment is written alike, whichever zone it was given in.
        """
        in_utc = moment.replace(tzinfo=UTC)
        elsewhere = in_utc.astimezone(timezone(timedelta(hours=hours)))

        assert iso(in_utc) == iso(elsewhere)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", iso(in_utc))


class TestAddresses:
    @given(address=st.from_regex(_USUAL_ADDRESSES, fullmatch=True))
    def test_usual_ones(self, address: str) -> None:
        """
        An address that is normal already comes out as if it had been brought into that form.
        """
        assert normalise(address) == normalise(f" {address.upper()} ") == address
