"""
What must not be seen of what the client sends: the event key, the secret, proofs and addresses.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import httpx
import pytest

from crossapp_core import (
    CrossAppClient,
    CrossAppConfigError,
    EventRefusedError,
    Peer,
    PeerKeyRefusedError,
    PeerUnavailableError,
    SendError,
    SendResult,
    Settings,
)
from crossapp_core.testing.listener import Answer, Listener, Request
from tests.core.sending import BUYER, KEY, OTHER_KEY, SECRET, Caller, Time, sale, settings

PRIVATE = re.compile(rf"{KEY}|{OTHER_KEY}|{SECRET}|{BUYER}|eyJ\w", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """
    What goes wrong, and what becomes of it.
    """

    answer: Answer | None
    """None for none."""
    outcome: type[SendError] | None
    says: str = ""


def echo(status: int, **headers: str) -> Answer:
    """
    An answer that repeats the key wherever a server might.
    """
    return Answer(status, json.dumps({"error": f"POST /e/{KEY}: key {KEY}"}).encode(), headers)


CASES = {
    "accepted": Case(Answer.json(200, {"ids": ["one"]}), None),
    "no ids": Case(Answer.json(200, {"ids": [""], "error": KEY}), PeerUnavailableError, "without an id"),
    "400": Case(echo(400, x=f"/e/{KEY}"), EventRefusedError, "400: POST /e/…: key …"),
    "401": Case(echo(401), PeerKeyRefusedError, "AI_HERO_INNGEST_EVENT_KEY"),
    "404": Case(echo(404), PeerUnavailableError, "404"),
    "503": Case(echo(503), PeerUnavailableError, "503: POST /e/…: key …"),
    "redirect": Case(echo(308, location=f"https://x.example/e/{KEY}?a=%2Fe%2f{KEY}"), PeerUnavailableError, "308"),
    "timeout": Case(None, PeerUnavailableError, "ReadTimeout"),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def url(case: Case) -> Iterator[str]:
    """
    Where an event API does as the case says.
    """
    over = threading.Event()

    def answer(request: Request) -> Answer:
        if case.answer is None:
            over.wait(10)
        return case.answer or Answer(500, b"")

    listener = Listener(answer)
    yield listener.url
    over.set()
    listener.close()


def client_to(url: str, case: Case | None = None) -> CrossAppClient:
    """
    A client that is soon at the end of its patience if the case is that nothing answers.
    """
    time, timeout = Time(), timedelta(seconds=0.1 if case == CASES["timeout"] else 5)
    return CrossAppClient(settings(url), timeout=timeout, deadline=timeout, monotonic=time, sleep=time.sleep)


def all_of(error: BaseException) -> str:
    """
    Everything that a log or an error reporter shows of an error, with the local variables of all frames but the tests'.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [repr(frame.f_locals) for frame in frames if frame.f_globals["__name__"].startswith("crossapp_core")]
    assert ours
    return "\n".join([repr(error), *traceback.format_exception(error), *ours])


