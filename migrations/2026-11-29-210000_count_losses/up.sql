-- What a server received and did not keep, by hour: told apart from what a node did not send.

CREATE TABLE server_losses (
    server_id text NOT NULL,
    hour timestamptz NOT NULL,
    reason text NOT NULL,
    messages bigint NOT NULL,
    PRIMARY KEY (hour, server_id, reason)
);
COMMENT ON TABLE server_losses IS 'Messages that a server received and did not keep, by hour and reason; purged after ROLLUP_EXPIRY_D. What was lost in the last seconds of a server is in its log only.';
COMMENT ON COLUMN server_losses.server_id IS 'The server, see servers.';
COMMENT ON COLUMN server_losses.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN server_losses.reason IS 'Why: a reason of ingest_messages_dropped_total, or rejected: the database refused them, see rejected_messages.';
COMMENT ON COLUMN server_losses.messages IS 'How many.';
