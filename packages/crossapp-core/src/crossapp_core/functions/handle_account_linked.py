"""
`handle-account-linked`: two accounts belong together from now on.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.events import AccountLinked
from crossapp_core.functions.link_events import take
from crossapp_core.link_runtime import LinkRuntime


def handle_account_linked(linking: LinkRuntime) -> inngest.Function[None]:
    """
    Write the peer's link down here too and answer; tell the peer of one that was made here.
    """

    async def handle(run: Run) -> None:
        await take(linking, run, AccountLinked)

    return linking.app.function(handle, fn_id="handle-account-linked", events=[AccountLinked.name])
