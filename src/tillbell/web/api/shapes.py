"""What all shapes share: camelCase names, limits, pages."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")

NAME_MAX = 256
METADATA_MAX = 50

Uid = Annotated[str, Field(pattern=r"^[a-zA-Z0-9\-_.]+$", min_length=1, max_length=256)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
Text = Annotated[str, Field(max_length=2048)]
Rate = Annotated[int, Field(strict=True, ge=1, le=65_535)]
Flag = Annotated[bool, Field(strict=True)]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z0-9\-_.:]+$", min_length=1, max_length=128)]
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=1024)]
    ],
    Field(max_length=METADATA_MAX),
]


class In(BaseModel):
    """A request body. Members we do not know are ignored, so that newer SDKs work."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Out(BaseModel):
    """A response body."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True
    )


class Rated(In):
    """A body with a rate limit, under the name of either generation."""

    throttle_rate: Rate | None = Field(
        default=None, description="Messages a second; null: no limit."
    )
    rate_limit: Rate | None = Field(default=None, description="Older name of `throttleRate`.")

    @property
    def rate(self) -> int | None:
        """The one that was given."""
        return self.throttle_rate if self.throttle_rate is not None else self.rate_limit

    @property
    def gives_rate(self) -> bool:
        """Tell whether the body says anything about it, be it null."""
        return bool(self.model_fields_set & {"throttle_rate", "rate_limit"})


class Listed(Out, Generic[T]):
    """One page of a list."""

    data: list[T]
    iterator: str | None = Field(description="Pass it as `iterator` for the next page.")
    prev_iterator: str | None = Field(default=None, description="Pass it for the page before.")
    done: bool = Field(description="Whether this was the last page.")


class Ordering(StrEnum):
    """How a list is sorted, by time of making."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class Status(IntEnum):
    """Where a message or an attempt stands, as Svix numbers it."""

    SUCCESS = 0
    PENDING = 1
    FAIL = 2
    SENDING = 3
    CANCELED = 4


class StatusCodeClass(IntEnum):
    """A class of HTTP status codes; 0: no answer came."""

    NONE = 0
    INFORMATIONAL = 100
    SUCCESS = 200
    REDIRECTION = 300
    CLIENT_ERROR = 400
    SERVER_ERROR = 500


class Window(In):
    """A time span for bulk work."""

    since: datetime
    until: datetime | None = None


class ProblemOut(Out):
    """An error."""

    code: str
    detail: str


class InvalidEntry(Out):
    """One broken rule."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidOut(Out):
    """A request that breaks rules."""

    detail: list[InvalidEntry]
