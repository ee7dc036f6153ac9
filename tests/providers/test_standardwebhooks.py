"""Standard Webhooks and Resend: the published vectors, the public libraries, what is stricter."""

import json
import random
from collections.abc import Mapping
from typing import NamedTuple

import pytest
import standardwebhooks
import svix

from tests.cases import each
from tests.scale import full_or_tenth, soak
from tillbell import ed25519
from tillbell.clock import SECOND, SystemClock
from tillbell.model.callbacks import EmailNotice, ForwardNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.rules.delivery.signing import new_standard_secret, standard_signature

STANDARD, RESEND = PROVIDERS["standardwebhooks"], PROVIDERS["resend"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
SIGNED = {"webhook-id": ID, "webhook-timestamp": str(AT_S), "webhook-signature": V1}


def request(headers: Mapping[str, str], body: bytes = BODY, at_s: int = AT_S) -> Incoming:
    return Incoming("POST", "/", tuple(headers.items()), body, at_s * SECOND)


def trust(incoming: Incoming, *secrets: str) -> Trust | None:
    return STANDARD.verify(incoming, SourceSetup(secrets)).trust


# ── vectors ──────────────────────────────────────────────────────────────────────────────────────


def test_the_published_vectors_match() -> None:
    assert trust(request(SIGNED), SECRET) is Trust.SIGNED
    assert trust(request({**SIGNED, "webhook-signature": V1A}), PUBLIC_KEY) is Trust.SIGNED
    assert trust(request({**SIGNED, "webhook-signature": V1}), PUBLIC_KEY) is None
    assert trust(request({**SIGNED, "webhook-signature": V1A}), SECRET) is None


def test_resend_signs_as_svix() -> None:
    body = (
        b'{"type":"email.delivered","created_at":"2026-03-01T10:00:00.000Z",'
        b'"data":{"email_id":"em_1"}}'
    )
    headers = {
        "svix-id": "msg_1",
        "svix-timestamp": "1772359200",
        "svix-signature": "v1,MjZPopwo9qytl4IC+OsUGNAFkFttN9+f4kCyrq+RAwo=",
    }
    incoming = request(headers, body, 1_772_359_200)

    assert RESEND.verify(incoming, SourceSetup((SECRET,))).trust is Trust.SIGNED
    parsed = RESEND.parse(incoming, SourceSetup((SECRET,)))
    (notice,) = parsed.notices
    assert isinstance(notice, EmailNotice)
    assert (notice.email_id, notice.event, parsed.dedupe_key) == ("em_1", "delivered", "msg_1")


def test_an_ed25519_sender_is_simulated_and_proven_by_its_public_key() -> None:
    secret = ed25519.new_secret(bytes(range(32)))
    case = SimulationCase({"type": "a.b"}, at=AT_S * SECOND)
    incoming = STANDARD.sign(case, SourceSetup((secret,)), "https://hooks.example/x")

    assert trust(incoming._replace(received_at=case.at), ed25519.public_text(secret))
    assert trust(incoming._replace(received_at=case.at), PUBLIC_KEY) is None


# ── the libraries agree ──────────────────────────────────────────────────────────────────────────


class Sent(NamedTuple):
    """One generated request."""

    secrets: tuple[str, ...]
    headers: dict[str, str]
    body: bytes


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TEXTS = ("", "x", "čekić", "😀", '"', "\\", "\u2028", "a\nb", "null")
_AGES_S = (0, 1, 60, 290, -1, -60, -290, 310, 3_600, 10**8, -310, -3_600)


def generated(chance: random.Random, now_s: int, start: str) -> Sent:
    """Make a request that is right in about half of all cases, wrong by one thing otherwise."""
    secret = new_standard_secret(chance.randbytes(chance.randint(24, 64)))
    id_ = "msg_" + "".join(chance.choices(_ALPHABET, k=chance.randint(1, 40)))
    age_s = chance.choice(_AGES_S) if chance.random() < 0.4 else chance.randint(-200, 200)
    at_s = now_s - age_s
    text = "".join(chance.choices(_TEXTS, k=chance.randint(0, 20)))
    body = json.dumps({"v": text}, ensure_ascii=False).encode()
    listed = [standard_signature([secret], id_, at_s, body)]
    for _ in range(chance.choice((0, 0, 1, 3))):
        other = new_standard_secret(chance.randbytes(32))
        foreign = standard_signature([other], id_, at_s, body)
        listed.append(chance.choice((foreign, foreign.replace("v1", "v2"), V1A)))
    chance.shuffle(listed)
    headers = {
        start + "id": id_,
        start + "timestamp": str(at_s),
        start + "signature": " ".join(listed),
    }
    sent = Sent((secret,), headers, body)
    return sent if chance.random() < 0.4 else spoilt(chance, sent, start)


def spoilt(chance: random.Random, sent: Sent, start: str) -> Sent:
    headers = dict(sent.headers)
    name = start + chance.choice(("id", "timestamp", "signature"))
    match chance.randrange(8):
        case 0:
            return sent._replace(body=sent.body.replace(b'"v"', b'"w"'))
        case 1:
            return sent._replace(body=sent.body + b" ")
        case 2:
            return sent._replace(secrets=(new_standard_secret(chance.randbytes(32)),))
        case 3:
            del headers[name]
        case 4:
            headers[name] = ""
        case 5:
            headers[start + "timestamp"] = chance.choice(("now", "-1", "1614265330000", "1e3x"))
        case 6:
            headers[start + "id"] += "x"
        case 7:  # one letter of the first signature; its last may not count, in both
            version, _, rest = headers[start + "signature"].partition(",")
            at = chance.randrange(43)
            changed = rest[:at] + chance.choice(_ALPHABET) + rest[at + 1 :]
            headers[start + "signature"] = f"{version},{changed}"
    return sent._replace(headers=headers)


@soak
@pytest.mark.parametrize(
    ("library", "provider", "start"),
    [
        (standardwebhooks.Webhook, STANDARD, "webhook-"),
        (svix.Webhook, RESEND, "svix-"),
        (svix.Webhook, RESEND, "webhook-"),
    ],
)
def test_the_library_decides_the_same_of_random_requests(
    library: type[standardwebhooks.Webhook] | type[svix.Webhook], provider: Provider, start: str
) -> None:
    chance = random.Random(start + library.__module__)
    verdicts: list[bool] = []
    count = full_or_tenth(3_000)
    for _ in range(count):
        now = SystemClock().now()
        sent = generated(chance, now // SECOND, start)
        incoming = request(sent.headers, sent.body)._replace(received_at=now)
        ours = provider.verify(incoming, SourceSetup(sent.secrets)).trust is Trust.SIGNED
        try:
            library(sent.secrets[0]).verify(sent.body, sent.headers)
            theirs = True
        except Exception:  # whatever the library raises, it is a no
            theirs = False
        assert ours == theirs, sent
        verdicts.append(ours)
    assert count / 5 < sum(verdicts) < count * 4 / 5  # neither is the rule


def test_what_we_simulate_the_libraries_accept() -> None:
    now = SystemClock().now()
    for library, provider in ((standardwebhooks.Webhook, STANDARD), (svix.Webhook, RESEND)):
        case = SimulationCase({"type": "email.sent", "text": "čekić 😀"}, at=now)
        incoming = provider.sign(case, SourceSetup((SECRET,)), "https://hooks.example/x")
        library(SECRET).verify(incoming.body, dict(incoming.headers))


# ── stricter on purpose ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("written", ["1614265330.0", "1_614_265_330", "+1614265330", "٠"])
def test_a_timestamp_is_plain_digits(written: str) -> None:
    assert trust(request({**SIGNED, "webhook-timestamp": written}), SECRET) is None


@pytest.mark.parametrize("id_", ["msg.1", "", "m" * 257, "msg 1", "mšg"])
def test_an_id_cannot_reach_into_what_is_signed_after_it(id_: str) -> None:
    signature = standard_signature([SECRET], id_, AT_S, BODY)
    headers = {**SIGNED, "webhook-id": id_, "webhook-signature": signature}

    assert trust(request(headers), SECRET) is None


def test_a_good_signature_counts_among_garbage() -> None:
    listed = f"v1 v1, v1,% v1a,AAAA v9,x,y {V1}"

    assert trust(request({**SIGNED, "webhook-signature": listed}), SECRET) is Trust.SIGNED


def test_the_second_secret_of_a_rotation_counts_and_broken_ones_do_not_hurt() -> None:
    broken = ("whsec_%%%", "whsk_x", "whpk_", "\ud800", "whsec_")

    assert trust(request(SIGNED), *broken, SECRET) is Trust.SIGNED
    assert trust(request(SIGNED), *broken) is None


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_proves_nothing(secret: str) -> None:
    signature = standard_signature([secret], ID, AT_S, BODY)

    assert trust(request({**SIGNED, "webhook-signature": signature}), secret) is None


@pytest.mark.parametrize(("age_s", "is_fresh"), [(300, True), (301, False), (-300, True)])
def test_the_clocks_may_differ_by_300_seconds(age_s: int, is_fresh: bool) -> None:
    assert (trust(request(SIGNED, at_s=AT_S + age_s), SECRET) is not None) is is_fresh


@each("secret", ["", "  ", "whsec_", "whsec_%", "whsk_AAAA", "whpk_AAAA"])
def test_a_secret_that_cannot_verify_is_told(secret: str) -> None:
    assert STANDARD.secret is not None
    assert STANDARD.secret.problem(secret)


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), PUBLIC_KEY, "plain"])
def test_a_secret_that_can_verify_is_fine(secret: str) -> None:
    assert STANDARD.secret is not None
    assert STANDARD.secret.problem(secret) is None


