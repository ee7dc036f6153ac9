"""All settings: their sources, types, limits and defaults.

Sources, strongest first: command line flags, `TILLBELL_*` variables (or `TILLBELL_*_FILE`, the
path of a file that holds the value), `DATABASE_URL`, `PORT` and `NOTIFY_SOCKET`, a TOML file,
defaults. The TOML file is the one named by `--config` or `TILLBELL_CONFIG`, else `tillbell.toml`
in the data folder, if it exists.

An unknown name is an error, so that a misspelt setting is noticed. An empty variable counts as
unset, because compose files write such variables.

Every error is `Misconfigured`: one line with the name of the setting and its origin. This is the
only module that reads the environment.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
import urllib.parse
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import platformdirs

from tillbell import __version__
from tillbell.errors import Misconfigured
from tillbell.model.people import Role
from tillbell.setting_text import as_text, parse
from tillbell.vault import Secret

PREFIX = "TILLBELL_"
LOOPBACK = ("127.0.0.0/8", "::1/128")
# Here and not from `profiles`, which is not needed to read settings. A test compares them.
PROFILE_NAMES = (
    "standard",
    "svix",
    "shoppex",
    "zenofy",
    "mozarto",
    "mozarto-legacy",
    "cloudevents",
    "slack",
    "discord",
    "teams",
)
_DAY_S = 86_400
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
LOGO_BYTES_MAX = 262_144
# ASCII, one @, nothing that a header or a command of SMTP could end at.
EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*"
)
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.:\[\]-]+")  # as browsers write it: lower case
_POSTGRES, _POSTGRES_URL = ("postgresql", "postgres"), "postgresql://user@host/database"


def _setting(
    default: object, doc: str, limits: tuple[int, int] | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """Declare a setting with its default, meaning, limits (inclusive) and choices."""
    return field(default=default, metadata={"doc": doc, "limits": limits, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process. Names of numbers end in their unit."""

    # ruff: noqa: RUF009 - `_setting` is `dataclasses.field` with documentation

    data_dir: Path = _setting(None, "Folder of the database, the master key and tillbell.toml.")
    database_url: str = _setting("", "The store. Default: sqlite, tillbell.db in the data folder.")
    database_pooler: bool = _setting(
        False, "PostgreSQL is behind a pooler in transaction mode (PgBouncer)."
    )
    database_replica_url: str = _setting(
        "", "A replica of the PostgreSQL database, from which lists are read; it may lag."
    )
    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8420, "Port to listen on; 0 takes a free one.", (0, 65_535))
    public_url: str = _setting("", "Public address of this server. Default: http://host:port.")
    trusted_proxies: tuple[str, ...] = _setting(
        (), "Address ranges of your own proxies, whose X-Forwarded-For is trusted."
    )
    role: str = _setting("all", "Which parts this process runs.", choices=("all", "api", "worker"))
    processes: int = _setting(1, "Processes that share the port.", (1, 64))
    http_processes: int = _setting(
        0, "Processes that accept connections and read requests for this one; 0: none.", (0, 16)
    )
    listen_fd: int = _setting(
        -1, "Descriptor of a listening socket, instead of host and port.", (-1, 65_535)
    )
    notify_socket: str = _setting("", "Socket to notify when the server is ready, as for systemd.")
    metrics_file: str = _setting("", "File for the counters of this process; set by `processes`.")
    hold: bool = _setting(
        False,
        "Accept and store, but send nothing before `tillbell release`: for a restored backup.",
    )
    dev: bool = _setting(False, "Endpoints may be http and on this machine. Never in production.")

    admin_key: Secret | None = _setting(None, "API key with all rights, for the first steps.")
    master_key: Secret | None = _setting(
        None, "32 random bytes as base64 or hex that seal secrets; older keys after a comma."
    )
    trigger_secret: Secret | None = _setting(
        None, "Secret of a source: `tillbell trigger` signs with it."
    )

    second_factor: str = _setting(
        "optional",
        "Who needs a second factor to use the pages with a password.",
        choices=("optional", "admins", "all"),
    )
    password_sign_in: bool = _setting(
        True,
        "People may sign in with a password. False, beside an identity provider: by that alone.",
    )
    oidc_issuer: str = _setting("", "Identity provider by which people may sign in: its issuer.")
    oidc_client_id: str = _setting("", "Id of this server at the identity provider.")
    oidc_client_secret: Secret | None = _setting(
        None, "Secret of this server at the identity provider. Default: a public client."
    )
    oidc_name: str = _setting(
        "single sign-on", "Name of the identity provider on the page to sign in."
    )
    oidc_scopes: tuple[str, ...] = _setting(
        ("openid", "email", "profile"), "Scopes that the identity provider is asked for."
    )
    oidc_domains: tuple[str, ...] = _setting(
        (), "Domains of e-mail addresses that may sign in so. Default: all."
    )
    oidc_roles: tuple[str, ...] = _setting(
        (),
        "Roles that the identity provider gives: value=role for a value of the claim, *=role for"
        " everybody. Default: only people who are invited may sign in.",
    )
    oidc_role_claim: str = _setting(
        "", "Claim that gives roles, at each sign-in: a name, or a path such as realm_access.roles."
    )
    oidc_trust_email: bool = _setting(
        False,
        "The identity provider does not say whether e-mail addresses are verified, and they are.",
    )

    smtp_url: str = _setting(
        "", "Mail server for alerts: smtp://host:587 or smtps://host:465. Default: no e-mail."
    )
    smtp_user: str = _setting("", "User at the mail server. Default: none signs in.")
    smtp_password: Secret | None = _setting(None, "Password at the mail server.")
    smtp_starttls: bool = _setting(True, "With smtp://: begin TLS, or send nothing.")
    alert_from: str = _setting("", "Address that alerts come from.")

    allow_http: bool = _setting(False, "Endpoints may have http:// addresses.")
    allow_cidrs: tuple[str, ...] = _setting((), "Private address ranges that endpoints may use.")
    dns_servers: tuple[str, ...] = _setting((), "Name servers as IP or IP:port. Default: system's.")
    user_agent: str = _setting(f"Tillbell/{__version__}", "User-Agent of deliveries.")

    default_profile: str = _setting(
        "standard", "Profile of endpoints that name none.", choices=PROFILE_NAMES
    )
    default_signature: str = _setting(
        "hmac256", "Kind of secret that new endpoints get.", choices=("hmac256", "ed25519")
    )
    retry_schedule: tuple[int, ...] | None = _setting(
        None,
        "Seconds before attempt 2, 3, …, for the default profile. Default: the profile's own.",
        (0, 30 * _DAY_S),
    )
    pause_after_days: int = _setting(
        5, "Days of nothing but failures after which an endpoint is paused.", (1, 365)
    )
    four_eyes: bool = _setting(False, "Approving, rejecting and accepting needs a second API key.")
    secret_overlap_hours: int = _setting(
        24, "Hours for which a rotated signing secret still signs.", (0, 720)
    )
    max_in_flight: int = _setting(
        512, "Most attempts at the same time, all endpoints.", (1, 10_000)
    )
    endpoint_concurrency: int = _setting(
        10, "Most attempts at the same time, one endpoint.", (1, 1_000)
    )
    lane_window: int = _setting(
        1_024, "Due deliveries of one endpoint that are held in memory.", (1, 10_000)
    )

    body_memory_mb: int = _setting(
        192,
        "Memory for bodies above 8 KiB of running attempts, twice their length, in MiB.",
        (8, 65_536),
    )

    max_body_bytes: int = _setting(
        1_048_576, "Largest request body, in bytes.", (1_024, 64 * 1_048_576)
    )
    header_timeout_s: int = _setting(15, "Seconds a client has to send its headers.", (1, 300))
    body_timeout_s: int = _setting(30, "Seconds a client has to send the body.", (1, 600))
    drain_timeout_s: int = _setting(
        35, "Seconds for running attempts to finish after the signal to stop.", (0, 600)
    )
    api_rate_limit: int = _setting(
        0, "Requests a second of one API key; 0 is no limit.", (0, 1_000_000)
    )

    cors_origins: tuple[str, ...] = _setting(
        (), "Origins whose pages may call the API from a browser, or *. Default: none."
    )

    portal_frame_origins: tuple[str, ...] = _setting(
        (), "Origins whose pages may show the portal in a frame. Default: none."
    )
    portal_name: str = _setting("Webhooks", "Name that the portal shows.")
    portal_logo: str = _setting("", "Path of an SVG or PNG file that the portal shows as its logo.")
    portal_accent: str = _setting("", "Accent of the portal, such as #0a7ea4. Default: ours.")
    portal_theme: str = _setting(
        "auto", "Theme of the portal; auto is the reader's.", choices=("auto", "light", "dark")
    )

    body_retention_days: int = _setting(30, "Days for which payloads are kept.", (1, 3_650))
    audit_retention_days: int = _setting(
        730, "Days for which entries stay in the audit log.", (1, 36_500)
    )
    history_retention_days: int = _setting(
        90, "Days for which messages, deliveries and attempts are kept.", (1, 3_650)
    )
    statistics_retention_days: int = _setting(
        400, "Days for which statistics are kept by the hour.", (3, 3_650)
    )
    minute_statistics_hours: int = _setting(
        48, "Hours for which statistics are kept by the minute.", (2, 720)
    )
    upcoming_days: int = _setting(
        3,
        "Days before a renewal for which `subscription.upcoming` is published; 0: it is not.",
        (0, 60),
    )
    partition_days: int = _setting(
        7, "Days of history that PostgreSQL keeps in one table and drops together.", (1, 31)
    )
    disk_reserve_mb: int = _setting(
        32, "Free megabytes on the disk below which nothing is accepted.", (0, 1_048_576)
    )

    log_level: str = _setting(
        "info", "Lowest level that is logged.", choices=("debug", "info", "warning", "error")
    )
    access_log: str = _setting(
        "errors",
        "Which requests get a log line: all, those answered 400 or above, or none.",
        choices=("all", "errors", "off"),
    )
    log_format: str = _setting(
        "auto", "Log lines; auto is console on a terminal.", choices=("auto", "json", "console")
    )

    @property
    def sqlite_path(self) -> Path:
        """Path of the SQLite file."""
        return Path(self.database_url.removeprefix("sqlite:///"))

    @property
    def allows_http(self) -> bool:
        """Whether endpoints may have http:// addresses."""
        return self.allow_http or self.dev

    @property
    def allowed_cidrs(self) -> tuple[str, ...]:
        """Private ranges that endpoints may use; with `dev` also this machine."""
        return (*self.allow_cidrs, *LOOPBACK) if self.dev else self.allow_cidrs

    @property
    def local_url(self) -> str:
        """Address of the server for programs on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The host that others know this server by, in A-labels."""
        host = urllib.parse.urlsplit(self.public_url or self.local_url).hostname or ""
        return host.encode("idna").decode("ascii")


