"""Clients that generators make of the OpenAPI document: nothing is left out, and they work."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.web.served_gateway import ServedGateway
from tillbell.web.api.rest import openapi_document

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

GENERATORS = ("openapi-typescript@7.13.0", "typescript@5.9.3")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("document") / "tillbell.json"
    file.write_text(json.dumps(openapi_document()))
    return file


def operation_ids() -> list[str]:
    paths = openapi_document()["paths"].values()
    return [operation["operationId"] for item in paths for operation in item.values()]


def run(*command: str | Path, folder: Path) -> str:
    """Run a program; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_a_python_client_is_complete_and_works(
    document: Path,
    tmp_path: Path,
    served: ServedGateway,
    app_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "client.yml"
    config.write_text("content_type_overrides: {text/csv: application/octet-stream}\n")
    options = ("--path", document, "--output-path", tmp_path / "generated", "--meta", "none")
    said = run("openapi-python-client", "generate", *options, "--config", config, folder=tmp_path)
    assert "warning" not in said.lower(), said
    modules = list((tmp_path / "generated" / "api").glob("*/[!_]*.py"))
    assert len(modules) == len(operation_ids())

    monkeypatch.syspath_prepend(str(tmp_path))
    generated: Any = importlib.import_module("generated")
    create: Any = importlib.import_module("generated.api.message.message_create")
    show: Any = importlib.import_module("generated.api.message.message_list")
    models: Any = importlib.import_module("generated.models")
    body = models.MessageIn.from_dict({"eventType": "order.paid", "payload": {"id": "o-1"}})
    with generated.AuthenticatedClient(base_url=served.url, token=served.key) as client:
        published = create.sync(app_id, client=client, body=body)
        assert published.deliveries == 0
        (listed,) = show.sync(app_id, client=client).data
        assert listed.id == published.id
        refused = show.sync("nobody", client=client)
    assert isinstance(refused, models.ProblemOut)
    assert refused.request_id


@pytest.fixture(scope="module")
def node_home() -> Path:
    """Return a folder with the generator, installed once. Without npm: skipped, but not in CI."""
    folder = Path(sys.prefix) / "npm" / "generators"
    if not (folder / "node_modules" / "openapi-typescript").is_dir():
        problem = install(folder)
        if problem and os.environ.get("CI"):
            pytest.fail(problem)
        if problem:
            pytest.skip(problem)
    return folder


def install(folder: Path) -> str:
    """Install the generator; say why it could not be."""
    if not (shutil.which("npm") and shutil.which("node")):
        return "TYPESCRIPT CLIENT NOT TESTED: node and npm are not installed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{}")
    options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    try:
        done = subprocess.run(
            ["npm", "install", *options, *GENERATORS],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "TYPESCRIPT CLIENT NOT TESTED: npm did not answer"
    failed = done.returncode != 0
    return f"TYPESCRIPT CLIENT NOT TESTED: npm: {done.stderr[-300:]}" if failed else ""


USE = """
import type {{ paths, components }} from "./tillbell";
type Body = paths["/api/v1/app/{{app_id}}/msg"]["post"]["requestBody"];
type Message = Body["content"]["application/json"];
export const body: Message = {{ eventType: "order.paid", payload: {{}} }};
export const state: components["schemas"]["DeliveryState"] = {state};
"""


def test_typescript_types_are_complete_and_strict(
    document: Path, tmp_path: Path, node_home: Path
) -> None:
    commands = node_home / "node_modules" / ".bin"
    types = tmp_path / "tillbell.d.ts"
    said = run(commands / "openapi-typescript", document, "-o", types, folder=tmp_path)
    assert "warn" not in said.lower(), said
    text = types.read_text()
    made = set(re.findall(r'operations\["([^"]+)"\]', text))
    assert set(operation_ids()) <= made

    check = (commands / "tsc", "--noEmit", "--strict", "--skipLibCheck", "false", "use.ts")
    (tmp_path / "use.ts").write_text(USE.format(state='"waiting"'))
    run(*check, folder=tmp_path)
    (tmp_path / "use.ts").write_text(USE.format(state='"awaiting"'))
    with pytest.raises(AssertionError, match="awaiting"):
        run(*check, folder=tmp_path)
