"""
`check-gone-users`: finds users who are gone and whom nobody reported.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import departures
from crossapp_core.ports import People

EACH_NIGHT = "17 3 * * *"

_PAGES = 20
"""In one step."""


def check_gone_users(linking: LinkRuntime) -> inngest.Function[None]:
    """
    Go through all users that links and, at a granter, open entitlements name; those who are gone are let go.
    """

    async def check(run: Run) -> None:
        for name, people in (("links", departures.linked_users(linking.linker)), *linking.linker.people):
            while not await _some(linking, run, name, people):
                pass

    return linking.app.function(check, fn_id="check-gone-users", cron=EACH_NIGHT, owes=True)


async def _some(linking: LinkRuntime, run: Run, name: str, people: People) -> bool:
    async def work() -> bool:
        for _ in range(_PAGES):
            page = await linking.do(departures.check, name, people)
            await linking.tell(page.messages)
            if page.is_last:
                return True
        return False

    return await run.step(f"check {name}", work)
