"""
A person's browser, as far as the pages need one: it keeps cookies, follows redirects and sends forms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

FORM_HEADERS = {"origin": "null", "sec-fetch-site": "same-origin"}
"""What a browser says of a form that was sent from one of our pages, which show nobody where they are."""


@dataclass
class Form:
    """
    A form on a page.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Html(HTMLParser):
    """
    What a page shows.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.headings: list[str] = []
        self._shown: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    @property
    def text(self) -> str:
        """
        All that can be read.
        """
        return " ".join(" ".join(self._shown).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        Note what begins.
        """
        values = dict(attrs)
        self.tags.append((tag, values))
        self._open.append(tag)
        match tag:
            case "form":
                self.forms.append(Form(values.get("action") or "", values.get("method") or "get"))
            case "input":
                self.forms[-1].fields[values.get("name") or ""] = values.get("value") or ""
            case "button":
                self.forms[-1].buttons.append((values.get("name") or "", values.get("value") or ""))
            case "a":
                self.links.append(values.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        """
        Note what ends.
        """
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """
        Note what is shown.
        """
        if "style" in self._open:
            return
        self._shown.append(data)
        if self._open and self._open[-1] == "h1":
            self.headings.append(data.strip())


class FromWsgi(httpx.AsyncBaseTransport):
    """
    Asks a WSGI app, in a thread.
    """

    def __init__(self, app: Any) -> None:
        self._transport = httpx.WSGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Ask it.
        """
        await request.aread()
        answer = await asyncio.to_thread(self._ask, request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def _ask(self, request: httpx.Request) -> httpx.Response:
        answer = self._transport.handle_request(request)
        answer.read()
        return answer


class Browser:
    """
    Asks the apps of a test by their origins.
    """

    def __init__(self, apps: Mapping[str, httpx.AsyncBaseTransport]) -> None:
        self.http = httpx.AsyncClient(mounts=dict(apps.items()))
        self.visited: list[httpx.Response] = []
        """Each answer, in turn."""

    @property
    def now(self) -> httpx.Response:
        """
        What is shown.
        """
        return self.visited[-1]

    @property
    def page(self) -> Html:
        """
        The same, read.
        """
        return Html(self.now.text)

    @property
    def url(self) -> str:
        """
        What stands in the address bar.
        """
        return str(self.now.url)

    async def go(self, url: str, **options: Any) -> httpx.Response:
        """
        Open a URL.
        """
        return await self.ask("GET", url, **options)

    async def submit(self, button: str = "", *, form: int = 0, **changed: str | None) -> httpx.Response:
        """
        Press a button of a form that is shown, perhaps with other values in its fields; None leaves a field out.
        """
        shown = self.page.forms[form]
        values: dict[str, str | None] = {**shown.fields}
        values |= {name: value for name, value in shown.buttons if name and value == button}
        values |= changed
        data = {name: value for name, value in values.items() if value is not None}
        url = self.now.url.join(shown.action)
        return await self.ask(shown.method.upper(), str(url), data=data, headers=FORM_HEADERS)

    async def ask(self, method: str, url: str, *, follow: bool = True, **options: Any) -> httpx.Response:
        """
        Ask, and follow where it leads.
        """
        answer = await self.http.request(method, url, **options)
        self.visited.append(answer)
        while follow and answer.next_request is not None:
            answer = await self.http.send(answer.next_request)
            self.visited.append(answer)
        return answer

    async def close(self) -> None:
        """
        Close it.
        """
        await self.http.aclose()
