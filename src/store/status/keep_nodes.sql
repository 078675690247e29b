-- Does: keeps changes of the status of nodes, and enters them among all changes; one
--   that does not follow the last one changes nothing. That a node is there is a change
--   only if it was not there before nodes were judged.
-- Params: $1 JSON array of objects as below, $2 time of the changes.
-- Index: node_status_pkey, nodes_pkey.
-- Cost: one row of each table for each change.
-- Order: by node, so that two transactions never wait for each other in a circle.
WITH changes AS MATERIALIZED (
    SELECT c.*, nextval('status_changes_id_seq') AS id
    FROM json_to_recordset($1::json) AS c (peer_id text, genesis_hash text, from_state text, to_state text, reason text, since timestamptz, part_of bigint, revision bigint)
), kept AS (
    INSERT INTO node_status AS s (peer_id, genesis_hash, state, reason, since, changed_at, revision, change_id, judged_from)
    SELECT peer_id, genesis_hash, to_state, reason, since, $2, revision + 1, id, $2 FROM changes
    ORDER BY peer_id, genesis_hash
    ON CONFLICT (peer_id, genesis_hash) DO UPDATE SET
        state = excluded.state,
        reason = excluded.reason,
        since = excluded.since,
        changed_at = excluded.changed_at,
        revision = excluded.revision,
        change_id = excluded.change_id
    WHERE s.revision = excluded.revision - 1
    RETURNING change_id
), entered AS (
    INSERT INTO status_changes (id, subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, part_of, revision)
    SELECT c.id, 'node', c.peer_id, c.genesis_hash, n.name, n.chain, c.from_state, c.to_state, c.reason, c.since, $2, c.part_of, c.revision + 1
    FROM changes c
    JOIN kept k ON k.change_id = c.id
    LEFT JOIN nodes n ON n.peer_id = c.peer_id AND n.genesis_hash = c.genesis_hash
    WHERE c.from_state IS NOT NULL
       OR n.first_seen_at >= (SELECT began_at FROM status_progress WHERE name = 'nodes')
)
SELECT count(*) AS kept FROM kept
