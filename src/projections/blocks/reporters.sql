-- Does: finds the numbers of nodes and their servers; those that have none get one.
-- Params: $1 peer ids, $2 servers of the same.
-- Index: block_reporters_peer_id_server_id_key.
-- Cost: the nodes asked for.
-- Order: none; one server writes at a time.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS a (peer_id, server_id)
), known AS MATERIALIZED (
    SELECT r.id, r.peer_id, r.server_id FROM block_reporters r JOIN asked a ON a.peer_id = r.peer_id AND a.server_id = r.server_id
), fresh AS (
    INSERT INTO block_reporters (peer_id, server_id)
    SELECT peer_id, server_id FROM (SELECT peer_id, server_id FROM asked EXCEPT SELECT peer_id, server_id FROM known) AS n
    RETURNING id, peer_id, server_id
)
SELECT id, peer_id, server_id FROM known UNION ALL SELECT id, peer_id, server_id FROM fresh