class LoadedSettings(NamedTuple):
    """Settings, and the origin of each value: `default`, `env X`, `flag --x` or `file X`."""

    settings: Settings
    origins: Mapping[str, str]


class _RawValue(NamedTuple):
    """A raw value and its origin."""

    value: object
    origin: str


FIELDS: Mapping[str, Field[Any]] = {f.name: f for f in fields(Settings)}


def load(flags: Mapping[str, object], environ: Mapping[str, str]) -> LoadedSettings:
    """Return the settings of all sources, checked. Raises `Misconfigured`.

    `flags` maps names to values, None for a flag that was not given. The flag `config` names the
    TOML file.
    """
    raw = _from_environment(environ) | _from_flags(flags)
    config = _config_file(flags, environ, raw)
    raw = (_from_toml(config) if config else {}) | raw
    values: dict[str, Any] = {name: _read(FIELDS[name], item) for name, item in raw.items()}
    if "data_dir" not in values:
        values["data_dir"] = default_data_dir()
    origins = {name: raw[name].origin if name in raw else "default" for name in FIELDS}
    return _complete(Settings(**values), origins)


def environment_of_child(loaded: LoadedSettings, changes: Mapping[str, object]) -> dict[str, str]:
    """Return the environment of a child process with the same settings, except for `changes`.

    Flags become variables; the data folder is passed on as it was resolved.
    """
    flagged = [name for name, origin in loaded.origins.items() if origin.startswith("flag")]
    values = {name: getattr(loaded.settings, name) for name in ("data_dir", *flagged)}
    own = {PREFIX + name.upper(): as_text(value) for name, value in {**values, **changes}.items()}
    return {**os.environ, **own}


