DROP TABLE projections;
DROP TRIGGER peer_connections_stamp ON peer_connections;
DROP FUNCTION telemetry_stamp_transaction;
DROP INDEX peer_connections_changes_idx;
ALTER TABLE peer_connections DROP COLUMN transaction_id;
DROP INDEX ingest_batches_changes_idx;
