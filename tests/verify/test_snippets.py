"""The programs in other languages on docs/verify.md agree with the vector."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.verify.requests import BODY, HEADERS, NOW_S, SECRET, SIGNATURE
from tillbell.verify import verify

PAGE = (Path(__file__).parents[2] / "docs/verify.md").read_text(encoding="utf-8")

# Headers, body and clock of each case, and whether it is genuine.
CASES = [
    (HEADERS, BODY, NOW_S, True),
    (HEADERS, BODY, NOW_S + 300, True),
    ({**HEADERS, "webhook-signature": f"v1,AAAA {SIGNATURE}"}, BODY, NOW_S, True),
    (HEADERS, BODY + b" ", NOW_S, False),
    (HEADERS, BODY, NOW_S + 301, False),
    (HEADERS, BODY, NOW_S - 301, False),
    ({**HEADERS, "webhook-signature": "v1"}, BODY, NOW_S, False),
    ({**HEADERS, "webhook-timestamp": "soon"}, BODY, NOW_S, False),
    ({**HEADERS, "webhook-id": "msg_other"}, BODY, NOW_S, False),
    ({}, BODY, NOW_S, False),
]  # fmt: skip
EXPECTED = [genuine for *_, genuine in CASES]


def snippet(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


def run(*command: str, cwd: Path) -> str:
    environment = {**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@needs("node")
def test_javascript(tmp_path: Path) -> None:
    cases = [[headers, body.decode(), now] for headers, body, now, _ in CASES]
    (tmp_path / "verify.mjs").write_text(snippet("js"))
    (tmp_path / "main.mjs").write_text(
        'import { verify } from "./verify.mjs";'
        f"const cases = {json.dumps(cases)}, secret = {json.dumps(SECRET)};"
        "const told = cases.map(([h, b, now]) => verify(Buffer.from(b), h, secret, now));"
        "console.log(JSON.stringify([...told, verify(Buffer.from(''), {}, '')]));"
    )
    assert json.loads(run("node", "main.mjs", cwd=tmp_path)) == [*EXPECTED, False]


@pytest.mark.slow
@needs("go")
def test_go(tmp_path: Path) -> None:
    lines = []
    for headers, body, now, _ in CASES:
        pairs = ", ".join(f"{name.title()!r}: {{{value!r}}}" for name, value in headers.items())
        header = ("http.Header{" + pairs + "}").replace("'", '"')
        lines.append(
            f"fmt.Println(Verify([]byte(`{body.decode()}`), {header}, `{SECRET}`,"
            f" time.Unix({now}, 0)))"
        )
    program = snippet("go").replace("package webhook", "package main")
    (tmp_path / "verify.go").write_text(program)
    (tmp_path / "main.go").write_text(
        'package main\nimport ("fmt"; "net/http"; "time")\nfunc main() {\n'
        + "\n".join(lines)
        + "\n}\n"
    )
    (tmp_path / "go.mod").write_text("module receiver\n")
    told = run("go", "run", ".", cwd=tmp_path).split()
    assert told == [str(genuine).lower() for genuine in EXPECTED]


@pytest.mark.slow
@needs("javac")
def test_java(tmp_path: Path) -> None:
    lines = []
    for headers, body, now, _ in CASES:
        pairs = ", ".join(json.dumps(text) for pair in headers.items() for text in pair)
        lines.append(
            f"System.out.println(Webhook.verify({json.dumps(body.decode())}.getBytes(),"
            f" java.util.Map.of({pairs})::get, {json.dumps(SECRET)}, {now}L));"
        )
    body_of_main = "\n".join(lines).replace("Map.of(", "Map.<String, String>of(")
    (tmp_path / "Webhook.java").write_text(snippet("java"))
    (tmp_path / "Main.java").write_text(
        "class Main { public static void main(String[] a) throws Exception {\n"
        + body_of_main
        + "\n} }"
    )
    run("javac", "Webhook.java", "Main.java", cwd=tmp_path)
    told = run("java", "-cp", ".", "Main", cwd=tmp_path).split()
    assert told == [str(genuine).lower() for genuine in EXPECTED]


@contextmanager
def receiver(seen: list[str | None]) -> Iterator[str]:
    """Serve one request on loopback and keep what verifying said."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(verify(body, dict(self.headers), SECRET).event_type)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Keep the tests' output clean."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks"
        thread.join(PATIENCE_S)


@needs("curl")
@needs("openssl")
def test_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    seen: list[str | None] = []
    with receiver(seen) as url:
        answer = run("sh", "-c", snippet("sh"), "sh", url, cwd=tmp_path)
    assert " 200 " in answer.splitlines()[0]
    assert seen == ["test.ping"]
