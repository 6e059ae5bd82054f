"""
Sends to the peers, and leaves those alone that take nothing at present.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from crossapp_core.client import CrossAppClient, SendResult
from crossapp_core.database import Database
from crossapp_core.errors import PeerUnavailableError, UnknownPeerError
from crossapp_core.operations import outages
from crossapp_core.operations.outages import Failure, Outage
from crossapp_core.outcomes import Message, Sent
from crossapp_core.ports import Problem
from crossapp_core.tables import CrossAppCursorBase


class Dispatch:
    """
    The breaker between an app and its peers, whose state all workers share.

    Args:
        client: Sends.
        database: The app's database.
        cursors: The table that holds the state; without it each peer is asked each time.
        clock: The time.
        report: Tells the app of a peer that is down, each time that it was asked.
    """

    def __init__(
        self,
        client: CrossAppClient,
        database: Database,
        cursors: type[CrossAppCursorBase] | None,
        *,
        clock: Callable[[], datetime],
        report: Callable[[Problem], Awaitable[None]],
    ) -> None:
        self._client = client
        self._database = database
        self._cursors = cursors
        self._clock = clock
        self._report = report

    async def send(self, messages: Sequence[Message]) -> list[Sent]:
        """
        Send what may be sent now, peer by peer; none keeps anything from the others.
        """
        if not messages:
            return []
        targets = list(dict.fromkeys(message.target for message in messages))
        known = await self._known(targets)
        sent: dict[int, Sent] = {}
        for target in targets:
            places = [place for place, message in enumerate(messages) if message.target == target]
            group = [messages[place] for place in places]
            sent |= zip(places, await self._send(target, group, known.get(target)), strict=True)
        return [sent[place] for place in range(len(messages))]

    async def may_ask(self, app: str) -> Outage | bool:
        """
        Whether a peer is to be sent anything now: True, or the outage of which one message is to find out whether it
        is over.
        """
        outage = (await self._known([app])).get(app)
        return outage is None or await self._ask_again(outage) or False

    async def put_back(self, outage: Outage) -> None:
        """
        Give up that one message was to find out whether an outage is over: there is none to send.
        """
        if self._cursors is not None:
            await self._database.transact(outages.put_back, self._cursors, outage, now=self._clock())

    async def send_to(self, app: str, messages: Sequence[Message], *, outage: Outage | None = None) -> list[Sent]:
        """
        Send to a peer that may be asked, and write down if it is down, or isn't any more.

        Args:
            app: The peer.
            messages: Messages to it.
            outage: The one that is known; then no request is repeated.
        """
        try:
            results = await self._send_many(app, messages, patient=outage is None)
        except UnknownPeerError as error:
            results = [SendResult(message.event.name, None, error) for message in messages]
        sent = [Sent(message, each.accepted_id, each.error) for message, each in zip(messages, results, strict=True)]
        await self._note(app, sent, outage)
        return sent

    async def _send(self, app: str, messages: Sequence[Message], outage: Outage | None) -> list[Sent]:
        if outage is not None and not await self._ask_again(outage):
            error = PeerUnavailableError(
                app,
                f"it has taken nothing since {outage.since:%Y-%m-%d %H:%M} UTC, and is asked again later",
                retry_after=max(outage.ask_at - self._clock(), outages.SHORTEST),
            )
            return [Sent(message, None, error, asked=False) for message in messages]
        return await self.send_to(app, messages, outage=outage)

    async def _known(self, apps: Sequence[str]) -> Mapping[str, Outage]:
        if self._cursors is None:
            return {}
        return await self._database.transact(outages.known, self._cursors, apps, now=self._clock())

    async def _ask_again(self, outage: Outage) -> Outage | None:
        now = self._clock()
        if self._cursors is None or not outages.is_due(outage, now):
            return None
        return await self._database.transact(outages.ask, self._cursors, outage.app, now=now)

    async def _send_many(self, app: str, messages: Sequence[Message], *, patient: bool) -> list[SendResult]:
        if self._database.is_async:
            return await self._client.send_many(app, messages, patient=patient)
        return self._client.send_many_sync(app, messages, patient=patient)

    async def _note(self, app: str, sent: Sequence[Sent], outage: Outage | None) -> None:
        if self._cursors is None:
            return
        error = next((each.error for each in sent if each.peer_is_down), None)
        if error is not None:
            failure = Failure(app, error.code, str(error), error.retry_after)
            begun = await self._database.transact(outages.begin, self._cursors, failure, now=self._clock())
            await self._report(Problem(error.code, str(error), peer=app, since=begun.since))
        elif outage is not None:  # it has answered, be it that it refused an event
            await self._database.transact(outages.end, self._cursors, app, now=self._clock())
