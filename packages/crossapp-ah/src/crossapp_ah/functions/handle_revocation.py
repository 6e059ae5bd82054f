"""
`handle-revocation`: a refund at the seller locks here.
"""

from __future__ import annotations

import inngest

from crossapp_ah.functions import owed_entitlements
from crossapp_ah.functions.reading import read_or_report
from crossapp_ah.operations import entitlements
from crossapp_ah.ports import Granter
from crossapp_core.durable import Run
from crossapp_core.events import EntitlementRevoke
from crossapp_core.runtime import Runtime


def handle_revocation(granter: Runtime[Granter]) -> inngest.Function[list[str]]:
    """
    Lock what was unlocked for a purchase, tell the seller, and run the app's hooks.
    """

    async def handle(run: Run) -> list[str]:
        request = await read_or_report(granter, run, EntitlementRevoke)
        outcome = await granter.transact(run, "revoke", entitlements.revoke, request)
        sent = await granter.send(run, "acknowledge", outcome.messages, answers=run.event.id)
        await owed_entitlements.apply(granter, run, outcome.ids)
        return sent

    return granter.function(handle, fn_id="handle-revocation", events=[EntitlementRevoke.name], owes=True)
