"""
The Flask shop in the demo and the tests, behind a WSGI server of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

import httpx
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from examples.flask_seller.main import close, create_app
from examples.two_apps.together import Site, Stack

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """
    Serve the app on a free port of this machine, with a thread for each request; its origin.
    """
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def _opened(environ: Mapping[str, str]) -> AsyncIterator[Site]:
    app = create_app(environ)
    try:
        with served(app) as origin:
            # people come through the server: httpx has no async client that calls a WSGI app
            yield Site(app, lambda: httpx.AsyncClient(base_url=origin, follow_redirects=True, trust_env=False))
    finally:
        close(app)


FLASK_SHOP = Stack("Flask with a sync engine", _DRIVERS, _opened)
"""The Flask shop, for `started`."""
