"""
`claim-pending-entitlements`: what waits for its buyer unlocks when the buyer's accounts are linked.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime

import inngest

from crossapp_ah.operations import claims
from crossapp_ah.operations.claims import Claim
from crossapp_ah.ports import Claimed, Granter, OnClaimed
from crossapp_core.durable import Body, Run
from crossapp_core.events import AccountLinked, EntitlementGranted, iso
from crossapp_core.functions.link_events import take
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.outcomes import Message
from crossapp_core.runtime import Runtime


def claim_pending_entitlements(
    granter: Runtime[Granter], linking: LinkRuntime, on_claimed: OnClaimed | None
) -> inngest.Function[None]:
    """
    Do as `handle-account-linked` does, then unlock what waits for the buyer.
    """

    async def handle(run: Run) -> None:
        pair = await take(linking, run, AccountLinked)
        await _claim_all(granter, run, {"linked_app": pair.app, "linked_user_id": pair.linked_user_id}, on_claimed)

    return granter.function(handle, fn_id="claim-pending-entitlements", events=[AccountLinked.name])


def claims_that_were_missed(granter: Runtime[Granter], on_claimed: OnClaimed | None) -> Body[None]:
    """
    What is to be done each minute: the event that should have started a claim may be lost.
    """

    async def claim(run: Run) -> None:
        found = await granter.transact(run, "find claims", claims.waiting, claims.BATCH)
        for link_id in found.ids:
            await _claim_all(granter, run, {"id": link_id}, on_claimed)

    return claim


async def _claim_all(
    granter: Runtime[Granter], run: Run, link: Mapping[str, object], on_claimed: OnClaimed | None
) -> None:
    async def begin() -> str:
        return iso(granter.clock())

    # remembered, so that a claim whose process dies knows its own work when it is done again
    began = datetime.fromisoformat(await run.step("begin claim", begin))
    claimed: list[Message] = []
    after: tuple[str, str] | None = None
    while True:
        batch = await granter.transact(run, "claim", claims.claim, Claim(link, began, after))
        await granter.send(run, "acknowledge", batch.messages, answers=run.event.id)
        claimed += batch.messages
        if len(batch.ids) < claims.BATCH:
            break
        last = _granted(claimed[-1])
        after = last.source_purchase_id, last.product_id
    if claimed and on_claimed is not None:
        await _tell(run, claimed, on_claimed)


async def _tell(run: Run, claimed: Sequence[Message], on_claimed: OnClaimed) -> None:
    granted = [_granted(message) for message in claimed]
    news = Claimed(str(granted[0].user_id), claimed[0].target, tuple(each.product_id for each in granted))

    async def tell() -> None:
        result = on_claimed(news)
        if inspect.isawaitable(result):
            await result

    await run.step("tell", tell)


def _granted(message: Message) -> EntitlementGranted:
    assert isinstance(message.event, EntitlementGranted)  # noqa: S101 (a claim sends nothing else)
    return message.event
