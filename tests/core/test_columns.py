from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, BigInteger, Column, Integer, MetaData, SmallInteger, String, Table, Text, Uuid, select
from sqlalchemy.dialects import mysql
from sqlalchemy.types import NullType

from crossapp_core.columns import host_value, index, unique
from tests.databases import Database

UUID_TEXT = "0f8fad5b-d9cb-469f-a165-70867728950e"
SERVERS = ["mysql", "mariadb", "postgresql"]


def column(kind: Any) -> Column[Any]:
    return Column("id", kind)


class TestHostValue:
    @pytest.mark.parametrize(("id_", "value"), [("0", 0), ("7", 7), ("-7", -7), ("2147483647", 2**31 - 1)])
    @pytest.mark.parametrize("dialect", ["sqlite", *SERVERS])
    def test_integer(self, id_: str, value: int, dialect: str) -> None:
        """
        An id of digits is an integer where the host's column holds integers.
        """
        assert host_value(column(Integer()), id_, dialect=dialect) == value

    @pytest.mark.parametrize(
        "id_",
        ["1abc", "abc", "", " ", "007", " 1", "1 ", "1\n", "+1", "-0", "1_0", "1.0", "1e3", "0x1", "١", "１", "true"],
    )
    def test_no_integer(self, id_: str) -> None:
        """
        What would be written otherwise, or is only taken for a number by Python or MySQL, is no integer.
        """
        assert host_value(column(Integer()), id_) is None

    @pytest.mark.parametrize(
        ("kind", "dialect", "largest"),
        [
            (Integer(), "sqlite", 2**63 - 1),
            (Integer(), "postgresql", 2**31 - 1),
            (Integer(), "mysql", 2**31 - 1),
            (SmallInteger(), "mariadb", 2**15 - 1),
            (BigInteger(), "postgresql", 2**63 - 1),
            (mysql.INTEGER(unsigned=True), "mysql", 2**32 - 1),
            (mysql.BIGINT(unsigned=True), "mariadb", 2**64 - 1),
        ],
    )
    def test_too_large(self, kind: Any, dialect: str, largest: int) -> None:
        """
        A number that the host's column can't hold is none of its ids.
        """
        assert host_value(column(kind), str(largest), dialect=dialect) == largest
        assert host_value(column(kind), str(largest + 1), dialect=dialect) is None
        assert host_value(column(kind), str(-largest - 2), dialect=dialect) is None

    def test_endless_number(self) -> None:
        """
        Not even a number of five thousand digits is a trouble.
        """
        assert host_value(column(BigInteger()), "9" * 5000) is None

    @pytest.mark.parametrize("kind", [String(64), Text(), String(), NullType(), JSON()])
    @pytest.mark.parametrize("id_", ["1abc", "007", " 1", "١", "PUR_1", "josé"])
    def test_text(self, kind: Any, id_: str) -> None:
        """
        A column of text, or of whatever we don't know, has the id as it is.
        """
        assert host_value(column(kind), id_) == id_

    @pytest.mark.parametrize("dialect", SERVERS)
    def test_too_long(self, dialect: str) -> None:
        """
        Text is no id if the column has no room for it.
        """
        assert host_value(column(String(3)), "abc", dialect=dialect) == "abc"
        assert host_value(column(String(3)), "abcd", dialect=dialect) is None
        assert host_value(column(String(3)), "abcd", dialect="sqlite") == "abcd"

    @pytest.mark.parametrize("dialect", SERVERS)
    def test_unsendable(self, dialect: str) -> None:
        """
        What no driver or database takes is no id.
        """
        assert host_value(column(String()), "a\0b", dialect=dialect) is None
        assert host_value(column(String()), "a\ud800b", dialect=dialect) is None

    def test_uuid(self) -> None:
        """
        A UUID is one in its usual form, as a UUID or as text just as the column wants it.
        """
        assert host_value(column(Uuid()), UUID_TEXT) == UUID(UUID_TEXT)
        assert host_value(column(Uuid(as_uuid=False)), UUID_TEXT) == UUID_TEXT

    @pytest.mark.parametrize("kind", [Uuid(), Uuid(as_uuid=False)])
    @pytest.mark.parametrize(
        "id_",
        [
            UUID_TEXT.upper(),
            UUID_TEXT.replace("-", ""),
            f"{{{UUID_TEXT}}}",
            f"urn:uuid:{UUID_TEXT}",
            UUID_TEXT[:-1],
            "",
        ],
    )
    def test_no_uuid(self, id_: str, kind: Any) -> None:
        """
        The other ways to write a UUID name none.
        """
        assert host_value(column(kind), id_) is None

    @given(st.integers() | st.text(), st.sampled_from([Integer(), BigInteger(), String(20), Uuid()]))
    def test_round_trip(self, id_: object, kind: Any) -> None:
        """
        What is found is written as the id was.
        """
        value = host_value(column(kind), str(id_), dialect="postgresql")
        assert value is None or str(value) == str(id_)

    @pytest.mark.parametrize("kind", [SmallInteger(), Integer(), BigInteger(), String(20), Uuid()])
    def test_database_takes_it(self, database: Database, kind: Any) -> None:
        """
        The database stores what was converted, and finds it again, whatever was asked for.
        """
        table = Table("held", MetaData(), column(kind))
        ids = ["7", *(str(2**bits - 1) for bits in (15, 16, 31, 32, 63, 64)), "9" * 30, "a\0b", "a\ud800b", UUID_TEXT]
        values = [host_value(table.c.id, id_, dialect=database.engine.dialect.name) for id_ in ids]
        held = [value for value in values if value is not None]
        with database.engine.connect() as connection:
            table.create(connection)
            connection.execute(table.insert(), [{"id": value} for value in held])
            found = [connection.scalar(select(table.c.id).where(table.c.id == value)) for value in held]
            table.drop(connection)
        assert held
        assert found == held


class TestNames:
    def test_after_table_and_columns(self) -> None:
        """
        A constraint is named after its table and columns, so that two tables may stand in one schema.
        """
        assert unique("Link", "userId", "app").name == "Link_userId_app_key"
        assert index("Link", "userId").name == "Link_userId_idx"

    def test_longest(self) -> None:
        """
        No name is longer than PostgreSQL allows, and those of two long tables still differ.
        """
        names = [
            str(constraint.name)
            for table in ("a" * 63, "a" * 62 + "b", "a" * 50)
            for constraint in (unique(table, "sourceApp", "sourcePurchaseId"), index(table, "sourceApp"))
        ]
        assert max(map(len, names)) <= 63
        assert len(set(names)) == len(names)

    def test_room(self) -> None:
        """
        A name that just fits is left as it is.
        """
        assert index("t" * 55, "abc").name == f"{'t' * 55}_abc_idx"
        assert len(str(index("t" * 56, "abc").name)) < 63
