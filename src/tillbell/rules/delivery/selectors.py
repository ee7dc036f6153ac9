"""Selectors: which messages an endpoint wants.

A selector is an event type, `*`, or a family with a wildcard at its end: `order.*`,
`subscription.trial.*`. A wildcard includes types that do not exist yet.

Selectors may write types of the catalogue as platforms do: with `:` or `_` for the dot, in any
case, `invoice` for `order`, and with `:product` at the end. An application's own types have one
spelling only: `user_signed_up`. The type of a message is always compared exactly.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tillbell.catalog import KNOWN
from tillbell.errors import Problem

EVENT_TYPE_MAX = 256
LABEL_MAX = 128
SELECTORS_MAX = 500
MESSAGE_CHANNELS_MAX = 5
ENDPOINT_CHANNELS_MAX = 10

# The grammar of Svix, plus `/` and `:`, which platforms use in names.
_EVENT_TYPE = re.compile(r"[a-zA-Z0-9\-_./:]+")
_LABEL = re.compile(r"[a-zA-Z0-9\-_.:]+")
_PRODUCT_PART = re.compile(r"(order\.(?:paid|cancelled))\.product")
_SEPARATORS = str.maketrans(":_", "..")


def _plain(name: str) -> str:
    """Return one text for all spellings of a name: case, separators and aliases are folded."""
    folded = name.lower().translate(_SEPARATORS)
    head, dot, rest = folded.partition(".")
    return f"order{dot}{rest}" if head == "invoice" else folded


def _families(names: Collection[str]) -> set[str]:
    """Return the prefixes that may be written with `.*`: `subscription`, `subscription.trial`."""
    return {name[:at] for name in names for at, sign in enumerate(name) if sign in ".:/" and at}


_BY_PLAIN: Mapping[str, str] = {_plain(name): name for name in KNOWN}
_FAMILY_BY_PLAIN: Mapping[str, str] = {_plain(name): name for name in _families(KNOWN)}


def canonical(selector: str) -> str:
    """Return a selector in our spelling; unchanged if it is not in the catalogue.

    >>> canonical("invoice.*"), canonical("order:paid:product"), canonical("ORDER_PAID")
    ('order.*', 'order.paid', 'order.paid')
    >>> canonical("user_signed_up"), canonical("Team:*")
    ('user_signed_up', 'Team:*')
    """
    name = spelled(selector)
    part = _PRODUCT_PART.fullmatch(name)
    return part[1] if part else name


def spelled(selector: str) -> str:
    """Return a selector in our spelling but with `.product`, for profiles with such parts.

    >>> spelled("order:paid:product")
    'order.paid.product'
    """
    plain = _plain(selector)
    if plain.endswith(".*"):
        family = _FAMILY_BY_PLAIN.get(plain[:-2])
        return selector if family is None else f"{family}.*"
    if _PRODUCT_PART.fullmatch(plain):
        return plain
    return _BY_PLAIN.get(plain, selector)


def names(selectors: Sequence[str]) -> frozenset[str]:
    """Return all selectors in our spelling but with `.product`."""
    return frozenset(map(spelled, selectors))


class Filter(NamedTuple):
    """Compiled selectors and channels of an endpoint. None means no restriction."""

    names: frozenset[str] | None
    prefixes: tuple[str, ...]
    channels: frozenset[str] | None

    def wants(self, event_type: str, channels: Sequence[str]) -> bool:
        """Return whether a message with this type and these channels is for the endpoint.

        An endpoint without channels takes every message. One with channels takes messages that
        have at least one of them, so none without channels.
        """
        if self.channels is not None and self.channels.isdisjoint(channels):
            return False
        if self.names is None or event_type in self.names:
            return True
        return event_type.startswith(self.prefixes)


def compile_filter(selectors: Sequence[str] | None, channels: Sequence[str] | None) -> Filter:
    """Compile the selectors and channels of an endpoint.

    >>> invoices = compile_filter(["invoice.*"], None)
    >>> invoices.wants("order.refunded", ()), invoices.wants("email.bounced", ())
    (True, False)
    """
    labels = None if channels is None else frozenset(channels)
    if selectors is None or "*" in selectors:
        return Filter(None, (), labels)
    # Also unchanged: an application may have its own types under `invoice.` or `order:`.
    spellings = {*selectors, *map(canonical, selectors)}
    families = sorted(name[:-1] for name in spellings if _is_family(name))
    return Filter(frozenset(spellings), tuple(families), labels)


def expand(selector: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the known types that a selector matches, sorted.

    >>> expand("invoice:*", ["order.paid", "order.created", "orders.closed"])
    ('order.created', 'order.paid')
    """
    filter_ = compile_filter((selector,), None)
    return tuple(sorted(name for name in known if filter_.wants(name, ())))


