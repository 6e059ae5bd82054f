"""
The ways that events take in a test: from an app's clients to environments in this process, and nowhere else.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import inngest

from crossapp_core.apps import Settings
from crossapp_core.client import CrossAppClient
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.errors import LocalInngestError
from crossapp_core.testing.listener import Answer, Request
from crossapp_core.testing.log import RefusedRequest

_UNKNOWN_KEY = "Event key not found"


class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport, ABC):
    """
    Takes the place of the network, for sync code and for async code.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Answer sync code.
        """
        request.read()
        return self.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Answer async code.
        """
        await request.aread()
        return self.answer(request)

    @abstractmethod
    def answer(self, request: httpx.Request) -> httpx.Response:
        """
        Answer a request that was read.
        """
        ...


class Router(InProcess):
    """
    Leads from the origin and the event key of a peer's Inngest to the environment that stands for it.
    """

    def __init__(self) -> None:
        self._ways: dict[str, dict[str, Environment]] = {}

    def add(self, origin: str, key: str, environment: Environment) -> None:
        """
        Lead from *origin*, with that *key*, to *environment*.
        """
        self._ways.setdefault(_origin(httpx.URL(origin)), {})[key] = environment

    def answer(self, request: httpx.Request) -> httpx.Response:
        """
        Answer as that environment does; an unknown key is refused, as Inngest does.

        Raises:
            LocalInngestError: Nothing of the test is there.
        """
        origin, sent = _origin(request.url), _request(request)
        environments = self._ways.get(origin)
        if environments is None:
            msg = f"something is sent to {origin}, which is no peer's Inngest in the settings of the tested app"
            raise LocalInngestError(msg)
        key = sent.path.removeprefix("/e/")
        if key in environments:
            return _response(environments[key].answer(sent), request)
        for environment in environments.values():
            environment.log.refused.append(RefusedRequest(401, _UNKNOWN_KEY, key))
        return _response(Answer.json(401, {"error": _UNKNOWN_KEY, "status": 401}), request)


class ToEnvironment(InProcess):
    """
    Leads what an app sends to its own Inngest, whatever its origin, to *environment*, and notes what it registers.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.registered: list[dict[str, object]] = []
        """The functions, as the SDK has described them."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """
        Answer as the environment does.
        """
        sent = _request(request)
        if sent.path == "/fn/register":
            self.registered = json.loads(sent.body)["functions"]
        return _response(self._environment.answer(sent), request)


@contextmanager
def sdk_sends_by(client: inngest.Inngest, transport: ToEnvironment) -> Iterator[None]:
    """
    Have the SDK's client send by *transport*.

    Raises:
        LocalInngestError: The SDK has changed.
    """
    http = getattr(client, "_http_client", None)
    blocking, waiting = (getattr(http, name, None) for name in ("_http_client_sync", "_http_client"))
    initialize = getattr(type(waiting), "initialize", None)
    if not isinstance(blocking, httpx.Client) or not isinstance(waiting, httpx.AsyncClient) or initialize is None:
        msg = "this version of the inngest SDK keeps its HTTP clients elsewhere: the test kit can't reach them"
        raise LocalInngestError(msg)
    rerouted = type(waiting)(transport=transport, trust_env=False)
    initialize(rerouted)  # it notes in which thread it may be used
    vars(http).update(_http_client_sync=httpx.Client(transport=transport, trust_env=False), _http_client=rerouted)
    try:
        yield
    finally:
        vars(http).update(_http_client_sync=blocking, _http_client=waiting)


def client_on(clock: Clock, settings: Settings, transport: httpx.BaseTransport) -> CrossAppClient:
    """
    A client that tells the time by *clock*, and moves it on where it would pause.
    """
    sleep: Callable[[float], None] = lambda seconds: clock.advance(timedelta(seconds=seconds))  # noqa: E731
    return CrossAppClient(
        settings,
        clock=clock,
        monotonic=lambda: clock().timestamp(),
        sleep=sleep,
        jitter=lambda _, longest: longest,
        transport=transport,
    )


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _request(request: httpx.Request) -> Request:
    return Request(request.url.path, dict(request.url.params), request.read(), request.headers.get("authorization"))


def _response(answer: Answer, request: httpx.Request) -> httpx.Response:
    headers = {"content-type": "application/json", **answer.headers}
    return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)
