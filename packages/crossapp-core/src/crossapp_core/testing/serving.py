"""
Whether an app serves all that its bridge has made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import inngest

from crossapp_core.testing.errors import NotServedError

Entry = Mapping[str, Any]


def check(app_id: str, functions: Iterable[inngest.Function[Any]], registered: Iterable[Entry]) -> None:
    """
    Check that those functions are among those that an app has registered.

    Raises:
        NotServedError: Some are not, or something else is in their place.
    """
    by_id = {entry["id"]: entry for entry in registered}
    problems = [problem for function in functions for problem in _problems_of(function, by_id)]
    if problems:
        raise NotServedError(app_id, problems)


def events_of(registered: Iterable[Entry]) -> list[str]:
    """
    The names of the events that run a registered function.
    """
    triggers = [trigger for entry in registered for trigger in entry["triggers"]]
    return sorted({trigger["event"] for trigger in triggers if "event" in trigger} - {"inngest/function.failed"})


def _problems_of(function: inngest.Function[Any], by_id: Mapping[str, Entry]) -> Iterator[str]:
    entry = by_id.get(function.id)
    if entry is None:
        yield f"{function.local_id} is not served: was all of bridge.functions given to serve()?"
        return
    url = str(entry["steps"]["step"]["runtime"]["url"]).partition("?")[0]
    config = function.get_config(url)
    wanted = [each for each in (config.main, config.on_failure) if each is not None]
    if any(_shape(_dumped(each)) != _shape(by_id.get(each.id)) for each in wanted):
        yield (
            f"{function.local_id} is served, but it is another function of that id, which runs on "
            f"{', '.join(_triggers(entry))}: give your own another fn_id"
        )


def _dumped(config: Any) -> Entry:
    dumped: Entry = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


def _shape(entry: Entry | None) -> object:
    return entry and (entry["triggers"], entry["steps"])


def _triggers(entry: Entry) -> list[str]:
    return [str(trigger.get("event") or trigger.get("cron")) for trigger in entry["triggers"]]
