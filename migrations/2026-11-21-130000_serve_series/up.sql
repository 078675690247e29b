-- What charts over any length of time need: messages in the order of an index,
-- the nodes of a chain, and numbers that are read quickly.

CREATE VIEW telemetry_rows AS
SELECT id, created_at, peer_connection_id, kind_id, target, logs FROM telemetry_messages
UNION ALL
SELECT id, created_at, peer_connection_id, kind_id, target, logs FROM telemetry_messages_audit;
COMMENT ON VIEW telemetry_rows IS 'Every message, with the number of its kind only (see message_kinds). Without the join of telemetry_logs it can be read backwards along an index up to a LIMIT.';

CREATE INDEX peer_connections_chain_idx ON peer_connections (genesis_hash, created_at);

-- As before, but five times as quick: a repetition with bounds, as in [0-9]{1,40},
-- is what takes long. Bounds are on the length of the text now.
CREATE OR REPLACE FUNCTION telemetry_number(logs jsonb, field text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN length(logs ->> field) <= 86 AND logs ->> field ~ '^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9][0-9]?)?$' THEN (logs ->> field)::numeric END $$;

CREATE OR REPLACE FUNCTION telemetry_integer(logs jsonb, field text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN length(logs ->> field) <= 18 AND logs ->> field ~ '^-?[0-9]+$' THEN (logs ->> field)::bigint END $$;
