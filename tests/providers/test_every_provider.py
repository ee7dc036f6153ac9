"""What holds for every adapter of the registry: one suite, whoever wrote the adapter.

Formats and vectors of each are in its own file; here is what no provider may break.
"""

from __future__ import annotations

import ast
import base64
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tillbell.providers as package
from tests.cases import each
from tests.providers.bodies import BODIES
from tests.providers.pinned import pinned
from tests.scale import full_or_tenth, soak
from tillbell.clock import SECOND
from tillbell.model.callbacks import ForwardNotice, NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.cases import SampleCallback, samples

AT = 1_772_359_200_000_000
URL = "https://hooks.example/api/webhooks/x/token"
_SECRETS = (
    "registry-suite-secret-0123456789",
    "whsec_" + base64.b64encode(b"registry-suite-secret-0123456789").decode(),
    "0123456789abcdef0123456789abcdef",
    "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    "registry:suite-secret-0123456789",
    "pdl_ntfset_registry-suite-secret-0123456789",
    "44782DEF547AAA06C910C43932B1EB0C" * 4,
    "REGISTRYSUITESECRET0123",
)
_OTHERS = (
    "another-secret-9876543210-abcdef",
    "another:secret-9876543210",
    "whsec_" + base64.b64encode(b"y" * 32).decode(),
    "pdl_ntfset_another-secret-9876543210",
    "fedcba9876543210fedcba9876543210",
    "FEDCBA9876543210FEDCBA9876543210" * 4,
    "ANOTHERSECRET9876543210",
)
# Their proof does not cover every byte of the body, by the provider's own design.
_PARTLY = {"adyen", "amazon-ses", "braintree", "przelewy24", "trustpayments"}
_LOOSE = {"paypal-cert-url"}  # looked at, and not signed
_TIMED = [name for name in ("resend", "standardwebhooks", "stripe") if name in PROVIDERS]
FLIPS = full_or_tenth(110_000)  # in all
_NONE = SampleCallback("none", SimulationCase({}))


class Signed(NamedTuple):
    """A sample as its provider sends it."""

    provider: Provider
    name: str
    sample: SampleCallback
    setup: SourceSetup
    incoming: Incoming


def secret_of(provider: Provider, choices: tuple[str, ...] = _SECRETS) -> tuple[str, ...]:
    rule = provider.secret
    fit = [text for text in choices if rule is not None and rule.problem(text) is None]
    return tuple(fit[:1] or (fit and choices[:1]))


def signed(provider: Provider) -> Iterator[Signed]:
    for name, sample in samples(provider.name).items():
        setup = SourceSetup(secret_of(provider), {**_defaults(provider), **sample.config})
        case = sample.case._replace(at=AT)
        incoming = provider.sign(case, setup, URL)._replace(received_at=AT)
        yield Signed(provider, name, sample, setup, incoming)


def _defaults(provider: Provider) -> dict[str, object]:
    told = {s.name: s.default for s in provider.settings if s.default is not None}
    return {**told, **pinned(provider.name)}


ALL = [one for provider in PROVIDERS.values() for one in signed(provider)]
FULL = [
    one
    for one in ALL
    if one.provider.best_trust is Trust.SIGNED
    and one.provider.name not in _PARTLY
    and one.incoming.body
    and one.provider.verify(one.incoming, one.setup).trust is Trust.SIGNED
]


def _id(one: Signed) -> str:
    return f"{one.provider.name}:{one.name}"


def _parse(one: Signed, incoming: Incoming) -> ParsedNotices | None:
    try:
        return one.provider.parse(incoming, one.setup)
    except Unreadable:
        return None


# ── shape ────────────────────────────────────────────────────────────────────────────────────────


@each("name", PROVIDERS)
def test_it_says_what_it_is(name: str) -> None:
    provider = PROVIDERS[name]
    assert provider.name == name
    assert provider.title
    assert provider.about.endswith(".")
    assert provider.answers
    assert provider.methods
    assert provider.bare_trust is None or provider.bare_trust <= provider.best_trust
    assert provider.secret is not None or provider.bare_trust is not None
    assert len({setting.name for setting in provider.settings}) == len(provider.settings)


@each("name", [n for n in PROVIDERS if n != "custom"])
def test_it_has_samples(name: str) -> None:
    assert samples(name)


@each("one", ALL, ids=_id)
def test_what_it_signs_it_accepts_and_understands(one: Signed) -> None:
    verdict = one.provider.verify(one.incoming, one.setup)
    assert verdict.trust is not None, verdict.why
    assert one.incoming.method != "POST" or verdict.trust is one.provider.best_trust
    parsed = one.provider.parse(one.incoming, one.setup)
    told = {getattr(notice, "status", None) for notice in parsed.notices} - {None}
    hinted = {getattr(notice, "if_silent", None) for notice in parsed.notices}
    assert one.sample.status is None or one.sample.status in {*map(str, told | hinted)}


@each("one", ALL, ids=_id)
def test_every_end_has_an_answer(one: Signed) -> None:
    for heard in IntakeStatus:
        answer = one.provider.answer(one.incoming, one.setup, heard)
        assert 200 <= answer.status <= 499
        if heard is IntakeStatus.STORED:
            assert answer.status < 400


# ── proof ────────────────────────────────────────────────────────────────────────────────────────


