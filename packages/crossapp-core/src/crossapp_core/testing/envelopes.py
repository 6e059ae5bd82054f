"""
What may be posted to the event API, and how it is read.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from crossapp_core.testing.errors import EventRefusedError

_MOST_EVENTS = 5000
_LARGEST_EVENT = 256 * 1024
_EXACT = 2**53
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC).timestamp() * 1000
_LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000


@dataclass(frozen=True)
class Envelope:
    """
    An event as its sender wrote it, without what the server drops (`v`, `user`).
    """

    id: str | None
    name: str
    data: dict[str, object]
    ts: int | None
    """Unix time in ms."""


def items(body: str | bytes) -> list[object]:
    """
    Read the body of a request: one event or an array of them, none of them checked yet.

    Raises:
        EventRefusedError: It is no JSON, or neither object nor array.
    """
    try:
        content: object = json.loads(body, parse_int=_integer, parse_float=_float, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        msg = f"invalid JSON: {error}"
        raise EventRefusedError(msg) from None
    if isinstance(content, dict):
        return [content]
    if isinstance(content, list):
        return content
    msg = "Request body must contain an event object or an array of event objects"
    raise EventRefusedError(msg)


def envelope(position: int, item: object) -> Envelope:
    """
    Check the event at one *position* of a request.

    Raises:
        EventRefusedError: No Inngest server takes it.
    """
    _check_size(position, item)
    if not isinstance(item, dict):
        msg = "an event must be an object"
        raise EventRefusedError(msg)
    return Envelope(_id(item), _name(item), _data(item), _ts(item))


def _check_size(position: int, item: object) -> None:
    if position >= _MOST_EVENTS:
        msg = f"a request may hold {_MOST_EVENTS} events at most"
        raise EventRefusedError(msg)
    size = len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
    if size > _LARGEST_EVENT:
        msg = f"Event is over the max size: Max {_LARGEST_EVENT} bytes / Size {size} bytes"
        raise EventRefusedError(msg)


def _name(item: dict[str, object]) -> str:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        msg = "event name is empty"
        raise EventRefusedError(msg)
    if name.startswith("inngest/"):
        msg = f"event name is reserved for internal use: {name}"
        raise EventRefusedError(msg)
    return name


def _id(item: dict[str, object]) -> str | None:
    given = item.get("id")
    if given is not None and not isinstance(given, str):
        msg = "an event's id must be a string"
        raise EventRefusedError(msg)
    return given or None


def _data(item: dict[str, object]) -> dict[str, object]:
    data = item.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        msg = "an event's data must be an object"
        raise EventRefusedError(msg)
    # a real server removes it too: its own metadata would be forged with it
    return {key: value for key, value in data.items() if key != "_inngest"}


def _ts(item: dict[str, object]) -> int | None:
    ts = item.get("ts")
    if not ts:
        return None
    if not isinstance(ts, int) or not _EARLIEST <= ts <= _LATEST:
        msg = "an event's ts must be an integer, in ms, between the years 1980 and 2100"
        raise EventRefusedError(msg)
    return ts


def _integer(digits: str) -> int:
    # a Go server keeps every number as a float64
    number = _float(digits)
    return int(digits) if abs(number) < _EXACT else int(number)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        _refuse(f"{digits:.20}…")
    return number


def _refuse(number: str) -> NoReturn:
    msg = f"{number} is no number in JSON, or out of its range"
    raise ValueError(msg)
