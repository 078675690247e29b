-- The status of nodes, its changes, and what was an outage of our own.

ALTER TABLE servers
    ADD COLUMN delayed_at timestamptz,
    ADD COLUMN clock_offset_s double precision;
COMMENT ON COLUMN servers.delayed_at IS 'When messages of the server last had to wait because they could not be stored at once, by the clock of the database; NULL if none did since its start.';
COMMENT ON COLUMN servers.clock_offset_s IS 'Clock of the server minus that of the database at the last heartbeat, seconds.';

ALTER TABLE nodes
    ADD COLUMN server_id text,
    ADD COLUMN conflict_since timestamptz;
COMMENT ON COLUMN nodes.last_seen_at IS 'Arrival of its last message.';
COMMENT ON COLUMN nodes.server_id IS 'Server of the latest session, see servers; NULL where it was not looked up yet.';
COMMENT ON COLUMN nodes.conflict_since IS 'Since when two processes use the peer id at once, to about a minute; NULL if none do.';
UPDATE nodes n SET server_id = p.server_id FROM peer_connections p WHERE n.online AND p.id = n.session_id;
COMMENT ON COLUMN session_values.seen_at IS 'Arrival of the last message.';

CREATE TABLE node_status (
    peer_id text NOT NULL,
    genesis_hash text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    change_id bigint NOT NULL,
    judged_from timestamptz NOT NULL,
    PRIMARY KEY (peer_id, genesis_hash)
) WITH (fillfactor = 80);
COMMENT ON TABLE node_status IS 'Status of each node that was ever judged: whether it is alive and well.';
COMMENT ON COLUMN node_status.peer_id IS 'libp2p identity that the node claims.';
COMMENT ON COLUMN node_status.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN node_status.state IS 'online, syncing, lagging, stalled, conflict, late, missing, offline or telemetry_lost.';
COMMENT ON COLUMN node_status.reason IS 'Why the state changed to this one.';
COMMENT ON COLUMN node_status.since IS 'Since when it is so; of a silent node the arrival of its last message.';
COMMENT ON COLUMN node_status.changed_at IS 'When the change was noticed.';
COMMENT ON COLUMN node_status.revision IS 'Grows by one with each change, which is refused unless it follows the last one.';
COMMENT ON COLUMN node_status.change_id IS 'The last change, see status_changes.';
COMMENT ON COLUMN node_status.judged_from IS 'Since when the node is judged.';
-- Who is offline is watched again when it has an open session.
CREATE INDEX node_status_watched_idx ON node_status (genesis_hash, peer_id) WHERE state <> 'offline';

CREATE TABLE chain_status (
    genesis_hash text NOT NULL,
    chain text NOT NULL,
    state text NOT NULL,
    since timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    change_id bigint NOT NULL,
    nodes bigint NOT NULL,
    PRIMARY KEY (genesis_hash, chain)
);
COMMENT ON TABLE chain_status IS 'Chains of which telemetry of most nodes was ever lost at once.';
COMMENT ON COLUMN chain_status.genesis_hash IS 'Identity of the chain; empty for one whose nodes do not say it.';
COMMENT ON COLUMN chain_status.chain IS 'Name of a chain whose genesis hash is not known; else empty.';
COMMENT ON COLUMN chain_status.state IS 'telemetry_lost while that goes on; online when more than half of the nodes are back; offline when they were given up after a day.';
COMMENT ON COLUMN chain_status.since IS 'Since when it is so.';
COMMENT ON COLUMN chain_status.changed_at IS 'When the change was noticed.';
COMMENT ON COLUMN chain_status.revision IS 'As in node_status.';
COMMENT ON COLUMN chain_status.change_id IS 'The last change, see status_changes.';
COMMENT ON COLUMN chain_status.nodes IS 'Nodes that the change was about.';

