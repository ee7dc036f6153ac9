-- People have roles for single applications too, may be invited before they have a password, may
-- have a second factor, and may come by an identity provider.
CREATE TABLE people_with_roles (
    id              TEXT NOT NULL PRIMARY KEY,
    email           TEXT NOT NULL,           -- in lower case
    name            TEXT NOT NULL,
    password_hash   TEXT NOT NULL,           -- '': there is no password to sign in with
    role            TEXT NOT NULL            -- for all applications; '': none
        CHECK (role IN ('', 'owner', 'admin', 'developer', 'operator', 'finance', 'viewer')),
    created_at      INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    disabled_at     INTEGER,
    app_roles       TEXT NOT NULL,           -- JSON: id of an application → role
    totp_secret     TEXT NOT NULL,           -- sealed; '': no second factor
    totp_step       INTEGER NOT NULL,        -- of the last code that was used
    recovery_codes  TEXT NOT NULL,           -- JSON: hashes of those that are not used
    oidc_id         TEXT NOT NULL,           -- issuer and subject; '': none
    version         INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO people_with_roles
SELECT id, email, name, password_hash, role, created_at, last_sign_in_at, disabled_at,
    '{}', '', 0, '[]', '', 1
FROM people;
DROP TABLE people;
ALTER TABLE people_with_roles RENAME TO people;
CREATE UNIQUE INDEX people_email ON people (email);
CREATE UNIQUE INDEX people_oidc ON people (oidc_id) WHERE oidc_id <> '';
