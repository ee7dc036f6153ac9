"""People, their sessions and one-time links."""

from __future__ import annotations

import msgspec

from tillbell.clock import Micros
from tillbell.model.people import LinkPurpose, OneTimeLink, Person, Role, Session
from tillbell.storage.engine.methods import read, read_batched, write, write_by_housekeeper
from tillbell.storage.operations.audit_log import write_audit
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.people import (
    Audit,
    CheckedPassword,
    PersonChange,
    SignOn,
    SignOnEnd,
    UsedCode,
)
from tillbell.storage.session.connection import DbReader, Row
from tillbell.storage.session.transaction import DbTransaction

_FIRST_PERSON = ("people",)  # what to lock: whether there is anybody
_SESSION_COLUMNS = len(Session._fields)
_CHANGED = (
    *("id", "name", "role", "disabled_at", "app_roles"),
    *("totp_secret", "totp_step", "recovery_codes", "oidc_id"),
)
_APP_ROLES = Person._fields.index("app_roles")
_RECOVERY_CODES = Person._fields.index("recovery_codes")
_app_roles = msgspec.json.Decoder(dict[str, Role]).decode
_texts = msgspec.json.Decoder(tuple[str, ...]).decode


# ── reads ────────────────────────────────────────────────────────────────────────────────────────


@read
def all_people(db: DbReader, page: Page) -> list[Person]:
    """Read people in the order of their ids."""
    bounds = page_bounds(page._replace(ascending=True))
    return bounds.in_list_order([_person(row) for row in db.query("people", bounds.bindings)])


@read
def person(db: DbReader, id_: str) -> Person | None:
    """Read a person."""
    return next((_person(row) for row in db.query("person", (id_,))), None)


@read
def person_of_email(db: DbReader, email: str) -> Person | None:
    """Read the person with an e-mail address."""
    return next((_person(row) for row in db.query("person_of_email", (email,))), None)


@read
def person_of_identity(db: DbReader, oidc_id: str) -> Person | None:
    """Read the person with an identity."""
    return next((_person(row) for row in db.query("person_of_identity", (oidc_id,))), None)


@read_batched
def session(db: DbReader, id_: str) -> tuple[Session, Person] | None:
    """Read a session with its person."""
    rows = db.query("session_with_person", (id_,))
    return next(
        ((Session._make(row[:_SESSION_COLUMNS]), _person(row[_SESSION_COLUMNS:])) for row in rows),
        None,
    )


@read
def sessions_of(db: DbReader, person_id: str) -> list[Session]:
    """Read the sessions of a person."""
    return [Session._make(row) for row in db.query("sessions_of_person", (person_id,))]


@read
def is_known_address(db: DbReader, person_id: str, address: str) -> bool:
    """Read whether a session of a person began at an address."""
    return bool(db.query("is_known_address", (person_id, address)))


@read
def one_time_link(db: DbReader, id_: str) -> OneTimeLink | None:
    """Read a link."""
    return next((_link(row) for row in db.query("one_time_link", (id_,))), None)


def _person(row: Row) -> Person:
    person = Person._make(row)
    return person._replace(
        role=Role(person.role) if person.role else None,
        app_roles=_app_roles(row[_APP_ROLES]),
        recovery_codes=_texts(row[_RECOVERY_CODES]),
    )


def _row(person: Person) -> Row:
    """Return a person as the columns of its table."""
    columns = {
        "role": person.role or "",
        "app_roles": msgspec.json.encode(person.app_roles).decode(),
        "recovery_codes": msgspec.json.encode(person.recovery_codes).decode(),
    }
    return tuple((person._asdict() | columns).values())


def _link(row: Row) -> OneTimeLink:
    link = OneTimeLink._make(row)
    return link._replace(purpose=LinkPurpose(link.purpose))


# ── writes ───────────────────────────────────────────────────────────────────────────────────────


@write()
def add_link(db: DbTransaction, link: OneTimeLink, audit: Audit) -> bool:
    """Store a link, unless it is to make the first account and there is one."""
    if link.purpose is LinkPurpose.SETUP:
        db.lock([_FIRST_PERSON])
        if db.query("has_people"):
            return False
    if link.purpose is LinkPurpose.INVITATION:
        db.query("delete_links_of_person", (link.person_id, link.purpose))
    db.query("insert_one_time_link", link)
    write_audit(db, audit)
    return True