def check(selectors: Sequence[str], known: Collection[str]) -> list[Problem]:
    """Return problems of selectors that match no known type, with a near miss as a hint.

    A wildcard too must match a known type: `ordr.*` is a typing error.
    """
    loc: tuple[str | int, ...] = ("body", "filterTypes")
    if not 0 < len(selectors) <= SELECTORS_MAX:
        text = f"must hold 1 to {SELECTORS_MAX} selectors; leave it out to receive everything"
        return [Problem(loc, text, "selectors_length")]
    return [
        Problem((*loc, index), problem, "selector")
        for index, selector in enumerate(selectors)
        if (problem := _problem_of(selector, known)) is not None
    ]


def _problem_of(selector: str, known: Collection[str]) -> str | None:
    shown = repr(selector[:64])
    if "*" in selector and selector != "*" and not _is_family(selector):
        return f"{shown}: `*` stands alone or at the end of a family, like `order.*`"
    if expand(selector, known):
        return None
    near = _nearest(selector[:EVENT_TYPE_MAX], known)
    hint = f"; did you mean `{near}`?" if near else ""
    return f"{shown} matches no event type{hint}"


def _nearest(selector: str, known: Collection[str]) -> str | None:
    """Return the most similar known selector; None if none is similar."""
    families = {f"{family}.*" for family in _families(known)}
    by_plain = {_plain(name): name for name in sorted({*known, *families})}
    plain = _plain(selector)
    if f"{plain}.*" in by_plain:  # `order`, `invoice.`
        return by_plain[f"{plain}.*"]
    matches = difflib.get_close_matches(plain, by_plain, n=1, cutoff=0.6)
    return by_plain[matches[0]] if matches else None


def _is_family(selector: str) -> bool:
    return re.fullmatch(r"[a-zA-Z0-9\-_./:]+[.:/]\*", selector) is not None


def check_event_type(name: str) -> str | None:
    """Return what is wrong with the name of an event type; None if it is valid."""
    return _check_text(name, _EVENT_TYPE, EVENT_TYPE_MAX, "letters, digits and - _ . / :")


def check_label(text: str) -> str | None:
    """Return what is wrong with a channel or a tag; None if it is valid."""
    return _check_text(text, _LABEL, LABEL_MAX, "letters, digits and - _ . :")


def check_labels(
    labels: Sequence[str], loc: tuple[str | int, ...], *, at_most: int
) -> list[Problem]:
    """Return the problems of a list of channels or tags."""
    if not 0 < len(labels) <= at_most:
        return [Problem(loc, f"must hold 1 to {at_most}; leave it out for none", "length")]
    return [
        Problem((*loc, index), problem, "label")
        for index, label in enumerate(labels)
        if (problem := check_label(label)) is not None
    ]


def _check_text(text: str, pattern: re.Pattern[str], length_max: int, allowed: str) -> str | None:
    if len(text) > length_max:
        return f"must have at most {length_max} characters"
    return None if pattern.fullmatch(text) else f"may only hold {allowed}"
