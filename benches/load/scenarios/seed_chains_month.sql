-- Puts the last day of the log into the 29 days before it; half of the days, so that two run at once.
--
-- Variables of psql: half (0 or 1).
INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
SELECT m.id + day * (SELECT max(id) FROM telemetry_messages), m.created_at - day * interval '1 day', m.peer_connection_id, m.kind_id, m.logs
FROM generate_series(1 + :half, 29, 2) AS day
CROSS JOIN (SELECT * FROM telemetry_messages WHERE created_at > now() - interval '23 hours 59 minutes') AS m;