def default_data_dir() -> Path:
    """Return the platform's data folder (XDG on Linux).

    `Misconfigured` for a user without a home folder, as in some containers.
    """
    try:
        return platformdirs.user_data_path("tillbell", appauthor=False)
    except RuntimeError as error:
        raise Misconfigured(
            "data_dir: must be set, because this user has no home folder"
        ) from error


# ── sources ──────────────────────────────────────────────────────────────────────────────────────


def _from_flags(flags: Mapping[str, object]) -> dict[str, _RawValue]:
    return {
        name: _RawValue(value, f"flag --{name.replace('_', '-')}")
        for name, value in flags.items()
        if value is not None and name != "config"
    }


# Common variables of platforms and of systemd, and the settings that they set.
_COMMON = (("DATABASE_URL", "database_url"), ("PORT", "port"), ("NOTIFY_SOCKET", "notify_socket"))


def _from_environment(environ: Mapping[str, str]) -> dict[str, _RawValue]:
    common = {
        name: _RawValue(environ[variable], f"env {variable}")
        for variable, name in _COMMON
        if environ.get(variable)
    }
    own: dict[str, _RawValue] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG":
            continue
        name, item = _from_variable(variable, environ[variable])
        if name in own and item is not None:
            raise Misconfigured(f"{own[name].origin} and {item.origin} are both set; keep one")
        if item is not None:
            own[name] = item
    return common | own


