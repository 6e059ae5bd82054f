"""
A few apps, their people, the network between them, and a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, permutations
from typing import Any

from crossapp_core import proofs
from crossapp_core.apps import Peer, Settings
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.local_inngest import LocalInngest
from crossapp_core.testing.simulation import checks
from crossapp_core.testing.simulation.inboxes import Received, Work
from crossapp_core.testing.simulation.members import Member
from crossapp_core.testing.simulation.network import Network, Payload
from crossapp_core.testing.simulation.places import MakeGranter, MakeSeller, Person, Place
from crossapp_core.testing.simulation.processes import CrashedError
from crossapp_core.testing.simulation.truth import Truth

SHOP, SCHOOL, STUDIO, ACADEMY = "shop", "school", "studio", "academy"
"""The app that sells, the one that opens, the one that does both, and the one without this library."""

PEOPLE: Mapping[str, Mapping[str, Person]] = {
    SHOP: {
        "ada": Person("ada", "ada@example.com", accounts=(("github", "1"), ("discord", "2"))),
        "bob": Person("bob", "guest@example.com", is_verified=False, accounts=(("github", "3"),)),
        "cleo": Person("cleo", "cleo@example.com", accounts=(("github", "4"),)),
    },
    SCHOOL: {
        "ada": Person("ada", "ada@example.com", accounts=(("github", "1"),)),
        "bob": Person("bob", "guest@example.com", accounts=(("discord", "2"), ("github", "3"))),
        "cleo": Person("cleo", "cleo@example.com"),
    },
    STUDIO: {
        "ada": Person("ada", "ada@example.com", accounts=(("github", "1"),)),
        "bob": Person("bob", "bob@example.com", accounts=(("github", "3"),)),
        "cleo": Person("cleo", "cleo@example.com", accounts=(("discord", "2"),)),
    },
}
"""
Ada shares an account with each of two users of the school, Bob one with one of these, and Cleo none there. Bob's
address in the shop is that of a guest, until he verifies it.
"""
PRODUCTS = ("course", "book")
"""What an app opens."""


class Core:
    """
    Base of `World`, which says what it takes: what there is, and how it is looked after.
    """

    def __init__(
        self,
        seller: MakeSeller,
        granter: MakeGranter,
        *,
        both: tuple[MakeSeller, MakeGranter] | None = None,
        sketch: bool = False,
        served: bool = False,
    ) -> None:
        self._makers: dict[str, Sequence[Callable[[Place], Any]]] = {SHOP: [seller], SCHOOL: [granter]}
        if both is not None:
            self._makers[STUDIO] = both
        self.clock = Clock()
        self._local = LocalInngest(clock=self.clock) if served else None
        self.network = Network(self._store)
        self.truth = Truth()
        self.sketches = frozenset({ACADEMY} if sketch else ())
        self._begun = self.clock()
        self._secrets: dict[tuple[str, str], tuple[int, int]] = dict.fromkeys(permutations(self._makers, 2), (0, 0))
        self.members: dict[str, Member] = {}
        for app_id, made in self._makers.items():
            self.members[app_id] = self._settle_in(app_id, made)
        self._populate()
        self._broken: checks.BrokenError | None = None
        self.steps = 0
        """How much has been done so far, for counting."""
        self.lines: list[str] = []
        """What has happened in this history, line by line."""
        self.reset()

    def reset(self) -> None:
        """
        Begin another history.
        """
        self.clock.set(self._begun)
        self.network.heal()
        self.network.rewriters.clear()
        self.truth = Truth()
        self.truth.shared = self._shared()
        self._secrets = dict.fromkeys(self._secrets, (0, 0))
        self.lines = []
        self._broken = None
        for member in self.members.values():
            member.reset()
            member.configure(self._settings(member.app_id))
        self.look()

    @property
    def sellers(self) -> list[Member]:
        """
        The apps that sell.
        """
        return [member for member in self.members.values() if member.seller is not None]

    @property
    def granters(self) -> list[Member]:
        """
        The apps that open.
        """
        return [member for member in self.members.values() if member.granter is not None]

    def tell(self, line: str) -> None:
        """
        Write down what happened.
        """
        self.lines.append(line)

    def look(self) -> None:
        """
        Check all that must be true at any time.

        Raises:
            BrokenError: It isn't.
        """
        if self._broken is not None:
            raise self._broken
        self._look()

    def _look(self) -> None:
        for member in self.members.values():
            before = member.links
            member.look(self.truth, self.sketches)
            if member.links is not before:
                checks.check_acknowledged(self.truth, member.app_id, member.links, self.sketches)

    def _note_broken(self) -> None:
        # raised here, it would be taken for an error of the function
        try:
            self._look()
        except checks.BrokenError as error:
            self._broken = self._broken or error

    def call(self, work: Work) -> None:
        """
        Do the next step of a run.
        """
        self.steps += 1
        member = self.members[work.app_id]
        said, before, sent = str(work), member.store.changes, self.network.requests.total()
        outcome = member.inbox.call(work)
        self.tell(f"{said}: {outcome}")
        self.look()
        if work.is_forged:
            silent = (before, sent) == (member.store.changes, self.network.requests.total())
            checks.check(silent and "failed" in outcome, 8, f"a forged event had an effect: {said}: {outcome}")

    def attempt(self, work: Callable[[], object]) -> str:
        """
        Do what a person's request does; how it ended, should the process die on the way.
        """
        try:
            work()
        except CrashedError:
            return "the app died"
        finally:
            self.look()
        return "done"

    def _settle_in(self, app_id: str, makers: Sequence[Callable[[Place], Any]]) -> Member:
        place = Place.of(self._settings(app_id))
        member = Member(place, makers, self.clock, self.network, self._local)
        member.configure(place.settings)
        if (
            not member.bridge.database.is_async
        ):  # else its event loop is running then: what is wrong shows after the call
            member.process.watched = self._note_broken
        return member

    def _populate(self) -> None:
        for member in self.members.values():
            member.store.transact(lambda session, member=member: self._people_of(session, member))  # type: ignore[misc]
        for member in self.members.values():
            member.store.transact(lambda session, member=member: self._offers_of(session, member))  # type: ignore[misc]
            self._install(member)
            member.begin()

    def _install(self, member: Member) -> None:
        # what was sold before the first sweep is none of its business: so it comes at once, as in an app that is served
        for plan in member.plans.values():
            if plan.cron:
                member.inbox.fire(plan)
        while due := member.inbox.due():
            member.inbox.call(due[0])

    def _people_of(self, session: Any, member: Member) -> None:
        for name, person in PEOPLE[member.app_id].items():
            member.people[name] = member.host.add_user(session, person)
        if member.granter is not None:
            member.products |= {name: member.granter.teach(session, name) for name in PRODUCTS}

    def _offers_of(self, session: Any, member: Member) -> None:
        if member.seller is None:
            return
        for name, bundle in self.bundles(member.app_id).items():
            listed = [{"app": app, "productId": product} for app, product in bundle]
            member.products[name] = member.seller.offer(session, name, listed)

    def deliver_to_sketch(self, source: str, event: Payload, *, runs: bool) -> None:
        """
        Bring an event to the peer without this library.
        """

    def persons(self, app_id: str) -> Mapping[str, Person]:
        """
        Who has an account in an app at the beginning, by name.
        """
        return PEOPLE[app_id]

    def bundles(self, app_id: str) -> dict[str, list[tuple[str, str]]]:
        """
        What an app sells: the components of each bundle.
        """
        others = [member for member in self.granters if member.app_id != app_id]
        course = [(others[0].app_id, others[0].products["course"])]
        rest = [(member.app_id, member.products["book"]) for member in others]
        found = {"small": course, "large": course + rest}
        if self.sketches and app_id == SHOP:
            found["wide"] = [*course, (ACADEMY, "lesson")]
        return found

    def _shared(self) -> set[frozenset[tuple[str, str]]]:
        found = set()
        for one, other in combinations(self.members.values(), 2):
            for name, person in PEOPLE[one.app_id].items():
                for second, them in PEOPLE[other.app_id].items():
                    if set(person.accounts) & set(them.accounts):
                        pair = (one.app_id, one.people[name]), (other.app_id, other.people[second])
                        found.add(frozenset(pair))
        return found

    def _settings(self, app_id: str) -> Settings:
        peers = [self._peer(app_id, other) for other in self._makers if other != app_id]
        if self.sketches and app_id in (SHOP, SCHOOL):
            peers.append(Peer(app_id=ACADEMY, event_key="academy-key", base_url="http://academy.test", sketch=True))
        return Settings(app_id, peers, dev=True)

    def _peer(self, app_id: str, other: str) -> Peer:
        current, previous = self._secrets[app_id, other]
        return Peer(
            app_id=other,
            event_key=f"key-of-{other}",
            secret=secret_of(app_id, other, current),
            previous_secret=secret_of(app_id, other, previous) if previous != current else None,
            base_url=f"http://{other}.test",
            web_url=f"http://{other}.test",
        )

    def _store(self, target: str, source: str, event: Payload, runs: bool) -> None:
        if target in self.sketches:
            self.deliver_to_sketch(source, event, runs=runs)
            return
        received = Received(event.get("id"), event["name"], event["data"], source)
        self.members[target].inbox.accept(received, runs=runs)


def secret_of(one: str, other: str, number: int) -> str:
    """
    The secret that two apps have after so many rotations.
    """
    return f"{'+'.join(sorted((one, other)))} secret {number:04} of a simulated world"


def sealed(world: Core, source: str, target: str, event: Payload, data: Mapping[str, Any]) -> Payload:
    """
    An event with other data, signed anew by its source.
    """
    settings = world.members[source].bridge.settings
    plain = {key: value for key, value in data.items() if key != "proof"}
    proof = proofs.sign(
        plain,
        name=event["name"],
        id=event["id"],
        source=source,
        target=target,
        key=settings.peer(target).signing_key,
        iat=0,
    )
    return {**event, "data": {**plain, "proof": proof}}
