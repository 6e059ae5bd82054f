"""
`handle-account-unlinked`: two accounts don't belong together any more.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.events import AccountUnlinked
from crossapp_core.functions.link_events import take
from crossapp_core.link_runtime import LinkRuntime


def handle_account_unlinked(linking: LinkRuntime) -> inngest.Function[None]:
    """
    Unlink here too and answer; tell the peer of a link that was removed here.
    """

    async def handle(run: Run) -> None:
        await take(linking, run, AccountUnlinked)

    return linking.app.function(handle, fn_id="handle-account-unlinked", events=[AccountUnlinked.name])
