"""
Sending one event, against a pooled httpx client that posts the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import inngest

from benchmarks import server
from benchmarks.apps import EVENT_KEY, GRANTER, signing_settings
from benchmarks.building import FULL
from benchmarks.measuring import OURS, Effort, Line, Note, race, repeat, repeat_async, shown
from crossapp_core import CrossAppClient
from crossapp_core.events import BundlePurchased

POOLED, NEW, SDK = "pooled httpx", "a new httpx client for each", "inngest's own client"
_JSON = {"content-type": "application/json"}


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    Signed, in both flavours, to a server in another process.
    """
    with server.running() as url:
        yield from _sync(effort, url)
        yield from _async(effort, url)


def _sync(effort: Effort, url: str) -> Iterator[Line | Note]:
    address, body, event = f"{url}/e/{EVENT_KEY}", body_of_one(url), sale()
    with sdk_client(url) as sdk, CrossAppClient(signing_settings(url)) as client, httpx.Client() as http:
        measured = race(
            {
                OURS: repeat(lambda: client.send_cross_app_event_sync(GRANTER, event)),
                POOLED: repeat(lambda: http.post(address, content=body, headers=_JSON).raise_for_status()),
                SDK: repeat(lambda: sdk.send_sync(sdk_event())),
            },
            effort,
            times=100,
        )
    new = race({NEW: repeat(lambda: _post_anew(address, body))}, effort, times=5, rounds=5)
    yield Line("send one event (sync)", POOLED, measured[POOLED], measured[OURS], "≤ 1.15")
    yield Note(
        f"Sending one in sync code takes {shown(new[NEW].median)} with {NEW}, and {shown(measured[SDK].median)} with "
        f"{SDK}, which doesn't sign."
    )


def _async(effort: Effort, url: str) -> Iterator[Line | Note]:
    address, body, event = f"{url}/e/{EVENT_KEY}", body_of_one(url), sale()
    http = httpx.AsyncClient()
    with sdk_client(url) as sdk, CrossAppClient(signing_settings(url)) as client, asyncio.Runner() as runner:
        measured = race(
            {
                OURS: repeat_async(runner, lambda: client.send_cross_app_event(GRANTER, event)),
                POOLED: repeat_async(runner, lambda: http.post(address, content=body, headers=_JSON)),
                SDK: repeat_async(runner, lambda: sdk.send(sdk_event())),
            },
            effort,
            times=100,
        )
        runner.run(http.aclose())
        runner.run(sdk._http_client._http_client.aclose())
    yield Line("send one event (async)", f"{POOLED} (AsyncClient)", measured[POOLED], measured[OURS], "≤ 1.15")
    yield Note(f"Sending one in async code takes {shown(measured[SDK].median)} with {SDK}.")


def sale(number: int = 1) -> BundlePurchased:
    """
    What is sent.
    """
    return BundlePurchased(**{**FULL, "source_app": None, "purchase_id": f"pur_{number}"})


def sdk_event(number: int = 1) -> inngest.Event:
    """
    The same as one writes it with inngest's own client.
    """
    data: dict[str, Any] = {
        "sourceApp": FULL["source_app"],
        "purchaseId": f"pur_{number}",
        "productId": FULL["product_id"],
        "buyerEmail": FULL["buyer_email"],
        "buyerUserId": FULL["buyer_user_id"],
        "bundleProductId": FULL["bundle_product_id"],
        "purchasedAt": FULL["purchased_at"].isoformat(),
        "version": FULL["version"],
    }
    return inngest.Event(name=BundlePurchased.name, id=f"bundle/purchased:pur_{number}", data=data)


@contextmanager
def sdk_client(url: str) -> Iterator[inngest.Inngest]:
    """
    Inngest's own client for that server. Nobody else can close it.
    """
    client = inngest.Inngest(app_id="benchmarks", event_key=EVENT_KEY, is_production=False, event_api_base_url=url)
    try:
        yield client
    finally:
        client._http_client._http_client_sync.close()


def body_of_one(url: str) -> bytes:
    """
    The bytes that our client sends.
    """
    sent: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(200, json={"ids": ["1"]})

    with CrossAppClient(signing_settings(url), transport=httpx.MockTransport(note)) as client:
        client.send_cross_app_event_sync(GRANTER, sale())
    return sent[0]


def _post_anew(address: str, body: bytes) -> None:
    with httpx.Client() as http:
        http.post(address, content=body, headers=_JSON).raise_for_status()
