import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import registry
from sqlmodel import Field, Relationship, SQLModel, col

from crossapp_core.columns import UtcDateTime
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.ports import Account, Accounts, User, Users
from crossapp_core.table_ports import TableAccounts, TableUsers
from tests import schema
from tests.databases import Database
from tests.hosts import NOW

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
MARIADB = pytest.mark.parametrize("database", ["mariadb"], indirect=True)
ADA = "ada@example.com"
KEY = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
OTHER = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")


class Town(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class Member(Town, table=True):
    """
    A user as NextAuth has them.
    """

    __tablename__ = "town_member"

    id: str = Field(primary_key=True, max_length=64)
    name: str | None = Field(default=None, max_length=255)
    email: str | None = Field(default=None, max_length=255, index=True)
    emailVerified: datetime | None = Field(default=None, sa_type=sa.DateTime)  # noqa: N815
    image: str | None = Field(default=None, max_length=255)

    accounts: list["Login"] = Relationship(back_populates="member")


class Login(Town, table=True):
    """
    An account as NextAuth has them, with the tokens that give access to it.
    """

    __tablename__ = "town_login"

    id: str = Field(primary_key=True, max_length=64)
    userId: str | None = Field(default=None, foreign_key="town_member.id", max_length=64)  # noqa: N815
    type: str = Field(default="oauth", max_length=64)
    provider: str | None = Field(default=None, max_length=64)
    providerAccountId: str | None = Field(default=None, max_length=64)  # noqa: N815
    access_token: str | None = Field(default="token of ada", max_length=255)
    refresh_token: str | None = Field(default="token of ada", max_length=255)

    member: Member | None = Relationship(back_populates="accounts")


class Citizen(Town, table=True):
    """
    Users with numbers for ids, and names in snake case.
    """

    __tablename__ = "town_citizen"
    model_config: ClassVar[Any] = {"ignored_types": (hybrid_property,)}

    id: int | None = Field(default=None, primary_key=True)
    email: str | None = Field(default=None, max_length=255)
    email_verified: bool | None = None
    display_name: str | None = Field(default=None, max_length=64)
    status: str = Field(default="active", max_length=16)

    @hybrid_property
    def is_active(self) -> bool:
        """
        Whether they may sign in.
        """
        return self.status == "active"


class Service(enum.Enum):
    """
    Providers whose names in the code are others than their own.
    """

    GH = "github"
    DISCORD = "discord"


class Badge(Town, table=True):
    """
    Accounts with numbers for ids, at one of a few providers.
    """

    __tablename__ = "town_badge"

    id: int | None = Field(default=None, primary_key=True)
    user_id: int | None = None
    provider: Service
    provider_account_id: int | None = Field(default=None, sa_type=sa.BigInteger)


class Guest(Town, table=True):
    """
    Users with names that nobody guesses.
    """

    __tablename__ = "town_guest"

    key: UUID = Field(primary_key=True)
    address: str | None = Field(default=None, max_length=255)
    proved: int | None = None
    proved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    is_verified: bool = True
    verified: bool = True
    first: str = Field(default="Ada", max_length=64)
    last: str = Field(default="Lovelace", max_length=64)
    github_id: int | None = None


class Ticket(Town, table=True):
    """
    Accounts whose users have UUIDs for ids.
    """

    __tablename__ = "town_ticket"

    id: int | None = Field(default=None, primary_key=True)
    holder: UUID
    kind: str = Field(max_length=64)
    number: UUID


class Old(Town, table=True):
    """
    A table in MySQL's older character sets.
    """

    __tablename__ = "town_old"

    id: str = Field(
        primary_key=True,
        sa_type=sa.String(64).with_variant(mysql.VARCHAR(64, charset="ascii"), "mysql", "mariadb"),
    )
    email: str | None = Field(
        default=None,
        sa_type=sa.String(255).with_variant(mysql.VARCHAR(255, charset="utf8mb3"), "mysql", "mariadb"),
    )


MEMBERS = TableUsers(Member)
CITIZENS = TableUsers(Citizen)
GUESTS = TableUsers(Guest, id=Guest.key, email=Guest.address, verified=Guest.proved)


@pytest.fixture
def town(database: Database) -> Iterator[Database]:
    """
    A database with the town's tables too.
    """
    with schema.tables(database.engine, Town.metadata):
        yield database


def save(database: Database, *rows: SQLModel) -> None:
    with database.session() as session:
        session.add_all(rows)


def member(id_: str = "ada", email: str | None = ADA, *, verified: bool = True) -> Member:
    return Member(id=id_, email=email, emailVerified=NOW.replace(tzinfo=None) if verified else None)


def get(database: Database, user_id: str, users: Users = MEMBERS) -> User | None:
    with database.session() as session:
        return users.get(session, user_id)


def holder(database: Database, address: str = ADA, users: Users = MEMBERS) -> str | None:
    """
    The id of the user who has an address.
    """
    with database.session() as session:
        found = users.by_verified_email(session, address)
    return None if found is None else found.id


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """
    What the database is sent meanwhile.
    """
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(database.engine, "before_cursor_execute", note)


class TestGet:
    def test_next_auth(self, town: Database) -> None:
        """
        A user of NextAuth is found with all that is asked of them; a time says that the address was verified.
        """
        save(town, Member(id="ada", name="Ada", email="Ada@Example.com ", emailVerified=NOW.replace(tzinfo=None)))
        save(town, Member(id="bob"))

        assert get(town, "ada") == User("ada", "Ada@Example.com ", True, "Ada")
        assert get(town, "bob") == User("bob", None, False, None)

    @pytest.mark.parametrize(("stored", "verified"), [(True, True), (False, False), (None, False)])
    def test_numbers(self, town: Database, stored: bool | None, verified: bool) -> None:
        """
        Ids may be numbers, and a truth value says itself whether the address was verified.
        """
        save(town, Citizen(id=7, email=ADA, email_verified=stored, display_name="Ada"))

        found = get(town, "7", CITIZENS)
        assert found == User("7", ADA, verified, "Ada")
        assert found.email_verified is verified

    @pytest.mark.parametrize(("stored", "verified"), [(1, True), (0, False), (None, False)])
    def test_names_are_given(self, town: Database, stored: int | None, verified: bool) -> None:
        """
        Other names are given, ids may be UUIDs, and a number says whether the address was verified.
        """
        save(town, Guest(key=KEY, address=ADA, proved=stored))

        assert get(town, str(KEY), GUESTS) == User(str(KEY), ADA, verified, None)

    def test_to_the_letter(self, town: Database) -> None:
        """
        An id in other letters is another's, also where the database takes them for the same.
        """
        save(town, member("Ada"))

        assert get(town, "Ada") is not None
        assert [
            id_ for id_ in ("ada", "ADA", "Adá", "Ada ", " Ada", "", "A\0da", "\ud800", "x" * 999) if get(town, id_)
        ] == []

    def test_no_number(self, town: Database) -> None:
        """
        An id that isn't just the number of a user is that of none.
        """
        save(town, Citizen(id=7))

        near = ("8", "007", "7abc", " 7", "+7", "٧", "7.0", "9" * 30, "abc", "")
        assert [id_ for id_ in near if get(town, id_, CITIZENS)] == []

    def test_no_uuid(self, town: Database) -> None:
        """
        Nor is a UUID found by another spelling.
        """
        save(town, Guest(key=KEY))

        near = (str(KEY).upper(), KEY.hex, str(OTHER), "abc", "7")
        assert [id_ for id_ in near if get(town, id_, GUESTS)] == []

    def test_sees_what_was_just_written(self, town: Database) -> None:
        """
        What the session has written is seen, also if the user was read before.
        """
        with town.session() as session:
            session.add(member())
            assert MEMBERS.get(session, "ada") is not None
            session.get_one(Member, "ada").email = "new@example.com"
            assert MEMBERS.get(session, "ada") == User("ada", "new@example.com", True)

    def test_deleted(self, town: Database) -> None:
        """
        Whoever was deleted is no user any more, neither by id nor by address.
        """
        save(town, member())
        assert (get(town, "ada"), holder(town)) == (User("ada", ADA, True), "ada")
        with town.session() as session:
            session.delete(session.get_one(Member, "ada"))

        assert (get(town, "ada"), holder(town)) == (None, None)

    def test_needed_columns_alone(self, town: Database) -> None:
        """
        No more is read than is asked for.
        """
        save(town, member())
        with statements(town) as sent:
            get(town, "ada")
            holder(town)

        assert len([each for each in sent if "town_member" in each]) == 3
        assert [each for each in sent if "image" in each] == []


class TestVerified:
    @pytest.mark.parametrize("everybody", [True, False])
    def test_all_or_none(self, town: Database, everybody: bool) -> None:
        """
        An app may say of all addresses that they are verified, or that none is.
        """
        users = TableUsers(Citizen, verified=everybody)
        save(town, Citizen(id=7, email=ADA, email_verified=not everybody))

        assert get(town, "7", users) == User("7", ADA, everybody)
        assert holder(town, users=users) == ("7" if everybody else None)

    @pytest.mark.parametrize(
        "verified",
        [
            lambda: col(Citizen.status) == "active",
            lambda: Citizen.is_active,
            lambda: sa.exists().where(col(Member.id) == Citizen.status),
            lambda: sa.select(col(Member.emailVerified)).where(col(Member.id) == Citizen.status),
        ],
        ids=["expression", "hybrid", "exists", "subquery"],
    )
    def test_expression(self, town: Database, verified: Callable[[], object]) -> None:
        """
        An expression says of each user whether their address is verified, also by another table.
        """
        users = TableUsers(Citizen, verified=verified())
        save(town, member("active"), Citizen(id=7, email=ADA), Citizen(id=8, email=ADA, status="new"))

        assert [each and each.email_verified for each in (get(town, "7", users), get(town, "8", users))] == [
            True,
            False,
        ]
        assert holder(town, users=users) == "7"

    def test_own_type(self, town: Database) -> None:
        """
        A time of the app's own type is a time as well.
        """
        users = TableUsers(Guest, id=Guest.key, email=Guest.address, verified=Guest.proved_at)
        save(town, Guest(key=KEY, address=ADA, proved_at=NOW), Guest(key=OTHER, address=ADA))

        assert holder(town, users=users) == str(KEY)

    def test_nothing_says_so(self, town: Database) -> None:
        """
        Where nothing says that an address is verified, it isn't; a mere "verified" may mean something else.
        """
        users = TableUsers(Guest, id=Guest.key, email=Guest.address)
        save(town, Guest(key=KEY, address=ADA))

        assert get(town, str(KEY), users) == User(str(KEY), ADA, False)
        assert holder(town, users=users) is None

    def test_computed(self, town: Database) -> None:
        """
        A name may be put together, and an address stand in another table.
        """
        users = TableUsers(
            Guest,
            id=Guest.key,
            email=sa.select(col(Member.email)).where(col(Member.id) == Guest.first),
            verified=True,
            name=col(Guest.first) + " " + col(Guest.last),
        )
        save(town, member("Ada"), Guest(key=KEY))

        assert get(town, str(KEY), users) == User(str(KEY), ADA, True, "Ada Lovelace")
        assert holder(town, users=users) == str(KEY)


class TestByVerifiedEmail:
    @pytest.mark.parametrize(
        "written", [ADA, "Ada@Example.com", "ADA@EXAMPLE.COM", f"{ADA} ", f"  {ADA}", " Ada@Example.com   "]
    )
    def test_as_people_write_it(self, town: Database, written: str) -> None:
        """
        Capitals and blanks around make no difference, whichever side has them.
        """
        save(town, member(email=written), member("bob", "bob@example.com"))

        assert holder(town) == "ada"
        assert holder(town, written) == "ada"

    @pytest.mark.parametrize(
        "other",
        [
            *("a.da@example.com", "ada+b@example.com", "adá@example.com", "ada@exámple.com", "ada@example.co"),
            *("\u0430da@example.com", "ada@ex\u0430mple.com", "ｂda@example.com", "%@example.com", "_da@example.com"),
            *("ada@example.com,eve@example.com", "a da@example.com", "", " ", "ada"),
        ],
    )
    def test_others(self, town: Database, other: str) -> None:
        """
        An accent, a dot, a tag or a letter that only looks the same is somebody else's address, both ways.
        """
        save(town, member("eve", other))
        assert holder(town) is None

        save(town, member())
        assert holder(town) == "ada"
        assert holder(town, other) in ("eve", None)

    def test_accents(self, town: Database) -> None:
        """
        Each of two whom a database takes for one is found by their own address.
        """
        save(town, member("eve", "jose@example.com"))
        assert holder(town, "josé@example.com") is None

        save(town, member("josé", "josé@example.com"))
        assert holder(town, "jose@example.com") == "eve"
        assert holder(town, "josé@example.com") == "josé"
        assert holder(town, "jose\u0301@example.com") == "josé"

    @pytest.mark.parametrize("address", ["ada@bücher.example", "ada@xn--bcher-kva.example"])
    @pytest.mark.parametrize(
        "written",
        [
            "ada@bücher.example",
            "Ada@Bücher.Example",
            "ada@xn--bcher-kva.example",
            "ada@XN--BCHER-KVA.example",
            "ada@bu\u0308cher.example",
        ],
    )
    def test_domain_in_letters(self, town: Database, written: str, address: str) -> None:
        """
        A domain beyond ASCII is the same in letters and in IDNA's form.
        """
        save(town, member(email=written), member("eve", "ada@bucher.example"))

        assert holder(town, address) == "ada"

    def test_unverified(self, town: Database) -> None:
        """
        Whoever only says that an address is theirs isn't found, and is in nobody's way.
        """
        save(town, member("eve", verified=False))
        assert holder(town) is None

        save(town, member("ada", "Ada@example.com"))
        assert holder(town) == "ada"

    @pytest.mark.parametrize("second", [ADA, "ADA@example.com", f"{ADA} ", f" {ADA}"])
    def test_several(self, town: Database, second: str) -> None:
        """
        An address that two users have, however they write it, is nobody's.
        """
        save(town, member(), member("bob", second))

        assert holder(town) is None
        assert holder(town, second) is None

    @pytest.mark.parametrize("users", [CITIZENS, GUESTS], ids=["number", "uuid"])
    def test_other_ids(self, town: Database, users: TableUsers) -> None:
        """
        Who has the address is said by an id as text, whatever it is in the table.
        """
        save(town, Citizen(id=7, email="Ada@example.com", email_verified=True))
        save(town, Guest(key=KEY, address="Ada@example.com", proved=1))

        assert holder(town, users=users) == {CITIZENS: "7", GUESTS: str(KEY)}[users]

    def test_no_address(self, town: Database) -> None:
        """
        What is no address is nobody's, and the database isn't asked.
        """
        save(town, member(email="none"), member("bob", None))
        with statements(town) as sent:
            assert [each for each in ("none", "", "a\0@b.com", "\ud800@b.com", "a@b@c.com") if holder(town, each)] == []
        assert sent == []

    def test_index(self, town: Database) -> None:
        """
        The column is first compared as it is, which its own index answers, and only then in the form of addresses.
        """
        with statements(town) as sent:
            holder(town)

        first, second = (each.partition("WHERE")[2] for each in sent)
        assert "lower" not in first
        assert "lower(trim(" in second

    @MARIADB
    def test_older_character_sets(self, town: Database) -> None:
        """
        A table that can't hold some letters is asked for them all the same.
        """
        users = TableUsers(Old, verified=True)
        save(town, Old(id="ada", email="josé@example.com"))

        assert holder(town, "\U0001f600@example.com", users) is None
        assert holder(town, "josé@example.com", users) == "ada"
        assert get(town, "аda", users) is None
        with town.session() as session:
            assert users.gone(session, ["аda", "ada", "\U0001f600"]) == {"аda", "\U0001f600"}


class TestGone:
    def test_text(self, town: Database) -> None:
        """
        The ids that no user has are told, to the letter.
        """
        save(town, member("ada"), member("Bob"))
        gone = ["ADA", "bob", "ada ", "eve", "", "a\0", "\ud800"]
        with town.session() as session:
            assert MEMBERS.gone(session, ["ada", "Bob", *gone]) == frozenset(gone)

    def test_numbers(self, town: Database) -> None:
        """
        What can't be the id of a user is gone.
        """
        save(town, Citizen(id=7), Citizen(id=8))
        with town.session() as session:
            assert CITIZENS.gone(session, ["7", "07", "7abc", "9" * 30, "9"]) == {"07", "7abc", "9" * 30, "9"}

    def test_uuids(self, town: Database) -> None:
        """
        The same holds for UUIDs.
        """
        save(town, Guest(key=KEY))
        with town.session() as session:
            assert GUESTS.gone(session, [str(KEY), KEY.hex, str(OTHER)]) == {KEY.hex, str(OTHER)}

    @pytest.mark.parametrize(("size", "batches"), [(0, 0), (1, 1), (500, 1), (501, 2), (1500, 3)])
    def test_batches(self, town: Database, size: int, batches: int) -> None:
        """
        Many ids are asked for in few statements, none of which is without end.
        """
        save(town, *(Citizen(id=number) for number in range(1, size + 1, 2)))
        with town.session() as session:
            session.connection()
            with statements(town) as sent:
                gone = CITIZENS.gone(session, [str(number) for number in range(1, size + 1)])

        assert gone == {str(number) for number in range(2, size + 1, 2)}
        assert len(sent) == batches


LOGINS = TableAccounts(Login)
BADGES = TableAccounts(Badge)


def login(user_id: str | None, provider: str | None, account_id: str | None, id_: str = "") -> Login:
    return Login(id=id_ or f"{user_id}-{account_id}", userId=user_id, provider=provider, providerAccountId=account_id)


def find(database: Database, provider: str, account_id: str, accounts: Accounts = LOGINS) -> Account | None:
    with database.session() as session:
        return accounts.find(session, provider, account_id)


def of(database: Database, user_id: str, accounts: Accounts = LOGINS) -> list[Account]:
    with database.session() as session:
        return list(accounts.of(session, user_id))


class TestFind:
    def test_next_auth(self, town: Database) -> None:
        """
        An account of NextAuth is found by its provider and the id it has there, both.
        """
        save(town, member("ada"), member("bob"), login("ada", "github", "17"), login("bob", "discord", "18"))

        assert find(town, "github", "17") == Account("ada", "github", "17")
        assert find(town, "github", "18") is None
        assert find(town, "discord", "17") is None

    def test_to_the_letter(self, town: Database) -> None:
        """
        An id or a provider in other letters is another, also where the database takes them for the same.
        """
        save(town, member("ada"), login("ada", "github", "aB7é"))

        assert find(town, "github", "aB7é") is not None
        near = ("ab7é", "AB7É", "aB7e", "aB7é ", " aB7é", "aB7", "", "a\0", "\ud800", "x" * 999)
        assert [id_ for id_ in near if find(town, "github", id_)] == []
        assert [each for each in ("GitHub", "github ", "gíthub", "", "git\0hub") if find(town, each, "aB7é")] == []

    def test_same_but_for_case(self, town: Database) -> None:
        """
        Of two accounts that a database may take for one, each is its own user's.
        """
        save(town, member("ada"), member("bob"), login("ada", "github", "aB"), login("bob", "github", "Ab"))

        assert [find(town, "github", id_) for id_ in ("aB", "Ab")] == [
            Account("ada", "github", "aB"),
            Account("bob", "github", "Ab"),
        ]

    def test_several(self, town: Database) -> None:
        """
        An account that two users have is nobody's; one that is there twice is its one user's.
        """
        save(town, member("ada"), member("bob"))
        save(town, *(login("ada", "github", "17", id_) for id_ in ("1", "2")))
        assert find(town, "github", "17") == Account("ada", "github", "17")

        save(town, login("bob", "github", "17"))
        assert find(town, "github", "17") is None

    def test_nobodys(self, town: Database) -> None:
        """
        What has no user, no provider or no id is no account.
        """
        save(
            town,
            member(""),
            member("ada"),
            login(None, "github", "17"),
            login("", "github", "18"),
            login("ada", "github", ""),
        )
        save(town, login("ada", None, "19"), login("ada", "", "20"), login("ada", "github", None))

        assert [id_ for id_ in ("17", "18", "", "None") if find(town, "github", id_)] == []
        assert [each for each in ("", "None") if find(town, each, "19") or find(town, each, "20")] == []
        assert of(town, "ada") == []

    def test_numbers(self, town: Database) -> None:
        """
        Ids may be numbers, large ones too, and providers members of an enumeration.
        """
        large = 2**62
        save(town, Badge(user_id=7, provider=Service.GH, provider_account_id=large))
        save(town, Badge(user_id=0, provider=Service.DISCORD, provider_account_id=0))

        assert find(town, "github", str(large), BADGES) == Account("7", "github", str(large))
        assert find(town, "discord", "0", BADGES) == Account("0", "discord", "0")
        near = (f"{large}abc", f"0{large}", f" {large}", "9" * 30, "", "ada")
        assert [id_ for id_ in near if find(town, "github", id_, BADGES)] == []
        assert [each for each in ("GH", "Service.GH", "gitlab", "GITHUB") if find(town, each, str(large), BADGES)] == []

    def test_uuids(self, town: Database) -> None:
        """
        Ids may be UUIDs, and other names are given.
        """
        tickets = TableAccounts(Ticket, provider=Ticket.kind, provider_account_id=Ticket.number, user_id=Ticket.holder)
        save(town, Ticket(holder=KEY, kind="github", number=OTHER))

        assert find(town, "github", str(OTHER), tickets) == Account(str(KEY), "github", str(OTHER))
        assert find(town, "github", OTHER.hex, tickets) is None
        assert of(town, str(KEY), tickets) == [Account(str(KEY), "github", str(OTHER))]
        assert of(town, KEY.hex, tickets) == []

    def test_one_provider(self, town: Database) -> None:
        """
        A table that holds one provider's accounts alone is that provider's.
        """
        accounts = TableAccounts(
            Guest, provider=sa.literal("github"), provider_account_id=Guest.github_id, user_id=Guest.key
        )
        save(town, Guest(key=KEY, github_id=17), Guest(key=OTHER))

        assert find(town, "github", "17", accounts) == Account(str(KEY), "github", "17")
        assert find(town, "discord", "17", accounts) is None
        assert of(town, str(OTHER), accounts) == []

    def test_deleted(self, town: Database) -> None:
        """
        An account that was taken off is found no more.
        """
        save(town, member("ada"), login("ada", "github", "17", "1"))
        with town.session() as session:
            session.delete(session.get_one(Login, "1"))
            assert LOGINS.find(session, "github", "17") is None

    def test_no_tokens(self, town: Database) -> None:
        """
        The tokens that give access to an account are never read.
        """
        save(town, member("ada"), login("ada", "github", "17"))
        with statements(town) as sent:
            find(town, "github", "17")
            of(town, "ada")

        asked = [each for each in sent if "town_login" in each]
        assert len(asked) == 2
        assert [each for each in asked if "token" in each or "*" in each] == []


class TestOf:
    def test_in_order(self, town: Database) -> None:
        """
        A user's accounts come in the order of providers and ids, each once, without anybody else's.
        """
        save(town, member("ada"), member("Ada2"), member("bob"))
        rows = [
            ("github", "9"),
            ("discord", "b"),
            ("github", "10"),
            ("discord", "B"),
            ("Github", "x"),
            ("discord", "b"),
        ]
        save(town, *(login("ada", provider, id_, str(number)) for number, (provider, id_) in enumerate(rows)))
        save(town, login("bob", "github", "1"), login("Ada2", "github", "2"))

        assert [(each.provider, each.provider_account_id) for each in of(town, "ada")] == sorted(set(rows))
        assert {each.user_id for each in of(town, "ada")} == {"ada"}

    def test_to_the_letter(self, town: Database) -> None:
        """
        A user whose id is written otherwise is another.
        """
        save(town, member("Ada"), login("Ada", "github", "17"))

        assert of(town, "Ada") == [Account("Ada", "github", "17")]
        assert [id_ for id_ in ("ada", "Ada ", "Adá", "", "A\0da", "\ud800") if of(town, id_)] == []

    def test_numbers(self, town: Database) -> None:
        """
        A number is one only as it is written.
        """
        save(town, Badge(user_id=7, provider=Service.GH, provider_account_id=17))

        assert of(town, "7", BADGES) == [Account("7", "github", "17")]
        assert [id_ for id_ in ("07", "7abc", "9" * 30, "ada") if of(town, id_, BADGES)] == []


class TestConfiguration:
    def test_all_at_once(self) -> None:
        """
        All that couldn't be found is told together, each with what to write.
        """
        with pytest.raises(CrossAppConfigError) as caught:
            TableUsers(Guest)
        assert str(caught.value).splitlines() == [
            "2 problems with TableUsers(Guest)",
            "  no column id: name it, id=Guest.…",
            "  no column email: name it, email=Guest.…",
        ]
        with pytest.raises(CrossAppConfigError) as caught:
            TableAccounts(Member)
        assert str(caught.value).splitlines() == [
            "3 problems with TableAccounts(Member)",
            "  no column provider: name it, provider=Member.…",
            "  no column provider_account_id or providerAccountId: name it, provider_account_id=Member.…",
            "  no column user_id or userId: name it, user_id=Member.…",
        ]

    def test_no_column(self) -> None:
        """
        What isn't a column, or stands in another table, or says nothing about being verified, is told as well.
        """
        with pytest.raises(CrossAppConfigError) as caught:
            TableUsers(Citizen, id="id", email=Member.email, verified=Citizen.status, name=Member.name)
        assert caught.value.problems == (
            "id was given, but is no column: name one, id=Citizen.…",
            "email stands in the table town_member: give a scalar subquery for it",
            "name stands in the table town_member: give a scalar subquery for it",
            "verified holds neither times nor truth values: give an expression that is true or false",
        )
        with pytest.raises(CrossAppConfigError) as caught:
            TableAccounts(Login, user_id=Login.member, provider="github")
        assert caught.value.problems == (
            "provider was given, but is no column: name one, provider=Login.…",
            "user_id was given, but is no column: name one, user_id=Login.…",
        )

    def test_columns_themselves(self, town: Database) -> None:
        """
        A column may also be given as the table has it.
        """
        users = TableUsers(Guest, id=Guest.__table__.c.key, email=Guest.__table__.c.address)  # type: ignore[attr-defined]
        save(town, Guest(key=KEY, address=ADA))

        assert get(town, str(KEY), users) == User(str(KEY), ADA)
