-- Benchmark runs and the machines they ran on, entered through the HTTP API.

CREATE TABLE host_systems (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    description text NOT NULL,
    os text NOT NULL,
    cpu_qty bigint NOT NULL CHECK (cpu_qty > 0),
    cpu_clock bigint NOT NULL CHECK (cpu_clock > 0),
    ram_mb bigint NOT NULL CHECK (ram_mb > 0),
    disk_info text NOT NULL
);
COMMENT ON TABLE host_systems IS 'Machines under test.';
COMMENT ON COLUMN host_systems.id IS 'Number of the machine.';
COMMENT ON COLUMN host_systems.description IS 'What the machine is.';
COMMENT ON COLUMN host_systems.os IS 'Operating system with its version.';
COMMENT ON COLUMN host_systems.cpu_qty IS 'Number of processors.';
COMMENT ON COLUMN host_systems.cpu_clock IS 'Clock of the processors in MHz.';
COMMENT ON COLUMN host_systems.ram_mb IS 'Memory in MiB.';
COMMENT ON COLUMN host_systems.disk_info IS 'Disks, in words.';

CREATE TABLE benchmarks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    setup jsonb,
    ts_start timestamptz NOT NULL,
    ts_end timestamptz NOT NULL,
    description text,
    chain_spec jsonb,
    benchmark_spec jsonb,
    host_system_id bigint REFERENCES host_systems (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ts_start <= ts_end)
);
COMMENT ON TABLE benchmarks IS 'Benchmark runs.';
COMMENT ON COLUMN benchmarks.id IS 'Number of the run.';
COMMENT ON COLUMN benchmarks.setup IS 'Free description in the form of the first version; newer runs fill the columns beside it.';
COMMENT ON COLUMN benchmarks.ts_start IS 'Start of the run.';
COMMENT ON COLUMN benchmarks.ts_end IS 'End of the run.';
COMMENT ON COLUMN benchmarks.description IS 'What was tried.';
COMMENT ON COLUMN benchmarks.chain_spec IS 'Chain specification of the node under test.';
COMMENT ON COLUMN benchmarks.benchmark_spec IS 'What the benchmark did.';
COMMENT ON COLUMN benchmarks.host_system_id IS 'Machine of the run.';
COMMENT ON COLUMN benchmarks.created_at IS 'When the run was entered.';
CREATE INDEX benchmarks_start_idx ON benchmarks (ts_start);

CREATE TABLE benchmark_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    benchmark_id bigint NOT NULL REFERENCES benchmarks (id) ON DELETE CASCADE,
    name text NOT NULL,
    phase text NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE benchmark_events IS 'Phases of benchmark runs.';
COMMENT ON COLUMN benchmark_events.id IS 'Number of the event.';
COMMENT ON COLUMN benchmark_events.benchmark_id IS 'Run to which the event belongs.';
COMMENT ON COLUMN benchmark_events.name IS 'Name of the phase.';
COMMENT ON COLUMN benchmark_events.phase IS 'What happened to it, for instance start or end.';
COMMENT ON COLUMN benchmark_events.created_at IS 'When it happened.';
CREATE INDEX benchmark_events_run_idx ON benchmark_events (benchmark_id, created_at, id);
