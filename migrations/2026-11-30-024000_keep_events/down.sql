DELETE FROM projections WHERE name = 'events';
DROP TABLE malformed_events;
DROP TABLE waiting_events;
DROP TABLE event_identities;
DROP TABLE events;
DROP FUNCTION make_events_day;
DROP SEQUENCE events_id_seq;

DROP VIEW telemetry_rows;
CREATE VIEW telemetry_rows AS
SELECT id, created_at, peer_connection_id, kind_id, target, logs FROM telemetry_messages
UNION ALL
SELECT id, created_at, peer_connection_id, kind_id, target, logs FROM telemetry_messages_audit;
COMMENT ON VIEW telemetry_rows IS 'Every message, with the number of its kind only (see message_kinds). Without the join of telemetry_logs it can be read backwards along an index up to a LIMIT.';
COMMENT ON COLUMN telemetry_rows.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN telemetry_rows.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN telemetry_rows.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN telemetry_rows.kind_id IS 'Kind, see message_kinds.';
COMMENT ON COLUMN telemetry_rows.target IS 'Field target of the message (tracing), else NULL.';
COMMENT ON COLUMN telemetry_rows.logs IS 'Fields of the event at the top level.';
