"""
What goes wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crossapp_core.testing.simulation.core import sealed
from crossapp_core.testing.simulation.inboxes import Received, Work
from crossapp_core.testing.simulation.links import Links
from crossapp_core.testing.simulation.members import Member
from crossapp_core.testing.simulation.network import Payload, Trouble
from crossapp_core.testing.simulation.rows import Backup
from crossapp_core.testing.simulation.truth import Bought

_NOT_NEEDED = ("bundleProductId", "purchasedAt", "quiet", "linkedEmail", "email", "entitlementId")
_STRANGE = {"z1": "of a later version", "z2": [1, 2], "z3": None, "z4": True}


@dataclass(frozen=True)
class Saved:
    """
    A backup, and what was true then.
    """

    content: Backup
    bought: dict[tuple[str, str], Bought]
    gone: set[tuple[str, str]]
    verified: set[tuple[str, str]]


class Mishaps(Links):
    """
    Does harm.
    """

    saved: dict[str, list[Saved]]
    amnesiac: bool
    """Whether a backup was restored since all was at rest."""

    def reset(self) -> None:
        """
        Begin another history.
        """
        self.saved = {app_id: [] for app_id in self.members}
        self.amnesiac = False
        super().reset()

    def work(self, place: int = 0) -> None:
        """
        One of the runs that are due does its next step: that which waits for longest, or another.
        """
        due = self.due()
        if due:
            self.call(due[place % len(due)])

    def due(self) -> list[Work]:
        """
        All runs that are due.
        """
        return [work for member in self.members.values() for work in member.inbox.due()]

    def cron(self, app: str, function: str = "reconcile-cross-app") -> None:
        """
        It is time for one of an app's functions that have a timetable.
        """
        member = self.members[app]
        if function in member.plans:
            member.inbox.fire(member.plans[function])

    def tick(self, seconds: int) -> None:
        """
        Time passes.
        """
        self.clock.advance(timedelta(seconds=seconds))

    def jump(self, app: str, seconds: int) -> None:
        """
        An app's clock is put wrong, by so much against the true time.
        """
        self.members[app].process.watch.offset = timedelta(seconds=seconds)

    def trouble(self, app: str, peer: str, kind: str, times: int = 1) -> None:
        """
        The next requests from one app to another come to grief.
        """
        met = self.network.troubles.setdefault((app, peer), deque())
        met.extend([Trouble(kind)] * times)

    def part(self, app: str, peer: str) -> None:
        """
        Nothing comes through from one app to another, or, if that is so, again.
        """
        self.network.parted ^= {(app, peer)}

    def lose(self, place: int) -> None:
        """
        A run that was to come never does: nobody listened when its event came.
        """
        waiting = [work for member in self.members.values() for work in member.inbox.waiting if self._may_lose(work)]
        if waiting:
            work = waiting[place % len(waiting)]
            self.tell(f"(lost) {work}")
            self.members[work.app_id].inbox.drop(work)

    def _may_lose(self, work: Any) -> bool:
        # what a peer without this library says, it says once
        received = getattr(work, "received", None)
        return not work.plan.cron and (received is None or received.source not in self.sketches)

    def repeat(self, place: int) -> None:
        """
        An event comes once more, after the day in which Inngest would drop it.
        """
        past = [(member, each) for member in self.members.values() for each in member.inbox.past]
        if past:
            member, received = past[-1 - place % len(past)]
            member.inbox.start(received)

    def postpone(self, place: int, hours: int) -> None:
        """
        A run goes on much later.
        """
        waiting = [work for member in self.members.values() for work in member.inbox.waiting]
        if waiting:
            waiting[place % len(waiting)].due += timedelta(hours=hours)

    def crash(self, app: str, after: int) -> None:
        """
        An app's process is to die soon: after so many commits and requests.
        """
        self.members[app].process.left = after

    def rotate(self, app: str, peer: str) -> None:
        """
        An app takes the next secret for a peer, whether or not that has it.
        """
        if (app, peer) not in self._secrets:
            return
        newest = max(self._secrets[app, peer][0], self._secrets[peer, app][0])
        current, _ = self._secrets[app, peer]
        following = current + 1 if current == newest else newest
        self._secrets[app, peer] = (following, current)
        self.members[app].configure(self._settings(app))

    def redeploy(self, app: str, how: str) -> None:
        """
        An app's events are those of another version of the library: `older`, `newer`, or `same`.
        """
        if how == "same":
            self.network.rewriters.pop(app, None)
        else:
            change = _shortened if how == "older" else _lengthened
            self.network.rewriters[app] = self._rewriter(app, change)

    def withdraw(self, app: str, product: str) -> None:
        """
        An app has one of its products no more.
        """
        member = self.members[app]
        granter = member.granter
        if granter is not None:
            id_ = member.products[product]
            member.store.transact(lambda session: granter.withdraw(session, id_))

    def teach(self, app: str, product: str) -> None:
        """
        An app has the product again.
        """
        member = self.members[app]
        granter = member.granter
        if granter is not None:
            member.store.transact(lambda session: granter.teach(session, product))

    def back_up(self, app: str) -> None:
        """
        A backup is made of an app's database.
        """
        member = self.members[app]
        bought = {key: deepcopy(each) for key, each in self.truth.bought.items() if key[0] == app}
        gone = {each for each in self.truth.gone if each[0] == app}
        verified = {each for each in self.truth.verified if each[0] == app}
        self.saved[app].append(Saved(member.store.backup(), bought, gone, verified))

    def restore(self, app: str, place: int) -> None:
        """
        An app's database is what it was when a backup was made.
        """
        if not self.saved[app] or not hasattr(self.members[app].bridge, "resync"):
            return
        member, saved = self.members[app], self.saved[app][-1 - place % len(self.saved[app])]
        member.store.restore(saved.content)
        truth = self.truth
        truth.bought = {key: each for key, each in truth.bought.items() if key[0] != app} | deepcopy(saved.bought)
        truth.gone = {each for each in truth.gone if each[0] != app} | saved.gone
        truth.verified = {each for each in truth.verified if each[0] != app} | saved.verified
        self.amnesiac = True
        self._outlive(member)
        member.adopt()
        self.tell(f"{app}: its database is an old one")

    def _outlive(self, member: Member) -> None:
        newest = datetime.fromtimestamp(self.truth.newest[member.app_id] // 1000 + 1, UTC)
        watch = member.process.watch
        watch.earliest = max(newest, watch.earliest or newest, watch())

    def _rewriter(self, app: str, change: Callable[[Payload], Payload]) -> Callable[[str, Payload], Payload]:
        def rewrite(target: str, event: Payload) -> Payload:
            data: dict[str, Any] = event["data"]
            return sealed(self, app, target, event, change(data)) if "proof" in data else event

        return rewrite

    def forge(self, app: str, place: int, how: str) -> None:
        """
        Somebody who has an app's event key sends what looks like an event of a peer: one that came before, with other
        data (`changed`), without its proof (`bare`), or signed by another secret (`foreign`).
        """
        member = self.members[app]
        genuine = [each for each in member.inbox.past if each.source != app and each.data.get("proof")]
        if not genuine:
            return
        model = genuine[-1 - place % len(genuine)]
        data = dict(model.data)
        if how == "bare":
            data.pop("proof")
        elif how == "foreign":
            data["proof"] = f"{data['proof'][:-8]}AAAAAAAA"
        else:
            data["version"] = int(data.get("version", 0)) + 1000
        member.inbox.accept(replace(model, id=f"forged-{len(member.inbox.past)}", data=data, is_forged=True))

    def hint(self, app: str, number: int, kind: str) -> None:
        """
        Somebody who has an app's event key sends one of the app's own events, which isn't true.
        """
        member = self.members[app]
        functions = {"sold": "emit-bundle-purchase", "refunded": "emit-revocation", "changed": "emit-purchase-change"}
        plan = member.plans.get(functions[kind])
        if plan is not None and member.seller is not None:
            data = member.seller.event_data(f"{app}_{number}")
            member.inbox.accept(Received(None, plan.events[0], data, app))


def _shortened(data: Payload) -> Payload:
    return {key: value for key, value in data.items() if key not in _NOT_NEEDED}


def _lengthened(data: Payload) -> Payload:
    return {**data, **_STRANGE}
