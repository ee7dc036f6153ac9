"""Logs: events from a closed list, written as JSON lines, without secrets.

`log_event("attempt.failed", endpoint=…, status=503)` is the only way to log. The name must be in
`LOG_EVENTS`, which says what each event means and its level, so that operators can read one table
and write alerts for it.

All fields pass `redact`: secrets, keys and query strings are masked, and control characters are
escaped, so that no value can forge a second line.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TextIO

import msgspec

from tillbell.clock import SystemClock, iso
from tillbell.vault import Secret

LOG_EVENTS: Final[Mapping[str, tuple[int, str]]] = {
    "server.started": (logging.INFO, "The process is ready."),
    "server.draining": (logging.INFO, "The process was told to stop; running attempts may finish."),
    "server.stopped": (logging.INFO, "Everything is stored and closed; the process ends."),
    "server.stop_forced": (
        logging.WARNING,
        "A second signal came; the process stops without waiting.",
    ),
    "server.notify_failed": (
        logging.WARNING,
        "The parent process could not be notified that the server is ready.",
    ),
    "process.died": (
        logging.ERROR,
        "One of several processes ended unexpectedly; it is restarted.",
    ),
    "http_process.died": (
        logging.ERROR,
        "A process that accepts connections ended unexpectedly; it is restarted.",
    ),
    "http_process.not_started": (
        logging.ERROR,
        "A process that accepts connections did not start; it is tried again.",
    ),
    "hold.begun": (
        logging.WARNING,
        "This process accepts and stores, but sends nothing before `tillbell release`.",
    ),
    "hold.released": (logging.WARNING, "The hold was released: this process sends."),
    "server.dev_mode": (logging.WARNING, "Endpoints may be http and on this machine."),
    "request.error": (logging.ERROR, "A bug in Tillbell; the caller was answered 500."),
    "request.served": (logging.INFO, "A request was answered; the setting access_log chooses."),
    "request.timed_out": (
        logging.DEBUG,
        "A client sent headers or body too slowly; it was cut off.",
    ),
    "alert.sent": (logging.INFO, "The mail server took an e-mail for people."),
    "alert.failed": (logging.WARNING, "The mail server did not take an e-mail; it is tried again."),
    "attempt.failed": (logging.INFO, "A receiver did not accept; the delivery shows what follows."),
    "attempt.error": (logging.ERROR, "A bug in Tillbell during an attempt; it is retried."),
    "delivery.failed": (logging.WARNING, "Every attempt of a delivery is used up."),
    "endpoint.failing": (logging.WARNING, "An endpoint has failed for some time."),
    "endpoint.paused": (logging.WARNING, "An endpoint failed for days; its messages are kept."),
    "endpoint.recovered": (logging.INFO, "A failing endpoint accepted again."),
    "endpoint.disabled": (
        logging.WARNING,
        "A receiver answered 410 (Gone); its endpoint is disabled.",
    ),
    "callback.error": (logging.ERROR, "A bug in Tillbell during a callback; the callback is kept."),
    "callback.processing_postponed": (
        logging.WARNING,
        "The outcome of a callback could not be stored; this is tried again.",
    ),
    "unmatched.retry_postponed": (
        logging.WARNING,
        "Callbacks that waited for a transaction are tried again later.",
    ),
    "status_check.postponed": (
        logging.WARNING,
        "A transaction could not be checked; it is checked later.",
    ),
    "export.failed": (
        logging.ERROR,
        "A scheduled export could not be made; it is made again at its next time.",
    ),
    "status_check.error": (logging.ERROR, "A bug in Tillbell during a status check."),
    "admin_key.removed": (
        logging.WARNING,
        "The gateway was started without its admin key: that key does not work any more.",
    ),
    "admin_key.replaced": (
        logging.WARNING,
        "The gateway was started with another admin key: the earlier one does not work any more.",
    ),
    "source.unusable": (logging.ERROR, "A source's secrets cannot be opened; it answers 503."),
    "attempt.result_postponed": (
        logging.WARNING,
        "The result of an attempt could not be stored; this is tried again soon.",
    ),
    "attempt.result_stale": (
        logging.WARNING,
        "A result came after its lease was lost; it is ignored.",
    ),
    "lease.release_failed": (
        logging.WARNING,
        "Claims could not be released; their leases will expire.",
    ),
    "endpoint_health.write_failed": (
        logging.WARNING,
        "The health of an endpoint could not be stored.",
    ),
    "claim.failed": (logging.WARNING, "Deliveries could not be claimed; this is tried again soon."),
    "claim.error": (logging.ERROR, "A bug in Tillbell during a claim; it is tried again soon."),
    "live.postponed": (
        logging.WARNING,
        "Live events could not be read; readers get them when the database answers.",
    ),
    "sign_on.provider_failed": (
        logging.WARNING,
        "The identity provider cannot be asked, or its answer cannot be used: nobody signs in so.",
    ),
    "sign_on.token_refused": (
        logging.WARNING,
        "A token of the identity provider does not prove who somebody is; `error` says why.",
    ),
    "chore.postponed": (logging.WARNING, "A chore could not run; it runs again at its next time."),
    "chore.error": (logging.ERROR, "A bug in Tillbell during a chore."),
    "task.postponed": (logging.WARNING, "A task was interrupted; it continues later."),
    "task.error": (logging.ERROR, "A bug in Tillbell during a task; the task has failed."),
    "cluster.leader_acquired": (logging.INFO, "This process is now the leader."),
    "cluster.leader_lost": (logging.INFO, "Another process is now the leader."),
    "cluster.members_changed": (
        logging.INFO,
        "Processes joined or left; endpoints have new owners.",
    ),
    "clock.skewed": (logging.ERROR, "This machine's clock is far off; the database's is used."),
    "listener.disconnected": (
        logging.WARNING,
        "Changes by other processes arrive late until it reconnects.",
    ),
    "record_feed.not_read_by_all": (
        logging.WARNING,
        "A change was answered before every process had read it.",
    ),
    "replica.unavailable": (
        logging.WARNING,
        "Lists are read from the primary until the replica answers.",
    ),
    "replica.available": (logging.INFO, "Lists are read from the replica again."),
    "database.long_transaction": (
        logging.WARNING,
        "A database transaction has been open for long; busy tables grow until it ends.",
    ),
    "database.long_transaction_ended": (
        logging.INFO,
        "No database transaction is open for long any more.",
    ),
    "partition.created": (logging.INFO, "A partition for the coming days was created."),
    "partition.dropped": (logging.INFO, "A partition of history past its retention was dropped."),
    "partition.busy": (
        logging.WARNING,
        "A table was in use; the partition is created or dropped later.",
    ),
    "disk.low": (
        logging.ERROR,
        "The disk is nearly full; nothing is accepted until there is room.",
    ),
    "disk.ok": (logging.INFO, "There is space on the disk again."),
    "library.warning": (logging.WARNING, "A library logged a warning."),
}

_MASK = "***"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_SECRET_NAMES = re.compile(
    r"auth|secret|passw|token|api.?key|cookie|signature|credential", re.IGNORECASE
)
# Fast path for ids and words: none of the patterns below can match in them.
_HARMLESS = re.compile(r"(?!whsec_|whsk_|tb_)\w*\Z", re.ASCII)
_TOKENS = re.compile(r"\b(whsec_|whsk_|tb_)[A-Za-z0-9+/=_\-]+")
_BEARER = re.compile(r"\b(bearer|basic)\s+[^\s\"',]+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(://[^\s?\"']*\?)[^\s\"'#]+")
# C0, C1, line and paragraph separators, marks that reverse the reading order, unpaired surrogates.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def log_event(name: str, /, exc_info: BaseException | None = None, **fields: object) -> None:
    """Log an event with the level of `LOG_EVENTS`.

    `exc_info` adds the traceback. An unknown name raises `AssertionError`.
    """
    assert name in LOG_EVENTS, f"{name} is not in logs.LOG_EVENTS"
    level = LOG_EVENTS[name][0]
    if level < _log.level_min:
        return
    line: dict[str, object] = {
        "at": iso(SystemClock().now()),
        "level": logging.getLevelName(level).lower(),
        "event": name,
    }
    line |= {field: redact(value, field) for field, value in fields.items()}
    if exc_info is not None:
        line["exception"] = _traceback_text(exc_info)
    write = _console_line if _log.is_console else _json_line
    print(write(line), file=_log.stream or sys.stderr, flush=True)


def configure(level: str = "info", format_: str = "auto", stream: TextIO | None = None) -> None:
    """Set level, format and stream (default: stderr). Warnings of libraries are logged too."""
    _log.is_console = format_ == "console" or (
        format_ == "auto" and (stream or sys.stderr).isatty()
    )
    _log.level_min = _LEVELS.get(level, logging.ERROR)
    _log.stream = stream
    logging.root.handlers[:] = [_LibraryHandler(logging.WARNING)]


class _Log:
    """Where lines go, and how. Until `configure` is called (in tests), libraries log themselves."""

    level_min: int = logging.INFO
    is_console: bool = False
    stream: TextIO | None = None  # None: standard error, as it is at that moment


_log = _Log()


def _json_line(line: dict[str, object]) -> str:
    return msgspec.json.encode(line).decode()


def _console_line(line: dict[str, object]) -> str:
    """Write a line for people: time, level, event, and the fields as `name=value`."""
    fields = dict(line)
    head = f"{fields.pop('at')} [{fields.pop('level'):8}] {fields.pop('event'):28}"
    trace = fields.pop("exception", None)
    text = " ".join([head, *(f"{name}={value}" for name, value in fields.items())]).rstrip()
    return text if trace is None else f"{text}\n    {trace}"


def _traceback_text(error: BaseException) -> str:
    """Write a traceback. All lines but the first are indented: no value can forge a line."""
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return "\n    ".join(map(_plain, text.split("\n")))


def redact(value: object, name: str = "") -> object:
    """Return a value as it may be logged; `name` is the name of its field.

    >>> redact("POST https://u:p@shop.example/hook?key=1 with whsec_abc failed\\n")
    'POST https://***@shop.example/hook?*** with whsec_*** failed\\\\n'
    >>> redact({"Authorization": "Bearer x", "port": 1})
    {'Authorization': '***', 'port': 1}
    """
    if isinstance(value, Secret) or (value is not None and _is_secret_name(name)):
        return _MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key)): redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    return _plain(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


@lru_cache(1024)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def _plain(text: str) -> str:
    if _HARMLESS.match(text):
        return text
    text = _TOKENS.sub(rf"\1{_MASK}", text)
    text = _BEARER.sub(rf"\1 {_MASK}", text)
    text = _USERINFO.sub(f"{_MASK}@", text)
    text = _QUERY.sub(rf"\1{_MASK}", text)
    return _CONTROL.sub(lambda match: _ESCAPED[match[0]], text)


class _Escapes(dict[str, str]):
    def __missing__(self, char: str) -> str:
        return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


_ESCAPED = _Escapes({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


class _LibraryHandler(logging.Handler):
    """Logs the warnings of libraries, redacted like all fields."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        log_event("library.warning", error, library=record.name, said=record.getMessage())
