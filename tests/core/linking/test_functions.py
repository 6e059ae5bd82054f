from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from crossapp_core import tokens
from crossapp_core.errors import CrossAppConfigError, LinkConflictError, LinkTokenError, UnknownPeerError
from crossapp_core.ports import SignInEvent
from crossapp_core.testing import LocalInngest
from crossapp_core.tokens import LinkToken
from tests.core.linking.served import OWN_KEY, PEER_KEY, SECRET, THIRD_SECRET, ServedSide
from tests.core.linking.side import ADA, BUYER, EVE, PEER, STRANGER, THIRD, US, Identity, Member, holds, login, said
from tests.databases import Database, open_database

FOREIGN = "a secret of nobody whom anybody knows here"
ADDRESSES = ("ada@example.com", "Ada@Example.com", "eve@example.com")
OAUTH_TOKEN = "gho_nobody-else-may-see-this"


@asynccontextmanager
async def opened(local: LocalInngest, database: Database, **options: Any) -> AsyncIterator[ServedSide]:
    """
    An app with two members, deployed.
    """
    side = ServedSide(local, database, **options)
    side.add(
        Member(id=ADA, email="Ada@Example.com", email_verified=True),
        Member(id=EVE, email="eve@example.com"),
    )
    await side.open()
    yield side
    await side.bridge.client.aclose()
    if isinstance(engine := side.bridge.database.engine, AsyncEngine):
        await engine.dispose()


@pytest.fixture
async def anywhere(local: LocalInngest, database: Database) -> AsyncIterator[ServedSide]:
    """
    The app on each of the databases in turn.
    """
    async with opened(local, database) as side:
        yield side


@pytest.fixture
async def app(local: LocalInngest, tmp_path: Path) -> AsyncIterator[ServedSide]:
    """
    The app on SQLite.
    """
    with open_database("sqlite", tmp_path) as database:
        async with opened(local, database) as side:
            yield side


@pytest.fixture
async def sketchy(local: LocalInngest, tmp_path: Path) -> AsyncIterator[ServedSide]:
    """
    The app whose only peer is a sketch peer, on SQLite.
    """
    with open_database("sqlite", tmp_path) as database:
        async with opened(local, database, sketch=True) as side:
            yield side


def token(user_id: str = BUYER, id_: str = "5f0c2a8e9b7d4c61", *, side: ServedSide) -> LinkToken:
    """
    What a person brings from the peer.
    """
    now = side.local.clock()
    return LinkToken(PEER, user_id, "ada@shop.example", None, id_, now, now + timedelta(minutes=10))


