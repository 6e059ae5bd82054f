"""
Apps as an environment reaches them: in this process or over the network, signed or not.

An app in this process is ASGI (FastAPI, Starlette) or WSGI (Flask): WSGI if it can't be called with three arguments.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import json
import re
import ssl
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias, TypeGuard, cast
from wsgiref.types import WSGIApplication

import httpx

from crossapp_core.testing.errors import LocalInngestError

ASGIApp: TypeAlias = Callable[
    [
        MutableMapping[str, object],
        Callable[[], Awaitable[MutableMapping[str, object]]],
        Callable[[MutableMapping[str, object]], Awaitable[None]],
    ],
    Awaitable[None],
]
"""What uvicorn runs: a FastAPI app, for example."""
WSGIApp: TypeAlias = WSGIApplication
"""What gunicorn runs: a Flask app, for example."""
App: TypeAlias = ASGIApp | WSGIApp

_TIMEOUT = 60.0
_KEY_PREFIX = re.compile(r"^signkey-\w+-")


@dataclass(frozen=True)
class Deployment:
    """
    Where an app runs, and how it knows its Inngest.
    """

    app: App | None = None
    """None if it is called over the network."""
    signing_key: str | None = field(default=None, repr=False)
    """What requests are signed with, as Inngest's cloud does; None for a dev server, which doesn't."""

    async def request(self, method: str, url: httpx.URL | str, content: bytes = b"") -> httpx.Response:
        """
        Send the app a request of its Inngest server.

        Raises:
            Exception: Whatever the app lets through.
        """
        headers = self._headers(content)
        if self.app is not None and is_wsgi(self.app):
            # In a thread, as every WSGI server has it: the app may block, or run an event loop of its own.
            with httpx.Client(transport=httpx.WSGITransport(app=self.app), trust_env=False) as sync:
                return await asyncio.to_thread(sync.request, method, url, content=content, headers=headers)
        # Without trust_env a proxy of the machine would get what is meant for the app beside us.
        async with httpx.AsyncClient(transport=self._transport(), trust_env=False, timeout=_TIMEOUT) as client:
            return await client.request(method, url, content=content, headers=headers)

    def trusts(self, authorization: str | None) -> bool:
        """
        Whether an app that registers has shown the signing key, if there is one.
        """
        if self.signing_key is None:
            return True
        return hmac.compare_digest(f"Bearer {_hash(self.signing_key)}".encode(), (authorization or "").encode())

    def _transport(self) -> httpx.AsyncBaseTransport:
        if self.app is None:
            return httpx.AsyncHTTPTransport(verify=_tls())
        return httpx.ASGITransport(app=cast("ASGIApp", self.app))

    def _headers(self, content: bytes) -> dict[str, str]:
        headers = {"content-type": "application/json"} if content else {}
        if self.signing_key is None:
            return headers | {"x-inngest-server-kind": "dev"}
        signature = _signature(self.signing_key, content, int(time.time()))
        return headers | {"x-inngest-server-kind": "cloud", "x-inngest-signature": signature}


def is_wsgi(app: object) -> TypeGuard[WSGIApp]:
    """
    Whether *app* is a WSGI app: one that takes two arguments, not three as ASGI apps do.
    """
    if not callable(app):
        return False
    try:
        inspect.signature(app).bind("scope", "receive", "send")
    except TypeError:
        return True
    return False


def checked_key(signing_key: str | None) -> str | None:
    """
    Pass on a signing key.

    Raises:
        LocalInngestError: Inngest has no such keys; the key is not told.
    """
    if signing_key is not None:
        try:
            bytes.fromhex(_secret(signing_key))
        except ValueError:
            msg = "a signing key is hexadecimal, perhaps after a prefix: signkey-test-12ab34cd"
            raise LocalInngestError(msg) from None
    return signing_key


def _secret(signing_key: str) -> str:
    return _KEY_PREFIX.sub("", signing_key, count=1)


def _hash(signing_key: str) -> str:
    return hashlib.sha256(bytes.fromhex(_secret(signing_key))).hexdigest()


def _signature(signing_key: str, content: bytes, at: int) -> str:
    # inngest brings jcs, and canonicalises with it what it checks
    import jcs  # type: ignore[import-untyped]

    canonical = cast("bytes", jcs.canonicalize(json.loads(content))) if content else b""
    digest = hmac.new(_secret(signing_key).encode(), canonical + str(at).encode(), hashlib.sha256)
    return f"t={at}&s={digest.hexdigest()}"


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
