"""Selectors: which messages an endpoint wants.

A selector is an event type, `*`, or a family with a wildcard at its end: `order.*`,
`subscription.trial.*`. A wildcard includes types that do not exist yet.

A selector that is the name of a type means that type and no other. Only what names no type is read
as another spelling of one in the catalogue: with `:` or `_` for the dot, or in another case. At
profiles with the names of a platform (shoppex) `invoice` also means `order`, and `:product` may
be at the end. An application's own types have one spelling only: `user_signed_up`. The type of a
message is always compared exactly.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tillbell.catalog import KNOWN
from tillbell.errors import Problem

EVENT_TYPE_MAX = 256
LABEL_MAX = 128
SELECTORS_MAX = 500
MESSAGE_CHANNELS_MAX = 5
ENDPOINT_CHANNELS_MAX = 10
REGISTER = "A type of your own is registered first, with POST /api/v1/event-type."

# The grammar of Svix, plus `/` and `:`, which platforms use in names.
_EVENT_TYPE = re.compile(r"[a-zA-Z0-9\-_./:]+")
_LABEL = re.compile(r"[a-zA-Z0-9\-_.:]+")
_PRODUCT_PART = re.compile(r"(order\.(?:paid|cancelled))\.product")
_DIGITS = re.compile(r"[0-9]+")
_SLIP = 0.85  # how similar two names are at least if one is a slip of the other
_SEPARATORS = str.maketrans(":_", "..")


def _plain(name: str) -> str:
    """Return one text for all spellings of a name: case and separators are folded."""
    return name.lower().translate(_SEPARATORS)


def _order_of(plain: str) -> str:
    """Return a plain name with `order` for a platform's `invoice`."""
    head, dot, rest = plain.partition(".")
    return f"order{dot}{rest}" if head == "invoice" else plain


def _families(names: Collection[str]) -> set[str]:
    """Return the prefixes that may be written with `.*`: `subscription`, `subscription.trial`."""
    return {name[:at] for name in names for at, sign in enumerate(name) if sign in ".:/" and at}


_BY_PLAIN: Mapping[str, str] = {_plain(name): name for name in KNOWN}
_FAMILY_BY_PLAIN: Mapping[str, str] = {_plain(name): name for name in _families(KNOWN)}


def canonical(selector: str, *, platform: bool = False) -> str:
    """Return a selector in our spelling; unchanged if it is not in the catalogue.

    `platform`: the names of a platform are understood too.

    >>> canonical("ORDER_PAID"), canonical("invoice.*"), canonical("invoice.*", platform=True)
    ('order.paid', 'invoice.*', 'order.*')
    >>> canonical("user_signed_up"), canonical("Team:*")
    ('user_signed_up', 'Team:*')
    """
    name = spelled(selector, platform=platform)
    part = _PRODUCT_PART.fullmatch(name) if platform else None
    return part[1] if part else name


def spelled(selector: str, *, platform: bool = False) -> str:
    """Return a selector in our spelling but with `.product`, for profiles with such parts.

    >>> spelled("order:paid:product", platform=True)
    'order.paid.product'
    """
    plain = _order_of(_plain(selector)) if platform else _plain(selector)
    if plain.endswith(".*"):
        family = _FAMILY_BY_PLAIN.get(plain[:-2])
        return selector if family is None else f"{family}.*"
    if platform and _PRODUCT_PART.fullmatch(plain):
        return plain
    return _BY_PLAIN.get(plain, selector)


def names(selectors: Iterable[str]) -> frozenset[str]:
    """Return all selectors in our spelling but with `.product`."""
    return frozenset(spelled(selector, platform=True) for selector in selectors)


def may_be_spelling(name: str) -> bool:
    """Return whether a type of this name takes a selector from a type of the catalogue.

    >>> may_be_spelling("invoice.sent"), may_be_spelling("ORDER.PAID"), may_be_spelling("a.b")
    (True, True, False)
    """
    selectors = (name, *(f"{family}.*" for family in _families([name])))
    return any(canonical(selector, platform=True) != selector for selector in selectors)


class Filter(NamedTuple):
    """Compiled selectors and channels of an endpoint. None means no restriction."""

    names: frozenset[str] | None
    prefixes: tuple[str, ...]
    channels: frozenset[str] | None
    asked: frozenset[str] | None = None  # in our spelling, for profiles with several parts

    def unrestricted(self) -> Filter:
        """Return a filter that takes every message, in the same parts."""
        return Filter(None, (), None, self.asked)

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