class TestNothingIsShown:
    async def test_one(self, case: Case, url: str, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
        """
        Whatever happens to an event, neither log, error, traceback nor repr shows what is private, at any level.
        """
        caplog.set_level(logging.DEBUG)
        client, error = client_to(url, case), None

        try:
            await caller.send(client, sale())
        except SendError as caught:
            error = caught
        client.close()

        shown = [caplog.text, repr(client), repr(vars(client)), all_of(error) if error else ""]
        assert [text for text in shown if PRIVATE.search(text)] == []
        assert (type(error) if error else None) == case.outcome
        assert case.says in str(error or "")
        assert "httpcore" in caplog.text

    async def test_many(self, case: Case, url: str, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
        """
        Nor does a result, or an error that stands in it.
        """
        caplog.set_level(logging.DEBUG)

        with client_to(url, case) as client:
            results = await caller.send_many(client, [sale()])

        assert not PRIVATE.search(caplog.text + repr(results))
        assert [type(result.error) for result in results] == [case.outcome or type(None)]

    @pytest.mark.parametrize("case", [CASES["401"], CASES["503"], CASES["timeout"]], ids=["401", "503", "timeout"])
    async def test_no_chain(self, case: Case, url: str, caller: Caller) -> None:
        """
        No other error hangs on ours: httpx's hold the request, with its URL.
        """
        with client_to(url, case) as client, pytest.raises(SendError) as caught:
            await caller.send(client, sale())

        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


class TestNoWay:
    async def test_unknown_host(
        self, caller: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A host that DNS doesn't know is told with DNS's words, and nothing private.
        """

        def unknown(*args: object, **kwargs: object) -> NoReturn:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        caplog.set_level(logging.DEBUG)

        with client_to("http://granter.invalid") as client, pytest.raises(PeerUnavailableError) as caught:
            await caller.send(client, sale())

        assert not PRIVATE.search(caplog.text + all_of(caught.value))
        assert str(caught.value).endswith("ConnectError: [Errno -2] Name or service not known")

    async def test_nobody_listens(self, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
        """
        So is a port where nobody listens.
        """
        caplog.set_level(logging.DEBUG)
        gone = Listener(lambda request: Answer(200, b""))
        gone.close()

        with client_to(gone.url) as client, pytest.raises(PeerUnavailableError, match="ConnectError") as caught:
            await caller.send(client, sale())

        assert not PRIVATE.search(caplog.text + all_of(caught.value))
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


class TestEnvironment:
    async def test_proxy(
        self, caller: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The environment's proxy is used, and nothing private is logged on that way either.
        """
        paths = []

        def answer(request: Request) -> Answer:
            paths.append(request.path)
            return Answer.json(200, {"ids": ["by proxy"]})

        proxy = Listener(answer)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        caplog.set_level(logging.DEBUG)

        with client_to("http://granter.invalid") as client:
            accepted_id = await caller.send(client, sale())
        proxy.close()

        assert (accepted_id, paths) == ("by proxy", [f"/e/{KEY}"])
        assert not PRIVATE.search(caplog.text)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [("SSL_CERT_FILE", "/nowhere/at-all.pem"), ("ALL_PROXY", f"gopher://ada:{SECRET[:8]}@proxy.example")],
    )
    async def test_unusable(self, variable: str, value: str, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A proxy or certificate file that can't be used is told by the variables that may name it, not by their values.
        """
        monkeypatch.setenv(variable, value)

        with client_to("http://granter.invalid") as client, pytest.raises(CrossAppConfigError) as caught:
            await caller.send(client, sale())

        assert variable in str(caught.value)
        assert value not in all_of(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


class TestRedaction:
    def test_key_that_begins_another(self, caplog: pytest.LogCaptureFixture) -> None:
        """
        Nothing of a key is left where another key is its beginning.
        """
        caplog.set_level(logging.DEBUG)
        redirect = Listener(lambda request: Answer(308, b"", {"location": "/e/abcdef"}))
        peers = [
            Peer(app_id=app_id, event_key=key, secret=app_id * 40, base_url=redirect.url)
            for app_id, key in (("a", "abc"), ("b", "abcdef"), ("c", "ab"))
        ]

        with CrossAppClient(Settings("d", peers, dev=True)) as client, pytest.raises(PeerUnavailableError):
            client.send_cross_app_event_sync("b", sale())
        redirect.close()

        assert "(b'location', b'/e/**********')" in caplog.text


@pytest.mark.parametrize("case", [CASES["accepted"]], ids=["accepted"])
class TestHostsLogging:
    async def test_goes_on(self, url: str, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
        """
        httpx still logs our requests without the key, and those of the app itself in full.
        """
        caplog.set_level(logging.INFO, "httpx")

        with client_to(url) as client, httpx.Client(trust_env=False) as own:
            await caller.send(client, sale())
            await asyncio.to_thread(own.post, f"{url}/e/of-the-app")

        assert [record.getMessage() for record in caplog.records if record.name == "httpx"] == [
            f'HTTP Request: POST {url}/e/********** "HTTP/1.1 200 OK"',
            f'HTTP Request: POST {url}/e/of-the-app "HTTP/1.1 200 OK"',
        ]

    async def test_what_tracing_sees(self, url: str, caller: Caller) -> None:
        """
        The URL is hidden from whoever reads it off the request, and all the same the right one is asked.
        """
        seen: list[httpx.Request] = []

        class Traced(httpx.HTTPTransport):
            def handle_request(self, request: httpx.Request) -> httpx.Response:
                seen.append(request)
                return super().handle_request(request)

        with CrossAppClient(settings(url), transport=Traced()) as client:
            [result] = await caller.send_many(client, [sale()])

        assert result == SendResult(result.event_id, "one", None)
        assert (str(seen[0].url), repr(seen[0].url)) == (f"{url}/e/**********", f"HiddenURL('{url}/e/**********')")
        assert seen[0].url.raw_path == f"/e/{KEY}".encode()
