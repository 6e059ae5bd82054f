"""
What is done for entitlements after the seller was answered: the app's hooks are run and users are told. Whatever fails
stays owed, and is done by the chore of `reconcile-cross-app`.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence

from crossapp_ah.operations import hooks, notices, owed_entitlements
from crossapp_ah.operations.owed_entitlements import BATCH
from crossapp_ah.ports import Claimed, Granter, OnClaimed
from crossapp_core.durable import Body, Run
from crossapp_core.ports import Problem
from crossapp_core.runtime import Runtime

HOOK_FAILED = "hook-failed"
"""The code of the problem that one of the app's hooks has raised."""

_BATCHES = 20
"""How many batches are done each minute, so that a restored backup keeps nothing else waiting."""


async def apply(granter: Runtime[Granter], run: Run, ids: Sequence[str]) -> None:
    """
    Run the app's hooks for what those entitlements say now, if it has any.
    """

    async def work() -> None:
        await _apply(granter, batch)
        await _settle(granter, batch)

    for start in range(0, len(ids) if granter.host.has_hooks else 0, BATCH):
        batch = ids[start : start + BATCH]
        await run.step("apply", work)


async def tell(granter: Runtime[Granter], run: Run, ids: Sequence[str]) -> None:
    """
    Tell users of what was claimed for them, if the app wants them told.
    """

    async def work() -> None:
        await _tell(granter, ids)
        await _settle(granter, ids)

    if granter.host.on_claimed is not None and ids:
        await run.step("tell", work)


def hooks_that_are_owed(granter: Runtime[Granter]) -> Body[None]:
    """
    What is to be done each minute for entitlements that owe a hook something; then their sellers are told once more.
    """

    async def run_hooks(run: Run) -> None:
        async def work() -> int:
            ids = await granter.database.transact(owed_entitlements.take, granter.host, BATCH, now=granter.clock())
            if ids:
                await _apply(granter, ids)
                await _tell(granter, ids)
                await granter.database.transact(owed_entitlements.owe_answers, granter.host, ids, now=granter.clock())
            return len(ids)

        for _ in range(_BATCHES):
            if await run.step("run hooks", work) < BATCH:
                break

    return run_hooks


async def _apply(granter: Runtime[Granter], ids: Sequence[str]) -> None:
    if not granter.host.has_hooks:
        return
    failed: dict[str, list[str]] = defaultdict(list)
    for id_ in ids:
        try:
            await granter.database.transact(hooks.apply, granter.host, id_, now=granter.clock())
        except Exception as error:  # noqa: BLE001 (whatever it raises, the hook is owed, and the cron runs it again)
            failed[type(error).__name__].append(id_)
    await _report(granter, "on_active or on_revoked", failed)


async def _tell(granter: Runtime[Granter], ids: Sequence[str]) -> None:
    on_claimed = granter.host.on_claimed
    if on_claimed is None:
        return
    failed: dict[str, list[str]] = defaultdict(list)
    for notice in await granter.database.transact(notices.untold, granter.host, ids, now=granter.clock()):
        try:
            await _call(on_claimed, notice.claimed)
        except Exception as error:  # noqa: BLE001 (as above)
            failed[type(error).__name__].extend(notice.ids)
        else:
            await granter.database.transact(notices.note_told, granter.host, notice, now=granter.clock())
    await _report(granter, "on_claimed", failed)


async def _call(on_claimed: OnClaimed, claimed: Claimed) -> None:
    result = on_claimed(claimed)
    if inspect.isawaitable(result):
        await result


async def _settle(granter: Runtime[Granter], ids: Sequence[str]) -> None:
    await granter.database.transact(owed_entitlements.settle, granter.host, ids, now=granter.clock())


async def _report(granter: Runtime[Granter], hook: str, failed: dict[str, list[str]]) -> None:
    for name, ids in failed.items():
        await granter.report(Problem(HOOK_FAILED, f"{hook} raised {name}; it is called again later", ids=tuple(ids)))
