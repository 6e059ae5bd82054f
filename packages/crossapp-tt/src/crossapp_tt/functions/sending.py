"""
How all functions of a seller tell the granters what is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

from crossapp_core.durable import Run
from crossapp_core.outcomes import Message
from crossapp_core.runtime import Runtime
from crossapp_tt.operations import purchases
from crossapp_tt.ports import Seller


async def send_and_note(seller: Runtime[Seller], run: Run, messages: Sequence[Message]) -> list[str]:
    """
    Send *messages* and note in the ledger which were accepted; the ids that the peers gave come back. What a peer that
    is down doesn't take is owed, and sent by the cron.
    """
    accepted = await seller.send_owed(run, "send", messages)
    if accepted:
        await seller.transact(run, "note accepted", purchases.note_accepted, [message for message, _ in accepted])
    return [id_ for _, id_ in accepted]