class TestHandleAccountLinked:
    async def test_of_the_peer(self, anywhere: ServedSide) -> None:
        """
        The peer's link is written down here too and answered by what is held; the pair's link isn't announced back.
        """
        await anywhere.receive(said(3, email="ada@shop.example"))

        assert anywhere.standing == {(ADA, BUYER, 3)}
        assert anywhere.row.next_attempt_at is None
        assert anywhere.got() == [("account/link-state", 3)]
        assert anywhere.got(anywhere.third) == []
        [run] = anywhere.own.log.runs
        assert (run.function_id, run.status, run.steps) == ("handle-account-linked", "completed", ["merge", "answer"])
        await anywhere.each_minute()
        assert len(anywhere.got()) == 1

    async def test_repeated(self, app: ServedSide) -> None:
        """
        Each further attempt of the peer is answered the same, under an id of its own, and changes nothing.
        """
        for attempt in range(3):
            await app.receive(said(3), attempt=attempt)

        assert app.got() == [("account/link-state", 3)] * 3
        assert app.standing == {(ADA, BUYER, 3)}

    async def test_of_our_own(self, anywhere: ServedSide) -> None:
        """
        A link that was made here is told to the peer, signed, and stays owed until it answers; nobody else hears of it.
        """
        await anywhere.linking.confirm(token(side=anywhere), ADA)
        await anywhere.settle()

        [event] = anywhere.peer.log.received
        assert (event.name, event.data["version"], event.data["email"]) == ("account/linked", 3, "ada@example.com")
        assert event.data["linkedEmail"] == "ada@shop.example"
        assert event.data["proof"]
        assert anywhere.got(anywhere.third) == []
        [run] = anywhere.runs("handle-account-linked")
        assert (run.status, run.steps) == ("completed", ["look", "announce"])
        assert anywhere.row.next_attempt_at is not None

        await anywhere.receive(holds(3))
        assert anywhere.row.next_attempt_at is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"userId": EVE},
            {"linkedUserId": STRANGER},
            {"linkedApp": THIRD},
            {"linkedApp": "nobody-we-know"},
            {"userId": "x" * 191},
        ],
        ids=str,
    )
    async def test_forged_hint(self, app: ServedSide, changes: dict[str, object]) -> None:
        """
        An event of our own environment about a pair that isn't in the table does nothing.
        """
        app.link()
        before = app.row.model_dump()
        data = {**said(3, app=US).to_wire(), "userId": ADA, "linkedApp": PEER, "linkedUserId": BUYER, **changes}
        await app.emit("account/linked", data)

        assert app.row.model_dump() == before
        assert (app.got(), app.got(app.third)) == ([], [])
        [run] = app.own.log.runs
        assert (run.status, run.steps) == ("completed", ["look"])

    async def test_hint_is_no_word(self, app: ServedSide) -> None:
        """
        Whatever an event of our own environment says of a pair, the peer hears what the row says, if it is owed that.
        """
        app.link()
        app.unlink()
        data = {**said(9, app=US).to_wire(), "userId": ADA, "linkedApp": PEER, "linkedUserId": BUYER}
        await app.emit("account/linked", data)
        assert app.got() == [("account/unlinked", 4)]

        await app.receive(holds(4))
        await app.emit("account/linked", data)
        assert (app.row.version, app.got()) == (4, [("account/unlinked", 4)])

    @pytest.mark.parametrize("data", [{}, {"userId": 7}, {"version": "3"}], ids=str)
    async def test_unreadable_hint(self, app: ServedSide, data: dict[str, object]) -> None:
        """
        An event of our own environment that can't be read fails at once, and does nothing.
        """
        await app.emit("account/linked", {"sourceApp": US, **data})

        [run] = app.own.log.runs
        assert (run.status, run.attempts, app.rows, app.got()) == ("failed", 1, [], [])

    @pytest.mark.parametrize(
        ("fact", "secret", "reason"),
        [
            (said(3), FOREIGN, "signature"),
            (said(3), THIRD_SECRET, "signature"),
            (said(3, linked_app=THIRD), SECRET, "target"),
            (said(2**53 - 2 + 1), SECRET, "state"),
        ],
        ids=["foreign key", "third app's key", "another app", "absurd number"],
    )
    async def test_refused(self, app: ServedSide, fact: Any, secret: str, reason: str) -> None:
        """
        What isn't signed by the peer, or can't be, fails at once: no row, and nothing is sent.
        """
        await app.receive(fact, secret=secret)

        [run] = app.own.log.runs
        assert (run.status, run.attempts) == ("failed", 1)
        assert run.error is not None
        assert run.error.message.startswith(f"event-rejected: {reason}: ")
        assert (app.rows, app.got()) == ([], [])

    async def test_unsigned(self, app: ServedSide) -> None:
        """
        An event without a proof is refused, even with a valid event key.
        """
        await app.emit("account/linked", dict(said(3).to_wire()))

        assert app.own.log.runs[0].status == "failed"
        assert (app.rows, app.got()) == ([], [])

    async def test_conflict(self, anywhere: ServedSide) -> None:
        """
        Of two links that exclude each other the loser is told to the peer, besides the answer.
        """
        await anywhere.receive(said(1, EVE))
        await anywhere.receive(said(3))

        assert anywhere.standing == {(ADA, BUYER, 3)}
        assert anywhere.got() == [("account/link-state", 1), ("account/link-state", 3), ("account/unlinked", 2)]

    @pytest.mark.parametrize("step", ["merge", "answer"])
    async def test_process_dies(self, app: ServedSide, step: str) -> None:
        """
        If the process dies after a step, the work goes on: one row, and an answer.
        """
        app.own.lose(function="handle-account-linked", step=step, times=2)
        await app.receive(said(3))

        assert len(app.own.log.lost) == 2
        assert (app.standing, app.got()) == ({(ADA, BUYER, 3)}, [("account/link-state", 3)])