def compile_filter(
    selectors: Sequence[str] | None,
    channels: Sequence[str] | None,
    *,
    known: Collection[str] = KNOWN,
    platform: bool = False,
) -> Filter:
    """Compile the selectors and channels of an endpoint.

    `known` are the names of all types; `platform`: the names of a platform are understood too.

    >>> invoices = compile_filter(["invoice.*"], None, platform=True)
    >>> invoices.wants("order.refunded", ()), invoices.wants("email.bounced", ())
    (True, False)
    """
    labels = None if channels is None else frozenset(channels)
    if selectors is None or "*" in selectors:
        return Filter(None, (), labels)
    others = [selector for selector in selectors if not _names_type(selector, known)]
    # Also unchanged: the type may be published without being registered.
    spellings = {*selectors, *(canonical(other, platform=platform) for other in others)}
    families = sorted(name[:-1] for name in spellings if _is_family(name))
    in_catalog = [selector for selector in selectors if _names_type(selector, KNOWN)]
    asked = frozenset(in_catalog).union(spelled(name, platform=platform) for name in others)
    return Filter(frozenset(spellings), tuple(families), labels, asked)


def _names_type(selector: str, known: Collection[str]) -> bool:
    """Return whether a selector is the name of a type, or a family of such names."""
    if not _is_family(selector):
        return selector in known
    return any(name.startswith(selector[:-1]) for name in known)


def expand(selector: str, known: Collection[str], *, platform: bool = False) -> tuple[str, ...]:
    """Return the known types that a selector matches, sorted.

    >>> expand("Order:*", ["order.paid", "order.created", "orders.closed"])
    ('order.created', 'order.paid')
    """
    filter_ = compile_filter((selector,), None, known=known, platform=platform)
    return tuple(sorted(name for name in known if filter_.wants(name, ())))


def check(
    selectors: Sequence[str], known: Collection[str], *, platform: bool = False
) -> list[Problem]:
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
        if (problem := _problem_of(selector, known, platform=platform)) is not None
    ]


def _problem_of(selector: str, known: Collection[str], *, platform: bool) -> str | None:
    shown = repr(selector[:64])
    if "*" in selector and selector != "*" and not _is_family(selector):
        return f"{shown}: `*` stands alone or at the end of a family, like `order.*`"
    if expand(selector, known, platform=platform):
        return None
    near = _nearest(selector[:EVENT_TYPE_MAX], known)
    hint = f"; did you mean `{near}`?" if near else "."
    return f"{shown} matches no event type{hint} {REGISTER}"


def _nearest(selector: str, known: Collection[str]) -> str | None:
    """Return the most similar known selector; None if none is similar."""
    families = {f"{family}.*" for family in _families(known)}
    by_plain = {_plain(name): name for name in sorted({*known, *families})}
    plain = _plain(selector)
    for meant in (plain, _order_of(plain)):
        if meant in by_plain:
            return by_plain[meant]
        if f"{meant}.*" in by_plain:  # `order`, `invoice.`
            return by_plain[f"{meant}.*"]
    matches = difflib.get_close_matches(plain, by_plain, n=1, cutoff=0.6)
    return by_plain[matches[0]] if matches else None


def near_type(name: str, known: Collection[str]) -> str | None:
    """Return the known type that a type nobody registered was probably meant to be, or None.

    Close enough are other spellings, and slips of a letter or two. Numbered types are no slips.

    >>> near_type("order.payed", KNOWN), near_type("ORDER.PAID", KNOWN)
    ('order.paid', 'order.paid')
    >>> near_type("order.packed", KNOWN), near_type("report.3", ["report.2"])
    (None, None)
    """
    by_plain = {_plain(other): other for other in sorted(known)}
    plain = _plain(name)
    matches = difflib.get_close_matches(plain, by_plain, n=1, cutoff=_SLIP)
    if not matches:
        return None
    near = matches[0]
    is_numbered = _DIGITS.sub("", near) == _DIGITS.sub("", plain) and near != plain
    initials = [[part[:1] for part in text.split(".")] for text in (near, plain)]
    return by_plain[near] if initials[0] == initials[1] and not is_numbered else None


def _is_family(selector: str) -> bool:
    return re.fullmatch(r"[a-zA-Z0-9\-_./:]+[.:/]\*", selector) is not None


def check_event_type(name: str) -> str | None:
    """Return what is wrong with the name of an event type; None if it is valid."""
    return _check_text(name, _EVENT_TYPE, EVENT_TYPE_MAX, "letters, digits and - _ . / :")


def of_source(source_id: str) -> str:
    """Return the channel of what comes from a source.

    >>> of_source("src_1")
    'source:src_1'
    """
    return f"source:{source_id}"


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
    if not text:
        return "must not be empty"
    return None if pattern.fullmatch(text) else f"may only hold {allowed}"
