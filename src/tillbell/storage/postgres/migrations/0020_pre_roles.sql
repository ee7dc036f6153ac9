-- People have roles for single applications too, may be invited before they have a password, may
-- have a second factor, and may come by an identity provider.
ALTER TABLE people DROP CONSTRAINT people_role_check;
ALTER TABLE people ADD CONSTRAINT people_role_check  -- for all applications; '': none
    CHECK (role IN ('', 'owner', 'admin', 'developer', 'operator', 'finance', 'viewer'));
-- JSON: id of an application → role
ALTER TABLE people ADD COLUMN app_roles text COLLATE "C" NOT NULL DEFAULT '{}';
-- sealed; '': no second factor
ALTER TABLE people ADD COLUMN totp_secret text COLLATE "C" NOT NULL DEFAULT '';
-- of the last code that was used
ALTER TABLE people ADD COLUMN totp_step bigint NOT NULL DEFAULT 0;
-- JSON: hashes of those that are not used
ALTER TABLE people ADD COLUMN recovery_codes text COLLATE "C" NOT NULL DEFAULT '[]';
-- issuer and subject; '': none
ALTER TABLE people ADD COLUMN oidc_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE people ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX people_oidc ON people (oidc_id) WHERE oidc_id <> '';
