"""Selectors: which messages does an endpoint want?

A selector is an event type, `*`, or a family with a wildcard at its end: `order.*`,
`subscription.trial.*`. A wildcard includes types that do not exist yet.

Types of the catalogue may be written as platforms write them: with `:` or `_` for the dot,
in any case, `invoice` for `order`, and with `:product` at the end (T1, R49). Types that an
application made itself have one spelling, its own: `user_signed_up` is only that. Freedom of
spelling is the selector's alone; the type of a message is taken letter by letter.
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

# The grammar of Svix, and `/` and `:` besides: platforms have them in their names.
_EVENT_TYPE = re.compile(r"[a-zA-Z0-9\-_./:]+")
_LABEL = re.compile(r"[a-zA-Z0-9\-_.:]+")
_PRODUCT_PART = re.compile(r"(order\.(?:paid|cancelled))\.product")
_SEPARATORS = str.maketrans(":_", "..")


def _plain(name: str) -> str:
    """Fold case, separators and aliases: one text for all spellings of a name."""
    folded = name.lower().translate(_SEPARATORS)
    head, dot, rest = folded.partition(".")
    return f"order{dot}{rest}" if head == "invoice" else folded


def _families(names: Collection[str]) -> set[str]:
    """Name what may stand before `.*`: `subscription`, `subscription.trial`."""
    return {name[:at] for name in names for at, sign in enumerate(name) if sign in ".:/" and at}


_BY_PLAIN: Mapping[str, str] = {_plain(name): name for name in KNOWN}
_FAMILY_BY_PLAIN: Mapping[str, str] = {_plain(name): name for name in _families(KNOWN)}


def canonical(selector: str) -> str:
    """Return a selector in our spelling; unchanged when it is not of the catalogue.

    >>> canonical("invoice.*"), canonical("order:paid:product"), canonical("ORDER_PAID")
    ('order.*', 'order.paid', 'order.paid')
    >>> canonical("user_signed_up"), canonical("Team:*")
    ('user_signed_up', 'Team:*')
    """
    name = spelled(selector)
    part = _PRODUCT_PART.fullmatch(name)
    return part[1] if part else name


def spelled(selector: str) -> str:
    """Return a selector in our spelling, `.product` kept, for profiles that have such parts.

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
    """Return all selectors in our spelling, `.product` kept."""
    return frozenset(map(spelled, selectors))


class Filter(NamedTuple):
    """What an endpoint wants, ready to be asked. None means no restriction."""

    names: frozenset[str] | None
    prefixes: tuple[str, ...]
    channels: frozenset[str] | None

    def wants(self, event_type: str, channels: Sequence[str]) -> bool:
        """Tell whether a message of that type, with those channels, is for this endpoint.

        An endpoint without channels takes every message. One with channels takes those that
        carry at least one of them, so a message without channels is not for it.
        """
        if self.channels is not None and self.channels.isdisjoint(channels):
            return False
        if self.names is None or event_type in self.names:
            return True
        return event_type.startswith(self.prefixes)


def compile_filter(selectors: Sequence[str] | None, channels: Sequence[str] | None) -> Filter:
    """Prepare an endpoint's selectors and channels for `Filter.wants`.

    >>> wanted = compile_filter(["invoice.*"], None)
    >>> wanted.wants("order.refunded", ()), wanted.wants("email.bounced", ())
    (True, False)
    """
    labels = None if channels is None else frozenset(channels)
    if selectors is None or "*" in selectors:
        return Filter(None, (), labels)
    # As written too: an application may have types of its own under `invoice.` or `order:`.
    found = {*selectors, *map(canonical, selectors)}
    families = sorted(name[:-1] for name in found if _is_family(name))
    return Filter(frozenset(found), tuple(families), labels)


def expand(selector: str, known: Collection[str]) -> tuple[str, ...]:
    """Return which known types a selector stands for, sorted.

    >>> expand("invoice:*", ["order.paid", "order.created", "orders.closed"])
    ('order.created', 'order.paid')
    """
    wanted = compile_filter((selector,), None)
    return tuple(sorted(name for name in known if wanted.wants(name, ())))


def check(selectors: Sequence[str], known: Collection[str]) -> list[Problem]:
    """Say which selectors can match nothing, and what may have been meant.

    A wildcard needs a known type of its family today: `ordr.*` is a slip, not a plan.
    """
    loc: tuple[str | int, ...] = ("body", "filterTypes")
    if not 0 < len(selectors) <= SELECTORS_MAX:
        text = f"must hold 1 to {SELECTORS_MAX} selectors; leave it out to receive everything"
        return [Problem(loc, text, "selectors_length")]
    return [
        Problem((*loc, index), wrong, "selector")
        for index, selector in enumerate(selectors)
        if (wrong := _wrong(selector, known)) is not None
    ]


def _wrong(selector: str, known: Collection[str]) -> str | None:
    shown = repr(selector[:64])
    if "*" in selector and selector != "*" and not _is_family(selector):
        return f"{shown}: `*` stands alone or at the end of a family, like `order.*`"
    if expand(selector, known):
        return None
    near = _nearest(selector[:EVENT_TYPE_MAX], known)
    hint = f"; did you mean `{near}`?" if near else ""
    return f"{shown} matches no event type{hint}"


def _nearest(selector: str, known: Collection[str]) -> str | None:
    """Return the selector of ours that looks most like this one."""
    families = {f"{family}.*" for family in _families(known)}
    by_plain = {_plain(name): name for name in sorted({*known, *families})}
    plain = _plain(selector)
    if f"{plain}.*" in by_plain:  # `order`, `invoice.`
        return by_plain[f"{plain}.*"]
    found = difflib.get_close_matches(plain, by_plain, n=1, cutoff=0.6)
    return by_plain[found[0]] if found else None


def _is_family(selector: str) -> bool:
    return re.fullmatch(r"[a-zA-Z0-9\-_./:]+[.:/]\*", selector) is not None


def check_event_type(name: str) -> str | None:
    """Say what is wrong with the name of an event type; None when it is fine."""
    return _check_text(name, _EVENT_TYPE, EVENT_TYPE_MAX, "letters, digits and - _ . / :")


def check_label(text: str) -> str | None:
    """Say what is wrong with a channel or a tag; None when it is fine."""
    return _check_text(text, _LABEL, LABEL_MAX, "letters, digits and - _ . :")


def check_labels(
    labels: Sequence[str], loc: tuple[str | int, ...], *, at_most: int
) -> list[Problem]:
    """Say what is wrong with a list of channels or tags."""
    if not 0 < len(labels) <= at_most:
        return [Problem(loc, f"must hold 1 to {at_most}; leave it out for none", "length")]
    return [
        Problem((*loc, index), wrong, "label")
        for index, label in enumerate(labels)
        if (wrong := check_label(label)) is not None
    ]


def _check_text(text: str, pattern: re.Pattern[str], length_max: int, allowed: str) -> str | None:
    if len(text) > length_max:
        return f"must have at most {length_max} characters"
    return None if pattern.fullmatch(text) else f"may only hold {allowed}"
