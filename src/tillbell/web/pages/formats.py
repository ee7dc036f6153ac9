"""Numbers, money, times and durations as people read them. Nothing is rounded but durations."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros
from tillbell.money import plain

NARROW_SPACE = "\u202f"
MINUS = "\u2212"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


def number(value: int) -> str:
    """Return a count with a narrow space between thousands.

    >>> number(12480).replace(NARROW_SPACE, " ")
    '12 480'
    """
    return f"{value:,}".replace(",", NARROW_SPACE)


def amount(text: str, currency: str) -> str:
    """Return an amount (decimal text) with the currency's own digits; as it is if it is none.

    >>> amount("-12990", "RSD").replace(NARROW_SPACE, " ").replace(MINUS, "-")
    '-12 990.00'
    """
    try:
        written = plain(text, currency)
    except ValueError:
        return text
    sign = MINUS if written.startswith("-") else ""
    whole, point, fraction = written.lstrip("-").partition(".")
    return f"{sign}{number(int(whole))}{point}{fraction}"


def size(count: int) -> str:
    """Return a number of bytes.

    >>> size(412), size(4_194_304)
    ('412 bytes', '4.0 MiB')
    """
    if count == 1:
        return "1 byte"
    if count < 1024:
        return f"{count} bytes"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.1f} MiB"


def milliseconds(duration: Micros) -> str:
    """Return a measured duration.

    >>> milliseconds(184_300), milliseconds(30_000_000), milliseconds(1_740)
    ('184 ms', '30.00 s', '1.7 ms')
    """
    if duration >= SECOND:
        return f"{duration / SECOND:.2f} s"
    return f"{duration // 1000} ms" if duration >= 10_000 else f"{duration / 1000:.1f} ms"


def span(duration: Micros) -> str:
    """Return a duration in its two greatest units.

    >>> span(4_339 * SECOND), span(59 * SECOND), span(0)
    ('1 h 12 min', '59 s', '0 s')
    """
    parts = []
    rest = max(duration, 0)
    for unit, word in _UNITS:
        if rest >= unit:
            parts.append(f"{rest // unit} {word}")
            rest %= unit
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def ago(at: Micros, now: Micros) -> str:
    """Return how long ago an instant was, or in what time it will be, in one unit.

    >>> ago(0, 3 * SECOND), ago(3 * SECOND, 0)
    ('3 s ago', 'in 3 s')
    """
    rest = abs(now - at)
    unit, word = next((each for each in _UNITS if rest >= each[0]), _UNITS[-1])
    text = f"{rest // unit} {word}"
    return f"{text} ago" if now >= at else f"in {text}"


def local(at: Micros, zone: tzinfo) -> datetime:
    """Return an instant in a zone."""
    return (
        datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone).replace(microsecond=at % SECOND)
    )


def clock_time(at: Micros, zone: tzinfo) -> str:
    """Return the time of day: `14:03:19`."""
    return local(at, zone).strftime("%H:%M:%S")


def date(at: Micros, zone: tzinfo) -> str:
    """Return the day: `28 Nov 2026`."""
    day = local(at, zone)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def short_date(at: Micros, zone: tzinfo) -> str:
    """Return day and minute: `28 Nov, 14:03`."""
    day = local(at, zone)
    return f"{day.day} {_MONTHS[day.month - 1]}, {day:%H:%M}"


def exact(at: Micros) -> str:
    """Return an instant in UTC with milliseconds: `2026-11-29 13:03:19.118 UTC`."""
    written = datetime.fromtimestamp(at // SECOND, UTC)
    return f"{written:%Y-%m-%d %H:%M:%S}.{at % SECOND // 1000:03d} UTC"
