//! The schema: up, down, up again, documented, and as the program knows it.

use std::process::Command;

use diesel::migration::Migration;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tetcore_analytics::database::migrations;

use crate::support::TestDb;

/// The schema as `pg_dump` shows it.
fn dump(db: &TestDb) -> String {
    let pg_dump = std::env::var_os("PG_BIN_DIR").map_or("pg_dump".into(), |dir| {
        std::path::PathBuf::from(dir).join("pg_dump")
    });
    let output = Command::new(pg_dump)
        .args([
            "--schema-only",
            "--no-owner",
            "--exclude-table=__diesel_schema_migrations",
        ])
        .arg(db.url())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let dump = String::from_utf8(output.stdout).unwrap();
    // Newer versions frame the dump with a random word.
    let lines = dump
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn migrations_can_be_taken_back_and_done_again() {
    let db = TestDb::empty();
    let empty = dump(&db);
    let mut conn = db.connection();
    migrations::run(&mut conn).unwrap();
    let migrated = dump(&db);
    migrations::revert_all(&mut db.connect()).unwrap();
    assert_eq!(dump(&db), empty, "a down.sql forgot something");
    migrations::run(&mut conn).unwrap();
    assert_eq!(dump(&db), migrated);
}

#[test]
fn a_schema_that_somebody_made_for_the_server_is_taken() {
    let db = TestDb::empty();
    db.execute("CREATE SCHEMA rebuild");
    migrations::run(&mut db.connection()).unwrap();
}

#[test]
fn every_table_and_column_is_described() {
    let db = TestDb::new();
    let undescribed = db.texts(
        "SELECT c.relname || coalesce('.' || a.attname, '') AS value \
         FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND c.relkind IN ('r', 'p', 'v') \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition \
           AND c.relname NOT LIKE '\\_\\_diesel%' AND c.relname !~ '_id_seq$' \
           AND (col_description(c.oid, a.attnum) IS NULL AND a.attnum IS NOT NULL OR obj_description(c.oid, 'pg_class') IS NULL)",
    );
    assert_eq!(undescribed, Vec::<String>::new());
}

#[test]
fn the_tables_that_the_program_knows_are_those_of_the_database() {
    let db = TestDb::new();
    let source = include_str!("../../src/store/schema.rs");
    let mut known = Vec::new();
    let mut table = "";
    for line in source.lines().map(str::trim) {
        if let Some((name, _key)) = line.split_once(" (").filter(|_| line.ends_with(") {")) {
            table = name;
        } else if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            known.push(format!("{table}.{column} {kind}"));
        }
    }
    let kind = "CASE format_type(a.atttypid, NULL) WHEN 'bigint' THEN 'Int8' WHEN 'integer' THEN 'Int4' WHEN 'smallint' THEN 'Int2' \
                WHEN 'text' THEN 'Text' WHEN 'jsonb' THEN 'Jsonb' WHEN 'bytea' THEN 'Bytea' \
                WHEN 'timestamp with time zone' THEN 'Timestamptz' END";
    let columns = db.texts(&format!(
        "SELECT c.relname || '.' || a.attname || ' ' || \
           CASE WHEN a.attnotnull THEN {kind} ELSE 'Nullable<' || {kind} || '>' END AS value \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
         WHERE c.relname IN ('telemetry_messages', 'telemetry_messages_audit', 'ingest_batches', 'rejected_messages') \
         ORDER BY c.relname, a.attnum"
    ));
    known.sort_by_key(|column| column.split('.').next().unwrap().to_owned());
    assert!(!known.is_empty());
    assert_eq!(known, columns);
}

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Runs the migrations that are older than one, and gives that one.
fn migrate_to(conn: &mut PgConnection, name: &str) -> Box<dyn Migration<Pg>> {
    let pending = conn.pending_migrations(MIGRATIONS).unwrap();
    for migration in pending {
        if migration.name().to_string().ends_with(name) {
            return migration;
        }
        conn.run_migration(&*migration).unwrap();
    }
    panic!("there is no migration {name}");
}

/// What people see of each message: when it was, and what its node claimed.
fn shown_times(db: &TestDb) -> Vec<String> {
    db.texts(
        "SELECT l.id || ' ' || to_char(l.created_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US') || ' ' || \
           to_char(l.node_ts AT TIME ZONE 'UTC', 'YYYY HH24:MI:SS.US') || ' ' || (s.logs ->> 'ts' = to_char(l.node_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')) AS value \
         FROM telemetry_logs l JOIN tetcore_logs s USING (id) ORDER BY l.id",
    )
}

