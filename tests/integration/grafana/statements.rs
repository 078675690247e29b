//! Each statement of each panel, choice and annotation, as the role for reading, on weeks of data.

use std::collections::HashMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::macros::{Choice, Range, expand, seconds};
use super::reader_role::Reader;
use super::{documents, list};
use crate::support::TestDb;

/// A table with more rows is read by an index.
const SMALL_ROWS: i64 = 5_000;

/// Panels that show nothing of a longer range.
const OF_SHORT_RANGES: [&str; 1] = ["Blocks imported"];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// Title and statement of everything that a dashboard asks the database, with the panel.
fn asked(dashboard: &Value) -> Vec<(String, String, Value)> {
    let title = dashboard["title"].as_str().unwrap();
    let mut asked = Vec::new();
    for panel in list(dashboard, "/panels") {
        for target in list(panel, "/targets") {
            if let Some(sql) = target["rawSql"].as_str() {
                let name = panel["title"].as_str().unwrap();
                asked.push((name.to_owned(), sql.to_owned(), panel.clone()));
            }
        }
    }
    for annotation in list(dashboard, "/annotations/list") {
        let sql = annotation["target"]["rawSql"].as_str().unwrap();
        let name = annotation["name"].as_str().unwrap();
        asked.push((name.to_owned(), sql.to_owned(), Value::Null));
    }
    for variable in list(dashboard, "/templating/list") {
        if variable["datasource"]["uid"] == "tetcore-postgresql" {
            let sql = variable["query"].as_str().unwrap();
            let name = variable["name"].as_str().unwrap();
            asked.push((name.to_owned(), sql.to_owned(), Value::Null));
        }
    }
    assert!(!asked.is_empty(), "{title}");
    asked
}

/// Scans of messages by the time of their arrival only: they read those of all nodes.
fn of_all_nodes(plan: &Value, found: &mut Vec<String>) {
    match plan {
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let below = |name: &str| fields.get("Plans").map(|plans| plans[0][name].clone());
            let table = text("Relation Name");
            if table.starts_with("telemetry_messages")
                && below("Node Type").is_some_and(|node| node == "Bitmap Index Scan")
                && below("Index Name")
                    .is_some_and(|name| name.as_str().unwrap().ends_with("created_at_idx"))
            {
                found.push(table.to_owned());
            }
            fields.values().for_each(|value| of_all_nodes(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| of_all_nodes(value, found)),
        _ => {}
    }
}

/// The tables that a plan reads from end to end.
fn whole(plan: &Value, found: &mut Vec<String>) {
    match plan {
        Value::Object(fields) => {
            if fields
                .get("Node Type")
                .is_some_and(|node| node == "Seq Scan")
            {
                found.push(fields["Relation Name"].as_str().unwrap().to_owned());
            }
            fields.values().for_each(|value| whole(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| whole(value, found)),
        _ => {}
    }
}

#[test]
fn every_statement_of_every_dashboard_is_answered_by_an_index() {
    let db = TestDb::new();
    db.execute(include_str!("filled.sql"));
    let reader = Reader::of(&db);
    let rows: HashMap<String, i64> = db
        .texts("SELECT relname || ' ' || greatest(0, reltuples)::bigint AS value FROM pg_class WHERE relkind = 'r'")
        .into_iter()
        .map(|line| {
            let (name, rows) = line.split_once(' ').unwrap();
            (name.to_owned(), rows.parse().unwrap())
        })
        .collect();
    let mut conn = reader.connect();
    conn.batch_execute("SET random_page_cost = 1.1").unwrap();
    let one = Choice::from([
        ("chain", "0xaa"),
        ("node", "peer 1"),
        ("service", "relayer"),
        ("target", "pallet_1"),
    ]);
    let mut problems = Vec::new();
    for dashboard in documents() {
        let title = dashboard["title"].as_str().unwrap();
        let opens = dashboard["time"]["from"].as_str().unwrap();
        let opens = seconds(opens.strip_prefix("now-").unwrap());
        for (name, sql, panel) in asked(&dashboard) {
            let is_all = |variable: &str| {
                let of = list(&dashboard, "/templating/list");
                of.iter()
                    .any(|one| one["name"] == variable && one["allValue"].is_string())
            };
            let mut all = one.clone();
            all.retain(|variable, _| !is_all(variable));
            for (choice, range_s) in [(&one, opens), (&all, opens), (&one, 14 * 86_400)] {
                let statement = expand(&sql, &dashboard, choice, Range::of(range_s, &panel));
                let place = format!("{title}, {name}, {range_s} s");
                let count = format!("SELECT count(*) FROM ({statement}) AS asked");
                let found: QueryResult<Count> = diesel::sql_query(count).get_result(&mut conn);
                match found {
                    Ok(found)
                        if found.count == 0
                            && !(range_s > opens && OF_SHORT_RANGES.contains(&name.as_str())) =>
                    {
                        problems.push(format!("{place}: no rows"));
                    }
                    Ok(_) => {}
                    Err(error) => problems.push(format!("{place}: {error}\n{statement}")),
                }
                if range_s > opens {
                    continue;
                }
                let plan: Vec<Line> =
                    diesel::sql_query(format!("EXPLAIN (FORMAT JSON) {statement}"))
                        .load(&mut conn)
                        .unwrap_or_default();
                for line in plan {
                    let plan = serde_json::from_str(&line.plan).unwrap();
                    let (mut tables, mut crowds) = (Vec::new(), Vec::new());
                    whole(&plan, &mut tables);
                    of_all_nodes(&plan, &mut crowds);
                    for table in crowds {
                        problems.push(format!(
                            "{place}: reads messages of all nodes in {table}\n{statement}"
                        ));
                    }
                    for table in tables {
                        if rows.get(&table).is_some_and(|rows| *rows > SMALL_ROWS) {
                            problems.push(format!("{place}: reads all of {table}\n{statement}"));
                        }
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    // The example of the document, in the place of a panel.
    let document = include_str!("../../../docs/GRAFANA.md");
    let example = document.split("```sql\n").nth(1).unwrap();
    let example = example.split(";\n```").next().unwrap();
    let node = documents().swap_remove(1);
    for range_s in [3_600, 14 * 86_400] {
        let example = expand(example, &node, &one, Range::of(range_s, &Value::Null));
        let found: Count = diesel::sql_query(format!("SELECT count(*) FROM ({example}) AS asked"))
            .get_result(&mut conn)
            .unwrap();
        assert!(found.count > 0, "{range_s}");
    }
}
