"""
A process that has imported all that the apps need, and forks one that serves an app whenever it is asked to: so a
killed app is back in a moment.

    python -m tests.crashes.zygote FILE_DESCRIPTOR_OF_A_SOCKET
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

from examples.two_apps.seller.sample import PASSWORD
from examples.two_apps.sign_in.passwords import hash_once
from examples.two_apps.together import Place, variables
from tests.crashes.page import Page
from tests.crashes.worker import APPS, work

_MOST_BYTES = 65_536
_MOST_FILES = 3
_NEEDED_LATER = ("httpcore", "anyio._backends._asyncio", "uvicorn.protocols.http.auto", "uvicorn.loops.auto")
_DATABASES = ("postgresql+psycopg://nobody@nowhere", "mysql+asyncmy://nobody@nowhere")


def main(control: socket.socket) -> None:
    """
    Fork and reap as the test says, until it is gone.
    """
    _warm_up()
    children: set[int] = set()
    while True:
        order, files = _next_order(control)
        if order is None:
            break
        if order["do"] == "fork":
            answer = _fork(control, order, files)
            children.add(answer)
        else:
            answer = os.waitpid(order["pid"], 0)[1]
            children.discard(order["pid"])
        control.sendall(b"%d\n" % answer)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _warm_up() -> None:
    for name in _NEEDED_LATER:
        importlib.import_module(name)
    hash_once(PASSWORD)
    # what is made for the first time takes many times as long
    for url in _DATABASES:
        places = [Place(f"http://{name}.test", url, "http://inngest.test") for name in APPS]
        for app, environ in zip(APPS.values(), variables(*places), strict=True):
            app.create_app(environ)
    gc.collect()
    gc.freeze()


def _next_order(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    text, files, _, _ = socket.recv_fds(control, _MOST_BYTES, _MOST_FILES)
    while text and not text.endswith(b"\n"):
        text += control.recv(_MOST_BYTES)
    return (json.loads(text) if text else None), files


def _fork(control: socket.socket, order: dict[str, Any], files: list[int]) -> int:
    pid = os.fork()
    if pid == 0:
        control.close()
        page, listening, notes = files
        try:
            work(
                order["app"], order["environ"], socket.socket(fileno=listening), Page(page), socket.socket(fileno=notes)
            )
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)
    for file in files:
        os.close(file)
    return pid


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
