-- The version before has no place but node_ts for what a node claimed, so it is
-- written there: each row stored since is written anew, which takes a while.
UPDATE telemetry_messages SET node_ts = created_at + node_delta_us * interval '1 microsecond' WHERE node_delta_us <> 0;
UPDATE telemetry_messages_audit SET node_ts = created_at + node_delta_us * interval '1 microsecond' WHERE node_delta_us <> 0;

CREATE OR REPLACE VIEW telemetry_logs AS
SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
FROM telemetry_messages m JOIN message_kinds k ON k.id = m.kind_id
UNION ALL
SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
FROM telemetry_messages_audit m JOIN message_kinds k ON k.id = m.kind_id;
COMMENT ON COLUMN telemetry_logs.created_at IS 'Time of the node where it is within MAX_CLOCK_SKEW_S of the server, else time of the server.';
COMMENT ON COLUMN telemetry_logs.node_ts IS 'Time that the node claimed.';

DROP FUNCTION telemetry_try_store(boolean, bigint, timestamptz, bigint, smallint, timestamptz, text, bytea, integer);

COMMENT ON COLUMN ingest_batches.first_at IS 'Earliest created_at of the messages.';
COMMENT ON COLUMN ingest_batches.last_at IS 'Latest created_at of the messages.';
COMMENT ON COLUMN rejected_messages.created_at IS 'As in telemetry_messages.';
ALTER TABLE telemetry_messages DROP COLUMN node_delta_us;
ALTER TABLE telemetry_messages_audit DROP COLUMN node_delta_us;
COMMENT ON COLUMN telemetry_messages.created_at IS 'Time of the node where it is within MAX_CLOCK_SKEW_S of the server, else time of the server.';
COMMENT ON COLUMN telemetry_messages.node_ts IS 'Time that the node claimed, where it differs from created_at; else NULL.';
COMMENT ON COLUMN telemetry_messages_audit.created_at IS 'Time of the node where it is within MAX_CLOCK_SKEW_S of the server, else time of the server.';
COMMENT ON COLUMN telemetry_messages_audit.node_ts IS 'Time that the node claimed, where it differs from created_at; else NULL.';