class TestHandleAccountUnlinked:
    async def test_of_the_peer(self, anywhere: ServedSide) -> None:
        """
        What was unlinked there is unlinked here and answered; nothing is announced back.
        """
        await anywhere.receive(said(3))
        await anywhere.receive(said(4))

        assert (anywhere.row.version, anywhere.row.active) == (4, None)
        assert anywhere.got() == [("account/link-state", 3), ("account/link-state", 4)]
        [run] = anywhere.runs("handle-account-unlinked")
        assert (run.status, run.steps) == ("completed", ["merge", "answer"])

    async def test_of_our_own(self, anywhere: ServedSide) -> None:
        """
        What was unlinked here is told to the peer, once.
        """
        await anywhere.receive(said(3))
        for _ in range(2):
            await anywhere.linking.unlink(ADA, PEER)
            await anywhere.settle()

        assert anywhere.got() == [("account/link-state", 3), ("account/unlinked", 4)]
        [run] = anywhere.runs("handle-account-unlinked")
        assert (run.status, run.steps) == ("completed", ["look", "announce"])

    async def test_forged(self, app: ServedSide) -> None:
        """
        Neither an unsigned event nor one of our own environment unlinks anybody.
        """
        await app.receive(said(3))
        wire = dict(said(4).to_wire())
        await app.emit("account/unlinked", wire)
        await app.emit("account/unlinked", {**wire, "sourceApp": US, "userId": ADA, "linkedApp": PEER})

        assert app.standing == {(ADA, BUYER, 3)}
        assert app.got() == [("account/link-state", 3)]


class TestHandleLinkState:
    async def test_takes_over(self, anywhere: ServedSide) -> None:
        """
        The answer acknowledges; a larger one is taken over; both are answered by nothing.
        """
        await anywhere.linking.confirm(token(side=anywhere), ADA)
        await anywhere.receive(holds(3))
        assert (anywhere.row.acknowledged_version, anywhere.row.next_attempt_at) == (3, None)

        await anywhere.receive(holds(4))
        assert (anywhere.row.version, anywhere.row.active) == (4, None)
        assert anywhere.got() == [("account/linked", 3)]
        assert [run.steps for run in anywhere.runs("handle-link-state")] == [["merge"]] * 2

    @pytest.mark.parametrize("secret", [FOREIGN, THIRD_SECRET])
    async def test_refused(self, app: ServedSide, secret: str) -> None:
        """
        An answer that the peer hasn't signed acknowledges nothing.
        """
        app.link()
        await app.receive(holds(3), secret=secret)

        assert (app.row.acknowledged_version, app.own.log.runs[0].status) == (0, "failed")

    async def test_of_ourselves(self, app: ServedSide) -> None:
        """
        An answer from our own environment acknowledges nothing.
        """
        app.link()
        await app.emit("account/link-state", {**holds(3).to_wire(), "sourceApp": US})

        assert (app.row.acknowledged_version, app.own.log.runs[0].status) == (0, "failed")


