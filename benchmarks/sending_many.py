"""
Sending many events, against inngest's own client with lists of the same size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import orjson

from benchmarks import server
from benchmarks.apps import GRANTER, SELLER, signing_settings, unsigned_settings
from benchmarks.measuring import Effort, Line, Note, Work, race, shown
from benchmarks.sending import SDK, sale, sdk_client, sdk_event
from crossapp_core import CrossAppClient, proofs
from crossapp_core.delivery import MOST_EVENTS

T = TypeVar("T")

EVENTS = 20_000
UNSIGNED, SIGNED = "unsigned", "signed"


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    Building the events is part of it.
    """
    with (
        server.running() as url,
        sdk_client(url) as sdk,
        CrossAppClient(unsigned_settings(url)) as unsigned,
        CrossAppClient(signing_settings(url)) as signed,
    ):
        works: dict[str, Work] = {
            SDK: lambda times: [sdk.send_sync([*map(sdk_event, numbers)]) for numbers in _lists(times)],
            UNSIGNED: lambda times: _send(unsigned, times),
            SIGNED: lambda times: _send(signed, times),
        }
        measured = race(works, effort, times=EVENTS, rounds=5)
    for name, goal in ((UNSIGNED, "≥ 1.5"), (SIGNED, "≥ 0.7")):
        what = f"send {EVENTS:,} events in lists of {MOST_EVENTS}, {name} (time for each)"
        yield Line(what, SDK, measured[SDK], measured[name], goal, is_throughput=True)
    yield Note(_parts(effort, url, whole=measured[SIGNED].median))


def _send(client: CrossAppClient, count: int) -> None:
    results = client.send_many_sync(GRANTER, [sale(number) for number in range(count)])
    assert all(result.error is None for result in results)  # nothing was measured otherwise


def _lists(count: int) -> Iterator[range]:
    for begin in range(0, count, MOST_EVENTS):
        yield range(begin, min(begin + MOST_EVENTS, count))


def _parts(effort: Effort, url: str, *, whole: float) -> str:
    count, settings = effort.times(EVENTS), signing_settings(url)
    key = settings.peer(GRANTER).signing_key
    build, unnamed = _timed(lambda: [sale(number) for number in range(count)])
    events = [event.model_copy(update={"source_app": SELLER}) for event in unnamed]
    name, ids = _timed(lambda: [event.event_id() for event in events])
    write, contents = _timed(lambda: [event.to_wire() for event in events])
    write_all, _ = _timed(lambda: [orjson.dumps(content) for content in contents])
    sign, _ = _timed(
        lambda: [
            proofs.sign(content, name=event.name, id=id_, source=SELLER, target=GRANTER, key=key, iat=1)
            for event, content, id_ in zip(events, contents, ids, strict=True)
        ]
    )
    parts = {"build": build, "name": name, "serialise": write + write_all, "sign": sign}
    each = {part: seconds / count for part, seconds in parts.items()}
    each["HTTP and the rest"] = whole - sum(each.values())
    shares = ", ".join(f"{part} {shown(seconds)} ({seconds / whole:.0%})" for part, seconds in each.items())
    return f"Where the time of a signed one of {EVENTS:,} goes: {shares}."


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result
