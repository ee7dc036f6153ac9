"""Flags that several commands share. Without a flag, variables and the TOML file decide."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tillbell.config import LoadedSettings, load_here


def _require_positive(_: object, number: int | None) -> None:
    if number is not None and number < 1:
        raise ValueError("must be 1 or more")


Count = Annotated[int, Parameter(validator=_require_positive)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Flags:
    """The settings that are often changed by hand; others come from variables or the TOML file."""

    data_dir: Path | None = None
    """Folder of the database, the master key and tillbell.toml."""
    config: Path | None = None
    """TOML file with settings."""
    host: str | None = None
    """Address to listen on."""
    port: int | None = None
    """Port to listen on; 0 takes a free one."""
    database_url: str | None = None
    """The store: sqlite:///path or postgresql://user@host/database."""
    public_url: str | None = None
    """Address that others reach us by."""
    role: str | None = None
    """Which parts this process runs: all, api or worker."""
    processes: int | None = None
    """Processes that share the port."""
    hold: Annotated[bool | None, Parameter(negative="")] = None
    """Send nothing before `tillbell release`: for a restored backup."""
    dev: Annotated[bool | None, Parameter(negative="")] = None
    """Endpoints may be http and on this machine. Never in production."""
    allow_http: bool | None = None
    """Endpoints may have http:// addresses."""
    allow_cidrs: str | None = None
    """Private address ranges that endpoints may use, comma-separated."""
    retry_schedule: str | None = None
    """Seconds before attempt 2, 3, …, comma-separated."""
    log_level: str | None = None
    """Least level that is logged: debug, info, warning or error."""
    log_format: str | None = None
    """Log lines: auto, json or console."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StoreFlags:
    """Where the store is, for commands that open it themselves."""

    data_dir: Path | None = None
    """Folder of the database, the master key and tillbell.toml."""
    config: Path | None = None
    """TOML file with settings."""
    database_url: str | None = None
    """The store: sqlite:///path or postgresql://user@host/database."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RemoteFlags:
    """Where the gateway answers, for commands that ask it."""

    public_url: str | None = None
    """Address of the gateway, if it is not this machine's."""
    host: str | None = None
    """Its address on this machine."""
    port: int | None = None
    """Its port on this machine."""
    data_dir: Path | None = None
    """Its folder, with tillbell.toml."""
    config: Path | None = None
    """Its TOML file."""


def load_settings(flags: Flags | StoreFlags | RemoteFlags | None) -> LoadedSettings:
    """Collect the settings of this process: flags, variables, TOML, defaults."""
    chosen = flags or Flags()
    return load_here({field.name: getattr(chosen, field.name) for field in fields(chosen)})
