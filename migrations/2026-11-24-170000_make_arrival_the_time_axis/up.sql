-- created_at becomes the time at which the server read the message, always. What
-- the node claimed is kept as the difference, four bytes, or as node_ts where
-- that does not fit. Rows from before have neither where they were dated by
-- their node: created_at is what it claimed. No row is written anew.

-- Others wait behind the lock on all partitions, so this gives up soon; the
-- server tries again.
SET LOCAL lock_timeout = '3s';

ALTER TABLE telemetry_messages ADD COLUMN node_delta_us integer;
ALTER TABLE telemetry_messages_audit ADD COLUMN node_delta_us integer;
COMMENT ON COLUMN telemetry_messages.created_at IS 'When the server read the message from the socket, by its clock. In rows from before node_delta_us: the time of the node where it was within MAX_CLOCK_SKEW_S of the server.';
COMMENT ON COLUMN telemetry_messages.node_ts IS 'Time that the node claimed, where it is too far from created_at for node_delta_us (more than 35 minutes); else NULL.';
COMMENT ON COLUMN telemetry_messages.node_delta_us IS 'Time that the node claimed, as microseconds after created_at (negative: before it); NULL if node_ts has it, or if the node claimed none.';
COMMENT ON COLUMN telemetry_messages_audit.created_at IS 'When the server read the message from the socket, by its clock. In rows from before node_delta_us: the time of the node where it was within MAX_CLOCK_SKEW_S of the server.';
COMMENT ON COLUMN telemetry_messages_audit.node_ts IS 'Time that the node claimed, where it is too far from created_at for node_delta_us (more than 35 minutes); else NULL.';
COMMENT ON COLUMN telemetry_messages_audit.node_delta_us IS 'Time that the node claimed, as microseconds after created_at (negative: before it); NULL if node_ts has it, or if the node claimed none.';
COMMENT ON COLUMN rejected_messages.created_at IS 'When the server read the message from the socket.';
COMMENT ON COLUMN ingest_batches.first_at IS 'Earliest created_at of the messages: when the first of them was received.';
COMMENT ON COLUMN ingest_batches.last_at IS 'Latest created_at of the messages: when the last of them was received.';

-- Beside the one without in_node_delta_us, which servers of the version before call.
CREATE FUNCTION telemetry_try_store(
    in_audit boolean, in_id bigint, in_created_at timestamptz, in_peer_connection_id bigint,
    in_kind_id smallint, in_node_ts timestamptz, in_target text, in_logs bytea, in_node_delta_us integer,
    OUT sqlstate_code text, OUT reason text
) LANGUAGE plpgsql AS $$
BEGIN
    IF in_audit THEN
        INSERT INTO telemetry_messages_audit (id, created_at, peer_connection_id, kind_id, node_ts, target, logs, node_delta_us)
        VALUES (in_id, in_created_at, in_peer_connection_id, in_kind_id, in_node_ts, in_target, convert_from(in_logs, 'UTF8')::jsonb, in_node_delta_us);
    ELSE
        INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, node_ts, target, logs, node_delta_us)
        VALUES (in_id, in_created_at, in_peer_connection_id, in_kind_id, in_node_ts, in_target, convert_from(in_logs, 'UTF8')::jsonb, in_node_delta_us);
    END IF;
EXCEPTION WHEN OTHERS THEN
    sqlstate_code := SQLSTATE;
    reason := SQLERRM;
END
$$;
COMMENT ON FUNCTION telemetry_try_store(boolean, bigint, timestamptz, bigint, smallint, timestamptz, text, bytea, integer) IS 'Stores one message, or tells by SQLSTATE why not.';

CREATE OR REPLACE VIEW telemetry_logs AS
SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at + m.node_delta_us * interval '1 microsecond', m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
FROM telemetry_messages m JOIN message_kinds k ON k.id = m.kind_id
UNION ALL
SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at + m.node_delta_us * interval '1 microsecond', m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
FROM telemetry_messages_audit m JOIN message_kinds k ON k.id = m.kind_id;
COMMENT ON COLUMN telemetry_logs.created_at IS 'When the server read the message from the socket, by its clock; the axis of time of everything here.';
COMMENT ON COLUMN telemetry_logs.node_ts IS 'Time that the node claimed, by its clock; created_at if it claimed none.';
