"""
The functions that apps have registered, and which of them an event runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crossapp_core.testing.deployments import Deployment
from crossapp_core.testing.errors import LocalInngestError

_DEFAULT_RETRIES = 4
_FAILED_FUNCTION = re.compile(r"event\.data\.function_id == '([^']*)'")

# These decide which runs there are; the others (concurrency, throttle, priority …) only when they happen.
_UNSUPPORTED = ("batchEvents", "cancel", "debounce", "idempotency", "rateLimit", "singleton")


@dataclass(frozen=True)
class Trigger:
    """
    The event that runs a function, and the one kind of condition that the SDK itself makes.
    """

    event: str
    expression: str | None = None

    @property
    def supported(self) -> bool:
        """
        Whether its condition is one that we can decide.
        """
        return self.expression is None or _FAILED_FUNCTION.fullmatch(self.expression) is not None

    def matches(self, name: str, data: Mapping[str, object]) -> bool:
        """
        Whether an event runs the function; what can't be decided does, and then says so.
        """
        wanted = _FAILED_FUNCTION.fullmatch(self.expression or "")
        return is_named(name, self.event) and (wanted is None or data.get("function_id") == wanted[1])


@dataclass(frozen=True)
class Function:
    """
    One function of a registered app.
    """

    id: str
    local_id: str
    url: str
    attempts: int
    triggers: tuple[Trigger, ...]
    unsupported: str | None
    """What of it we can't do: a run of it is an error, registering it isn't."""
    deployment: Deployment
    """Where it runs."""
    crons: tuple[str, ...] = ()
    """Its timetables."""

    def is_called(self, id: str) -> bool:  # noqa: A002
        """
        Whether a test means it by that *id*: the one within its app or the full one.
        """
        return id in (self.local_id, self.id)


def is_named(name: str, pattern: str) -> bool:
    """
    Whether an event's *name* is *pattern*, or begins like it where that ends with an asterisk.
    """
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class Functions:
    """
    Which functions there are in one environment, by app.
    """

    def __init__(self) -> None:
        self._by_app: dict[str, list[Function]] = {}

    def register(self, body: bytes, deployment: Deployment) -> None:
        """
        Take the registration that an SDK has sent, in place of the app's last one.

        Raises:
            ValueError: It isn't one.
        """
        match json.loads(body):
            case {"appname": str(name), "functions": list(entries)} if entries:
                self._by_app[name] = [_function(name, entry, deployment) for entry in entries]
            case _:
                msg = "a registration needs appname and functions"
                raise ValueError(msg)

    def timed(self, function_id: str) -> Function:
        """
        The function with a timetable that is called so.

        Raises:
            LocalInngestError: There is none, or one in more than one app.
        """
        timed = [each for functions in self._by_app.values() for each in functions if each.crons]
        match [each for each in timed if each.is_called(function_id)]:
            case [function]:
                return function
            case []:
                known = ", ".join(sorted(each.id for each in timed)) or "none"
                msg = f"no registered function {function_id!r} has a timetable; those that have one: {known}"
            case several:
                known = ", ".join(sorted(each.id for each in several))
                msg = f"{function_id!r} may be any of {known}: use the full id"
        raise LocalInngestError(msg)

    def triggered(self, name: str, data: Mapping[str, object]) -> Iterator[Function]:
        """
        The functions that an event runs.
        """
        for functions in list(self._by_app.values()):
            for function in functions:
                if any(trigger.matches(name, data) for trigger in function.triggers):
                    yield function


def _function(app_id: str, entry: object, deployment: Deployment) -> Function:
    match entry:
        case {"id": str(id_), "triggers": list(raw), "steps": {"step": step}, **options}:
            triggers = tuple(_trigger(item) for item in raw if isinstance(item, dict) and "event" in item)
            return Function(
                id=id_,
                local_id=id_.removeprefix(f"{app_id}-"),
                url=_url(step),
                attempts=_retries(step) + 1,
                triggers=triggers,
                unsupported=_unsupported(options, triggers),
                deployment=deployment,
                crons=tuple(str(item["cron"]) for item in raw if isinstance(item, dict) and "cron" in item),
            )
    msg = f"not a function: {entry!r:.200}"
    raise ValueError(msg)


def _trigger(item: Mapping[str, object]) -> Trigger:
    expression = item.get("expression")
    return Trigger(str(item["event"]), str(expression) if expression else None)


def _url(step: object) -> str:
    match step:
        case {"runtime": {"url": str(url)}}:
            return url
    msg = f"a function without URL: {step!r:.200}"
    raise ValueError(msg)


def _retries(step: object) -> int:
    match step:
        case {"retries": {"attempts": int(retries)}}:
            return retries
    return _DEFAULT_RETRIES


def _unsupported(options: Mapping[object, object], triggers: tuple[Trigger, ...]) -> str | None:
    for option in _UNSUPPORTED:
        if options.get(option):
            return option
    for trigger in triggers:
        if not trigger.supported:
            return f"the trigger expression {trigger.expression!r}"
    return None
