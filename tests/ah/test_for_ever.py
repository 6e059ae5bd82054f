from __future__ import annotations

from pathlib import Path
from typing import Any

from crossapp_core.testing import LocalInngest
from tests.ah.school import BUYER, link, refund, sale
from tests.ah.served import ServedSchool
from tests.ah.test_claim_function import cron, linked, unlinked
from tests.ah.test_owed_hooks import served_roles
from tests.databases import open_database


def _triggers(config: Any) -> list[str]:
    # a timetable has no event
    return [getattr(trigger, "event", None) or trigger.cron for trigger in config.triggers]


class TestForEver:
    async def test_ids_and_triggers(self, served: ServedSchool) -> None:
        """
        The functions' ids and triggers: Inngest's memory hangs on them, so no version may change one.
        """
        configs = [function.get_config("https://school.example").main for function in served.bridge.functions]
        assert {config.id: _triggers(config) for config in configs} == {
            "ai-hero-handle-bundle-purchase": ["bundle/purchased"],
            "ai-hero-handle-revocation": ["entitlement/revoke"],
            "ai-hero-claim-pending-entitlements": ["account/linked"],
            "ai-hero-handle-account-unlinked": ["account/unlinked"],
            "ai-hero-handle-link-state": ["account/link-state"],
            "ai-hero-reconcile-cross-app": ["* * * * *"],
            "ai-hero-check-gone-users": ["17 3 * * *"],
        }

    async def test_steps(self, served: ServedSchool) -> None:
        """
        The steps' ids, in their order: a run that a deployment interrupts goes on by them.
        """
        await served.hear(sale())
        await served.hear(linked())
        await served.hear(refund())
        await served.hear(unlinked())
        await served.hear(sale(1, purchase_id="pur_2", buyer_user_id="buyer-2"))
        served.add(link("school-eve", "buyer-2"))
        await cron(served)

        assert {run.function_id: run.steps for run in served.inngest.log.runs[:4]} == {
            "handle-bundle-purchase": ["grant", "look again", "acknowledge"],
            "claim-pending-entitlements": ["merge", "answer", "begin claim", "claim", "acknowledge"],
            "handle-revocation": ["revoke", "acknowledge"],
            "handle-account-unlinked": ["merge", "answer"],
        }
        assert served.inngest.log.runs[-1].steps == [
            *("find claims", "begin claim", "claim", "acknowledge"),
            *("drain total-typescript", "forget tokens"),
        ]
        assert {row.source_user_id for row in served.rows} == {BUYER, "buyer-2"}

    async def test_steps_each_night(self, served: ServedSchool) -> None:
        """
        The steps' ids of the pass over users.
        """
        served.inngest.run_cron("check-gone-users")
        await served.local.asettle()

        assert served.inngest.log.runs[-1].steps == ["check links", "check holders"]

    async def test_steps_with_hooks(self, local: LocalInngest, tmp_path: Path) -> None:
        """
        The steps' ids where the app has hooks.
        """
        with open_database("sqlite", tmp_path) as database:
            async with served_roles(local, database) as school:
                school.unlink()
                await school.hear(sale())
                await school.hear(linked(5))
                await school.hear(refund())
                await cron(school)

                assert [run.steps for run in school.inngest.log.runs] == [
                    ["grant", "look again", "acknowledge", "apply"],
                    ["merge", "answer", "begin claim", "claim", "acknowledge", "apply", "tell"],
                    ["revoke", "acknowledge", "apply"],
                    ["find claims", "run hooks", "drain total-typescript", "forget tokens"],
                ]
