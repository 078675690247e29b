DROP FUNCTION telemetry_try_store;
DROP TABLE rejected_messages;
DROP TABLE ingest_batches;
DROP TABLE telemetry_messages_audit;
DROP TABLE telemetry_messages;
DROP SEQUENCE telemetry_messages_id_seq;
DROP TABLE message_kinds;
