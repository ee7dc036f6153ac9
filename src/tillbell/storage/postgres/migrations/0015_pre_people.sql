-- People who sign in, their sessions, and the links that let somebody in once.
CREATE TABLE people (
    id              text COLLATE "C" NOT NULL PRIMARY KEY,
    email           text COLLATE "C" NOT NULL, -- in lower case
    name            text COLLATE "C" NOT NULL,
    password_hash   text COLLATE "C" NOT NULL,
    role            text COLLATE "C" NOT NULL
        CHECK (role IN ('owner', 'admin', 'developer', 'operator', 'finance', 'viewer')),
    created_at      bigint NOT NULL,
    last_sign_in_at bigint,
    disabled_at     bigint
);
CREATE UNIQUE INDEX people_email ON people (email);

CREATE TABLE sessions (
    id              text COLLATE "C" NOT NULL PRIMARY KEY, -- the hash of its token
    person_id       text COLLATE "C" NOT NULL,
    created_at      bigint NOT NULL,
    last_used_at    bigint NOT NULL,
    expires_at      bigint NOT NULL,
    idle_expires_at bigint NOT NULL,
    address         text COLLATE "C" NOT NULL,
    user_agent      text COLLATE "C" NOT NULL,
    revoked_at      bigint
);
CREATE INDEX sessions_person ON sessions (person_id, address);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE one_time_links (
    id              text COLLATE "C" NOT NULL PRIMARY KEY, -- the hash of its token
    purpose         text COLLATE "C" NOT NULL,
    person_id       text COLLATE "C" NOT NULL, -- '': of nobody yet
    created_at      bigint NOT NULL,
    expires_at      bigint NOT NULL
);
CREATE INDEX one_time_links_person ON one_time_links (person_id, purpose);
CREATE INDEX one_time_links_expiry ON one_time_links (expires_at);