#[test]
fn messages_from_before_arrival_was_the_axis_of_time_keep_theirs() {
    let db = TestDb::empty();
    let mut conn = db.connect();
    let migration = migrate_to(&mut conn, "_make_arrival_the_time_axis");
    // As the version before writes them: all columns in their order.
    let before = |id: u32, table: &str, node_ts: &str| {
        format!(
            "INSERT INTO {table} VALUES ({id}, '2026-01-01T12:00:00.000007Z', 1, 0, {node_ts}, NULL, '{{}}');"
        )
    };
    let tried = |id: u32| {
        format!(
            "SELECT telemetry_try_store(false, {id}, '2026-01-01T12:00:00.000007Z', 1, 0::smallint, NULL, NULL, '{{}}'::bytea);"
        )
    };
    let partition = "CREATE TABLE p PARTITION OF telemetry_messages FOR VALUES FROM ('2026-01-01T00:00Z') TO ('2026-01-02T00:00Z');";
    db.execute(partition);
    db.execute(&before(1, "telemetry_messages", "NULL"));
    db.execute(&before(2, "telemetry_messages", "'1999-01-01T00:00:00Z'"));
    db.execute(&before(3, "telemetry_messages_audit", "NULL"));
    db.execute(&tried(4));
    let old = [
        "1 12:00:00.000007 2026 12:00:00.000007 true",
        "2 12:00:00.000007 1999 00:00:00.000000 true",
        "3 12:00:00.000007 2026 12:00:00.000007 true",
        "4 12:00:00.000007 2026 12:00:00.000007 true",
    ];
    assert_eq!(shown_times(&db), old);
    let places = "SELECT string_agg(ctid::text || tableoid, ' ' ORDER BY id) AS value FROM telemetry_messages";
    let place = db.texts(places);
    conn.run_migration(&*migration).unwrap();
    assert_eq!(shown_times(&db), old);
    assert_eq!(db.texts(places), place, "no row was written anew");

    // The version before goes on beside the new one.
    db.execute(&before(5, "telemetry_messages", "NULL"));
    db.execute(&tried(6));
    db.execute(
        "INSERT INTO telemetry_messages VALUES (7, '2026-01-01T12:00Z', 1, 0, NULL, NULL, '{}', -240000001);
         SELECT telemetry_try_store(true, 8, '2026-01-01T12:00Z', 1, 0::smallint, NULL, NULL, '{}'::bytea, 2147483647);
         INSERT INTO telemetry_messages VALUES (9, '2026-01-01T12:00Z', 1, 0, '1999-01-01T00:00Z', NULL, '{}', NULL);",
    );
    let new = [
        "5 12:00:00.000007 2026 12:00:00.000007 true",
        "6 12:00:00.000007 2026 12:00:00.000007 true",
        "7 12:00:00.000000 2026 11:55:59.999999 true",
        "8 12:00:00.000000 2026 12:35:47.483647 true",
        "9 12:00:00.000000 1999 00:00:00.000000 true",
    ];
    let all = [old.as_slice(), &new].concat();
    assert_eq!(shown_times(&db), all);
    conn.revert_migration(&*migration).unwrap();
    assert_eq!(shown_times(&db), all, "what nodes claimed was lost");
    conn.run_migration(&*migration).unwrap();
    assert_eq!(shown_times(&db), all);
}

/// The blocks with their delays as people see them: by block, and added up.
fn shown_delays(db: &TestDb) -> Vec<String> {
    db.texts(
        "SELECT concat_ws(' ', p.height, p.p50_s, p.p90_s, p.p99_s) AS value FROM block_propagation('-infinity', 'infinity') p \
         UNION ALL SELECT 'all ' || b.nodes || ' ' || b.delays::text FROM chain_blocks(1, '2026-01-01Z', '2026-01-02Z') b ORDER BY 1",
    )
}

#[test]
fn blocks_from_before_delays_were_small_keep_them() {
    let db = TestDb::empty();
    let mut conn = db.connect();
    let migration = migrate_to(&mut conn, "_shrink_block_delays");
    db.execute(
        "INSERT INTO chains (genesis_hash) VALUES ('0xaa'); INSERT INTO block_reporters (peer_id, server_id) VALUES ('a', 's')",
    );
    // As the version before writes them.
    let before = |height: u32, delays: &str| {
        format!(
            "INSERT INTO blocks (chain_id, height, hash, first_at, first_reporter_id, nodes, own, broadcast, other, delays, is_final) \
             SELECT 1, {height}, sha256('{height}'), '2026-01-01T12:00Z', 1, 2, 0, 2, 0, '{delays}'::integer[], false \
             ON CONFLICT (chain_id, height, hash) DO UPDATE SET delays = excluded.delays"
        )
    };
    db.execute(&before(1, "{}"));
    db.execute(&before(2, "{0,0,3,0,0,0,7}"));
    db.execute(&before(3, "{0,0,0,40000}"));
    let shown = shown_delays(&db);
    conn.run_migration(&*migration).unwrap();
    let all = |fourth: &str| {
        let mut all = shown.clone();
        *all.last_mut().unwrap() = format!("all 6 {{0,0,3,{fourth},0,0,7}}");
        all
    };
    assert_eq!(shown[3], "all 6 {0,0,3,40000,0,0,7}");
    assert_eq!(
        shown_delays(&db),
        all("32767"),
        "more than fit are the most that do"
    );

    // The version before goes on beside the new one.
    db.execute(&before(3, "{0,0,0,9}"));
    assert_eq!(shown_delays(&db), all("9"));
    conn.revert_migration(&*migration).unwrap();
    assert_eq!(shown_delays(&db), all("9"));
    assert_eq!(
        db.count("SELECT count(*) FROM blocks WHERE array_position(delays, NULL) > 0"),
        0,
        "the version before knows no empty ones"
    );
    conn.run_migration(&*migration).unwrap();
    assert_eq!(shown_delays(&db), all("9"));
}

#[test]
fn no_two_migrations_have_the_same_version() {
    let mut versions: Vec<String> = std::fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.split_once('_')?.0.to_owned()))
        .collect();
    versions.sort_unstable();
    let mut distinct = versions.clone();
    distinct.dedup();
    assert_eq!(versions, distinct, "one of them would never be run");
}