@write()
def add_first_person(
    db: DbTransaction, person: Person, link_id: str, session: Session, audit: Audit
) -> bool:
    """Store the first person with a session, by a link."""
    db.lock([_FIRST_PERSON])
    if db.query("has_people"):
        return False
    if db.query_one("use_one_time_link", (link_id, LinkPurpose.SETUP, person.created_at)) is None:
        return False
    db.query("delete_invited_person", (person.email,))
    db.query("insert_person", _row(person))
    db.query("delete_links_of_person", ("", LinkPurpose.SETUP))
    db.query("insert_session", session)
    write_audit(db, audit)
    return True


@write()
def add_person(db: DbTransaction, person: Person, link: OneTimeLink | None, audit: Audit) -> bool:
    """Store a person who is invited."""
    db.lock([_FIRST_PERSON])
    if db.query("person_of_email", (person.email,)):
        return False
    db.query("insert_person", _row(person))
    if link is not None:
        db.query("insert_one_time_link", link)
    write_audit(db, audit)
    return True


@write()
def accept_invitation(
    db: DbTransaction, link_id: str, name: str, password_hash: str, session: Session, audit: Audit
) -> bool:
    """Give an invited person a name, a password and a session."""
    person_id, now = session.person_id, session.created_at
    used = db.query_one("use_one_time_link", (link_id, LinkPurpose.INVITATION, now))
    if used != (person_id,):
        return False
    if db.query_one("accept_invitation", (person_id, now, name, password_hash)) is None:
        return False
    db.query("insert_session", session)
    write_audit(db, audit)
    return True


@write()
def change_person(
    db: DbTransaction,
    before: Person,
    after: Person,
    now: Micros,
    audit: Audit,
    *,
    ends_sessions: bool = False,
) -> PersonChange:
    """Change what an administrator, or the person, may change."""
    refused = _refused_change(db, before, after)
    if refused is not None:
        return refused
    columns = dict(zip(Person._fields, _row(after), strict=True))
    db.query("change_person", {name: columns[name] for name in _CHANGED})
    if ends_sessions:
        db.query("revoke_sessions_of_person", (before.id, now))
        db.query("delete_all_links_of_person", (before.id,))
    write_audit(db, audit)
    return PersonChange.DONE


@write()
def remove_person(db: DbTransaction, before: Person, audit: Audit) -> PersonChange:
    """Delete a person."""
    refused = _refused_change(db, before, None)
    if refused is not None:
        return refused
    db.query("delete_person", (before.id,))
    db.query("delete_sessions_of_person", (before.id,))
    db.query("delete_all_links_of_person", (before.id,))
    write_audit(db, audit)
    return PersonChange.DONE


def _refused_change(db: DbTransaction, before: Person, after: Person | None) -> PersonChange | None:
    db.lock([_FIRST_PERSON])
    stored = db.query_one("person", (before.id,))
    if stored is None or _person(stored).version != before.version:
        return PersonChange.MOVED
    remains = after is not None and _is_owner(after)
    if _is_owner(before) and not remains and not db.query("other_owners", (before.id,)):
        return PersonChange.LAST_OWNER
    return None


def _is_owner(person: Person) -> bool:
    is_there = person.disabled_at is None and person.password_hash + person.oidc_id != ""
    return person.role is Role.OWNER and is_there


@write()
def add_session(
    db: DbTransaction, session: Session, password: CheckedPassword, replaces: str, audit: Audit
) -> bool:
    """Store a session, if the person's password is still the one that was checked."""
    noted = (session.person_id, password.checked, session.created_at, password.stored)
    if db.query_one("note_sign_in", noted) is None:
        return False
    if replaces:
        db.query("revoke_session", (replaces, session.created_at))
    db.query("insert_session", session)
    write_audit(db, audit)
    return True


@write()
def add_session_by_code(
    db: DbTransaction, person: Person, used: UsedCode, session: Session, replaces: str, audit: Audit
) -> bool:
    """Store a session by a code of a second factor, which is used up."""
    now = session.created_at
    link = db.query_one("use_one_time_link", (used.link_id, LinkPurpose.SECOND_STEP, now))
    if link != (person.id,):
        return False
    columns = dict(zip(Person._fields, _row(person), strict=True))
    bindings = {
        "id": person.id,
        "password_hash": person.password_hash,
        "totp_secret": person.totp_secret,
        "old_step": person.totp_step,
        "old_codes": columns["recovery_codes"],
        "step": used.step,
        "codes": msgspec.json.encode(used.recovery_codes).decode(),
        "now": now,
    }
    if db.query_one("use_code", bindings) is None:
        return False
    if replaces:
        db.query("revoke_session", (replaces, now))
    db.query("insert_session", session)
    write_audit(db, audit)
    return True


