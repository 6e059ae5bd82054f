"""
One call of the client to one peer: requests of a fair size, repeated while that may help and there is time, and divided
until it is known which event the peer doesn't take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crossapp_core import event_api
from crossapp_core.apps import Peer
from crossapp_core.connections import Flavour
from crossapp_core.errors import EventRefusedError, PeerUnavailableError, SendError
from crossapp_core.event_api import Accepted, Failed, Refused, Verdict

MOST_EVENTS = 100
"""In one request."""
LARGEST_REQUEST = 512_000
"""In bytes."""
LARGEST_EVENT = 200_000
"""In bytes; Inngest's smallest plan takes 256 KiB."""

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class SendResult:
    """
    What became of one event.
    """

    event_id: str
    """Our id of it, the same however often it is sent."""
    accepted_id: str | None
    """The id that the peer's Inngest gave it; None if it wasn't accepted."""
    error: SendError | None
    """Why it wasn't accepted."""


@dataclass(frozen=True)
class Sealed:
    """
    An event as it is sent, signed.
    """

    event_id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Pacing:
    """
    How long things may take, and by which clocks.
    """

    timeout: float
    """Of each part of a request, in s."""
    deadline: float
    """After how many s of a call nothing more is begun."""
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    jitter: Callable[[float, float], float]


class Delivery:
    """
    One call.

    Args:
        peer: To whom.
        flavour: How to do and how to wait.
        pacing: The time there is, from now on.
        quiet: Until when each peer has asked to be left alone, on `pacing.monotonic`; read and written.
        patient: Whether to repeat what may succeed then.
    """

    def __init__(
        self,
        peer: Peer,
        flavour: Flavour,
        pacing: Pacing,
        quiet: MutableMapping[str, float],
        *,
        patient: bool = True,
    ) -> None:
        self._peer = peer
        self._flavour = flavour
        self._pacing = pacing
        self._quiet = quiet
        self._patient = patient
        self._until = pacing.monotonic() + pacing.deadline
        self._failed: Failed | None = None

    async def send(self, events: Sequence[Sealed]) -> list[SendResult]:
        """
        Send them, and say of each what became of it.
        """
        results: list[SendResult] = []
        for chunk in _chunks(events):
            results += await self._send(chunk)
        return results

    async def _send(self, chunk: Sequence[Sealed]) -> list[SendResult]:
        # what the peer doesn't take now, it takes of no other part either
        verdict = self._failed or await self._persist(chunk)
        match verdict:
            case Accepted(ids):
                return [SendResult(event.event_id, id_, None) for event, id_ in zip(chunk, ids, strict=True)]
            case Failed(error):
                self._failed = verdict
                return [SendResult(event.event_id, None, error) for event in chunk]
            case Refused(divisible=True) if len(chunk) > 1:
                # some may be stored: they are dropped as repetitions, and get an id all the same
                middle = len(chunk) // 2
                return [*await self._send(chunk[:middle]), *await self._send(chunk[middle:])]
            case Refused(reason):
                return [refused(self._peer, event.event_id, reason) for event in chunk]

    async def _persist(self, chunk: Sequence[Sealed]) -> Verdict:
        longest = _FIRST_PAUSE
        while True:
            verdict = await self._attempt(chunk)
            if not (self._patient and isinstance(verdict, Failed) and verdict.again):
                return verdict
            asked = verdict.error.retry_after or timedelta(0)
            pause = asked.total_seconds() + self._pacing.jitter(0, longest)
            if self._pacing.monotonic() + pause >= self._until:
                return verdict
            await self._flavour.sleep(pause)
            longest = min(2 * longest, _LONGEST_PAUSE)

    async def _attempt(self, chunk: Sequence[Sealed]) -> Verdict:
        peer, pacing = self._peer, self._pacing
        wait = self._quiet.get(peer.app_id, 0) - pacing.monotonic()
        if wait > 0:
            reason, retry_after = "it has asked to be left alone for a while", timedelta(seconds=wait)
            return Failed(PeerUnavailableError(peer.app_id, reason, retry_after=retry_after), again=True)
        # without self: a thread may let go of this later than the app of the client, which then would stay open
        until = self._until
        answer = await self._flavour.run(
            lambda http: event_api.post(
                http,
                peer,
                b"[" + b",".join(event.body for event in chunk) + b"]",
                timeout=pacing.timeout,
                until=until,
                monotonic=pacing.monotonic,
            )
        )
        verdict = event_api.judge(answer, peer=peer, count=len(chunk), now=pacing.clock())
        if isinstance(verdict, Failed) and verdict.error.retry_after:
            self._quiet[peer.app_id] = pacing.monotonic() + verdict.error.retry_after.total_seconds()
        return verdict


def ids_of(results: Sequence[SendResult]) -> list[str]:
    """
    The ids that the peers gave, if all was accepted.

    Raises:
        SendError: One that another attempt may overcome, if there is one; among those the one that asks for the longest
            wait.
    """
    errors = [result.error for result in results if result.error is not None]
    if errors:
        raise min(errors, key=_urgency)
    return [result.accepted_id for result in results if result.accepted_id is not None]


def _urgency(error: SendError) -> tuple[bool, timedelta]:
    return not error.retryable, -(error.retry_after or timedelta(0))


def refused(peer: Peer, event_id: str, reason: str) -> SendResult:
    """
    The result of an event that is refused for what it is.
    """
    return SendResult(event_id, None, EventRefusedError(peer.app_id, event_id, reason))


def _chunks(events: Sequence[Sealed]) -> Iterator[list[Sealed]]:
    chunk: list[Sealed] = []
    size = 0
    for event in events:
        if len(chunk) == MOST_EVENTS or size + len(event.body) + 2 > LARGEST_REQUEST:
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += len(event.body) + 1
    if chunk:
        yield chunk