def _from_variable(variable: str, text: str) -> tuple[str, _RawValue | None]:
    name = variable.removeprefix(PREFIX).lower()
    if name in FIELDS:
        return name, _RawValue(text, f"env {variable}") if text else None
    stem = name.removesuffix("_file")
    if stem == name or stem not in FIELDS:
        raise Misconfigured(f"unknown variable {variable}{_nearest(name, PREFIX)}")
    if not text:
        return stem, None
    return stem, _RawValue(_read_text(Path(text), variable).strip(), f"env {variable}")


def _config_file(
    flags: Mapping[str, object], environ: Mapping[str, str], raw: Mapping[str, _RawValue]
) -> Path | None:
    named = flags.get("config") or environ.get(f"{PREFIX}CONFIG")
    if named:
        return Path(str(named))
    folder = Path(str(raw["data_dir"].value)) if "data_dir" in raw else default_data_dir()
    usual = folder.expanduser() / "tillbell.toml"
    return usual if usual.is_file() else None


def _from_toml(path: Path) -> dict[str, _RawValue]:
    try:
        content = tomllib.loads(_read_text(path, "the settings file"))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not valid TOML: {error}") from error
    for name in content:
        if name not in FIELDS:
            raise Misconfigured(f"unknown setting {name!r} in {path}{_nearest(name)}")
    return {name: _RawValue(value, f"file {path}") for name, value in content.items()}


