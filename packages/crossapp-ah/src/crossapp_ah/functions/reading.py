"""
Reading what a seller sent; if it can't be understood, the seller hears of it.
"""

from __future__ import annotations

from typing import TypeVar

import inngest
from pydantic import ValidationError

from crossapp_ah.ports import Granter
from crossapp_core.durable import Run
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import BundlePurchased, EntitlementFailed, EntitlementRevoke
from crossapp_core.outcomes import Message
from crossapp_core.runtime import Runtime
from crossapp_core.wire import LONGEST_SENTENCE

R = TypeVar("R", BundlePurchased, EntitlementRevoke)


async def read_or_report(granter: Runtime[Granter], run: Run, kind: type[R]) -> R:
    """
    Check and read an event. One that its sender signed and that we can't read is answered by `entitlement/failed`, so
    that the seller's ledger says why nothing happened; a sketch peer doesn't understand that.

    Raises:
        EventRejectedError: It is none that we act on.
    """
    try:
        return granter.read(kind, run.event)
    except EventRejectedError as error:
        rejected = error
    source = str(run.event.data.get("sourceApp"))
    understands = source in granter.settings.peers and source not in granter.settings.sketches
    if rejected.reason == "schema" and understands and (failed := _failed(run.event, rejected)):
        await granter.send(run, "report", [Message(source, failed)], answers=run.event.id)
    raise rejected


def _failed(event: inngest.Event, rejected: EventRejectedError) -> EntitlementFailed | None:
    content: dict[str, object] = {key: event.data.get(key) for key in ("productId", "version")}
    content["sourcePurchaseId"] = event.data.get("purchaseId")
    content["code"] = "unreadable"
    content["message"] = str(rejected)[:LONGEST_SENTENCE]
    try:
        return EntitlementFailed.from_wire(content)
    except ValidationError:
        return None  # nobody could tell which row it is about