class TestEmitOAuthLogin:
    HOST: dict[str, Any] = {  # noqa: RUF012
        "userId": ADA,
        "account": {
            "userId": ADA,
            "provider": "github",
            "providerAccountId": "1001",
            "access_token": "gho_from-the-event",
            "refresh_token": "ghr_from-the-event",
            "id_token": "eyJ-from-the-event",
        },
        "profile": {"login": "ada", "email": "ada@private.example"},
        "user": {"id": ADA, "email": "ada@private.example"},
    }

    @pytest.mark.parametrize("name", ["user/login", "user/oauth-provider-account-linked"])
    async def test_told(self, anywhere: ServedSide, name: str) -> None:
        """
        Each peer is told of the account that the app's database holds, signed.
        """
        anywhere.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await anywhere.emit(name, self.HOST)

        for environment in (anywhere.peer, anywhere.third):
            [event] = environment.log.received
            assert event.name == "user/oauth-login"
            assert {key: value for key, value in event.data.items() if key not in ("proof", "loggedInAt")} == {
                "sourceApp": US,
                "userId": ADA,
                "email": "ada@example.com",
                "provider": "github",
                "providerAccountId": "1001",
            }
        [run] = anywhere.own.log.runs
        assert (run.function_id, run.status, run.steps) == ("emit-oauth-login", "completed", ["look up", "send"])

    async def test_tokens_stay(self, app: ServedSide, caplog: pytest.LogCaptureFixture) -> None:
        """
        The OAuth tokens in the app's event and in its table go nowhere: to no peer, into no row of ours, to no log.
        """
        caplog.set_level(logging.DEBUG)
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await app.emit("user/login", self.HOST)
        await app.emit("user/login", {**self.HOST, "userId": None, "account": {"access_token": "gho_from-the-event"}})
        assert len(app.got()) == 1

        seen = "".join([app.everything(), *_logged(caplog)])
        for secret in ("from-the-event", OAUTH_TOKEN, "private.example", SECRET, PEER_KEY):
            assert secret not in seen

    @pytest.mark.parametrize(
        "data",
        [
            {"userId": ADA, "provider": "github", "providerAccountId": "6666"},
            {"userId": EVE, "provider": "github", "providerAccountId": "1001"},
            {"userId": ADA, "provider": "discord", "providerAccountId": "1001"},
            {"userId": "school-nobody", "provider": "github", "providerAccountId": "1001"},
            {"account": {"userId": ADA, "provider": "github", "providerAccountId": "6666"}},
        ],
        ids=str,
    )
    async def test_forged(self, app: ServedSide, data: dict[str, object]) -> None:
        """
        A sign-in of a victim with the attacker's account, which the app's database doesn't hold, is told to nobody.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await app.emit("user/login", data)

        assert (app.got(), app.got(app.third), app.rows) == ([], [], [])
        assert app.own.log.runs[0].status == "completed"

    @pytest.mark.parametrize("data", [{}, {"userId": None}, {"userId": ""}, {"userId": {"id": ADA}}], ids=str)
    async def test_nobody(self, app: ServedSide, data: dict[str, object]) -> None:
        """
        An event that doesn't say who signed in fails at once, with where that was looked for.
        """
        await app.emit("user/login", data)

        [run] = app.own.log.runs
        assert (run.status, run.attempts) == ("failed", 1)
        assert run.error is not None
        assert "the event user/login has no userId and no user.id and no account.userId" in run.error.message

    async def test_own_event(self, local: LocalInngest, tmp_path: Path) -> None:
        """
        An app's own event has its own name and places, and says more than the usual one does.
        """
        with open_database("sqlite", tmp_path) as database:
            sign_ins = [SignInEvent("auth/session.created", user_id=("session.subject",))]
            async with opened(local, database, sign_ins=sign_ins) as side:
                side.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
                await side.emit("user/login", self.HOST)
                assert side.got() == []
                await side.emit("auth/session.created", {"session": {"subject": ADA}})
                assert len(side.got()) == 1
                await side.linking.signed_in(ADA)
                await side.settle()
                assert [run.event.name for run in side.runs("emit-oauth-login")] == [
                    "auth/session.created",
                    "cross-app/signed-in",
                ]

    async def test_peer_down(self, app: ServedSide) -> None:
        """
        While a peer is down, the others are told, and it is, when it is back.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        app.peer.down = True
        app.own.emit("user/login", {"userId": ADA})
        await app.local.asettle(within=timedelta(minutes=10))
        assert (app.got(), len(app.got(app.third))) == ([], 1)

        app.peer.down = False
        await app.settle()
        assert (len(app.got()), len(app.got(app.third))) == (1, 1)


