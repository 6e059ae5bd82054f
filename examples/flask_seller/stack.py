"""
The Flask shop in the demo and the tests, behind a WSGI server of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from socket import socket
from threading import Thread

import httpx
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from examples.flask_seller.main import close, create_app
from examples.two_apps.together import Site, Stack

_FLASK = "Flask with a sync engine"
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@contextmanager
def served(app: Flask, listening: socket | None = None) -> Iterator[str]:
    """
    Serve the app, with a thread for each request; its origin.

    Args:
        app: The app.
        listening: A socket that listens on a port of this machine; one on a free port if None.
    """
    given = None if listening is None else listening.fileno()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet, fd=given)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shop_on(listening: socket | None = None) -> Stack:
    """
    The Flask shop on a port: that of the socket, or a free one.
    """

    @asynccontextmanager
    async def opened(environ: Mapping[str, str], clock: Callable[[], datetime]) -> AsyncIterator[Site]:
        app = create_app(environ, clock)
        try:
            with served(app, listening) as origin:
                # people come through the server: httpx has no async client that calls a WSGI app
                visitor = lambda: httpx.AsyncClient(base_url=origin, follow_redirects=True, trust_env=False)  # noqa: E731
                yield Site(app, visitor, _FLASK)
        finally:
            close(app)

    return Stack(_FLASK, _DRIVERS, opened)


FLASK_SHOP = shop_on()
"""The Flask shop, for `started`."""