# ── what it says ─────────────────────────────────────────────────────────────────────────────────


def test_the_body_is_passed_on_byte_for_byte() -> None:
    body = b'{ "type": "invoice.finalized", "n": 1.50 }'
    parsed = STANDARD.parse(request(SIGNED, body), SourceSetup())

    assert parsed.notices == (ForwardNotice("invoice.finalized", body),)
    assert parsed.dedupe_key == ID


@pytest.mark.parametrize("type_", ["transaction.approved", "endpoint.disabled", "delivery.failed"])
def test_nobody_else_says_what_only_our_books_can(type_: str) -> None:
    (notice,) = STANDARD.parse(
        request(SIGNED, b'{"type":"%s"}' % type_.encode()), SourceSetup()
    ).notices

    assert isinstance(notice, NoteNotice)


@pytest.mark.parametrize("body", [b'{"type":"a b"}', b"{}", b"[]", b'{"type":"a","type":"b"}'])
def test_what_names_no_type_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        STANDARD.parse(request(SIGNED, body), SourceSetup())


def test_resend_is_never_answered_an_error_for_what_it_signed() -> None:
    statuses = [RESEND.answer(request({}), SourceSetup(), heard).status for heard in IntakeStatus]

    assert dict(zip(IntakeStatus, statuses, strict=True)) == {
        IntakeStatus.STORED: 200,
        IntakeStatus.REFUSED: 401,
        IntakeStatus.MALFORMED: 200,
    }


@pytest.mark.parametrize(
    ("type_", "bounce", "told"),
    [
        ("email.bounced", "Permanent", ("bounced", "permanent")),
        ("email.bounced", "Temporary", ("bounced", "temporary")),
        ("email.bounced", "Undetermined", ("bounced", None)),
        ("email.delivery_delayed", None, ("delayed", None)),
        ("email.complained", None, ("complained", None)),
    ],
)
def test_resend_tells_what_became_of_an_e_mail(
    type_: str, bounce: str | None, told: tuple[str, str | None]
) -> None:
    fields = {
        "type": type_,
        "data": {"email_id": "em_1", "to": ["a@x.example"], "bounce": {"type": bounce}},
    }
    incoming = RESEND.sign(
        SimulationCase(fields), SourceSetup((SECRET,)), "https://hooks.example/x"
    )
    (notice,) = RESEND.parse(incoming, SourceSetup()).notices

    assert isinstance(notice, EmailNotice)
    assert (notice.event, notice.bounce_type) == told
    assert notice.to == ("a@x.example",)
