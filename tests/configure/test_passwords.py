"""Passwords: what they cost, how many are worked out at once, and which are refused."""

from __future__ import annotations

import asyncio

import pytest

from tillbell.clock import SystemClock
from tillbell.configure.passwords import THREADS, WAITING_MAX, HashCost, Passwords
from tillbell.errors import TooMany
from tillbell.rules.accounts import email_problem, name_problem, normal_email, password_problem

CHEAP = HashCost(passes=1, memory_kib=8)


async def test_a_hash_is_argon2id_at_the_full_cost() -> None:
    hashed = await Passwords().hash("correct horse battery")

    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")


async def test_a_password_is_right_however_its_letters_were_composed() -> None:
    passwords = Passwords(CHEAP)
    hashed = await passwords.hash("žuti ključ\u0041\u030a")

    assert (await passwords.check(hashed, "z\u030cuti kljuc\u030c\u00c5")).is_right
    assert not (await passwords.check(hashed, "zuti kljuc\u00c5")).is_right
    assert not (await passwords.check(None, "žuti ključ")).is_right
    assert not (await passwords.check("no hash", "žuti ključ")).is_right


async def test_an_unknown_person_costs_as_much_as_a_known_one() -> None:
    """Of some tries the quickest counts: others may be slow because the machine is busy."""
    passwords = Passwords(HashCost(passes=1, memory_kib=32_768))
    hashed = await passwords.hash("correct horse battery")
    clock = SystemClock()

    async def least_s(stored: str | None) -> float:
        took = []
        for _ in range(4):
            started = clock.monotonic()
            await passwords.check(stored, "wrong horse battery")
            took.append(clock.monotonic() - started)
        return min(took)

    known, unknown = await least_s(hashed), await least_s(None)
    assert known / 3 < unknown < known * 3


async def test_few_wait_and_the_others_are_told_to_come_back() -> None:
    passwords = Passwords(CHEAP)
    outcomes = await asyncio.gather(
        *(passwords.hash("correct horse battery") for _ in range(THREADS + WAITING_MAX + 3)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 3
    await passwords.hash("correct horse battery")  # there is room again


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "at least 12"),
        ("x" * 6 + "y" * 251, "at most 256"),
        ("aaaaaaaaaaaa", "pattern"),
        ("abcabcabcabc", "pattern"),
        ("123456789012", "pattern"),
        ("Qwertyuiop12", "pattern"),
        ("P4ssw0rd-2026!", "first passwords"),
        ("iloveyou123456", "first passwords"),
        ("tillbell-admin-1", "first passwords"),
        ("ana@shop.example", "your name or address"),
        ("Petrovic123456", "your name or address"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_and_says_why(
    password: str, says: str
) -> None:
    assert says in (password_problem(password, "ana@shop.example", "Ana Petrovic") or "")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "8f3kd9qplwz1",
        "9$7k2#4!8@6%1",
        "Anastasia reads maps",
        "849205837461",
    ],
)
def test_any_other_password_is_taken(password: str) -> None:
    assert password_problem(password, "ana@shop.example", "Ana Petrovic") is None


def test_an_address_and_a_name_are_checked() -> None:
    for good in ("ana@shop.example", "a.b+c@x.co", "žana@šop.example"):
        assert email_problem(normal_email(good)) is None, good
    for bad in ("", "ana", "@shop.example", "ana@shop", "a b@c.d", "a@b@c.d", "a@b.c\n", "a\0@b.c",
                "a@b.c" + "c" * 250, "<a@b.c>"):  # fmt: skip
        assert email_problem(bad) is not None, bad
    assert name_problem("Ana Петровић") is None
    for bad in ("", "  ", "x" * 101, "Ana\u202e", "Ana\n"):
        assert name_problem(bad) is not None, bad
