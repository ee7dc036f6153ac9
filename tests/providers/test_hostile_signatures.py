"""Signature headers that stand twice, or hold thousands of candidates: every signing adapter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.cases import each
from tests.providers.test_every_provider import FULL, Signed
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming

MANY = 10_000


class Header(NamedTuple):
    """A header without which a callback is refused."""

    one: Signed
    name: str
    right: str

    def trust(self, *values: str) -> Trust | None:
        """Return what is proven when the header has these values, one after the other."""
        others = [pair for pair in self.one.incoming.headers if pair[0] != self.name]
        headers = (*others, *((self.name, value) for value in values))
        altered: Incoming = self.one.incoming._replace(headers=headers)
        return self.one.provider.verify(altered, self.one.setup).trust


def essential() -> Iterator[Header]:
    seen = set()
    for one in FULL:
        for name, right in one.incoming.headers:
            header = Header(one, name, right)
            if (one.provider.name, name) not in seen and header.trust() is None:
                seen.add((one.provider.name, name))
                yield header


HEADERS = list(essential())


def _id(header: Header) -> str:
    return f"{header.one.provider.name}:{header.name}"


@each("header", HEADERS, ids=_id)
def test_which_of_two_headers_stands_last_decides_nothing(header: Header) -> None:
    wrong = header.right[::-1]
    assert header.trust(header.right) is not None
    assert header.trust(header.right, wrong) is header.trust(wrong, header.right)
    assert header.trust(wrong, wrong) is None


@each("separator", [",", " ", ", ", ";"])
@each("header", HEADERS, ids=_id)
def test_a_signature_behind_thousands_of_others_is_not_looked_for(
    header: Header, separator: str
) -> None:
    candidates = [header.right[:-3] + "AA="] * MANY
    assert header.trust(separator.join([*candidates, header.right])) is None