class TestCheckOAuthAutolink:
    async def test_links(self, anywhere: ServedSide) -> None:
        """
        The same account at the same provider links the two, and the peer is told.
        """
        anywhere.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await anywhere.receive(login())

        assert anywhere.standing == {(ADA, BUYER, 1)}
        [event] = anywhere.peer.log.received
        assert (event.name, event.data["linkMethod"], event.data["version"]) == ("account/linked", "oauth-github", 1)
        [run] = anywhere.runs("check-oauth-autolink")
        assert (run.status, run.steps) == ("completed", ["link", "tell"])
        [told] = anywhere.runs("handle-account-linked")
        assert told.steps == ["look", "announce"]

    @pytest.mark.parametrize("secret", [FOREIGN, THIRD_SECRET])
    async def test_forged(self, app: ServedSide, secret: str) -> None:
        """
        A sign-in that the peer hasn't signed links nobody, whatever event key it came with.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await app.receive(login(STRANGER), secret=secret)
        await app.emit("user/oauth-login", dict(login(STRANGER).to_wire()))

        assert [(run.status, run.attempts) for run in app.own.log.runs] == [("failed", 1)] * 2
        assert all("signature" in str(run.error) for run in app.own.log.runs)
        assert (app.rows, app.got()) == ([], [])

    async def test_third_app_for_the_peer(self, app: ServedSide) -> None:
        """
        What a third app signs is about its own users alone.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await app.receive(login(source_app=THIRD), secret=THIRD_SECRET)

        assert [row.linked_app for row in app.rows if row.active] == [THIRD]

    async def test_provider(self, app: ServedSide) -> None:
        """
        Accounts of a provider that isn't configured are refused, at once.
        """
        app.add(Identity(provider="gitlab", provider_account_id="1001", user_id=ADA))
        await app.receive(login(provider="gitlab"))

        [run] = app.own.log.runs
        assert run.error is not None
        assert (run.status, run.attempts) == ("failed", 1)
        assert run.error.message == "event-rejected: provider: accounts of gitlab link nobody here"
        assert (app.rows, app.got()) == ([], [])

    async def test_conflict(self, app: ServedSide) -> None:
        """
        Where one of the two is linked with another one already, nothing is told and nothing changes.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await app.receive(said(3, ADA, STRANGER))
        await app.receive(login())

        assert app.standing == {(ADA, STRANGER, 3)}
        [lost] = [row for row in app.rows if not row.active]
        assert (lost.linked_user_id, lost.version, lost.lost_to_id is not None) == (BUYER, 0, True)
        assert app.got() == [("account/link-state", 3)]

    async def test_repeated(self, app: ServedSide) -> None:
        """
        However often the same person signs in, the peer is told of one link, once.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        for _ in range(40):
            app.local.clock.advance(timedelta(hours=7))
            await app.receive(login(logged_in_at=app.local.clock()))

        assert len(app.runs("check-oauth-autolink")) == 40
        assert (app.standing, app.got()) == ({(ADA, BUYER, 1)}, [("account/linked", 1)])

    async def test_after_unlinking(self, app: ServedSide) -> None:
        """
        A sign-in after the link was removed leaves it removed, here and at the peer.
        """
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        await app.receive(login())
        await app.linking.unlink(ADA, PEER)
        await app.settle()
        app.local.clock.advance(timedelta(days=2))
        await app.receive(login(logged_in_at=app.local.clock()))

        assert (app.standing, app.row.version) == (set(), 2)
        assert app.got() == [("account/linked", 1), ("account/unlinked", 2)]

    async def test_unwanted(self, local: LocalInngest, tmp_path: Path) -> None:
        """
        A user who doesn't want it is neither linked by a sign-in there, nor told of after one here.
        """
        with open_database("sqlite", tmp_path) as database:
            async with opened(local, database, may_auto_link=lambda _session, user: user != ADA) as side:
                side.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
                await side.receive(login())
                await side.emit("user/login", {"userId": ADA})

                assert (side.rows, side.got()) == ([], [])

    async def test_without_accounts(self, local: LocalInngest, tmp_path: Path) -> None:
        """
        An app that doesn't say who signs in with what has no such functions.
        """
        with open_database("sqlite", tmp_path) as database:
            async with opened(local, database, accounts=None) as side:
                ids = {function.local_id for function in side.bridge.functions}
                assert ids == {
                    "check-gone-users",
                    "handle-account-linked",
                    "handle-account-unlinked",
                    "handle-link-state",
                    "reconcile-cross-app",
                }


