from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

import inngest
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core import events
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import (
    EVENTS,
    AccountLinked,
    BundlePurchased,
    Event,
)
from crossapp_core.testing import strategies
from tests.core import json_texts
from tests.core.samples import NAMES, WIRE, every_kind, full, linked


class TestNames:
    def test_every_event_has_its_name(self) -> None:
        """
        The kinds and their names are those of the contract, no more and no fewer.
        """
        assert dict(EVENTS) == NAMES
        assert {kind.name: kind for kind in WIRE} == NAMES


class TestWire:
    @every_kind
    def test_fields(self, kind: type[Event]) -> None:
        """
        Each event has exactly the fields of the contract, in camelCase, and gives back what it was made from.
        """
        event = kind.from_wire(full(kind))

        assert event.to_wire() == full(kind)
        assert {field.alias for field in kind.model_fields.values()} == set(full(kind))

    @every_kind
    def test_optional(self, kind: type[Event]) -> None:
        """
        What may be absent may be null as well, and is left out on the wire.
        """
        needed = {key: value for key, value in WIRE[kind].items() if not key.endswith("?")}
        nulls = {key.rstrip("?"): None for key in (*WIRE[kind], "sourceApp") if key not in needed}

        assert kind.from_wire(needed).to_wire() == needed
        assert kind.from_wire({**nulls, **needed}) == kind.from_wire(needed)

    @every_kind
    def test_required(self, kind: type[Event]) -> None:
        """
        Of what must be there, nothing may be absent or null, and the error names it.
        """
        for key in (key for key in WIRE[kind] if not key.endswith("?")):
            data = full(kind)
            data.pop(key)
            with pytest.raises(EventRejectedError, match=f"^schema: the data of {kind.name}: {key}: Field required$"):
                events.parse_as(kind, data)
            with pytest.raises(EventRejectedError, match=f"schema: the data of {kind.name}: {key}: Input should be"):
                events.parse_as(kind, {**data, key: None})

    @given(strategies.events)
    def test_round_trip(self, event: Event) -> None:
        """
        Any event comes through JSON as it was, and stands there in camelCase text, integers and booleans alone.
        """
        data = json.loads(json.dumps(event.to_wire()))

        assert type(event).from_wire(data) == event
        assert all(type(value) in (str, int, bool) for value in data.values())
        assert all(re.fullmatch("[a-z][a-zA-Z]*", key) for key in data)

    @given(st.data(), strategies.events)
    def test_round_trip_of_any_json(self, draw: st.DataObject, event: Event) -> None:
        """
        An event is the same however the JSON was written on the way, 5 as 5.0 or 5e0 too.
        """
        text = draw.draw(json_texts.rewritten(event.to_wire()))

        assert type(event).from_wire(json.loads(text)) == event

    @pytest.mark.parametrize("version", [1.5, True, "1", float("inf"), float("nan"), 1e300, 2.0**53, 0, -1, [1]])
    def test_what_is_no_integer(self, version: object) -> None:
        """
        Only a whole number is taken for one: no half, no text, no boolean, nothing that float64 can't count to.
        """
        with pytest.raises(EventRejectedError, match="version: Input should be"):
            events.parse_as(BundlePurchased, {**full(BundlePurchased), "version": version})

    @every_kind
    def test_unknown_keys_on_receipt(self, kind: type[Event]) -> None:
        """
        A key that we don't know is ignored and becomes no attribute, whatever it is called.
        """
        unknown = {"_inngest": {"a": 1}, "__proto__": {}, "__class__": "x", "Data": 1, "EMAIL": "x", "source_app": "x"}
        event = kind.from_wire({**full(kind), **unknown, "purchaseid": "x", "": 0})

        assert event == kind.from_wire(full(kind))
        assert type(event) is kind
        assert vars(event).keys() == set(kind.model_fields)
        assert not event.model_extra

    @pytest.mark.parametrize("key", ["purchase_id", "PURCHASEID", "PurchaseId"])
    def test_python_name_on_receipt(self, key: str) -> None:
        """
        On the wire only camelCase counts.
        """
        data = full(BundlePurchased)
        data[key] = data.pop("purchaseId")

        with pytest.raises(EventRejectedError, match="purchaseId: Field required"):
            events.parse_as(BundlePurchased, data)

    def test_times(self) -> None:
        """
        Times are sent in UTC with milliseconds and Z, and read with any offset.
        """
        evening = datetime(2026, 1, 31, 20, 30, 0, 123_999, tzinfo=timezone(timedelta(hours=8, minutes=30)))
        event = linked(linked_at=evening)

        assert event.to_wire()["linkedAt"] == "2026-01-31T12:00:00.123Z"
        assert AccountLinked.from_wire({**event.to_wire(), "linkedAt": evening.isoformat()}) == event


class TestParse:
    @every_kind
    def test_from_inngest(self, kind: type[Event]) -> None:
        """
        What the SDK hands to a function becomes an event of the right class.
        """
        event = events.parse(inngest.Event(name=kind.name, data=full(kind), id="e1", ts=1))

        assert type(event) is kind
        assert event.to_wire() == full(kind)

    @every_kind
    def test_from_mapping(self, kind: type[Event]) -> None:
        """
        The envelope as plain JSON becomes the same event.
        """
        envelope = {"name": kind.name, "data": full(kind), "id": "e1", "ts": 1, "v": None, "user": {}}

        assert events.parse(envelope) == kind.from_wire(full(kind))
        assert events.parse(MappingProxyType(envelope)) == kind.from_wire(full(kind))

    @pytest.mark.parametrize("name", ["bundle/sold", "Bundle/Purchased", "", None, 7, ["bundle/purchased"], "x" * 9999])
    def test_unknown_name(self, name: object) -> None:
        """
        An event of no kind that we know is refused for that, with the known ones.
        """
        with pytest.raises(EventRejectedError, match=r"^event: .* is none of bundle/purchased, entitlement/") as caught:
            events.parse({"name": name, "data": full(BundlePurchased)})

        assert caught.value.reason == "event"
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("data", [None, [], "x", 1, [["purchaseId", "x"]]])
    def test_data_is_no_object(self, data: object) -> None:
        """
        Data that is no object is refused for its shape.
        """
        with pytest.raises(EventRejectedError, match=r"^schema: the data of bundle/purchased: is no object$"):
            events.parse({"name": "bundle/purchased", "data": data})

    def test_wrong_data(self) -> None:
        """
        The error names all wrong fields as they stand on the wire, holds none of their values, and hides no other.
        """
        data = {**full(BundlePurchased), "buyerEmail": "eve@evil.com@x.com", "purchasedAt": "s3cret", "version": -5}
        with pytest.raises(EventRejectedError) as caught:
            events.parse({"name": "bundle/purchased", "data": data})

        assert str(caught.value) == (
            "schema: the data of bundle/purchased: "
            "buyerEmail: is no e-mail address: needs 1 to 64 visible characters before the one @; "
            "purchasedAt: must be a time in ISO 8601, like 2026-01-31T12:00:00.000Z; "
            "version: Input should be greater than or equal to 1"
        )
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    def test_schema_is_final(self) -> None:
        """
        Another attempt at a wrong event is pointless.
        """
        assert not EventRejectedError("schema", "x").retryable
