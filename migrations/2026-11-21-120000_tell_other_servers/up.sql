-- What other servers of the same database need to find the messages of a batch.

ALTER TABLE ingest_batches
    ADD COLUMN server_id text,
    ADD COLUMN last_id bigint,
    ADD COLUMN first_at timestamptz,
    ADD COLUMN last_at timestamptz,
    ADD COLUMN transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN ingest_batches.server_id IS 'Server that received the messages, see servers.';
COMMENT ON COLUMN ingest_batches.last_id IS 'Number of the last message; the first has the number of the batch, and all lie between them.';
COMMENT ON COLUMN ingest_batches.first_at IS 'Earliest created_at of the messages.';
COMMENT ON COLUMN ingest_batches.last_at IS 'Latest created_at of the messages.';
COMMENT ON COLUMN ingest_batches.transaction_id IS 'Transaction that stored the batch; with the snapshot of a reader it tells which batches are new to it.';
