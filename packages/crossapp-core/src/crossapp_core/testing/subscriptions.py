"""
Who hears of events without being a function of an app: a counterpart that a test is made of, for example.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from crossapp_core.testing.log import ReceivedEvent

Callback: TypeAlias = Callable[[ReceivedEvent], Awaitable[None]]
"""What `Environment.subscribe` takes."""


@dataclass(frozen=True)
class Delivery:
    """
    An event that is due at a subscriber.
    """

    event: ReceivedEvent
    callback: Callback

    @property
    def label(self) -> str:
        """
        The event's name, to tell who is busy.
        """
        return f"a subscriber of {self.event.name}"

    async def run(self) -> None:
        """
        Hand it over.
        """
        await self.callback(self.event)
