"""
The instants at which a process of an app can be killed: each statement, each commit, each request and each answer.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from weakref import WeakSet

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.crashes.page import Cell, Page


@dataclass
class Request:
    """
    What is answered at the moment.
    """

    name: str
    committed: bool = False


_request: ContextVar[Request | None] = ContextVar("request", default=None)


class Instants:
    """
    Counts the instants of this process, and speaks up at the one that the test has chosen.

    Args:
        page: What the test reads.
        notes: Where to speak up, and to be told to go on.
    """

    def __init__(self, page: Page, notes: socket.socket) -> None:
        self._page = page
        self._notes = notes
        self._open: WeakSet[Connection] = WeakSet()

    def watch_databases(self) -> None:
        """
        See all statements and transactions of this process.
        """
        event.listen(Engine, "before_cursor_execute", self._before_statement)
        event.listen(Engine, "after_cursor_execute", self._after_statement)
        event.listen(Engine, "commit", self._before_commit)
        event.listen(Engine, "rollback", self._end)
        event.listen(Session, "after_commit", self._after_commit)

    def reach(self, what: str) -> None:
        """
        Come to an instant.
        """
        page = self._page
        if page[Cell.LEFT] == 0 or (page[Cell.IN_TRANSACTION] and not page[Cell.OPEN]):
            return
        if page[Cell.SERVING] and not page[Cell.REQUESTS]:
            return
        page[Cell.LEFT] -= 1
        if page[Cell.LEFT] == 0:
            waits = page[Cell.WAITS]
            self.say(what)
            if waits:
                self._notes.recv(1)

    def say(self, what: str) -> None:
        """
        Tell the test something.
        """
        under_way = _request.get()
        note = {"pid": os.getpid(), "what": what, "during": under_way.name if under_way else ""}
        self._notes.send(json.dumps(note).encode())

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """
        Have something under way, a request for example.
        """
        under_way = Request(name)
        _request.set(under_way)
        self._page[Cell.REQUESTS] += 1
        try:
            self.reach("request")
            yield
        finally:
            self._page[Cell.UNANSWERED] -= under_way.committed
            self._page[Cell.REQUESTS] -= 1

    def _before_statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.reach(" ".join(statement.split()[:3]))

    def _after_statement(self, connection: Connection, *_: object) -> None:
        if connection not in self._open:
            self._open.add(connection)
            self._page[Cell.OPEN] += 1

    def _before_commit(self, connection: Connection) -> None:
        self.reach("COMMIT")
        self._end(connection)

    def _end(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.discard(connection)
            self._page[Cell.OPEN] -= 1

    def _after_commit(self, _session: Session) -> None:
        under_way = _request.get()
        if under_way is not None and not under_way.committed:
            under_way.committed = True
            self._page[Cell.UNANSWERED] += 1
        self.reach("committed")


class WatchRequests:
    """
    Middleware that sees requests come in and answers go out.
    """

    def __init__(self, app: ASGIApp, instants: Instants) -> None:
        self._app = app
        self._instants = instants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Hand a request on, and see what becomes of it.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._instants.reach("answer")
            await send(message)

        with self._instants.during(_name_of(scope)):
            await self._app(scope, receive, answer)


def _name_of(scope: Scope) -> str:
    query: dict[str, Any] = parse_qs(scope["query_string"].decode())
    [function] = query.get("fnId", [""])
    return function or f"{scope['method']} {scope['path']}"
