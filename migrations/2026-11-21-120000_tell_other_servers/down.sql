ALTER TABLE ingest_batches
    DROP COLUMN transaction_id,
    DROP COLUMN last_at,
    DROP COLUMN first_at,
    DROP COLUMN last_id,
    DROP COLUMN server_id;
