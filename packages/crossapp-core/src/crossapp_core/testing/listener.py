"""
A small HTTP server on the loopback interface.
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

_LONGEST_GOODBYE = 5.0

_Connection: TypeAlias = socket.socket | tuple[bytes, socket.socket]  # the second is UDP's, which we never are


@dataclass(frozen=True)
class Request:
    """
    A POST, as far as we look at it.
    """

    path: str
    query: Mapping[str, str]
    body: bytes
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """
    What is answered to a request.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, content: object) -> Answer:
        """
        An answer in JSON.
        """
        return cls(status, json.dumps(content).encode())


class Listener:
    """
    Listens on a free port from construction until `close`, answering each connection in a thread of its own.
    """

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._server = _Server(answer)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="LocalInngest", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """
        The origin it listens at.
        """
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """
        Stop listening and hang up on everyone, idle pooled connections included.
        """
        if self._closing:
            return
        self._closing = True
        # wakes the thread that waits for the next connection
        socket.create_connection(("127.0.0.1", self._server.server_port)).close()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def _serve(self) -> None:
        while not self._closing:
            self._server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self._open: set[_Connection] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the DNS for the host's name, which can take seconds
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: _Connection, client_address: object) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def hang_up(self) -> None:
        with self._changed:
            for connection in self._open:
                # the other side may be faster
                with suppress(OSError):
                    cast("socket.socket", connection).shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=_LONGEST_GOODBYE)

    def handle_error(self, request: object, client_address: object) -> None:
        # a peer that went away is none of our business
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer's head and body go out together

    def do_POST(self) -> None:
        url, server = urlsplit(self.path), cast("_Server", self.server)
        request = Request(url.path, dict(parse_qsl(url.query)), self._read(), self.headers.get("authorization"))
        self._send(server.answer(request))

    def _read(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer) -> None:
        headers = {"content-type": "application/json"} | {name.lower(): value for name, value in answer.headers.items()}
        # The SDK's own client can't be closed by an app and breaks in a second event loop if it finds a pooled
        # connection of the first: it gets none to keep. Everybody else's stays open.
        if self.headers.get("user-agent", "").startswith("inngest-"):
            headers["connection"] = "close"
        self.send_response(answer.status)
        for name, value in (headers | {"content-length": str(len(answer.body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