class TestReconcile:
    async def test_lost(self, anywhere: ServedSide) -> None:
        """
        A link whose announcement is lost is told again each time it is due, as another attempt, until it is answered.
        """
        anywhere.peer.drop("account/linked")
        await anywhere.linking.confirm(token(side=anywhere), ADA)
        await anywhere.settle()
        run = await anywhere.each_minute()
        assert (run.status, run.steps) == (
            "completed",
            [f"drain {THIRD}", f"drain {PEER}", "forget tokens"],
        )
        ids = [event.id for event in [*anywhere.peer.log.dropped, *anywhere.peer.log.received]]
        assert [str(id_).rpartition(":")[2] for id_ in dict.fromkeys(ids)] == ["a0", "a1"]
        await anywhere.each_minute()
        assert anywhere.got() == [("account/linked", 3)]

        await anywhere.receive(holds(3))
        anywhere.local.clock.advance(timedelta(days=9))
        run = await anywhere.each_minute()
        assert run.steps == [f"drain {THIRD}", f"drain {PEER}", "forget tokens"]
        assert anywhere.got() == [("account/linked", 3)]

    async def test_own_environment_down(self, app: ServedSide, caplog: pytest.LogCaptureFixture) -> None:
        """
        If the app's own Inngest can't be told of a new link, the link stands all the same, and the cron announces it.
        """
        app.own.answer_next(401, {"error": "no"})
        await app.linking.confirm(token(side=app), ADA)
        await app.settle()
        assert (app.standing, app.got()) == ({(ADA, BUYER, 3)}, [])
        assert "the app's own Inngest wasn't told of a link" in caplog.text

        await app.each_minute()
        assert app.got() == [("account/linked", 3)]

    async def test_peer_down(self, app: ServedSide) -> None:
        """
        A peer that takes nothing makes no run fail and keeps nothing from the others; it is told when it is back.
        """
        app.link()
        app.link(app=THIRD)
        app.peer.down = True
        run = await app.each_minute()
        assert run.status == "completed"
        assert (app.got(), app.got(app.third)) == ([], [("account/linked", 3)])

        app.peer.down = False
        app.local.clock.advance(timedelta(minutes=5))
        run = await app.each_minute()
        assert (run.status, app.got()) == ("completed", [("account/linked", 3)])
        # the other hasn't answered either, so it was told again
        assert app.got(app.third) == [("account/linked", 3)] * 2

    async def test_chores(self, app: ServedSide) -> None:
        """
        What an adapter has to do besides is done each minute.
        """
        done: list[str] = []

        async def chore(run: Any) -> None:
            async def work() -> None:
                done.append(run.event.name)

            await run.step("a chore", work)

        app.linking.chores.append(chore)
        run = await app.each_minute()

        assert (done, run.steps) == (
            ["inngest/scheduled.timer"],
            ["a chore", f"drain {THIRD}", f"drain {PEER}", "forget tokens"],
        )

    async def test_failing_chore(self, app: ServedSide) -> None:
        """
        A chore that fails makes the run fail, and keeps none of the others from being done.
        """
        done: list[str] = []

        async def fail(run: Any) -> None:
            raise RuntimeError

        async def chore(run: Any) -> None:
            done.append(run.event.name)

        app.linking.chores += [fail, chore]
        app.link()
        run = await app.each_minute()

        assert (run.status, app.got(), set(done)) == ("failed", [("account/linked", 3)], {"inngest/scheduled.timer"})

    async def test_tokens(self, app: ServedSide) -> None:
        """
        Used tokens are forgotten a day after they expired.
        """
        await app.linking.confirm(token(side=app), ADA)
        await app.each_minute()
        assert len(app.tokens) == 1

        app.local.clock.advance(timedelta(days=1, minutes=10))
        await app.each_minute()
        assert app.tokens == []


class TestCheckGoneUsers:
    async def test_by_night(self, app: ServedSide) -> None:
        """
        The cron finds who is gone, and the peer hears of it.
        """
        app.link()
        app.remove(Member, ADA)
        app.own.run_cron("check-gone-users")
        await app.settle()

        [run] = app.runs("check-gone-users")
        assert (run.status, run.steps, app.standing) == ("completed", ["check links"], set())
        assert app.got()[-1] == ("account/unlinked", 4)

    @pytest.mark.parametrize("told", ["by itself", "by the app"])
    async def test_reported(self, app: ServedSide, told: str) -> None:
        """
        An app that says who is gone has their links end at once; should its own Inngest be away, the cron tells.
        """
        app.link()
        app.remove(Member, ADA)
        if told == "by itself":
            app.own.answer_next(401, {"error": "no"})
        await app.linking.user_deleted(ADA)
        await app.settle()
        await app.each_minute()

        assert (app.standing, app.got()[-1]) == (set(), ("account/unlinked", 4))


