-- What several servers of one database need to know of each other: who runs,
-- and who has which job.

ALTER TABLE servers
    ADD COLUMN name text,
    ADD COLUMN heartbeat_interval_s double precision,
    ADD COLUMN stopped_at timestamptz,
    ADD COLUMN sessions_ended_at timestamptz,
    ADD COLUMN sessions bigint,
    ADD COLUMN messages_per_s double precision;
COMMENT ON COLUMN servers.heartbeat_at IS 'Time of the last heartbeat, by the clock of the database.';
COMMENT ON COLUMN servers.name IS 'Host name of its machine.';
COMMENT ON COLUMN servers.heartbeat_interval_s IS 'Seconds between heartbeats; NULL for versions that send one each minute.';
COMMENT ON COLUMN servers.stopped_at IS 'Time of an orderly stop; NULL while the server runs, and after a crash.';
COMMENT ON COLUMN servers.sessions_ended_at IS 'When another server ended the sessions that a stop or a crash left open; NULL while the server runs.';
COMMENT ON COLUMN servers.sessions IS 'Open sessions at the last heartbeat.';
COMMENT ON COLUMN servers.messages_per_s IS 'Messages received per second between the last two heartbeats.';

CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    token bigint NOT NULL,
    acquired_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE leases IS 'Jobs of which one server does each: acquired by compare and set, renewed with each heartbeat.';
COMMENT ON COLUMN leases.name IS 'The job, for instance retention.';
COMMENT ON COLUMN leases.holder IS 'Server that has it, see servers.';
COMMENT ON COLUMN leases.token IS 'Fencing token: grows with each new holder, so that a write of an earlier one is refused.';
COMMENT ON COLUMN leases.acquired_at IS 'Since when the holder has it.';
COMMENT ON COLUMN leases.expires_at IS 'From then on another server may have it, unless it is renewed.';
