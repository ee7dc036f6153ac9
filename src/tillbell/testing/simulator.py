"""Simulated callbacks of providers: realistic, and signed as the provider signs.

```python
simulated = simulate(Simulation("stripe:approved", secret="whsec_…"), "http://127.0.0.1:8420/…")
client.post(url, content=simulated.request.body, headers=dict(simulated.request.headers))
```

Cases are those of `providers/kit/cases.py`, and the signature is made by the adapter's own `sign`.
`tillbell trigger` sends them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tillbell.clock import Clock, Micros, SystemClock
from tillbell.errors import Misconfigured
from tillbell.ids import IdMaker
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Incoming, Provider, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.kit.cases import SampleCallback, samples
from tillbell.testing.freshness import renewed
from tillbell.testing.overrides import Override, overridden, read_override


class Simulation(NamedTuple):
    """A callback to simulate."""

    name: str  # `provider:case`
    secret: str = ""  # of the source
    settings: Mapping[str, Any] = {}  # of the source; they override those of the case
    overrides: tuple[str, ...] = ()  # `data.amount=100`
    is_fresh: bool = True  # a new event of now; else the sample unchanged


class SimulatedCallback(NamedTuple):
    """A callback as the provider would send it."""

    request: Incoming
    known_by: str | None  # dedupe key of the event; None: its bytes; "": nothing
    is_new: bool  # simulated again it is another event and not a duplicate


def listed() -> Iterator[tuple[str, SampleCallback]]:
    """Yield the names and samples of all cases."""
    for provider in PROVIDERS:
        for case, sample in samples(provider).items():
            yield f"{provider}:{case}", sample


def simulate(simulation: Simulation, url: str, clock: Clock | None = None) -> SimulatedCallback:
    """Return the request that the provider would send to this URL.

    `Misconfigured` if there is no such case, secret, setting or member, or if only the provider
    itself can sign.
    """
    now = (clock or SystemClock()).now()
    provider, sample = find_sample(simulation.name)
    setup = _setup(provider, sample, simulation)
    overrides = [read_override(text) for text in simulation.overrides]
    original = _signed(provider, _with(sample.case._replace(at=now), overrides), setup, url)
    if not simulation.is_fresh:
        return SimulatedCallback(original, _key(provider, original, setup), is_new=False)
    case = _fresh(provider, sample.case, setup, now)
    request = _signed(provider, _with(case, overrides), setup, url)
    key = _key(provider, request, setup)
    return SimulatedCallback(
        request, key, _differ(original, request, _key(provider, original, setup), key)
    )


def find_sample(name: str) -> tuple[Provider, SampleCallback]:
    """Return a case by `provider:case`; `Misconfigured` names near misses."""
    provider, _, case = name.partition(":")
    if provider not in PROVIDERS:
        raise Misconfigured(f"there is no provider {provider!r}{_nearest(provider, PROVIDERS)}")
    cases = samples(provider)
    if case not in cases:
        near = _nearest(case, cases) or f"; there are {', '.join(cases)}"
        raise Misconfigured(f"{provider} has no case {case!r}{near}")
    return PROVIDERS[provider], cases[case]


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _setup(provider: Provider, sample: SampleCallback, simulation: Simulation) -> SourceSetup:
    secrets = (simulation.secret,) if simulation.secret else ()
    if problem := _secret_problem(provider, simulation.secret):
        raise Misconfigured(f"secret: {problem}")
    known = [setting.name for setting in provider.settings]
    for name in simulation.settings:
        if name not in known:
            raise Misconfigured(f"{provider.name} has no setting {name!r}{_nearest(name, known)}")
    defaults = {s.name: s.default for s in provider.settings if s.default is not None}
    return SourceSetup(secrets, {**defaults, **sample.config, **simulation.settings})


def _secret_problem(provider: Provider, secret: str) -> str | None:
    rule = provider.secret
    if rule is None:
        return f"{provider.name} has none" if secret else None
    if secret:
        return rule.problem(secret)
    missing = f"none is given, and {provider.name} signs with that of the source"
    return missing if rule.is_required else None


def _fresh(
    provider: Provider, case: SimulationCase, setup: SourceSetup, now: Micros
) -> SimulationCase:
    """Return a case as an event that has just happened.

    The id in the body is renewed if it is the event's dedupe key.
    """
    dated = case._replace(id=IdMaker().new("evt", now), at=now)
    event_id = _key(provider, _signed(provider, dated, setup, "http://localhost/"), setup)
    return renewed(dated, event_id, now)


def _with(case: SimulationCase, overrides: Iterable[Override]) -> SimulationCase:
    for override in overrides:
        case = overridden(case, override)
    return case


def _signed(provider: Provider, case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    try:
        return provider.sign(case, setup, url)
    except (ValueError, Unreadable) as error:  # a bad key, or an override of a signed member
        raise Misconfigured(f"{provider.name} cannot be simulated: {error}") from error


def _key(provider: Provider, request: Incoming, setup: SourceSetup) -> str | None:
    try:
        return provider.parse(request, setup).dedupe_key
    except Unreadable:
        return None  # overrides can make it unreadable; then its bytes are the key


def _differ(original: Incoming, fresh: Incoming, sample_key: str | None, key: str | None) -> bool:
    if key is None:
        return (original.target, original.body) != (fresh.target, fresh.body)
    return not key or key != sample_key
