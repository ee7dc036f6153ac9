"""The tree of errors, by who has to act.

```
TillbellError
├── Refused                the caller must change something
│   ├── Malformed          400  the body or a parameter cannot be read
│   │   ├── NumberTooLarge      a number has more than the 64 bits that the store holds
│   │   └── MissingPayload      what is to be sent again was deleted
│   ├── Invalid            422  it can be read, and breaks a rule; `problems` says where
│   ├── Unauthenticated    401  no valid API key
│   │   └── KeyExpired          the key was valid once: it is no guess
│   ├── Forbidden          403  the key is valid and may not do this
│   ├── NotFound           404  also for things of another application
│   ├── MethodNotAllowed   405  `allowed` says which are
│   ├── Conflict           409  the id, event id or idempotency key is taken
│   │   └── VersionConflict it was changed or removed since it was read; read it again
│   ├── TooLarge           413
│   ├── UnsupportedEncoding 415
│   └── TooMany            429  rate limit
├── Misconfigured               the operator must change something; found at start, exit code 2
└── Unavailable                 nobody is wrong: try again
    ├── StoreUnavailable   503  includes "commit not known"
    └── Draining           503
```

A receiver that fails is not an error here but a `Result` (model/messages.py).
Only `web/edge/problems.py` turns these into HTTP statuses.
"""

from __future__ import annotations

from dataclasses import dataclass

from tillbell.error_codes import ErrorCode


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a text something is wrong, in characters, and what was probably meant."""

    position: int
    length: int
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One violation: where (`loc`, a path), what is wrong (`msg`), which rule (`type`)."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"
    place: Place | None = None  # within a text


class TillbellError(Exception):
    """Something went wrong."""

    code: ErrorCode = "internal"

    def __init__(self, message: str = "", *, code: ErrorCode | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", maxsplit=1)[0])
        if code is not None:
            self.code = code


class Refused(TillbellError):
    """The request cannot be done as it is."""

    code: ErrorCode = "malformed"


class Malformed(Refused):
    """The request cannot be read."""


class NumberTooLarge(Malformed):
    """A number is too large: integers of at most 64 bits are stored."""

    code: ErrorCode = "number_too_large"


class MissingPayload(Malformed):
    """The payload was deleted (retention or expunge), so nothing can be sent."""

    code: ErrorCode = "missing_payload"


class Invalid(Refused):
    """The request breaks a rule."""

    code: ErrorCode = "validation"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, p.loc))}: {p.msg}" for p in problems))
        self.problems = problems


class Unauthenticated(Refused):
    """No valid API key. Send `Authorization: Bearer <key>`."""

    code: ErrorCode = "authentication_failed"


class KeyExpired(Unauthenticated):
    """Authentication failed: this key has expired."""


class Forbidden(Refused):
    """This key may not do that."""

    code: ErrorCode = "forbidden"


class NotFound(Refused):
    """Entity not found."""

    code: ErrorCode = "not_found"


class ConflictError(Refused):
    """It exists already."""

    code: ErrorCode = "conflict"


class VersionConflict(ConflictError):
    """It was changed by someone else in the meantime; read it again."""


class TooLarge(Refused):
    """The request body is too large."""

    code: ErrorCode = "payload_too_large"


class MethodNotAllowed(Refused):
    """This method is not for that path."""

    code: ErrorCode = "method_not_allowed"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Use {' or '.join(allowed)}.")
        self.allowed = allowed


class UnsupportedEncoding(Refused):
    """The request body is compressed; send it as it is."""

    code: ErrorCode = "unsupported_encoding"


class TooMany(Refused):
    """Too many requests."""

    code: ErrorCode = "rate_limited"

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Misconfigured(TillbellError):
    """A setting is wrong."""


class Unavailable(TillbellError):
    """Not available now; try again."""

    code: ErrorCode = "unavailable"


class StoreUnavailable(Unavailable):
    """The store did not confirm the write; try again, a repeat is safe."""

    code: ErrorCode = "store_unavailable"


class Draining(Unavailable):
    """The server is stopping; try again."""

    code: ErrorCode = "draining"
