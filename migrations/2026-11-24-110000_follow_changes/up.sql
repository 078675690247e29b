-- The change stream: stored batches and sessions in the order of transactions,
-- and how far each projection has followed it.

-- Whoever asks for the batches of some transactions reads only those.
CREATE INDEX ingest_batches_changes_idx ON ingest_batches (transaction_id, id);

-- A constant default needs no rewrite; sessions of before count as long past.
ALTER TABLE peer_connections ADD COLUMN transaction_id bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN peer_connections.transaction_id IS 'Transaction that changed the session last; with the snapshot of a reader it tells which changes are new to it.';
CREATE INDEX peer_connections_changes_idx ON peer_connections (transaction_id);

-- By trigger, so that it is true whichever version writes.
CREATE FUNCTION telemetry_stamp_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.transaction_id := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION telemetry_stamp_transaction IS 'Enters the current transaction into a row that is written.';
CREATE TRIGGER peer_connections_stamp BEFORE INSERT OR UPDATE ON peer_connections
    FOR EACH ROW EXECUTE FUNCTION telemetry_stamp_transaction();

CREATE TABLE projections (
    name text PRIMARY KEY,
    position bigint,
    build_end bigint,
    built_until timestamptz,
    build_from timestamptz,
    cluster_id text,
    token bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE projections IS 'Tables that are maintained from the messages, and how far each has come; committed with their rows.';
COMMENT ON COLUMN projections.name IS 'Name of the projection.';
COMMENT ON COLUMN projections.position IS 'Transactions below it are contained; NULL while it is built from the stored messages.';
COMMENT ON COLUMN projections.build_end IS 'While it is built: transactions from here on come from the change stream afterwards.';
COMMENT ON COLUMN projections.built_until IS 'While it is built: messages that arrived before this time are contained.';
COMMENT ON COLUMN projections.build_from IS 'Messages that arrived before this time are left out; NULL for none.';
COMMENT ON COLUMN projections.cluster_id IS 'Database cluster in which position counts: transactions of another one, after dump and restore, say nothing.';
COMMENT ON COLUMN projections.token IS 'Fencing token of the lease under which it was written last.';
COMMENT ON COLUMN projections.updated_at IS 'When it was written last.';
