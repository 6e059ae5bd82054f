"""
What all events have in common: the kinds of their fields, how they go over the wire, and their ids.

Python names are snake_case, those on the wire camelCase. Construction is strict and refuses unknown fields; what comes
in may hold more than we know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, ClassVar, Protocol, Self, TypeAlias, runtime_checkable
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from crossapp_core import addresses
from crossapp_core.errors import CrossAppConfigError

JSON: TypeAlias = str | int | bool | list["JSON"] | dict[str, "JSON"] | None
"""What events and the results of steps are made of: no floats, they don't survive every JSON implementation."""

LARGEST_INTEGER = 2**53 - 1
"""Numbers pass through float64 on their way."""

LARGEST_DATA = 200_000
"""Bytes of an event's data as JSON: Inngest's smallest plan takes 256 KiB."""

APP_ID = r"[a-z0-9][a-z0-9-]{0,63}"
"""The pattern of an app id."""

LONGEST_SENTENCE = 500
"""Characters of a text for people."""

_OURS = "crossapp_core.events"
_LONGEST_EVENT_ID = 200
_LONGEST_NAME = 128
_SURELY_SMALL = LARGEST_DATA // 7  # a character takes up to 6 bytes of JSON, and keys and commas take some
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch  # what needs no percent sign
_EVENT_NAME = re.compile(r"(?!inngest/)[a-z0-9_.-]+(/[a-z0-9_.-]+)*", re.IGNORECASE | re.ASCII)


def _printable(value: str) -> str:
    if _UNPRINTABLE.search(value):
        msg = "must not hold control characters, line breaks or lone surrogates"
        raise ValueError(msg)
    return value


def _id(value: str) -> str:
    if value.isprintable() and " " not in value:
        return value  # as nearly all are; the rest is looked at more closely
    return _trimmed(_printable(value))


def _trimmed(value: str) -> str:
    if value.strip() != value:
        msg = "must not begin or end with white space"
        raise ValueError(msg)
    return value


def _utc(value: object) -> object:
    if isinstance(value, str):
        value = _read_time(value)
    if not isinstance(value, datetime):
        return value
    moment = value if value.tzinfo is UTC else _in_utc(value)
    excess = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - excess) if excess else moment


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        msg = "needs a time zone: datetime.now(UTC), not datetime.now()"
        raise ValueError(msg)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        msg = "is out of range in UTC"
        raise ValueError(msg) from None


def _read_time(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        msg = "must be a time in ISO 8601, like 2026-01-31T12:00:00.000Z"
        raise ValueError(msg) from None


def iso(moment: datetime) -> str:
    """
    A time as it stands on the wire: UTC, milliseconds, `Z`.
    """
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat("T", "milliseconds").removesuffix("+00:00") + "Z"


AppId: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^{APP_ID}$")]
"""`total-typescript`, for example."""
Id: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=191), AfterValidator(_id)]
"""An id of a user, purchase, product or entitlement, as its app writes it."""
Email: TypeAlias = Annotated[str, AfterValidator(addresses.normalise)]
"""An address; kept normalised."""
Time: TypeAlias = Annotated[datetime, BeforeValidator(_utc), PlainSerializer(iso, return_type=str)]
"""An aware time; kept in UTC, to the millisecond."""
Version: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
"""The number of a change: the larger one counts."""
Provider: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
"""An OAuth provider: `github`, for example."""
LinkMethod: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(explicit|oauth-[a-z0-9-]{1,40})$")]
"""How a link was made: `explicit`, or `oauth-` and the provider."""
Code: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
"""What went wrong, for programs: `unknown-product`, for example."""
Sentence: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_SENTENCE), AfterValidator(_printable)
]
"""Something for people to read."""


def plain(value: object) -> JSON:
    """
    A value of an event as every JSON implementation reads it: whole numbers are integers, however they were written.

    Raises:
        ValueError: An event can't hold it.
    """
    match value:
        case str() if value.isascii() or not _SURROGATE.search(value):
            return value
        case None | bool():
            return value
        case list() | tuple():
            return [_plain_item(item) for item in value]
        case int() | float() if abs(value) <= LARGEST_INTEGER and value == int(value):
            return int(value)
    msg = "an event holds text, whole numbers below 2**53, booleans, null and flat lists of those alone"
    raise ValueError(msg)


def _plain_item(item: object) -> JSON:
    match item:
        case list() | tuple():
            msg = "an event holds no lists of lists"
            raise ValueError(msg)
    return plain(item)