@write()
def sign_on(db: DbTransaction, step: SignOn, audit: Audit) -> SignOnEnd:
    """Sign somebody in by an identity provider."""
    before, after, begins = step.before, step.after, step.begins
    db.lock([_FIRST_PERSON])
    if db.query("one_time_link", (step.ended.id,)):
        return SignOnEnd.REPLAYED
    if before is None:
        if db.query("person_of_email", (after.email,)):
            return SignOnEnd.MOVED
        db.query("insert_person", _row(after))
    else:
        refused = _refused_change(db, before, after)
        if refused is not None:
            return SignOnEnd(refused)
        _note_sign_on(db, before, after, begins.created_at)
    db.query("insert_one_time_link", step.ended)
    if step.replaces:
        db.query("revoke_session", (step.replaces, begins.created_at))
    is_session = isinstance(begins, Session)
    db.query("insert_session" if is_session else "insert_one_time_link", begins)
    write_audit(db, audit)
    return SignOnEnd.DONE


def _note_sign_on(db: DbTransaction, before: Person, after: Person, now: Micros) -> None:
    if after._replace(last_sign_in_at=before.last_sign_in_at) != before:
        columns = dict(zip(Person._fields, _row(after), strict=True))
        db.query("change_person", {name: columns[name] for name in _CHANGED})
    if before.password_hash + before.oidc_id == "":
        db.query("delete_all_links_of_person", (before.id,))
    db.query("note_sign_on", (before.id, now))


@write()
def set_password(
    db: DbTransaction, link_id: str, password_hash: str, session: Session, audit: Audit
) -> bool:
    """Change a person's password by a link, and begin the only session."""
    person_id, now = session.person_id, session.created_at
    used = db.query_one("use_one_time_link", (link_id, LinkPurpose.PASSWORD, now))
    if used != (person_id,):
        return False
    if db.query_one("set_password", (person_id, now, password_hash)) is None:
        return False
    db.query("delete_all_links_of_person", (person_id,))
    db.query("revoke_sessions_of_person", (person_id, now))
    db.query("insert_session", session)
    write_audit(db, audit)
    return True


@write()
def sign_in_by_link(
    db: DbTransaction, link_id: str, begins: Session | OneTimeLink, audit: Audit
) -> bool:
    """Begin a session, or the second step of a sign-in, by a recovery link."""
    person_id, now = begins.person_id, begins.created_at
    rows = db.query("person", (person_id,))
    if not rows or _person(rows[0]).disabled_at is not None:
        return False
    if db.query_one("use_one_time_link", (link_id, LinkPurpose.RECOVERY, now)) != (person_id,):
        return False
    is_session = isinstance(begins, Session)
    db.query("insert_session" if is_session else "insert_one_time_link", begins)
    if is_session:
        db.query("note_sign_on", (person_id, now))
    write_audit(db, audit)
    return True


@write()
def note_session_use(
    db: DbTransaction, id_: str, last_used_at: Micros, idle_expires_at: Micros
) -> None:
    """Move on the idle expiry of a session."""
    db.query("note_session_use", (id_, last_used_at, idle_expires_at))


@write()
def revoke_session(db: DbTransaction, id_: str, now: Micros, audit: Audit) -> bool:
    """End a session."""
    if db.query_one("revoke_session", (id_, now)) is None:
        return False
    write_audit(db, audit)
    return True


@write()
def revoke_sessions_of(db: DbTransaction, person_id: str, now: Micros, audit: Audit) -> int:
    """End all sessions of a person."""
    revoked = db.query("revoke_sessions_of_person", (person_id, now))
    if revoked:
        write_audit(db, audit)
    return len(revoked)


@write()
def add_audit_entries(db: DbTransaction, audit: Audit) -> None:
    """Store entries of the audit log."""
    write_audit(db, audit)


@write_by_housekeeper()
def purge_people(db: DbTransaction, *, now: Micros, limit: int) -> int:
    """Delete sessions and links that have expired."""
    sessions = db.execute_each("delete_ended_sessions", [(now, limit)]).rowcount
    return sessions + db.execute_each("delete_ended_links", [(now, limit)]).rowcount
