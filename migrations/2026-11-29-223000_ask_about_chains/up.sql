-- Questions about chains, for people and for answers.

CREATE INDEX chains_name_idx ON chains (name);

CREATE VIEW node_state AS
WITH chain AS (
    SELECT genesis_hash, chain_height(array_agg(best_height)) AS best_height FROM nodes WHERE online GROUP BY genesis_hash
)
SELECT n.peer_id, n.genesis_hash, n.name, n.chain, n.online, coalesce(s.state, CASE WHEN n.online THEN 'online' ELSE 'offline' END) AS state, s.reason, coalesce(s.since, n.since) AS since,
       n.last_seen_at, n.best_height, n.best_hash, n.finalized_height, n.best_height - n.finalized_height AS finality_lag_blocks,
       greatest(0, c.best_height - n.best_height) AS behind_blocks, n.peers, n.download_bytes_per_s, n.upload_bytes_per_s, n.transactions,
       p.implementation, p.version, p.authority, p.target_os, p.target_arch, p.cpu, p.core_count, p.memory_bytes, n.server_id
FROM nodes n
JOIN peer_connections p ON p.id = n.session_id
LEFT JOIN node_status s ON s.peer_id = n.peer_id AND s.genesis_hash = n.genesis_hash
LEFT JOIN chain c ON c.genesis_hash = n.genesis_hash AND n.genesis_hash <> '';
COMMENT ON VIEW node_state IS 'What each node is and does now, one row for each peer id on a chain.';
COMMENT ON COLUMN node_state.peer_id IS 'libp2p identity that the node claims.';
COMMENT ON COLUMN node_state.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN node_state.name IS 'Name that its operator gave it.';
COMMENT ON COLUMN node_state.chain IS 'Name of its chain.';
COMMENT ON COLUMN node_state.online IS 'Whether it has an open session.';
COMMENT ON COLUMN node_state.state IS 'Whether it is alive and well, see node_status.';
COMMENT ON COLUMN node_state.reason IS 'Why its state changed to this; NULL if it was never judged.';
COMMENT ON COLUMN node_state.since IS 'Since when it is so.';
COMMENT ON COLUMN node_state.last_seen_at IS 'Arrival of its last message.';
COMMENT ON COLUMN node_state.best_height IS 'Number of its best block.';
COMMENT ON COLUMN node_state.best_hash IS 'Hash of its best block.';
COMMENT ON COLUMN node_state.finalized_height IS 'Number of its last finalized block.';
COMMENT ON COLUMN node_state.finality_lag_blocks IS 'Blocks between its best and its last finalized block.';
COMMENT ON COLUMN node_state.behind_blocks IS 'Blocks between its best block and that of its chain, see chain_height; 0 if it is ahead.';
COMMENT ON COLUMN node_state.peers IS 'Connected peers.';
COMMENT ON COLUMN node_state.download_bytes_per_s IS 'Download in bytes per second.';
COMMENT ON COLUMN node_state.upload_bytes_per_s IS 'Upload in bytes per second.';
COMMENT ON COLUMN node_state.transactions IS 'Transactions in its pool.';
COMMENT ON COLUMN node_state.implementation IS 'Name of its software.';
COMMENT ON COLUMN node_state.version IS 'Version of its software.';
COMMENT ON COLUMN node_state.authority IS 'Whether it may author blocks.';
COMMENT ON COLUMN node_state.target_os IS 'Operating system.';
COMMENT ON COLUMN node_state.target_arch IS 'Processor architecture.';
COMMENT ON COLUMN node_state.cpu IS 'Processor.';
COMMENT ON COLUMN node_state.core_count IS 'Cores of the processor.';
COMMENT ON COLUMN node_state.memory_bytes IS 'Memory in bytes.';
COMMENT ON COLUMN node_state.server_id IS 'Server of its latest session, see servers.';

CREATE VIEW version_adoption AS
SELECT n.genesis_hash, max(n.chain) AS chain, p.implementation, p.version, count(*) AS nodes, count(*) FILTER (WHERE n.online) AS online,
       count(*) / sum(count(*)) OVER (PARTITION BY n.genesis_hash)::double precision AS share, min(n.session_at) AS first_started_at
