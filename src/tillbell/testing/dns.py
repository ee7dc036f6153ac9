"""A name server on loopback with answers set by the test.

```python
async with StubDns() as dns:
    dns.answer("hooks.example.com", "127.0.0.1", ttl=0)
    dns.sequence("rebind.example.com", ["203.0.113.10"], ["127.0.0.1"])
    dns.silence("dead.example.com")
    resolver = Resolver([dns.server])
```
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

NXDOMAIN = ("NXDOMAIN",)
SERVFAIL = ("SERVFAIL",)


class _NameScript(NamedTuple):
    steps: tuple[Sequence[str], ...]  # one per question, the last one repeats
    ttl: int = 0
    alias: str = ""
    delay_s: float = 0
    is_silent: bool = False


class StubDns(asyncio.DatagramProtocol):
    """The server, an async context manager. Unknown names do not exist (NXDOMAIN).

    Truncated answers, TCP and DNSSEC are not supported.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.questions: list[tuple[str, str]] = []  # (name, type) in the order received
        self._scripts: dict[str, _NameScript] = {}
        self._asked: Counter[tuple[str, str]] = Counter()

    @property
    def server(self) -> str:
        """Return `address:port`."""
        return f"{self.host}:{self.port}"

    def answer(self, name: str, *addresses: str, ttl: int = 0, delay_s: float = 0) -> None:
        """Answer with these addresses: IPv4 for A, IPv6 for AAAA."""
        self._scripts[name] = _NameScript((addresses,), ttl, delay_s=delay_s)

    def sequence(self, name: str, *steps: Sequence[str], ttl: int = 0) -> None:
        """Answer the first question of each type with the first step, and so on.

        A step is a list of addresses, `NXDOMAIN` or `SERVFAIL`.
        """
        self._scripts[name] = _NameScript(steps, ttl)

    def alias(self, name: str, other: str, *addresses: str, ttl: int = 0) -> None:
        """Answer with a CNAME to another name, which has these addresses."""
        self._scripts[name] = _NameScript((addresses,), ttl, other)

    def silence(self, name: str) -> None:
        """Never answer."""
        self._scripts[name] = _NameScript(((),), is_silent=True)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, self.port)
        )
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        record_type = dns.rdatatype.to_text(query.question[0].rdtype)
        self.questions.append((name, record_type))
        script = self._scripts.get(name, _NameScript((NXDOMAIN,)))
        if script.is_silent:
            return
        step = script.steps[min(self._asked[name, record_type], len(script.steps) - 1)]
        self._asked[name, record_type] += 1
        wire = _response(query, script, step, record_type).to_wire()
        asyncio.get_running_loop().call_later(script.delay_s, self._send, wire, addr)

    def _send(self, wire: bytes, addr: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(wire, addr)


def _response(
    query: dns.message.Message, script: _NameScript, step: Sequence[str], record_type: str
) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    if step in (NXDOMAIN, SERVFAIL):
        response.set_rcode(dns.rcode.from_text(step[0]))
        return response
    owner = query.question[0].name
    if script.alias:
        response.answer.append(dns.rrset.from_text(owner, script.ttl, "IN", "CNAME", script.alias))
        owner = dns.rrset.from_text(script.alias, script.ttl, "IN", "A").name
    addresses = [a for a in step if (":" in a) == (record_type == "AAAA")]
    if addresses and record_type in ("A", "AAAA"):
        response.answer.append(
            dns.rrset.from_text(owner, script.ttl, "IN", record_type, *addresses)
        )
    return response