class TestSketchPeer:
    EXPLICIT: dict[str, Any] = {  # noqa: RUF012
        "userId": BUYER,
        "linkedApp": US,
        "linkedUserId": ADA,
        "linkMethod": "explicit",
    }

    @pytest.mark.parametrize(
        ("changes", "version"),
        [({}, 3), ({"linkMethod": "oauth-github", "linkedApp": None}, 1), ({"version": 99}, 3)],
        ids=str,
    )
    async def test_linked(self, sketchy: ServedSide, changes: dict[str, object], version: int) -> None:
        """
        Its link, without number, app and proof, counts as 3 or, by OAuth, as 1, and is never answered.
        """
        await sketchy.emit("account/linked", {**self.EXPLICIT, **changes})

        assert sketchy.standing == {(ADA, BUYER, version)}
        assert (sketchy.got(), sketchy.row.next_attempt_at) == ([], None)
        assert sketchy.own.log.runs[0].status == "completed"
        await sketchy.each_minute()
        assert sketchy.got() == []

    async def test_sign_in(self, sketchy: ServedSide) -> None:
        """
        A sign-in there links, and the link that it is told counts as known there once it is accepted.
        """
        sketchy.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        data = {"userId": BUYER, "provider": "github", "providerAccountId": "1001"}
        await sketchy.emit("user/oauth-login", data)

        assert sketchy.standing == {(ADA, BUYER, 1)}
        assert sketchy.got() == [("account/linked", 1)]
        assert (sketchy.row.acknowledged_version, sketchy.row.next_attempt_at) == (1, None)
        [run] = sketchy.runs("handle-account-linked")
        assert run.steps == ["look", "announce", "note accepted"]

    async def test_accepted(self, sketchy: ServedSide) -> None:
        """
        While it is down a link is owed to it; once its Inngest has accepted it, no more.
        """
        sketchy.link()
        sketchy.peer.down = True
        run = await sketchy.each_minute()
        assert (run.status, sketchy.row.acknowledged_version) == ("completed", 0)

        sketchy.peer.down = False
        sketchy.local.clock.advance(timedelta(minutes=5))
        run = await sketchy.each_minute()
        assert run.steps == [f"drain {PEER}", "forget tokens"]
        assert (sketchy.row.acknowledged_version, sketchy.row.next_attempt_at) == (3, None)

    async def test_unlinked(self, sketchy: ServedSide) -> None:
        """
        It isn't told what is unlinked; its own word doesn't link that again.
        """
        await sketchy.emit("account/linked", self.EXPLICIT)
        await sketchy.linking.unlink(ADA, PEER)
        await sketchy.settle()
        await sketchy.emit("account/linked", self.EXPLICIT)
        await sketchy.each_minute()

        assert (sketchy.standing, sketchy.got()) == (set(), [])

    @pytest.mark.parametrize("name", ["account/unlinked", "account/link-state"])
    async def test_sends_none(self, sketchy: ServedSide, name: str) -> None:
        """
        What such a peer doesn't send is refused.
        """
        await sketchy.emit("account/linked", self.EXPLICIT)
        event = said(4) if name == "account/unlinked" else holds(4)
        await sketchy.emit(name, dict(event.to_wire()))

        assert sketchy.standing == {(ADA, BUYER, 3)}
        assert "event-rejected: event: " in str(sketchy.own.log.failures[0].error)


