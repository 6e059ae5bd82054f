"""
`handle-link-state`: the peer says what it holds of two accounts, now that it was told of them.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.events import AccountLinkState
from crossapp_core.functions.link_events import merge
from crossapp_core.link_runtime import LinkRuntime


def handle_link_state(linking: LinkRuntime) -> inngest.Function[None]:
    """
    Write down that the peer knows, or take over what it knows better. That is answered by nothing.
    """

    async def handle(run: Run) -> None:
        await merge(linking, run, linking.app.read(AccountLinkState, run.event))

    return linking.app.function(handle, fn_id="handle-link-state", events=[AccountLinkState.name])
