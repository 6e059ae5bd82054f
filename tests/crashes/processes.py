"""
The zygote as the test sees it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path(__file__).parents[2]
_TRACING = ("COV_CORE", "COVERAGE")


class Zygote:
    """
    Forks processes of the apps; they end with it.
    """

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        # what is killed can't write down which lines it has reached, and would be slower for it
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_TRACING)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crashes.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=_ROOT,
                env=environ,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.wait()

    def fork(self, app: str, environ: Mapping[str, str], files: Sequence[int]) -> int:
        """
        Start a process of an app; its id.
        """
        order = {"do": "fork", "app": app, "environ": dict(environ)}
        socket.send_fds(self._control, [json.dumps(order).encode() + b"\n"], files)
        return self._answer()

    def kill(self, pid: int) -> bool:
        """
        Kill a process of an app; False if it had come to its end before.
        """
        os.kill(pid, signal.SIGKILL)
        self._control.sendall(json.dumps({"do": "reap", "pid": pid}).encode() + b"\n")
        status = self._answer()
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    def _answer(self) -> int:
        text = b""
        while not text.endswith(b"\n"):
            received = self._control.recv(100)
            assert received, "the zygote has died"
            text += received
        return int(text)
