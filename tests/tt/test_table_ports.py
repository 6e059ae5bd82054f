from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col, select

from crossapp_core.columns import UtcDateTime
from crossapp_core.errors import CatalogError, CrossAppConfigError
from crossapp_tt import catalog
from crossapp_tt.ports import Bundles, Purchase
from crossapp_tt.table_ports import FixedBundles, StripeMetadata, TablePurchases
from tests import schema
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase, shop_purchases
from tests.rivals import impatient_session

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
ENTRIES = [{"app": "ai-hero", "productId": "prod_9"}]
KEY = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


class Market(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class Customer(Market, table=True):
    __tablename__ = "market_customer"

    id: int | None = Field(default=None, primary_key=True)
    address: str = Field(max_length=100)


class Sale(Market, table=True):
    """
    Sales with numbers for ids and names in camelCase; the address stands in another table.
    """

    __tablename__ = "market_sale"

    id: int | None = Field(default=None, primary_key=True)
    userId: int | None = None  # noqa: N815
    productId: int  # noqa: N815
    createdAt: datetime | None = Field(default=None, sa_type=sa.DateTime)  # noqa: N815
    chargeId: str | None = Field(default=None, max_length=64)  # noqa: N815
    bundleProducts: Any = Field(default=None, sa_type=sa.JSON)  # noqa: N815
    paid: bool | None = None


class Order(Market, table=True):
    """
    Sales with names that nobody guesses.
    """

    __tablename__ = "market_order"

    key: UUID = Field(primary_key=True)
    customer: str | None = Field(default=None, max_length=64)
    article: str = Field(max_length=64)
    created_at: int = 0
    at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    contents: str | None = Field(default=None, max_length=500)
    charge: int | None = None


class Article(Market, table=True):
    __tablename__ = "market_article"

    id: int | None = Field(default=None, primary_key=True)
    stripe_id: str | None = Field(default=None, max_length=64)
    metadata_json: Any = Field(default=None, sa_type=sa.JSON)
    metadata_text: str | None = Field(default=None, max_length=2000)
    everything: Any = Field(default=None, sa_type=sa.JSON)


class Pair(Market, table=True):
    __tablename__ = "market_pair"

    one: int = Field(primary_key=True)
    two: int = Field(primary_key=True)
    text: str | None = Field(default=None, max_length=10)


@pytest.fixture
def market(database: Database) -> Iterator[Database]:
    """
    A database with the market's tables too.
    """
    with schema.tables(database.engine, Market.metadata):
        yield database


def save(database: Database, *rows: SQLModel) -> None:
    with database.session() as session:
        session.add_all(rows)


def sales() -> TablePurchases:
    address = sa.select(col(Customer.address)).where(col(Customer.id) == Sale.userId).scalar_subquery()
    return TablePurchases(Sale, owned=col(Sale.paid) != sa.false(), email=address)


def orders() -> TablePurchases:
    return TablePurchases(
        Order,
        owned=sa.true(),
        id=Order.key,
        user_id=Order.customer,
        product_id=Order.article,
        purchased_at=Order.at,
        bundle_products=Order.contents,
        charge_id=Order.charge,
    )


class TestGet:
    def test_names_are_found(self, database: Database) -> None:
        """
        The usual names need not be given.
        """
        save(database, ShopPurchase(id="pur_1", user_id="ada", email="Ada@example.com", product_id="bundle"))
        with database.session() as session:
            found = shop_purchases().get(session, "pur_1")
        assert found == Purchase("pur_1", "bundle", True, "ada", "Ada@example.com", None, None)

    def test_camel_case_and_numbers(self, market: Database) -> None:
        """
        Names may be in camelCase, and ids numbers: they are text here, as in events.
        """
        save(market, Customer(id=3, address="ada@example.com"))
        naive = datetime(2026, 11, 2, 12)  # noqa: DTZ001
        save(market, Sale(id=7, userId=3, productId=5, createdAt=naive, bundleProducts=ENTRIES, paid=True))
        with market.session() as session:
            found = sales().get(session, "7")
        assert found == Purchase("7", "5", True, "3", "ada@example.com", NOW, ENTRIES)

    def test_names_are_given(self, market: Database) -> None:
        """
        Other names are given, and what isn't there is None.
        """
        moment = NOW.astimezone(timezone(timedelta(hours=5)))
        save(market, Order(key=KEY, customer="ada", article="a1", at=moment, contents="[]"))
        with market.session() as session:
            found = orders().get(session, str(KEY))
        assert found == Purchase(str(KEY), "a1", True, "ada", None, NOW, "[]")
        assert found is not None
        assert found.purchased_at is not None
        assert found.purchased_at.tzinfo is UTC

    def test_no_number(self, market: Database) -> None:
        """
        An id that isn't just the number of a sale is that of none.
        """
        save(market, Sale(id=7, productId=5))
        with market.session() as session:
            for id_ in ("8", "007", "7abc", " 7", "+7", "٧", "9" * 30, "abc", "", "a\0b", "\ud800"):
                assert sales().get(session, id_) is None

    def test_no_uuid(self, market: Database) -> None:
        """
        Nor is a UUID found by another spelling.
        """
        save(market, Order(key=KEY, article="a1"))
        with market.session() as session:
            for id_ in (str(KEY).upper(), KEY.hex, "abc", "7"):
                assert orders().get(session, id_) is None

    @pytest.mark.parametrize(("paid", "owned"), [(True, True), (False, False), (None, False)])
    def test_owned(self, market: Database, paid: bool | None, owned: bool) -> None:
        """
        What isn't known to be owned isn't.
        """
        save(market, Sale(id=7, productId=5, paid=paid))
        with market.session() as session:
            found = sales().get(session, "7")
        assert found is not None
        assert found.owned is owned

    @pytest.mark.parametrize("user_id", [None, ""])
    def test_guest(self, database: Database, user_id: str | None) -> None:
        """
        A purchase without user is a guest's, however the app writes that.
        """
        save(database, ShopPurchase(id="pur_1", user_id=user_id, email="ada@example.com", product_id="bundle"))
        with database.session() as session:
            found = shop_purchases().get(session, "pur_1")
        assert found is not None
        assert found.user_id is None

    def test_address_is_hidden(self) -> None:
        """
        A purchase in a log shows no address.
        """
        assert "ada@" not in repr(Purchase("1", "2", True, None, "ada@example.com"))

    def test_sees_what_was_just_written(self, database: Database) -> None:
        """
        What the session has written is seen, also if it was changed before.
        """
        with database.session() as session:
            session.add(ShopPurchase(id="pur_1", product_id="bundle"))
            session.flush()
            assert shop_purchases().get(session, "pur_1") is not None
            session.get_one(ShopPurchase, "pur_1").status = "Refunded"
            session.flush()
            found = shop_purchases().get(session, "pur_1", lock=True)
            assert found is not None
            assert found.owned is False


class TestLock:
    @SERVERS
    @pytest.mark.parametrize("lock", [True, False])
    def test_locks(self, market: Database, lock: bool) -> None:
        """
        A locked purchase is nobody else's to change until the transaction ends; one that was only read is.
        """
        save(market, Customer(id=3, address="ada@example.com"), Sale(id=7, userId=3, productId=5))
        with market.session() as session:
            assert sales().get(session, "7", lock=lock) is not None
            with impatient_session(market) as other:
                if lock:
                    with pytest.raises(OperationalError):
                        other.execute(sa.update(Sale).values(paid=False))
                else:
                    other.execute(sa.update(Sale).values(paid=False))

    @SERVERS
    def test_others_are_free(self, market: Database) -> None:
        """
        Other purchases are free, and so is the row that the address comes from.
        """
        save(market, Customer(id=3, address="ada@example.com"))
        save(market, Sale(id=7, userId=3, productId=5), Sale(id=8, userId=3, productId=5))
        with market.session() as session:
            sales().get(session, "7", lock=True)
            with impatient_session(market) as other:
                assert sales().get(other, "8", lock=True) is not None
                other.execute(sa.update(Customer).values(address="other@example.com"))

    @SERVERS
    def test_reads_what_is_current(self, database: Database) -> None:
        """
        What was committed after the transaction's own snapshot is seen under the lock.
        """
        save(database, ShopPurchase(id="pur_1", product_id="bundle"))
        with database.session() as session:
            assert shop_purchases().get(session, "pur_1") is not None
            with database.session() as other:
                other.get_one(ShopPurchase, "pur_1").status = "Refunded"
            found = shop_purchases().get(session, "pur_1", lock=True)
        assert found is not None
        assert found.owned is False


class TestGetMany:
    def test_those_there_are(self, market: Database) -> None:
        """
        Purchases that don't exist, or whose ids can't be any, are left out.
        """
        save(market, *(Sale(id=number, productId=5) for number in (1, 2, 3)))
        with market.session() as session:
            assert [each.id for each in sales().get_many(session, ["3", "1", "1", "01", "9", "x", "9" * 30])] == [
                "1",
                "3",
            ]
            assert sales().get_many(session, []) == []

    def test_to_the_letter(self, database: Database) -> None:
        """
        An id in other letters names another purchase.
        """
        save(database, ShopPurchase(id="pur_1", product_id="bundle"))
        with database.session() as session:
            assert shop_purchases().get_many(session, ["PUR_1", "pur_1 "]) == []


class TestByCharge:
    def test_found(self, database: Database) -> None:
        """
        The purchase that a charge paid for is found, to the letter.
        """
        save(database, *(ShopPurchase(id=f"pur_{each}", product_id="b", charge_id=f"ch_{each}") for each in ("B", "a")))
        with database.session() as session:
            found = shop_purchases().by_charge(session, "ch_a")
            assert found is not None
            assert found.id == "pur_a"
            for name in ("ch_A", "ch_a ", "ch_404", "", "a\0b", "\ud800"):
                assert shop_purchases().by_charge(session, name) is None

    def test_same_but_for_case(self, database: Database) -> None:
        """
        Of two charges that a database may take for one, the right one is found.
        """
        save(
            database, *(ShopPurchase(id=f"pur_{each}", product_id="b", charge_id=f"ch_{each}") for each in ("AB", "aZ"))
        )
        save(database, ShopPurchase(id="pur_0", product_id="b", charge_id="ch_ab"))
        with database.session() as session:
            found = [shop_purchases().by_charge(session, each) for each in ("ch_AB", "ch_ab")]
        assert [each.id if each else None for each in found] == ["pur_AB", "pur_0"]

    def test_number(self, market: Database) -> None:
        """
        A charge may be a number.
        """
        save(market, Order(key=KEY, article="a1", charge=12))
        with market.session() as session:
            assert orders().by_charge(session, "12") is not None
            assert orders().by_charge(session, "12abc") is None

    def test_elsewhere(self, market: Database) -> None:
        """
        A charge may stand in another table.
        """
        save(market, Customer(id=3, address="ch_7"), Sale(id=7, userId=3, productId=5))
        charge = sa.select(col(Customer.address)).where(col(Customer.id) == Sale.userId)
        with market.session() as session:
            found = TablePurchases(Sale, owned=sa.true(), charge_id=charge).by_charge(session, "ch_7")
        assert found is not None
        assert found.id == "7"

    def test_no_column(self, market: Database) -> None:
        """
        Events that name charges need to be told where those stand.
        """
        purchases = TablePurchases(
            Order, owned=sa.true(), id=Order.key, user_id=Order.customer, product_id=Order.article
        )
        with market.session() as session, pytest.raises(CrossAppConfigError, match="give its column: charge_id"):
            purchases.by_charge(session, "ch_1")


class TestAfter:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    def test_pages(self, market: Database, limit: int) -> None:
        """
        Page after page, every purchase comes once, in the order of the ids.
        """
        save(market, *(Sale(id=number, productId=5) for number in (9, 10, 2, 100, 1, 11, 3)))
        seen: list[str] = []
        with market.session() as session:
            while page := sales().after(session, seen[-1] if seen else None, limit):
                assert len(page) <= limit
                seen += [purchase.id for purchase in page]
                assert len(seen) == len(set(seen))
        assert seen == ["1", "2", "3", "9", "10", "11", "100"]

    def test_text(self, database: Database) -> None:
        """
        Text has the order of its database, and is complete as well.
        """
        ids = ["pur_b", "pur_B2", "pur_a", "PUR_c", "pur_é", "pur_10", "pur_9"]
        save(database, *(ShopPurchase(id=id_, product_id="b") for id_ in ids))
        seen: list[str] = []
        with database.session() as session:
            while page := shop_purchases().after(session, seen[-1] if seen else None, 2):
                seen += [purchase.id for purchase in page]
                assert len(seen) == len(set(seen))
        assert sorted(seen) == sorted(ids)

    def test_no_such_cursor(self, market: Database) -> None:
        """
        After what can't be an id there is nothing.
        """
        save(market, Sale(id=1, productId=5))
        with market.session() as session:
            assert sales().after(session, "abc", 10) == []


class TestConfiguration:
    def test_all_at_once(self) -> None:
        """
        All that couldn't be found is told together, each with what to write.
        """
        with pytest.raises(CrossAppConfigError) as caught:
            TablePurchases(Order, owned=sa.true())
        assert str(caught.value).splitlines() == [
            "3 problems with TablePurchases(Order)",
            "  no column id: name it, id=Order.…",
            "  no column product_id or productId: name it, product_id=Order.…",
            "  nothing says who the buyer is: name a column, user_id=Order.… or email=…",
        ]

    def test_foreign_columns(self) -> None:
        """
        A column of another table is refused: each purchase would come with each of its rows.
        """
        with pytest.raises(CrossAppConfigError) as caught:
            TablePurchases(Sale, owned=col(Article.id) == 1, email=Customer.address)
        assert caught.value.problems == (
            "email stands in the table market_customer: give a scalar subquery for it",
            "owned stands in the table market_article: give a scalar subquery for it",
        )

    def test_subqueries(self, market: Database) -> None:
        """
        A subquery may be given as it is, and what is owned may depend on other tables.
        """
        save(market, Customer(id=3, address="ada@example.com"), Article(id=5))
        save(market, Sale(id=7, userId=3, productId=5), Sale(id=8, userId=3, productId=6))
        purchases = TablePurchases(
            Sale,
            owned=sa.exists().where(col(Article.id) == Sale.productId),
            email=sa.select(col(Customer.address)).where(col(Customer.id) == Sale.userId),
        )
        with market.session() as session:
            found = purchases.after(session, None, 10)
            assert purchases.get(session, "7", lock=True) == found[0]
        assert [(each.id, each.owned, each.email) for each in found] == [
            ("7", True, "ada@example.com"),
            ("8", False, "ada@example.com"),
        ]

    def test_no_times(self) -> None:
        """
        A column that is only called like a time isn't taken for one, and is refused when it is given.
        """
        given: dict[str, Any] = {"id": Order.key, "user_id": Order.customer, "product_id": Order.article}
        TablePurchases(Order, owned=sa.true(), **given)
        with pytest.raises(CrossAppConfigError, match="purchased_at holds no times"):
            TablePurchases(Order, owned=sa.true(), purchased_at=Order.created_at, **given)

    def test_computed_time(self, market: Database) -> None:
        """
        A time may be worked out.
        """
        save(market, Sale(id=7, userId=3, productId=5, createdAt=datetime(2026, 11, 2, 12)))  # noqa: DTZ001
        latest = sa.func.coalesce(Sale.createdAt, Sale.createdAt)
        with market.session() as session:
            found = TablePurchases(Sale, owned=sa.true(), purchased_at=latest).get(session, "7")
        assert found is not None
        assert found.purchased_at == NOW


def bundle(database: Database, bundles: Bundles, product_id: str) -> list[str]:
    """
    The ids of what a product unlocks.
    """
    with database.session() as session:
        content = bundles.of(session, product_id)
    return [each.product_id for each in catalog.parse(content, product_id=product_id)]


class TestStripeMetadata:
    @pytest.mark.parametrize(
        ("content", "ids"),
        [
            ({"bundleProducts": '[{"app": "ai-hero", "productId": "prod_9"}]', "other": "1"}, ["prod_9"]),
            ({"bundleProducts": ENTRIES}, ["prod_9"]),
            (ENTRIES, ["prod_9"]),
            ('[{"app": "ai-hero", "productId": "prod_9"}]', ["prod_9"]),
            ('{"bundleProducts": "[]"}', []),
            ({"other": "1"}, []),
            ({}, []),
            ("", []),
            (None, []),
        ],
    )
    def test_json(self, market: Database, content: object, ids: list[str]) -> None:
        """
        A column of JSON holds the metadata, or `bundleProducts` alone, as JSON or as text.
        """
        save(
            market, Article(id=1, metadata_json=content), Article(id=2, metadata_json=[{"app": "x", "productId": "y"}])
        )
        assert bundle(market, StripeMetadata(Article.metadata_json), "1") == ids

    @pytest.mark.parametrize(
        ("content", "ids"),
        [
            ('{"bundleProducts": "[{\\"app\\": \\"ai-hero\\", \\"productId\\": \\"prod_9\\"}]"}', ["prod_9"]),
            ('{"bundleProducts": [{"app": "ai-hero", "productId": "prod_9"}]}', ["prod_9"]),
            ('[{"app": "ai-hero", "productId": "prod_9"}]', ["prod_9"]),
            ('{"other": 1}', []),
            ("", []),
            (None, []),
        ],
    )
    def test_text(self, market: Database, content: str | None, ids: list[str]) -> None:
        """
        So does a column of text.
        """
        save(market, Article(id=1, metadata_text=content))
        assert bundle(market, StripeMetadata(Article.metadata_text), "1") == ids

    @SQLITE
    @pytest.mark.parametrize("content", ["not JSON", "[" * 1900, "7", '"text"', "null", "9" * 1900])
    def test_malformed(self, market: Database, content: str) -> None:
        """
        What can't be read is an error that names the product, never an empty bundle.
        """
        save(market, Article(id=1, metadata_text=content))
        with pytest.raises(CatalogError, match="of product 1"):
            bundle(market, StripeMetadata(Article.metadata_text), "1")

    def test_no_such_product(self, market: Database) -> None:
        """
        A product that the app doesn't have is no bundle.
        """
        save(market, Article(id=1, metadata_json=ENTRIES))
        for product_id in ("2", "abc", "01", "9" * 30):
            assert bundle(market, StripeMetadata(Article.metadata_json), product_id) == []

    def test_other_id(self, market: Database) -> None:
        """
        Products may be known by another id than their primary key.
        """
        save(market, Article(id=1, stripe_id="prod_A", metadata_json=ENTRIES), Article(id=2, stripe_id="prod_B"))
        bundles = StripeMetadata(Article.metadata_json, id=Article.stripe_id)
        assert bundle(market, bundles, "prod_A") == ["prod_9"]
        assert bundle(market, bundles, "1") == []

    def test_deeper(self, market: Database) -> None:
        """
        The metadata may be a part of what is stored.
        """
        save(market, Article(id=1, everything={"metadata": {"bundleProducts": ENTRIES}}))
        assert bundle(market, StripeMetadata(Article.everything["metadata"]), "1") == ["prod_9"]

    def test_configuration(self) -> None:
        """
        Whose metadata it is must be clear.
        """
        with pytest.raises(CrossAppConfigError, match=r"no table with a single primary key: name .* id="):
            StripeMetadata(Pair.text)
        with pytest.raises(CrossAppConfigError, match="the metadata stands in the table market_article"):
            StripeMetadata(Article.metadata_json, id=Pair.one)


class TestFixedBundles:
    def test_by_product(self, database: Database) -> None:
        """
        What stands in the code counts, and what doesn't is no bundle.
        """
        bundles = FixedBundles({"bundle": ENTRIES})
        assert bundle(database, bundles, "bundle") == ["prod_9"]
        assert bundle(database, bundles, "other") == []


def test_columns_are_the_apps_own(market: Database) -> None:
    """
    Nothing is written by the ports.
    """
    save(market, Sale(id=7, userId=3, productId=5))
    with market.session() as session:
        sales().get(session, "7", lock=True)
        sales().after(session, None, 10)
        assert not session.dirty
        assert session.exec(select(Sale.paid)).one() is None
