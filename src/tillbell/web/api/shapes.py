"""What the shapes of all resources share: camelCase names, limits, pages, errors."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from tillbell.clock import DAY, Micros, from_datetime, to_datetime
from tillbell.error_codes import ERROR_CODES, ErrorCode
from tillbell.model.sources import Trust
from tillbell.rules.delivery.payload import THROTTLE_RATE_MAX
from tillbell.web.edge.patterns import LABEL, UID

T = TypeVar("T")


class Decides(NamedTuple):
    """Marks types of members that decide who gets what, with which right, secret or amount.

    A body with such a member refuses all members that it does not know (known_names.py).
    """


Uid = Annotated[str, Field(pattern=UID, min_length=1, max_length=256)]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_not_blank)]
Text = Annotated[str, Field(max_length=2048)]
Rate = Annotated[int, Field(strict=True, ge=1, le=THROTTLE_RATE_MAX)]
Flag = Annotated[bool, Field(strict=True)]
Label = Annotated[str, Field(pattern=LABEL, min_length=1, max_length=128), Decides()]
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=1024)]
    ],
    Field(max_length=50),
]
_LAST_INSTANT = from_datetime(datetime(9999, 12, 31, tzinfo=UTC)) + DAY - 1


def _written_out(value: Any) -> Any:
    """Refuse a number: `20261130` would be seconds, and a time in 1970."""
    text = value if isinstance(value, str) else ""
    if isinstance(value, int | float) or text.strip().lstrip("+-").replace(".", "").isdecimal():
        raise PydanticCustomError("time_number", "must be a time such as 2026-11-30T10:00:00Z")
    return value


def _within_range(value: datetime) -> datetime:
    """Refuse a time that has no id, or that cannot be written in UTC."""
    if not 0 <= from_datetime(value) <= _LAST_INSTANT:
        raise PydanticCustomError("time_range", "must be a time from 1970 to 9999 in UTC")
    return value


# Every time that a request carries. Without an offset it is UTC.
Time = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_within_range)]


def optional_time(at: Micros | None) -> datetime | None:
    """Return a time of ours as shapes have it; None for None."""
    return to_datetime(at) if at is not None else None


def words(*values: str) -> FieldInfo:
    """Document the only texts that a member can have. They are not checked."""
    return FieldInfo(json_schema_extra={"enum": list(values)})


TrustText = Annotated[str, words(*(trust.word for trust in Trust))]
Verdict = Literal["accepted", "refused"]


class In(BaseModel):
    """A request body. For unknown members see known_names.py."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Out(BaseModel):
    """A response body."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True
    )


class Rated(In):
    """A body with a rate limit, under its present or its older name."""

    throttle_rate: Rate | None = Field(
        default=None, description="Messages a second; null: no limit."
    )
    rate_limit: Rate | None = Field(default=None, description="Older name of `throttleRate`.")

    @property
    def rate(self) -> int | None:
        """The limit in messages a second; None: no limit."""
        return self.throttle_rate if self.throttle_rate is not None else self.rate_limit

    @property
    def names_rate(self) -> bool:
        """Tell whether the body names the limit, even as null."""
        return bool(self.model_fields_set & {"throttle_rate", "rate_limit"})


class Listed(Out, Generic[T]):
    """One page of a list."""

    data: list[T] = Field(description="The items of this page, in order.")
    iterator: str | None = Field(description="Pass it as `iterator` for the next page.")
    prev_iterator: str | None = Field(default=None, description="Pass it for the page before.")
    done: bool = Field(description="Whether this was the last page.")
    searched: int | None = Field(
        default=None,
        exclude_if=lambda searched: searched is None,
        description="How many rows were looked at; the page ended there, and more may follow.",
    )


class Ordering(StrEnum):
    """How a list is sorted by the time of creation."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class Status(IntEnum):
    """The status of a message or attempt, as Svix numbers it.

    0: success, 1: pending, 2: fail, 3: sending, 4: canceled.
    """

    SUCCESS = 0
    PENDING = 1
    FAIL = 2
    SENDING = 3
    CANCELED = 4


class TriggerType(IntEnum):
    """How an attempt was started, as Svix numbers it. 0: by the schedule, 1: by hand."""

    SCHEDULED = 0
    MANUAL = 1


StatusText = Annotated[str, words(*(status.name.lower() for status in Status))]


class StatusCodeClass(IntEnum):
    """A class of HTTP status codes; 0: there was no answer."""

    NONE = 0
    INFORMATIONAL = 100
    SUCCESS = 200
    REDIRECTION = 300
    CLIENT_ERROR = 400
    SERVER_ERROR = 500


Since = Annotated[Time, Decides()]


class Window(In):
    """A time range for bulk work."""

    since: Since = Field(description="Begin of the time range (UTC).")
    until: Time | None = Field(
        default=None, description="End of the time range (UTC); now if left out."
    )


RequestId = Annotated[
    str, Field(description="Id of the request, also in the header `X-Request-Id` and in the log.")
]


class ProblemOut(Out):
    """An error."""

    code: ErrorCode = Field(
        description="What went wrong, as a word for programs:\n\n"
        + "\n".join(f"- `{code}`: {meaning}" for code, meaning in ERROR_CODES.items())
    )
    detail: str = Field(description="What went wrong and what to do, for people.")
    request_id: RequestId


class InvalidEntry(Out):
    """One rule that the request breaks."""

    loc: list[str] = Field(
        description=(
            "Path to the member or parameter: `body`, `query`, `path` or `header`, then "
            "names and positions, each a text."
        ),
    )
    msg: str = Field(description="The rule, in words.")
    type: str = Field(description="The rule, as a word for programs.")
    position: int = Field(default=0, description="Of a filter: where it is wrong, in characters.")
    length: int = Field(default=0, description="Of a filter: how many characters are wrong.")
    suggestion: str | None = Field(
        default=None, description="Of a filter: what was probably meant there; null: no idea."
    )


class InvalidOut(Out):
    """A request that breaks rules."""

    code: Literal["validation"] = Field(description="Always `validation`.")

    detail: list[InvalidEntry] = Field(description="The rules that the request breaks, at most 50.")
    request_id: RequestId
