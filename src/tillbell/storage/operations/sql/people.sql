-- People, their sessions and one-time links. Columns are in the order of the records' fields
-- (model/people.py).

-- fragment: person
people.id, people.email, people.name, people.password_hash, people.role, people.created_at,
people.last_sign_in_at, people.disabled_at, people.app_roles, people.totp_secret, people.totp_step,
people.recovery_codes, people.oidc_id, people.version

-- fragment: session
sessions.id, sessions.person_id, sessions.created_at, sessions.last_used_at, sessions.expires_at,
sessions.idle_expires_at, sessions.address, sessions.user_agent, sessions.revoked_at

-- fragment: one_time_link
one_time_links.id, one_time_links.purpose, one_time_links.person_id, one_time_links.created_at,
one_time_links.expires_at

-- name: has_people
-- Who is only invited cannot sign in yet.
SELECT 1 FROM people WHERE password_hash <> '' OR oidc_id <> '' LIMIT 1;

-- name: delete_invited_person
-- Index: people_email.
DELETE FROM people WHERE email = ?1 AND password_hash = '' AND oidc_id = '';

-- name: people
-- Index: primary key.
SELECT {person} FROM people WHERE people.id > :low AND people.id < :high
ORDER BY people.id LIMIT :limit;

-- name: person
-- Index: primary key.
SELECT {person} FROM people WHERE people.id = ?1;

-- name: person_of_email
-- Index: people_email.
SELECT {person} FROM people WHERE people.email = ?1;

-- name: person_of_identity
-- Index: people_oidc.
SELECT {person} FROM people WHERE people.oidc_id = ?1 AND people.oidc_id <> '';

-- name: insert_person
INSERT INTO people
    (id, email, name, password_hash, role, created_at, last_sign_in_at, disabled_at, app_roles,
     totp_secret, totp_step, recovery_codes, oidc_id, version)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14);

-- name: accept_invitation
-- Unless the person has a password, or was disabled.
UPDATE people SET last_sign_in_at = ?2, name = ?3, password_hash = ?4
WHERE id = ?1 AND password_hash = '' AND disabled_at IS NULL
RETURNING id;

-- name: change_person
-- All but what a sign-in changes.
UPDATE people SET name = :name, role = :role, disabled_at = :disabled_at, app_roles = :app_roles,
    totp_secret = :totp_secret, totp_step = :totp_step, recovery_codes = :recovery_codes,
    oidc_id = :oidc_id, version = version + 1
WHERE id = :id;

-- name: other_owners
-- Who may sign in as one.
SELECT 1 FROM people
WHERE role = 'owner' AND disabled_at IS NULL AND (password_hash <> '' OR oidc_id <> '')
    AND id <> ?1
LIMIT 1;

-- name: delete_person
DELETE FROM people WHERE id = ?1;

-- name: delete_sessions_of_person
-- Index: sessions_person.
DELETE FROM sessions WHERE person_id = ?1;

-- name: delete_all_links_of_person
-- Index: one_time_links_person.
DELETE FROM one_time_links WHERE person_id = ?1;

-- name: note_sign_in
-- Unless the password has changed since it was checked (?2), or the person was disabled.
UPDATE people SET last_sign_in_at = ?3, password_hash = ?4
WHERE id = ?1 AND password_hash = ?2 AND disabled_at IS NULL
RETURNING id;

-- name: use_code
-- Unless a code was used, or password or factor were changed, since the person was read.
UPDATE people SET totp_step = :step, recovery_codes = :codes, last_sign_in_at = :now
WHERE id = :id AND password_hash = :password_hash AND totp_secret = :totp_secret
    AND totp_step = :old_step AND recovery_codes = :old_codes AND disabled_at IS NULL
RETURNING id;

-- name: note_sign_on
UPDATE people SET last_sign_in_at = ?2 WHERE id = ?1;

-- name: set_password
UPDATE people SET last_sign_in_at = ?2, password_hash = ?3
WHERE id = ?1 AND disabled_at IS NULL
RETURNING id;

-- name: session_with_person
-- Index: primary keys.
SELECT {session}, {person} FROM sessions CROSS JOIN people
WHERE sessions.id = ?1 AND people.id = sessions.person_id;

-- name: sessions_of_person
-- Index: sessions_person.
SELECT {session} FROM sessions WHERE sessions.person_id = ?1;

-- name: is_known_address
-- Index: sessions_person.
SELECT 1 FROM sessions WHERE person_id = ?1 AND address = ?2 LIMIT 1;

-- name: insert_session
INSERT INTO sessions
    (id, person_id, created_at, last_used_at, expires_at, idle_expires_at, address, user_agent,
     revoked_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);

-- name: note_session_use
UPDATE sessions SET last_used_at = ?2, idle_expires_at = ?3
WHERE id = ?1 AND revoked_at IS NULL;

-- name: revoke_session
UPDATE sessions SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL RETURNING id;

-- name: revoke_sessions_of_person
UPDATE sessions SET revoked_at = ?2 WHERE person_id = ?1 AND revoked_at IS NULL RETURNING id;

-- name: one_time_link
-- Index: primary key.
SELECT {one_time_link} FROM one_time_links WHERE one_time_links.id = ?1;

-- name: insert_one_time_link
INSERT INTO one_time_links (id, purpose, person_id, created_at, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5);

-- name: use_one_time_link
DELETE FROM one_time_links WHERE id = ?1 AND purpose = ?2 AND expires_at > ?3
RETURNING person_id;

-- name: delete_links_of_person
-- The others of one purpose. Index: one_time_links_person.
DELETE FROM one_time_links WHERE person_id = ?1 AND purpose = ?2;

-- name: delete_ended_sessions
-- Index: sessions_expiry.
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2);

-- name: delete_ended_links
-- Index: one_time_links_expiry.
DELETE FROM one_time_links WHERE id IN (
    SELECT id FROM one_time_links WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2);

-- name: move_read_people
SELECT {person} FROM people WHERE people.id > ?1 ORDER BY people.id LIMIT ?2;

-- name: move_read_sessions
SELECT {session} FROM sessions WHERE sessions.id > ?1 ORDER BY sessions.id LIMIT ?2;

-- name: move_read_one_time_links
SELECT {one_time_link} FROM one_time_links
WHERE one_time_links.id > ?1 ORDER BY one_time_links.id LIMIT ?2;