@soak
def test_no_flipped_bit_of_a_signed_body_is_accepted() -> None:
    chance = random.Random(1)
    accepted = []
    for one in FULL:
        for _ in range(FLIPS // len(FULL) + 1):
            body = bytearray(one.incoming.body)
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            altered = one.incoming._replace(body=bytes(body))
            if one.provider.verify(altered, one.setup).trust is not None:
                accepted.append((_id(one), bytes(body)))
    assert accepted == []


@soak
@each("one", [o for o in ALL if o not in FULL and o.incoming.body], ids=_id)
def test_flipped_bits_never_break_what_covers_less(one: Signed) -> None:
    chance = random.Random(2)
    for _ in range(full_or_tenth(200)):
        body = bytearray(one.incoming.body)
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        altered = one.incoming._replace(body=bytes(body))
        assert one.provider.verify(altered, one.setup).why
        _parse(one, altered)


def _essential(one: Signed) -> list[str]:
    """Name the headers without which it is refused, and of which no letter may change."""

    def without(name: str) -> Incoming:
        kept = tuple(pair for pair in one.incoming.headers if pair[0] != name)
        return one.incoming._replace(headers=kept)

    names = dict.fromkeys(n for n, _ in one.incoming.headers if n not in _LOOSE)
    return [n for n in names if one.provider.verify(without(n), one.setup).trust is None]


@each("one", FULL, ids=_id)
def test_what_is_wrong_with_a_signing_header_is_refused(one: Signed) -> None:
    essential = _essential(one)
    assert essential
    for name in essential:
        right = one.incoming.header(name) or ""
        for wrong in (
            "",
            " ",
            "x",
            "é" * 20,
            "a" * 1_000_000,
            right[:-4],
            right[::-1],
            right + "0",
        ):
            headers = tuple((n, wrong if n == name else v) for n, v in one.incoming.headers)
            verdict = one.provider.verify(one.incoming._replace(headers=headers), one.setup)
            assert verdict.trust is None, (name, wrong[:40])
            assert len(verdict.why) < 1_000
        twice = (*one.incoming.headers, (name, "another"))
        one.provider.verify(one.incoming._replace(headers=twice), one.setup)


@each("one", FULL, ids=_id)
def test_the_same_document_written_again_is_refused(one: Signed) -> None:
    altered = one.incoming._replace(body=one.incoming.body + b"\n")
    assert one.provider.verify(altered, one.setup).trust is None
    altered = one.incoming._replace(body=b" " + one.incoming.body)
    assert one.provider.verify(altered, one.setup).trust is None


@each("one", ALL, ids=_id)
def test_without_a_right_secret_it_is_trusted_no_more_than_bare(one: Signed) -> None:
    if one.provider.secret is None or one.incoming.method != "POST":
        return
    bare = one.provider.bare_trust
    for secrets in ((), ("",), (" ",), secret_of(one.provider, _OTHERS)):
        verdict = one.provider.verify(one.incoming, one.setup._replace(secrets=secrets))
        assert verdict.trust is None or (bare is not None and verdict.trust <= bare)
        for secret in one.setup.secrets:
            assert secret not in verdict.why


@each("one", ALL, ids=_id)
def test_a_secret_in_its_overlap_still_proves(one: Signed) -> None:
    newer = secret_of(one.provider, _OTHERS)
    both = one.setup._replace(secrets=(*newer, *one.setup.secrets))
    expected = one.provider.verify(one.incoming, one.setup).trust
    assert one.provider.verify(one.incoming, both).trust is expected


@pytest.mark.parametrize("name", _TIMED)
def test_a_signed_time_is_good_for_five_minutes_both_ways(name: str) -> None:
    one = next(signed(PROVIDERS[name]))
    for seconds, is_good in ((-301, False), (-299, True), (0, True), (299, True), (301, False)):
        later = one.incoming._replace(received_at=AT + seconds * SECOND)
        assert (one.provider.verify(later, one.setup).trust is Trust.SIGNED) is is_good


# ── what nobody should send ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PROVIDERS)
@each("wrong", BODIES)
def test_no_body_breaks_it(name: str, wrong: str) -> None:
    provider = PROVIDERS[name]
    setup = SourceSetup(secret_of(provider), _defaults(provider))
    kinds = ("application/json", "application/x-www-form-urlencoded", "text/xml", "")
    for method in sorted(provider.methods):
        for kind in kinds:
            headers = (("content-type", kind),)
            incoming = Incoming(method, "/x?a=1&b=%ff", headers, BODIES[wrong], AT)
            provider.verify(incoming, setup)
            parsed = _parse(Signed(provider, wrong, _NONE, setup, incoming), incoming)
            found = parsed.notices if parsed is not None else ()
            statuses = [n.status for n in found if isinstance(n, TransactionNotice)]
            assert set(statuses) <= {None}, "nothing is guessed"


@each("one", [o for o in ALL if o.incoming.body.startswith(b"{")], ids=_id)
def test_a_member_that_stands_twice_decides_nothing(one: Signed) -> None:
    first = one.incoming.body.split(b'"')[1]
    twice = b'{"' + first + b'":"twice",' + one.incoming.body[1:]
    parsed = _parse(one, one.incoming._replace(body=twice))
    assert parsed is None or all(isinstance(n, ForwardNotice | NoteNotice) for n in parsed.notices)


_PROOF_NAMES = frozenset(
    {
        "given",
        "claimed",
        "carried",
        "presented",
        "expected",
        "signature",
        "secret",
        "mac",
        "password",
        "passcode",
        "hmac",
    }
)


def test_signatures_are_only_compared_in_constant_time() -> None:
    """No `==` on anything that is named like a secret or a signature."""
    wrong = [
        f"{file.name}:{node.lineno}"
        for file in Path(package.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Compare) and _compares_proof(node)
    ]
    assert wrong == []


def _compares_proof(node: ast.Compare) -> bool:
    if not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return False
    sides = [node.left, *node.comparators]
    used = {side.id for side in sides if isinstance(side, ast.Name)}
    # A secret against itself, trimmed: nobody from outside has a say in it.
    return bool(used & _PROOF_NAMES) and not any(
        ast.unparse(side).endswith(".strip()") for side in sides
    )
