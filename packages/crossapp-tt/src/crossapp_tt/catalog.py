"""
What a bundle holds: `bundleProducts` in the metadata of its product in Stripe.

    [{"app": "ai-hero", "productId": "prod_9"}, {"app": "ai-hero", "productId": "prod_10"}]

Somebody types this into a form, and whoever bought the bundle pays for a mistake. So whatever can't be read in full is
an error that names the product and the entry, never a bundle with less in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossapp_core.errors import CatalogError
from crossapp_core.events import AppId, Id

MOST_COMPONENTS = 100
"""How many components one bundle may have."""

_KEY = "bundleProducts"
_EXAMPLE = '[{"app": "ai-hero", "productId": "prod_9"}]'
_LONGEST_VALUE = 100_000
_STRIPE_ID = re.compile(r"prod_[A-Za-z0-9]+")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Component:
    """
    One product of a bundle, which another app gives access to.
    """

    app: str
    """The app that gives access."""
    product_id: str
    """The product's id in that app."""


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    app: AppId
    product_id: Id = Field(alias="productId")


@runtime_checkable
class _StripeObject(Protocol):
    def to_dict(self) -> dict[str, object]: ...


def parse(
    product: object,
    *,
    product_id: str | None = None,
    app_id: str | None = None,
    apps: Collection[str] | None = None,
) -> tuple[Component, ...]:
    """
    Read the components of a bundle, in their order. A product that isn't a bundle has none.

    Args:
        product: A product as stripe-python or Stripe's JSON gives it, its metadata, or `bundleProducts` alone as JSON
            or as a list. None and an empty string, by which Stripe removes a key, are no bundle.
        product_id: How to call the product in an error; its own id if None, so metadata alone needs one.
        app_id: The app that sells the bundle, which can't be in it.
        apps: The apps that may be in it, the ids of the peers; any if None.

    Raises:
        CatalogError: It can't be read, or can't be what somebody meant.
        TypeError: Nothing says which product it is.
    """
    source = _plain(product)
    name = product_id if product_id is not None else _own_id(source)
    value = _bundle_products(name, source) if isinstance(source, Mapping) else source
    if value is None or value == "":
        return ()
    components: dict[Component, int] = {}
    for position, entry in enumerate(_entries(name, value)):
        component = _component(name, position, entry)
        if problem := _refusal(component, components, app_id, apps):
            raise CatalogError(name, problem, position=position)
        components[component] = position
    return tuple(components)


def _plain(value: object) -> object:
    # up to stripe-python 14 its objects are dicts, and calling to_dict() warns
    return value.to_dict() if isinstance(value, _StripeObject) and not isinstance(value, Mapping) else value


def _own_id(source: object) -> str:
    own = source.get("id") if isinstance(source, Mapping) and source.get("object") == "product" else None
    if not isinstance(own, str) or not own:
        msg = "give product_id with what isn't a whole product of Stripe, so that errors can name it"
        raise TypeError(msg)
    return own


def _bundle_products(name: str, source: Mapping[object, object]) -> object:
    # metadata's own values are text, so only a product has something else there
    is_metadata = isinstance(source.get("metadata", ""), str)
    kind = source.get("object")
    if not is_metadata and kind not in (None, "product"):
        raise CatalogError(name, f"{_quoted(kind)} was given, not a product: give its product, expanded")
    if is_metadata and kind == "product" and _KEY not in source:
        state = "is deleted in" if source.get("deleted") else "was given without its metadata, retrieve it from"
        raise CatalogError(name, f"the product {state} Stripe, so what it held can't be known")
    metadata = source if is_metadata else _metadata_of(name, source["metadata"])
    if _KEY not in metadata:
        _refuse_misspelt(name, metadata)
    return metadata.get(_KEY)


def _metadata_of(name: str, metadata: object) -> Mapping[object, object]:
    plain = _plain(metadata)
    if plain is None:
        return {}
    if not isinstance(plain, Mapping):
        raise CatalogError(name, f"the product's metadata must be an object, got {_described(plain)}")
    return plain


def _refuse_misspelt(name: str, metadata: Iterable[object]) -> None:
    for key in metadata:
        if re.sub(r"[\s_.-]", "", str(key)).casefold() == _KEY.casefold():
            raise CatalogError(name, f"the metadata has {str(key)!r} instead: rename that key to {_KEY}")


def _entries(name: str, value: object) -> Sequence[object]:
    entries = _decoded(name, value) if isinstance(value, str) else value
    if not isinstance(entries, list | tuple):
        raise CatalogError(name, f"must be a list like {_EXAMPLE}, got {_described(entries)}")
    if len(entries) > MOST_COMPONENTS:
        raise CatalogError(name, f"has {len(entries)} entries, at most {MOST_COMPONENTS} can be sold as one bundle")
    return entries


def _decoded(name: str, text: str) -> object:
    if len(text) > _LONGEST_VALUE:
        raise CatalogError(name, f"has {len(text)} characters, at most {_LONGEST_VALUE} can be read")
    if _STRIPE_ID.fullmatch(text):
        raise CatalogError(name, "the id of a product was given, not the product: expand it, or retrieve it")
    try:
        return json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError):
        problem = "a number in it is too long, or it is nested too deeply"
    raise CatalogError(name, f"is no JSON like {_EXAMPLE}: {problem}")


class _Object(dict[str, object]):
    """
    An object of JSON that remembers which keys it had twice, where a dict would keep the last.
    """

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        keys = [key for key, _ in pairs]
        self.repeated = [key for key in self if keys.count(key) > 1]


def _component(name: str, position: int, entry: object) -> Component:
    if isinstance(entry, Component):
        entry = {"app": entry.app, "productId": entry.product_id}
    if not isinstance(entry, Mapping):
        problem = f'must be an object like {{"app": "ai-hero", "productId": "prod_9"}}, got {_described(entry)}'
    elif isinstance(entry, _Object) and entry.repeated:
        problem = f"has {_quoted(entry.repeated[0])} more than once: make it two entries, or remove one"
    else:
        try:
            checked = _Entry.model_validate(dict(entry))
        except ValidationError as error:
            problem = "; ".join(_problems(error))
        else:
            return Component(checked.app, checked.product_id)
    raise CatalogError(name, problem, position=position)


def _problems(error: ValidationError) -> Iterator[str]:
    for entry in error.errors():
        key = ".".join(map(str, entry["loc"]))
        match entry["type"]:
            case "missing":
                yield f"has no {key}"
            case "extra_forbidden" | "invalid_key":
                yield f"has {_quoted(key)}, which is neither app nor productId"
            case _:
                yield f"{key}: {entry['msg'].removeprefix('Value error, ')}"


def _refusal(
    component: Component, earlier: Mapping[Component, int], app_id: str | None, apps: Collection[str] | None
) -> str:
    if component.app == app_id:
        return f"{app_id} is the app that sells it: name another app, what is sold here needs no bridge"
    if apps is not None and component.app not in apps:
        return f"no peer {component.app!r} in the settings, only {', '.join(sorted(apps)) or 'none'}"
    if component in earlier:
        return f"{component.product_id!r} of {component.app} stands in entry {earlier[component]} already: remove one"
    return ""


def _described(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return type(value).__name__


def _quoted(key: object) -> str:
    # anything may have been pasted there, and messages travel
    return repr(key) if isinstance(key, str) and _PLAIN_NAME.fullmatch(key) else "a key that we don't know"
