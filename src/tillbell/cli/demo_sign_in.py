"""The link of the demo that signs in: a visit to it is a new session of the demo's owner.

It is answered beside the gateway, on another port of the same host, and browsers send a cookie to
all ports of a host. So the gateway itself has no way to sign in without a password.
"""

from __future__ import annotations

from tillbell.configure.people import NewAccount, People, Visitor
from tillbell.testing.exchange import ReceiverExchange
from tillbell.vault import new_token
from tillbell.web.pages.cookies import NAME

_HERE = Visitor("127.0.0.1", "tillbell demo")


class FrontDoor:
    """Signs in whoever opens its path, which nobody can guess."""

    def __init__(self, people: People, home: str) -> None:
        self._people = people
        self._home = home
        self._owner = NewAccount("owner@shop.example", "Demo owner", new_token())
        self.path = f"/open/{new_token()}"

    async def open(self, exchange: ReceiverExchange) -> None:
        """Begin a session, and send the browser to Home."""
        token = await self._token()
        await exchange.answer(
            303,
            b"",
            f"Location: {self._home}/",
            f"Set-Cookie: {NAME}={token}; Path=/; HttpOnly; SameSite=Lax",
            "Cache-Control: no-store",
        )

    async def _token(self) -> str:
        """Sign in the owner, who is created by the first visit; return the session's token."""
        token = await self._people.new_setup_link()
        if token is not None:
            return (await self._people.create_first(token, self._owner, _HERE)).token
        return (await self._people.sign_in(self._owner.email, self._owner.password, _HERE)).token
