"""
The way from one app to its peers, on which things go wrong.
"""

from __future__ import annotations

import json
import ssl

import httpx

_TLS = ssl.create_default_context()  # all are on the loopback, and making one takes long


class Network(httpx.BaseTransport):
    """
    What an app sends its events by: it delays or loses what a test has named.
    """

    def __init__(self) -> None:
        self.closed = False
        self.requests = 0
        """How many were made of it."""
        self._inner = httpx.HTTPTransport(verify=_TLS)
        self._holding: set[str] = set()
        self._held: list[httpx.Request] = []
        self._lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send on, or not.
        """
        self.requests += 1
        names = [event["name"] for event in json.loads(request.read())]
        if self._holding & set(names):
            self._held.append(request)
            return httpx.Response(200, json={"ids": [f"held-{name}" for name in names], "status": 200})
        response = self._inner.handle_request(request)
        if self._lost:
            self._lost -= 1
            response.read()
            response.close()
            msg = "the answer didn't come"
            raise httpx.ReadTimeout(msg, request=request)
        return response

    def hold(self, name: str) -> None:
        """
        Accept the events of that name and keep them.
        """
        self._holding.add(name)

    def release(self, *, backwards: bool = False) -> None:
        """
        Send what was kept, in its order or from the last to the first, and keep no more.
        """
        self._holding.clear()
        for request in reversed(self._held) if backwards else self._held:
            response = self._inner.handle_request(request)
            response.read()
            response.close()
        self._held.clear()

    def lose_answers(self, times: int) -> None:
        """
        Send the next requests, and let the sender believe that nobody answers.
        """
        self._lost = times

    def close(self) -> None:
        """
        Close the connections.
        """
        self.closed = True
        self._inner.close()
