-- Does: enters events, each once. One whose identity is known is entered only if it is the one that gave it, so that
--   extracting anew gives the same rows; those of sessions whose node is not known yet wait.
-- Params: $1 to $12 events as arrays, in the order of `v`.
-- Index: event_identities_pkey, peer_connections_pkey, events_pkey.
-- Cost: one row of each table for each event.
-- Order: by arrival, message and place: numbers follow it.
WITH asked AS MATERIALIZED (
    SELECT v.*, coalesce(v.claimed_peer_id, p.peer_id) AS peer_id, p.genesis_hash, p.chain,
           coalesce(v.posted_by, p.peer_id, CASE WHEN p.disconnected_at IS NOT NULL THEN 'session:' || v.session_id END) AS source
    FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::boolean[], $12::text[])
        AS v (session_id, message_id, place, posted_by, claimed_peer_id, digest, name, severity, "time", received_at, audit, data)
    LEFT JOIN peer_connections p ON p.id = v.session_id
), waiting AS (
    INSERT INTO waiting_events (session_id, message_id, place, digest, name, severity, "time", received_at, audit, data)
    SELECT session_id, message_id, place, digest, name, severity, "time", received_at, audit, data::jsonb FROM asked WHERE source IS NULL
    ON CONFLICT DO NOTHING
    RETURNING 1
), identified AS (
    SELECT a.*, substring(sha256(convert_to(a.source, 'UTF8') || '\x00' || a.digest) FOR 16) AS hash
    FROM asked a WHERE a.source IS NOT NULL
), firsts AS (
    SELECT DISTINCT ON (i.hash) i.*, k.id AS known_id
    FROM identified i LEFT JOIN event_identities k ON k.hash = i.hash
    WHERE k.hash IS NULL OR k.message_id = i.message_id
    ORDER BY i.hash, i.received_at, i.message_id, i.place
), numbered AS MATERIALIZED (
    SELECT o.*, coalesce(o.known_id, nextval('events_id_seq')) AS id
    FROM (SELECT * FROM firsts ORDER BY received_at, message_id, place) o
), identities AS (
    INSERT INTO event_identities (hash, id, received_at, message_id, audit)
    SELECT hash, id, received_at, message_id, audit FROM numbered WHERE known_id IS NULL
), entered AS (
    INSERT INTO events (id, event_id, source, peer_id, genesis_hash, chain, name, severity, "time", received_at, message_id, data, audit)
    SELECT id, encode(hash, 'hex'), source, peer_id, genesis_hash, chain, name, severity, "time", received_at, message_id, data::jsonb, audit FROM numbered
    ON CONFLICT DO NOTHING
    RETURNING name, received_at, data
)
SELECT (SELECT count(*) FROM entered) AS stored, (SELECT count(*) FROM waiting) AS waiting,
       (SELECT coalesce(json_agg(json_build_object(
               'name', name, 'at', received_at, 'service_id', data ->> 'service_id', 'job_id', data ->> 'job_id', 'blueprint_id', data ->> 'blueprint_id',
               'duration_ms', telemetry_number(data, 'duration_ms')::double precision, 'error', left(data ->> 'error', 200))), '[]')
        FROM entered WHERE name IN ('job.started', 'job.finished', 'job.failed') AND data ->> 'service_id' <> '')::text AS jobs
