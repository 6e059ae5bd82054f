"""
`claim-pending-entitlements`: what waits for its buyer unlocks when the buyer's accounts are linked.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
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
        async def send(messages: Sequence[Message]) -> None:
            await granter.send(run, "acknowledge", messages)

        pair = await take(linking, run, AccountLinked)
        link = {"linked_app": pair.app, "linked_user_id": pair.linked_user_id}
        await _tell(run, await _claim_all(granter, run, link, send=send), on_claimed)

    return granter.function(handle, fn_id="claim-pending-entitlements", events=[AccountLinked.name])


def claims_that_were_missed(granter: Runtime[Granter], on_claimed: OnClaimed | None) -> Body[None]:
    """
    What is to be done each minute: the event that should have started a claim may be lost.
    """

    async def claim(run: Run) -> None:
        async def send(messages: Sequence[Message]) -> None:
            # a peer that takes nothing must not keep the others waiting; it will ask, since no user was named
            await granter.try_to_send(run, "acknowledge", messages)

        found = await granter.transact(run, "find claims", claims.waiting, claims.BATCH)
        claimed = [await _claim_all(granter, run, {"id": link_id}, send=send) for link_id in found.ids]
        for each in claimed:  # last: a hook that fails keeps no claim waiting
            await _tell(run, each, on_claimed)

    return claim


async def _claim_all(
    granter: Runtime[Granter],
    run: Run,
    link: Mapping[str, object],
    *,
    send: Callable[[Sequence[Message]], Awaitable[None]],
) -> list[Message]:
    async def begin() -> str:
        return iso(granter.clock())

    # remembered, so that a claim whose process dies knows its own work when it is done again
    began = datetime.fromisoformat(await run.step("begin claim", begin))
    claimed: list[Message] = []
    after: tuple[str, str] | None = None
    while True:
        batch = await granter.transact(run, "claim", claims.claim, Claim(link, began, after))
        await send([replace(message, answers=run.event.id) for message in batch.messages])
        claimed += batch.messages
        if len(batch.ids) < claims.BATCH:
            return claimed
        last = _granted(claimed[-1])
        after = last.source_purchase_id, last.product_id


async def _tell(run: Run, claimed: Sequence[Message], on_claimed: OnClaimed | None) -> None:
    if not claimed or on_claimed is None:
        return
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
