-- Does: enters blocks that nodes built; a node that builds too many in an hour gets no more.
-- Params: $1 to $8 columns of authorings as arrays, in the order of `v`; $9 most blocks of a node in an hour.
-- Index: authorings_pkey, authorings_node_idx.
-- Cost: one row for each block, and the blocks of its node in the hour before.
-- Order: none; one server writes at a time.
INSERT INTO authorings AS a (peer_id, genesis_hash, session_id, height, prepared_hash, prepared_at, sealed_at, hash)
SELECT v.* FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::timestamptz[], $7::timestamptz[], $8::bytea[])
    AS v (peer_id, genesis_hash, session_id, height, prepared_hash, prepared_at, sealed_at, hash)
WHERE (
    SELECT count(*) FROM authorings k
    WHERE k.peer_id = v.peer_id AND k.genesis_hash = v.genesis_hash AND k.session_id = v.session_id
      AND k.at > least(v.prepared_at, v.sealed_at) - interval '1 hour' AND k.at <= least(v.prepared_at, v.sealed_at)
) < $9
ON CONFLICT (peer_id, genesis_hash, session_id, height, prepared_hash) DO UPDATE SET
    prepared_at = least(a.prepared_at, excluded.prepared_at),
    sealed_at = least(a.sealed_at, excluded.sealed_at),
    hash = CASE WHEN excluded.sealed_at < a.sealed_at OR a.hash IS NULL THEN excluded.hash ELSE a.hash END
