"""
`sweep-purchases`: what has happened to purchases without an event of it.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.runtime import Runtime
from crossapp_tt.functions import sweeping
from crossapp_tt.ports import Seller

EACH_HOUR = "17 * * * *"
"""Not with the hour, when everybody's timetables begin."""

MOST_STEPS = 500
"""In one run, of which Inngest allows 1000; the next run goes on."""


def sweep_purchases(seller: Runtime[Seller]) -> inngest.Function[dict[str, int]]:
    """
    Compare all purchases with the ledger, and record those that differ; how many it found of each kind.
    """

    async def sweep(run: Run) -> dict[str, int]:
        async def begin() -> None:
            await sweeping.begin(seller)

        async def go_on() -> dict[str, int] | None:
            return await sweeping.found(seller) if await sweeping.go_on(seller) else None

        await run.step("begin", begin)
        for _ in range(MOST_STEPS):
            found = await run.step("sweep", go_on)
            if found is not None:
                return found
        return {}

    return seller.function(sweep, fn_id="sweep-purchases", cron=EACH_HOUR, owes=True)
