"""
What stands behind the fixture `crossapp`: an app as it is, its peers, and the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from crossapp_core.apps import Peer, Settings
from crossapp_core.durable import async_under_wsgi
from crossapp_core.runtime import Runtime
from crossapp_core.testing import serving
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.deployments import is_wsgi
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.errors import LocalInngestError, NobodyListensError, PeerRejectedError
from crossapp_core.testing.functions import is_named
from crossapp_core.testing.local_inngest import LocalInngest
from crossapp_core.testing.log import Log
from crossapp_core.testing.peers.counterpart import Counterpart
from crossapp_core.testing.peers.sketch_counterpart import SketchCounterpart
from crossapp_core.testing.routing import Router, ToEnvironment, client_on, sdk_sends_by
from crossapp_core.testing.story import tell

T = TypeVar("T")

_KEY = "key-of-the-test"
"""The event key by which counterparts send to a tested app."""


class TestedApp:
    """
    An app under test; made by `Kit.app`.
    """

    __test__ = False  # pytest would collect it

    def __init__(self, settings: Settings, environment: Environment, way: ToEnvironment) -> None:
        self.settings = settings
        self.environment = environment
        """Its Inngest, with all that can go wrong there: `drop`, `crash`, `lose`, `down` and the others"""
        self._way = way

    def __repr__(self) -> str:
        return f"<TestedApp {self.settings.app_id!r}>"

    @property
    def log(self) -> Log:
        """
        What its Inngest received and ran.
        """
        return self.environment.log

    def emit(self, name: str, data: Mapping[str, object], *, id: str | None = None) -> str:  # noqa: A002
        """
        Send one of the app's own events; what it starts runs when the test settles.

        Returns:
            The id that Inngest gives it.

        Raises:
            NobodyListensError: No function of the app runs on it.
        """
        known = serving.events_of(self._way.registered)
        if not any(is_named(name, pattern) for pattern in known):
            raise NobodyListensError(self.settings.app_id, name, known)
        return self.environment.emit(name, data, id=id)

    def run_cron(self, function_id: str) -> None:
        """
        Have a cron be due now, by the id of its function; it runs when the test settles.
        """
        self.environment.run_cron(function_id)


class Kit:
    """
    Apps as their users deploy them, joined in one process: nothing that they send leaves it.

    The fixture `crossapp` is one, and is closed after the test; without pytest, it is a context manager.
    """

    def __init__(self) -> None:
        self._local = LocalInngest()
        self._router = Router()
        self._environments: dict[str, Environment] = {}
        self._apps: dict[str, TestedApp] = {}
        self._peers: dict[str, Counterpart | SketchCounterpart] = {}
        self._undo = ExitStack()
        self._undo.callback(self._local.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def clock(self) -> Clock:
        """
        The time, for the apps' bridges too; it stands still unless the test, or something that waits, moves it.
        """
        return self._local.clock

    def app(self, app: object, *bridges: Runtime[Any], path: str = "/api/inngest") -> TestedApp:
        """
        Take an app as it is, FastAPI or Flask, until the test ends.

        Its Inngest client and its bridges keep their settings; what they send goes to environments of the test.

        Args:
            app: The app that serves the functions.
            bridges: Its bridges, of one Inngest client.
            path: Where it serves them.

        Raises:
            NotServedError: It doesn't serve all functions of its bridges.
            NotRegisteredError: It serves nothing there.
            CrossAppConfigError: A bridge with an async engine is in a WSGI app, such as Flask's.
        """
        self._check_app(app, bridges)
        settings, client = bridges[0].settings, bridges[0].inngest
        environment = self._environment(settings.app_id)
        way = ToEnvironment(environment)
        self._undo.enter_context(sdk_sends_by(client, way))
        for bridge in bridges:
            self._take(bridge)
        self._register(environment, app, path, signing_key=client.signing_key if client.is_production else None)
        serving.check(settings.app_id, [each for bridge in bridges for each in bridge.functions], way.registered)
        self._router.add(environment.url, _KEY, environment)
        for peer in settings.peers.values():
            self._router.add(peer.base_url, peer.event_key.get_secret_value(), self._environment(peer.app_id))
        tested = self._apps[settings.app_id] = TestedApp(settings, environment, way)
        return tested

    @overload
    def peer(
        self,
        app_id: str,
        *,
        sketch: Literal[False] = False,
        secret: str | None = None,
    ) -> Counterpart: ...

    @overload
    def peer(self, app_id: str, *, sketch: Literal[True]) -> SketchCounterpart: ...

    def peer(self, app_id: str, *, sketch: bool = False, secret: str | None = None) -> Counterpart | SketchCounterpart:
        """
        Make a built-in counterpart of the apps that were taken before: seller and granter in one, in memory.

        Args:
            app_id: The peer's id in the settings of the app.
            sketch: Whether it is one that doesn't have this library; the app's settings must say so too.
            secret: The secret that it shares with the app; the one in the app's settings if None.

        Raises:
            LocalInngestError: No app has such a peer.
        """
        sides = {
            tested: tested.settings.peers[app_id] for tested in self._apps.values() if app_id in tested.settings.peers
        }
        self._check_peer(app_id, list(sides.values()), sketch=sketch)
        environment = self._environment(app_id)
        if sketch:
            [tested, *_] = sides
            made: Counterpart | SketchCounterpart = SketchCounterpart(
                environment, target=tested.environment.url, key=_KEY, transport=self._router
            )
        else:
            settings = Settings(app_id, [_seen_from(tested, peer, secret) for tested, peer in sides.items()], dev=True)
            made = Counterpart(environment, settings, clock=self.clock, transport=self._router)
        self._peers[app_id] = made
        return made

    async def asettle(self, *, within: timedelta = timedelta(days=7)) -> None:
        """
        Run all that is due in all environments, moving the clock on to what is due next, until nothing is left.

        Args:
            within: How far the clock may move; what is due later stays for another time.

        Raises:
            PeerRejectedError: A counterpart refused an event, for its proof for example.
            NeverSettlesError: It doesn't end.
        """
        before = self._resume()
        await self._local.asettle(within=within)
        self._tell(before)

    def settle(self, *, within: timedelta = timedelta(days=7)) -> None:
        """
        Do as `asettle` does, in a sync test.
        """
        before = self._resume()
        self._local.settle(within=within)
        self._tell(before)

    def run(self, coroutine: Coroutine[object, object, T]) -> T:
        """
        Run *coroutine* in the event loop of `settle`, in a sync test: what it does with an async engine, for example.
        """
        return self._local.run(coroutine)

    def story(self) -> str:
        """
        What happened so far, in a few lines, for whoever reads a failure.
        """
        return tell(self._environments.values(), [each for peer in self._peers.values() for each in peer.rejected])

    def close(self) -> None:
        """
        Give the apps back what they had, and stop all environments.
        """
        self._undo.close()

    def _environment(self, app_id: str) -> Environment:
        if app_id not in self._environments:
            self._environments[app_id] = self._local.environment(app_id)
        return self._environments[app_id]

    def _take(self, bridge: Runtime[Any]) -> None:
        clock, bridge.clock = bridge.clock, self.clock
        self._undo.callback(setattr, bridge, "clock", clock)
        stand_in = client_on(self.clock, bridge.settings, self._router)
        self._undo.enter_context(bridge.client.replaced_by(stand_in))

    def _register(self, environment: Environment, app: Any, path: str, *, signing_key: str | None) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            environment.register(app, path=path, signing_key=signing_key)
            return
        # in an async test a loop is running already, and this one call must not be awaited
        work = environment.aregister(app, path=path, signing_key=signing_key)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, work).result()

    def _check_app(self, app: Any, bridges: Sequence[Runtime[Any]]) -> None:
        if not bridges:
            msg = "crossapp.app(app, bridge): which bridge has the app?"
            raise LocalInngestError(msg)
        if len({(bridge.settings.app_id, id(bridge.inngest)) for bridge in bridges}) > 1:
            msg = "the bridges of one app have one app id and one Inngest client: take other apps by calls of their own"
            raise LocalInngestError(msg)
        if bridges[0].settings.app_id in self._apps:
            msg = f"{bridges[0].settings.app_id} is part of this test already: name its bridges in one call of app()"
            raise LocalInngestError(msg)
        if is_wsgi(app) and any(bridge.database.is_async for bridge in bridges):
            raise async_under_wsgi()

    def _check_peer(self, app_id: str, sides: list[Peer], *, sketch: bool) -> None:
        if not self._apps:
            msg = f"crossapp.peer({app_id!r}) comes after crossapp.app(…), whose settings say how the two talk"
        elif app_id in self._apps:
            msg = f"{app_id} is a real app of this test, so it can't be a counterpart too"
        elif app_id in self._peers:
            msg = f"{app_id} is a counterpart of this test already"
        elif not sides:
            known = sorted({id_ for tested in self._apps.values() for id_ in tested.settings.peers})
            msg = f"{app_id} is no peer in the settings of {', '.join(self._apps)}, only {', '.join(known) or 'nobody'}"
        elif any(peer.sketch != sketch for peer in sides):
            says = f"Peer(app_id={app_id!r}, …, sketch={not sketch})"
            msg = f"the app's settings have {says}, but the test asks for sketch={sketch}: they must agree"
        elif sketch and len(sides) > 1:
            msg = f"{app_id} is a sketch peer of {len(sides)} apps, and can't tell them apart: test one of them"
        else:
            return
        raise LocalInngestError(msg)

    def _resume(self) -> dict[str, int]:
        for peer in self._peers.values():
            peer.resume()
        return {app_id: len(peer.rejected) for app_id, peer in self._peers.items()}

    def _tell(self, before: Mapping[str, int]) -> None:
        new = [each for app_id, peer in self._peers.items() for each in peer.rejected[before[app_id] :]]
        if new:
            raise PeerRejectedError(new)


def _seen_from(tested: TestedApp, peer: Peer, secret: str | None) -> Peer:
    return Peer(
        app_id=tested.settings.app_id,
        event_key=_KEY,
        secret=peer.secret if secret is None else secret,
        base_url=tested.environment.url,
    )
