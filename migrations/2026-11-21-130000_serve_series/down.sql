CREATE OR REPLACE FUNCTION telemetry_integer(logs jsonb, field text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN logs ->> field ~ '^-?[0-9]{1,18}$' THEN (logs ->> field)::bigint END $$;

CREATE OR REPLACE FUNCTION telemetry_number(logs jsonb, field text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN logs ->> field ~ '^-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$' THEN (logs ->> field)::numeric END $$;

DROP INDEX peer_connections_chain_idx;
DROP VIEW telemetry_rows;