@runtime_checkable
class Envelope(Protocol):
    """
    What Inngest hands to a function: `inngest.Event`, for example.
    """

    @property
    def name(self) -> str:
        """
        The event's name.
        """
        ...

    @property
    def id(self) -> str:
        """
        The event's id, as its sender gave it.
        """
        ...

    @property
    def data(self) -> Mapping[str, object]:
        """
        The event's content.
        """
        ...


class Event(BaseModel):
    """
    Base of all events.

    Raises:
        pydantic.ValidationError: A ValueError that names each wrong field; it doesn't repeat the values.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        loc_by_alias=False,
        hide_input_in_errors=True,
        ser_json_inf_nan="constants",  # to be refused, not turned into null
    )

    name: ClassVar[str]
    identity: ClassVar[tuple[str, ...]]
    """The fields that, with the app that sends it, say what an event is about."""

    source_app: AppId | None = None
    """The app that sends it; the client fills its own in."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """
        Check a new kind of event.
        """
        problems = list(_problems_of(cls))
        if problems:
            raise CrossAppConfigError(f"the event {cls.__name__}", problems)

    @model_validator(mode="after")
    def _fits_the_wire(self) -> Self:
        if type(self).__module__ == _OURS:
            return self  # each field of ours is plain and bounded; an app may make events of other fields
        data = self.model_dump(mode="json", exclude_none=True)
        for field, value in data.items():
            try:
                plain(value)
            except ValueError as error:
                msg = f"{field}: {error}"
                raise ValueError(msg) from None
        if sum(len(str(value)) for value in data.values()) > _SURELY_SMALL:
            _check_size(data)
        return self

    @classmethod
    def from_wire(cls, data: Mapping[str, object]) -> Self:
        """
        Read the data of an event that came in; keys that we don't know are ignored.

        Raises:
            pydantic.ValidationError: A field is missing or wrong.
        """
        content = {key: _whole(value) for key, value in data.items()}
        return cls.model_validate(content, by_alias=True, by_name=False, extra="ignore")

    def to_wire(self) -> dict[str, JSON]:
        """
        The data of the event as it is sent; what is None is left out.
        """
        # what model_dump does, without its many arguments, which take as long again
        data: dict[str, JSON] = self.__pydantic_serializer__.to_python(
            self, mode="json", by_alias=True, exclude_none=True
        )
        return data

    def event_id(self, *, attempt: int = 0, answers: str | None = None) -> str:
        """
        The id that makes Inngest drop a repetition, the same on every machine.

        Args:
            attempt: How often it was sent before; within 24 hours only a higher one runs anything.
            answers: The id of the event that this one acknowledges.

        Raises:
            ValueError: `source_app` isn't known yet.
        """
        if self.source_app is None:
            msg = "an event's id depends on source_app: set it, or leave the id to the client"
            raise ValueError(msg)
        parts = [self.source_app, *[_text(getattr(self, field)) for field in self.identity]]
        parts += [f"v{version}"] if (version := getattr(self, "version", None)) else []
        parts += [f"a{attempt}"]
        parts += [self._digest(answers)] if answers is not None else []
        id_ = ":".join([self.name, *[part if _UNRESERVED(part) else quote(part, safe="") for part in parts]])
        return id_ if len(id_) <= _LONGEST_EVENT_ID else f"{self.name}:{sha256(id_.encode()).hexdigest()}"

    def _digest(self, answers: str) -> str:
        # an ack that says something else, or answers another attempt, is another event
        content = json.dumps([answers, self.to_wire()], sort_keys=True)
        return sha256(content.encode()).hexdigest()[:16]

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        for key, value in super().__repr_args__():
            is_address = isinstance(value, str) and (key or "").endswith("email")
            yield key, addresses.masked(str(value)) if is_address else value


def _problems_of(kind: type[Event]) -> Iterator[str]:
    name: object = getattr(kind, "name", None)
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _EVENT_NAME.fullmatch(name):
        yield f"name must be 1 to {_LONGEST_NAME} of a-z0-9_.-/ and not begin with inngest/, got {name!r:.140}"
    fields = kind.model_fields
    unknown = [field for field in getattr(kind, "identity", [""]) if field not in fields]
    if unknown:
        yield f"identity must list the fields that say what the event is about, among {', '.join(fields)}"
    if "proof" in fields:
        yield "the field proof must have another name: that is where the proof stands"


def _check_size(data: Mapping[str, JSON]) -> None:
    size = len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
    if size > LARGEST_DATA:
        msg = f"the event has {size} bytes, at most {LARGEST_DATA} are allowed"
        raise ValueError(msg)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return iso(value) if isinstance(value, datetime) else str(value)


def _whole(value: object) -> object:
    # 5 may have become 5.0 or 5e0 on its way
    if isinstance(value, list):
        return [int(item) if isinstance(item, float) and item.is_integer() else item for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
