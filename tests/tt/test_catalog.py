from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from crossapp_core.errors import CatalogError
from crossapp_core.events import Id
from crossapp_tt.catalog import MOST_COMPONENTS, Component, parse

TYPESCRIPT = Component("total-typescript", "prod_ts")
AI = Component("ai-hero", "prod_ai")

BUNDLE = '[{"app": "ai-hero", "productId": "prod_ai"}, {"app": "total-typescript", "productId": "prod_ts"}]'


def product(**metadata: str) -> dict[str, Any]:
    """
    A product as Stripe's API answers with it.
    """
    return {
        "id": "prod_Q1",
        "object": "product",
        "active": True,
        "attributes": [],
        "created": 1767225600,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": metadata,
        "name": "Both courses",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": 1767225600,
        "url": None,
    }


def price(of: object) -> dict[str, Any]:
    """
    A price as Stripe's API answers with it; *of* is its product, expanded or not.
    """
    return {
        "id": "price_1",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "livemode": False,
        "metadata": {},
        "product": of,
        "type": "one_time",
        "unit_amount": 19900,
        "unit_amount_decimal": "19900",
    }


def entries(*components: Component) -> list[dict[str, str]]:
    return [{"app": component.app, "productId": component.product_id} for component in components]


def refused(value: object, *, product_id: str | None = "bundle", **checks: Any) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        parse(value, product_id=product_id, **checks)
    return caught.value


app_ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,63}", fullmatch=True)
product_ids = st.one_of(
    st.from_regex(r"prod_[A-Za-z0-9]{1,186}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs"]), min_size=1, max_size=191),
)
components = st.lists(st.builds(Component, app_ids, product_ids), unique=True, max_size=MOST_COMPONENTS)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("productId"), inner, max_size=4),
)


class TestParse:
    def test_metadata(self) -> None:
        """
        Metadata may name products of several apps, and their order is kept.
        """
        assert parse({"bundleProducts": BUNDLE, "slug": "both"}, product_id="bundle") == (AI, TYPESCRIPT)

    def test_value_alone(self) -> None:
        """
        The text of the key is read without the metadata around it.
        """
        assert parse(BUNDLE, product_id="bundle") == (AI, TYPESCRIPT)

    def test_decoded_value(self) -> None:
        """
        A JSON column may have decoded the list already, alone or in the metadata.
        """
        decoded = entries(AI, TYPESCRIPT)

        assert parse(decoded, product_id="bundle") == (AI, TYPESCRIPT)
        assert parse({"bundleProducts": decoded}, product_id="bundle") == (AI, TYPESCRIPT)

    def test_components(self) -> None:
        """
        Components that code made go through the same checks as text.
        """
        assert parse([AI, TYPESCRIPT], product_id="bundle") == (AI, TYPESCRIPT)
        assert refused([AI, Component("ai-hero", "")]).position == 1

    @pytest.mark.parametrize("expected", [(AI,), (AI, TYPESCRIPT)], ids=["one app", "two apps"])
    def test_stripe_object(self, expected: tuple[Component, ...]) -> None:
        """
        A product is taken as stripe-python gives it.
        """
        answer = product(bundleProducts=json.dumps(entries(*expected)))

        assert parse(stripe.Product.construct_from(answer, "sk_test_x")) == expected

    def test_stripe_object_on_a_price(self) -> None:
        """
        A product that is expanded on a price is a product like any other.
        """
        bought = stripe.Price.construct_from(price(product(bundleProducts=BUNDLE)), "sk_test_x")

        assert parse(bought.product) == (AI, TYPESCRIPT)

    def test_metadata_of_a_stripe_object(self) -> None:
        """
        The metadata of stripe-python's product is enough.
        """
        bought = stripe.Product.construct_from(product(bundleProducts=BUNDLE), "sk_test_x")

        assert parse(bought.metadata, product_id="bundle") == (AI, TYPESCRIPT)

    def test_product_of_a_webhook(self) -> None:
        """
        A product is taken as plain JSON, as a webhook brings it.
        """
        assert parse(product(bundleProducts=BUNDLE)) == (AI, TYPESCRIPT)

    @pytest.mark.parametrize(
        "metadata",
        [None, "", {}, {"slug": "one"}, {"bundleProducts": ""}, {"bundleProducts": None}, {"bundleProducts": "[]"}],
        ids=str,
    )
    def test_no_bundle(self, metadata: object) -> None:
        """
        A product without the key, or with an empty one, unlocks nothing.
        """
        assert parse(metadata, product_id="single") == ()

    @pytest.mark.parametrize("metadata", [{}, {"bundleProducts": ""}, None], ids=str)
    def test_stripe_object_without_a_bundle(self, metadata: dict[str, str] | None) -> None:
        """
        A product of Stripe without the key unlocks nothing.
        """
        answer = product() | {"metadata": metadata}

        assert parse(answer) == ()
        assert parse(stripe.Product.construct_from(answer, "sk_test_x")) == ()

    def test_same_id_in_two_apps(self) -> None:
        """
        Two apps may call a product the same.
        """
        both = [Component("ai-hero", "1"), Component("total-typescript", "1")]

        assert parse(entries(*both), product_id="bundle") == tuple(both)

    @given(listed=components)
    def test_round_trip(self, listed: list[Component]) -> None:
        """
        Whatever is written as JSON is read back as it was, by an app that knows the apps in it.
        """
        peers = {component.app for component in listed}
        text = json.dumps(entries(*listed))

        assert parse(text, product_id="bundle", app_id="Nobody", apps=peers) == tuple(listed)
        assert parse({"bundleProducts": text}, product_id="bundle") == tuple(listed)

    @given(text=st.text() | anything.map(json.dumps))
    def test_never_less(self, text: str) -> None:
        """
        Text of any kind is refused or read in full: only emptiness is an empty bundle.
        """
        with suppress(CatalogError):
            read = parse(text, product_id="bundle")

            assert len(read) == (len(json.loads(text)) if text else 0)

    @given(id_=st.text(max_size=4) | st.text(min_size=190, max_size=192))
    def test_ids_are_those_of_events(self, id_: str) -> None:
        """
        A component is taken if an event can carry its id, and only then.
        """
        try:
            TypeAdapter(Id).validate_python(id_, strict=True)
        except ValidationError:
            assert refused(json.dumps([{"app": "ai-hero", "productId": id_}])).position == 0
        else:
            assert parse(json.dumps([{"app": "ai-hero", "productId": id_}]), product_id="bundle")


