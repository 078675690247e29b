-- Does: adds up the blocks of hours that are over and changed since.
-- Params: $1 the first hour that is not over, $2 most hours.
-- Index: chain_hours_stale_idx, blocks_time_idx.
-- Cost: the blocks of those hours.
-- Order: none; one server writes at a time.
UPDATE chain_hours h SET
    is_stale = false, blocks = s.blocks, heights = s.heights, forks = s.forks, nodes = s.nodes,
    delays = s.delays, finalized = s.finalized, finality = s.finality
FROM (SELECT chain_id, hour FROM chain_hours WHERE is_stale AND hour < $1 ORDER BY hour LIMIT $2) AS due
CROSS JOIN LATERAL chain_blocks(due.chain_id, due.hour, due.hour + interval '1 hour') AS s
WHERE h.chain_id = due.chain_id AND h.hour = due.hour
