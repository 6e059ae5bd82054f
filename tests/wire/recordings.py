"""
Events as they were once sent, each the envelope that a function got, and how another is recorded.

A file is called `{event}.{what is special about it}.json`. None is changed or removed: apps that send just that may be
out there. A new kind of event, or a new field, needs another file: print `envelope(...)` as JSON.
Those of a peer that is written after the original sketch are in `sketch/`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import inngest

from crossapp_core import proofs
from crossapp_core.apps import Peer, Settings
from crossapp_core.events import EVENTS, Event

FOLDER = Path(__file__).parent
SECRET = "the secret that recorded events are signed with"
SELLER, GRANTER = "total-typescript", "ai-hero"
RECORDED = sorted(path.stem for path in FOLDER.glob("*.json"))
SKETCHED = sorted(path.stem for path in (FOLDER / "sketch").glob("*.json"))


def text(name: str) -> str:
    """
    A recording as it stands in its file.
    """
    return (FOLDER / f"{name}.json").read_text("utf-8")


def recording(name: str) -> inngest.Event:
    """
    A recording as Inngest hands it to a function.
    """
    return inngest.Event(**json.loads(text(name)))


def kind_of(name: str) -> type[Event]:
    """
    What kind of event a recording is, by the name of its file.
    """
    prefix = name.rpartition("/")[2].partition(".")[0]
    [kind] = [kind for event, kind in EVENTS.items() if event.replace("/", "-") == prefix]
    return kind


def settings(app_id: str, *, sketch: bool = False) -> Settings:
    """
    The settings of the seller or the granter, whose only peer is the other one.
    """
    [other] = {SELLER, GRANTER} - {app_id}
    return Settings(app_id, [Peer(app_id=other, event_key="key", secret="" if sketch else SECRET, sketch=sketch)])


def receiver(name: str) -> Settings:
    """
    The settings of the app that a recorded event was sent to.
    """
    return settings(str(claims(recording(name))["aud"]))


def read(event: inngest.Event, name: str) -> Event:
    """
    What the app that an event of that name was recorded for makes of it.
    """
    return proofs.read(kind_of(name), event, settings=receiver(name))


def claims(event: inngest.Event) -> dict[str, Any]:
    """
    What the proof of an event says, unchecked.
    """
    payload = str(event.data["proof"]).split(".")[1]
    content: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return content


def unproven(event: inngest.Event) -> dict[str, Any]:
    """
    The data of an event without its proof.
    """
    return {key: value for key, value in event.data.items() if key != "proof"}


def signed_anew(event: inngest.Event, data: Mapping[str, Any]) -> inngest.Event:
    """
    Other data in place of an event's, signed by the same app for the same one.
    """
    source, target, iat = (claims(event)[name] for name in ("iss", "aud", "iat"))
    key = settings(source).peer(target).signing_key
    proof = proofs.sign(data, name=event.name, id=event.id, source=source, target=target, key=key, iat=iat)
    return event.model_copy(update={"data": {**data, "proof": proof}})


def envelope(
    event: Event, *, attempt: int = 0, answers: str | None = None, now: datetime = datetime(2026, 9, 1, 12, tzinfo=UTC)
) -> dict[str, object]:
    """
    What is recorded of an event: what the function of the app that it is sent to gets.
    """
    source = str(event.source_app)
    own = settings(source)
    [target] = own.peers
    id_ = event.event_id(attempt=attempt, answers=answers)
    data = proofs.seal(event, settings=own, target=target, id=id_, now=now)
    return {"id": id_, "name": event.name, "data": data, "ts": int(now.timestamp() * 1000)}
