from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, col, select

from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase
from tests import schema
from tests.databases import Database

NOW = datetime(2026, 11, 2, 12, 0, 0, 123_000, tzinfo=UTC)


class Host(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class HostUser(Host, table=True):
    __tablename__ = "host_user"

    id: int | None = Field(default=None, primary_key=True)


class FirstLink(AccountLinkBase, Host, table=True):
    __tablename__ = "first_link"


class SecondLink(AccountLinkBase, Host, table=True):
    __tablename__ = "a_second_table_of_links_whose_name_is_a_long_one"

    user_id: int = Field(  # type: ignore[assignment]
        foreign_key="host_user.id", sa_column_kwargs={"name": "userId"}
    )


class FirstToken(AccountLinkTokenBase, Host, table=True):
    __tablename__ = "first_token"


class SecondToken(AccountLinkTokenBase, Host, table=True):
    __tablename__ = "second_token"


@pytest.fixture
def host(database: Database) -> Iterator[Database]:
    """
    A database with the host's tables too.
    """
    with schema.tables(database.engine, Host.metadata):
        yield database


def link(
    user_id: str = "usr_1", linked_user_id: str = "u1", *, app: str = "ai-hero", unlinked_at: datetime | None = None
) -> AccountLink:
    return AccountLink(
        id=f"{user_id}-{app}-{linked_user_id}",
        user_id=user_id,
        linked_app=app,
        linked_user_id=linked_user_id,
        link_method="explicit",
        linked_at=NOW,
        unlinked_at=unlinked_at,
    )


def save(database: Database, *rows: SQLModel) -> None:
    with database.session() as session:
        session.add_all(rows)


class TestAccountLink:
    def test_columns(self, database: Database) -> None:
        """
        The columns are those that the apps' databases were planned with, and ours.
        """
        assert schema.columns(database.engine, "AccountLink") == {
            "id": False,
            "userId": False,
            "linkedApp": False,
            "linkedUserId": False,
            "linkedEmail": True,
            "linkMethod": False,
            "linkedAt": False,
            "unlinkedAt": True,
            "version": False,
            "acknowledgedVersion": False,
            "retryCount": False,
            "nextAttemptAt": True,
            "lostToId": True,
            "active": True,
        }
        assert schema.primary_key(database.engine, "AccountLink") == ["id"]

    def test_constraints(self, database: Database) -> None:
        """
        One row per pair, one active link per user and peer on either side, and an index for each way to look.
        """
        assert schema.uniques(database.engine, "AccountLink") == {
            ("userId", "linkedApp", "linkedUserId"),
            ("userId", "linkedApp", "active"),
            ("linkedApp", "linkedUserId", "active"),
        }
        assert schema.indexes(database.engine, "AccountLink") == {("linkedApp", "linkedUserId"), ("nextAttemptAt",)}

    @pytest.mark.parametrize("rival", [link("usr_1", "u2"), link("usr_2", "u1")], ids=["same user", "same peer user"])
    def test_one_active_link(self, database: Database, rival: AccountLink) -> None:
        """
        A user with an active link at a peer gets no second one there, nor does the peer's user here.
        """
        save(database, link("usr_1", "u1"))
        with pytest.raises(IntegrityError):
            save(database, AccountLink(**rival.model_dump(exclude={"active"})))
        with database.session() as session:
            assert session.exec(select(AccountLink.id)).all() == ["usr_1-ai-hero-u1"]

    @pytest.mark.parametrize("rival", [("usr_1", "u2"), ("usr_2", "u1")], ids=["same user", "same peer user"])
    def test_relink(self, database: Database, rival: tuple[str, str]) -> None:
        """
        A removed link can't be made active beside another one either.
        """
        save(database, link("usr_1", "u1"), link(*rival, unlinked_at=NOW))
        with pytest.raises(IntegrityError), database.session() as session:
            session.exec(select(AccountLink).where(col(AccountLink.unlinked_at).is_not(None))).one().unlinked_at = None

    def test_removed_links_repeat(self, database: Database) -> None:
        """
        Links that were removed are as many as there were, beside an active one.
        """
        pairs = [("usr_1", f"u{number}") for number in range(3)] + [(f"usr_{number}", "u9") for number in range(3)]
        save(
            database, link("usr_1", "u9"), *(link(*pair, unlinked_at=NOW) for pair in pairs if pair != ("usr_1", "u9"))
        )
        with database.session() as session:
            assert sorted(session.exec(select(AccountLink.active)).all(), key=str) == [1, *[None] * 5]

    def test_one_row_per_pair(self, database: Database) -> None:
        """
        A pair has one row for ever, even when its link was removed.
        """
        save(database, link("usr_1", "u1", unlinked_at=NOW))
        again = link("usr_1", "u1", unlinked_at=NOW)
        again.id = "another"
        with pytest.raises(IntegrityError):
            save(database, again)

    def test_other_peer(self, database: Database) -> None:
        """
        A user may be linked at each peer.
        """
        save(database, link("usr_1", "u1"), link("usr_1", "u1", app="third-app"))
        with database.session() as session:
            assert session.exec(select(AccountLink.active)).all() == [1, 1]

    def test_active_follows(self, database: Database) -> None:
        """
        Whether a link is active is worked out by the database, however its row was changed.
        """
        save(database, link("usr_1", "u1"))
        for unlinked_at, active in ((NOW, None), (None, 1)):
            with database.session() as session:
                session.exec(select(AccountLink)).one().unlinked_at = unlinked_at
            with database.session() as session:
                assert session.exec(select(AccountLink.active)).one() == active

    def test_planned_columns_alone(self, database: Database) -> None:
        """
        A service that knows the planned columns alone can write rows.
        """
        planned = {
            "id": "l1",
            "userId": "usr_1",
            "linkedApp": "ai-hero",
            "linkedUserId": "u1",
            "linkedEmail": None,
            "linkMethod": "explicit",
            "linkedAt": datetime(2026, 11, 2, 12),  # noqa: DTZ001
            "unlinkedAt": None,
        }
        schema.insert_planned(database.engine, "AccountLink", planned)
        with database.session() as session:
            row = session.exec(select(AccountLink)).one()
        assert (row.version, row.acknowledged_version, row.retry_count, row.active) == (0, 0, 0, 1)
        assert (row.next_attempt_at, row.lost_to_id) == (None, None)

    def test_letters_count(self, database: Database) -> None:
        """
        Ids and addresses that differ in case or in an accent alone are others.
        """
        rows = [link("pur_Ab1", "josé"), link("pur_aB1", "jose"), link("PUR_AB1", "José")]
        rows[0].linked_email, rows[1].linked_email = "josé@example.com", "jose@example.com"
        save(database, *rows)
        with database.session() as session:
            for column, value, found in (
                (AccountLink.user_id, "pur_Ab1", "pur_Ab1"),
                (AccountLink.linked_user_id, "jose", "pur_aB1"),
                (AccountLink.linked_email, "josé@example.com", "pur_Ab1"),
            ):
                assert session.exec(select(AccountLink.user_id).where(col(column) == value)).all() == [found]

    def test_longest_ids(self, database: Database) -> None:
        """
        Every column of an id has room for 191 characters of any kind, and an app's id for 64.
        """
        longest = "🔑" * 191
        row = link(longest, longest, app="a" * 64)
        row.id, row.lost_to_id, row.linked_email = longest, longest, f"{'é' * 242}@example.com"
        save(database, row)
        with database.session() as session:
            back = session.exec(select(AccountLink)).one()
        assert (back.id, back.user_id, back.linked_user_id, back.lost_to_id) == (longest,) * 4
        assert (back.linked_app, back.linked_email) == ("a" * 64, f"{'é' * 242}@example.com")

    @pytest.mark.parametrize("version", [2**31, 2**53 - 1, 2**63 - 1])
    def test_versions(self, database: Database, version: int) -> None:
        """
        A version has 64 bits.
        """
        row = link()
        row.version = row.acknowledged_version = version
        save(database, row)
        with database.session() as session:
            back = session.exec(select(AccountLink)).one()
        assert (back.version, back.acknowledged_version) == (version, version)

    def test_repr_hides_address(self) -> None:
        """
        A row in a log shows no address.
        """
        row = link()
        row.linked_email = "ada@example.com"
        assert "ada@" not in repr(row)


class TestAccountLinkToken:
    def test_columns(self, database: Database) -> None:
        """
        The columns are as planned, the token's own id being the key.
        """
        assert schema.columns(database.engine, "AccountLinkToken") == {
            "jti": False,
            "usedAt": False,
            "expiresAt": False,
        }
        assert schema.primary_key(database.engine, "AccountLinkToken") == ["jti"]

    def test_used_once(self, database: Database) -> None:
        """
        The database itself keeps a token from being used twice; one that differs in case is another.
        """
        save(database, AccountLinkToken(jti="Ab", used_at=NOW, expires_at=NOW))
        save(database, AccountLinkToken(jti="aB", used_at=NOW, expires_at=NOW))
        with pytest.raises(IntegrityError):
            save(database, AccountLinkToken(jti="Ab", used_at=NOW, expires_at=NOW))


class TestTimes:
    def test_naive_is_refused(self, database: Database) -> None:
        """
        A time without time zone could be any, so it isn't stored, and the message says how to make one.
        """
        naive = NOW.replace(tzinfo=None)
        with pytest.raises(StatementError, match=r"datetime\.now\(UTC\)"):
            save(database, AccountLinkToken(jti="t", used_at=naive, expires_at=NOW))

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
    @given(
        st.datetimes(
            datetime(1971, 1, 1),  # noqa: DTZ001
            datetime(9998, 1, 1),  # noqa: DTZ001
            timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
        )
    )
    def test_round_trip(self, database: Database, moment: datetime) -> None:
        """
        A time comes back in UTC and to the millisecond, whatever its time zone was.
        """
        with database.session() as session:
            session.execute(sa.delete(AccountLinkToken))
            session.add(AccountLinkToken(jti="t", used_at=moment, expires_at=moment))
        with database.session() as session:
            back = session.exec(select(AccountLinkToken.used_at)).one()
        assert back.tzinfo is UTC
        assert back == moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def test_order(self, database: Database) -> None:
        """
        The database compares times to the millisecond, those of other time zones too.
        """
        moments = [NOW + timedelta(milliseconds=number) for number in range(3)]
        save(database, *(AccountLinkToken(jti=str(at), used_at=at, expires_at=at) for at in moments))
        elsewhere = moments[1].astimezone(timezone(timedelta(hours=5)))
        with database.session() as session:
            for condition, count in (
                (col(AccountLinkToken.expires_at) < elsewhere, 1),
                (col(AccountLinkToken.expires_at) == elsewhere, 1),
                (col(AccountLinkToken.expires_at) >= elsewhere, 2),
            ):
                assert len(session.exec(select(AccountLinkToken).where(condition)).all()) == count

    def test_nothing_is_rounded_up(self, database: Database) -> None:
        """
        What is below a millisecond is dropped: a time must not lie ahead of the one that was meant.
        """
        save(database, AccountLinkToken(jti="t", used_at=NOW + timedelta(microseconds=999), expires_at=NOW))
        with database.session() as session:
            assert session.exec(select(AccountLinkToken.used_at)).one() == NOW

    def test_column(self, database: Database) -> None:
        """
        PostgreSQL knows the time zone, and MariaDB keeps milliseconds.
        """
        kind = schema.column(database.engine, "AccountLinkToken", "usedAt")["type"]
        if database.name == "postgresql":
            assert isinstance(kind, sa.DateTime)
            assert kind.timezone
        assert getattr(kind, "fsp", 3) == 3


class TestMixins:
    def test_twice(self, host: Database) -> None:
        """
        One schema may hold several tables of each mixin, each with its constraints.
        """
        for table in (FirstLink.__tablename__, SecondLink.__tablename__):
            assert schema.uniques(host.engine, str(table)) == schema.uniques(host.engine, "AccountLink")
            assert schema.indexes(host.engine, str(table)) >= schema.indexes(host.engine, "AccountLink")
            assert schema.columns(host.engine, str(table)) == schema.columns(host.engine, "AccountLink")
        for table in (FirstToken.__tablename__, SecondToken.__tablename__):
            assert schema.columns(host.engine, str(table)) == schema.columns(host.engine, "AccountLinkToken")

    def test_foreign_key(self, host: Database) -> None:
        """
        A subclass may refer to the app's own users, whose ids are integers.
        """
        assert schema.foreign_keys(host.engine, SecondLink.__tablename__) == {"userId": "host_user"}
        with host.session() as session:
            user = HostUser()
            session.add(user)
            session.flush()
            values = link().model_dump(exclude={"active"}) | {"user_id": user.id}
            session.add(SecondLink(**values))
        with host.session() as session:
            assert session.exec(select(SecondLink.user_id)).one() == user.id

    def test_one_active_link_of_a_foreign_key(self, host: Database) -> None:
        """
        There too, a user has one active link.
        """
        with host.session() as session:
            session.add(HostUser(id=7))
        values = link().model_dump(exclude={"active"}) | {"user_id": 7}
        save(host, SecondLink(**values))
        with pytest.raises(IntegrityError):
            save(host, SecondLink(**values | {"id": "2", "linked_user_id": "u2"}))

    def test_apart(self, host: Database) -> None:
        """
        What stands in one table is unknown to the other.
        """
        save(host, FirstLink(**link().model_dump(exclude={"active"})))
        with Session(host.engine) as session:
            assert len(session.exec(select(FirstLink)).all()) == 1
            assert session.exec(select(SecondLink)).all() == []
            assert session.exec(select(AccountLink)).all() == []
