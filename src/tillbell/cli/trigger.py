"""`tillbell trigger`: test a source without its provider.

The callback comes from the simulator and is signed as the provider signs. It goes to the
provider's default source at the gateway of the settings, or to any address. Every user of the
machine can read flags, so a real secret belongs in a file or in the variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from tillbell.cli.flags import Count, RemoteFlags, load_settings
from tillbell.errors import Misconfigured

if TYPE_CHECKING:
    from tillbell.cli.client import RawAnswer
    from tillbell.config import Settings
    from tillbell.providers.kit.base import Incoming
    from tillbell.testing.simulator import SimulatedCallback, Simulation

_SHOWN_HEADERS = ("content-type", "location", "retry-after", "allow")
_SHOWN_CHARACTERS = 4_000


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TriggerOptions:
    """What to send, and how."""

    to: str | None = None
    """Address to send to. Default: the provider's default source at the gateway of the settings."""
    signed_url: str | None = None
    """Address that is signed, for providers that sign it, if --to is another one."""
    secret: str | None = None
    """The source's secret, or @FILE. Default: TILLBELL_TRIGGER_SECRET."""
    override: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """A member to change, e.g. data.object.amount=100, items.0.name=Cup, ?order=7 for the query."""
    setting: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """A setting of the source that the signature depends on: NAME=VALUE or NAME=@FILE."""
    same: Annotated[bool, Parameter(negative="")] = False
    """Keep the ids and times of the sample, so that sending it again is a duplicate."""
    times: Count = 1
    """How often to send the same request."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Print the request as a curl command and send nothing."""
    listing: Annotated[bool, Parameter(("--list",), negative="")] = False
    """List all cases, or those of one provider."""


def trigger(
    case: str = "", *, options: TriggerOptions | None = None, flags: RemoteFlags | None = None
) -> int:
    """Send a callback as a provider would; exit code 1 if it is not answered 2xx or 3xx.

    Parameters
    ----------
    case
        E.g. stripe:approved; --list shows all.
    """
    options = options or TriggerOptions()
    if options.listing:
        return _list(case)
    if not case:
        raise Misconfigured("name a case, e.g. stripe:approved; --list shows all")
    return _send(case, options, load_settings(flags).settings)


def _list(provider: str) -> int:
    from tillbell.testing.simulator import listed

    start = f"{provider.partition(':')[0]}:" if provider else ""
    rows = [(name, sample.about) for name, sample in listed() if name.startswith(start)]
    if not rows:
        raise Misconfigured(f"{provider} has no cases; `tillbell trigger --list` shows all")
    width = max(len(name) for name, _ in rows)
    for name, about in rows:
        print(f"{name:{width}}  {about}")
    return 0


def _send(case: str, options: TriggerOptions, settings: Settings) -> int:
    from tillbell.cli.client import ApiClient
    from tillbell.cli.curl import as_curl
    from tillbell.testing.simulator import simulate

    url = options.to or _default_url(case, settings)
    api = ApiClient(url, None)
    simulation = _simulation(case, options, settings)
    simulated = simulate(simulation, options.signed_url or url)
    request = _sent_to(url, simulated.request)
    if options.dry_run:
        print(as_curl(request, simulation.secret))
        return 0
    _announce(simulated, url, options)
    statuses = []
    for _ in range(options.times):
        answer = api.send(request.method, request.target, dict(request.headers), request.body)
        _show(answer)
        statuses.append(answer.status)
    if 404 in statuses and not options.to:
        print('The provider has no default source: create one with "default": true, or give --to.')
    return 0 if all(200 <= status < 400 for status in statuses) else 1


def _sent_to(url: str, signed: Incoming) -> Incoming:
    """Return a signed request with another address. The query of the case stays."""
    parts = urlsplit(url)
    _, mark, query = signed.target.partition("?")
    origin = f"{parts.scheme}://{parts.netloc}"
    return signed._replace(origin=origin, target=(parts.path or "/") + mark + query)


def _simulation(case: str, options: TriggerOptions, settings: Settings) -> Simulation:
    from tillbell.testing.simulator import Simulation

    secret = settings.trigger_secret.reveal() if settings.trigger_secret else ""
    if options.secret is not None:
        secret = _text(options.secret).strip()
    return Simulation(
        case, secret, _settings_of(options.setting), options.override, is_fresh=not options.same
    )


def _settings_of(values: tuple[str, ...]) -> Mapping[str, Any]:
    from tillbell.testing.overrides import value_of

    settings: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise Misconfigured(f"{name!r} is not a setting; write NAME=VALUE or NAME=@FILE")
        settings[name] = _text(text) if text.startswith("@") else value_of(text)
    return settings


def _text(value: str) -> str:
    from tillbell.cli.value_or_file import read_value_or_file

    try:
        return read_value_or_file(value).decode()
    except UnicodeDecodeError as error:
        raise Misconfigured("a secret or setting is not UTF-8 text") from error


def _default_url(case: str, settings: Settings) -> str:
    base = settings.public_url or settings.local_url
    return f"{base}/api/webhooks/{case.partition(':')[0]}"


def _announce(simulated: SimulatedCallback, url: str, options: TriggerOptions) -> None:
    where = "" if options.to else "  (the default source of this provider; --to for another)"
    print(f"{simulated.request.method} {url}{where}")
    if not (simulated.is_new or options.same or simulated.known_by == ""):
        identity = "its bytes" if simulated.known_by is None else simulated.known_by
        print(f"known by {identity}: triggered again it is a repeat; --override makes another")


def _show(answer: RawAnswer) -> None:
    print(answer.status)
    for name, value in answer.headers:
        if name.lower() in _SHOWN_HEADERS:
            print(f"{name.lower()}: {value}")
    body = answer.body.decode("utf-8", "replace")[:_SHOWN_CHARACTERS].strip()
    if body:
        print("".join(c if c.isprintable() or c in "\n\t" else "?" for c in body))
