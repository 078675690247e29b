-- How far each transport of events is.

CREATE TABLE event_transports (
    name text PRIMARY KEY,
    cursor_id bigint NOT NULL,
    sent bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,
    pending_bytes bigint NOT NULL DEFAULT 0,
    oldest_pending_at timestamptz,
    sent_at timestamptz,
    retry_at timestamptz,
    error text,
    error_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE event_transports IS 'Transports by which events leave, each with how far it is. One server at a time sends by each of them.';
COMMENT ON COLUMN event_transports.name IS 'Name in EVENT_TRANSPORTS.';
COMMENT ON COLUMN event_transports.cursor_id IS 'Events up to this number are done: sent, left out by the filter, in the outbox because they were refused, or dropped.';
COMMENT ON COLUMN event_transports.sent IS 'Events that the receiver took.';
COMMENT ON COLUMN event_transports.failed IS 'Attempts that failed and were repeated.';
COMMENT ON COLUMN event_transports.dead IS 'Events that were given up because the receiver refused them again and again; the outbox has them for nine days, with the reason.';
COMMENT ON COLUMN event_transports.dropped IS 'Events that were never sent: the backlog was full, they expired, or delivery is at most once and failed.';
COMMENT ON COLUMN event_transports.pending IS 'Events after the cursor that pass the filter, when that was last looked up.';
COMMENT ON COLUMN event_transports.pending_bytes IS 'Bytes that they take in the database.';
COMMENT ON COLUMN event_transports.oldest_pending_at IS 'Arrival of the oldest of them; NULL if there is none.';
COMMENT ON COLUMN event_transports.sent_at IS 'When the receiver last took something.';
COMMENT ON COLUMN event_transports.retry_at IS 'When the next attempt is due after one that failed; NULL if the last one did not.';
COMMENT ON COLUMN event_transports.error IS 'What the last attempt that failed failed with.';
COMMENT ON COLUMN event_transports.error_at IS 'When that was.';
COMMENT ON COLUMN event_transports.updated_at IS 'When this row was last written.';
