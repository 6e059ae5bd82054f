"""
An event API that stores nothing, in a process of its own: `python -m benchmarks.server` prints its URL.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class EventAPI(asyncio.Protocol):
    """
    One connection, kept alive: each request gets an id for each of its events.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Begin; asyncio itself sends at once what is written (TCP_NODELAY).
        """
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """
        Answer each request that is complete.
        """
        self._received += data
        while (end := self._received.find(_END_OF_HEAD)) >= 0:
            begin = end + len(_END_OF_HEAD)
            length = _length(self._received[:end])
            if len(self._received) < begin + length:
                return
            body, self._received = self._received[begin : begin + length], self._received[begin + length :]
            self._transport.write(_answer(body))


def _length(head: bytes) -> int:
    lines = (line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH))
    return int(next(lines, b"content-length:0").removeprefix(_LENGTH))


def _answer(body: bytes) -> bytes:
    events = orjson.loads(body)
    answer = orjson.dumps({"ids": [f"{number:026}" for number in range(len(events))], "status": 200})
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer)


@contextmanager
def running() -> Iterator[str]:
    """
    Run it as long as the caller needs it; its URL.
    """
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(EventAPI, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
