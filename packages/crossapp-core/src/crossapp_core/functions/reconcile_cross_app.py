"""
`reconcile-cross-app`: what is owed and wasn't acknowledged in time.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.functions.link_events import note_accepted
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import owed_links

EACH_MINUTE = "* * * * *"


def reconcile_cross_app(linking: LinkRuntime) -> inngest.Function[None]:
    """
    Announce links again that are owed to a peer, and do the adapters' chores. What fails is done the next time.
    """

    async def reconcile(run: Run) -> None:
        owed = await linking.transact(run, "find owed links", owed_links.announce_again, owed_links.BATCH)
        accepted = await linking.app.try_to_send(run, "announce", owed.messages)
        await note_accepted(linking, run, accepted)
        for chore in linking.chores:
            await chore(run)
        await linking.transact(run, "forget tokens", owed_links.forget_tokens, owed_links.BATCH)

    return linking.app.function(reconcile, fn_id="reconcile-cross-app", cron=EACH_MINUTE)