CREATE SEQUENCE status_changes_id_seq AS bigint;
CREATE TABLE status_changes (
    id bigint PRIMARY KEY DEFAULT nextval('status_changes_id_seq'),
    subject text NOT NULL,
    peer_id text NOT NULL DEFAULT '',
    genesis_hash text NOT NULL DEFAULT '',
    name text,
    chain text,
    from_state text,
    to_state text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    part_of bigint,
    nodes bigint,
    revision bigint NOT NULL
);
ALTER SEQUENCE status_changes_id_seq OWNED BY status_changes.id;
COMMENT ON TABLE status_changes IS 'Changes of status, each once, in the order in which they were kept; purged after ROLLUP_EXPIRY_D.';
COMMENT ON COLUMN status_changes.id IS 'Number of the change; later ones have higher numbers.';
COMMENT ON COLUMN status_changes.subject IS 'Whose status: node or chain.';
COMMENT ON COLUMN status_changes.peer_id IS 'The node; empty if it is not about a node.';
COMMENT ON COLUMN status_changes.genesis_hash IS 'Identity of the chain, or of that of the node; empty if it is not known.';
COMMENT ON COLUMN status_changes.name IS 'Name of the node then.';
COMMENT ON COLUMN status_changes.chain IS 'Name of the chain then.';
COMMENT ON COLUMN status_changes.from_state IS 'State before; NULL if it is new.';
COMMENT ON COLUMN status_changes.to_state IS 'State from then on.';
COMMENT ON COLUMN status_changes.reason IS 'Why it changed.';
COMMENT ON COLUMN status_changes.since IS 'Since when it is so; of a silent node the arrival of its last message.';
COMMENT ON COLUMN status_changes.changed_at IS 'When the change was noticed.';
COMMENT ON COLUMN status_changes.part_of IS 'Change of the chain of which this one is a part; NULL if it stands for itself.';
COMMENT ON COLUMN status_changes.nodes IS 'Nodes that a change of a chain is about; NULL for a node.';
COMMENT ON COLUMN status_changes.revision IS 'Revision of the status with this change.';
CREATE INDEX status_changes_node_idx ON status_changes (peer_id, genesis_hash, id);
CREATE INDEX status_changes_whole_idx ON status_changes (id) WHERE part_of IS NULL;
CREATE INDEX status_changes_time_idx ON status_changes (changed_at);

CREATE TABLE status_outages (
    server_id text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    cause text NOT NULL,
    PRIMARY KEY (server_id, began_at)
);
COMMENT ON TABLE status_outages IS 'Outages of our own, during which silence says nothing about a node; uptime leaves them out.';
COMMENT ON COLUMN status_outages.server_id IS 'Server whose nodes it is about, see servers; empty for all nodes.';
COMMENT ON COLUMN status_outages.began_at IS 'Its beginning.';
COMMENT ON COLUMN status_outages.ended_at IS 'Its end, with the time that nodes need to come back; NULL while it goes on.';
COMMENT ON COLUMN status_outages.cause IS 'not_judged (no server ran, or the database was away), projection (it was built anew), server_away or storage (the server could not store at once).';

CREATE TABLE status_progress (
    name text PRIMARY KEY,
    began_at timestamptz NOT NULL,
    judged_at timestamptz NOT NULL
);
COMMENT ON TABLE status_progress IS 'When nodes were judged last: what lies between that and the next time is an outage of our own.';
COMMENT ON COLUMN status_progress.name IS 'What is judged: nodes.';
COMMENT ON COLUMN status_progress.began_at IS 'When they were judged for the first time.';
COMMENT ON COLUMN status_progress.judged_at IS 'When they were judged last, to a few seconds.';

