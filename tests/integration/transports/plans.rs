//! Each statement of a transport reads by number, however many events there are.

use crate::support::TestDb;

/// A statement with its conditions and values, as the program asks it.
fn asked(sql: &str, after: i64, limits: [i64; 2]) -> String {
    let within = "e.id > $6 AND ($7::bigint IS NULL OR e.id <= $7) AND ($8::timestamptz IS NULL OR e.received_at >= $8) \
                  AND ($9::timestamptz IS NULL OR e.received_at < $9)";
    sql.replace("{within}", within)
        .replace("{passes}", "e.severity = ANY('{warn}'::text[])")
        .replace("{bytes}", "(pg_column_size(e.data) + 256)::bigint")
        .replace("$10", &limits[0].to_string())
        .replace("$11", &limits[1].to_string())
        .replace("$6", &after.to_string())
        .replace("$7", "NULL")
        .replace("$8", "NULL")
        .replace("$9", "NULL")
}

#[test]
fn each_statement_reads_by_number() {
    let db = TestDb::new();
    db.execute(
        "SELECT make_events_day(now() - d * interval '1 day') FROM generate_series(0, 9) d;
         INSERT INTO events (event_id, source, name, severity, time, received_at, data)
         SELECT 'e' || n, 's', 'n', 'info', now(), now() - (n % 10) * interval '1 day', '{\"_e\": 1}' FROM generate_series(1, 40000) n;
         ANALYZE events;
         CREATE FUNCTION explained(sql text) RETURNS SETOF text LANGUAGE plpgsql AS
         $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || regexp_replace(sql, '^(--[^\n]*\n)*', ''); END $$",
    );
    let last = db.count("SELECT max(id) FROM events");
    for (name, sql) in [
        (
            "end",
            include_str!("../../../src/store/event_transports/end.sql"),
        ),
        (
            "read",
            include_str!("../../../src/store/event_transports/read.sql"),
        ),
        (
            "count",
            include_str!("../../../src/store/event_transports/count.sql"),
        ),
        (
            "oldest_of",
            include_str!("../../../src/store/event_transports/oldest_of.sql"),
        ),
        (
            "first_arrival",
            include_str!("../../../src/store/event_transports/first_arrival.sql"),
        ),
    ] {
        // Near the end, where a transport is, and far behind.
        for after in [last - 100, last - 30_000] {
            let plan = db.texts(&format!(
                "SELECT plan AS value FROM explained($sql${}$sql$) AS plan",
                asked(sql, after, [1_000, 100_000])
            ));
            let plan = plan.join("\n");
            assert!(plan.contains("_id_idx"), "{name} after {after}: {plan}");
            assert!(
                !plan.contains("Seq Scan on events_p"),
                "{name} after {after}: {plan}"
            );
        }
    }
}
