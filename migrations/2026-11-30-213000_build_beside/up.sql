-- Projections are built in tables beside those that readers see.

DO $$
BEGIN
    -- Where the server may not make schemas, somebody else has made it.
    IF to_regnamespace('rebuild') IS NULL THEN
        CREATE SCHEMA rebuild;
        COMMENT ON SCHEMA rebuild IS 'Tables of projections that are built anew, beside those that readers see; empty otherwise.';
    END IF;
END
$$;

-- A server of the previous version would go on with a build in the tables themselves: for it, one
-- that has a progress of its own has not begun.
ALTER TABLE projections ADD COLUMN beside_end bigint;
COMMENT ON COLUMN projections.beside_end IS 'While it is built: transactions from here on come from the change stream afterwards.';
COMMENT ON COLUMN projections.build_end IS 'The same, while a server of the previous version builds in the tables themselves; NULL otherwise.';

-- A day belongs beside the others, also while the tables of a build come first.
CREATE OR REPLACE FUNCTION make_events_day(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day timestamp := date_trunc('day', at AT TIME ZONE 'UTC');
    schema regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'events_kept'::regclass);
    day_table text := schema || '.events_p' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(day_table) IS NULL THEN
        EXECUTE format('CREATE TABLE %s (LIKE events_kept INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)', day_table);
        EXECUTE format('ALTER TABLE events_kept ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', day_table, day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC');
    END IF;
END
$$;
