-- What runtimes and services said in a structured form.

-- Others wait behind the locks on the view, so this gives up soon; the server tries again.
SET LOCAL lock_timeout = '3s';

CREATE OR REPLACE VIEW telemetry_rows AS
SELECT id, created_at, peer_connection_id, kind_id, target, logs,
       coalesce(node_ts, created_at + node_delta_us * interval '1 microsecond') AS node_ts, false AS audit
FROM telemetry_messages
UNION ALL
SELECT id, created_at, peer_connection_id, kind_id, target, logs,
       coalesce(node_ts, created_at + node_delta_us * interval '1 microsecond') AS node_ts, true AS audit
FROM telemetry_messages_audit;
COMMENT ON COLUMN telemetry_rows.node_ts IS 'Time that the node claimed; NULL if it claimed none.';
COMMENT ON COLUMN telemetry_rows.audit IS 'Whether it came by /audit: it is never purged.';

CREATE SEQUENCE events_id_seq AS bigint;
COMMENT ON SEQUENCE events_id_seq IS 'Numbers of events, in the order of their extraction.';

CREATE TABLE events (
    id bigint NOT NULL DEFAULT nextval('events_id_seq'),
    event_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    peer_id text COLLATE "C",
    genesis_hash text COLLATE "C",
    chain text,
    name text COLLATE "C",
    severity text NOT NULL CHECK (severity IN ('trace', 'debug', 'info', 'warn', 'error', 'fatal')),
    "time" timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    message_id bigint,
    data jsonb NOT NULL,
    audit boolean NOT NULL DEFAULT false,
    PRIMARY KEY (audit, received_at, id)
) PARTITION BY LIST (audit);
COMMENT ON TABLE events IS 'Projection: events that were found in messages, each once. Give it a range of received_at (within_last, or constants), so that only the days of it are read.';
COMMENT ON COLUMN events.id IS 'Number in the order of extraction. One server extracts at a time and in the order of its transactions, so that no lower number appears behind a higher one.';
COMMENT ON COLUMN events.event_id IS 'Stable identity, 32 hexadecimal digits: the same for an event that is sent again.';
COMMENT ON COLUMN events.source IS 'Who said it: peer id of the node, or name of the token with which it was posted.';
COMMENT ON COLUMN events.peer_id IS 'libp2p identity of the node; NULL if it was posted over HTTP.';
COMMENT ON COLUMN events.genesis_hash IS 'Identity of the chain of the node; NULL if it is not known.';
COMMENT ON COLUMN events.chain IS 'Name of the chain of the node then; NULL if it is not known.';
COMMENT ON COLUMN events.name IS 'Field name of the event, else event; NULL if it has neither.';
COMMENT ON COLUMN events.severity IS 'trace, debug, info, warn, error or fatal, from the field severity, else level; info if there is neither.';
COMMENT ON COLUMN events."time" IS 'When it happened, as the event says (timestamp), else the time of its message.';
COMMENT ON COLUMN events.received_at IS 'Arrival of its message at the server.';
COMMENT ON COLUMN events.message_id IS 'Number of the message in which it was found.';
COMMENT ON COLUMN events.data IS 'The whole event.';
COMMENT ON COLUMN events.audit IS 'Whether it came by /audit: it is never purged.';
CREATE INDEX events_id_idx ON events (id);
CREATE INDEX events_source_idx ON events (source, received_at);
CREATE INDEX events_name_idx ON events (name, received_at);

CREATE TABLE events_audit PARTITION OF events FOR VALUES IN (true);
COMMENT ON TABLE events_audit IS 'Events from /audit, which are never purged.';
CREATE TABLE events_kept PARTITION OF events FOR VALUES IN (false) PARTITION BY RANGE (received_at);
COMMENT ON TABLE events_kept IS 'All other events, in a partition for each day; dropped after EVENT_EXPIRY_H.';

-- No default partition, so that attaching one waits for no reader.
CREATE FUNCTION make_events_day(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day timestamp := date_trunc('day', at AT TIME ZONE 'UTC');
    day_table text := 'events_p' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(day_table) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE events_kept INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)', day_table);
        EXECUTE format('ALTER TABLE events_kept ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', day_table, day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC');
    END IF;
END
$$;
COMMENT ON FUNCTION make_events_day IS 'Makes the partition of events for the day (UTC) of a time, unless it is there.';

CREATE TABLE event_identities (
    hash bytea PRIMARY KEY CHECK (length(hash) = 16),
    id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    message_id bigint NOT NULL,
    audit boolean NOT NULL
);
COMMENT ON TABLE event_identities IS 'Identities of events, so that one that is sent again is found, and keeps its number when events are extracted anew. Purged with the events.';
COMMENT ON COLUMN event_identities.hash IS 'First 16 bytes of a SHA-256 of the source and what identifies the event, see docs/EVENTS.md; event_id in hexadecimal digits.';
COMMENT ON COLUMN event_identities.id IS 'Number of the event.';
COMMENT ON COLUMN event_identities.received_at IS 'Arrival of the message that said it first.';
COMMENT ON COLUMN event_identities.message_id IS 'Number of that message.';
COMMENT ON COLUMN event_identities.audit IS 'Whether that came by /audit.';
CREATE INDEX event_identities_id_idx ON event_identities (id);
CREATE INDEX event_identities_time_idx ON event_identities USING brin (received_at);

CREATE TABLE waiting_events (
    session_id bigint NOT NULL,
    message_id bigint NOT NULL,
    place integer NOT NULL,
    digest bytea NOT NULL,
    name text COLLATE "C",
    severity text NOT NULL,
    "time" timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    audit boolean NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (session_id, message_id, place)
);
COMMENT ON TABLE waiting_events IS 'Projection: events of sessions whose node is not known yet. They move to events when it is, or when the session ends.';
COMMENT ON COLUMN waiting_events.session_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN waiting_events.message_id IS 'As in events.';
COMMENT ON COLUMN waiting_events.place IS 'Which event of the message it is, from 0.';
COMMENT ON COLUMN waiting_events.digest IS 'SHA-256 of what identifies the event within its source.';
COMMENT ON COLUMN waiting_events.name IS 'As in events.';
COMMENT ON COLUMN waiting_events.severity IS 'As in events.';
COMMENT ON COLUMN waiting_events."time" IS 'As in events.';
COMMENT ON COLUMN waiting_events.received_at IS 'As in events.';
COMMENT ON COLUMN waiting_events.audit IS 'As in events.';
COMMENT ON COLUMN waiting_events.data IS 'As in events.';

CREATE TABLE malformed_events (
    message_id bigint NOT NULL,
    place integer NOT NULL,
    received_at timestamptz NOT NULL,
    session_id bigint NOT NULL,
    reason text NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (message_id, place)
);
COMMENT ON TABLE malformed_events IS 'Samples of lines that look like an event and are none; the newest 1,000 are kept.';
COMMENT ON COLUMN malformed_events.message_id IS 'Number of the message.';
COMMENT ON COLUMN malformed_events.place IS 'Which malformed line of the message it is, from 0.';
COMMENT ON COLUMN malformed_events.received_at IS 'Arrival of the message.';
COMMENT ON COLUMN malformed_events.session_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN malformed_events.reason IS 'What is wrong with it.';
COMMENT ON COLUMN malformed_events.line IS 'Its beginning, up to 500 characters.';

INSERT INTO projections (name) VALUES ('events');
