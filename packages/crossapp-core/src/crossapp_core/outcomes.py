"""
What an operation returns: what it did, and what is to be sent because of it; and what became of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from crossapp_core.errors import PeerKeyRefusedError, PeerUnavailableError, SendError
from crossapp_core.events import EVENTS, JSON, Event


@dataclass(frozen=True)
class Message:
    """
    An event on its way to a peer.
    """

    target: str
    """The peer's app id."""
    event: Event
    attempt: int = 0
    """How often it was sent before, by another run."""
    answers: str | None = None
    """The id of the event that it acknowledges."""

    def to_json(self) -> dict[str, JSON]:
        """
        The message as the result of a step.
        """
        return {
            "target": self.target,
            "name": self.event.name,
            "data": self.event.to_wire(),
            "attempt": self.attempt,
            "answers": self.answers,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Message:
        """
        The message that `to_json` wrote.

        Raises:
            ValueError: It is none; another version may have written it.
        """
        match content:
            case {
                "target": str(target),
                "name": str(name),
                "data": dict(data),
                "attempt": int(attempt),
                "answers": str() | None as answers,
            } if name in EVENTS:
                return cls(target, EVENTS[name].from_wire(data), attempt, answers)
        msg = "the result of a step is no message: did another version write it?"
        raise ValueError(msg)


@dataclass(frozen=True)
class Outcome:
    """
    What one operation did.
    """

    ids: tuple[str, ...] = ()
    """The rows that it is about: in the ledger, or among the entitlements."""
    changed: bool = False
    """Whether any of them is now another than before."""
    messages: tuple[Message, ...] = ()
    """What is still to be sent, also if nothing changed: it may have been lost the first time."""

    def to_json(self) -> dict[str, JSON]:
        """
        The outcome as the result of a step.
        """
        return {
            "ids": list(self.ids),
            "changed": self.changed,
            "messages": [message.to_json() for message in self.messages],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Outcome:
        """
        The outcome that `to_json` wrote.

        Raises:
            ValueError: It is none; another version may have written it.
        """
        match content:
            case {"ids": list(ids), "changed": bool(changed), "messages": list(messages)}:
                return cls(tuple(map(str, ids)), changed, tuple(map(Message.from_json, messages)))
        msg = "the result of a step is no outcome: did another version write it?"
        raise ValueError(msg)


@dataclass(frozen=True)
class Due:
    """
    Some of what is due to a peer: at most *limit* rows.
    """

    app: str
    limit: int


@dataclass(frozen=True)
class Sent:
    """
    What became of a message.
    """

    message: Message
    accepted_id: str | None
    """The id that the peer's Inngest gave it; None if it wasn't accepted."""
    error: SendError | None
    """Why it wasn't accepted."""
    asked: bool = True
    """False if the peer was left alone, since it took nothing the last time."""

    @property
    def peer_is_down(self) -> bool:
        """
        Whether the peer took nothing at all, be it this or something else.
        """
        return isinstance(self.error, PeerUnavailableError | PeerKeyRefusedError)


Noted: TypeAlias = Sequence[tuple[str, Sent]]
"""What became of the rows with those ids."""
