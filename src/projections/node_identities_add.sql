-- Does: enters when nodes told their authority ids; a node that has too many gets no more.
-- Params: $1 to $8 columns of node_identities as arrays, in the order of `v`; $9 most ids of a node.
-- Index: node_identities_pkey.
-- Cost: one row for each node and id, and the rows of nodes with a new one.
-- Order: none; one server writes at a time.
INSERT INTO node_identities AS n (peer_id, genesis_hash, session_id, authority_id, first_at, last_at, authority_set_id, is_in_set)
SELECT v.* FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::boolean[])
    AS v (peer_id, genesis_hash, session_id, authority_id, first_at, last_at, authority_set_id, is_in_set)
WHERE (
    SELECT count(*) FROM node_identities k
    WHERE k.peer_id = v.peer_id AND k.genesis_hash = v.genesis_hash AND k.session_id = v.session_id AND k.authority_id <> v.authority_id
) < $9
ON CONFLICT (peer_id, genesis_hash, session_id, authority_id) DO UPDATE SET
    first_at = least(n.first_at, excluded.first_at),
    last_at = greatest(n.last_at, excluded.last_at),
    authority_set_id = CASE WHEN (excluded.last_at, excluded.authority_set_id) > (n.last_at, n.authority_set_id) THEN excluded.authority_set_id ELSE n.authority_set_id END,
    is_in_set = CASE WHEN (excluded.last_at, excluded.authority_set_id) > (n.last_at, n.authority_set_id) THEN excluded.is_in_set ELSE n.is_in_set END
