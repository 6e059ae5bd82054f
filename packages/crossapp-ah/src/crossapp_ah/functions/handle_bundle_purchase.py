"""
`handle-bundle-purchase`: a sale at the seller unlocks here.
"""

from __future__ import annotations

import inngest

from crossapp_ah.functions import owed_entitlements
from crossapp_ah.functions.reading import read_or_report
from crossapp_ah.operations import entitlements
from crossapp_ah.ports import Granter
from crossapp_core.durable import Run
from crossapp_core.events import BundlePurchased, EntitlementGranted
from crossapp_core.outcomes import Outcome
from crossapp_core.runtime import Runtime


def handle_bundle_purchase(granter: Runtime[Granter]) -> inngest.Function[list[str]]:
    """
    Unlock what was bought, tell the seller, and run the app's hooks.
    """

    async def handle(run: Run) -> list[str]:
        request = await read_or_report(granter, run, BundlePurchased)
        outcome = await granter.transact(run, "grant", entitlements.grant, request)
        if _waits(outcome):
            outcome = await granter.transact(run, "look again", entitlements.look_again, request)
        sent = await granter.send(run, "acknowledge", outcome.messages, answers=run.event.id)
        await owed_entitlements.apply(granter, run, outcome.ids)
        return sent

    return granter.function(handle, fn_id="handle-bundle-purchase", events=[BundlePurchased.name], owes=True)


def _waits(outcome: Outcome) -> bool:
    events = [message.event for message in outcome.messages]
    return any(isinstance(event, EntitlementGranted) and event.status == "pending" for event in events)
