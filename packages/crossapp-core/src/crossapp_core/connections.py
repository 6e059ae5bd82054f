"""
Connections to the peers' Inngest: one pool for any number of threads, event loops and forked processes.

A request is always a blocking one, and async code waits for it in a thread. So no socket ever belongs to an event loop,
where a second loop would find it dead, and both flavours send by the same lines.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeAlias, TypeVar

import httpx

from crossapp_core.errors import CrossAppConfigError

T = TypeVar("T")

Sleep: TypeAlias = Callable[[float], None]
"""How to pause, in s."""

_THREADS = 16
_HIDDEN = "**********"


class Flavour(Protocol):
    """
    What sync and async code do differently.
    """

    async def run(self, work: Callable[[httpx.Client], T]) -> T:
        """
        Do blocking *work*, with the connections.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """
        Pause.
        """
        ...


class Connections:
    """
    Opened when first needed, anew in a forked process, and again after `close`.

    Args:
        event_keys: What must not get into a log.
        transport: What to send by instead of the network.
    """

    def __init__(self, event_keys: Iterable[str], transport: httpx.BaseTransport | None) -> None:
        self._event_keys = tuple(event_keys)
        self._transport = transport
        self._locks: dict[int, threading.Lock] = {}
        self._open: _Open | None = None
        self._close: Callable[[], object] | None = None

    def lease(self) -> _Open:
        """
        The connections, which stay open until `leave` is called on them.
        """
        while not (current := self._current()).enter():
            pass  # another thread closed them just now
        return current

    def close(self) -> None:
        """
        Close what is open; a request under way ends first.
        """
        with self._lock():
            close, self._open, self._close = self._close, None, None
        if close is not None:
            close()

    def _current(self) -> _Open:
        with self._lock():
            if self._open is None or self._open.pid != os.getpid():
                self._open = _Open(self._event_keys, self._transport)
                self._close = weakref.finalize(self, self._open.close)
            return self._open

    def _lock(self) -> threading.Lock:
        # a lock that somebody held when the process was forked would never be released in the child
        return self._locks.setdefault(os.getpid(), threading.Lock())


class Blocking:
    """
    The flavour for sync code.
    """

    def __init__(self, connections: Connections, sleep: Sleep | None) -> None:
        self._connections = connections
        self._sleep = sleep or time.sleep

    async def run(self, work: Callable[[httpx.Client], T]) -> T:
        """
        Do it here and now.
        """
        leased = self._connections.lease()
        try:
            return work(leased.http)
        finally:
            leased.leave()

    async def sleep(self, seconds: float) -> None:
        """
        Pause the thread.
        """
        self._sleep(seconds)


class Threaded:
    """
    The flavour for async code.
    """

    def __init__(self, connections: Connections, sleep: Sleep | None) -> None:
        self._connections = connections
        self._sleep = sleep

    async def run(self, work: Callable[[httpx.Client], T]) -> T:
        """
        Do it in a thread, in the context of the task, for whoever traces requests.
        """
        leased = self._connections.lease()
        # also the TLS context is made in there, it takes tens of milliseconds
        future = leased.threads.submit(contextvars.copy_context().run, lambda: work(leased.http))
        future.add_done_callback(lambda _: leased.leave())
        return await asyncio.wrap_future(future)

    async def sleep(self, seconds: float) -> None:
        """
        Pause the task.
        """
        if self._sleep is None:
            await asyncio.sleep(seconds)
        else:
            self._sleep(seconds)


class _Open:
    def __init__(self, event_keys: Iterable[str], transport: httpx.BaseTransport | None) -> None:
        self.pid = os.getpid()
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="crossapp")
        self._redaction = _Redaction(event_keys, "httpcore.http11")
        self._transport = transport
        self._http: httpx.Client | None = None
        self._making = threading.Lock()
        # the garbage collector may call `close` in the middle of `leave`
        self._counting = threading.RLock()
        self._users = 0
        self._closing = False

    @property
    def http(self) -> httpx.Client:
        with self._making:
            if self._http is None:
                self._http = _http(self._transport)
                self._redaction.add()
            return self._http

    def enter(self) -> bool:
        with self._counting:
            self._users += not self._closing
            return not self._closing

    def leave(self) -> None:
        with self._counting:
            self._users -= 1
            self._close_if_unused()

    def close(self) -> None:
        # In a forked process nobody is left to release this lock, nor the locks of a request that was under way then.
        if not self._counting.acquire(blocking=self.pid == os.getpid()):
            return
        try:
            self._closing = True
            self._close_if_unused()
        finally:
            self._counting.release()

    def _close_if_unused(self) -> None:
        if self._closing and not self._users:
            # never waiting: the thread that gets here may be one of them
            self.threads.shutdown(wait=False)
            if self._http is not None:
                self._http.close()
                self._redaction.remove()


def _http(transport: httpx.BaseTransport | None) -> httpx.Client:
    try:
        # Proxies and certificates as the host's environment says: behind a company's proxy nothing else works. A .netrc
        # is none of it, httpx reads that only when asked to.
        return httpx.Client(transport=transport, trust_env=True, follow_redirects=False)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        kind = type(error).__name__
    variables = "SSL_CERT_FILE, SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
    raise CrossAppConfigError("the way to the peers", [f"{kind}: look at {variables} in the environment"])


@contextmanager
def unlogged(event_key: str | None) -> Iterator[None]:
    """
    Keep an event key out of the log while somebody else's HTTP client sends with it: httpx logs each URL.
    """
    redaction = _Redaction([event_key], "httpx", "httpcore.http11") if event_key else None
    if redaction is not None:
        redaction.add()
    try:
        yield
    finally:
        if redaction is not None:
            redaction.remove()


class _Redaction(logging.Filter):
    """
    Keeps event keys out of what httpcore logs, the answers' headers: a redirect repeats the URL.
    """

    def __init__(self, event_keys: Iterable[str], *loggers: str) -> None:
        super().__init__()
        longest_first = sorted(map(re.escape, event_keys), key=len, reverse=True)
        self._pattern = re.compile(rf"((?:/|%2F)e(?:/|%2F))(?:{'|'.join(longest_first)})", re.IGNORECASE)
        self._loggers = [logging.getLogger(name) for name in loggers]

    def add(self) -> None:
        for logger in self._loggers:
            logger.addFilter(self)

    def remove(self) -> None:
        for logger in self._loggers:
            logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = self._pattern.sub(rf"\1{_HIDDEN}", message)
        if redacted != message:
            record.msg, record.args = redacted, None
        return True
