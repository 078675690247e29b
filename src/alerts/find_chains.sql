-- Does: finds what is wrong with chains, projections, jobs of services, and the machines of authorities.
-- Params: $1 blocks that finality may be behind, $2 rows.
-- Index: nodes_online_idx, peer_connections_pkey, job_hours_pkey; chain_status, projections and status_outages are small.
-- Cost: the nodes that are online.
-- Order: none.
WITH online AS (
    SELECT n.peer_id, n.genesis_hash, n.name, n.chain, n.session_id, n.best_height, n.best_at, n.finalized_height, n.server_id,
           CASE WHEN n.genesis_hash = '' THEN coalesce(n.chain, '') ELSE '' END AS key
    FROM nodes n WHERE n.online
), chains AS (
    -- The blocks that a fair part of the nodes has, as in status_overview.sql.
    SELECT genesis_hash, key, max(chain) AS chain, count(*) AS nodes,
           array_agg(best_height ORDER BY best_height DESC) FILTER (WHERE best_height BETWEEN 0 AND 4294967295) AS best,
           array_agg(finalized_height ORDER BY finalized_height DESC) FILTER (WHERE finalized_height BETWEEN 0 AND 4294967295) AS finalized
    FROM online GROUP BY genesis_hash, key
), fair AS MATERIALIZED (
    -- Computed once: as a part of conditions it would be for each node.
    SELECT c.genesis_hash, c.key, c.chain, c.nodes,
           chain_height(c.best) AS best,
           chain_height(c.finalized) AS finalized
    FROM chains c
), reached AS (
    SELECT f.genesis_hash, f.key, min(o.best_at) AS moved_at
    FROM fair f JOIN online o ON o.genesis_hash = f.genesis_hash AND o.key = f.key AND o.best_height >= f.best
    GROUP BY f.genesis_hash, f.key
), seen AS (
    -- What nobody could see stood still for nobody: the end of the last outage of our own.
    SELECT s.genesis_hash, s.key, max(coalesce(u.ended_at, now())) AS seen_from
    FROM (SELECT DISTINCT genesis_hash, key, server_id FROM online) s
    JOIN status_outages u ON u.server_id = '' OR u.server_id = s.server_id
    WHERE u.ended_at IS NULL OR u.ended_at > now() - interval '1 day'
    GROUP BY s.genesis_hash, s.key
), moved AS (
    SELECT f.*, r.moved_at, s.seen_from
    FROM fair f
    LEFT JOIN reached r ON r.genesis_hash = f.genesis_hash AND r.key = f.key
    LEFT JOIN seen s ON s.genesis_hash = f.genesis_hash AND s.key = f.key
)
SELECT f.rule, m.genesis_hash || '/' || m.key AS key, 'chain' AS subject, NULL AS peer_id, nullif(m.genesis_hash, '') AS genesis_hash,
       NULL AS name, m.chain, NULL AS server_id, false AS authority, f.summary, f.since, greatest(f.since, m.seen_from) AS held_since
FROM moved m
CROSS JOIN LATERAL (
    SELECT 'chain_stalled', 'has had no new block than ' || m.best, m.moved_at
    -- One that has stood for a day is not in use.
    WHERE greatest(m.moved_at, m.seen_from) < now() - interval '30 seconds' AND m.moved_at > now() - interval '1 day'
    UNION ALL
    SELECT 'chain_finality_lag', 'has finalized block ' || m.finalized || ', ' || (m.best - m.finalized) || ' behind the best', NULL
    WHERE m.best - m.finalized > $1
) f (rule, summary, since)
UNION ALL
SELECT 'telemetry_lost', c.genesis_hash || '/' || c.chain, 'chain', NULL, nullif(c.genesis_hash, ''), NULL,
       coalesce((SELECT o.chain FROM online o WHERE o.genesis_hash = c.genesis_hash LIMIT 1), nullif(c.chain, ''), n.chain), NULL, false,
       'lost ' || c.nodes || ' nodes at once', c.since, c.changed_at
FROM chain_status c
LEFT JOIN LATERAL (SELECT n.chain FROM nodes n WHERE n.genesis_hash = c.genesis_hash ORDER BY n.session_at DESC LIMIT 1) n ON c.genesis_hash <> ''
WHERE c.state = 'telemetry_lost'
UNION ALL
SELECT 'projection_behind', p.name, 'projection', NULL, NULL, p.name, NULL, NULL, false,
       CASE WHEN p.position IS NULL THEN 'is being built' ELSE 'has not read what was stored long ago' END, NULL, NULL
FROM projections p
WHERE p.position IS NULL OR EXISTS (
    SELECT FROM ingest_batches b WHERE b.transaction_id >= p.position AND b.transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    AND b.last_at < now() - interval '5 minutes'
)
UNION ALL
(SELECT 'job_failing', j.service_id || '/' || j.job_id, 'service', NULL, NULL, j.service_id, NULL, NULL, false,
        'failed in ' || j.failed || ' of ' || j.runs || ' runs' || coalesce(' of ' || nullif(j.job_id, ''), ''), NULL, NULL
FROM (
    SELECT service_id, job_id, sum(failed) AS failed, sum(failed + finished) AS runs FROM job_hours
    WHERE hour >= date_trunc('hour', now(), 'UTC') - interval '1 hour' GROUP BY service_id, job_id
) j
WHERE j.failed >= 3 AND j.failed * 5 >= j.runs
LIMIT $2)
UNION ALL
(SELECT 'job_not_running', j.service_id || '/' || j.job_id, 'service', NULL, NULL, j.service_id, NULL, NULL, false,
        'has told nothing' || coalesce(' of ' || nullif(j.job_id, ''), '') || ' for two hours', j.last_at, j.last_at
FROM (
    SELECT service_id, job_id, count(*) AS hours, max(last_at) AS last_at FROM job_hours
    WHERE hour >= date_trunc('hour', now(), 'UTC') - interval '1 day' GROUP BY service_id, job_id
) j
WHERE j.hours >= 12 AND j.last_at < now() - interval '2 hours'
LIMIT $2)
UNION ALL
(SELECT 'hardware_below_reference', o.peer_id || '/' || o.genesis_hash, 'node', o.peer_id, nullif(o.genesis_hash, ''), o.name, o.chain, NULL, true,
        'scored ' || array_to_string(r.below, ', '), NULL, NULL
FROM online o
JOIN peer_connections p ON p.id = o.session_id AND p.authority
CROSS JOIN LATERAL (
    -- MiB/s of the reference machine of Polkadot's validators, with the margin of a tenth that nodes leave.
    SELECT array_agg(score || ' of ' || wanted || ' MiB/s in ' || what) AS below
    FROM (VALUES ('hashing', p.cpu_hashrate_score, 1000), ('copying memory', p.memory_memcpy_score, 11768),
                 ('writing to disk', p.disk_sequential_write_score, 950), ('writing at random', p.disk_random_write_score, 420)) AS v (what, score, wanted)
    WHERE v.score < v.wanted * 0.9
) r
WHERE r.below IS NOT NULL
LIMIT $2)