CREATE FUNCTION node_uptime(of_peer_id text, of_genesis_hash text, from_time timestamptz, until_time timestamptz)
RETURNS TABLE (uptime double precision, judged_s double precision, down_s double precision, own_outage_s double precision)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT tstzmultirange(tstzrange(greatest(from_time, s.judged_from), greatest(least(until_time, clock_timestamp()), greatest(from_time, s.judged_from)))) AS span,
               greatest(from_time, s.judged_from) AS begin
        FROM node_status s
        WHERE s.peer_id = of_peer_id AND s.genesis_hash = of_genesis_hash
    ), changes AS (
        -- Those of the time asked for, and the last one before.
        (SELECT c.id, c.to_state, c.since, c.changed_at FROM status_changes c, asked a
         WHERE c.peer_id = of_peer_id AND c.genesis_hash = of_genesis_hash AND c.changed_at < a.begin
         ORDER BY c.id DESC LIMIT 1)
        UNION ALL
        SELECT c.id, c.to_state, c.since, c.changed_at FROM status_changes c, asked a
        WHERE c.peer_id = of_peer_id AND c.genesis_hash = of_genesis_hash AND c.changed_at >= a.begin
        UNION ALL
        -- The last one, where it is purged.
        SELECT s.change_id, s.state, s.since, s.changed_at FROM node_status s
        WHERE s.peer_id = of_peer_id AND s.genesis_hash = of_genesis_hash
    ), spans AS (
        SELECT c.to_state, c.since,
               -- What is wrong with a node that talks again may have begun before it fell silent.
               lead(CASE WHEN c.since >= before THEN c.since ELSE c.changed_at END) OVER (ORDER BY c.id) AS until
        FROM (SELECT *, lag(since) OVER (ORDER BY id) AS before FROM changes) c
    ), down AS (
        SELECT range_agg(tstzrange(s.since, greatest(s.since, coalesce(s.until, 'infinity')))) AS spans
        FROM spans s
        WHERE s.to_state IN ('missing', 'offline', 'telemetry_lost')
    ), own AS (
        SELECT range_agg(tstzrange(o.began_at, coalesce(o.ended_at, 'infinity'))) AS spans
        FROM status_outages o, asked a
        WHERE o.began_at < until_time AND coalesce(o.ended_at, 'infinity') > a.begin
          AND (o.server_id = '' OR EXISTS (
              SELECT FROM peer_connections p
              WHERE p.peer_id = of_peer_id AND coalesce(p.genesis_hash, '') = of_genesis_hash AND p.server_id = o.server_id
                AND p.created_at < coalesce(o.ended_at, 'infinity')
                AND coalesce(p.disconnected_at, 'infinity') > o.began_at - interval '10 seconds'))
    ), sums AS (
        SELECT (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) FROM unnest(a.span - coalesce(own.spans, '{}')) AS r)::double precision AS judged_s,
               (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) FROM unnest(a.span * coalesce(down.spans, '{}') - coalesce(own.spans, '{}')) AS r)::double precision AS down_s,
               (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) FROM unnest(a.span * coalesce(own.spans, '{}')) AS r)::double precision AS own_outage_s
        FROM asked a, down, own
    )
    SELECT (judged_s - down_s) / nullif(judged_s, 0), judged_s, down_s, own_outage_s FROM sums
$$;
COMMENT ON FUNCTION node_uptime(text, text, timestamptz, timestamptz) IS 'Share of a span of time in which a node was there: not missing, offline or lost, each since its last message. Outages of our own are left out, and own_outage_s says how many seconds they took; judged_s is the rest since the node is judged. NULL, or no row, where nothing was judged.';

CREATE FUNCTION node_uptime(from_time timestamptz, until_time timestamptz)
RETURNS TABLE (peer_id text, genesis_hash text, name text, chain text, uptime double precision, judged_s double precision, down_s double precision, own_outage_s double precision)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT n.peer_id, n.genesis_hash, n.name, n.chain, u.uptime, u.judged_s, u.down_s, u.own_outage_s
    FROM nodes n
    CROSS JOIN LATERAL node_uptime(n.peer_id, n.genesis_hash, from_time, until_time) u
    WHERE n.last_seen_at >= from_time - interval '1 day'
$$;
COMMENT ON FUNCTION node_uptime(timestamptz, timestamptz) IS 'As node_uptime of one node, for all that were seen in the span of time or in the day before.';