class TestRefusal:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (
                '[{"app": "ai-hero" "productId": "x"}]',
                r"is no JSON like \[.*\]: Expecting ',' delimiter at character 20",
            ),
            ("ai-hero", "is no JSON"),
            (" ", "is no JSON"),
            ("[" * 50_000, "is nested too deeply|nested"),
            (f"[{'1' * 5_000}]", "a number in it is too long"),
            ("[" + " " * 100_000 + "]", "has 100002 characters"),
            ("null", r"must be a list like \[.*\], got null"),
            ("{}", "must be a list .* got an object"),
            ('{"app": "ai-hero", "productId": "x"}', "must be a list .* got an object"),
            (json.dumps(BUNDLE), "must be a list .* got text"),
            ("17", "must be a list .* got a number"),
            ("true", "must be a list .* got true or false"),
            (b"[]", "must be a list .* got bytes"),
            ("prod_Q1", "the id of a product was given, not the product"),
        ],
    )
    def test_unreadable_list(self, value: object, problem: str) -> None:
        """
        What is no JSON list names the product and says what is wrong, as value and in the metadata.
        """
        for error in (refused(value), refused({"bundleProducts": value})):
            assert (error.product_id, error.position) == ("bundle", None)
            assert str(error).startswith("bundleProducts of product bundle: ")
            assert error.args[0].count("\n") == 0
            with pytest.raises(CatalogError, match=problem):
                raise error

    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            ("7", "must be an object like .* got a number"),
            ("[]", "must be an object like .* got a list"),
            ("null", "must be an object like .* got null"),
            ('"ai-hero"', "must be an object like .* got text"),
            ("{}", "has no app; has no productId"),
            ('{"app": "ai-hero"}', "has no productId$"),
            ('{"productId": "x"}', "has no app$"),
            ('{"app": "ai-hero", "productid": "x"}', "has no productId; has 'productid', which is neither"),
            ('{"app": "ai-hero", "product_id": "x"}', "has 'product_id', which is neither app nor productId"),
            ('{"app": "ai-hero", "productId": "x", "quantity": 2}', "has 'quantity', which is neither"),
            ('{"app": "ai-hero", "productId": "x", "ada@example.com": 2}', "has a key that we don't know"),
            ('{"app": "ai-hero", "app": "other", "productId": "x"}', "has 'app' more than once"),
            ('{"app": "ai-hero", "productId": 9}', "productId: Input should be a valid string"),
            ('{"app": "ai-hero", "productId": null}', "productId: Input should be a valid string"),
            ('{"app": "ai-hero", "productId": ""}', "productId: .* at least 1 character"),
            ('{"app": "ai-hero", "productId": " x"}', "productId: must not begin or end with white space"),
            ('{"app": "ai-hero", "productId": "x\\ny"}', "productId: must not hold control characters"),
            (f'{{"app": "ai-hero", "productId": "{"x" * 192}"}}', "productId: .* at most 191 characters"),
            ('{"app": "ai-hero", "productId": "\\ud800"}', "productId: "),
            ('{"app": "AI-Hero", "productId": "x"}', "app: .* match pattern"),
            ('{"app": "ai-hero\\n", "productId": "x"}', "app: .* match pattern"),
            ('{"app": "", "productId": "x"}', "app: .* match pattern"),
            ('{"app": ["ai-hero"], "productId": "x"}', "app: Input should be a valid string"),
        ],
    )
    def test_unreadable_entry(self, entry: str, problem: str) -> None:
        """
        An entry that isn't exactly an app and an id names the product and its position.
        """
        error = refused(f'[{{"app": "ai-hero", "productId": "prod_ai"}}, {entry}]')

        assert (error.product_id, error.position) == ("bundle", 1)
        assert str(error).startswith("bundleProducts[1] of product bundle: ")
        assert "example.com" not in str(error)
        with pytest.raises(CatalogError, match=problem):
            raise error

    def test_bytes(self) -> None:
        """
        An id of a decoded list is text and nothing that could be made into text.
        """
        error = refused([{"app": "ai-hero", "productId": b"x"}])

        assert str(error) == "bundleProducts[0] of product bundle: productId: Input should be a valid string"

    def test_duplicate(self) -> None:
        """
        A component that stands there twice names both entries.
        """
        error = refused(entries(AI, TYPESCRIPT, AI))

        assert (
            str(error)
            == "bundleProducts[2] of product bundle: 'prod_ai' of ai-hero stands in entry 0 already: remove one"
        )

    def test_unknown_app(self) -> None:
        """
        An app that isn't in the settings names the entry and the apps that are.
        """
        error = refused(entries(AI, TYPESCRIPT), apps={"ai-hero", "epic-web"})

        assert str(error) == (
            "bundleProducts[1] of product bundle: no peer 'total-typescript' in the settings, only ai-hero, epic-web"
        )
        assert "only none" in str(refused(entries(AI), apps=()))

    def test_own_app(self) -> None:
        """
        The app that sells the bundle can't be in it.
        """
        error = refused(entries(AI, TYPESCRIPT), app_id="total-typescript", apps={"ai-hero"})

        assert error.position == 1
        assert "total-typescript is the app that sells it" in str(error)

    def test_size(self) -> None:
        """
        A bundle has at most a hundred components.
        """
        many = [Component("ai-hero", f"prod_{number}") for number in range(MOST_COMPONENTS + 1)]

        assert len(parse(entries(*many[1:]), product_id="bundle")) == MOST_COMPONENTS
        assert "has 101 entries, at most 100" in str(refused(entries(*many)))

    @pytest.mark.parametrize(
        "key", ["bundle_products", "bundleproducts", "BundleProducts", "bundle-products", " bundleProducts"]
    )
    def test_misspelt_key(self, key: str) -> None:
        """
        The key in another spelling is a mistake, not a product without a bundle.
        """
        assert f"the metadata has {key!r} instead: rename" in str(refused({key: BUNDLE}))
        assert parse({key: "[]", "bundleProducts": BUNDLE}, product_id="bundle") == (AI, TYPESCRIPT)

    def test_deleted_product(self) -> None:
        """
        Stripe doesn't say what a deleted product held, so it isn't taken for one without a bundle.
        """
        answer = {"id": "prod_Q1", "object": "product", "deleted": True}

        for value in (answer, stripe.Product.construct_from(answer, "sk_test_x")):
            error = refused(value, product_id=None)
            assert str(error).startswith("bundleProducts of product prod_Q1: the product is deleted in Stripe")

    def test_product_without_metadata(self) -> None:
        """
        A product that was cut down to its id says nothing about a bundle.
        """
        assert "without its metadata" in str(refused({"id": "prod_Q1", "object": "product"}, product_id=None))

    def test_metadata_of_the_wrong_kind(self) -> None:
        """
        A product whose metadata is a list is refused.
        """
        assert "metadata must be an object, got a list" in str(refused(product() | {"metadata": []}))

    def test_another_object_of_stripe(self) -> None:
        """
        A price has metadata too, but it isn't the product's.
        """
        answer = price(product(bundleProducts=BUNDLE))

        for value in (answer, stripe.Price.construct_from(answer, "sk_test_x")):
            assert "'price' was given, not a product" in str(refused(value))

    def test_product_that_is_not_expanded(self) -> None:
        """
        A price holds its product's id alone where it wasn't expanded.
        """
        bought = stripe.Price.construct_from(price("prod_Q1"), "sk_test_x")

        assert "expand it" in str(refused(bought.product, product_id="prod_Q1"))


class TestName:
    def test_own_id(self) -> None:
        """
        Without another name a product goes by its id in Stripe.
        """
        assert refused(product(bundleProducts="[7]"), product_id=None).product_id == "prod_Q1"

    def test_given(self) -> None:
        """
        The app's own id of the product comes before Stripe's.
        """
        assert refused(product(bundleProducts="[7]"), product_id="bundle").product_id == "bundle"

    @pytest.mark.parametrize(
        "value", [BUNDLE, None, {"bundleProducts": BUNDLE}, product() | {"id": ""}, {"id": "prod_Q1"}]
    )
    def test_none(self, value: object) -> None:
        """
        Metadata doesn't say whose it is, so its caller must, whether or not there is something to complain about.
        """
        with pytest.raises(TypeError, match="give product_id"):
            parse(value)
