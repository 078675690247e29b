//! The schema: up, down, up again, documented, and as the program knows it.

use std::process::Command;

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
    let mut conn = db.connect();
    migrations::run(&mut conn).unwrap();
    let migrated = dump(&db);
    migrations::revert_all(&mut conn).unwrap();
    assert_eq!(dump(&db), empty, "a down.sql forgot something");
    migrations::run(&mut conn).unwrap();
    assert_eq!(dump(&db), migrated);
}

#[test]
fn every_table_and_column_is_described() {
    let db = TestDb::new();
    let undescribed = db.texts(
        "SELECT c.relname || coalesce('.' || a.attname, '') AS value \
         FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND c.relkind IN ('r', 'p') \
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
    let kind = "CASE format_type(a.atttypid, NULL) WHEN 'bigint' THEN 'Int8' WHEN 'smallint' THEN 'Int2' \
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
