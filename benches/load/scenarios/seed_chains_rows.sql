-- Puts what the projections made of the last day into the 29 days before it, as they would have from the messages of those
-- days; of each hundredth height a second block.
SELECT count(*) AS a_day FROM blocks \gset

-- Blocks come in the order of their heights.
CREATE TEMPORARY TABLE last_day AS SELECT * FROM blocks;
TRUNCATE blocks;
INSERT INTO blocks (height, first_at, finalized_at, chain_id, first_reporter_id, author_id, nodes, own, broadcast, other, is_final, hash, delays)
SELECT b.height - day * :a_day, b.first_at - day * interval '1 day', b.finalized_at - day * interval '1 day', b.chain_id, b.first_reporter_id, b.author_id,
       b.nodes, b.own, b.broadcast, b.other, b.is_final AND fork = 0, CASE WHEN day = 0 THEN b.hash ELSE decode(md5(b.height::text) || md5(format('%s %s', day, fork)), 'hex') END, b.delays
FROM generate_series(0, 29) AS day
CROSS JOIN generate_series(0, 1) AS fork
CROSS JOIN last_day AS b
WHERE fork = 0 OR b.height % 100 = 0 AND day > 0
ORDER BY day DESC, b.height, fork;

VACUUM (ANALYZE) blocks;

INSERT INTO chain_hours (chain_id, hour, is_stale, blocks, heights, forks, nodes, delays, finalized, finality)
SELECT c.id, hour, false, s.*
FROM chains c
CROSS JOIN generate_series(date_trunc('hour', now()) - interval '30 days', date_trunc('hour', now()) - interval '1 hour', interval '1 hour') AS hour
CROSS JOIN LATERAL chain_blocks(c.id, hour, hour + interval '1 hour') AS s
ON CONFLICT (chain_id, hour) DO UPDATE SET is_stale = false, blocks = excluded.blocks, heights = excluded.heights, forks = excluded.forks,
    nodes = excluded.nodes, delays = excluded.delays, finalized = excluded.finalized, finality = excluded.finality;

INSERT INTO software_hours
SELECT s.genesis_hash, s.hour - day * interval '1 day', s.implementation, s.version, s.shares_process, s.nodes
FROM software_hours AS s CROSS JOIN generate_series(1, 29) AS day
ON CONFLICT DO NOTHING;

VACUUM (ANALYZE) chain_hours;
VACUUM (ANALYZE) software_hours;
ANALYZE telemetry_messages;
