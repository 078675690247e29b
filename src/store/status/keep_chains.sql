-- Does: keeps changes of the status of chains, and enters them among all changes; one
--   that does not follow the last one changes nothing.
-- Params: $1 JSON array of objects as below, $2 time of the changes.
-- Index: chain_status_pkey.
-- Cost: one row of each table for each change.
-- Order: as it comes.
WITH changes AS MATERIALIZED (
    SELECT c.*, nextval('status_changes_id_seq') AS id
    FROM json_to_recordset($1::json) AS c (genesis_hash text, chain text, name text, from_state text, to_state text, reason text, since timestamptz, nodes bigint, revision bigint)
), kept AS (
    INSERT INTO chain_status AS s (genesis_hash, chain, state, since, changed_at, revision, change_id, nodes)
    SELECT genesis_hash, chain, to_state, since, $2, revision + 1, id, nodes FROM changes
    ON CONFLICT (genesis_hash, chain) DO UPDATE SET
        state = excluded.state,
        since = excluded.since,
        changed_at = excluded.changed_at,
        revision = excluded.revision,
        change_id = excluded.change_id,
        nodes = excluded.nodes
    WHERE s.revision = excluded.revision - 1
    RETURNING change_id
), entered AS (
    INSERT INTO status_changes (id, subject, genesis_hash, chain, from_state, to_state, reason, since, changed_at, nodes, revision)
    SELECT c.id, 'chain', c.genesis_hash, c.name, c.from_state, c.to_state, c.reason, c.since, $2, c.nodes, c.revision + 1
    FROM changes c JOIN kept k ON k.change_id = c.id
)
SELECT c.genesis_hash, c.chain, c.id FROM changes c JOIN kept k ON k.change_id = c.id
