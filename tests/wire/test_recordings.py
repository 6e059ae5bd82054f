from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import inngest
import pytest

from crossapp_core import events, proofs
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import (
    EVENTS,
    AccountLinked,
    AccountLinkState,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
)
from tests.wire.recordings import (
    RECORDED,
    claims,
    kind_of,
    read,
    receiver,
    recording,
    settings,
    signed_anew,
    text,
    unproven,
)

ANSWERED: Mapping[type[Event], type[Event]] = {
    EntitlementGranted: BundlePurchased,
    EntitlementFailed: BundlePurchased,
    EntitlementRevoked: EntitlementRevoke,
    AccountLinkState: AccountLinked,
}
"""What each answer was recorded as an answer to."""

every_recording = pytest.mark.parametrize("name", RECORDED)


class TestAccepted:
    @every_recording
    def test_as_recorded(self, name: str) -> None:
        """
        What was once sent is accepted, and each value is the recorded one.
        """
        envelope = recording(name)
        event = read(envelope, name)

        assert envelope.name == kind_of(name).name
        assert event.to_wire() == unproven(envelope)
        assert events.parse(json.loads(text(name))) == event

    @every_recording
    @pytest.mark.parametrize(
        "written",
        [
            lambda number: f"{number}.0",
            lambda number: f"{number}e0",
            lambda number: f"{number}000E-3",
            lambda number: f"{number:.15e}",
        ],
        ids=["1.0", "1e0", "1000E-3", "1.000000000000000e+00"],
    )
    def test_numbers_written_otherwise(self, name: str, written: Callable[[int], str]) -> None:
        """
        A whole number is one however it is written.
        """
        spelled = re.sub(r'(?<="version": )[0-9]+', lambda match: written(int(match[0])), text(name))

        assert ("version" in unproven(recording(name))) == (spelled != text(name))
        assert read(inngest.Event(**json.loads(spelled)), name) == read(recording(name), name)

    @every_recording
    @pytest.mark.parametrize(
        "options",
        [{"indent": "\t"}, {"separators": (",", ":")}, {"separators": ("\r\n ,", " :  ")}, {"ensure_ascii": False}],
        ids=["indented", "dense", "spread", "not escaped"],
    )
    def test_json_written_otherwise(self, name: str, options: dict[str, Any]) -> None:
        """
        Neither the order of the keys counts nor white space nor what is escaped.
        """
        content = json.loads(text(name))
        for reverse in (False, True):
            content["data"] = dict(sorted(content["data"].items(), reverse=reverse))
            spelled = json.dumps(content, **options)
            assert read(inngest.Event(**json.loads(spelled)), name) == read(recording(name), name)

    @every_recording
    def test_more_than_we_know(self, name: str) -> None:
        """
        What a later version adds is ignored and becomes no attribute, whatever it is called.
        """
        later = {"coupon": "x", "amount": 4900, "tags": ["a", "b"], "is_gift": True, "discount": None}
        odd = {"_inngest": "x", "__proto__": "y", "__class__": "z", "Data": 1, "EMAIL": "eve@example.com", "": 0}
        envelope = recording(name)
        longer = signed_anew(envelope, {**unproven(envelope), **later, **odd})
        event = read(longer, name)

        assert event == events.parse(longer) == read(envelope, name)
        assert type(event) is kind_of(name)
        assert vars(event).keys() == kind_of(name).model_fields.keys()


class TestGolden:
    @every_recording
    def test_proof_of_today(self, name: str) -> None:
        """
        The proof of the same event says today what it said then, the digest of its canonical data above all.
        """
        envelope = recording(name)
        recorded = claims(envelope)

        assert claims(signed_anew(envelope, read(envelope, name).to_wire())) == recorded
        assert recorded.keys() == {"iss", "aud", "name", "id", "iat", "digest"}

    @every_recording
    def test_id_of_today(self, name: str) -> None:
        """
        The same event has today the id that it had then: Inngest drops repetitions by it.
        """
        envelope, kind = recording(name), kind_of(name)
        attempts = {"minimal": 1, "long-ids": 12}
        answers = None
        if kind in ANSWERED:
            answers = recording(name.replace(_file(kind), _file(ANSWERED[kind]))).id
        attempt = attempts.get(name.partition(".")[2], 0)

        assert read(envelope, name).event_id(attempt=attempt, answers=answers) == envelope.id
        assert len(envelope.id) <= 200

    @every_recording
    def test_other_app(self, name: str) -> None:
        """
        The app that sent it doesn't take it for one that was sent to it.
        """
        sender = settings(str(claims(recording(name))["iss"]))

        with pytest.raises(EventRejectedError, match=r"^target: our own .* came back"):
            proofs.read(kind_of(name), recording(name), settings=sender)

    @every_recording
    def test_touched(self, name: str) -> None:
        """
        A recording that somebody has edited doesn't hold any more.
        """
        envelope = recording(name)
        for field, value in unproven(envelope).items():
            other = value + 1 if type(value) is int else f"{value}x"
            touched = envelope.model_copy(update={"data": {**envelope.data, field: other}})
            with pytest.raises(EventRejectedError, match=r"^(signature|source): "):
                read(touched, name)


class TestComplete:
    @pytest.mark.parametrize("name", EVENTS)
    def test_each_kind(self, name: str) -> None:
        """
        Of each kind of event there is a recording with all its fields: a new kind or field needs a new one.
        """
        recorded = [unproven(recording(file)).keys() for file in RECORDED if kind_of(file) is EVENTS[name]]

        assert {field.alias for field in EVENTS[name].model_fields.values()} in recorded

    @pytest.mark.parametrize("name", EVENTS)
    def test_as_little_as_may_be(self, name: str) -> None:
        """
        Of each kind there is one that leaves out all that may be: a field that must be there can't be added.
        """
        file = f"{_file(EVENTS[name])}.minimal"
        envelope = recording(file)
        read(envelope, file)

        for field in unproven(envelope):
            shorter = {key: value for key, value in unproven(envelope).items() if key != field}
            with pytest.raises(EventRejectedError, match=rf"^source: |^schema: .*: {field}: "):
                read(signed_anew(envelope, shorter), file)

    def test_each_file(self) -> None:
        """
        No file lies about that isn't a whole envelope of the kind that its name says.
        """
        for name in RECORDED:
            content = json.loads(text(name))
            assert list(content) == ["id", "name", "data", "ts"]
            assert (content["name"], receiver(name).app_id) == (kind_of(name).name, claims(recording(name))["aud"])


def _file(kind: type[Event]) -> str:
    return kind.name.replace("/", "-")
