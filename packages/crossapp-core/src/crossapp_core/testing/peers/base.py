"""
What all counterparts have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from crossapp_core.errors import EventRejectedError
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.log import Log, ReceivedEvent

OWED = "crossapp-counterpart/owed"
"""What a counterpart tells its own Inngest: something is to be sent, when the test settles."""


@dataclass(frozen=True)
class Rejection:
    """
    An event that a counterpart refused, as a real peer would: without telling who sent it.
    """

    app_id: str
    """Who refused it."""
    event: str
    """Its name."""
    error: EventRejectedError

    def __str__(self) -> str:
        hint = " (have both apps the same secret?)" if self.error.reason == "signature" else ""
        return f"{self.app_id} refused {self.event}: {self.error}{hint}"


class InMemoryApp(ABC):
    """
    Base of the counterparts: what comes to its Inngest, and what is owed because of it.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        """Its Inngest: `drop`, `delay`, `down` and others befall what is sent to it."""
        self.rejected: list[Rejection] = []
        """What it refused."""
        self._undelivered: list[str] = []
        environment.subscribe(self._receive)

    @property
    def app_id(self) -> str:
        """
        Its id.
        """
        return self.environment.name

    @property
    def log(self) -> Log:
        """
        What its Inngest received.
        """
        return self.environment.log

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.app_id!r}>"

    def resume(self) -> None:
        """
        Send again what couldn't be delivered; that happens whenever the test settles.
        """
        waiting, self._undelivered = self._undelivered, []
        for content in waiting:
            self._owe(content)

    def _owe(self, content: str) -> None:
        # an event of its own, so that it goes when the test settles, and in its turn
        self.environment.emit(OWED, {"content": content})

    async def _receive(self, event: ReceivedEvent) -> None:
        try:
            content = str(event.data["content"]) if event.name == OWED and event.key is None else self._react(event)
        except EventRejectedError as error:
            self.rejected.append(Rejection(self.app_id, event.name, error))
            return
        if content is not None and not await self._send(content):
            self._undelivered.append(content)

    @abstractmethod
    def _react(self, received: ReceivedEvent) -> str | None:
        """
        Take an event in, and write down what is to be sent because of it.
        """
        ...

    @abstractmethod
    async def _send(self, content: str) -> bool:
        """
        Send what was written down; whether it was accepted.
        """
        ...
