"""
What an operator does with sales: by hand, or for all of them at once.
"""

from __future__ import annotations

import logging
from datetime import datetime

from crossapp_core.bridge import LinkedBridge
from crossapp_core.columns import HostId
from crossapp_core.errors import CrossAppError
from crossapp_core.flavours import run_sync
from crossapp_core.outcomes import Outcome
from crossapp_core.runtime import Operation
from crossapp_tt.functions import backfilling, sweeping
from crossapp_tt.functions.backfilling import Backfilled
from crossapp_tt.functions.sweeping import SweepPlan
from crossapp_tt.operations import holds, purchases
from crossapp_tt.operations.holds import Target
from crossapp_tt.ports import Seller

log = logging.getLogger(__name__)


class Upkeep(LinkedBridge[Seller]):
    """
    Base of the seller's bridge. Each method has a twin for sync code, `revoke_sync` for `revoke`.
    """

    async def revoke(self, purchase_id: HostId, product_id: str | None = None) -> Outcome:
        """
        Take back what was sold, whatever the app's database says, until `restore` gives it back.

        Args:
            purchase_id: The purchase.
            product_id: One product of the bundle, by its id at the granter; all of them if None.

        Raises:
            LookupError: Nothing of that kind was sold.
            CatalogError: What the bundle holds can't be read.
        """
        return await self._by_hand("revoke", holds.revoke, Target(str(purchase_id), product_id))

    async def restore(self, purchase_id: HostId, product_id: str | None = None) -> Outcome:
        """
        Give back what `revoke` has taken, if the purchase is owned.

        Args:
            purchase_id: The purchase.
            product_id: One product of the bundle, by its id at the granter; all of them if None.

        Raises:
            LookupError: Nothing of that kind was taken back by hand.
            CatalogError: What the bundle holds can't be read.
        """
        return await self._by_hand("restore", holds.restore, Target(str(purchase_id), product_id))

    def revoke_sync(self, purchase_id: HostId, product_id: str | None = None) -> Outcome:
        """
        Do as `revoke` does, in sync code.
        """
        return run_sync(self.revoke(purchase_id, product_id))

    def restore_sync(self, purchase_id: HostId, product_id: str | None = None) -> Outcome:
        """
        Do as `restore` does, in sync code.
        """
        return run_sync(self.restore(purchase_id, product_id))

    async def plan_sweep(self) -> SweepPlan:
        """
        What a sweep would find now; nothing is done about it.
        """
        return await sweeping.plan(self)

    async def release(self) -> int:
        """
        Take away what a sweep has held back because it was too much; from how many purchases that was.

        Just that is done, each purchase being decided anew: one that is owned again by now keeps its access.
        """
        return await sweeping.release(self)

    async def backfill(self, since: datetime | None = None, *, dry_run: bool = False) -> Backfilled:
        """
        Write rows of the ledger for sales from before there was a bridge. The cron sends them at its own pace, and the
        granters write nobody a mail because of them.

        Doing it again changes nothing, and one that was interrupted goes on where it was.

        Args:
            since: Leave out what was sold before; all sales if None.
            dry_run: Only say how many there are of each kind.
        """
        return await backfilling.backfill(self, since, dry_run=dry_run)

    def plan_sweep_sync(self) -> SweepPlan:
        """
        Do as `plan_sweep` does, in sync code.
        """
        return run_sync(self.plan_sweep())

    def release_sync(self) -> int:
        """
        Do as `release` does, in sync code.
        """
        return run_sync(self.release())

    def backfill_sync(self, since: datetime | None = None, *, dry_run: bool = False) -> Backfilled:
        """
        Do as `backfill` does, in sync code.
        """
        return run_sync(self.backfill(since, dry_run=dry_run))

    async def _by_hand(self, verb: str, operation: Operation[Seller, Target], target: Target) -> Outcome:
        outcome = await self.database.transact(operation, self.host, target, now=self.clock())
        if not outcome.ids:
            product = "" if target.product_id is None else f" with the product {target.product_id}"
            msg = f"there is nothing of the purchase {target.purchase_id}{product} to {verb}"
            raise LookupError(msg)
        await self._tell_now(outcome)
        return outcome

    async def _tell_now(self, outcome: Outcome) -> None:
        # written, and owed: what isn't taken now is sent by the cron
        for peer in dict.fromkeys(message.target for message in outcome.messages):
            messages = [message for message in outcome.messages if message.target == peer]
            try:
                await self.deliver(messages)
            except CrossAppError as error:
                log.warning("%s wasn't told at once: %s", peer, error)
                continue
            await self.database.transact(purchases.note_accepted, self.host, messages, now=self.clock())
