"""The audit log on the command line, and what each command leaves in it."""

from __future__ import annotations

import asyncio
import getpass
import sqlite3

from tests.cli.conftest import Served, tillbell
from tests.cli.owner import create_owner
from tests.cli.test_serve import key_in
from tillbell.cli import _COMMANDS, _GROUPS
from tillbell.cli.client import ApiClient
from tillbell.vault import Secret

# What each command leaves in the audit log of the store that it is about.
READS = {
    "audit head",
    "audit verify",
    "config show",
    "healthcheck",
    "inbox list",
    "inbox show",
    "key list",
    "list",
    "people list",
    "signature explain",
    "signature sign",
    "signature verify",
    "version",
    "why",
}
WRITES_TO_ANOTHER_STORE = {"backup", "compact", "move"}  # or changes no row
RUNS_A_GATEWAY = {"demo", "serve"}
IS_ON_RECORD_ITSELF = {"send", "trigger"}  # a message names its key; a callback is evidence
WRITES = {
    "people setup-link": "person.setup-link",
    "people invite": "person.invite",
    "people reset-password": "person.password-link",
    "people recovery-link": "person.recovery-link",
    "people sign-out": "person.sign-out-everywhere",
    "people reset-totp": "person.reset-totp",
    "people remove": "person.remove",
    "key create": "api-key.create",
    "key delete": "api-key.delete",
    "resend": "message-attempt.resend",
    "export": "product.export",
    "import": "import.products",
    "inbox create": "inbox.create",
    "inbox delete": "inbox.delete",
    "release": "hold-release.create",
    "reseal": "master-key.reseal",
}
MAKES_AN_ENDPOINT_FOR_A_WHILE = {"listen"}  # endpoint.create, .read-secret and .delete


class Commands:
    """Commands about a running gateway, and what they leave in its audit log."""

    def __init__(self, running: Served) -> None:
        key = key_in(running.said)
        self._url = f"http://127.0.0.1:{running.port}"
        self._api = ApiClient(self._url, Secret(key))
        self._variables = {**running.environment(key), "TILLBELL_DATA_DIR": str(running.data_dir)}
        self.done: set[str] = set()

    def entries(self) -> list[dict[str, str]]:
        acts: list[dict[str, str]] = self._api.call("GET", "/audit?limit=250")["data"]
        return acts

    def sent_message(self) -> tuple[str, str, str]:
        """Publish a message to an endpoint; return application, message and endpoint."""
        self._api.call("POST", "/app", {"name": "Shop", "uid": "shop"})
        endpoint = {"url": f"{self._url}/livez", "uid": "erp"}
        self._api.call("POST", "/app/shop/endpoint", endpoint)
        message = {"eventType": "order.paid", "payload": {}}
        return "shop", self._api.call("POST", "/app/shop/msg", message)["id"], "erp"

    def run(self, command: str, *arguments: str) -> str:
        """Run a command; return what it printed."""
        ended = tillbell(*command.split(), *arguments, **self._variables)
        assert ended.returncode == 0, (command, ended)
        return ended.stdout.strip()

    def write(self, command: str, *arguments: str) -> str:
        """Run a command that writes, and look at its entry; return what it printed."""
        before = len(self.entries())
        printed = self.run(command, *arguments)
        [entry] = self.entries()[: len(self.entries()) - before]
        is_beside = command.startswith("people ")
        kind = "command" if is_beside else "key"
        assert (entry["action"], entry["actorKind"]) == (WRITES[command], kind), command
        if is_beside:
            assert entry["actor"] == f"command:{getpass.getuser()}"
            assert entry["actorName"].startswith(f"{getpass.getuser()}@")
        self.done.add(command)
        return printed


def test_every_command_is_known_to_write_or_not() -> None:
    grouped = (f"{group} {name}" for group, (_, inner) in _GROUPS.items() for name in inner)
    left_out = READS | WRITES_TO_ANOTHER_STORE | RUNS_A_GATEWAY | IS_ON_RECORD_ITSELF
    assert {*_COMMANDS, *grouped} == left_out | set(WRITES) | MAKES_AN_ENDPOINT_FOR_A_WHILE


def test_every_command_that_writes_leaves_exactly_one_entry(running: Served) -> None:
    commands = Commands(running)
    link = commands.write("people setup-link")
    asyncio.run(create_owner(running.data_dir, link.rpartition("/")[2]))
    commands.write("people invite", "bo@shop.example", "--role", "viewer")
    commands.write("people reset-password", "ana@shop.example")
    commands.write("people recovery-link", "ana@shop.example")
    commands.write("people sign-out", "ana@shop.example")
    with sqlite3.connect(running.data_dir / "tillbell.db") as database:
        database.execute("UPDATE people SET totp_secret = 'x' WHERE email = 'ana@shop.example'")
    commands.write("people reset-totp", "ana@shop.example")
    commands.write("people remove", "bo@shop.example")
    created = commands.write("key create", "shop")
    commands.write("key delete", created.split()[0])
    commands.write("resend", *commands.sent_message())
    commands.write("export", "products", "--app", "shop")
    products = running.data_dir / "products.csv"
    products.write_text("uid,name\nmug,A mug\n")
    commands.write("import", "products", str(products), "--app", "shop")
    inbox = commands.write("inbox create").split()[0]
    commands.write("inbox delete", inbox)
    commands.write("release")
    commands.write("reseal")
    assert commands.done == set(WRITES)

    count = len(commands.entries())
    for command in ("list audit", "audit verify", "audit head", "key list", "people list"):
        commands.run(command)
    assert len(commands.entries()) == count


def test_the_log_is_proved(running: Served) -> None:
    key = key_in(running.said)
    variables = running.environment(key)

    def audit(*arguments: str) -> tuple[int, str]:
        ended = tillbell("audit", *arguments, **variables)
        return ended.returncode, ended.stdout

    sequence, hash_ = audit("head")[1].split()
    assert audit("verify") == (0, f"whole: {sequence} entries, up to {sequence} {hash_}\n")
    with sqlite3.connect(running.data_dir / "tillbell.db") as database:
        database.execute("UPDATE audit_log SET target = 'key_x' WHERE sequence = ?", (sequence,))
    code, broken = audit("verify")
    assert (code, broken.startswith(f"broken at entry {sequence} aud_")) == (1, True)
