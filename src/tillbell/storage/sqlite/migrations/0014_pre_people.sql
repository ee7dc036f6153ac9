-- People who sign in, their sessions, and the links that let somebody in once.
CREATE TABLE people (
    id              TEXT NOT NULL PRIMARY KEY,
    email           TEXT NOT NULL,           -- in lower case
    name            TEXT NOT NULL,
    password_hash   TEXT NOT NULL,
    role            TEXT NOT NULL
        CHECK (role IN ('owner', 'admin', 'developer', 'operator', 'finance', 'viewer')),
    created_at      INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    disabled_at     INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX people_email ON people (email);

CREATE TABLE sessions (
    id              TEXT NOT NULL PRIMARY KEY, -- the hash of its token
    person_id       TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    last_used_at    INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL,
    address         TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    revoked_at      INTEGER
) WITHOUT ROWID;
CREATE INDEX sessions_person ON sessions (person_id, address);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE one_time_links (
    id              TEXT NOT NULL PRIMARY KEY, -- the hash of its token
    purpose         TEXT NOT NULL,
    person_id       TEXT NOT NULL,           -- '': of nobody yet
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX one_time_links_person ON one_time_links (person_id, purpose);
CREATE INDEX one_time_links_expiry ON one_time_links (expires_at);
