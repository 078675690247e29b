-- The messages themselves. What lies beneath the view telemetry_logs is private
-- to the store room; people, Grafana and the query room read the view.

CREATE TABLE message_kinds (
    id smallint PRIMARY KEY,
    msg text NOT NULL UNIQUE
);
COMMENT ON TABLE message_kinds IS 'Dictionary of the values of msg, so that a message carries two bytes of it.';
COMMENT ON COLUMN message_kinds.id IS 'Key used in telemetry_messages; 0 stands for all kinds beyond MESSAGE_KINDS_MAX.';
COMMENT ON COLUMN message_kinds.msg IS 'Name of the kind, for instance block.import; empty for messages that have none.';
INSERT INTO message_kinds (id, msg) VALUES (0, '(unlisted)');

-- Messages get their id in the server, before anything is stored: each
-- nextval() reserves a block as long as the increment, starting at its value.
CREATE SEQUENCE telemetry_messages_id_seq AS bigint INCREMENT BY 1048576 MINVALUE 1 START WITH 1;
COMMENT ON SEQUENCE telemetry_messages_id_seq IS 'Blocks of 1,048,576 ids of messages and batches, reserved by servers.';

CREATE TABLE telemetry_messages (
    id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    peer_connection_id bigint NOT NULL,
    kind_id smallint NOT NULL,
    node_ts timestamptz,
    target text,
    logs jsonb NOT NULL
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE telemetry_messages IS 'Messages from / and /submit, in partitions that retention makes and drops. Read telemetry_logs instead.';
COMMENT ON COLUMN telemetry_messages.id IS 'Number of the message, handed out by the server; grows with the time of arrival at one server.';
COMMENT ON COLUMN telemetry_messages.created_at IS 'Time of the node where it is within MAX_CLOCK_SKEW_S of the server, else time of the server.';
COMMENT ON COLUMN telemetry_messages.peer_connection_id IS 'Session, see peer_connections. No foreign key: sessions and messages are written side by side.';
COMMENT ON COLUMN telemetry_messages.kind_id IS 'Kind, see message_kinds.';
COMMENT ON COLUMN telemetry_messages.node_ts IS 'Time that the node claimed, where it differs from created_at; else NULL.';
COMMENT ON COLUMN telemetry_messages.target IS 'Field target of the message (tracing), else NULL.';
COMMENT ON COLUMN telemetry_messages.logs IS 'Fields of the event at the top level, without msg, level, id and ts of the envelope.';

CREATE INDEX telemetry_messages_session_idx ON telemetry_messages (peer_connection_id, created_at);
CREATE INDEX telemetry_messages_kind_idx ON telemetry_messages (kind_id, peer_connection_id);
CREATE INDEX telemetry_messages_target_idx ON telemetry_messages (peer_connection_id, created_at) WHERE target IS NOT NULL;
CREATE INDEX telemetry_messages_time_idx ON telemetry_messages USING brin (created_at) WITH (pages_per_range = 32);

-- Catches what falls outside all partitions, so that a late partition costs no message.
CREATE TABLE telemetry_messages_default PARTITION OF telemetry_messages DEFAULT;

CREATE TABLE telemetry_messages_audit (LIKE telemetry_messages INCLUDING COMMENTS) PARTITION BY RANGE (created_at);
COMMENT ON TABLE telemetry_messages_audit IS 'Messages from /audit: as telemetry_messages, but never purged.';
CREATE INDEX telemetry_messages_audit_session_idx ON telemetry_messages_audit (peer_connection_id, created_at);
CREATE INDEX telemetry_messages_audit_kind_idx ON telemetry_messages_audit (kind_id, peer_connection_id);
CREATE INDEX telemetry_messages_audit_target_idx ON telemetry_messages_audit (peer_connection_id, created_at) WHERE target IS NOT NULL;
CREATE INDEX telemetry_messages_audit_time_idx ON telemetry_messages_audit USING brin (created_at) WITH (pages_per_range = 32);
CREATE TABLE telemetry_messages_audit_default PARTITION OF telemetry_messages_audit DEFAULT;

CREATE TABLE ingest_batches (
    id bigint PRIMARY KEY,
    stored_at timestamptz NOT NULL DEFAULT now(),
    rejected bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE ingest_batches IS 'Batches stored lately, committed with their rows: a batch that is sent again is recognised here.';
COMMENT ON COLUMN ingest_batches.id IS 'Number of the batch, from the same blocks as the ids of messages.';
COMMENT ON COLUMN ingest_batches.stored_at IS 'Server time of the database at the start of the transaction.';
COMMENT ON COLUMN ingest_batches.rejected IS 'Messages of the batch that the database refused.';
CREATE INDEX ingest_batches_stored_idx ON ingest_batches USING brin (stored_at);

CREATE TABLE rejected_messages (
    id bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    peer_connection_id bigint NOT NULL,
    msg text NOT NULL,
    reason text NOT NULL,
    logs bytea NOT NULL
);
COMMENT ON TABLE rejected_messages IS 'Messages that the database refused, each with the reason; the newest REJECTED_MESSAGES_MAX are kept.';
COMMENT ON COLUMN rejected_messages.id IS 'Number that the message would have had.';
COMMENT ON COLUMN rejected_messages.created_at IS 'As in telemetry_messages.';
COMMENT ON COLUMN rejected_messages.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN rejected_messages.msg IS 'Name of the kind.';
COMMENT ON COLUMN rejected_messages.reason IS 'What the database said.';
COMMENT ON COLUMN rejected_messages.logs IS 'The fields as JSON text in UTF-8, cut at 64 KiB; bytes, because the database may have refused the text.';

-- Tells why a single message cannot be stored: COPY ends the transaction without
-- a code that the server could read, and only the code says whether the message
-- is at fault or the database.
CREATE FUNCTION telemetry_try_store(
    in_audit boolean, in_id bigint, in_created_at timestamptz, in_peer_connection_id bigint,
    in_kind_id smallint, in_node_ts timestamptz, in_target text, in_logs bytea,
    OUT sqlstate_code text, OUT reason text
) LANGUAGE plpgsql AS $$
BEGIN
    IF in_audit THEN
        INSERT INTO telemetry_messages_audit VALUES (in_id, in_created_at, in_peer_connection_id, in_kind_id, in_node_ts, in_target, convert_from(in_logs, 'UTF8')::jsonb);
    ELSE
        INSERT INTO telemetry_messages VALUES (in_id, in_created_at, in_peer_connection_id, in_kind_id, in_node_ts, in_target, convert_from(in_logs, 'UTF8')::jsonb);
    END IF;
EXCEPTION WHEN OTHERS THEN
    sqlstate_code := SQLSTATE;
    reason := SQLERRM;
END
$$;
COMMENT ON FUNCTION telemetry_try_store IS 'Stores one message, or tells by SQLSTATE why not.';
