"""
Sends events to the peers' Inngest.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import httpx
import orjson

from crossapp_core import proofs
from crossapp_core.apps import Peer, Settings
from crossapp_core.connections import Blocking, Connections, Flavour, Sleep, Threaded
from crossapp_core.delivery import LARGEST_EVENT, Delivery, Pacing, Sealed, SendResult, ids_of, refused
from crossapp_core.errors import CrossAppConfigError, UnknownPeerError
from crossapp_core.event_api import shown
from crossapp_core.events import Event
from crossapp_core.flavours import run_sync
from crossapp_core.outcomes import Message
from crossapp_core.pickling import NotPicklable

__all__ = ["CrossAppClient", "SendResult"]


class CrossAppClient(NotPicklable):
    """
    Sends the events of one app. One object serves all its threads and event loops, and forked processes too.

    Connections are opened when first needed, and again after `close`; without `close` they end with the process.
    What isn't accepted may be sent again, at once or days later: the ids stay the same, so it counts once.

    Args:
        settings: Which app this is, and its peers.
        clock: The time, in UTC.
        timeout: How long to wait for a connection, and for each part of an answer.
        deadline: How long a call goes on, per peer: after that it begins no further request, be it the first of its
            events or a repetition. One under way ends by its own timeout.
        monotonic: What measures that, in s.
        sleep: How to pause, in s; None for what sync and async code do.
        jitter: Picks a pause between two limits, in s.
        transport: What to send by instead of the network.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        timeout: timedelta = timedelta(seconds=5),
        deadline: timedelta = timedelta(seconds=20),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._pacing = Pacing(timeout.total_seconds(), deadline.total_seconds(), clock, monotonic, jitter)
        keys = [peer.event_key.get_secret_value() for peer in settings.peers.values()]
        self._connections = Connections(keys, transport)
        self._blocking = Blocking(self._connections, sleep)
        self._threaded = Threaded(self._connections, sleep)
        self._quiet: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<CrossAppClient of {self.settings.app_id} to {', '.join(self.settings.peers) or 'nobody'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def send_cross_app_event(
        self, app_id: str, event: Event, *, attempt: int = 0, answers: str | None = None
    ) -> str:
        """
        Send one event to a peer.

        Args:
            app_id: The peer.
            event: The event; its `source_app` is filled in.
            attempt: How often it was sent before, by another run; within 24 hours only a higher one runs anything.
            answers: The id of the event that it acknowledges.

        Returns:
            The id that the peer's Inngest gave it.

        Raises:
            UnknownPeerError: There is no such peer in the settings.
            PeerUnavailableError: It wasn't accepted in time. Perhaps it arrived; send it again.
            PeerKeyRefusedError: The peer's Inngest doesn't know the event key.
            EventRefusedError: The peer's Inngest doesn't take the event, or it is too large or can't be signed.
            CrossAppConfigError: The event names another app as its source, or a proxy or certificate file of the
                environment can't be used.
        """
        return await self._send_one(self._threaded, Message(app_id, event, attempt, answers))

    def send_cross_app_event_sync(
        self, app_id: str, event: Event, *, attempt: int = 0, answers: str | None = None
    ) -> str:
        """
        Do as `send_cross_app_event` does, in sync code.
        """
        return run_sync(self._send_one(self._blocking, Message(app_id, event, attempt, answers)))

    async def send_many(
        self, app_id: str, events: Sequence[Event | Message], *, patient: bool = True
    ) -> list[SendResult]:
        """
        Send any number of events to a peer, in as few requests as Inngest's limits allow.

        An event that the peer refuses doesn't keep the others from it. When the peer takes nothing at all, or time is
        up, the rest is not tried: its results hold that error too.

        Args:
            app_id: The peer.
            events: Events, or messages to this peer where an attempt or an answer is to be given.
            patient: Whether to repeat, until the deadline, what may succeed then; else each request is made once.

        Returns:
            What became of each event, in their order.

        Raises:
            UnknownPeerError: There is no such peer in the settings.
            CrossAppConfigError: An event names another app as its source, or a message another peer; nothing was sent.
        """
        return await self._send_many(self._threaded, app_id, events, patient)

    def send_many_sync(
        self, app_id: str, events: Sequence[Event | Message], *, patient: bool = True
    ) -> list[SendResult]:
        """
        Do as `send_many` does, in sync code.
        """
        return run_sync(self._send_many(self._blocking, app_id, events, patient))

    async def deliver(self, messages: Sequence[Message]) -> list[str]:
        """
        Send messages to any peers, and be content with nothing less than all.

        Every peer is tried, each with a deadline of its own. If some of it wasn't accepted, what is raised is an error
        that another attempt may overcome, if there is one, so that Inngest makes that attempt; among those the one that
        asks for the longest wait.

        Returns:
            The ids that the peers' Inngest gave them, in their order.

        Raises:
            SendError: As of `send_cross_app_event`.
            CrossAppConfigError: An event names another app as its source; nothing was sent.
        """
        return await self._deliver(self._threaded, messages)

    def deliver_sync(self, messages: Sequence[Message]) -> list[str]:
        """
        Do as `deliver` does, in sync code.
        """
        return run_sync(self._deliver(self._blocking, messages))

    def close(self) -> None:
        """
        Close the connections; a request under way ends first. Sending opens them again.
        """
        self._connections.close()

    async def aclose(self) -> None:
        """
        Do as `close` does, which never waits.
        """
        self._connections.close()

    @contextmanager
    def replaced_by(self, stand_in: CrossAppClient) -> Iterator[None]:
        """
        Send as *stand_in* would, until the block ends: for tests, whose app may hold this client in many places.
        """
        own = vars(self).copy()
        vars(self).update(vars(stand_in))
        try:
            yield
        finally:
            self.close()
            vars(self).update(own)

    async def _send_one(self, flavour: Flavour, message: Message) -> str:
        [result] = await self._send_many(flavour, message.target, [message])
        return ids_of([result])[0]

    async def _send_many(
        self, flavour: Flavour, app_id: str, events: Iterable[Event | Message], patient: bool = True
    ) -> list[SendResult]:
        messages = [self._ours(_message(app_id, event)) for event in events]
        return await self._send(flavour, app_id, messages, patient=patient)

    async def _deliver(self, flavour: Flavour, messages: Iterable[Message]) -> list[str]:
        ours = [self._ours(message) for message in messages]
        results: dict[int, SendResult] = {}
        for target in dict.fromkeys(message.target for message in ours):
            group = {place: message for place, message in enumerate(ours) if message.target == target}
            try:
                sent = await self._send(flavour, target, list(group.values()))
            except UnknownPeerError as error:
                sent = [SendResult(message.event.name, None, error) for message in group.values()]
            results |= zip(group, sent, strict=True)
        return ids_of([results[place] for place in range(len(ours))])

    async def _send(
        self, flavour: Flavour, app_id: str, messages: Sequence[Message], *, patient: bool = True
    ) -> list[SendResult]:
        peer, now = self.settings.peer(app_id), self._pacing.clock()
        prepared = [self._seal(peer, message, now) for message in messages]
        delivery = Delivery(peer, flavour, self._pacing, self._quiet, patient=patient)
        sent = iter(await delivery.send([event for event in prepared if isinstance(event, Sealed)]))
        return [next(sent) if isinstance(event, Sealed) else event for event in prepared]

    def _ours(self, message: Message) -> Message:
        source, app_id = message.event.source_app, self.settings.app_id
        if source not in (None, app_id):
            problem = f"source_app is {source!r}, but {app_id!r} sends it: leave source_app out, it is filled in"
            raise CrossAppConfigError(f"the event {message.event.name}", [problem])
        if source is not None:
            return message
        event = message.event.model_copy(update={"source_app": app_id})
        return Message(message.target, event, message.attempt, message.answers)

    def _seal(self, peer: Peer, message: Message, now: datetime) -> Sealed | SendResult:
        event, id_ = message.event, message.event.name
        try:
            id_ = event.event_id(attempt=message.attempt, answers=message.answers)
            content = proofs.seal(event, settings=self.settings, target=peer.app_id, id=id_, now=now)
            body = orjson.dumps({"id": id_, "name": event.name, "data": content})
        except (ValueError, TypeError) as error:
            return refused(peer, id_, shown(f"it can't be signed: {error}", peer))
        if len(body) > LARGEST_EVENT:
            return refused(peer, id_, f"it has {len(body)} bytes, at most {LARGEST_EVENT} can be sent")
        return Sealed(id_, body)


def _message(app_id: str, item: object) -> Message:
    if isinstance(item, Event):
        return Message(app_id, item)
    if not isinstance(item, Message):
        msg = f"events must be events or messages, got {type(item).__name__}: make one of crossapp_core.events"
        raise TypeError(msg)
    if item.target != app_id:
        problem = f"target is {item.target!r}, but it was to be sent to {app_id!r}: use deliver() for several peers"
        raise CrossAppConfigError(f"the message with {item.event.name}", [problem])
    return item
