"""
An app that is served by one process after the other.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from crossapp_core.testing import Environment
from examples.two_apps.serving import free_port
from tests.crashes.deaths import KILLS, Death, Fate, Manner
from tests.crashes.page import Cell, Page, SharedClock, page_file
from tests.crashes.processes import Zygote
from tests.crashes.worker import DONE, ENDED, READY

_MOST_IN_VAIN = 10


class Deployed:
    """
    An app behind a socket that outlives its processes, as a supervisor has it: who comes between two waits.

    Args:
        name: The app.
        zygote: Starts its processes.
        environment: Its Inngest.
        clock: The time for all of them.
        cut: Cuts all connections to its database.
    """

    def __init__(
        self, name: str, zygote: Zygote, environment: Environment, *, clock: SharedClock, cut: Callable[[], None]
    ) -> None:
        self.name = name
        self.environment = environment
        self.environ: Mapping[str, str] = {}
        self.restarts: list[float] = []
        """How long each process took to serve, in s."""
        self._zygote, self._cut = zygote, cut
        self._stack = ExitStack()
        self._listening, self.origin = self._stack.enter_context(free_port())
        self._file = self._stack.enter_context(page_file())
        self._page = Page(self._file.fileno())
        clock.show(self._page)
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notes, self._theirs = (self._stack.enter_context(each) for each in pair)
        self._pid: int | None = None
        self._began = 0.0
        self._vain = 0
        self._ready, self._done = asyncio.Event(), asyncio.Event()
        self._fate: Fate | None = None
        self._manner: Manner | None = None

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._notes, self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._notes)
        self.stop()
        self._stack.close()

    def start(self) -> None:
        """
        Start a process.
        """
        self._page.begin()
        self._decree()
        self._ready.clear()
        self._done.clear()
        self._began = time.perf_counter()
        files = [each.fileno() for each in (self._file, self._listening, self._theirs)]
        self._pid = self._zygote.fork(self.name, self.environ, files)

    async def ready(self) -> None:
        """
        Wait until a process serves.
        """
        await self._ready.wait()
        assert self._vain < _MOST_IN_VAIN, f"the {self.name} doesn't start"

    async def done(self) -> None:
        """
        Wait until a process has come to the end of its work, where it has one.
        """
        await self._done.wait()
        assert self._vain < _MOST_IN_VAIN, f"the {self.name} doesn't come to its end"

    def stop(self) -> bool:
        """
        Kill the process; False if there was none.
        """
        pid, self._pid = self._pid, None
        return pid is not None and self._zygote.kill(pid)

    def doom(self, fate: Fate | None) -> None:
        """
        Have the processes die by that *fate* from now on, or live if None.
        """
        self._fate = fate
        self._decree()

    def _decree(self) -> None:
        self._page[Cell.LEFT] = 0
        self._manner = self._fate.decree(self._page) if self._fate else None

    def _listen(self) -> None:
        note = json.loads(self._notes.recv(10_000))
        if note["pid"] != self._pid:
            return  # the last words of one that is dead
        if note["what"] == READY:
            self.restarts.append(time.perf_counter() - self._began)
            self._vain = 0
            self._ready.set()
        elif note["what"] == DONE:
            self.stop()
            self._done.set()
        elif note["what"] == ENDED:
            self.stop()
            self._vain += 1
            if self._vain < _MOST_IN_VAIN:
                self.start()
            else:
                self._listening.close()  # so that whoever waits hears of it
                self._ready.set()
                self._done.set()
        else:
            self._die(note["what"], note["during"])

    def _die(self, what: str, during: str) -> None:
        fate, manner, waits = self._fate, self._manner, self._page[Cell.WAITS]
        if fate is not None and manner in KILLS and not fate.is_done:
            if self.stop():
                fate.deaths.append(Death(self.name, manner, what, during, self._page.state))
            self.start()
            return
        if fate is not None and manner is Manner.CUT and not fate.is_done:
            fate.deaths.append(Death(self.name, manner, what, during, self._page.state))
            self._cut()
            self._decree()
        if waits:
            self._notes.send(b"!")
