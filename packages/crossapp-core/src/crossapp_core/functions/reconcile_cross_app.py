"""
`reconcile-cross-app`: what is owed and wasn't acknowledged in time.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Body, Run
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import owed_links
from crossapp_core.outboxes import drain

EACH_MINUTE = "* * * * *"


def reconcile_cross_app(linking: LinkRuntime) -> inngest.Function[None]:
    """
    Do the adapters' chores, and send each peer again what is owed to it. What fails is done the next time, and keeps
    nothing else from being done.
    """

    async def reconcile(run: Run) -> None:
        # what the chores do may have to be told
        draining = [_draining(linking, peer) for peer in sorted(linking.linker.apps)]
        chores = [*linking.chores, *draining, forget]
        failed: Exception | None = None
        for chore in chores:
            try:
                await chore(run)
            except Exception as error:  # noqa: BLE001 (raised below, when all the others are done)
                failed = failed or error
        if failed is not None:
            raise failed

    async def forget(run: Run) -> None:
        await linking.transact(run, "forget tokens", owed_links.forget_tokens, owed_links.BATCH)

    return linking.app.function(reconcile, fn_id="reconcile-cross-app", cron=EACH_MINUTE, owes=True)


def _draining(linking: LinkRuntime, peer: str) -> Body[None]:
    async def send(run: Run) -> None:
        # one step for all batches: what is taken and not sent is due again soon
        async def work() -> int:
            return await drain(linking.app, linking.all_outboxes, peer, most=linking.per_minute)

        await run.step(f"drain {peer}", work)

    return send
