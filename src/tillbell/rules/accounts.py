"""What an account needs: an e-mail address, a name, and a password that is hard to guess."""

from __future__ import annotations

import re
import unicodedata

from tillbell.model.people import Person, Role

EMAIL_MAX = 254
NAME_MAX = 100
PASSWORD_MIN = 12
PASSWORD_MAX = 256
_DISTINCT_MIN = 5  # characters of a password
_EMAIL = re.compile(r"[^\s@<>\"(),:;\\]+@[^\s@<>\"(),:;\\]+\.[^\s@<>\"(),:;\\.]+")
# Letters that people replace by digits and signs, as everybody who guesses knows.
_REPLACED = str.maketrans("013457@$!", "oleastasi")
_ROWS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl")
# What the most common passwords consist of, with digits and signs around it.
_COMMON = (
    *("password", "passwort", "passw", "letmein", "welcome", "iloveyou", "changeme", "secret"),
    *("administrator", "admin", "master", "dragon", "monkey", "football", "baseball", "sunshine"),
    *("princess", "superman", "batman", "starwars", "pokemon", "login", "hello", "whatever"),
    *("trustno", "freedom", "access", "shadow", "michael", "jordan", "default", "example"),
    *("tillbell", "webhook", "test", "user", "guest", "root", "qwerty", "qwertz", "please"),
)
_COMMON_PARTS = re.compile("|".join(sorted(_COMMON, key=len, reverse=True)))
_ROW_MIN = 6  # characters that make a pattern
_LEFT_MIN = 4  # letters beside the common words


def normal_email(text: str) -> str:
    """Return an e-mail address as it is stored and compared.

    >>> normal_email(" Ana@Shop.example ")
    'ana@shop.example'
    """
    return unicodedata.normalize("NFKC", text).strip().lower()


def email_problem(email: str) -> str | None:
    """Return what is wrong with an e-mail address, already normal; None: nothing.

    >>> email_problem("ana@shop.example")
    >>> email_problem("ana")
    'This is no e-mail address. It looks like name@shop.example.'
    """
    if len(email) > EMAIL_MAX or not email.isprintable() or not _EMAIL.fullmatch(email):
        return "This is no e-mail address. It looks like name@shop.example."
    return None


def name_problem(name: str) -> str | None:
    """Return what is wrong with a person's name; None: nothing.

    >>> name_problem("Ana")
    >>> name_problem(" ")
    'Say what to call you.'
    """
    if not name.strip():
        return "Say what to call you."
    if len(name) > NAME_MAX:
        return f"A name has at most {NAME_MAX} characters."
    if not name.isprintable():
        return "A name has no control characters."
    return None


def normal_password(text: str) -> str:
    """Return a password as it is hashed: the same whichever keyboard composed its letters."""
    return unicodedata.normalize("NFKC", text)


def password_problem(password: str, *own_words: str) -> str | None:
    """Return why a password is too easy to guess; None: it is not.

    `own_words` are what others know of the person: e-mail address and name.

    >>> password_problem("short")
    'Use at least 12 characters. Four words that do not belong together are good.'
    >>> password_problem("P4ssw0rd-2024!")
    'This is one of the first passwords that a guesser tries. Add words that are not common.'
    >>> password_problem("correct horse battery")
    """
    if len(password) < PASSWORD_MIN:
        return (
            f"Use at least {PASSWORD_MIN} characters. "
            "Four words that do not belong together are good."
        )
    if len(password) > PASSWORD_MAX:
        return f"Use at most {PASSWORD_MAX} characters."
    core = _core(password.lower())
    if len(set(password)) < _DISTINCT_MIN or _is_row(password.lower()) or _is_row(core):
        return "This is a pattern, which a guesser tries first. Use words that are not related."
    if not core:  # digits and signs alone
        return None
    plain = core.translate(_REPLACED)
    unknown = plain
    for word in _parts(own_words):
        unknown = unknown.replace(word, "")
    if unknown != plain and len(_letters(unknown)) < _LEFT_MIN:
        return "This is little more than your name or address. Use words that others do not know."
    uncommon = _COMMON_PARTS.sub("", unknown)
    if uncommon != unknown and len(_letters(uncommon)) < _LEFT_MIN:
        return (
            "This is one of the first passwords that a guesser tries. "
            "Add words that are not common."
        )
    return None


def owes_second_factor(person: Person, rule: str) -> bool:
    """Tell whether a person must set up a second factor before anything else.

    `rule` is the setting: `optional`, `admins` or `all`; `optional` too where nobody signs in with
    a password. Who has none signs in by the identity provider, which asks for what it wants.
    """
    if not person.password_hash or person.totp_secret:
        return False
    is_admin = bool({Role.OWNER, Role.ADMIN} & {person.role, *person.app_roles.values()})
    return rule == "all" or (rule == "admins" and is_admin)


def _core(text: str) -> str:
    """Return a text without the digits and signs at its ends."""
    letters = [place for place, character in enumerate(text) if character.isalpha()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


def _parts(own_words: tuple[str, ...]) -> list[str]:
    """Return the words of an address and a name, longest first, as a password may write them."""
    parts = {part for text in own_words for part in re.split(r"[\W_]+", text.lower())}
    return sorted((p.translate(_REPLACED) for p in parts if len(p) > 2), key=len, reverse=True)


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())


def _is_row(text: str) -> bool:
    """Tell whether a text repeats a short part, or walks along a row of keys."""
    if len(text) < _ROW_MIN:
        return False
    repeats = any(
        text == (text[:length] * len(text))[: len(text)] for length in range(1, len(text) // 3 + 1)
    )
    rows = [row * 3 for row in _ROWS] + [row[::-1] * 3 for row in _ROWS]
    return repeats or any(text in row for row in rows)
