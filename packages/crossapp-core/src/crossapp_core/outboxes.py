"""
What is owed to peers, whichever table it stands in, and how it gets to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from crossapp_core.operations.outages import Outage
from crossapp_core.outcomes import Due, Noted
from crossapp_core.ports import Problem

if TYPE_CHECKING:
    from crossapp_core.runtime import Operation, Runtime

H = TypeVar("H")

BATCH = 500
"""How many rows are taken in one transaction."""

PER_MINUTE = 3000

_MOST_NAMED = 20


@dataclass(frozen=True)
class Outbox(Generic[H]):
    """
    The rows of one table that are owed to peers.
    """

    host: H
    take: Operation[H, Due]
    """Takes what is due, for this worker alone, as another attempt; its ids and messages belong together."""
    note: Operation[H, Noted]
    """Writes down what became of it."""


async def drain(app: Runtime[Any], outboxes: Sequence[Outbox[Any]], peer: str, *, most: int = PER_MINUTE) -> int:
    """
    Send a peer what is due to it, as long as it takes that; how many rows were sent.

    Args:
        app: The app.
        outboxes: All that may be owed, in the order in which it is sent.
        peer: The peer's app id.
        most: How many rows, so that a peer that was away for long isn't buried.
    """
    dispatch, accepted = app.dispatch(), 0
    outage = await dispatch.may_ask(peer)
    if outage is False:
        return 0
    for outbox in outboxes:
        while accepted < most:
            limit = 1 if isinstance(outage, Outage) else min(BATCH, most - accepted)
            batch = await app.database.transact(outbox.take, outbox.host, Due(peer, limit), now=app.clock())
            if not batch.ids:
                break
            sent = await dispatch.send_to(peer, batch.messages, outage=outage if isinstance(outage, Outage) else None)
            noted = list(zip(batch.ids, sent, strict=True))
            await app.database.transact(outbox.note, outbox.host, noted, now=app.clock())
            await _report(app, peer, noted)
            if any(each.peer_is_down for each in sent):
                return accepted
            accepted += sum(each.error is None for each in sent)
            outage = True
    if isinstance(outage, Outage):
        await dispatch.put_back(outage)  # else who has something to send would never be the one to ask
    return accepted


async def _report(app: Runtime[Any], peer: str, noted: Noted) -> None:
    # a peer that is down has been reported as such
    refused = {id_: sent.error for id_, sent in noted if sent.error is not None and not sent.peer_is_down}
    if refused:
        first, *_ = refused.values()
        await app.report(Problem(first.code, str(first), tuple(refused)[:_MOST_NAMED], peer))
