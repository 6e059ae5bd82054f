"""
The event API of a peer's Inngest: one request to it, and what the answer means for the events in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import TypeAlias
from urllib.parse import quote

import httpx
import orjson
from pydantic import SecretStr

from crossapp_core.apps import Peer
from crossapp_core.errors import PeerKeyRefusedError, PeerUnavailableError, SendError

_LONGEST_ANSWER = 256_000
_LONGEST_REASON = 200
_LONGEST_WAIT = timedelta(days=1)
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]+")
_PRIVATE = re.compile(r"[^\s\"'<>]{1,128}@[^\s\"'<>]{1,254}|eyJ[\w-]+\.[\w-]+\.[\w-]*")  # an e-mail address, a proof
_HEADERS = {"content-type": "application/json", "user-agent": "crossapp-core"}
_REPEATABLE = {408, 425, 429}
_ABOUT_CONTENT = {400, 413, 422}


class HiddenURL(httpx.URL):
    """
    The URL of an event API, shown to everyone without the event key in it.

    httpx logs the URL of each request, and tracing and error reporters read it off the request.
    """

    @cached_property
    def shown(self) -> str:
        """
        What everyone sees of it.
        """
        return str(httpx.URL(self).copy_with(path="/e/**********"))

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"HiddenURL({self.shown!r})"


@dataclass(frozen=True)
class Answer:
    """
    What came back.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Lost:
    """
    Nothing came back; whether the events arrived, nobody knows.
    """

    reason: str


@dataclass(frozen=True)
class Accepted:
    """
    Every event got an id.
    """

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """
    The peer takes no event now, whichever it is.
    """

    error: SendError
    again: bool
    """Whether it may be over in a moment."""


@dataclass(frozen=True)
class Refused:
    """
    The peer doesn't take what was sent.
    """

    reason: str
    divisible: bool
    """Whether a part of it may be taken."""


Verdict: TypeAlias = Accepted | Failed | Refused


def post(
    http: httpx.Client, peer: Peer, body: bytes, *, timeout: float, until: float, monotonic: Callable[[], float]
) -> Answer | Lost:
    """
    Send one request.

    Args:
        http: The connections.
        peer: Whose event API.
        body: The events, in JSON.
        timeout: How long each part of the exchange may take, in s.
        until: When the answer is no longer wanted, on *monotonic*.
        monotonic: A clock, in s.
    """
    left = until - monotonic()
    if left <= 0:
        return Lost("no time was left for it")
    try:
        url = _url(peer.base_url, peer.event_key)
        request = http.build_request("POST", url, content=body, headers=_HEADERS, timeout=min(timeout, left))
        request.url = url  # build_request has made a plain one of it
        response = http.send(request, stream=True)
        try:
            content = b""
            for part in response.iter_bytes():
                content += part
                if len(content) > _LONGEST_ANSWER or monotonic() > until:
                    break
        finally:
            response.close()
        return Answer(response.status_code, response.headers, content)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        # UnicodeError: a host name that DNS can't have
        return Lost(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


@lru_cache
def _url(base_url: str, event_key: SecretStr) -> HiddenURL:
    # to take it apart takes httpx as long as an event takes to sign
    return HiddenURL(f"{base_url}/e/{quote(event_key.get_secret_value(), safe='')}")


def judge(answer: Answer | Lost, *, peer: Peer, count: int, now: datetime) -> Verdict:
    """
    Say what *answer* means.

    Args:
        answer: What came back.
        peer: From whom.
        count: How many events were in the request.
        now: The time.
    """
    if isinstance(answer, Lost):
        return _unavailable(peer, answer.reason)
    status, reason = answer.status, _reason(answer)
    if status == 200:
        ids = _ids(answer.body)
        if len(ids) == count and all(ids):
            return Accepted(ids)
        return _unavailable(peer, f"it answered 200 without an id for each of {count}")
    if status in (401, 403):
        return Failed(PeerKeyRefusedError(peer.app_id, status, peer.event_key_name), again=False)
    if status == 404 or 300 <= status < 400:
        return _unavailable(peer, f"is {peer.label('base_url')} right? It answered {reason}", again=False)
    if 400 <= status < 500 and status not in _REPEATABLE:
        return Refused(shown(reason, peer), divisible=status in _ABOUT_CONTENT)
    return _unavailable(peer, f"it answered {reason}", retry_after=_retry_after(answer.headers, now))


def shown(text: str, peer: Peer) -> str:
    """
    Somebody else's words, short and on one line, without the event key, proofs and e-mail addresses.
    """
    line = _UNPRINTABLE.sub(" ", text[:4096]).strip().replace(peer.event_key.get_secret_value(), "…")
    line = _PRIVATE.sub("…", line)
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


def _unavailable(peer: Peer, reason: str, *, again: bool = True, retry_after: timedelta | None = None) -> Failed:
    return Failed(PeerUnavailableError(peer.app_id, shown(reason, peer), retry_after=retry_after), again)


def _ids(body: bytes) -> tuple[str, ...]:
    match _content(body):
        case {"ids": list(ids)} if all(isinstance(id_, str) for id_ in ids):
            return tuple(ids)
    return ()


def _reason(answer: Answer) -> str:
    match _content(answer.body):
        case {"error": str(error)} if error.strip():
            return f"{answer.status}: {error}"
    return str(answer.status)


def _content(body: bytes) -> object:
    with suppress(orjson.JSONDecodeError):
        content: object = orjson.loads(body)
        return content
    return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        wait = timedelta(seconds=min(int(value[:20]), 10**9))
    elif moment := _moment(value):
        # counted on the peer's own clock where it tells it
        wait = max(moment - (_moment(headers.get("date", "")) or now), timedelta(0))
    else:
        return None
    # a longer one is taken for a mistake
    return min(wait, _LONGEST_WAIT)


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)
