#!/bin/sh
# Run once, by the first start of the PostgreSQL image: a role that owns its database and nothing else.
set -eu
psql --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
    --set=password="$(cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database_password}")" <<'SQL'
CREATE ROLE tillbell LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE tillbell OWNER tillbell;
REVOKE CONNECT ON DATABASE tillbell FROM PUBLIC;
SQL
