"""A declared sender: the schemes of others by declaration, and what each check proves."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.cases import each
from tests.providers.test_every_provider import AT, URL, Signed, secret_of, signed
from tillbell.clock import SECOND
from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.providers import PROVIDERS
from tillbell.providers.custom.config import PRESETS, problems
from tillbell.providers.kit.base import Incoming, IntakeStatus, SimulationCase, SourceSetup, Verdict

CUSTOM = PROVIDERS["custom"]
SECRET = "a-secret-of-both-0123456789"
PAGE = (Path(__file__).parents[2] / "docs/providers.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (\w+|`\w+`) \| `(\{[^`]*\})`", PAGE, re.MULTILINE))
CHECKS = {name.strip("`"): json.loads(row.replace(r"\|", "|")) for name, row in ROWS.items()}
SENDERS = {
    "Stripe": "stripe",
    "Paddle": "paddle",
    "Svix": "resend",
    "Square": "square",
    "AllSecure": "allsecure",
    "MSU": "chipcard",
}
EVENT = {"ours": ["/order"], "status": "/state"}
WORDS = {"paid": "Approved", "denied": "Declined"}


def setup(
    *checks: dict[str, Any], secrets: tuple[str, ...] = (SECRET,), **config: Any
) -> SourceSetup:
    told = {"checks": list(checks), "event": EVENT, "statuses": WORDS, **config}
    assert problems(told) == []
    return SourceSetup(secrets, told)


def sent(how: SourceSetup, fields: dict[str, Any] | None = None, **case: Any) -> Incoming:
    fields = {"order": "ORD-1001", "state": "paid"} if fields is None else fields
    return CUSTOM.sign(SimulationCase(fields, at=AT, **case), how, URL)._replace(received_at=AT)


def verify(incoming: Incoming, how: SourceSetup) -> Verdict:
    return CUSTOM.verify(incoming, how)


def with_header(incoming: Incoming, name: str, value: str) -> Incoming:
    kept = tuple(pair for pair in incoming.headers if pair[0] != name)
    return incoming._replace(headers=(*kept, (name, value)))


# ── the schemes of others ────────────────────────────────────────────────────────────────────────


def samples_of(name: str) -> list[Signed]:
    return [one for one in signed(PROVIDERS[name]) if one.incoming.method == "POST"]


def declaration(sender: str) -> dict[str, Any]:
    event = {"id": "header:svix-id"} if sender == "Svix" else {}
    if sender == "MSU":
        return {"checks": [CHECKS[sender]], "format": "form"}
    return {"checks": [CHECKS[sender]], "event": event}


@each("sender", [s for s, name in SENDERS.items() if name in PROVIDERS])
def test_the_scheme_of_a_known_provider_can_be_declared(sender: str) -> None:
    config = declaration(sender)
    assert problems(config) == []
    found = samples_of(SENDERS[sender])
    assert found
    for one in found:
        how = SourceSetup(one.setup.secrets, config)
        verdict = verify(one.incoming, how)
        expected = Trust.PARTIALLY_SIGNED if sender == "MSU" else Trust.SIGNED
        assert verdict.trust is expected, (one.name, verdict.why)
        wrong = SourceSetup(
            secret_of(one.provider, ("whsec_" + "A" * 44, "other-secret-0123456789"))
        )
        assert verify(one.incoming, wrong._replace(config=config)).trust is None


@pytest.mark.parametrize(
    "sender", [s for s, name in SENDERS.items() if name in PROVIDERS and s != "MSU"]
)
def test_what_a_declaration_signs_its_provider_accepts(sender: str) -> None:
    provider = PROVIDERS[SENDERS[sender]]
    how = SourceSetup(secret_of(provider), declaration(sender))
    case = SimulationCase({"type": "x"}, at=AT, id="evt_1")
    made = CUSTOM.sign(case, how, URL)._replace(received_at=AT)
    verdict = provider.verify(made, how._replace(config={}))
    assert verdict.trust is Trust.SIGNED, verdict.why


def test_square_own_library_agrees() -> None:
    helper = pytest.importorskip("square.utils.webhooks_helper")
    made = sent(setup(CHECKS["Square"]))
    given = made.header("x-square-hmacsha256-signature")
    assert helper.verify_signature(
        request_body=made.body.decode(),
        signature_header=given,
        signature_key=SECRET,
        notification_url=made.url,
    )


# ── what each check proves ───────────────────────────────────────────────────────────────────────

NEEDS: dict[str, dict[str, Any]] = {
    "hmac": {},
    "field_hash": {"format": "form", "event": {"ours": ["order"], "status": "state"}},
    "static_header": {},
    "static_field": {},
    "basic_auth": {"credentials": {"basicPassword": "open sesame"}},
    "url_token": {},
    "none": {},
    "pull": {},
}


@each("name", NEEDS)
def test_each_documented_check_proves_what_the_page_says(name: str) -> None:
    how = setup(CHECKS[name], **NEEDS[name])
    told = re.search(rf"^\| `{name}` \|.*\| `([a-z-]+)`[^|]*\|$", PAGE, re.MULTILINE)
    assert told is not None
    made = sent(how)
    verdict = verify(made, how)
    assert verdict.trust is not None, verdict.why
    assert verdict.trust.word == told[1]
    other = how._replace(
        secrets=("another",), config={**how.config, "credentials": {"basicPassword": "x"}}
    )
    if name not in ("url_token", "none", "pull"):
        assert verify(made, other).trust is None
        assert (
            verify(made, how._replace(secrets=(), config={**other.config, "credentials": {}})).trust
            is None
        )
    assert CUSTOM.answer(made, how, IntakeStatus.REFUSED).status == 401


def test_the_url_with_its_token_proves_no_more_than_that() -> None:
    how = setup({"check": "url_token"})
    for target in ("/api/webhooks/custom", "/api/webhooks/custom?x=/api/webhooks/custom/token"):
        assert verify(sent(how)._replace(target=target), how).trust is None


def test_addresses_and_certificates_are_compared() -> None:
    networks = setup(CHECKS["ip_allowlist"])
    for peer, is_good in (("192.0.2.9", True), ("2001:db8::1", True), ("192.0.3.1", False)):
        verdict = verify(sent(networks)._replace(peer=peer), networks)
        assert (verdict.trust is Trust.NETWORK) is is_good
    finger = "ab:" * 31 + "ab"
    how = setup({"check": "mtls", "header": "X-Client", "fingerprints": [finger]})
    made = with_header(sent(how), "x-client", finger.replace(":", "").upper())
    assert verify(made, how).trust is None, "whoever sends it may write the header"
    assert verify(made._replace(is_proxied=True), how).trust is Trust.SECRET
    other = with_header(made, "x-client", "cd" * 32)._replace(is_proxied=True)
    assert verify(other, how).trust is None


@pytest.mark.parametrize("scheme", ["ed25519", "rsa-sha256", "rsa-pss-sha256"])
def test_a_pinned_public_key_verifies(scheme: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate() if scheme == "ed25519" else None
    rsa_key = rsa.generate_private_key(65537, 2048) if key is None else None
    public = (key or rsa_key).public_key()  # type: ignore[union-attr]
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    how = setup(
        {"check": "asymmetric", "at": "header:X-Sig", "algorithm": scheme, "publicKey": pem}
    )
    made = sent(how)
    if key is not None:
        given = key.sign(made.body)
    else:
        assert rsa_key is not None
        salted = padding.PSS(padding.MGF1(SHA256()), 32)
        scheme_padding = padding.PKCS1v15() if scheme == "rsa-sha256" else salted
        given = rsa_key.sign(made.body, scheme_padding, SHA256())
    right = with_header(made, "x-sig", base64.b64encode(given).decode())
    assert verify(right, how).trust is Trust.SIGNED
    assert verify(right._replace(body=right.body + b" "), how).trust is None
    assert verify(made, how).trust is None


def test_all_must_hold_and_of_any_one() -> None:
    header = {"check": "static_header", "header": "X-One"}
    network = {"check": "ip_allowlist", "networks": ["192.0.2.1"]}
    both, either = setup(header, network), setup({"check": "any", "of": [network, header]})
    made = sent(setup(header))
    assert verify(made, both).trust is None
    assert verify(made._replace(peer="192.0.2.1"), both).trust is Trust.SECRET
    assert verify(made, either).trust is Trust.SECRET
    assert verify(made._replace(headers=()), either).trust is None


# ── what a signature covers ──────────────────────────────────────────────────────────────────────


@each(
    ("template", "event", "trust"),
    [
        ("{body}", EVENT, Trust.SIGNED),
        ("{sha256(body)}", EVENT, Trust.SIGNED),
        ("{crc32(body)}", EVENT, Trust.PARTIALLY_SIGNED),
        ("{field:/order}|{field:/state}", EVENT, Trust.SIGNED),
        ("{field:/order}|{field:/x}", EVENT, Trust.PARTIALLY_SIGNED),
        ("{field:/order}{field:/state}", EVENT, Trust.PARTIALLY_SIGNED),
        ("{header:X-Id}{body}", EVENT, Trust.PARTIALLY_SIGNED),
        ("{header:X-Id}.{body}", EVENT, Trust.SIGNED),
        ("{body}", {**EVENT, "status": "query:state"}, Trust.PARTIALLY_SIGNED),
        ("{url}.{body}", {**EVENT, "status": "query:state"}, Trust.SIGNED),
        ("{body}", {**EVENT, "status": "header:X-State"}, Trust.PARTIALLY_SIGNED),
    ],
)
def test_only_what_covers_all_that_moves_money_is_signed(
    template: str, event: dict[str, Any], trust: Trust
) -> None:
    place = "query:sig" if "{field" in template else "header:X-Sig"
    how = setup({"check": "hmac", "at": place, "template": template}, event=event)
    made = sent(how, headers={"x-id": "7"})
    assert verify(made, how).trust is trust
    assert CUSTOM.declared_proof is not None
    assert CUSTOM.declared_proof(how).trust is trust


def test_a_value_that_holds_its_border_is_refused() -> None:
    dotted = setup({"check": "hmac", "at": "header:X-Sig", "template": "{header:X-Id}.{body}"})
    made = sent(dotted, headers={"x-id": "7"})
    moved = with_header(made, "x-id", "7." + made.body.decode()[:3])
    assert "parts it" in verify(moved._replace(body=made.body[3:]), dotted).why
    square = setup(CHECKS["Square"])
    made = sent(square)
    moved = made._replace(target=made.target + "?" + made.body.decode()[:1], body=made.body[1:])
    assert "no query" in verify(moved, square).why


def test_a_signed_time_is_good_as_long_as_declared() -> None:
    time = {"at": "header:X-Time", "unit": "ms", "pastSeconds": 60, "futureSeconds": 5}
    template = "{timestamp}.{body}"
    how = setup({"check": "hmac", "at": "header:X-Sig", "template": template, "timestamp": time})
    made = sent(how)
    for seconds, is_good in ((-6, False), (-4, True), (59, True), (61, False)):
        later = made._replace(received_at=AT + seconds * SECOND)
        assert (verify(later, how).trust is Trust.SIGNED) is is_good


# ── what it says ─────────────────────────────────────────────────────────────────────────────────


def notice(how: SourceSetup, fields: dict[str, Any] | None = None) -> TransactionNotice:
    found = CUSTOM.parse(sent(how, fields), how).notices[0]
    assert isinstance(found, TransactionNotice)
    return found


def test_nothing_is_guessed() -> None:
    kind = {"at": "/type", "words": {"sale": "payment", "ping": "note", "back": "refund"}}
    how = setup(CHECKS["hmac"], event={**EVENT, "kind": kind, "linkedId": "/rid"})
    paid = {"order": "ORD-1", "state": "paid"}
    assert notice(how, {**paid, "type": "sale"}).status is not None
    assert notice(how, {**paid, "type": "strange"}).status is None
    assert notice(how, {**paid, "state": "approved?"}).status is None
    refund = notice(how, {**paid, "type": "back", "rid": "r1"})
    assert (refund.kind.value, refund.psp_transaction_id) == ("refund", "r1")
    ping = CUSTOM.parse(sent(how, {**paid, "type": "ping"}), how)
    assert isinstance(ping.notices[0], NoteNotice)


UNKNOWN = {"checks": [{"check": "url_token"}, {"check": "pull"}], "event": {"ours": ["*"]}}


@each("declared", [UNKNOWN, *({"preset": name} for name in PRESETS)])
def test_a_sender_of_unknown_format_moves_nothing(declared: dict[str, Any]) -> None:
    config = {**declared, "lookupUrl": "https://api.example/{id}"}
    assert problems(config) == []
    assert problems({**config, "confirm": "trust"})
    how = SourceSetup((), config)
    made = sent(how, {"a": {"b": ["ORD-1001"]}, "status": "STATUS_SUCCESS"})
    verdict, found = verify(made, how), CUSTOM.parse(made, how).notices[0]
    assert verdict.trust is not None
    assert verdict.trust < Trust.SIGNED
    assert isinstance(found, TransactionNotice)
    assert (found.status, found.is_hint, found.is_optional) == (None, True, True)
    assert "ORD-1001" in found.references.ours


def test_report_only_tells_and_lets_through() -> None:
    how = setup(CHECKS["hmac"], reportOnly=True)
    made = sent(how)
    assert verify(made, how).trust is Trust.SIGNED
    verdict = verify(made, how._replace(secrets=("another",)))
    assert verdict.trust is Trust.NONE
    assert "only reported" in verdict.why
    assert CUSTOM.parse(made, how).dedupe_key is None
    believed = how._replace(config={**how.config, "confirm": "trust"})
    assert verify(made, believed).trust is None, "an unproven one would move money"
