CREATE OR REPLACE FUNCTION make_events_day(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
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

ALTER TABLE projections DROP COLUMN beside_end;
COMMENT ON COLUMN projections.build_end IS 'While it is built: transactions from here on come from the change stream afterwards.';

DROP SCHEMA rebuild CASCADE;
