"""The programs on the page of an endpoint take its requests, and no others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.pages.worlds import HOSTILE
from tillbell import ed25519
from tillbell.clock import SECOND, SystemClock
from tillbell.config import Settings
from tillbell.deliver.compiled_endpoint import CompiledEndpoint, EndpointCompiler
from tillbell.http.address_policy import AddressPolicy
from tillbell.model.endpoints import Endpoint, SigningSecret
from tillbell.profiles import PROFILES
from tillbell.profiles.base import AttemptContext
from tillbell.vault import Vault
from tillbell.web.pages.receiver_samples import LANGUAGES, receiver_sample

pytestmark = pytest.mark.sqlite_first

NAMES = {"webhook-id": "x-id", "webhook-timestamp": "x-at", "webhook-signature": "x-sign"}
CASES: dict[str, tuple[str, dict[str, str] | None, bool]] = {
    **{name: (name, None, False) for name in PROFILES},
    "ed25519": ("standard", None, True),
    "renamed": ("standard", NAMES, False),
}
BODY = json.dumps({"text": HOSTILE}, ensure_ascii=False).encode()


class Case:
    """An endpoint, its secret, and what is sent to it."""

    def __init__(self, name: str) -> None:
        profile, names, is_ed25519 = CASES[name]
        self.profile = PROFILES[profile]
        seed = bytes(range(32))
        self.secret = ed25519.new_secret(seed) if is_ed25519 else self.profile.new_secret(seed)
        self.compiled = _compiled(profile, names, self.secret)
        self.public = ed25519.public_text(self.secret) if is_ed25519 else self.secret
        attempt = AttemptContext(
            message_id="msg_1",
            delivery_id="dlv_1",
            part="order.paid",
            attempt=1,
            timestamp_s=SystemClock().now() // SECOND,
            body=BODY,
            secrets=[self.secret],
        )
        own = names or {}
        sent = self.profile.headers(attempt)
        self.headers = {own.get(name, name).lower(): value for name, value in sent}


def _compiled(profile: str, names: dict[str, str] | None, secret: str) -> CompiledEndpoint:
    vault = Vault(bytes(32))
    sealed = vault.seal(secret, "ep_1")
    endpoint = Endpoint(
        id="ep_1",
        url="https://receiver.example",
        profile=profile,
        header_names=names,
        secrets=(SigningSecret(sealed=sealed),),
    )
    policy = AddressPolicy(allow_cidrs=(), allow_http=False)
    return EndpointCompiler(Settings(data_dir=Path()), vault, policy).compile(endpoint)


@pytest.mark.parametrize("name", CASES)
def test_the_program_in_python_takes_what_is_sent_and_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(name)
    program: dict[str, Any] = {}
    exec(receiver_sample(case.compiled, "python").program, program)
    receive = SimpleNamespace(**program).receive
    monkeypatch.setenv("WEBHOOK_SECRET", case.public)
    assert receive(BODY, case.headers)[0] == 200
    assert receive(BODY + b" ", case.headers)[0] == 401
    monkeypatch.setenv("WEBHOOK_SECRET", Case("zenofy").secret[::-1])
    assert receive(BODY, case.headers)[0] == 401


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_programs_in_javascript_take_what_is_sent_and_nothing_else(tmp_path: Path) -> None:
    lines = []
    for number, name in enumerate(CASES):
        case = Case(name)
        sample = receiver_sample(case.compiled, "javascript")
        (tmp_path / f"verify{number}.mjs").write_text(sample.program)
        body = "" if sample.kind == "header" else "Buffer.from(body), "
        headers, secret = json.dumps(case.headers), json.dumps(case.public)
        lines += [
            f'import {{ verify as v{number} }} from "./verify{number}.mjs";',
            f"const call{number} = (body, headers, secret) => v{number}({body}headers, secret);",
            (
                f"told.push([call{number}(text, {headers}, {secret}),"
                f" call{number}(text, {{}}, {secret}),"
                f" call{number}(text, {headers}, {secret}.replace(/.{{9}}$/, 'AAAAAAAAA'))]);"
            ),
        ]
    imports = [line for line in lines if line.startswith("import")]
    rest = [line for line in lines if not line.startswith("import")]
    text = json.dumps(BODY.decode())
    main = [*imports, f"const told = []; const text = {text};", *rest]
    (tmp_path / "main.mjs").write_text("\n".join([*main, "console.log(JSON.stringify(told));"]))
    ran = subprocess.run(
        ["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [[True, False, False]] * len(CASES)


def test_no_program_and_no_header_holds_a_secret_or_an_open_place() -> None:
    for name in CASES:
        case = Case(name)
        for language in LANGUAGES:
            sample = receiver_sample(case.compiled, language.lower())
            assert sample.language == language
            assert "@" not in sample.program
            assert case.secret not in sample.program + sample.headers
