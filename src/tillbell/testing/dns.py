"""A name server on loopback whose answers tests write themselves.

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
    steps: tuple[Sequence[str], ...]  # one a question, the last one stays
    ttl: int = 0
    alias: str = ""
    delay_s: float = 0
    is_silent: bool = False


class StubDns(asyncio.DatagramProtocol):
    """The server. Use as `async with`; `server` is its `address:port`. Unknown names do not exist.

    Truncated answers, TCP and DNSSEC are not spoken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.questions: list[tuple[str, str]] = []  # name, type: in the order they came
        self._plans: dict[str, _NameScript] = {}
        self._asked: Counter[tuple[str, str]] = Counter()

    @property
    def server(self) -> str:
        """Return `address:port`."""
        return f"{self.host}:{self.port}"

    def answer(self, name: str, *addresses: str, ttl: int = 0, delay_s: float = 0) -> None:
        """Answer with these addresses, IPv4 to A and IPv6 to AAAA."""
        self._plans[name] = _NameScript((addresses,), ttl, delay_s=delay_s)

    def sequence(self, name: str, *steps: Sequence[str], ttl: int = 0) -> None:
        """Answer the first question of each type with the first step, and so on.

        A step is a list of addresses, `NXDOMAIN` or `SERVFAIL`.
        """
        self._plans[name] = _NameScript(steps, ttl)

    def alias(self, name: str, other: str, *addresses: str, ttl: int = 0) -> None:
        """Answer with a CNAME to another name, which has these addresses."""
        self._plans[name] = _NameScript((addresses,), ttl, other)

    def silence(self, name: str) -> None:
        """Never answer."""
        self._plans[name] = _NameScript(((),), is_silent=True)

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
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.questions.append((name, kind))
        plan = self._plans.get(name, _NameScript((NXDOMAIN,)))
        if plan.is_silent:
            return
        step = plan.steps[min(self._asked[name, kind], len(plan.steps) - 1)]
        self._asked[name, kind] += 1
        wire = _response(query, plan, step, kind).to_wire()
        asyncio.get_running_loop().call_later(plan.delay_s, self._send, wire, addr)

    def _send(self, wire: bytes, addr: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(wire, addr)


def _response(
    query: dns.message.Message, plan: _NameScript, step: Sequence[str], kind: str
) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    if step in (NXDOMAIN, SERVFAIL):
        response.set_rcode(dns.rcode.from_text(step[0]))
        return response
    owner = query.question[0].name
    if plan.alias:
        response.answer.append(dns.rrset.from_text(owner, plan.ttl, "IN", "CNAME", plan.alias))
        owner = dns.rrset.from_text(plan.alias, plan.ttl, "IN", "A").name
    addresses = [a for a in step if (":" in a) == (kind == "AAAA")]
    if addresses and kind in ("A", "AAAA"):
        response.answer.append(dns.rrset.from_text(owner, plan.ttl, "IN", kind, *addresses))
    return response
