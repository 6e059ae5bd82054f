"""
`claim-pending-entitlements`: what waits for its buyer unlocks when the buyer's accounts are linked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import inngest

from crossapp_ah.functions import owed_entitlements
from crossapp_ah.operations import claims
from crossapp_ah.operations.claims import Claim
from crossapp_ah.ports import Granter
from crossapp_core.durable import Body, Run
from crossapp_core.events import AccountLinked, EntitlementGranted, iso
from crossapp_core.functions.link_events import take
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.outcomes import Message
from crossapp_core.runtime import Runtime


def claim_pending_entitlements(granter: Runtime[Granter], linking: LinkRuntime) -> inngest.Function[None]:
    """
    Do as `handle-account-linked` does, then unlock what waits for the buyer, and tell them.
    """

    async def handle(run: Run) -> None:
        async def send(messages: Sequence[Message]) -> None:
            await granter.send(run, "acknowledge", messages)

        pair = await take(linking, run, AccountLinked)
        link = {"linked_app": pair.app, "linked_user_id": pair.linked_user_id}
        claimed = await _claim_all(granter, run, link, send=send)
        await owed_entitlements.apply(granter, run, claimed)
        await owed_entitlements.tell(granter, run, claimed)

    return granter.function(handle, fn_id="claim-pending-entitlements", events=[AccountLinked.name], owes=True)


def claims_that_were_missed(granter: Runtime[Granter]) -> Body[None]:
    """
    What is to be done each minute: the event that should have started a claim may be lost.
    """

    async def claim(run: Run) -> None:
        async def send(messages: Sequence[Message]) -> None:
            # a peer that takes nothing must not keep the others waiting; it will ask, since no user was named
            await granter.try_to_send(run, "acknowledge", messages)

        found = await granter.transact(run, "find claims", claims.waiting, claims.BATCH)
        for claimed in [await _claim_all(granter, run, {"id": link_id}, send=send) for link_id in found.ids]:
            # last: slow hooks keep no claim waiting
            await owed_entitlements.apply(granter, run, claimed)
            await owed_entitlements.tell(granter, run, claimed)

    return claim


async def _claim_all(
    granter: Runtime[Granter],
    run: Run,
    link: Mapping[str, object],
    *,
    send: Callable[[Sequence[Message]], Awaitable[None]],
) -> list[str]:
    async def begin() -> str:
        return iso(granter.clock())

    # remembered, so that a claim whose process dies knows its own work when it is done again
    began = datetime.fromisoformat(await run.step("begin claim", begin))
    claimed: list[str] = []
    after: tuple[str, str] | None = None
    while True:
        batch = await granter.transact(run, "claim", claims.claim, Claim(link, began, after))
        await send([replace(message, answers=run.event.id) for message in batch.messages])
        claimed += batch.ids
        if len(batch.ids) < claims.BATCH:
            return claimed
        last = _granted(batch.messages[-1])
        after = last.source_purchase_id, last.product_id


def _granted(message: Message) -> EntitlementGranted:
    assert isinstance(message.event, EntitlementGranted)  # noqa: S101 (a claim sends nothing else)
    return message.event
