#!/bin/sh
# Makes the role with which Grafana reads, when the database is made; the server's own
# `database grant-read` gives it its rights.
set -eu

psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$GRAFANA_DB_PASSWORD" <<'SQL'
CREATE ROLE grafana LOGIN PASSWORD :'password' CONNECTION LIMIT 10;
SQL
