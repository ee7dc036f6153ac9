"""The shape of an adapter: what every provider offers, and the records that go in and out.

Adapters are pure: a request in; a verdict, notices and an answer out; no clock, no I/O.
The formats of all providers: docs/providers.md.

```
verify   who sent it?            bytes as received → Verdict
parse    what does it say?       → ParsedNotices, or raises Unreadable
answer   what does it want?      → CallbackAnswer
sign     writes a request as the provider would send it (simulator and tests)
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Notice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus


class Unreadable(Exception):
    """The callback cannot be read: outcome `malformed`. The text says why."""


class Incoming(NamedTuple):
    """A request as it came. Header names are lower case; values are decoded as latin-1, in
    the order they came. The same name may stand twice."""

    method: str
    target: str  # path and query as sent, undecoded
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: Micros
    peer: str = ""  # client address, through trusted proxies only
    origin: str = ""  # public URL of this server without path: `https://hooks.example`
    is_proxied: bool = (
        False  # came through a trusted proxy, so the headers that it sets can be believed
    )

    def header(self, name: str) -> str | None:
        """Return a header's value; None if it is missing or stands twice."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None

    @property
    def url(self) -> str:
        """The public URL as the provider has it."""
        return self.origin + self.target


class SourceSetup(NamedTuple):
    """What an adapter may know of its source. Secrets: the current one first, then older ones that
    are still accepted."""

    secrets: tuple[str, ...] = ()
    config: Mapping[str, Any] = {}


class Verdict(NamedTuple):
    """How well a callback proves its sender. `trust` None: refused. `why` is for a person and never
    holds a secret or the expected signature."""

    trust: Trust | None
    why: str


class ParsedNotices(NamedTuple):
    """What a callback says. `dedupe_key` makes one event unique within the source (not one
    transaction); None: the hash of method, query and body is used; "" : never a duplicate."""

    notices: tuple[Notice, ...]
    dedupe_key: str | None = None


class IntakeStatus(StrEnum):
    """What became of a callback before it is answered."""

    STORED = "stored"
    REFUSED = "refused"  # not proven
    MALFORMED = "malformed"


class CallbackAnswer(NamedTuple):
    """The answer to a callback."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Confidence(StrEnum):
    """How well a provider's format is known."""

    VERIFIED = "verified"  # its own documentation, SDK or plugin
    SECOND_HAND = "second-hand"  # public integrations that agree
    UNKNOWN = "unknown"  # not public; nothing is invented


class ProviderSetting(NamedTuple):
    """One member of `config` that an adapter understands."""

    name: str  # as the API writes it: `successUrl`
    about: str  # one sentence
    type: str = "string"  # string, boolean, integer, url, object, array
    choices: tuple[str, ...] = ()
    minimum: int | None = None  # of an integer, as `maximum`
    maximum: int | None = None
    default: Any = None
    is_secret: bool = False  # sealed when stored, never shown
    is_required: bool = False


class SecretRule(NamedTuple):
    """What a source's signing secret is for this provider."""

    about: str  # where to find it at the provider
    is_required: bool = True
    problem: Callable[[str], str | None] = lambda _: None  # what is wrong with such a text


class ConfigProblem(NamedTuple):
    """What is wrong with a source's `config`: the member (`checks[0].template`), and what to do."""

    member: str
    text: str


class DeclaredProof(NamedTuple):
    """What the callbacks of one source prove and how they are answered, as its owner declares."""

    trust: Trust | None  # None: everything is refused
    answers: str
    note: str = ""
    masked: tuple[str, ...] = ()  # as `Provider.masked`


class SimulationCase(NamedTuple):
    """A callback to simulate: fields of the body, and what is not in the body."""

    fields: Mapping[str, Any]
    method: str = "POST"
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    id: str = "evt_simulated"  # of the event, where it is not a field
    at: Micros = 0


class Provider(NamedTuple):
    """One adapter."""

    name: str  # in the URL: `worldpay-access`
    title: str  # for people: `Access Worldpay`
    about: str  # what its callbacks are, one sentence
    confidence: Confidence
    best_trust: Trust  # with a secret set
    bare_trust: Trust | None  # without a secret; None: refused
    secret: SecretRule | None  # None: it has no secret at all
    answers: str  # what it is answered, one sentence
    verify: Callable[[Incoming, SourceSetup], Verdict]
    parse: Callable[[Incoming, SourceSetup], ParsedNotices]
    answer: Callable[[Incoming, SourceSetup, IntakeStatus], CallbackAnswer]
    # The text is the URL that the request is sent to.
    sign: Callable[[SimulationCase, SourceSetup, str], Incoming]
    settings: tuple[ProviderSetting, ...] = ()
    methods: frozenset[str] = frozenset({"POST"})
    masked: tuple[str, ...] = ()  # fields and headers that are never shown: `auth3DToken`, `cc`
    is_bulk: bool = False  # high volume, low value: limited so that it does not delay money
    note: str = ""  # what is not known, for the source's page
    statuses: Mapping[str, TransactionStatus] = {}  # the provider's words in a look-up
    payer_may_retry: bool = False  # a negative answer to a look-up ends an attempt only
    authorizing: frozenset[str] = frozenset()  # of those words, the ones that reserve money
    # JSON pointers of its look-up: status, amount, currency, authorized, mode, refunded,
    # chargedBack. A status of several members: their pointers with a space between. An amount in
    # one of several places: the first that is there, and no other place.
    lookup: Mapping[str, Any] = {}
    exponents: Mapping[str, int] = {}  # decimals of its minor units, where ISO 4217 differs
    # Only of `custom`, whose sources declare what it does:
    config_problems: Callable[[Mapping[str, Any]], Sequence[ConfigProblem]] = lambda _: ()
    declared_proof: Callable[[SourceSetup], DeclaredProof] | None = None
    # `verify` with advice on what is declared wrongly. It takes long: call it in a thread, and only
    # for a limited number of unproven requests.
    explain: Callable[[Incoming, SourceSetup], Verdict] | None = None
