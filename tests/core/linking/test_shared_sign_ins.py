from __future__ import annotations

from typing import Any

import pytest

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import UserOAuthLogin
from crossapp_core.operations import shared_sign_ins
from crossapp_core.operations.shared_sign_ins import SignIn
from crossapp_core.outcomes import Outcome
from tests.core.linking.side import (
    ADA,
    BUYER,
    EVE,
    NOW,
    PEER,
    STRANGER,
    THIRD,
    US,
    Identity,
    Member,
    Side,
    events,
    login,
    said,
)

GITHUB: dict[str, Any] = {"provider": "github", "provider_account_id": "1001"}
DISCORD: dict[str, Any] = {"provider": "discord", "provider_account_id": "2002"}


def held(user_id: str = ADA, **fields: Any) -> Identity:
    """
    An account that a member signs in with.
    """
    return Identity(user_id=user_id, **{**GITHUB, **fields})


class TestLink:
    def hear(self, side: Side, **changes: Any) -> Outcome:
        """
        Hear of a sign-in at the peer.
        """
        return side.do(shared_sign_ins.link, login(**changes))

    def test_same_account(self, side: Side) -> None:
        """
        The same account of the same provider here and there is one person.
        """
        side.add(held())
        outcome = self.hear(side, email="Ada@Shop.Example")

        assert side.standing == {(ADA, BUYER, 1)}
        assert (side.row.link_method, side.row.linked_email) == ("oauth-github", "ada@shop.example")
        assert [event.name for event in events(outcome, US)] == ["account/linked"]
        assert events(outcome) == []

    @pytest.mark.parametrize(
        "account",
        [
            {"provider": "discord"},
            {"provider_account_id": "1002"},
            {"provider_account_id": "10010"},
            {"provider_account_id": "01001"},
            {"provider_account_id": "ada", "username": "1001"},
            {"provider": "GitHub"},
        ],
        ids=str,
    )
    def test_another_account(self, side: Side, account: dict[str, str]) -> None:
        """
        The same id at another provider, another id, or the same name with another id, is another person.
        """
        side.add(held(**account))
        outcome = self.hear(side, email="ada@example.com")

        assert (side.rows, outcome.messages) == ([], ())

    def test_capitals(self, side: Side) -> None:
        """
        Account ids that differ in capitals are others, also to MariaDB.
        """
        side.add(held(provider_account_id="ABC"))
        self.hear(side, provider_account_id="abc")
        assert side.rows == []

        self.hear(side, provider_account_id="ABC")
        assert side.standing == {(ADA, BUYER, 1)}

    def test_recycled_name(self, side: Side) -> None:
        """
        Who has taken over somebody's name at the provider has another id there, and is linked with nobody.
        """
        side.add(held(username="ada"))
        outcome = self.hear(side, user_id=STRANGER, provider_account_id="9009", email="ada@example.com")

        assert (side.rows, outcome.messages) == ([], ())

    def test_equal_address(self, side: Side) -> None:
        """
        An equal address never links, however well it is verified.
        """
        outcome = self.hear(side, email="ada@example.com")

        assert (side.rows, outcome.messages) == ([], ())

    @pytest.mark.parametrize("provider", ["gitlab", "google", "credentials"])
    def test_other_provider(self, side: Side, provider: str) -> None:
        """
        Accounts of a provider that isn't configured link nobody, and the run says why.
        """
        side.add(held(provider=provider))
        with pytest.raises(EventRejectedError, match=rf"^provider: accounts of {provider} link nobody here") as caught:
            self.hear(side, provider=provider)

        assert (caught.value.reason, side.rows) == ("provider", [])
        self_configured = side.with_(providers=frozenset({provider}))
        self.hear(self_configured, provider=provider)
        assert side.row.link_method == f"oauth-{provider}"

    def test_without_accounts(self, side: Side) -> None:
        """
        An app that doesn't say who signs in with what links nobody.
        """
        side.add(held())
        self.hear(side.with_(accounts=None))

        assert side.rows == []

    @pytest.mark.parametrize("mine", [(ADA, STRANGER), (EVE, BUYER)], ids=str)
    def test_linked_with_another(self, side: Side, mine: tuple[str, str]) -> None:
        """
        Where one of the two is linked with another one, nothing changes, and the conflict is recorded.
        """
        side.add(held())
        side.link(*mine)
        [before] = side.rows
        outcome = self.hear(side)

        rows = {(row.user_id, row.linked_user_id): row for row in side.rows}
        assert rows[mine].model_dump() == before.model_dump()
        assert (rows[ADA, BUYER].version, rows[ADA, BUYER].lost_to_id) == (0, before.id)
        assert (outcome.changed, outcome.messages) == (False, ())

    def test_after_unlinking(self, side: Side) -> None:
        """
        A sign-in after the link was removed, here or there, leaves it removed.
        """
        side.add(held())
        self.hear(side)
        side.unlink()
        outcome = self.hear(side)
        assert (side.row.version, outcome.messages) == (2, ())

        side.hear(said(4))
        self.hear(side)
        assert side.standing == set()

    def test_thousand_times(self, side: Side) -> None:
        """
        However often the same person signs in, there is one link, told of once.
        """
        side.add(held())
        repeated = 1000 if side.database.name == "sqlite" else 100
        outcomes = [self.hear(side) for _ in range(repeated)]

        assert side.standing == {(ADA, BUYER, 1)}
        assert sum(len(outcome.messages) for outcome in outcomes) == 1

    def test_shared_account(self, side: Side) -> None:
        """
        An account that two users here sign in with links neither.
        """
        side.add(held(), held(EVE))
        self.hear(side)

        assert side.rows == []

    def test_gone_user(self, side: Side) -> None:
        """
        Whose account is gone, while the sign-in is still noted, isn't linked.
        """
        side.add(held("school-nobody"))
        outcome = self.hear(side)

        assert (side.rows, outcome.messages) == ([], ())

    def test_unwanted(self, side: Side) -> None:
        """
        A user who doesn't want it isn't linked by a sign-in; others are, and a person's word counts for both.
        """
        careful = side.with_(may_auto_link=lambda _session, user_id: user_id != ADA)
        side.add(held(), held(EVE, provider_account_id="3003"))
        self.hear(careful)
        assert side.rows == []

        self.hear(careful, user_id=STRANGER, provider_account_id="3003")
        careful.link()
        assert side.standing == {(EVE, STRANGER, 1), (ADA, BUYER, 3)}


