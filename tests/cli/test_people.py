"""`tillbell people`, beside a running gateway and without one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Served, tillbell
from tests.cli.owner import create_owner
from tillbell.cli import run

LINK = re.compile(r"^https://hooks\.shop\.example/setup/([\w-]{43})$")


def test_people_are_managed_beside_a_running_gateway(
    running: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    (running.data_dir / "tillbell.toml").write_text('public_url = "https://hooks.shop.example"')

    def people(*arguments: str) -> tuple[int, str]:
        """Run a command in this process; return its exit code and all that it printed."""
        code = run(["people", *arguments, "--data-dir", str(running.data_dir)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    link = LINK.fullmatch(people("setup-link")[1].strip())
    assert link is not None
    assert people("list") == (0, "")
    asyncio.run(create_owner(running.data_dir, link[1]))

    listed = people("list")[1]
    assert re.fullmatch(r"ana@shop\.example  owner  since 20\S+  signed in 20\S+  Ana\n", listed), (
        listed
    )
    code, refused = people("setup-link")
    assert (code, "account already" in refused) == (1, True)
    assert LINK.fullmatch(people("reset-password", "ANA@shop.example")[1].strip())
    assert LINK.fullmatch(people("recovery-link", "ana@shop.example")[1].strip())
    people("invite", "cy@shop.example", "--role", "admin")
    code, refused = people("recovery-link", "cy@shop.example")
    assert (code, "cy@shop.example is no owner" in refused) == (1, True)
    assert people("sign-out", "ana@shop.example") == (0, "1 session ended\n")
    assert people("sign-out", "ana@shop.example") == (0, "0 sessions ended\n")
    for command in ("reset-password", "sign-out"):
        assert people(command, "bo@shop.example") == (
            1,
            "tillbell: Nobody has the e-mail address bo@shop.example.\n",
        )


def test_a_folder_without_a_store_is_refused_and_stays_empty(tmp_path: Path) -> None:
    refused = tillbell("people", "setup-link", TILLBELL_DATA_DIR=str(tmp_path))

    assert refused.returncode == 2
    assert "Start `tillbell serve` first" in refused.stderr
    assert list(tmp_path.iterdir()) == []