def _read_text(path: Path, origin: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise Misconfigured(f"{origin}: cannot read {path}: {reason}") from error


def _nearest(name: str, prefix: str = "") -> str:
    near = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.5)
    if not near:
        return "; `tillbell config show` lists every setting"
    return f"; did you mean {prefix}{near[0].upper() if prefix else near[0]}?"


# ── one value ────────────────────────────────────────────────────────────────────────────────────


def _read(declared: Field[Any], raw: _RawValue) -> object:
    try:
        return _checked(declared, parse(_HINTS[declared.name], raw.value))
    except ValueError as error:
        raise Misconfigured(f"{declared.name} ({raw.origin}): {error}") from error


def _checked(declared: Field[Any], value: object) -> object:
    limits, choices = declared.metadata["limits"], declared.metadata["choices"]
    if limits:
        for number in value if isinstance(value, tuple) else (value,):
            if not limits[0] <= number <= limits[1]:
                raise ValueError(f"{number} is not between {limits[0]} and {limits[1]}")
    if choices and value not in choices:
        raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
    return value


_HINTS = get_type_hints(Settings)


# ── all together ─────────────────────────────────────────────────────────────────────────────────


def _complete(settings: Settings, origins: dict[str, str]) -> LoadedSettings:
    """Fill in settings that depend on others, then check the combination."""
    changes: dict[str, Any] = {"public_url": settings.public_url.rstrip("/")}
    if not settings.database_url:
        changes["database_url"] = f"sqlite:///{settings.data_dir / 'tillbell.db'}"
    complete = replace(settings, **changes)
    for check in (
        _check_store,
        _check_http_processes,
        _check_network,
        _check_oidc,
        _check_mail,
        _check_portal,
        _check_limits,
    ):
        problem = check(complete)
        if problem:
            raise Misconfigured(problem)
    return LoadedSettings(complete, origins)


def _check_store(settings: Settings) -> str:
    scheme, _, rest = settings.database_url.partition("://")
    replica = settings.database_replica_url
    if scheme in _POSTGRES:
        if not rest:
            return f"database_url: must look like {_POSTGRES_URL}"
        is_right = not replica or replica.partition("://")[0] in _POSTGRES
        return "" if is_right else f"database_replica_url: must look like {_POSTGRES_URL}"
    if scheme != "sqlite" or not rest.removeprefix("/"):
        return f"database_url: must look like sqlite:///path/to/tillbell.db or {_POSTGRES_URL}"
    if replica:
        return "database_replica_url: a SQLite store has no replica; leave it unset"
    if settings.processes != 1:
        return "processes: a SQLite store is served by one process; set processes to 1"
    if settings.role != "all":
        return (
            f"role: {settings.role} needs a store that processes share, and SQLite is not; use all"
        )
    return ""


def _check_http_processes(settings: Settings) -> str:
    if settings.http_processes and settings.role == "worker":
        return "http_processes: a worker answers only how it is; set http_processes to 0"
    if settings.http_processes and settings.processes > 1:
        return (
            "http_processes: each of several processes accepts connections itself; set"
            " http_processes to 0, or processes to 1"
        )
    return ""


def _check_network(settings: Settings) -> str:
    for name in ("allow_cidrs", "trusted_proxies"):
        try:
            for cidr in getattr(settings, name):
                ipaddress.ip_network(cidr)
        except ValueError as error:
            return f"{name}: {error}"
    for server in settings.dns_servers:
        try:
            _address_of(server)
        except ValueError as error:
            return f"dns_servers: {error}"
    for origin in settings.cors_origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            return f"cors_origins: {origin!r} must be * or look like https://shop.example"
    public = urllib.parse.urlsplit(settings.public_url)
    if settings.public_url and (public.scheme not in ("http", "https") or not public.hostname):
        return f"public_url: {settings.public_url!r} is not an http or https address"
    return ""