class TestLinking:
    """
    What an app's own pages call.
    """

    async def test_start(self, app: ServedSide) -> None:
        """
        A person gets a URL of the peer's confirming page with a token for it, once and for 10 minutes.
        """
        urls = [await app.linking.start(ADA, PEER, return_to="/settings") for _ in range(2)]
        shop_settings = type(app.settings)(PEER, [_peer_of(app)], dev=True)
        read = []
        for url in urls:
            parts = urlsplit(url)
            assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://shop.example/account-link/confirm"
            [token] = parse_qs(parts.query)["token"]
            read.append(tokens.verify(token, settings=shop_settings, now=app.local.clock()))
        assert read[0].id != read[1].id
        assert (read[0].issuer, read[0].user_id, read[0].email, read[0].return_to) == (
            US,
            ADA,
            "ada@example.com",
            "/settings",
        )
        assert (await app.linking.start(EVE, PEER), app.rows, app.tokens)[1:] == ([], [])

    async def test_unverified_address(self, app: ServedSide) -> None:
        """
        An address that isn't known to be theirs isn't in the token.
        """
        url = await app.linking.start(EVE, PEER)
        shop_settings = type(app.settings)(PEER, [_peer_of(app)], dev=True)
        [token] = parse_qs(urlsplit(url).query)["token"]

        assert tokens.verify(token, settings=shop_settings, now=app.local.clock()).email is None

    async def test_start_is_refused(self, app: ServedSide) -> None:
        """
        No link begins for nobody, to nobody, or to a peer whose pages aren't known.
        """
        with pytest.raises(LinkTokenError, match=r"^subject: "):
            await app.linking.start("school-nobody", PEER)
        with pytest.raises(UnknownPeerError):
            await app.linking.start(ADA, "nobody-we-know")
        with pytest.raises(CrossAppConfigError, match="web_url of epic-web is not set"):
            await app.linking.start(ADA, THIRD)

    async def test_confirm(self, anywhere: ServedSide) -> None:
        """
        Confirming links, once for each token; who is linked with another one is refused.
        """
        await anywhere.linking.confirm(token(side=anywhere), ADA)
        with pytest.raises(LinkTokenError, match=r"^replayed: "):
            await anywhere.linking.confirm(token(side=anywhere), ADA)
        with pytest.raises(LinkConflictError):
            await anywhere.linking.confirm(token(side=anywhere, id_="another-token-id"), EVE)

        assert anywhere.standing == {(ADA, BUYER, 3)}
        assert len(anywhere.tokens) == 1
        [link] = await anywhere.linking.links_of(ADA)
        assert (link.linked_user_id, link.linked_email) == (BUYER, "ada@shop.example")
        assert (await anywhere.linking.user(ADA)).id == ADA

    async def test_twins(self, local: LocalInngest, database: Database) -> None:
        """
        In an app with a sync engine the same is done by the twins, and by sync functions.
        """
        async with opened(local, database, engine=database.engine) as side:
            assert side.linking.start_sync(ADA, PEER).startswith("https://shop.example/account-link/confirm?token=")
            side.linking.confirm_sync(token(side=side), ADA)
            await side.settle()
            assert side.got() == [("account/linked", 3)]
            await side.receive(holds(3))
            assert [link.linked_user_id for link in side.linking.links_of_sync(ADA)] == [BUYER]
            side.linking.unlink_sync(ADA, PEER)
            await side.settle()
            assert side.got() == [("account/linked", 3), ("account/unlinked", 4)]
            side.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
            side.linking.signed_in_sync(ADA)
            await side.settle()
            assert len(side.got()) == 3
            assert side.linking.user_sync(ADA).id == ADA


class TestPrivacy:
    async def test_nothing_personal(self, app: ServedSide, caplog: pytest.LogCaptureFixture) -> None:
        """
        No address, secret, key or token gets into a log, nor into what a failed run tells Inngest.
        """
        caplog.set_level(logging.DEBUG)
        app.add(Identity(provider="github", provider_account_id="1001", user_id=ADA))
        url = await app.linking.start(ADA, PEER)
        await app.linking.confirm(token(side=app), ADA)
        await app.receive(said(3, EVE, email="eve@shop.example"), secret=FOREIGN)
        await app.receive(said(3, linked_app=THIRD, email="eve@shop.example"))
        await app.receive(login(provider="gitlab", email="eve@shop.example"))
        await app.emit("account/linked", {**said(3).to_wire(), "email": "eve@shop.example", "version": None})
        app.peer.answer_next(400, {"error": "ada@example.com is too odd"})
        await app.each_minute()
        with pytest.raises(LinkConflictError) as refused:
            await app.linking.confirm(token(side=app, id_="another-token-id"), EVE)

        errors = [str(run.error) for run in app.own.log.failures]
        assert len(errors) >= 4
        seen = json.dumps([*_logged(caplog), errors, repr(refused.value)])
        [link_token] = parse_qs(urlsplit(url).query)["token"]
        secrets = (SECRET, FOREIGN, PEER_KEY, link_token, "another-token-id", OAUTH_TOKEN)
        for secret in (*ADDRESSES, "eve@shop.example", *secrets):
            assert [line for line in json.loads(seen) if secret in str(line)] == []

    async def test_own_key(self, app: ServedSide, caplog: pytest.LogCaptureFixture) -> None:
        """
        Telling the app's own functions shows the key of its environment in no log, as telling a peer shows none.
        """
        caplog.set_level(logging.INFO)
        await app.linking.confirm(token(side=app), ADA)

        assert OWN_KEY not in caplog.text


def _logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    # a driver that is told to shows the values of each statement; that is for the app to decide
    return [record.getMessage() for record in caplog.records if not record.name.startswith("aiosqlite")]


def _peer_of(app: ServedSide) -> Any:
    from crossapp_core import Peer

    return Peer(app_id=US, event_key="key", secret=SECRET, base_url=app.own.url)
