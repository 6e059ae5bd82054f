"""
Any number of Inngest environments in one process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Coroutine
from contextvars import copy_context
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from crossapp_core.testing.clock import Clock
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.errors import LocalInngestError, NeverSettlesError
from crossapp_core.testing.schedule import Schedule

_WEEK = timedelta(days=7)

T = TypeVar("T")


class LocalInngest:
    """
    Stands in for Inngest servers in tests: the apps' own handlers are called in the SDK's own protocol.

    Nothing runs until the test says so, with `asettle`; time is that of *clock*.
    """

    max_calls = 10_000
    """After so many calls in one `asettle`, functions are taken to trigger each other without end."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._schedule = Schedule()
        self._environments: dict[str, Environment] = {}
        self._settling = False
        self._closed = False
        # With a factory it leaves alone what the thread takes for its current loop, which may be pytest-asyncio's.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def environment(self, name: str, *, keys: Collection[str] | None = None) -> Environment:
        """
        Start an environment, listening at its `url` from now on.

        Args:
            name: What to call it in messages; each has another.
            keys: The event keys it accepts; None for any word, as a dev server does.
        """
        if name in self._environments:
            msg = f"there is an environment {name!r} already"
            raise LocalInngestError(msg)
        environment = Environment(name, keys=_set_of(keys), clock=self.clock, schedule=self._schedule, run=self.run)
        self._environments[name] = environment
        return environment

    async def asettle(self, *, within: timedelta = _WEEK) -> None:
        """
        Run all that is due, in every environment, and move the clock on to what is due next, until nothing is left.

        Args:
            within: How far the clock may move; what is due later stays for another time.

        Raises:
            NeverSettlesError: It doesn't end.
            UnsupportedError: A function wants what we can't do.
        """
        if self._settling:
            msg = "asettle() is running already"
            raise LocalInngestError(msg)
        self._settling = True
        try:
            await self._settle(within)
        finally:
            self._settling = False

    def settle(self, *, within: timedelta = _WEEK) -> None:
        """
        Do as `asettle` does, in a test without event loop.

        Raises:
            LocalInngestError: It was called inside an event loop, or after `close`.
        """
        self.run(self.asettle(within=within))

    def run(self, coroutine: Coroutine[object, object, T]) -> T:
        """
        Run *coroutine* in the event loop of `settle` and `register`, which is one until `close`.

        For what a test without event loop has to do there: to dispose of an async engine, for example.

        Raises:
            LocalInngestError: It was called inside another event loop, or after `close`.
        """
        problem = self._refusal()
        if problem is not None:
            coroutine.close()
            raise LocalInngestError(problem)
        # in the context of this call, as asyncio.run has it; a Runner by itself keeps its first one
        return self._runner.run(coroutine, context=copy_context())

    def close(self) -> None:
        """
        Stop all environments and the event loop of `settle`; what is still to be done never happens.
        """
        for environment in self._environments.values():
            environment.close()
        self._closed = True
        self._runner.close()

    def _refusal(self) -> str | None:
        if self._closed:
            return "this LocalInngest is closed"
        if _in_event_loop():
            return "this was called inside an event loop: await asettle() or await aregister() there"
        return None

    async def _settle(self, within: timedelta) -> None:
        until = self.clock() + within
        calls = Counter[str]()
        while work := self._schedule.pop(self.clock, until):
            calls[work.label] += 1
            if calls.total() > self.max_calls:
                raise NeverSettlesError(calls)
            await work.run()


def _set_of(keys: Collection[str] | None) -> frozenset[str] | None:
    if isinstance(keys, str):
        msg = "keys is one string, whose letters would be the keys: put it in a list"
        raise LocalInngestError(msg)
    return None if keys is None else frozenset(keys)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
