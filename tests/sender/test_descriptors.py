"""Few descriptors: the sender waits, and says so when it waited in vain."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import IO

import uvloop

from tests.patience import PATIENCE_S
from tests.sender.post import Post
from tillbell.clock import SystemClock
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.pool import PoolLimits
from tillbell.http.resolver import Resolver
from tillbell.testing.receiver import Receiver

_ROOT = Path(__file__).parents[2]
_TOTAL = 600  # of so few descriptors, more than four times


async def test_with_few_descriptors_attempts_wait_and_none_is_lost() -> None:
    async with Receiver() as receiver:
        sending = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.sender.test_descriptors", _loop_name(), receiver.url()),
            cwd=_ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await sending.communicate()
        outcomes = json.loads(out)
        assert sending.returncode == 0
        assert outcomes == {"200": _TOTAL, "without any left: overloaded": 1}
        assert len(receiver.requests) == _TOTAL
        assert receiver.connections <= 128


def _loop_name() -> str:
    """Return the module of the loop that this test is on: the other process shall use the same."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


async def _deliver(url: str) -> dict[str, int]:
    """Deliver while somebody else in the process first holds every descriptor, then most."""
    sender = HttpClient(
        AddressPolicy(("127.0.0.0/8",), allow_http=True),
        Resolver([]),
        SystemClock(),
        PoolLimits(connect_timeout_s=PATIENCE_S),
    )
    post = Post(sender)
    hoard = _hoard()
    outcomes = Counter[str]()
    refused = await post(url, timeout_s=0.3)
    outcomes[f"without any left: {refused.error}"] += 1
    for file in hoard[:10]:
        file.close()
    attempts = [post(url) for _ in range(_TOTAL)]
    outcomes.update(reply.error or str(reply.status) for reply in await asyncio.gather(*attempts))
    await sender.close()
    for file in hoard:
        file.close()
    return dict(outcomes)


def _hoard() -> list[IO[str]]:
    files: list[IO[str]] = []
    while True:
        try:
            files.append(Path("/dev/null").open())  # noqa: SIM115
        except OSError:
            return files


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    run = uvloop.run if sys.argv[1] == "uvloop" else asyncio.run
    print(json.dumps(run(_deliver(sys.argv[2]))))
