"""`tillbell people`: who may sign in. The commands open the store; the gateway may be running."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from tillbell.cli.flags import StoreFlags, load_settings

if TYPE_CHECKING:
    from tillbell.clock import Micros
    from tillbell.config import Settings
    from tillbell.configure.people import People

T = TypeVar("T")


def list_people(flags: StoreFlags | None = None) -> None:
    """List people: e-mail, role, since when, last sign-in, name."""
    from tillbell.configure.people import rights_of

    settings = load_settings(flags).settings
    for person in _run(settings, lambda people: people.everybody()):
        state = "  DISABLED" if person.disabled_at is not None else ""
        print(
            f"{person.email}  {rights_of(person)}  since {_day(person.created_at)}"
            f"  signed in {_day(person.last_sign_in_at)}  {person.name}{state}"
        )


def setup_link(flags: StoreFlags | None = None) -> int:
    """Print a link to make the owner account. It works once, for a day.

    Exit code 1 if there is an account already.
    """
    settings = load_settings(flags).settings
    token = _run(settings, lambda people: people.new_setup_link())
    if token is None:
        print("There is an account already; `tillbell people list` shows it.")
        return 1
    print(link_of(_address(settings), token))
    return 0


def reset_password(email: str, flags: StoreFlags | None = None) -> None:
    """Print a link to choose a new password. It works once, for a day.

    The old password works until then; after it, all sessions of the person have ended.

    Parameters
    ----------
    email
        Whose: the e-mail address that the person signs in with.
    """
    settings = load_settings(flags).settings
    token = _run(settings, lambda people: people.new_password_link(email))
    print(link_of(_address(settings), token))


def sign_out(email: str, flags: StoreFlags | None = None) -> None:
    """End every session of a person, in all processes at once.

    Parameters
    ----------
    email
        Whose: the e-mail address that the person signs in with.
    """
    settings = load_settings(flags).settings
    count = _run(settings, lambda people: people.sign_out_everywhere(email))
    print(f"{count} {'session' if count == 1 else 'sessions'} ended")


def link_of(address: str, token: str) -> str:
    """Return the URL of a one-time link."""
    return f"{address}/setup/{token}"


def _run(settings: Settings, work: Callable[[People], Awaitable[T]]) -> T:
    import asyncio

    return asyncio.run(_with_people(settings, work))


async def _with_people(settings: Settings, work: Callable[[People], Awaitable[T]]) -> T:
    from tillbell.clock import SystemClock
    from tillbell.configure.passwords import Passwords
    from tillbell.configure.people import People
    from tillbell.ids import IdMaker
    from tillbell.storage.opening import store_at

    clock = SystemClock()
    database = store_at(settings.database_url, clock, has_pooler=settings.database_pooler)
    await database.open_beside()
    try:
        return await work(People(database, clock, IdMaker(), Passwords()))
    finally:
        await database.close()


def _address(settings: Settings) -> str:
    return settings.public_url or settings.local_url


def _day(at: Micros | None) -> str:
    from tillbell.clock import iso

    return "never" if at is None else iso(at)[:16]
