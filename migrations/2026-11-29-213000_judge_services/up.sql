-- Services that are no nodes: their heartbeats, and their status.

CREATE TABLE services (
    service text PRIMARY KEY,
    interval_s bigint NOT NULL,
    jitter_s bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    is_down boolean NOT NULL,
    metrics jsonb NOT NULL,
    state text,
    reason text,
    since timestamptz,
    changed_at timestamptz,
    revision bigint NOT NULL DEFAULT 0,
    CHECK (interval_s > 0 AND jitter_s >= 0)
-- Values change with each heartbeat, keys do not: updates stay within their page.
) WITH (fillfactor = 60);
COMMENT ON TABLE services IS 'Services that send heartbeats, each with its status.';
COMMENT ON COLUMN services.service IS 'Name that it gives itself.';
COMMENT ON COLUMN services.interval_s IS 'Seconds from one heartbeat to the next, as it announces.';
COMMENT ON COLUMN services.jitter_s IS 'Seconds by which a heartbeat may be later, as it announces.';
COMMENT ON COLUMN services.first_seen_at IS 'Its first heartbeat.';
COMMENT ON COLUMN services.last_seen_at IS 'Its last heartbeat.';
COMMENT ON COLUMN services.is_down IS 'Whether it announced with the last one that it is out of service on purpose.';
COMMENT ON COLUMN services.metrics IS 'What it reported with the last one.';
COMMENT ON COLUMN services.state IS 'online, late, missing, offline or down; NULL until it is judged.';
COMMENT ON COLUMN services.reason IS 'Why the state changed to this one.';
COMMENT ON COLUMN services.since IS 'Since when it is so; of a silent service its last heartbeat.';
COMMENT ON COLUMN services.changed_at IS 'When the change was noticed.';
COMMENT ON COLUMN services.revision IS 'Grows by one with each change of the state, which is refused unless it follows the last one.';

CREATE TABLE service_heartbeats (
    service text NOT NULL,
    created_at timestamptz NOT NULL,
    is_down boolean NOT NULL,
    metrics jsonb NOT NULL,
    PRIMARY KEY (service, created_at)
);
COMMENT ON TABLE service_heartbeats IS 'Heartbeats of services with what they reported, at most one a second of each; purged after LOG_EXPIRY_H.';
COMMENT ON COLUMN service_heartbeats.service IS 'Name of the service.';
COMMENT ON COLUMN service_heartbeats.created_at IS 'Arrival.';
COMMENT ON COLUMN service_heartbeats.is_down IS 'Whether it announced that it is out of service on purpose.';
COMMENT ON COLUMN service_heartbeats.metrics IS 'What it reported.';
CREATE INDEX service_heartbeats_time_idx ON service_heartbeats (created_at);
