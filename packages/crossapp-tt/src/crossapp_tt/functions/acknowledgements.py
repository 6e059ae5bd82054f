"""
What all functions do that a granter's answer starts.
"""

from __future__ import annotations

import inngest

from crossapp_core.durable import Run
from crossapp_core.runtime import Runtime
from crossapp_tt.functions.sending import send_and_note
from crossapp_tt.operations import acknowledgements
from crossapp_tt.operations.acknowledgements import Ack
from crossapp_tt.ports import Seller


def apply_answer(seller: Runtime[Seller], kind: type[Ack], *, fn_id: str) -> inngest.Function[list[str]]:
    """
    A function that writes an answer into the ledger; if the ledger had forgotten, the granter is told anew.
    """

    async def handle(run: Run) -> list[str]:
        ack = seller.read(kind, run.event)
        outcome = await seller.transact(run, "apply", acknowledgements.apply, ack)
        return await send_and_note(seller, run, outcome.messages)

    return seller.function(handle, fn_id=fn_id, events=[kind.name])