class TestTell:
    def tell(self, side: Side, *sign_in: str | None) -> Outcome:
        """
        Hear of a sign-in here.
        """
        return side.do(shared_sign_ins.tell, SignIn(*(sign_in or (ADA,))))  # type: ignore[arg-type]

    def test_all_accounts(self, side: Side) -> None:
        """
        Each peer is told of each account that the user signs in with, as the app's database holds it, and no more.
        """
        side.add(held(**DISCORD), held(), held(provider="gitlab"), held(EVE, provider_account_id="3003"))
        outcome = self.tell(side)

        fields: dict[str, Any] = {"source_app": US, "user_id": ADA, "email": "ada@example.com", "logged_in_at": NOW}
        expected = [UserOAuthLogin(**fields, **account) for account in (DISCORD, GITHUB)]
        assert [(message.target, message.event) for message in outcome.messages] == [
            *((THIRD, event) for event in expected),
            *((PEER, event) for event in expected),
        ]
        assert (outcome.ids, outcome.changed, side.rows) == ((), False, [])

    def test_that_account(self, side: Side) -> None:
        """
        Where the event says which account it was, only that is told.
        """
        side.add(held(**DISCORD), held())
        outcome = self.tell(side, ADA, "discord", "2002")

        assert {event.provider for event in events(outcome) if isinstance(event, UserOAuthLogin)} == {"discord"}
        assert len(events(self.tell(side, ADA, "github", None))) == 1

    @pytest.mark.parametrize(
        "sign_in",
        [
            (ADA, "github", "6666"),
            (ADA, "discord", "1001"),
            (ADA, "discord", None),
            (ADA, None, "3003"),
            (EVE, "github", "1001"),
            ("school-nobody", "github", "1001"),
            ("x" * 500, None, None),
            ("\udfff", None, None),
        ],
        ids=ascii,
    )
    def test_forged(self, side: Side, sign_in: tuple[str, str | None, str | None]) -> None:
        """
        What the app's database doesn't hold of just that user is told to nobody, whatever the event says.
        """
        side.add(held(), held(EVE, provider_account_id="3003"))

        assert self.tell(side, *sign_in).messages == ()

    def test_shared_account(self, side: Side) -> None:
        """
        An account that two users sign in with is nobody's.
        """
        side.add(held(), held(EVE), held(**DISCORD))

        assert {event.provider for event in events(self.tell(side)) if isinstance(event, UserOAuthLogin)} == {"discord"}

    def test_linked_already(self, side: Side) -> None:
        """
        A peer that the user is linked with needn't know; the others are told.
        """
        side.add(held())
        side.link()

        assert {message.target for message in self.tell(side).messages} == {THIRD}

    def test_unverified_address(self, side: Side) -> None:
        """
        An address that isn't known to be theirs isn't told.
        """
        side.add(held(EVE))
        [event] = events(self.tell(side, EVE))

        assert isinstance(event, UserOAuthLogin)
        assert event.email is None

    def test_unwanted(self, side: Side) -> None:
        """
        A user who doesn't want it is told of to nobody.
        """
        side.add(held())

        assert self.tell(side.with_(may_auto_link=lambda _session, _user: False)).messages == ()

    @pytest.mark.parametrize("changes", [{"accounts": None}, {"providers": frozenset({"gitlab"})}], ids=str)
    def test_not_configured(self, side: Side, changes: dict[str, Any]) -> None:
        """
        Without accounts, or with other providers, nobody is told.
        """
        side.add(held())

        assert self.tell(side.with_(**changes)).messages == ()

    def test_gone_user(self, side: Side) -> None:
        """
        Whose account is gone is told of to nobody.
        """
        side.add(held())
        side.remove(Member, ADA)

        assert self.tell(side).messages == ()