FROM nodes n JOIN peer_connections p ON p.id = n.session_id
WHERE n.online OR n.last_seen_at > now() - interval '1 day'
GROUP BY n.genesis_hash, p.implementation, p.version;
COMMENT ON VIEW version_adoption IS 'Versions of the nodes of each chain that were there within a day.';
COMMENT ON COLUMN version_adoption.genesis_hash IS 'Identity of the chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN version_adoption.chain IS 'Name of the chain.';
COMMENT ON COLUMN version_adoption.implementation IS 'Name of the software.';
COMMENT ON COLUMN version_adoption.version IS 'Its version.';
COMMENT ON COLUMN version_adoption.nodes IS 'Nodes that run it.';
COMMENT ON COLUMN version_adoption.online IS 'Those of them with an open session.';
COMMENT ON COLUMN version_adoption.share IS 'Their share of all nodes of the chain, 0 to 1.';
COMMENT ON COLUMN version_adoption.first_started_at IS 'Start of the oldest of their latest sessions.';

CREATE FUNCTION block_propagation(from_time timestamptz, until_time timestamptz)
RETURNS TABLE (genesis_hash text, chain text, height bigint, hash text, first_at timestamptz, first_peer_id text, first_server_id text, nodes integer, p50_s double precision, p90_s double precision, p99_s double precision)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT c.genesis_hash, c.name, b.height, '0x' || encode(b.hash, 'hex'), b.first_at, r.peer_id, r.server_id, b.nodes,
           block_delay_quantile(b.delays, 0.5), block_delay_quantile(b.delays, 0.9), block_delay_quantile(b.delays, 0.99)
    FROM chains c
    JOIN blocks b ON b.chain_id = c.id AND b.first_at >= from_time AND b.first_at < until_time
    JOIN block_reporters r ON r.id = b.first_reporter_id
$$;
COMMENT ON FUNCTION block_propagation IS 'The blocks that were first seen in a span of time: identity and name of the chain, height and hash, first_at (arrival of the first report) with the node and the server that had it, nodes that reported it within 5 minutes, and in how many seconds after the first one half, 90 % and 99 % of the others did (NULL if there is no other). Reads the blocks of the span.';

CREATE FUNCTION finality_lag(from_time timestamptz, until_time timestamptz)
RETURNS TABLE (genesis_hash text, chain text, height bigint, hash text, first_at timestamptz, finalized_at timestamptz, finality_s double precision, is_final boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT c.genesis_hash, c.name, b.height, '0x' || encode(b.hash, 'hex'), b.first_at, b.finalized_at,
           extract(epoch FROM b.finalized_at - b.first_at)::double precision, b.is_final
    FROM chains c
    JOIN blocks b ON b.chain_id = c.id AND b.first_at >= from_time AND b.first_at < until_time
$$;
COMMENT ON FUNCTION finality_lag IS 'The blocks that were first seen in a span of time: identity and name of the chain, height and hash, first_at (arrival of the first report), finalized_at (arrival of the first report that this height is finalized, NULL before), finality_s (seconds between the two), and whether a node named this very block as finalized. Reads the blocks of the span.';

CREATE FUNCTION authored_blocks(from_time timestamptz, until_time timestamptz)
RETURNS TABLE (genesis_hash text, chain text, height bigint, hash text, peer_id text, first_at timestamptz, nodes integer, is_final boolean, is_lost boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT c.genesis_hash, c.name, b.height, '0x' || encode(b.hash, 'hex'), r.peer_id, b.first_at, b.nodes, b.is_final,
           NOT b.is_final AND EXISTS (SELECT FROM blocks o WHERE o.chain_id = b.chain_id AND o.height = b.height AND o.is_final)
    FROM chains c
    JOIN blocks b ON b.chain_id = c.id AND b.first_at >= from_time AND b.first_at < until_time
    JOIN block_reporters r ON r.id = b.author_id
$$;
COMMENT ON FUNCTION authored_blocks IS 'The blocks that were first seen in a span of time and that a node reported as its own (block.import of origin Own): identity and name of the chain, height and hash, peer id of the node, first_at (arrival of the first report), nodes that reported it within 5 minutes, whether a node named it as finalized, and whether another block of its height was finalized instead (is_lost). Reads the blocks of the span.';