def _check_mail(settings: Settings) -> str:
    if not settings.smtp_url:
        return ""
    url = urllib.parse.urlsplit(settings.smtp_url)
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/"):
        return (
            f"smtp_url: {as_text(settings.smtp_url)!r} must look like smtp://mail.shop.example:587"
        )
    if url.username or url.password:
        return "smtp_url: user and password are settings of their own: smtp_user, smtp_password"
    if not EMAIL.fullmatch(settings.alert_from):
        return "alert_from: must be set beside smtp_url, to an e-mail address"
    return ""


def _check_oidc(settings: Settings) -> str:
    if not settings.oidc_issuer:
        if not settings.password_sign_in:
            return "password_sign_in: is false, but without oidc_issuer nobody could sign in"
        return ""
    issuer = urllib.parse.urlsplit(settings.oidc_issuer)
    is_http_allowed = settings.dev and issuer.scheme == "http"
    if not issuer.hostname or issuer.query or not (issuer.scheme == "https" or is_http_allowed):
        return f"oidc_issuer: {settings.oidc_issuer!r} must look like https://id.shop.example"
    if not settings.oidc_client_id:
        return "oidc_client_id: must be set beside oidc_issuer"
    if "openid" not in settings.oidc_scopes:
        return "oidc_scopes: must have openid among them"
    for rule in settings.oidc_roles:
        value, _, role = rule.rpartition("=")
        if not value or role not in {each.value for each in Role}:
            return f"oidc_roles: {rule!r} must look like value=viewer; roles: {', '.join(Role)}"
        if value == "*" and role in (Role.OWNER, Role.ADMIN):
            return f"oidc_roles: {rule!r} would make everybody {role}"
        if value != "*" and not settings.oidc_role_claim:
            return f"oidc_role_claim: must be set for {rule!r} in oidc_roles"
    return ""


def _check_portal(settings: Settings) -> str:
    for origin in settings.portal_frame_origins:
        if not _ORIGIN.fullmatch(origin):
            return f"portal_frame_origins: {origin!r} must look like https://shop.example"
    if settings.portal_accent and not _COLOUR.fullmatch(settings.portal_accent):
        return f"portal_accent: {settings.portal_accent!r} must look like #0a7ea4"
    if not settings.portal_name:
        return "portal_name: must not be empty"
    return _check_logo(Path(settings.portal_logo)) if settings.portal_logo else ""


def _check_logo(logo: Path) -> str:
    if logo.suffix not in LOGO_TYPES:
        return f"portal_logo: must be the path of a file that ends in {' or '.join(LOGO_TYPES)}"
    if not logo.is_file():
        return f"portal_logo: there is no file {logo}"
    if logo.stat().st_size > LOGO_BYTES_MAX:
        return f"portal_logo: must have at most {LOGO_BYTES_MAX:,} bytes"
    return ""


def _check_limits(settings: Settings) -> str:
    if settings.history_retention_days < settings.body_retention_days:
        return "history_retention_days: must not be less than body_retention_days"
    if settings.endpoint_concurrency > settings.max_in_flight:
        return "endpoint_concurrency: must not be more than max_in_flight"
    if settings.admin_key and len(settings.admin_key.reveal()) < 16:
        return "admin_key: needs 16 characters or more; `openssl rand -hex 24` makes one"
    return ""


def _address_of(server: str) -> tuple[str, int]:
    """Return address and port of a name server; `ValueError` if it is neither IP nor IP:port."""
    parts = urllib.parse.urlsplit(f"//{server}")
    bare = server.count(":") > 1 and not server.startswith("[")
    host, port = (server, None) if bare else (parts.hostname or "", parts.port)
    return str(ipaddress.ip_address(host)), port or 53


def load_here(flags: Mapping[str, object]) -> LoadedSettings:
    """Return the settings of this process."""
    return load(flags, os.environ)
